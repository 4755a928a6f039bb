// A TCP proxy that hurts: it passes bytes on until it is told to cut what is open, or to let nobody in.

import { connect, createServer } from "node:net";

// The proxy for the server at `target`, once it listens: {address, cut(), letIn(whether), close()}.
export async function cutter(target) {
  const [host, port] = target.split(":");
  const open = new Set();
  let lettingIn = true;
  const listener = createServer((near) => {
    if (!lettingIn) return near.destroy();
    const far = connect(Number(port), host);
    const pair = [near, far];
    open.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      // Whatever ends one side ends both.
      socket.on("error", () => {});
      socket.on("close", () => (open.delete(pair), pair.forEach((one) => one.destroy())));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise((listening) => listener.listen(0, "127.0.0.1", listening));
  const reset = (pair) => pair.forEach((socket) => socket.resetAndDestroy());
  const cut = (which = () => true) => [...open].filter(which).forEach(reset);
  return {
    address: `127.0.0.1:${listener.address().port}`,
    cut,
    letIn: (whether) => (lettingIn = whether),
    close: () => (listener.close(), cut()),
  };
}
