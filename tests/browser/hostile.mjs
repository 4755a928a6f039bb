// Hostile messages, names and callbacks in Chromium, by every transport that a browser could take for a script or a
// page: nothing of them runs, and what was published arrives as it was.
//
//   node tests/browser/hostile.mjs PRIVATE PUBLIC…     (addresses of a server)
//
// Ends with 0 if all of it holds.

import assert from "node:assert/strict";
import { DEADLINE_MS, eventually, newPage, path, publish, withBrowser, withSite } from "./support.mjs";

const [privateAddress, ...publicAddresses] = process.argv.slice(2);

const TEXTS = [
  `</script><script>window.xss=1</script>`,
  `</ScRiPt ><script src="data:text/javascript,window.xss=1"></script>`,
  `"><img src=x onerror="window.xss=1">`,
  `'><svg/onload=window.xss=1>`,
  `</title></style></textarea><script>window.xss=1</script>`,
  `</li></ol><meta http-equiv="refresh" content="0;url=javascript:window.xss=1">`,
  `<iframe srcdoc="<script>top.xss=1</script>"></iframe>`,
  `<base href="//evil.invalid/"><form><button formaction="javascript:window.xss=1">`,
  `alert(1)//`,
  `");window.xss=1;//`,
  `\\");window.xss=1;//`,
  `\\u0022);window.xss=1;//`,
  `\u2028window.xss=1\u2029window.xss=1//`,
  `*/window.xss=1/*`,
  `\${window.xss=1}\`;window.xss=1//`,
  `<!--<script>`,
  `<!--`,
  `-->`,
  `]]>`,
  `<![CDATA[<script>window.xss=1</script>]]>`,
  `&lt;script&gt;window.xss=1&lt;/script&gt;`,
  `&#60;img src=x onerror=window.xss=1&#62;&amp;amp;`,
  `+ADw-script+AD4-window.xss=1+ADw-/script+AD4-`,
  `\u001b$B<script>window.xss=1</script>`,
  `\ufeff<script>window.xss=1</script>`,
  `a\0b<script>\0window.xss=1</script>`,
  `\u0001\u0008\u007f\u0085`,
  `javascript:window.xss=1`,
  `line\r\nid: 7\r\ndata: window.xss=1\r\n\r\nevent: x`,
  `\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<script>window.xss=1</script>`,
  `😀 é 漢 \u{10ffff}`,
  ``,
];

// As JSON they must come back as JSON.parse reads them.
const JSONS = [
  ...TEXTS.map((text) => JSON.stringify(text)),
  ...TEXTS.map((text) => JSON.stringify({ [text]: [text] })),
  String.raw`"\ud800"`,
  String.raw`["\udc00\ud800", "\u2028", "\u003c/script\u003e", "\/"]`,
  String.raw`{"a":"\u0000","\ud83d":"\ude00"}`,
  `{"__proto__":{"polluted":1}}`,
  `{"__proto__":1,"__proto__":{"polluted":2}}`,
  String.raw`{"\u005f_proto__":{"polluted":1},"__prot\u006F__":2}`,
  `{"constructor":{"prototype":{"polluted":1}},"toString":null}`,
  `[-0,1e999,1E-7,123456789012345678901234567890,true,false,null]`,
  `{"a":1,"a":2}`,
  ` \r\n\t{ "a" :\r\n[ ]\t} \n`,
];

const CALLBACKS = [
  "", "alert(1)//", "a;b", "a[0]", "a b", "a\nb", "a\0", "é", "</script>", "<!--", "*/alert(1)/*", "a.", ".a", "1a",
  "a\u2028b", "a`1`", "a=b", "(function(){})", "a,b", "a".repeat(129), "'", "\"", "\\u0061", "%61",
];

// Compares as JSON does not: lone surrogates, -0 and prototypes count.
const exact = (value) => {
  if (typeof value === "string") return [...value].map((unit) => unit.codePointAt(0).toString(16)).join(" ");
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return value.map(exact);
  // Any frame's Object will do.
  const plain = Object.hasOwn(Object.getPrototypeOf(value), "isPrototypeOf");
  return [plain ? "object" : "of a prototype", ...Object.keys(value).map((key) => [exact(key), exact(value[key])])];
};

