// What happens to pages: more channels than one connection may have, the fallbacks, a machine that sleeps for five minutes,
// tabs that close, crash and freeze, pages that go while they publish, that the browser keeps and brings back, and that
// stand in a sandbox.
//
//   node tests/client/pages.mjs [NAME…]     the cases of these names alone

import assert from "node:assert/strict";
import { Publisher, all, complete, eventually, finish, line, look, openFeed, pause, serve, withBrowser } from "./support.mjs";

const ROOM = 64;
const SLEEP_MS = 300_000;

async function subscribers(server, channel) {
  const response = await fetch(`http://${server.private}/channels${channel}`);
  return response.ok ? (await response.json()).subscribers : 0;
}

const listened = (what, server, channel, count) =>
  eventually(what, async (saw) => {
    const now = await subscribers(server, channel);
    saw(now);
    return now === count ? true : undefined;
  });

async function tooMany(browser, server) {
  const channels = Array.from({ length: ROOM + 6 }, (_, at) => `/many/${at}`);
  for (const transport of ["websocket", "stream", "long-poll"]) {
    const context = await browser.newContext();
    const options = { channels, transports: [transport, "long-poll"], patience: 5_000 };
    const page = await openFeed(context, server.public, options);
    const [{ errors }] = await all("six are told, the others are open", [page], ({ state, transport: way, errors }) => errors.length === 6 && state === "open" && way === transport);
    assert.deepEqual(errors.map(({ channel, status, code }) => [channel, status, code]), channels.slice(ROOM).map((channel) => [channel, 400, "too_many_channels"]));
    const publishers = channels.map((channel) => new Publisher(server.private, channel));
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    const seen = (count) => page.waitForFunction((count) => seen.length === count, count);
    await Promise.all(publishers.map((publisher) => publisher.publish()));
    await seen(ROOM);
    await publishers[0].publish();
    await seen(ROOM + 1);
    if (transport !== "long-poll") assert.deepEqual(asked, [], "nothing is asked for again");
    await context.close();
  }
  console.log(`${channels.length} channels: ${ROOM} are read and six told, on each transport`);
}

// A line that is dead says nothing: neither end learns of it.
async function asleep(browser, server) {
  const ways = [["websocket", "long-poll"], ["stream", "long-poll"], ["long-poll"], ["jsonp"], ["poll"]];
  await Promise.all(ways.map(async (transports) => {
    const [way] = transports;
    const wire = await line(server.public);
    const context = await browser.newContext();
    await context.clock.install();
    const page = await openFeed(context, wire.address, { channels: `/asleep/${way}`, transports, patience: 5_000 });
    await all(`it is on ${way}`, [page], ({ state, transport }) => state === "open" && transport === way);
    const publisher = new Publisher(server.private, `/asleep/${way}`);
    for (let count = 0; count < 5; count++) await publisher.publish();
    await complete(`${way}, awake`, [page], publisher.numbers);
    wire.deaden();
    for (let count = 0; count < 50; count++) await publisher.publish();
    await context.clock.fastForward(SLEEP_MS);
    // Requests that go out on lines the browser does not know to be dead are given up after twenty seconds each: its clock
    // runs ten times as fast for that.
    await eventually(`${way} goes on`, async (saw) => {
      await context.clock.runFor(1_000);
      await pause(100);
      const { count } = await look(page);
      saw(count);
      return count >= publisher.numbers.length ? true : undefined;
    });
    await complete(`${way}, asleep`, [page], publisher.numbers);
    const { gaps, errors } = await look(page);
    assert.deepEqual([gaps, errors], [[], []], way);
    await context.close();
  }));
  console.log(`asleep for ${SLEEP_MS / 60_000} minutes on lines that died: each message once, on ${ways.map(([way]) => way).join(", ")}`);
}

async function ends(browser, server) {
  const context = await browser.newContext();
  const options = { channels: "/ends", patience: 5_000 };
  const leader = await openFeed(context, server.public, options);
  await all("one leads", [leader], ({ leads, state }) => leads && state === "open");
  for (const how of ["closed", "crashed"]) {
    const page = await openFeed(context, server.public, { ...options, channels: ["/ends", `/ends/${how}`] });
    await listened("it listens", server, `/ends/${how}`, 1);
    assert.equal((await look(page)).leads, false);
    if (how === "closed") await page.close();
    else {
      const over = page.waitForEvent("crash");
      (await context.newCDPSession(page)).send("Page.crash").catch(() => {});
      await over;
    }
    await listened(`a tab that ${how} listens no more`, server, `/ends/${how}`, 0);
    assert.equal((await look(leader)).state, "open");
  }
  await leader.goto("about:blank");
  await listened("nobody listens", server, "/ends", 0);
  await context.close();
  console.log("a tab that closes or crashes listens no more, whoever led");
}

