// Eight tabs of one origin on HTTP/1.1 with one connection, the leader's end under a hundred messages a second, and who a
// tab is when it is reloaded or duplicated.

import assert from "node:assert/strict";
import { Publisher, all, begin, complete, eventually, finish, look, openFeed, pause, serve, withBrowser } from "./support.mjs";

const CHANNEL = "/tabs";
// No WebSockets: of streams a browser opens six to one origin, and then nothing else.
const OPTIONS = { channels: CHANNEL, transports: ["stream", "long-poll"], patience: 5_000 };

async function subscribers(server) {
  const response = await fetch(`http://${server.private}/channels${CHANNEL}`);
  return (await response.json()).subscribers;
}

async function handover(context, server, pages) {
  const publisher = new Publisher(server.private, CHANNEL);
  publisher.start(100);
  for (let round = 0; round < 3; round++) {
    await pause(500);
    const looks = await Promise.all(pages.map(look));
    const leader = looks.findIndex(({ leads }) => leads);
    // Each page notes when it leads: what runs each millisecond is late by as much as the machine is busy.
    for (const page of pages) {
      await page.evaluate(() => {
        clearInterval(window.waiting);
        window.led = null;
        window.waiting = setInterval(() => feed.leads && (window.led ??= performance.timeOrigin + performance.now()), 1);
      });
    }
    const [gone] = pages.splice(leader, 1);
    const begun = Date.now();
    await gone.close();
    const led = await eventually("another tab leads", async () => {
      const moments = await Promise.all(pages.map((page) => page.evaluate(() => feed.leads && window.led)));
      return moments.find(Boolean);
    });
    console.log(`the leader was closed: another led after ${Math.round(led - begun)} ms`);
  }
  await pause(500);
  await publisher.stop();
  await complete("closing the leader", pages, publisher.numbers);
  for (const { gaps } of await Promise.all(pages.map(look))) assert.deepEqual(gaps, []);
  console.log(`${publisher.numbers.length} messages, each once in each of ${pages.length} tabs`);
}

await finish(() =>
  withBrowser(async (browser) => {
    const server = await serve();
    const context = await browser.newContext();
    const pages = [];
    for (let number = 0; number < 8; number++) pages.push(await openFeed(context, server.public, OPTIONS));
    const looks = await all("eight tabs are open", pages, ({ state, transport }) => state === "open" && transport === "stream");
    assert.equal(looks.filter(({ leads }) => leads).length, 1);
    await eventually("one connection", async (saw) => {
      const count = await subscribers(server);
      saw(count);
      return count === 1 ? true : undefined;
    });
    for (const page of pages) assert.equal(await page.evaluate(async () => (await fetch("/healthz")).status), 200);
    console.log("8 tabs are live with 1 connection, and a fetch of the site works in each");

    await handover(context, server, pages);

    const [page] = pages;
    const { tab } = await look(page);
    await page.reload();
    await begin(page, OPTIONS);
    assert.equal((await look(page)).tab, tab, "a reload keeps the name");
    const [duplicate] = await Promise.all([context.waitForEvent("page"), page.evaluate(() => void window.open("/healthz"))]);
    await duplicate.waitForLoadState();
    assert.equal(await duplicate.evaluate(() => sessionStorage.getItem("encke tab")), tab, "a duplicate begins with the name");
    await begin(duplicate, OPTIONS);
    assert.notEqual((await look(duplicate)).tab, tab);
    console.log("a reload keeps the tab's name, a duplicate gets another");

    const others = await Promise.all(pages.map(look));
    assert.equal(new Set(others.map((one) => one.tab)).size, pages.length);

    // Out of the cache of pages, or loaded anew: either way it is live again.
    await page.goto("about:blank");
    await page.goBack();
    if (await page.evaluate(() => !window.feed)) await begin(page, OPTIONS);
    await all("a page that came back is open", [page], ({ state }) => state === "open");
    assert.equal((await look(page)).tab, tab);
    const publisher = new Publisher(server.private, CHANNEL);
    const before = (await look(page)).count;
    await publisher.publish();
    await eventually("a message in the page that came back", async () => ((await look(page)).count > before ? true : undefined));
    console.log("a page that was left and came back is live");
  }),
);