// Nothing ran: not in the page, not in any frame of it, and nobody was asked anything.
async function unharmed(page, where) {
  for (const frame of page.frames()) {
    // A page that comes anew by itself may do so just now, and a frame that is gone did nothing more.
    const found = await eventually(`${where} in ${frame.url()}`, async (last) => {
      if (frame.isDetached()) return [undefined, undefined];
      return frame.evaluate(() => [window.xss, {}.polluted]).catch((error) => (last(String(error)), undefined));
    });
    assert.deepEqual(found, [undefined, undefined], `${where} in ${frame.url()}`);
  }
  assert.deepEqual(page.alarms, [], where);
}

async function watched(browser) {
  const page = await newPage(browser);
  page.alarms = [];
  page.on("dialog", (dialog) => (page.alarms.push(`dialog ${dialog.message()}`), dialog.dismiss()));
  page.on("pageerror", (error) => page.alarms.push(`error ${error.message}`));
  page.on("request", (request) => {
    const { hostname, pathname } = new URL(request.url());
    if (hostname === "evil.invalid" || pathname.endsWith("/x")) page.alarms.push(`asked for ${request.url()}`);
  });
  await page.addInitScript(`window.seen = []; window.exact = ${exact}; window.take = (event) => "data" in event && seen.push(exact(event.data))`);
  return page;
}

// ---- Data: the same channel by each way that data can come as a script.

const WAYS = {
  jsonp(url) {
    window.batch = ({ messages, cursor }) => {
      messages.forEach(take);
      if (messages.length) ask(cursor);
    };
    const ask = (since) => {
      const script = document.createElement("script");
      script.src = `${url}?transport=jsonp&callback=batch&since=${since}`;
      document.head.append(script);
    };
    ask("earliest");
  },
  frame(url) {
    addEventListener("message", (event) => event.origin === new URL(url).origin && take(event.data));
    const frame = document.createElement("iframe");
    frame.src = `${url}?transport=iframe&since=earliest&target=${location.origin}`;
    document.body.append(frame);
  },
  callback(url) {
    window.comet = { on: take };
    const frame = document.createElement("iframe");
    frame.src = `${url}?transport=htmlfile&since=earliest&callback=comet.on&domain=${location.hostname}`;
    document.body.append(frame);
  },
  webSocket(url) {
    new WebSocket(`${url.replace("http", "ws")}?since=earliest`).onmessage = ({ data }) => take(JSON.parse(data));
  },
  sse(url) {
    new EventSource(`${url}?transport=sse&envelope=json&since=earliest`).onmessage = (event) => take(JSON.parse(event.data));
  },
};

async function data(browser, site, address) {
  const expected = [];
  for (const text of TEXTS) {
    assert.equal(await publish(privateAddress, "/hostile/data", text, { "Content-Type": "text/plain" }), 200);
    expected.push(exact(text));
  }
  for (const json of JSONS) {
    assert.equal(await publish(privateAddress, "/hostile/data", json, { "Content-Type": "application/json" }), 200, json);
    expected.push(exact(JSON.parse(json)));
  }
  for (const [name, way] of Object.entries(WAYS)) {
    const page = await watched(browser);
    // The callback needs the frame's own origin.
    await page.goto(name === "callback" ? `http://${address}/healthz` : site);
    await page.evaluate(`({ ${way} }).${name}("http://${address}/sub/hostile/data")`);
    await page.waitForFunction((count) => seen.length >= count, expected.length, { timeout: DEADLINE_MS }).catch(() => {});
    const seen = await page.evaluate(() => seen);
    expected.forEach((value, i) => assert.deepEqual(seen[i], value, `${name}: ${[...TEXTS, ...JSONS][i]}`));
    assert.equal(seen.length, expected.length, name);
    await unharmed(page, name);
    await page.close();
  }
}

// ---- Pages: what they show is the text and nothing but text.

// A page cannot show control characters, and a line break ends a line whatever kind it is of.
const shown = (text) => text.replace(/\r\n?/g, "\n").replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, "\ufffd");

