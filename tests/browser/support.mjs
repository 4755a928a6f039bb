// What the browser's tests share: the browser, a site of another origin, publishing, and looking at pictures.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { crc32, deflateSync, inflateSync } from "node:zlib";

const { chromium } = createRequire(resolve("target/node/package.json"))("playwright-core");

// How long anything may take that is waited for.
export const DEADLINE_MS = 60_000;

// Runs `body` with a browser that ends with it, however that goes; `more` is said to whoever starts it.
export async function withBrowser(body, more = {}) {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"], timeout: DEADLINE_MS, ...more });
  try {
    await body(browser);
  } finally {
    await browser.close();
  }
}

// A page whose every wait has our deadline.
export async function newPage(browser, options) {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(DEADLINE_MS);
  return page;
}

// Runs `body` with the address of a site that has nothing to do with the server: every page of it is empty.
export async function withSite(body) {
  const site = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end("<!doctype html><title>another site</title><body>");
  });
  await new Promise((listening) => site.listen(0, "127.0.0.1", listening));
  try {
    await body(`http://127.0.0.1:${site.address().port}`);
  } finally {
    site.close();
    site.closeAllConnections();
  }
}

// A channel's name as it stands in a path.
export const path = (channel) => channel.split("/").map(encodeURIComponent).join("/");

// Publishes at `address` as an application does; gives the status.
export async function publish(address, channel, body, headers = {}) {
  const response = await fetch(`http://${address}/pub${path(channel)}`, { method: "POST", body, headers });
  await response.text();
  return response.status;
}

// Waits until `check` gives something other than undefined, which it gives back.
export async function eventually(what, check) {
  const end = Date.now() + DEADLINE_MS;
  let last;
  while (Date.now() < end) {
    const result = await check((seen) => (last = seen));
    if (result !== undefined) return result;
    await new Promise((passed) => setTimeout(passed, 10));
  }
  assert.fail(`${what}: not within ${DEADLINE_MS} ms; last seen: ${JSON.stringify(last)}`);
}

// A PNG of one colour, [red, green, blue].
export function png([red, green, blue], size = 32) {
  const chunk = (name, data) => {
    const bytes = Buffer.concat([Buffer.from(name), data]);
    const length = Buffer.alloc(4), sum = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(bytes));
    return Buffer.concat([length, bytes, sum]);
  };
  const head = Buffer.from([0, 0, 0, size, 0, 0, 0, size, 8, 2, 0, 0, 0]);
  const row = Buffer.concat([Buffer.of(0), Buffer.concat(Array(size).fill(Buffer.of(red, green, blue)))]);
  const pixels = deflateSync(Buffer.concat(Array(size).fill(row)));
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}

// The pixels of a screenshot, which is a PNG of eight bits without interlace: {width, height, at(x, y)}.
export function pixels(png) {
  const width = png.readUInt32BE(16), height = png.readUInt32BE(20);
  const channels = { 2: 3, 6: 4 }[png[25]];
  assert.ok(png[24] === 8 && channels && png[28] === 0, "a screenshot of another kind");
  const data = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") data.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(data)), stride = width * channels, out = Buffer.alloc(stride * height);
  const paeth = (a, b, c) => {
    const [toA, toB, toC] = [a, b, c].map((known) => Math.abs(a + b - c - known));
    return toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
  };
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x < channels ? 0 : out[at - channels], up = y ? out[at - stride] : 0;
      const corner = y && x >= channels ? out[at - stride - channels] : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      out[at] = raw[y * (stride + 1) + 1 + x] + guess;
    }
  }
  return { width, height, at: (x, y) => [...out.subarray(y * stride + x * channels, y * stride + x * channels + 3)] };
}
