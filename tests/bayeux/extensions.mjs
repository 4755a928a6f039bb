// Extensions that CometD's client brings, and the connection type that needs a page and no library: each in Chromium, in a
// browser of its own.

import { blankPage, cometd } from "./agents.mjs";
import { first, session } from "./plain.mjs";
import { DEADLINE_MS, eventually, holds, publish, same, shown } from "./support.mjs";

// How far a clock may seem off because the machine is busy.
const NEAR_MS = 10_000;

const near = (actual, expected, what) => holds(Math.abs(actual - expected) < NEAR_MS, `${what}: ${actual} is not about ${expected}`);

async function inPage({ browser, publicAddress }, run) {
  const { page, context } = await blankPage(browser, `http://${publicAddress}`);
  page.setDefaultTimeout(DEADLINE_MS);
  try {
    return await run(page, `http://${publicAddress}/bayeux`);
  } finally {
    await context.close();
  }
}

// A client with an extension, in this process; gives back what it receives.
async function withExtension({ publicAddress }, name, Extension, channel) {
  const library = await cometd();
  const client = new library.CometD();
  client.configure({ url: `http://${publicAddress}/bayeux`, logLevel: "error" });
  client.context = new Map();
  client.getTransportTypes().forEach((type) => {
    if (type === "long-polling") client.findTransport(type).context = new Map();
    else client.unregisterTransport(type);
  });
  if (Extension) client.registerExtension(name, new library[Extension]());
  const received = [];
  await new Promise((done, fail) =>
    client.handshake((reply) => {
      received.push(reply);
      if (reply.successful) client.subscribe(channel, (message) => received.push(message), done);
      else fail(new Error(shown(reply)));
    }));
  return { client, received };
}

// A plain page: forms into a frame, and what the frame posts to it. Runs in the page.
function framedPage(url) {
  const waiting = new Map();
  window.events = [];
  let number = 0;
  window.addEventListener("message", ({ data, origin }) => {
    if (origin !== location.origin || !Array.isArray(data)) return;
    for (const message of data) {
      if (message.successful === undefined) events.push([message.channel, message.data]);
      else waiting.get(message.id)?.(message);
    }
  });
  window.ask = (message, action = `${url}?transport=iframe`) => {
    const id = `${++number}`, name = `frame${id}`;
    const frame = document.createElement("iframe"), form = document.createElement("form"), field = document.createElement("input");
    Object.assign(frame, { name, hidden: true });
    Object.assign(form, { method: "POST", action, target: name });
    Object.assign(field, { type: "hidden", name: "message", value: JSON.stringify([{ ...message, id }]) });
    form.append(field);
    document.body.append(frame, form);
    const answer = new Promise((answered) => waiting.set(id, answered));
    form.submit();
    return answer.finally(() => (frame.remove(), form.remove()));
  };
  // What the specification names: the connect says by which type it comes, and nothing else does.
  window.connect = (clientId) => ask({ channel: "/meta/connect", connectionType: "iframe", clientId }, url);
}

// CometD with the extension that keeps a session over a reload. Runs in the page, each time it is loaded.
async function reloadablePage([url, channel]) {
  const { CometD, ReloadExtension } = await import("/modules/cometd/cometd.js");
  const client = (window.client = new CometD());
  window.events = [];
  client.configure({ url, logLevel: "error" });
  client.unregisterTransport("websocket");
  client.registerExtension("reload", new ReloadExtension());
  const connected = new Promise((done) => client.addListener("/meta/connect", ({ successful }) => successful && done()));
  const reply = await new Promise((done) => client.handshake(done));
  await new Promise((done) => client.subscribe(channel, ({ data }) => events.push(data), done));
  await connected;
  return { clientId: client.getClientId(), replayed: reply.ext?.reload === true };
}

