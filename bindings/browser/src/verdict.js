// What was found to work here is remembered for an hour, for all tabs, and told to the server once.

const LIFE_MS = 3_600_000;
const key = (net) => `encke ${net.origin}`;

export function recall(net) {
  try {
    const verdict = JSON.parse(net.world.local.getItem(key(net)));
    const left = verdict.until - net.world.now();
    return left > 0 && left <= LIFE_MS && net.transports.includes(verdict.transport) ? verdict : undefined;
  } catch {
    return undefined;
  }
}

// Gives the verdict with the moment of its end.
export function remember(net, verdict) {
  const dated = { ...verdict, until: net.world.now() + LIFE_MS };
  try {
    net.world.local.setItem(key(net), JSON.stringify(dated));
  } catch {
    // Then the next page finds out by itself.
  }
  return dated;
}

export function forget(net) {
  try {
    net.world.local.removeItem(key(net));
  } catch {
    // It was not remembered.
  }
}

// Nobody waits for this, and nothing depends on it.
export function report(net, { transport, padding }) {
  const verdict = padding ? `${transport}.${padding}` : transport;
  const { credentials } = net;
  Promise.resolve(net.world.fetch(net.address("probe", "", { verdict }), { mode: "no-cors", credentials, cache: "no-store" })).catch(() => {});
}
