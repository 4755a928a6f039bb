// A TCP relay for tests that hurt: it passes bytes on between pairs of sockets until somebody does something to them.

import { connect, createServer } from "node:net";

// The relay to whatever `target()` says when a connection comes, as long as `admits()`, once it listens: {address, pairs, close()}.
export async function relay(target, admits = () => true) {
  const pairs = new Set();
  const listener = createServer((near) => {
    if (!admits()) return near.destroy();
    const [host, port] = target().split(":");
    const far = connect(Number(port), host);
    const pair = [near, far];
    pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      // Whatever ends one side ends both.
      socket.on("error", () => {});
      socket.on("close", () => (pairs.delete(pair), pair.forEach((one) => one.destroy())));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise((listening) => listener.listen(0, "127.0.0.1", listening));
  return { address: `127.0.0.1:${listener.address().port}`, pairs, close: () => (listener.close(), reset(pairs)) };
}

// Cuts these pairs, so that both ends see it at once.
export function reset(pairs) {
  for (const pair of [...pairs]) pair.forEach((socket) => socket.resetAndDestroy());
}