async function pull(browser, address) {
  const page = await watched(browser);
  await page.goto(`http://${address}/sub/hostile/data?transport=pull&refresh=3600&since=earliest`);
  const lines = await page.$$eval("li", (all) => all.map((line) => line.lastChild.textContent.slice(1)).reverse());
  assert.deepEqual(lines, [...TEXTS, ...JSONS].map(shown));
  assert.deepEqual(await page.$$eval("script, img, iframe, svg, form, base, meta[http-equiv]", (all) => all.length), 0);
  await unharmed(page, "pull");
  await page.close();
}

// ---- Names: of channels and events, wherever they are taken at all.

async function names(browser, site, address) {
  let taken = 0;
  for (const text of TEXTS.filter(Boolean)) {
    const channel = `/${text}`;
    const status = await publish(privateAddress, channel, "x", { "Encke-Event": encodeURIComponent(text) });
    if (status !== 200) {
      assert.equal(status, 400, text);
      continue;
    }
    taken++;
    const page = await watched(browser);
    await page.goto(site);
    const url = `http://${address}/sub${path(channel)}`;
    const [viaScript, viaFrame] = await page.evaluate(async (url) => {
      const script = document.createElement("script");
      script.src = `${url}?transport=jsonp&callback=batch&since=earliest`;
      const viaScript = new Promise((done) => (window.batch = ({ messages: [message] }) => done(message)));
      document.head.append(script);
      const frame = document.createElement("iframe");
      frame.src = `${url}?transport=iframe&since=earliest&target=${location.origin}`;
      const viaFrame = new Promise((done) => addEventListener("message", ({ data }) => "data" in data && done(data)));
      document.body.append(frame);
      return Promise.all([viaScript, viaFrame]);
    }, url);
    for (const message of [viaScript, viaFrame]) {
      assert.equal(message.channel, channel);
      assert.equal(message.event, text);
    }
    await unharmed(page, `names: ${text}`);
    await page.goto(`${url}?transport=pull&refresh=3600`);
    assert.equal(await page.locator("li > small").textContent(), channel);
    await unharmed(page, `pull of ${text}`);
    await page.close();
  }
  assert.ok(taken > 10, `${taken} names were taken`);
}

async function named(browser, address, place) {
  const page = await watched(browser);
  for (const text of TEXTS.filter((text) => text && !/[\0-\x1f\ufeff]/.test(text))) {
    await page.goto(`http://${address}${place}#${encodeURIComponent("/" + text)}`);
    const title = text.replace(/ +/g, " ").trim();
    await page.waitForFunction((title) => document.title.includes(title), title, { timeout: DEADLINE_MS });
    await unharmed(page, `${place} of ${text}`);
  }
  await page.goto(`http://${address}${place}#/hostile/data`);
  await page.waitForFunction((text) => document.body.textContent.includes(text), TEXTS[0], { timeout: DEADLINE_MS });
  await unharmed(page, place);
  await page.close();
}

// ---- What would run is refused.

async function refusals(address) {
  const asked = async (query) => {
    const response = await fetch(`http://${address}/sub/hostile/data?since=earliest&${query}`);
    const type = response.headers.get("Content-Type");
    await response.body.cancel();
    return [response.status, type.split(";")[0], response.headers.get("X-Content-Type-Options")];
  };
  for (const callback of CALLBACKS) {
    for (const transport of ["jsonp", "iframe", "htmlfile"]) {
      const query = `transport=${transport}&callback=${encodeURIComponent(callback)}`;
      assert.deepEqual(await asked(query), [400, "application/json", "nosniff"], query);
    }
  }
  for (const value of [`");window.xss=1;//`, `</script>`, `javascript:alert(1)`, `https://a/b`, `https://a" `, `null`, `\u2028`]) {
    for (const name of ["target", "domain"]) {
      const query = `transport=iframe&${name}=${encodeURIComponent(value)}`;
      assert.equal((await asked(query))[0], name === "domain" && value === "null" ? 200 : 400, query);
    }
  }
}

await withBrowser((browser) =>
  withSite(async (site) => {
    await data(browser, site, publicAddresses[0]);
    await Promise.all([
      pull(browser, publicAddresses[0]),
      names(browser, site, publicAddresses[1]),
      named(browser, publicAddresses[0], "/"),
      named(browser, publicAddresses[2], "/transports"),
      refusals(publicAddresses[1]),
    ]);
  }),
);
