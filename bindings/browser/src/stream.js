// An endless response: an event a line. Ends when the response does, or by an error.

export async function stream(net, address, { heard, event }, signal) {
  const { body } = await net.get(address, { signal });
  const reader = body.getReader();
  const text = new TextDecoder();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const lines = (rest + text.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    // Lines of white space are heartbeats.
    for (const line of lines) if (line.trim()) event(JSON.parse(line));
  }
}
