// The client behind proxies that people have: on which transport it ends, when its first event came, and that nothing is
// lost or comes twice meanwhile. nginx, HAProxy and Varnish as they come; and two that store what they forward.
//
//   node tests/client/proxies.mjs [NAME…]     those alone whose name begins so

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as ask } from "node:http";
import { createServer as listen } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Publisher, atEnd, complete, eventually, finish, look, metric, openFeed, program, serve, withBrowser } from "./support.mjs";

const home = mkdtempSync(join(tmpdir(), "encke-proxies-"));
atEnd(() => rmSync(home, { recursive: true, force: true }));

// A port that was free a moment ago. Should it be taken meanwhile, the proxy ends, and the next try has another.
async function freePort() {
  const socket = listen();
  await new Promise((listening) => socket.listen(0, "127.0.0.1", listening));
  const { port } = socket.address();
  await new Promise((closed) => socket.close(closed));
  return port;
}

// Starts what `start` says on a free port; gives the address at which the server answers.
async function proxied(name, start, tries = 3) {
  const port = await freePort();
  const proxy = start(port);
  let over = false;
  proxy.says(/encke-never-said/).catch(() => (over = true));
  const answers = () => fetch(`http://127.0.0.1:${port}/healthz`).then((response) => response.ok && true, () => false);
  const up = await eventually(`${name} answers`, async () => ((await answers()) ? "up" : over ? "over" : undefined));
  if (up === "up") return `127.0.0.1:${port}`;
  assert.ok(tries > 1, `${name} does not start`);
  return proxied(name, start, tries - 1);
}

let files = 0;
function file(text) {
  const path = join(home, `${files++}.conf`);
  writeFileSync(path, text);
  return path;
}

const nginx = (more) => (target) =>
  proxied("nginx", (port) => {
    const place = mkdtempSync(join(home, "nginx-"));
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((one) => `${one}_temp_path ${place}/${one};`).join(" ");
    const conf = `daemon off; master_process off; pid ${place}/pid; error_log stderr crit; events {}
      http { access_log off; ${paths} server { listen 127.0.0.1:${port}; location / { proxy_pass http://${target}; proxy_set_header Host $http_host; ${more} } } }`;
    return program("nginx", "-p", place, "-c", file(conf));
  });

const haproxy = (target) =>
  proxied("HAProxy", (port) =>
    program("haproxy", "-f", file(`defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\nfrontend f\n bind 127.0.0.1:${port}\n default_backend b\nbackend b\n server s ${target}\n`)),
  );

const varnish = (target) =>
  proxied("Varnish", (port) => {
    const [host, own] = target.split(":");
    const vcl = file(`vcl 4.1;\nbackend default { .host = "${host}"; .port = "${own}"; }\n`);
    return program("varnishd", "-F", "-j", "none", "-a", `127.0.0.1:${port}`, "-f", vcl, "-n", mkdtempSync(join(home, "varnish-")), "-s", "malloc,16m");
  });

// Forwards a body in loads of `bytes`, or as a whole.
const storing = (bytes) => async (target) => {
  const [host, port] = target.split(":");
  const proxy = createServer((near, answer) => {
    const far = ask({ host, port, path: near.url, method: near.method, headers: near.headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      let stored = [], size = 0;
      response.on("data", (chunk) => {
        stored.push(chunk);
        size += chunk.length;
        if (size < bytes) return;
        answer.write(Buffer.concat(stored));
        [stored, size] = [[], 0];
      });
      response.on("end", () => answer.end(Buffer.concat(stored)));
      response.on("error", () => answer.destroy());
    });
    far.on("error", () => answer.destroy());
    answer.on("close", () => far.destroy());
    near.pipe(far);
  });
  await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
  atEnd(() => (proxy.close(), proxy.closeAllConnections()));
  return `127.0.0.1:${proxy.address().port}`;
};

