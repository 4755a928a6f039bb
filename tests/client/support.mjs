// What the tests of the browser's client share: servers, a line to one that can be cut and led elsewhere, and pages with
// feeds whose messages are counted.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { DEADLINE_MS, eventually, path } from "../browser/support.mjs";
import { relay, reset } from "../common/relay.mjs";

export { DEADLINE_MS, eventually, withBrowser } from "../browser/support.mjs";

export const pause = (ms) => new Promise((passed) => setTimeout(passed, ms));

// What is to be ended with the test, whatever becomes of it.
const ends = [];
export const atEnd = (end) => ends.push(end);
export async function finish(body) {
  try {
    await body();
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

// A program that runs until it is ended; `says` gives the next line, on either output, that fits.
export function program(command, ...options) {
  const child = spawn(command, options, { stdio: ["ignore", "pipe", "pipe"] });
  const lines = [];
  let over = false;
  const ended = new Promise((end) => child.on("close", end)).then(() => (over = true));
  for (const output of [child.stdout, child.stderr]) createInterface(output).on("line", (line) => lines.push(line));
  const kill = async () => {
    if (!over) child.kill("SIGKILL");
    await ended;
  };
  atEnd(kill);
  const says = (pattern) =>
    eventually(`${command} says ${pattern}`, () => {
      const found = lines.map((line) => pattern.exec(line)).find(Boolean);
      assert.ok(found || !over, `${command} has ended:\n${lines.join("\n")}`);
      return found ?? undefined;
    });
  return { says, kill };
}

// A server on free ports: {public, private, kill()}.
export async function serve(...options) {
  const any = ["--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--reactors", "2"];
  const server = program(process.env.ENCKE_BINARY, "serve", ...any, ...options);
  const [, open] = await server.says(/"subscribe at http:\/\/([0-9.:]+)/);
  const [, closed] = await server.says(/"publish at http:\/\/([0-9.:]+)/);
  return { public: open, private: closed, kill: server.kill };
}

// A line to the server at `target`: {address, cut(), deaden(), lead(target)}. What one end does the other sees, unless it
// is dead: then those that are on the line hear nothing more.
export async function line(target) {
  const { address, pairs, close } = await relay(() => target);
  atEnd(close);
  const deaden = () => pairs.forEach((pair) => pair.forEach((socket) => (socket.unpipe(), socket.on("data", () => {}))));
  return { address, cut: () => reset(pairs), deaden, lead: (to) => (target = to) };
}

// Publishes as the application does, and keeps what was published.
export class Publisher {
  numbers = [];
  #going;

  constructor(address, channel) {
    Object.assign(this, { address, channel });
  }

  async publish() {
    const body = `${this.numbers.length + 1}`;
    const response = await fetch(`http://${this.address}/pub${path(this.channel)}`, { method: "POST", body });
    assert.equal(response.status, 200, await response.text());
    this.numbers.push(Number(body));
  }

  // So many a second, until `stop`.
  start(rate) {
    let over = false;
    const begun = Date.now();
    const run = async () => {
      for (let count = 1; !over; count++) {
        await this.publish();
        const due = begun + (1000 * count) / rate - Date.now();
        if (due > 0) await pause(due);
      }
    };
    this.#going = { run: run(), end: () => (over = true) };
  }

  async stop() {
    this.#going.end();
    await this.#going.run;
  }
}

// Opens a page of the server at `address` with a feed, whose messages go to `seen`.
export async function openFeed(context, address, options, at = "/healthz") {
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  await page.goto(`http://${address}${at}`);
  await begin(page, options);
  return page;
}

// A page is what a reload leaves of it: this makes the feed.
export const begin = (page, options) =>
  page.evaluate(async (options) => {
    const { connect } = await import("/encke.js");
    const begun = performance.now();
    Object.assign(window, { seen: [], times: [], gaps: [], errors: [], states: [], first: null });
    window.feed = connect("/", options);
    feed.on("/**", ({ data }) => {
      window.first ??= performance.now() - begun;
      seen.push(Number(data));
      times.push(performance.timeOrigin + performance.now());
    });
    feed.ongap = (gap) => gaps.push(gap);
    feed.onerror = (error) => errors.push(error);
    feed.onstate = (state) => states.push([state, feed.transport, Math.round(performance.now() - begun)]);
  }, options);

export const look = (page) =>
  page.evaluate(() => ({
    state: feed.state,
    transport: feed.transport,
    padding: feed.padding,
    leads: feed.leads,
    tab: feed.tab,
    count: seen.length,
    gaps,
    errors,
    states,
    first,
  }));

// Waits until `pages` look as they should.
export const all = (what, pages, fits) =>
  eventually(what, async (saw) => {
    const looks = await Promise.all(pages.map(look));
    saw(looks);
    return looks.every(fits) ? looks : undefined;
  });

// Each page got all that was published, once and in order.
export async function complete(what, pages, numbers) {
  for (const page of pages) {
    await page.waitForFunction((count) => seen.length >= count, numbers.length, { timeout: DEADLINE_MS }).catch(() => {});
    const seen = await page.evaluate(() => seen);
    const wrong = numbers.findIndex((number, at) => number !== seen[at]);
    const around = JSON.stringify(seen.slice(Math.max(0, wrong - 2), wrong + 3));
    assert.ok(wrong < 0 && seen.length === numbers.length, `${what}: ${seen.length} of ${numbers.length}, wrong at ${wrong}: ${around}`);
    assert.deepEqual(page.complaints, [], what);
  }
}

// The number of a line of /metrics.
export async function metric(server, name) {
  const text = await (await fetch(`http://${server.private}/metrics`)).text();
  const line = text.split("\n").find((line) => line.startsWith(`${name} `));
  assert.ok(line, `${name} in ${text}`);
  return Number(line.slice(name.length + 1));
}
