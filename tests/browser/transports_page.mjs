// The page that shows one channel by every transport, in Chromium: all panels at once, a time under each that has
// one, on a wide screen and a narrow one, by day and by night.
//
//   node tests/browser/transports_page.mjs PRIVATE PUBLIC…     (addresses of a server, a public one for each screen)
//
// Ends with 0 if all of it holds. Leaves target/transports_*.png.

import assert from "node:assert/strict";
import { DEADLINE_MS, eventually, newPage, pixels, publish, withBrowser } from "./support.mjs";

const [privateAddress, ...publicAddresses] = process.argv.slice(2);
const PANELS = ["websocket", "sse", "stream", "long-poll", "jsonp", "iframe", "poll", "pull", "gif", "multipart"];
const LOGS = PANELS.slice(0, 7);

const SCREENS = {
  desktop: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  desktop_dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: "light" },
  phone_dark: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: "dark" },
};

const panel = (page, name) => page.locator(`section[data-transport="${name}"]`);

// How many different colours there are: a blank picture has one.
async function colours(image) {
  const view = pixels(await image.screenshot());
  const seen = new Set();
  for (let y = 0; y < view.height; y += 2) for (let x = 0; x < view.width; x++) seen.add(view.at(x, y).join());
  return seen.size;
}

async function look(browser, [name, screen], number) {
  const channel = `/look/${name}`;
  const page = await newPage(browser, screen);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await publish(privateAddress, channel, "before the page");
  await page.goto(`http://${publicAddresses[number]}/transports#${channel}`);
  for (const name of LOGS) await panel(page, name).getByText("before the page", { exact: true }).waitFor({ timeout: DEADLINE_MS });
  // Both pictures are held before anything is published for them.
  const held = async (channel, count) => (await (await fetch(`http://${privateAddress}/channels${channel}`)).json()).subscribers === count || undefined;
  await eventually("all are held", () => held(channel, 7));
  await eventually("the picture is held", () => held(`${channel}/picture`, 1));

  for (const words of ["good morning", "<b>bold</b> & quiet", "good night"]) {
    await page.fill("#text", words);
    await page.click("#send button");
    await page.waitForFunction(() => document.getElementById("text").value === "");
    for (const name of LOGS) await panel(page, name).getByText(` ${words}`).waitFor({ timeout: DEADLINE_MS });
  }
  assert.equal(await page.textContent("#outcome"), "");
  await page.waitForFunction(() => document.querySelector("iframe:not(.hidden)")?.contentDocument?.body?.textContent.includes("good night"), null, { timeout: DEADLINE_MS });
  for (const name of [...LOGS, "pull"]) {
    await eventually(`${name} has its time`, async () => /^\d+ ms/.test(await panel(page, name).locator(".time").textContent()) || undefined);
  }
  for (const name of ["gif", "multipart"]) {
    await eventually(`${name} shows something`, async () => (await colours(panel(page, name).locator("img"))) > 1 || undefined);
  }
  assert.deepEqual(await page.locator(".state:not(.live)").allTextContents(), []);
  assert.deepEqual(await page.locator("h2").allTextContents(), PANELS);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} scrolls sideways`);
  await page.screenshot({ path: `target/transports_${name}.png`, fullPage: true });

  // Whoever is stopped lets its connection go, and comes back when it is wanted.
  await panel(page, "sse").getByRole("button").click();
  assert.equal(await panel(page, "sse").locator(".state").textContent(), "stopped");
  await eventually("one less is held", () => held(channel, 6));
  await panel(page, "sse").getByRole("button").click();
  await panel(page, "sse").getByText("before the page", { exact: true }).waitFor({ timeout: DEADLINE_MS });
  assert.deepEqual(complaints, []);
  await page.close();
}

await withBrowser((browser) => Promise.all(Object.entries(SCREENS).map((screen, number) => look(browser, screen, number))));
