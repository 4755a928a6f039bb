// Finds out which transport works here: it must show its hello, which silence follows. Only a hello that nothing pushes
// along proves that the next message will not be held back; one that a proxy held for its buffer's sake came with company.
//
// A WebSocket is best. Then a stream, without padding or with as much behind each event as opens the buffers on the
// way. Else the long-poll under way stays.

import { socket } from "./socket.js";
import { stream } from "./stream.js";
import { within } from "./within.js";

// Whether `open` shows its hello in time.
function shows(net, open, address, given) {
  const hello = (signal) =>
    new Promise((shown, failed) => {
      open(net, address, { heard() {}, event: () => shown(true) }, signal).then(failed, failed);
    });
  return within(net.world, net.patience, given, hello).catch(() => false);
}

// The best transport of those allowed, or nothing once `given` is aborted. Never fails: what does not work is not the best.
export function probe(net, paddings, given) {
  const allowed = (transport) => net.transports.includes(transport);
  const steps = allowed("stream") && !net.scripts ? paddings : [];
  const sockets = allowed("websocket") && net.world.WebSocket && !Object.keys(net.headers).length;
  return within(net.world, Infinity, given, async (signal) => {
    const streams = (padding) => shows(net, stream, net.address("probe", "", { padding }), signal);
    // Both at once.
    const first = steps.length && streams(steps[0]);
    const shown = sockets && net.token ? await net.shown().catch(() => ({})) : {};
    const address = net.address("ws", "", shown);
    if (sockets && (await shows(net, socket, address, signal))) return { transport: "websocket", padding: 0 };
    for (const padding of steps) {
      if (await (padding === steps[0] ? first : streams(padding))) return { transport: "stream", padding };
    }
    return { transport: net.scripts ? "jsonp" : "long-poll", padding: 0 };
  }).catch(() => {});
}