export const EXTENSIONS = {
  // The client reckons with a clock that is an hour ahead, and finds out.
  "timesync-tells-a-client-how-far-its-clock-is-off": (server) =>
    inPage(server, async (page, url) => {
      const HOUR = 3_600_000;
      await page.evaluate(async ([url, ahead]) => {
        const truth = Date.prototype.getTime;
        Date.prototype.getTime = function () {
          return truth.call(this) + ahead;
        };
        const { CometD, TimeSyncExtension } = await import("/modules/cometd/cometd.js");
        const client = new CometD();
        window.sync = new TimeSyncExtension();
        client.configure({ url, logLevel: "error" });
        client.unregisterTransport("websocket");
        client.registerExtension("timesync", sync);
        await new Promise((done) => client.handshake(done));
        // The answer to a connect that was held counts the time that it was held.
        let connects = 0;
        await new Promise((done) => client.addListener("/meta/connect", () => ++connects === 2 && done()));
      }, [url, HOUR]);
      near(await page.evaluate(() => sync.getTimeOffset()), -HOUR, "the offset");
      near(await page.evaluate(() => sync.getServerTime()), Date.now(), "the server's time");
    }),

  async "timesync-answers-until-nothing-is-to-be-learnt"({ publicAddress }) {
    const tc = Date.now() - 5_000;
    const shake = (timesync) => first(publicAddress, {
      channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"], ext: { timesync },
    });
    const { ext: { timesync: told } } = await shake({ tc, l: 0, o: 0 });
    same(told.tc, tc);
    near(told.ts, Date.now(), "its time");
    same(told.a, tc - told.ts, "the accuracy:");
    holds(told.p >= 0 && told.p < NEAR_MS, `it waited ${told.p} ms`);
    const older = (await shake({ tc })).ext.timesync;
    holds(!("a" in older), "a client of an older kind is told of an accuracy");
    same((await first(publicAddress, { channel: "/meta/subscribe", clientId: "x", ext: { timesync: { tc: "?" } } })).ext, undefined);
  },

  async "timestamps-come-to-clients-that-send-them"(server) {
    const channel = "/extensions/timestamps";
    const [stamped, plain] = [
      await withExtension(server, "timestamp", "TimeStampExtension", channel), await withExtension(server, "none", null, channel)];
    await publish(server.privateAddress, channel, 1);
    for (const { client, received } of [stamped, plain]) {
      await eventually("an event", () => received.find(({ data }) => data === 1));
      const moments = received.map(({ timestamp }) => timestamp);
      if (client === plain.client) same(moments.filter(Boolean), [], "unasked:");
      else moments.forEach((moment) => near(Date.parse(moment), Date.now(), "a timestamp"));
      await new Promise((done) => client.disconnect(done));
    }
  },

  "reload-keeps-the-session-over-a-new-page": (server) =>
    inPage(server, async (page, url) => {
      const channel = "/extensions/reload";
      const before = await page.evaluate(reloadablePage, [url, channel]);
      await publish(server.privateAddress, channel, 1);
      await page.waitForFunction(() => events.length === 1);
      await page.evaluate(() => client.reload());
      await page.reload();
      const after = await page.evaluate(reloadablePage, [url, channel]);
      same(after, { clientId: before.clientId, replayed: true }, "the session:");
      await publish(server.privateAddress, channel, 2);
      await page.waitForFunction(() => events.length === 1);
      same(await page.evaluate(() => events), [2], "on the new page:");
    }),

  "iframe-serves-a-plain-page": (server) =>
    inPage(server, async (page, url) => {
      const channel = "/extensions/iframe", data = { text: "</script><b>\u2028" };
      await page.evaluate(framedPage, url);
      const ask = (message) => page.evaluate((message) => ask(message), message);
      const shaken = await ask({ channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["iframe"] });
      holds(shaken.successful && shaken.supportedConnectionTypes.includes("iframe"), shown(shaken));
      const { clientId } = shaken;
      const subscribed = await ask({ channel: "/meta/subscribe", clientId, subscription: channel });
      holds(subscribed.successful, shown(subscribed));
      for (const number of [1, 2, 3]) {
        const held = page.evaluate((clientId) => connect(clientId), clientId);
        await publish(server.privateAddress, channel, { ...data, number });
        const connected = await held;
        holds(connected.successful, shown(connected));
      }
      const other = await session(server.publicAddress);
      await other.publish(channel, "from a client");
      await page.evaluate((clientId) => connect(clientId), clientId);
      const expected = [1, 2, 3].map((number) => [channel, { ...data, number }]);
      await eventually("all events", async () => ((await page.evaluate(() => events.length)) >= 4 ? true : undefined));
      same(await page.evaluate(() => events), [...expected, [channel, "from a client"]], "events:");
      const gone = await ask({ channel: "/meta/disconnect", clientId });
      holds(gone.successful, shown(gone));
    }),

  // What its client needs to try another way, or to begin anew.
  async "eventsource-of-an-unknown-client-is-refused"({ publicAddress }) {
    for (const client of ["unknown", "0".repeat(44)]) {
      const { status } = await fetch(`http://${publicAddress}/bayeux/${client}`, { headers: { Accept: "text/event-stream" } });
      same(status, 404);
    }
  },
};
