// Every transport in Chromium: ten events half a second apart, each of them on the page before the next is published.
//
//   node tests/browser/transports.mjs PRIVATE PUBLIC…     (addresses of a server; each public one takes six connections)
//
// Ends with 0 if all of it holds, and says how long an event took: until the page's script had it, or a screenshot showed it.

import assert from "node:assert/strict";
import { DEADLINE_MS, eventually, newPage, pixels, png, publish, withBrowser, withSite } from "./support.mjs";

const [privateAddress, ...publicAddresses] = process.argv.slice(2);
const EVENTS = 10;
const PACE_MS = 500;

// Event number i of a text channel: as many letters as its number, so that its length can be seen in a picture too.
const text = (i) => "M".repeat(i + 1);

// Ten colours that no compression confuses.
const COLOURS = [
  [255, 0, 0], [0, 160, 0], [0, 0, 255], [240, 240, 0], [0, 220, 220],
  [220, 0, 220], [255, 128, 0], [96, 96, 96], [160, 255, 160], [96, 0, 160],
];

// ---- Readers: each runs in the page, takes the address of the channel and puts what it receives into `seen`.

function sse(url) {
  new EventSource(`${url}?transport=sse`).onmessage = (event) => seen.push(event.data);
}

function sseWithEnvelope(url) {
  new EventSource(`${url}?transport=sse&envelope=json`).onmessage = (event) => seen.push(JSON.parse(event.data).data);
}

function webSocket(url) {
  new WebSocket(url.replace("http", "ws")).onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if ("data" in event) seen.push(event.data);
  };
}

// A socket that begins with nothing.
function webSocketThatAsks(url) {
  const socket = new WebSocket(`${new URL(url).origin.replace("http", "ws")}/ws`);
  socket.onopen = () => socket.send(JSON.stringify({ subscribe: new URL(url).pathname.slice("/sub".length) }));
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if ("data" in event) seen.push(event.data);
  };
}

async function longPoll(url) {
  for (let since = "earliest"; ; ) {
    const batch = await (await fetch(`${url}?transport=long-poll&since=${since}`)).json();
    since = batch.cursor;
    seen.push(...batch.messages.map((message) => message.data));
  }
}

// The browser's own cache keeps the cursor: the address never changes.
async function longPollRaw(url) {
  for (let last; ; ) {
    const response = await fetch(`${url}?transport=long-poll&raw=1`, { cache: "no-cache" });
    const tag = response.headers.get("ETag");
    if (response.status === 200 && tag !== last) seen.push(await response.text());
    last = tag;
  }
}

async function poll(url) {
  for (let tag = `"earliest"`; ; ) {
    const response = await fetch(`${url}?transport=poll`, { headers: { "If-None-Match": tag }, cache: "no-store" });
    tag = response.headers.get("ETag");
    if (response.status === 200) seen.push(...(await response.json()).messages.map((message) => message.data));
    else window.unchanged = response.status;
    await new Promise((passed) => setTimeout(passed, 50));
  }
}

function jsonp(url) {
  window.received = { batch };
  function ask(since) {
    const script = document.createElement("script");
    script.src = `${url}?transport=jsonp&callback=received.batch&since=${since}`;
    document.head.append(script);
    script.onload = () => script.remove();
  }
  function batch({ cursor, messages }) {
    seen.push(...messages.map((message) => message.data));
    ask(cursor);
  }
  ask("earliest");
}

function frame(url) {
  const origin = new URL(url).origin;
  addEventListener("message", (event) => {
    if (event.origin === origin && "data" in event.data) seen.push(event.data.data);
  });
  const frame = document.createElement("iframe");
  frame.src = `${url}?transport=iframe&target=${origin === location.origin ? "" : location.origin}`.replace(/&target=$/, "");
  document.body.append(frame);
}

// For browsers of old: a function of the parent, found by the domain they share.
function frameWithCallback(url) {
  window.comet = { on: (event) => "data" in event && seen.push(event.data) };
  const frame = document.createElement("iframe");
  frame.src = `${url}?transport=htmlfile&callback=comet.on&domain=${location.hostname}`;
  document.body.append(frame);
}

async function stream(url) {
  const response = await fetch(`${url}?transport=stream`);
  let rest = "";
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split("\n");
    rest = lines.pop();
    for (const event of lines.filter(Boolean).map((line) => JSON.parse(line))) if ("data" in event) seen.push(event.data);
  }
}

