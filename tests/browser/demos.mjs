// Every demonstration in two browsers that talk to each other, on a wide screen and on a phone's.
//
//   node tests/browser/demos.mjs PRIVATE PUBLIC     (addresses of a server)
//
// Ends with 0 if all of it holds. Leaves screenshots in the folder that ENCKE_SCREENSHOTS names, if it does.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { eventually, newPage, pixels, withBrowser } from "./support.mjs";

const [, publicAddress] = process.argv.slice(2);
const server = `http://${publicAddress}`;
const folder = process.env.ENCKE_SCREENSHOTS;
const attack = `<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>`;
const SCREENS = [
  { name: "wide", viewport: { width: 900, height: 640 }, colorScheme: "light" },
  { name: "phone", viewport: { width: 360, height: 640 }, colorScheme: "dark" },
];

const shows = (page, selector, expected) =>
  page.waitForFunction(([selector, expected]) => document.querySelector(selector)?.textContent.includes(expected), [selector, expected]);
const open = (page) => page.waitForFunction(() => document.getElementById("state").textContent === "open");

// Two browsers, {page, name, complaints} each: one on a wide screen and in light, one on a phone and in the dark.
const pair = (browser) =>
  Promise.all(
    SCREENS.map(async ({ name, ...options }) => {
      const page = await newPage(browser, options), complaints = [];
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
      return { page, name, complaints };
    }),
  );

// Opens a demonstration in both; `talk` ends when they have seen each other.
async function together(pair, demonstration, talk) {
  await Promise.all(pair.map(({ page }) => page.goto(`${server}/demo/${demonstration}`, { waitUntil: "domcontentloaded" })));
  await talk(...pair.map(({ page }) => page));
  for (const { page, name, complaints } of pair) {
    const [wanted, given] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wanted <= given, `${demonstration} is ${wanted} wide on a screen of ${given}`);
    if (folder) await page.screenshot({ path: join(folder, `${demonstration}-${name}.png`) });
    assert.deepEqual(complaints, [], demonstration);
  }
}

const chat = (pair) =>
  together(pair, "chat", async (ann, ben) => {
    for (const [page, name] of [[ann, "ann"], [ben, "ben"]]) {
      await open(page);
      await page.fill("#name", name);
      await page.press("#name", "Tab");
    }
    const say = async (page, words) => {
      await page.fill("#text", words);
      await page.click("#send button");
    };
    for (const page of [ann, ben]) await Promise.all(["ann", "ben"].map((name) => shows(page, "#here", name)));
    await say(ann, "salve, ben");
    await shows(ben, "#log", "salve, ben");
    await say(ben, attack);
    await shows(ann, "#log", attack);
    // What is said elsewhere is seen there, by whoever comes later too.
    await ben.click("#room-ulm");
    await say(ben, "here in ulm");
    await shows(ann, "#room-ulm", "•");
    await ann.click("#room-ulm");
    await shows(ann, "#log", "here in ulm");
    await ann.reload();
    await shows(ann, "#log", "here in ulm");
    await ann.click("#room-rome");
    await ben.click("#room-rome");
    for (const page of [ann, ben]) {
      await shows(page, "#log", attack);
      assert.equal(await page.evaluate(() => window.attacked), undefined);
    }
  });

const progress = (pair) =>
  together(pair, "progress", async (one, other) => {
    await Promise.all([open(one), open(other)]);
    // Each text that the number had, however fast one followed the other.
    await other.evaluate(() => {
      window.seen = [];
      new MutationObserver((records) => records.forEach(({ addedNodes: [node] }) => node && seen.push(node.data)))
        .observe(document.getElementById("percent"), { childList: true });
    });
    await one.click("#start");
    await Promise.all([one, other].map((page) => shows(page, "#word", "Done.")));
    assert.deepEqual(await other.evaluate(() => seen), Array.from({ length: 100 }, (_, done) => `${done + 1} %`));
  });

const slides = (pair) =>
  together(pair, "slides", async (speaker, listener) => {
    await speaker.click("#invitation a");
    await speaker.click("#speaker button:nth-child(3)");
    await listener.waitForSelector("section:nth-of-type(3):not([hidden])");
    await speaker.waitForSelector("section:nth-of-type(3):not([hidden])");
    assert.equal(await listener.locator("section:visible").count(), 1);
    assert.equal(await listener.locator("#speaker button:visible").count(), 0);
  });

const ticker = (pair) =>
  together(pair, "ticker", async (one, other) => {
    await Promise.all([one, other].map((page) => page.waitForFunction(() => document.getElementById("shares").rows.length === 8)));
    const shown = await Promise.all([one, other].map((page) =>
      page.$$eval("#shares tr", (rows) => rows.map((row) => [row.dataset.id, row.cells[0].textContent, row.cells[1].textContent]))));
    // Each price is the one that was published under its id.
    const published = new Map();
    let since = "earliest";
    await eventually("what was published", async () => {
      const batch = await (await fetch(`${server}/sub/demo/ticker?transport=poll&since=${since}`)).json();
      since = batch.cursor;
      for (const { id, data } of batch.messages) published.set(id, `${data.share} ${data.price.toFixed(2)}`);
      return shown.flat().every(([id]) => published.has(id)) || undefined;
    });
    for (const [id, share, price] of shown.flat()) assert.equal(`${share} ${price}`, published.get(id));
    await Promise.all([one, other].map((page) => page.waitForFunction(() => Number(document.getElementById("count").textContent) >= 100)));
  });

