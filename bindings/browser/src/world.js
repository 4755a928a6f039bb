// All that is taken from the browser, in one place: tests bring a world of their own. What a browser does not have is
// undefined here, and the rest does without it.

// Timers of browsers go off at once if they are to wait longer.
const TIMER_MS_MAX = 2_147_483_647;

// Storage may be there and throw, when its owner forbids it.
function storage(name) {
  try {
    const store = globalThis[name];
    store.getItem("");
    return store;
  } catch {
    return undefined;
  }
}

export function browser() {
  const { document, navigator, location, WebSocket, BroadcastChannel } = globalThis;
  return {
    base: document?.baseURI ?? location?.href,
    now: () => Date.now(),
    random: () => Math.random(),
    // Runs `then` after `ms`, or 24 days if that is longer; gives what calls it off.
    later(ms, then) {
      const timer = setTimeout(then, Math.min(ms, TIMER_MS_MAX));
      return () => clearTimeout(timer);
    },
    fetch: (...request) => globalThis.fetch(...request),
    WebSocket,
    document,
    BroadcastChannel,
    locks: navigator?.locks,
    local: storage("localStorage"),
    session: storage("sessionStorage"),
    visible: () => document?.visibilityState !== "hidden",
    // Hears one of the page's events; gives what ends that. A page tells of being hidden by its document alone.
    listen(name, handler) {
      const target = name === "visibilitychange" ? document : globalThis;
      target?.addEventListener?.(name, handler);
      return () => target?.removeEventListener?.(name, handler);
    },
    // What an application's handler throws is shown like any error of the page.
    report: (error) => (globalThis.reportError ?? console.error)(error),
  };
}
