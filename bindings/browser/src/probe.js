// Finds out which transport works here: it must show its hello, which silence follows. Only a hello that nothing pushes
// along proves that the next message will not be held back; one that a proxy held for its buffer's sake came with company.
//
// A WebSocket is best. Then a stream, without padding or with as much behind each event as opens the buffers on the
// way. Else the long-poll under way stays.

import { socket } from "./socket.js";
import { stream } from "./stream.js";

export const LONG_POLL = { transport: "long-poll", padding: 0 };

// Whether `open` shows its hello in time.
function shows(net, open, address, given) {
  return new Promise((settle) => {
    const cut = new AbortController();
    const stop = () => cut.abort();
    const done = (shown) => {
      late();
      given.removeEventListener("abort", stop);
      stop();
      settle(shown);
    };
    const late = net.world.later(net.patience, () => done(false));
    given.addEventListener("abort", stop);
    const fail = () => done(false);
    open(net, address, { heard() {}, event: () => done(true) }, cut.signal).then(fail, fail);
    if (given.aborted) stop();
  });
}

// The best transport of those allowed. Never fails: what does not work is not the best.
export async function probe(net, paddings, signal) {
  const allowed = (transport) => net.transports.includes(transport);
  const rest = new AbortController();
  const stop = () => rest.abort();
  signal.addEventListener("abort", stop);
  const streams = (padding) => shows(net, stream, net.address("probe", "", { padding }), rest.signal);
  const steps = allowed("stream") && !net.scripts ? paddings : [];
  const sockets = allowed("websocket") && net.world.WebSocket && !Object.keys(net.headers).length;
  // Both at once.
  const first = steps.length && streams(steps[0]);
  try {
    const shown = sockets && net.token ? await net.shown().catch(() => ({})) : {};
    if (sockets && (await shows(net, socket, net.address("ws", "", shown), rest.signal))) return { transport: "websocket", padding: 0 };
    for (const padding of steps) {
      if (await (padding === steps[0] ? first : streams(padding))) return { transport: "stream", padding };
    }
    return { ...LONG_POLL };
  } finally {
    stop();
    signal.removeEventListener("abort", stop);
  }
}
