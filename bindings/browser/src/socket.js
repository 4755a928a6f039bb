// A WebSocket: an event a message. Ends when it is closed. `ready` is given what says something on it.

export function socket({ world }, address, { heard, event, ready }, signal) {
  return new Promise((resolve, reject) => {
    const socket = new world.WebSocket(address.replace(/^http/, "ws"));
    socket.onopen = () => ready?.((wish) => socket.readyState === 1 && socket.send(JSON.stringify(wish)));
    socket.onmessage = ({ data }) => {
      heard();
      event(JSON.parse(data));
    };
    socket.onclose = resolve;
    socket.onerror = () => reject(new TypeError("the WebSocket failed"));
    const stop = () => {
      // What comes while it closes is left to whoever reads on.
      socket.onopen = socket.onmessage = null;
      socket.close();
      reject(new DOMException("given up", "AbortError"));
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
}
