// Cut and resumed in Chromium: five hundred messages while each reader is cut again and again, by the server at the
// end of a life span and by its own page in the middle of things. None may be lost, none may come twice.
//
//   node tests/browser/resume.mjs PRIVATE PUBLIC…     (addresses of a server with a short life span)
//
// Ends with 0 if all of it holds, and says how often each reader was cut.

import assert from "node:assert/strict";
import { DEADLINE_MS, newPage, publish, withBrowser } from "./support.mjs";

const [privateAddress, ...publicAddresses] = process.argv.slice(2);
const MESSAGES = 500;
const PACE_MS = 12;
const CHANNEL = "/resumed";

// ---- Readers, in the page. Each calls `next()` when it begins to read, so that it knows its cuts, and keeps the
// cursor of what it has taken in `since`. After `patience()` the page cuts it off.

// The browser itself comes back, with the cursor of the last event.
function sse(url) {
  const source = new EventSource(`${url}?transport=sse&since=earliest`);
  source.onopen = next;
  source.onmessage = (event) => take(event.data);
  source.addEventListener("gap", (event) => take(`gap ${event.data}`));
}

// The page comes back with an EventSource of its own.
function sseAnew(url) {
  let since = "earliest";
  (function open() {
    next();
    const source = new EventSource(`${url}?transport=sse&since=${since}`);
    source.onmessage = (event) => {
      since = event.lastEventId;
      take(event.data);
    };
    setTimeout(() => (source.close(), open()), patience());
  })();
}

function webSocket(url) {
  let since = "earliest";
  (function open() {
    next();
    const socket = new WebSocket(`${url.replace("http", "ws")}?since=${since}`);
    const timer = setTimeout(() => socket.onclose(), patience());
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      since = event.id ?? event.cursor ?? since;
      if ("data" in event) take(event.data);
      if ("gap" in event) take("gap");
    };
    // What comes while it closes is left to the next one.
    socket.onclose = () => {
      socket.onclose = socket.onmessage = null;
      clearTimeout(timer);
      socket.close();
      open();
    };
  })();
}

async function longPoll(url) {
  for (let since = "earliest"; ; ) {
    next();
    const cut = new AbortController();
    const timer = setTimeout(() => cut.abort(), patience() / 4);
    try {
      const response = await fetch(`${url}?transport=long-poll&since=${since}`, { signal: cut.signal });
      const batch = await response.json();
      since = batch.cursor;
      if (batch.gap) take("gap");
      batch.messages.forEach((message) => take(message.data));
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
    clearTimeout(timer);
  }
}

// A script that was given up may run all the same; its function is not there any more.
function jsonp(url) {
  let since = "earliest", number = 0;
  (function ask() {
    next();
    const name = `batch${number++}`, script = document.createElement("script");
    const again = () => {
      clearTimeout(timer);
      window[name] = () => {};
      script.remove();
      ask();
    };
    const timer = setTimeout(again, patience() / 4);
    window[name] = ({ cursor, gap, messages }) => {
      since = cursor;
      if (gap) take("gap");
      messages.forEach((message) => take(message.data));
      again();
    };
    script.src = `${url}?transport=jsonp&callback=${name}&since=${since}`;
    document.head.append(script);
  })();
}

async function stream(url) {
  for (let since = "earliest"; ; ) {
    next();
    const cut = new AbortController();
    const timer = setTimeout(() => cut.abort(), patience());
    try {
      const response = await fetch(`${url}?transport=stream&since=${since}`, { signal: cut.signal });
      let rest = "";
      for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + bytes).split("\n");
        rest = lines.pop();
        for (const event of lines.filter(Boolean).map((line) => JSON.parse(line))) {
          since = event.id ?? event.cursor ?? since;
          if ("data" in event) take(event.data);
          if ("gap" in event) take("gap");
        }
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
    clearTimeout(timer);
  }
}

// A frame is cut off by its removal, and comes anew when it says goodbye.
function frame(url) {
  let since = "earliest", current, timer;
  (function open() {
    next();
    clearTimeout(timer);
    current?.remove();
    current = document.createElement("iframe");
    current.src = `${url}?transport=iframe&since=${since}`;
    document.body.append(current);
    timer = setTimeout(open, patience());
    window.reopen = open;
  })();
  addEventListener("message", ({ source, data: event }) => {
    if (source !== current.contentWindow) return;
    since = event.id ?? event.cursor ?? since;
    if ("data" in event) take(event.data);
    if ("gap" in event) take("gap");
    if ("close" in event) window.reopen();
  });
}

const READERS = { sse, sseAnew, webSocket, longPoll, jsonp, stream, frame };

async function open(browser, [name, read], number) {
  const address = publicAddresses[number % publicAddresses.length];
  const page = await newPage(browser);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(`http://${address}/healthz`);
  await page.evaluate(() => {
    window.seen = [];
    window.begun = 0;
    // Whoever was cut before anything came is given more time: however slow the machine, each goes on.
    let before = 0, inVain = 0;
    window.next = () => {
      begun++;
      inVain = seen.length > before ? 0 : inVain + 1;
      before = seen.length;
    };
    window.take = (text) => seen.push(text);
    window.patience = () => (50 + 600 * Math.random()) * (1 + inVain);
  });
  await page.evaluate(`void (${read})("http://${address}/sub${CHANNEL}")`);
  return { name, page, complaints };
}

await withBrowser(async (browser) => {
  const readers = await Promise.all(Object.entries(READERS).map((reader, number) => open(browser, reader, number)));
  for (let i = 0; i < MESSAGES; i++) {
    assert.equal(await publish(privateAddress, CHANNEL, `message ${i}`), 200);
    await new Promise((passed) => setTimeout(passed, PACE_MS));
  }
  const expected = Array.from({ length: MESSAGES }, (_, i) => `message ${i}`);
  for (const { name, page, complaints } of readers) {
    const all = page.waitForFunction((count) => seen.length >= count, MESSAGES, { timeout: DEADLINE_MS });
    // What came instead says more than the deadline.
    await all.catch(() => {});
    assert.deepEqual(await page.evaluate(() => seen), expected, name);
    const begun = await page.evaluate(() => begun);
    assert.ok(begun > 5, `${name} was cut ${begun - 1} times only`);
    assert.deepEqual(complaints, [], name);
    console.log(`${name}: began ${begun} times`);
  }
});
