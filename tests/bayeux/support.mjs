// What all parts of the suite share: deadlines, comparing, and publishing as an application does.

import { isDeepStrictEqual } from "node:util";

// How long anything may take that is waited for.
export const DEADLINE_MS = 30_000;

// The first thing that differs says more than two long lists.
export function same(actual, expected, what = "") {
  if (isDeepStrictEqual(actual, expected)) return;
  if (!Array.isArray(actual) || !Array.isArray(expected)) throw new Error(`${what} ${shown(actual)} is not ${shown(expected)}`);
  const at = expected.findIndex((one, i) => !isDeepStrictEqual(one, actual[i]));
  const where = at < 0 ? expected.length : at;
  throw new Error(
    `${what} ${actual.length} instead of ${expected.length}; the first that differs is number ${where}: ` +
      `${shown(actual[where])} is not ${shown(expected[where])}`);
}

export function holds(condition, what) {
  if (!condition) throw new Error(what);
}

export const shown = (value) => (JSON.stringify(value) ?? "nothing").slice(0, 300);

// A pause between two looks at something.
export const pause = (ms) => new Promise((passed) => setTimeout(passed, ms));

// What is promised, or an error at the deadline.
export async function within(what, promise, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error(`${what}: not within ${ms} ms`)), ms)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// Waits until `check` gives something other than undefined, which it gives back.
export async function eventually(what, check, ms = DEADLINE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const result = await check();
    if (result !== undefined) return result;
    if (Date.now() > end) throw new Error(`${typeof what === "string" ? what : what()}: not within ${ms} ms`);
    await pause(10);
  }
}

// Publishes at the private address as an application does.
export async function publish(address, channel, data) {
  const response = await fetch(`http://${address}/pub${channel}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`publishing was answered by ${response.status}: ${text}`);
}

// `count` things to publish, each of them different.
export const numbered = (count, from = 1) => Array.from({ length: count }, (_, i) => ({ number: from + i }));