async function frozen(browser, server) {
  const context = await browser.newContext();
  const options = { channels: "/frozen", patience: 5_000 };
  const pages = [await openFeed(context, server.public, options), await openFeed(context, server.public, options)];
  const [leader, other] = pages;
  await all("both are open", pages, ({ state, transport }) => state === "open" && transport === "websocket");
  const publisher = new Publisher(server.private, "/frozen");
  await publisher.publish();
  await complete("before the frost", pages, publisher.numbers);
  // Nothing runs in a page that asks its user something.
  const asks = leader.waitForEvent("dialog");
  leader.evaluate(() => alert("nothing runs")).catch(() => {});
  const dialog = await asks;
  for (let count = 0; count < 20; count++) await publisher.publish();
  // Whoever looks at a tab has it ask at once whether its leader lives.
  await other.evaluate(() => void document.dispatchEvent(new Event("visibilitychange")));
  await all("the other leads", [other], ({ leads }) => leads);
  await complete("while the leader is frozen", [other], publisher.numbers);
  await dialog.accept();
  await publisher.publish();
  await complete("behind the frost", pages, publisher.numbers);
  const looks = await all("one leads", pages, ({ state }) => state === "open");
  assert.equal(looks.filter(({ leads }) => leads).length, 1);
  for (const { gaps } of looks) assert.deepEqual(gaps, []);
  await context.close();
  console.log("a frozen leader is relieved, and misses nothing itself");
}

async function leaving(browser, server) {
  const context = await browser.newContext();
  const page = await openFeed(context, server.public, { channels: "/leaving" });
  await all("it is open", [page], ({ state }) => state === "open");
  await page.evaluate(() => {
    for (let number = 1; number <= 5; number++) feed.publish("/left", number);
    location.href = "about:blank";
  });
  const numbers = await eventually("what was published arrives", async (saw) => {
    const { messages } = await (await fetch(`http://${server.private}/sub/left?transport=poll&since=earliest`)).json();
    saw(messages);
    return messages.length === 5 ? messages.map(({ data }) => data) : undefined;
  });
  assert.deepEqual(numbers.sort(), [1, 2, 3, 4, 5]);
  await context.close();
  console.log("what a page publishes as it goes arrives");
}

// A script as a document: nothing forbids a browser to keep it.
async function kept(browser, server) {
  const context = await browser.newContext();
  const page = await openFeed(context, server.public, { channels: "/kept", patience: 5_000 }, "/encke.js");
  await all("it is open", [page], ({ state, transport }) => state === "open" && transport === "websocket");
  const publisher = new Publisher(server.private, "/kept");
  await publisher.publish();
  await complete("before it goes", [page], publisher.numbers);
  await page.evaluate(() => addEventListener("pageshow", ({ persisted }) => (window.persisted = persisted)));
  await page.goto(`http://${server.public}/healthz`);
  await listened("nobody listens", server, "/kept", 0);
  for (let count = 0; count < 20; count++) await publisher.publish();
  await page.goBack({ waitUntil: "commit" });
  assert.equal(await page.evaluate(() => window.persisted), true, "the browser kept the page");
  await publisher.publish();
  await complete("brought back", [page], publisher.numbers);
  const { gaps, state } = await look(page);
  assert.deepEqual([gaps, state], [[], "open"]);
  await context.close();
  console.log("a page out of the browser's cache has each message once");
}

async function sandboxed(browser, server) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://${server.public}/healthz`);
  const publisher = new Publisher(server.private, "/sandboxed");
  await page.evaluate((address) => {
    window.heard = [];
    addEventListener("message", ({ data }) => heard.push(data));
    const script = `import { connect } from "http://${address}/encke.js";
      const feed = connect("http://${address}/", { channels: "/sandboxed" });
      feed.on("/**", ({ data }) => parent.postMessage(data, "*"));
      feed.onstate = (state) => parent.postMessage(state, "*");`;
    const frame = Object.assign(document.createElement("iframe"), { sandbox: "allow-scripts", srcdoc: `<script type="module">${script}</` + "script>" });
    document.body.append(frame);
  }, server.public);
  await page.waitForFunction(() => heard.includes("open"));
  await publisher.publish();
  await page.waitForFunction(() => heard.includes("1"));
  await context.close();
  console.log("a frame in a sandbox, without locks and storage, is live");
}

await finish(async () => {
  const server = await serve();
  // A browser keeps pages for going back unless whoever drives it forbids that.
  await withBrowser(async (browser) => {
    const named = process.argv.slice(2);
    const cases = [tooMany, asleep, ends, frozen, leaving, kept, sandboxed].filter(({ name }) => !named.length || named.includes(name));
    await Promise.all(cases.map((one) => one(browser, server)));
  }, { ignoreDefaultArgs: ["--disable-back-forward-cache"] });
});