// What lies between, what is asked for beside the defaults, and what the client must find.
const CASES = [
  ["nothing", async (target) => target, {}, "websocket"],
  ["nothing, no WebSocket", async (target) => target, { transports: ["stream", "long-poll"] }, "stream"],
  ["nginx, as it comes", nginx(""), {}, "stream"],
  ["nginx, gzip on", nginx("gzip on; gzip_types *;"), {}, "stream"],
  ["nginx, deaf to X-Accel-Buffering", nginx("proxy_ignore_headers X-Accel-Buffering;"), {}, "stream.4096"],
  ["nginx, deaf, buffers of 8k", nginx("proxy_ignore_headers X-Accel-Buffering; proxy_buffer_size 8k; proxy_buffers 8 8k;"), {}, "stream.8192"],
  ["nginx, deaf, gzip on", nginx("proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types *;"), {}, "long-poll"],
  ["HAProxy, as it comes", haproxy, {}, "websocket"],
  ["HAProxy, no WebSocket", haproxy, { transports: ["stream", "long-poll"] }, "stream"],
  ["Varnish, as it comes", varnish, {}, "stream"],
  ["stores 32 KiB", storing(32_768), {}, "long-poll"],
  ["stores 32 KiB, padding allowed", storing(32_768), { padding: [0, 32_768] }, "stream.32768"],
  ["stores the whole body", storing(Infinity), {}, "long-poll"],
];

async function run(browser, server, [name, start, options, expected], number) {
  const channel = `/proxies/${number}`;
  const address = await start(server.public);
  const publisher = new Publisher(server.private, channel);
  await publisher.publish();
  const page = await openFeed(await browser.newContext(), address, { channels: channel, since: "earliest", patience: 4_000, ...options });
  publisher.start(10);
  const verdict = ({ transport, padding }) => (padding ? `${transport}.${padding}` : transport);
  // What is remembered was decided on.
  const remembered = (saw) =>
    page.evaluate(() => Object.entries(localStorage).map(([, value]) => JSON.parse(value))[0]).then((found) => (saw(found), found));
  const found = await eventually(`${name} has a verdict`, remembered);
  assert.equal(verdict(found), expected, name);
  const settled = await eventually(`${name} settles`, async (saw) => {
    const now = await look(page);
    saw(now);
    return verdict(now) === expected ? now : undefined;
  });
  await publisher.stop();
  await complete(name, [page], publisher.numbers);
  // One alone, with nothing behind that pushes it along.
  const begun = Date.now();
  await publisher.publish();
  await complete(`${name}, one alone`, [page], publisher.numbers);
  const lag = (await page.evaluate(() => times.at(-1))) - begun;
  const { states, gaps, errors } = await look(page);
  assert.deepEqual([gaps, errors], [[], []], name);
  const last = states.filter(([state, transport]) => state === "open" && transport === settled.transport).at(0);
  return { name, verdict: expected, first: Math.round(settled.first), settled: last?.[2], lag: Math.round(lag) };
}

await finish(() =>
  withBrowser(async (browser) => {
    const server = await serve();
    const named = process.argv.slice(2);
    const cases = CASES.filter(([name]) => !named.length || named.some((one) => name.startsWith(one)));
    const rows = await Promise.all(cases.map((one, number) => run(browser, server, one, number)));
    console.log("behind                              ends on          first event ms   settled ms   one alone ms");
    for (const row of rows) {
      console.log(row.name.padEnd(36) + row.verdict.padEnd(17) + `${row.first}`.padStart(14) + `${row.settled}`.padStart(13) + `${row.lag}`.padStart(15));
    }
    for (const [label, transport, padding] of [["websocket", "websocket", 0], ["stream.4096", "stream", 4096], ["long-poll", "long-poll", 0]]) {
      const wanted = cases.filter((one) => one[3] === label).length;
      const name = `encke_clients_verdict_total{transport="${transport}",padding="${padding}"}`;
      if (wanted) await eventually(`${name} is ${wanted}`, async (saw) => {
        const count = await metric(server, name);
        saw(count);
        return count === wanted ? true : undefined;
      });
    }
    console.log("the server has counted each verdict");
  }),
);