// XMLHttpRequest in readyState 3, events padded and parted by a bar.
function streamByRequest(url) {
  const request = new XMLHttpRequest();
  let taken = 0;
  request.onprogress = () => {
    for (let end; (end = request.responseText.indexOf("|", taken)) >= 0; taken = end + 1) {
      const event = JSON.parse(request.responseText.slice(taken, end));
      if ("data" in event) seen.push(event.data);
    }
  };
  request.open("GET", `${url}?transport=stream&separator=|&padding=2000&preamble=2048`);
  request.send();
}

async function streamRaw(url) {
  const response = await fetch(`${url}?transport=stream&raw=1&separator=length`);
  let rest = "";
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    rest += bytes;
    for (let [head] = rest.split("\n"); rest.length > head.length + Number(head) && head; [head] = rest.split("\n")) {
      seen.push(rest.slice(head.length + 1, head.length + 1 + Number(head)));
      rest = rest.slice(head.length + 1 + Number(head));
    }
  }
}

// For programs, parts follow each other; a part is whole when the next one begins.
async function multipartMixed(url) {
  const response = await fetch(url, { headers: { Accept: "multipart/mixed" } });
  const type = response.headers.get("Content-Type");
  const boundary = `\r\n--${/boundary=([^;]+)/.exec(type)[1]}`;
  let rest = "";
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + bytes).split(boundary);
    rest = parts.pop();
    for (const part of parts.filter(Boolean)) {
      const body = part.slice(part.indexOf("\r\n\r\n") + 4);
      if (body && part.includes("text/plain")) seen.push(body);
    }
  }
}

function picture(url, query) {
  const image = document.createElement("img");
  image.src = `${url}?${query}`;
  document.body.style.margin = 0;
  document.body.style.background = "white";
  document.body.replaceChildren(image);
}

// ---- What is published, and how it is known to be on the page.

// `there` says on whose page it runs: the other site's, or the server's own.
const reader = (name, there, read) => ({
  name,
  there,
  open: (page, url) => page.evaluate(`void (${read})(${JSON.stringify(url)})`),
  event: async (i) => [text(i), {}],
  see: async (page, i) => {
    await page.waitForFunction((count) => seen.length >= count, i + 1, { timeout: DEADLINE_MS, polling: 5 });
    assert.deepEqual(await page.evaluate(() => seen), Array.from({ length: i + 1 }, (_, k) => text(k)), name);
    return page.evaluate((i) => arrivals[i], i);
  },
});

const looked = async (page) => pixels(await page.locator("img").screenshot({ timeout: DEADLINE_MS }));

// `event` gives a picture of the colour; the page's image must be of that colour in its middle.
const pictures = (name, there, event) => ({
  name,
  there,
  open: (page, url) => page.evaluate(`(${picture})(${JSON.stringify(url)}, "transport=multipart")`),
  event,
  see: (page, i) =>
    eventually(`${name}: picture ${i} of colour ${COLOURS[i]}`, async (last) => {
      const size = await page.evaluate(() => document.querySelector("img").naturalWidth);
      if (!size) return last("no picture"), undefined;
      const view = await looked(page);
      const colour = view.at(view.width >> 1, view.height >> 1);
      last(colour);
      return colour.every((value, k) => Math.abs(value - COLOURS[i][k]) <= 6) ? Date.now() : undefined;
    }),
});

async function jpeg(page, [red, green, blue]) {
  const base64 = await page.evaluate(async (style) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 32 });
    const context = canvas.getContext("2d");
    context.fillStyle = style;
    context.fillRect(0, 0, 32, 32);
    return canvas.toDataURL("image/jpeg", 1).split(",")[1];
  }, `rgb(${red},${green},${blue})`);
  return Buffer.from(base64, "base64");
}

const asPng = async (i) => [png(COLOURS[i]), { "Content-Type": "image/png" }];
const asJpeg = async (i, page) => [await jpeg(page, COLOURS[i]), { "Content-Type": "image/jpeg" }];
const inTurn = (i, page) => (i % 3 === 1 ? asPng(i, page) : asJpeg(i, page));

// One row of text: the ink of event i is i + 1 letters wide.
const LETTER = 18;
const MARGIN = 16;
const gif = (name, there) => ({
  name,
  there,
  open: (page, url) =>
    page.evaluate(`(${picture})(${JSON.stringify(url)}, "transport=gif&width=256&height=40&scale=2&color=000000&background=ffffff")`),
  event: async (i) => [text(i), {}],
  see: (page, i) =>
    eventually(`${name}: ${i + 1} letters`, async (last) => {
      const size = await page.evaluate(() => document.querySelector("img").naturalWidth);
      if (size !== 256) return last("no picture"), undefined;
      const view = await looked(page);
      const inked = (x) => Array.from({ length: view.height }).some((_, y) => view.at(x, y)[0] < 128);
      let end = view.width;
      while (end > MARGIN && !inked(end - 1)) end--;
      const letters = Math.round((end - MARGIN) / LETTER);
      last({ letters, end });
      return letters === i + 1 ? Date.now() : undefined;
    }),
});

