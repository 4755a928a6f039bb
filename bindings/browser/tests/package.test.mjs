// What is published is what src makes, under its size, in both forms; and the types name what there is.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { Feed } from "../src/feed.js";
import { matches } from "../src/pattern.js";

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");

test("the built files are what src makes, and small", () => {
  const build = new URL("../tools/build.mjs", import.meta.url).pathname;
  console.log(execFileSync(process.execPath, [build, "--check"], { encoding: "utf8" }).trim());
});

test("the module and the classic script have the same to offer", async () => {
  const module = await import("../encke.js");
  const page = { console };
  page.globalThis = page;
  runInNewContext(read("encke.classic.js"), page);
  assert.deepEqual(Object.keys(module).sort(), ["connect", "default"]);
  assert.deepEqual([Object.keys(module.default), Object.keys(page.encke)], [["connect"], ["connect"]]);
});

test("the types name each member of a feed, and no other", () => {
  const [, body] = /export interface Feed .*?\{\n(.*?)\n\}/s.exec(read("encke.d.ts"));
  const typed = [...body.matchAll(/^  (?:readonly )?(\w+)[<(:]/gm)].map(([, name]) => name);
  const getters = Object.getOwnPropertyNames(Feed.prototype).filter((name) => name !== "constructor");
  assert.deepEqual(typed.sort(), [...getters, "tab", "onstate", "ongap", "onerror"].sort());
});

test("the package has the server's version", () => {
  const [, version] = /^version = "(.*)"$/m.exec(readFileSync(new URL("../../../Cargo.toml", import.meta.url), "utf8"));
  assert.equal(JSON.parse(read("package.json")).version, version);
});

test("a pattern stands for the channels that the server says it does", () => {
  for (const [pattern, yes, no] of [
    ["/a", ["/a"], ["/a/b", "/b", "/"]],
    ["/a/*", ["/a/b"], ["/a", "/a/b/c", "/ab", "/b/a"]],
    ["/a/**", ["/a/b", "/a/b/c"], ["/a", "/ab/c"]],
    ["/**", ["/a", "/a/b"], []],
    ["/*", ["/a"], ["/a/b"]],
  ]) {
    for (const channel of yes) assert.ok(matches(pattern, channel), `${pattern} ${channel}`);
    for (const channel of no) assert.ok(!matches(pattern, channel), `${pattern} ${channel}`);
  }
});
