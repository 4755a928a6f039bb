// The start page in Chromium: it shows what is published, publishes what its form is given, and runs none of it; a page
// of another origin can do nothing of that.
//
//   node tests/browser/start_page.mjs PUBLIC PRIVATE ENCKE     (two addresses of a server, and the command)
//
// Ends with 0 if all of it holds. Leaves target/start_page.png.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { DEADLINE_MS, newPage } from "./support.mjs";

const { chromium } = createRequire(resolve("target/node/package.json"))("playwright-core");
const [publicAddress, privateAddress, encke] = process.argv.slice(2);
const channel = "/host/vmstat";
const server = `http://${publicAddress}`;
const attack = `<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>`;

const run = promisify(execFile);
const publish = (...args) => run(encke, ["publish", channel, "--to", `http://${privateAddress}`, ...args]);

const head = async () => {
  const response = await fetch(`http://${privateAddress}/channels${channel}`);
  assert.equal(response.status, 200);
  return (await response.json()).head;
};

// The lines that the page shows, once there are as many as expected.
const lines = async (page, expected) => {
  await page.waitForFunction((count) => document.querySelectorAll("#log > div").length >= count, expected.length);
  assert.deepEqual(await page.$$eval("#log > div", (all) => all.map((line) => line.textContent)), expected);
};

async function startPage(browser) {
  const page = await newPage(browser);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await publish("before");
  await page.goto(server);
  await page.waitForFunction(() => document.getElementById("state").textContent === "live");
  await lines(page, ["before"]);

  await publish("after");
  await lines(page, ["before", "after"]);
  const piped = publish("--lines");
  piped.child.stdin.end("r  b  swpd\n1  0     0\n");
  await piped;
  await lines(page, ["before", "after", "r  b  swpd", "1  0     0"]);

  await page.fill("#text", "from the page");
  await page.click("#send button");
  await lines(page, ["before", "after", "r  b  swpd", "1  0     0", "from the page"]);
  await page.waitForFunction(() => document.getElementById("text").value === "");
  assert.equal(await page.textContent("#outcome"), "");

  await publish(attack);
  await lines(page, ["before", "after", "r  b  swpd", "1  0     0", "from the page", attack]);
  await page.screenshot({ path: "target/start_page.png", fullPage: true });

  // The channel's name is text as well, in the title, the field and the commands.
  await page.fill("#channel", `/x${attack.replaceAll("/", "")}`);
  await page.click("#choose button");
  await page.waitForFunction(() => document.title.startsWith("/x<img"));
  await page.waitForFunction(() => document.getElementById("state").textContent === "live");
  assert.equal(await page.$$eval("img", (all) => all.length), 0);
  assert.equal(await page.evaluate(() => window.attacked), undefined);
  assert.deepEqual(complaints, []);
  await page.close();
}

// A page of another origin asks the browser to publish, in every way that needs no leave.
async function otherOrigin(browser) {
  const site = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><title>another site</title>`);
  });
  await new Promise((listening) => site.listen(0, "127.0.0.1", listening));
  const before = await head();
  for (const address of [publicAddress, privateAddress]) {
    const target = `http://${address}/pub${channel}`;
    const page = await newPage(browser);
    await page.goto(`http://127.0.0.1:${site.address().port}/`);

    const answered = page.waitForResponse(target);
    await page.evaluate((target) => fetch(target, { method: "POST", mode: "no-cors", body: "evil" }), target);
    assert.equal((await answered).status(), 403);

    const refused = await page.evaluate(
      (target) => fetch(target, { method: "POST", body: "evil" }).then((response) => response.status, () => "blocked"),
      target,
    );
    assert.ok([403, "blocked"].includes(refused), `a fetch with CORS: ${refused}`);

    const posted = page.waitForResponse(target);
    await page.evaluate((target) => {
      const form = document.createElement("form");
      Object.assign(form, { method: "POST", action: target, enctype: "text/plain" });
      document.body.append(form);
      form.submit();
    }, target);
    assert.equal((await posted).status(), 403);
    await page.close();
  }
  assert.equal(await head(), before, "the channel has grown");
  site.close();
  site.closeAllConnections();
}

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"], timeout: DEADLINE_MS });
try {
  await startPage(browser);
  await otherOrigin(browser);
} finally {
  await browser.close();
}
