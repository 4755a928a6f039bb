// A batch by a script tag (JSONP), for servers whose answers fetch may not read. A script that was given up may run all
// the same: its function stays until the script has come or failed.

let number = 0;

export function byScript({ document }, address) {
  return new Promise((resolve, reject) => {
    const callback = `encke_${number++}`;
    const script = document.createElement("script");
    globalThis[callback] = resolve;
    script.onload = script.onerror = () => {
      delete globalThis[callback];
      script.remove();
      reject(new TypeError("the script did not come"));
    };
    script.src = address(callback);
    document.head.append(script);
  });
}