const sheet = (pair) =>
  together(pair, "sheet", async (one, other) => {
    const write = async (page, cell, words) => {
      await page.fill(`#${cell}`, words);
      await page.press(`#${cell}`, "Enter");
    };
    const reads = (page, cell, expected) =>
      page.waitForFunction(([cell, expected]) => document.getElementById(cell)?.value === expected, [cell, expected]);
    await Promise.all([open(one), open(other)]);
    await write(one, "A1", "12.5");
    await write(other, "A2", "30");
    await write(one, "B1", "=sum(A1:A2)*2");
    await write(one, "B2", "=-(A1-A2)/2");
    await write(other, "C1", "=C1+1");
    await write(other, "D1", attack.slice(0, 60));
    for (const page of [one, other]) {
      for (const [cell, expected] of [["B1", "85"], ["B2", "8.75"], ["C1", "?"], ["D1", attack.slice(0, 60)]]) await reads(page, cell, expected);
    }
    await write(other, "A2", "10");
    await reads(one, "B1", "45");
  });

// The colour in the middle of an element.
async function middle(page, selector) {
  const view = pixels(await page.locator(selector).screenshot());
  return view.at(view.width >> 1, view.height >> 1);
}

const pictures = (pair) =>
  together(pair, "pictures", async (one, other) => {
    for (const page of [one, other]) {
      await eventually("a comet", async () => (await page.evaluate(() => document.getElementById("comet").naturalWidth)) === 320 || undefined);
    }
    const first = (await other.locator("#comet").screenshot()).toString("base64");
    await eventually("the comet moves", async () => (await other.locator("#comet").screenshot()).toString("base64") !== first || undefined);
    // A broad stroke through the middle.
    await one.locator("#paper").scrollIntoViewIfNeeded();
    const place = await one.locator("#paper").boundingBox();
    await one.mouse.move(place.x + place.width * 0.2, place.y + place.height / 2);
    await one.mouse.down();
    await one.mouse.move(place.x + place.width * 0.8, place.y + place.height / 2, { steps: 5 });
    await one.mouse.up();
    for (const page of [one, other]) {
      await eventually("the stroke is on the board", async (last) => {
        const colour = await middle(page, "#board");
        last(colour);
        return colour.every((value, k) => Math.abs(value - [240, 168, 60][k]) < 12) || undefined;
      });
    }
  });

const gif = (pair) =>
  together(pair, "gif", async (one, other) => {
    const ink = async (page) => {
      const view = pixels(await page.locator("img").screenshot());
      const paper = view.at(0, 0);
      let count = 0;
      for (let y = 0; y < view.height; y++) for (let x = 0; x < view.width; x++) count += view.at(x, y).some((value, k) => Math.abs(value - paper[k]) > 60);
      return count;
    };
    const inked = (page, least) =>
      eventually("the line is in the picture", async (last) => {
        const count = await ink(page);
        last(count);
        return count >= least ? count : undefined;
      });
    for (const page of [one, other]) await eventually("a picture", async () => (await page.evaluate(() => document.querySelector("img").naturalWidth)) === 480 || undefined);
    const say = async (page, name, words) => {
      const form = page.frameLocator("iframe");
      await form.locator("#name").fill(name);
      await form.locator("#text").fill(words);
      await form.locator("button").click();
      // The frame has led back to an empty form.
      await eventually("an empty form", async () => (await form.locator("#text").inputValue()) === "" || undefined);
    };
    await say(one, "ann", "salve, ben & all");
    const before = await Promise.all([inked(one, 100), inked(other, 100)]);
    await say(other, "ben", attack);
    await Promise.all([inked(one, 2 * before[0]), inked(other, 2 * before[1])]);
    const pull = await newPage(one.context().browser());
    await pull.goto(`${server}/sub/demo/gif?transport=pull&refresh=60`);
    assert.deepEqual(await pull.$$eval("li", (lines) => lines.map((line) => line.lastChild.textContent.trim())), [`ben: ${attack}`, "ann: salve, ben & all"]);
    await pull.close();
  });

// Each is linked from the start page, and its source is one click away.
async function links([, { page }]) {
  await page.goto(server);
  const linked = await page.$$eval("nav a", (all) => all.map((link) => link.getAttribute("href")));
  const names = ["chat", "progress", "slides", "ticker", "sheet", "pictures", "gif"];
  assert.deepEqual(linked, [...names.map((name) => `/demo/${name}`), "/demo", "/transports"]);
  if (folder) await page.screenshot({ path: join(folder, "start-phone.png"), fullPage: true });
  await page.goto(`${server}/demo`);
  if (folder) await page.screenshot({ path: join(folder, "index-phone.png") });
  for (const name of names) {
    await page.goto(`${server}/demo/${name}`, { waitUntil: "domcontentloaded" });
    await page.click("a[href='?source']");
    const source = await (await fetch(`${server}/demo/${name}`)).text();
    await page.waitForFunction((source) => document.body?.textContent === source, source);
  }
}

if (folder) await mkdir(folder, { recursive: true });
await withBrowser(async (browser) => {
  const inTurn = async (...demonstrations) => {
    const both = await pair(browser);
    for (const demonstration of demonstrations) {
      const begun = Date.now();
      await demonstration(both);
      console.log(`${demonstration.name}: ${Date.now() - begun} ms`);
    }
  };
  await Promise.all([inTurn(progress, slides, links), inTurn(chat, sheet, ticker, pictures, gif)]);
});
