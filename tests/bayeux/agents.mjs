// The clients that the suite runs, whatever they are written in and wherever they live: in this process, in a page of
// Chromium, in a Python of their own. Each kind opens agents with the same verbs; the cases do not see the difference.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { extname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { cometdAgent } from "./cometd_agent.js";
import { fayeAgent } from "./faye_agent.js";

const HOME = resolve("target/bayeux");
const MODULES = join(HOME, "node_modules");
const HERE = fileURLToPath(new URL(".", import.meta.url));

export const installed = createRequire(join(HOME, "package.json"));
const imported = (path) => import(pathToFileURL(join(MODULES, path)));

// ---- In this process.

// A jar of cookies for each client, as each browser has its own: the adapter knows one for all.
function jars() {
  const owner = new WeakMap();
  return {
    storeCookie(request, header, done) {
      const [pair] = header.split(";");
      owner.get(request)?.set(pair.slice(0, pair.indexOf("=")), pair);
      done();
    },
    retrieveCookies(jar, request, done) {
      owner.set(request, jar);
      done(null, [...(jar?.values() ?? [])]);
    },
  };
}

let library;

// CometD's library, ready for Node.
export function cometd() {
  library ??= imported("cometd-nodejs-client/cometd-nodejs-client.js").then(({ adapt }) => {
    adapt({ cookies: jars() });
    return imported("cometd/cometd.js");
  });
  return library;
}

const nodeCometd = async () => cometdAgent(await cometd(), new Map());
const nodeFaye = async () => fayeAgent(installed("faye"));

const inNode = (make, transport) => ({
  async open({ address, ack }) {
    const agent = await make();
    await agent.open({ url: `http://${address}/bayeux`, transport, ack });
    return agent;
  },
});

// ---- In Chromium. The page comes from the server's own origin as far as the browser knows, except for what is there for
// pages of another one, which the server was told of.

const TYPES = { ".js": "text/javascript", ".html": "text/html" };
const FILES = { "/clients/": HERE, "/modules/": MODULES };

async function fromDisk(route) {
  const { pathname } = new URL(route.request().url());
  if (pathname === "/clients/") return route.fulfill({ contentType: "text/html", body: "<!doctype html><title>a client</title>" });
  const [prefix, folder] = Object.entries(FILES).find(([start]) => pathname.startsWith(start));
  const body = await readFile(join(folder, pathname.slice(prefix.length)));
  return route.fulfill({ contentType: TYPES[extname(pathname)], body });
}

const MAKE = {
  cometd: async () => {
    const { cometdAgent } = await import("/clients/cometd_agent.js");
    window.agent = cometdAgent(await import("/modules/cometd/cometd.js"));
  },
  faye: async () => {
    const { fayeAgent } = await import("/clients/faye_agent.js");
    const script = document.createElement("script");
    script.src = "/modules/faye/client/faye-browser.js";
    await new Promise((loaded) => ((script.onload = loaded), document.head.append(script)));
    window.agent = fayeAgent(Faye);
  },
};

// A browser of its own, that is: with its own cookies, and its own six connections.
export async function freshBrowser(browser) {
  const context = await (await browser()).newContext();
  // The files come from nowhere on the network, so that Chromium asks whether their page may speak with this machine.
  await context.grantPermissions(["local-network-access"]);
  await context.route(/\/(clients|modules)\//, fromDisk);
  return context;
}

// A tab in it.
export async function tab(context, origin) {
  const page = await context.newPage();
  await page.goto(`${origin}/clients/`);
  return page;
}

// A page in a browser of its own.
export async function blankPage(browser, origin) {
  const context = await freshBrowser(browser);
  return { page: await tab(context, origin), context };
}

const FROM_ELSEWHERE = ["callback-polling", "cross-origin-long-polling"];

const inChromium = (client, transport) => ({
  async open({ address, ack, browser }) {
    const origin = FROM_ELSEWHERE.includes(transport) ? "http://elsewhere.localhost" : `http://${address}`;
    const { page, context } = await blankPage(browser, origin);
    const agent = await agentIn(page, client);
    await agent.open({ url: `http://${address}/bayeux`, transport, ack });
    return { ...agent, end: () => context.close() };
  },
});

// An agent that lives in a page.
export async function agentIn(page, client) {
  await page.evaluate(MAKE[client]);
  const verb = (name) => (...given) => page.evaluate(([name, given]) => agent[name](...given), [name, given]);
  const verbs = ["open", "subscribe", "unsubscribe", "publish", "publishAll", "batch", "state", "close"];
  return Object.fromEntries(verbs.map((name) => [name, verb(name)]));
}

// ---- In Python.

const inPython = (client, transport) => ({
  async open({ address, ack }) {
    const script = [join(HERE, "agent.py"), client, `http://${address}/bayeux`, transport, ack ? "ack" : "plain"];
    const child = spawn(join(HOME, "python/bin/python"), script, { stdio: ["pipe", "pipe", "pipe"] });
    const waiting = new Map();
    let complaints = "", number = 0;
    child.stderr.on("data", (text) => (complaints = (complaints + text).slice(-2000)));
    child.stdin.on("error", () => {});
    child.on("exit", () => waiting.forEach(([, fail]) => fail(new Error(`the client's process ended: ${complaints}`))));
    createInterface(child.stdout).on("line", (line) => {
      const { id, result, error } = JSON.parse(line);
      const [done, fail] = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) done(result);
      else fail(new Error(`${error} ${complaints}`));
    });
    const verb = (method) => (...given) =>
      new Promise((done, fail) => {
        if (child.exitCode !== null) fail(new Error(`the client's process ended: ${complaints}`));
        waiting.set(++number, [done, fail]);
        child.stdin.write(`${JSON.stringify({ id: number, method, arguments: given })}\n`);
      });
    const verbs = ["open", "subscribe", "unsubscribe", "publish", "publishAll", "batch", "state", "close"];
    const agent = Object.fromEntries(verbs.map((name) => [name, verb(name)]));
    await agent.open();
    return { ...agent, end: () => child.kill() };
  },
});

// ---- All kinds. `acknowledges`: it has the acknowledge extension. `batches`: it can send several messages in one request.
// `survives`: it comes back by itself when its socket is cut; baiocas lets the exception of its HTTP client pass, and stops.

const kind = (name, place, traits) => ({ name, acknowledges: true, batches: true, survives: true, ...place, ...traits });
const WITHOUT_ACK = { acknowledges: false };

export const KINDS = [
  ...["long-polling", "websocket"].map((transport) => kind(`cometd-node-${transport}`, inNode(nodeCometd, transport))),
  ...["long-polling", "websocket"].map((transport) => kind(`faye-node-${transport}`, inNode(nodeFaye, transport), WITHOUT_ACK)),
  ...["callback-polling", "long-polling", "websocket"].flatMap((transport) => [
    kind(`cometd-chromium-${transport}`, inChromium("cometd", transport)),
    kind(`faye-chromium-${transport}`, inChromium("faye", transport), WITHOUT_ACK),
  ]),
  ...["cross-origin-long-polling", "eventsource"].map((transport) =>
    kind(`faye-chromium-${transport}`, inChromium("faye", transport), WITHOUT_ACK)),
  ...["long-polling", "websocket"].map((transport) =>
    kind(`aiocometd-${transport}`, inPython("aiocometd", transport), { batches: false })),
  kind("baiocas-long-polling", inPython("baiocas", "long-polling"), { survives: false }),
];
