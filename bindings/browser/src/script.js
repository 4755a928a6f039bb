// A batch by a script tag (JSONP), for servers whose answers fetch may not read. A script that was given up may run all
// the same: its function stays, and does nothing.

let number = 0;

export function byScript({ document }, address, signal) {
  return new Promise((resolve, reject) => {
    const callback = `encke_${number++}`;
    const script = document.createElement("script");
    const done = (settle) => (value) => {
      globalThis[callback] = () => {};
      script.remove();
      settle(value);
    };
    const fail = done(reject);
    globalThis[callback] = done(resolve);
    script.onerror = () => fail(new TypeError("the script did not come"));
    signal.addEventListener("abort", () => fail(new DOMException("given up", "AbortError")));
    script.src = address(callback);
    document.head.append(script);
  });
}
