// What was found to work here is remembered for an hour, for all tabs, and told to the server once.

const LIFE_MS = 3_600_000;

// Where nothing can be remembered, the next page finds out by itself.
function stored(net, use) {
  try {
    return use(net.world.local, `encke ${net.origin}`);
  } catch {
    return undefined;
  }
}

export const recall = (net) =>
  stored(net, (store, key) => {
    const verdict = JSON.parse(store.getItem(key));
    const left = verdict.until - net.world.now();
    return left > 0 && left <= LIFE_MS && net.transports.includes(verdict.transport) ? verdict : undefined;
  });

// Gives the verdict with the moment of its end.
export function remember(net, verdict) {
  const dated = { ...verdict, until: net.world.now() + LIFE_MS };
  stored(net, (store, key) => store.setItem(key, JSON.stringify(dated)));
  return dated;
}

export const forget = (net) => stored(net, (store, key) => store.removeItem(key));

// Nobody waits for this, and nothing depends on it.
export function report(net, { transport, padding }) {
  const verdict = padding ? `${transport}.${padding}` : transport;
  const { credentials } = net;
  Promise.resolve(net.world.fetch(net.address("probe", "", { verdict }), { mode: "no-cors", credentials, cache: "no-store" })).catch(() => {});
}
