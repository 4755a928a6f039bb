// What is taken from a browser, where browsers have traps.

import assert from "node:assert/strict";
import { test } from "node:test";
import { browser } from "../src/world.js";

test("a timer that a browser could not wait for goes off late and not at once", (context) => {
  const waits = [];
  context.mock.method(globalThis, "setTimeout", (_, ms) => waits.push(ms));
  const world = browser();
  for (const ms of [0, 60_000, 2_147_483_647, 2_147_483_648, Infinity]) world.later(ms, () => {});
  assert.deepEqual(waits, [0, 60_000, 2_147_483_647, 2_147_483_647, 2_147_483_647]);
});
