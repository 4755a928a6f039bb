// The dashboard in Chromium: it shows what happens on the server as it happens, and why something was lost.
//
//   node tests/browser/dashboard.mjs PUBLIC PRIVATE        (two addresses of a server whose history holds four messages)
//
// Ends with 0 if all of it holds. Leaves screenshots in the folder that ENCKE_SCREENSHOTS names, if it does.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { eventually, newPage, publish, withBrowser } from "./support.mjs";

const [publicAddress, privateAddress] = process.argv.slice(2);
const folder = process.env.ENCKE_SCREENSHOTS;

// A stream that is held until its socket is destroyed.
const hold = (transport) => {
  const [host, port] = publicAddress.split(":");
  const socket = connect(Number(port), host);
  socket.resume();
  socket.write(`GET /sub/news?transport=${transport} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return socket;
};

const text = (page, selector) => page.textContent(selector);
const shows = (page, selector, wanted) =>
  eventually(`${selector} shows ${wanted}`, async (seen) => {
    const shown = await text(page, selector);
    seen(shown);
    return shown.includes(wanted) ? shown : undefined;
  });

async function dashboard(browser) {
  const page = await newPage(browser, { viewport: { width: 1280, height: 1000 } });
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(`http://${privateAddress}/dashboard`);
  await page.waitForSelector("#state.open");

  const held = [..."xxxxxxx"].map(() => hold("sse")).concat([..."xxx"].map(() => hold("long-poll")));
  await shows(page, ".plot:nth-of-type(1) .legend", "sse 8");
  await shows(page, ".plot:nth-of-type(1) .legend", "long-poll 3");

  // What is published is among the busiest channels of some second, and what was delivered is drawn.
  await eventually("the busiest channel is shown", async (seen) => {
    assert.equal(await publish(privateAddress, "/news", "it"), 200);
    const shown = await text(page, "#busiest");
    seen(shown);
    return shown.includes("/news") ? shown : undefined;
  });
  await page.waitForFunction(() => document.querySelectorAll(".plot:nth-of-type(2) path").length === 1);

  // A refusal is told by its code.
  assert.equal((await fetch(`http://${publicAddress}/channels/news`)).status, 403);
  await shows(page, "#refusals", "forbidden");

  // A reader that comes back too late is told of a gap, and here is why.
  const { head } = await (await fetch(`http://${privateAddress}/channels/news`)).json();
  for (let count = 0; count < 8; count++) assert.equal(await publish(privateAddress, "/news", "more"), 200);
  const late = await (await fetch(`http://${publicAddress}/sub/news?transport=poll&since=${head}`)).json();
  assert.equal(late.gap, true);
  await page.fill("#whom", "/news");
  await page.click("#why button");
  await shows(page, "#incidents", "history_messages");
  if (folder !== undefined) await page.screenshot({ path: `${folder}/dashboard.png` });
  await page.fill("#whom", "/quiet");
  await page.click("#why button");
  await shows(page, "#outcome", "Nothing is known of it");
  await page.fill("#whom", "nobody");
  await page.click("#why button");
  await shows(page, "#outcome", "client is the number");

  // On a phone, nothing is wider than the screen.
  await page.setViewportSize({ width: 360, height: 800 });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction(() => document.documentElement.scrollWidth <= 360);
  if (folder !== undefined) await page.screenshot({ path: `${folder}/dashboard-phone.png` });

  held.forEach((socket) => socket.destroy());
  await eventually("those who have gone are shown no more", async (seen) => {
    const shown = await text(page, ".plot:nth-of-type(1) .legend");
    seen(shown);
    return /sse 1$|sse 1\D/.test(shown) && /long-poll 0/.test(shown) ? shown : undefined;
  });
  // One question was answered with 400, which a browser complains about; nothing else was wrong.
  assert.deepEqual(complaints.filter((text) => !text.includes("400")), []);
}

// Whose page is another site's, or who comes by the public listener, has nothing of it.
async function strangers() {
  assert.equal((await fetch(`http://${publicAddress}/dashboard`)).status, 403);
  assert.equal((await fetch(`http://${privateAddress}/dashboard`, { headers: { Origin: "https://evil.example" } })).status, 403);
}

await withBrowser(dashboard);
await strangers();