const pull = {
  name: "pull",
  there: null,
  // Each page says itself what it shows: it may be gone before anybody has asked.
  open: async (page, url) => {
    await page.exposeFunction("shows", (lines) => (page.lines = lines));
    await page.addInitScript(() =>
      addEventListener("DOMContentLoaded", () =>
        shows([...document.querySelectorAll("li")].map((line) => line.lastChild.textContent.trim()).join())));
    await page.goto(`${url}?transport=pull&refresh=1`);
  },
  event: async (i) => [text(i), {}],
  see: (page, i) => {
    const expected = Array.from({ length: i + 1 }, (_, k) => text(i - k)).join();
    return eventually(`pull: ${i + 1} lines`, async (last) => (last(page.lines), page.lines === expected ? Date.now() : undefined));
  },
};

const CASES = [
  reader("sse", "own", sse),
  reader("sse with envelope, cross-origin", "other", sseWithEnvelope),
  reader("websocket", "own", webSocket),
  reader("websocket that asks, cross-origin", "other", webSocketThatAsks),
  reader("long-poll", "own", longPoll),
  reader("long-poll raw, by the browser's cache", "own", longPollRaw),
  reader("poll", "own", poll),
  reader("jsonp, cross-origin", "other", jsonp),
  reader("iframe", "own", frame),
  reader("iframe, cross-origin", "other", frame),
  reader("htmlfile with callback", "own", frameWithCallback),
  reader("stream, cross-origin fetch", "other", stream),
  reader("stream, XMLHttpRequest", "own", streamByRequest),
  reader("stream raw", "own", streamRaw),
  reader("multipart/mixed", "own", multipartMixed),
  pictures("multipart of PNG, cross-origin", "other", asPng),
  pictures("multipart of JPEG", "own", asJpeg),
  pictures("multipart of both, cross-origin", "other", inTurn),
  gif("gif, cross-origin", "other"),
  gif("gif", "own"),
  pull,
];

// The number of readers that the server holds for a channel, once it knows the channel.
async function held(channel) {
  const response = await fetch(`http://${privateAddress}/channels${channel}`);
  return response.ok ? (await response.json()).subscribers : 0;
}

// Opens the page of a case; gives what is to be done once all are open.
async function start(browser, site, { name, there, open, event, see }, number) {
  const address = publicAddresses[number % publicAddresses.length];
  const channel = `/case/${number}`;
  const page = await newPage(browser);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.addInitScript(() => {
    window.seen = [];
    window.arrivals = [];
    seen.push = (...items) => items.forEach((item) => (arrivals.push(Date.now()), (seen[seen.length] = item)));
  });
  // The server's own pages have their policies; its health has none, and so can stand for any page at its side.
  if (there) await page.goto(there === "other" ? site : `http://${address}/healthz`);
  await open(page, `http://${address}/sub${channel}`);
  if (!["pull", "poll"].includes(name)) await eventually(`${name} is held`, async () => (await held(channel)) > 0 || undefined);

  return async () => {
    const times = [];
    // Not all at the same moment.
    await new Promise((passed) => setTimeout(passed, (PACE_MS * number) / CASES.length));
    for (let i = 0; i < EVENTS; i++) {
      const [body, headers] = await event(i, page);
      const begun = Date.now();
      assert.equal(await publish(privateAddress, channel, body, headers), 200);
      times.push(((await see(page, i)) ?? Date.now()) - begun);
      await new Promise((passed) => setTimeout(passed, Math.max(0, begun + PACE_MS - Date.now())));
    }
    assert.deepEqual(complaints, [], name);
    if (name === "poll") assert.equal(await page.evaluate(() => window.unchanged), 304);
    times.sort((a, b) => a - b);
    console.log(`${name}: after ${times[EVENTS >> 1]} ms, at the latest ${times.at(-1)}`);
  };
}

await withBrowser((browser) =>
  withSite(async (site) => {
    const started = await Promise.all(CASES.map((each, number) => start(browser, site, each, number)));
    const outcomes = await Promise.allSettled(started.map((run) => run()));
    const failures = outcomes.flatMap(({ reason }, i) => (reason ? [`${CASES[i].name}: ${reason.message ?? reason}`] : []));
    assert.deepEqual(failures, []);
  }),
);
