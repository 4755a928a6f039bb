// What Bayeux 1.0 demands of a server, each as a check whose name stands in SPECIFICATION.md beside its sentence.
// A plain HTTP client asks, so that nothing is smoothed over by a library.

import { readFile } from "node:fs/promises";
import { Agent } from "node:http";
import { CASES } from "./core.mjs";
import { EXTENSIONS } from "./extensions.mjs";
import { MALFORMED } from "./malformed.mjs";
import { TABS } from "./tabs.mjs";
import { ask, askScript, first, handshake, parsed, send, session, webSocket } from "./plain.mjs";
import { eventually, holds, pause, publish, same, shown } from "./support.mjs";

const ERROR = /^[0-9]{3}:([^:]*):(.+)$/s;

// What fails must say so, in the error's own format.
function fails(answer, code = "[0-9]{3}") {
  holds(answer?.successful === false, `it is not refused: ${shown(answer)}`);
  holds(ERROR.test(answer.error), `an error in another format: ${answer.error}`);
  holds(new RegExp(`^${code}:`).test(answer.error), `another error than ${code}: ${answer.error}`);
}

const succeeds = (answer) => (holds(answer?.successful === true, `it is refused: ${shown(answer)}`), answer);
const events = (messages) => messages.filter(({ data }) => data !== undefined).map(({ channel, data }) => [channel, data]);
const answerTo = (messages, channel) => messages.find((one) => one.channel === channel && one.successful !== undefined);

// A promise with what it came to, if it has, so that one can see that a request is still held.
function watch(promise) {
  const state = { over: false, promise };
  promise.then((value) => Object.assign(state, { over: true, value }), () => (state.over = true));
  return state;
}

// A connect that is held for certain, which it is once something later has been answered on another socket. The message
// that is taken later is the session's own, so that both have met where the session lives.
async function held(one, fields) {
  const connecting = watch(one.connect(fields));
  await pause(50);
  await one.subscribe("/held/probe");
  holds(!connecting.over, `a connect is not held: ${shown(connecting.value)}`);
  return connecting;
}

let used = 0;
const fresh = () => `/specification/${++used}`;

const form = (...messages) => messages.map((one) => `message=${encodeURIComponent(JSON.stringify(one))}`).join("&");

export const SPECIFICATION = {
  async "two-connections-suffice"({ publicAddress }) {
    const one = await session(publicAddress), channel = fresh();
    await one.subscribe(channel);
    const connecting = await held(one);
    succeeds(await one.publish(fresh(), {}));
    await publishFrom(publicAddress, channel, 1);
    same(events(await connecting.promise), [[channel, 1]]);
  },

  async "connect-is-held-until-there-is-a-message"({ publicAddress, privateAddress, timeoutMs }) {
    const one = await session(publicAddress), channel = fresh();
    await one.subscribe(channel);
    const connecting = await held(one), begun = Date.now();
    await publish(privateAddress, channel, { now: true });
    const messages = await connecting.promise;
    same(events(messages), [[channel, { now: true }]]);
    succeeds(answerTo(messages, "/meta/connect"));
    holds(Date.now() - begun < timeoutMs / 2, "the message came at the timeout only");
  },

  async "connect-is-held-until-its-timeout"({ publicAddress, timeoutMs }) {
    const one = await session(publicAddress), begun = Date.now();
    const messages = await one.connect(), took = Date.now() - begun;
    succeeds(answerTo(messages, "/meta/connect"));
    holds(took >= 0.7 * timeoutMs && took < 3 * timeoutMs, `it was answered after ${took} ms`);
  },

  async "publish-without-handshake-is-answered"({ publicAddress }) {
    const { messages } = await send(publicAddress, [{ channel: fresh(), data: 1, id: "alone" }]);
    holds(messages?.length === 1 && typeof messages[0].successful === "boolean", shown(messages));
    if (!messages[0].successful) fails(messages[0]);
  },

  async "meta-messages-are-not-distributed"({ publicAddress }) {
    const [all, other] = [await session(publicAddress), await session(publicAddress)], channel = fresh();
    await all.subscribe("/**");
    await other.one("/meta/subscribe", { subscription: "/x", data: "meta" });
    await other.one("/meta/unknown", { data: "meta" });
    await other.publish(channel, "end");
    const seen = await gathered(all, channel, "end");
    holds(!seen.some(([name]) => name.startsWith("/meta/")), `meta messages came: ${shown(seen)}`);
  },

  async "service-messages-are-not-distributed"({ publicAddress }) {
    const [all, own, other] = [await session(publicAddress), await session(publicAddress), await session(publicAddress)], channel = fresh();
    await all.subscribe("/**");
    await own.subscribe("/service/echo");
    await own.subscribe("/service/**");
    await own.subscribe(channel);
    await other.publish("/service/echo", "service");
    await other.publish(channel, "end");
    for (const one of [all, own]) {
      const seen = await gathered(one, channel, "end");
      holds(!seen.some(([name]) => name.startsWith("/service/")), `service messages came: ${shown(seen)}`);
    }
  },

  async "service-answers-carry-the-id"({ publicAddress }) {
    const one = await session(publicAddress);
    const answer = await first(publicAddress, { ...one.message("/service/echo", { data: 1 }), id: "service7" });
    same(answer.id, "service7", "id:");
    holds(typeof answer.successful === "boolean", shown(answer));
  },

  async "ids-come-back"({ publicAddress }) {
    const id = "An1d";
    const hello = await handshake(publicAddress, { id });
    same(hello.id, id, "handshake:");
    const { clientId } = hello;
    const asked = [
      { channel: "/meta/connect", connectionType: "long-polling", advice: { timeout: 0 } },
      { channel: "/meta/subscribe", subscription: fresh() },
      { channel: "/meta/unsubscribe", subscription: fresh() },
      { channel: "/meta/unknown" },
      { channel: "/meta/disconnect" },
    ];
    for (const message of asked) same((await first(publicAddress, { ...message, clientId, id })).id, id, `${message.channel}:`);
    const failed = await first(publicAddress, { channel: "/meta/connect", connectionType: "long-polling", clientId: "nobody", id });
    same(failed.id, id, "what fails:");
  },

  async "client-ids-are-unique-and-unguessable"({ publicAddress }) {
    const ids = await Promise.all(Array.from({ length: 100 }, async () => (await handshake(publicAddress)).clientId));
    same(new Set(ids).size, ids.length, "different ids:");
    holds(ids.every((id) => /^[0-9A-Za-z]+$/.test(id)), `an id with other characters: ${ids[0]}`);
    // Characters that are the same in all ids say nothing; the others say as much as their alphabet is large.
    const columns = Array.from({ length: Math.min(...ids.map((id) => id.length)) }, (_, i) => new Set(ids.map((id) => id[i])));
    const alphabet = Math.min(64, new Set(ids.join("")).size);
    const bits = columns.filter((seen) => seen.size > 5).length * Math.log2(alphabet);
    holds(bits >= 128, `about ${bits.toFixed()} bits`);
  },

  async "answers-are-arrays-with-one-channel-each"({ publicAddress }) {
    const one = await session(publicAddress);
    const { text, messages } = await send(publicAddress, [one.message("/meta/subscribe", { subscription: fresh() }), one.message(fresh(), { data: 1 })]);
    holds(Array.isArray(messages), text);
    holds(messages.every(({ channel }) => typeof channel === "string"), text);
    same(text.match(/"channel":/g).length, messages.length, "channel fields:");
  },

  async "accepts-an-array-or-one-message"({ publicAddress }) {
    const message = { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] };
    for (const body of [[message], message]) {
      const { messages, text } = await send(publicAddress, body);
      holds(Array.isArray(messages) && messages[0].successful, text);
    }
  },

  async "offers-long-polling-and-callback-polling"({ publicAddress }) {
    const { supportedConnectionTypes } = await handshake(publicAddress, { supportedConnectionTypes: ["callback-polling"] });
    for (const type of ["long-polling", "callback-polling"]) {
      holds(supportedConnectionTypes.includes(type), `it offers ${supportedConnectionTypes}`);
    }
  },

  async "handshake-answers"({ publicAddress }) {
    const answer = await handshake(publicAddress, { minimumVersion: "1.0beta", id: "h" });
    same(answer.channel, "/meta/handshake");
    same(answer.successful, true, "successful:");
    same(answer.version, "1.0", "version:");
    holds(typeof answer.clientId === "string" && answer.supportedConnectionTypes.includes("long-polling"), shown(answer));
  },

  async "older-minimum-versions-are-met"({ publicAddress }) {
    // What a client can do at least does not matter where the server can do what it would rather do.
    for (const minimumVersion of ["0.1", "0.9", "1.0beta", "1.0"]) succeeds(await handshake(publicAddress, { minimumVersion }));
  },

  async "handshake-without-version-or-types-fails"({ publicAddress }) {
    fails(await handshake(publicAddress, { version: undefined }));
    fails(await handshake(publicAddress, { supportedConnectionTypes: undefined }));
  },

  async "handshake-with-nothing-in-common-fails"({ publicAddress }) {
    const answer = await handshake(publicAddress, { supportedConnectionTypes: ["pigeon"] });
    fails(answer);
    holds(!("clientId" in answer), "a failed handshake has a clientId");
  },

  async "handshake-ignores-what-comes-with-it"({ publicAddress }) {
    const [other, channel] = [await session(publicAddress), fresh()];
    await other.subscribe(channel);
    const hello = { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] };
    const { messages } = await send(publicAddress, [hello, other.message(channel, { data: "with" }), other.message("/meta/disconnect")]);
    same(messages.map((one) => one.channel), ["/meta/handshake"], "answers:");
    await publishFrom(publicAddress, channel, "end");
    same(await gathered(other, channel, "end"), [[channel, "end"]], "events:");
  },

  async "messages-without-client-id-fail"({ publicAddress }) {
    for (const channel of ["/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect"]) {
      fails(await first(publicAddress, { channel, connectionType: "long-polling", subscription: "/a" }), "40[012]");
    }
  },

  async "unknown-clients-are-told-to-shake-hands"({ publicAddress }) {
    const answer = await first(publicAddress, { channel: "/meta/connect", clientId: "n0b0dy", connectionType: "long-polling", id: "1" });
    fails(answer, "402");
    same(answer.advice?.reconnect, "handshake", "advice.reconnect:");
    fails(await first(publicAddress, { channel: "/meta/subscribe", clientId: "n0b0dy", subscription: "/a" }), "402");
    fails(await first(publicAddress, { channel: "/a/b", clientId: "n0b0dy", data: 1 }), "402");
  },

  async "events-do-not-leak-client-ids"({ publicAddress }) {
    const [reader, writer] = [await session(publicAddress), await session(publicAddress)], channel = fresh();
    await reader.subscribe(channel);
    await writer.publish(channel, 1);
    const text = JSON.stringify((await reader.connect()).filter(({ data }) => data !== undefined));
    holds(text !== "[]" && !text.includes(writer.clientId), text);
  },

  async "connect-honours-timeout-advice"({ publicAddress, timeoutMs }) {
    const one = await session(publicAddress);
    for (const timeout of [0, timeoutMs / 4]) {
      const begun = Date.now();
      succeeds(answerTo(await one.connect({ advice: { timeout } }), "/meta/connect"));
      const took = Date.now() - begun;
      holds(took < 0.8 * timeoutMs, `a connect of ${timeout} ms is answered after ${took} ms`);
    }
  },

  async "advice-is-given"({ publicAddress, timeoutMs }) {
    const { advice } = await handshake(publicAddress);
    same(advice?.reconnect, "retry", "reconnect:");
    same(advice.timeout, timeoutMs, "timeout:");
    holds(Number.isInteger(advice.interval), shown(advice));
  },

  async "connect-without-connection-type-fails"({ publicAddress }) {
    const one = await session(publicAddress);
    fails(await one.one("/meta/connect", { advice: { timeout: 0 } }));
    fails(await one.one("/meta/connect", { connectionType: "pigeon", advice: { timeout: 0 } }));
  },

  async "connect-answers"({ publicAddress }) {
    const one = await session(publicAddress);
    const answer = answerTo(await one.poll(), "/meta/connect");
    succeeds(answer);
    holds(!("clientId" in answer) || answer.clientId === one.clientId, shown(answer));
  },

  async "second-connect-ends-the-first"({ publicAddress }) {
    const one = await session(publicAddress);
    const older = await held(one), begun = Date.now();
    const newer = watch(one.connect());
    const answers = await older.promise;
    holds(answerTo(answers, "/meta/connect"), `the older is answered ${shown(answers)}`);
    holds(!newer.over, `the newer is answered ${shown(newer.value)} ${Date.now() - begun} ms later`);
    await one.disconnect();
    await newer.promise;
  },

  async "connect-is-answered-where-it-was-asked"({ publicAddress }) {
    const one = await session(publicAddress), channel = fresh();
    await one.subscribe(channel);
    const socket = await webSocket(publicAddress);
    socket.send([one.connecting({ connectionType: "websocket", advice: { timeout: 0 } })]);
    succeeds(answerTo(JSON.parse(await socket.frame()), "/meta/connect"));
    socket.send([one.connecting({ connectionType: "websocket" })]);
    await publishFrom(publicAddress, channel, "here");
    const seen = [];
    await eventually("a message on the socket", async () => {
      seen.push(...JSON.parse(await socket.frame()));
      return events(seen).length > 0 ? true : undefined;
    });
    same(events(seen), [[channel, "here"]]);
    socket.close();
  },

  async "a-transport-switch-loses-and-repeats-nothing"({ publicAddress, privateAddress }) {
    const one = await session(publicAddress, { ext: { ack: true } }), channel = fresh(), seen = [];
    await one.subscribe(channel);
    let number = 0, ack = 0;
    const take = (messages) => {
      seen.push(...events(messages).map(([, data]) => data));
      ack = answerTo(messages, "/meta/connect")?.ext?.ack ?? ack;
    };
    for (let round = 0; round < 10; round++) {
      await publish(privateAddress, channel, ++number);
      take(await one.connect({ ext: { ack } }));
      await publish(privateAddress, channel, ++number);
      const socket = await webSocket(publicAddress);
      socket.send([one.connecting({ connectionType: "websocket", ext: { ack } })]);
      for (const before = seen.length; seen.length === before; ) take(JSON.parse(await socket.frame()));
      socket.close();
    }
    await eventually(`${seen.length} of ${number} messages`, async () => {
      if (seen.length < number) take(await one.connect({ ext: { ack }, advice: { timeout: 100 } }));
      return seen.length >= number ? true : undefined;
    });
    same(seen, Array.from({ length: number }, (_, i) => i + 1));
  },

  async "silent-sessions-end"({ publicAddress, maxIntervalMs }) {
    const one = await session(publicAddress);
    await pause(1.5 * maxIntervalMs);
    const answer = answerTo(await one.poll(), "/meta/connect");
    fails(answer, "402");
    same(answer.advice?.reconnect, "handshake", "advice.reconnect:");
  },

  async "held-sessions-do-not-end"({ publicAddress, maxIntervalMs }) {
    const one = await session(publicAddress);
    for (const end = Date.now() + 1.5 * maxIntervalMs; Date.now() < end; ) succeeds(answerTo(await one.connect(), "/meta/connect"));
  },

  async "disconnect-answers-and-forgets"({ publicAddress }) {
    const one = await session(publicAddress);
    const answer = succeeds(await one.disconnect());
    same(answer.channel, "/meta/disconnect");
    fails(await one.one("/meta/connect", { connectionType: "long-polling" }), "402");
    fails(await one.disconnect(), "402");
  },

  async "disconnect-releases-a-held-connect"({ publicAddress, timeoutMs }) {
    const one = await session(publicAddress);
    const connecting = await held(one), begun = Date.now();
    succeeds(await one.disconnect());
    holds(answerTo(await connecting.promise, "/meta/connect"), "a connect without an answer");
    holds(Date.now() - begun < timeoutMs / 2, "it was held until its timeout");
  },

  async "subscribe-answers"({ publicAddress }) {
    const one = await session(publicAddress), channels = [fresh(), `${fresh()}/*`, `${fresh()}/**`];
    for (const channel of channels) same(succeeds(await one.subscribe(channel)).subscription, channel, "subscription:");
    same(succeeds(await one.subscribe(channels)).subscription, channels, "subscription:");
    fails(await one.one("/meta/subscribe"));
    const refused = await one.subscribe("/meta/connect");
    fails(refused);
    same(refused.subscription, "/meta/connect", "subscription:");
  },

  async "unsubscribe-answers"({ publicAddress }) {
    const one = await session(publicAddress), channels = [fresh(), `${fresh()}/*`];
    await one.subscribe(channels);
    same(succeeds(await one.unsubscribe(channels)).subscription, channels, "subscription:");
    fails(await one.one("/meta/unsubscribe"));
    await publishFrom(publicAddress, channels[0], "unheard");
    const end = fresh();
    await one.subscribe(end);
    await publishFrom(publicAddress, end, "end");
    same(await gathered(one, end, "end"), [[end, "end"]], "events:");
  },

  async "publish-answers"({ publicAddress }) {
    const one = await session(publicAddress), channel = fresh();
    const answer = await first(publicAddress, { channel, clientId: one.clientId, data: { x: 1 }, id: "pub1" });
    succeeds(answer);
    same([answer.channel, answer.id], [channel, "pub1"]);
    fails(await one.one(channel));
  },

  async "events-have-channel-and-data"({ publicAddress }) {
    const one = await session(publicAddress), channel = fresh();
    await one.subscribe(channel);
    const all = [null, false, 0, "", "text", [], {}, { deep: [{ "\u2028": "\ud83d\ude00" }] }, 1e21];
    const other = await session(publicAddress);
    for (const data of all) succeeds(await other.publish(channel, data));
    const seen = [];
    while (seen.length < all.length) seen.push(...events(await one.connect()));
    same(seen, all.map((data) => [channel, data]));
  },

  async "events-ride-on-immediate-answers"({ publicAddress }) {
    const one = await session(publicAddress), channel = fresh();
    await one.subscribe(channel);
    const connecting = await held(one);
    const answers = await one.all([one.message(channel, { data: "mine" })]);
    succeeds(answerTo(answers, channel));
    same(events(answers), [[channel, "mine"]], "events beside the answer:");
    holds(!connecting.over, "the connect was woken");
    await one.disconnect();
    await connecting.promise;
  },

  async "events-keep-their-order-on-two-connections"({ publicAddress, privateAddress }) {
    const one = await session(publicAddress), channel = fresh(), seen = [];
    await one.subscribe(channel);
    // Its own go with the answers to a client that keeps its connection, others' with whatever comes first.
    const agent = new Agent({ keepAlive: true });
    const own = async () => {
      for (let number = 0; number < 50; number++) {
        seen.push(...events(await one.all([one.message(channel, { data: { own: number } })], { agent })));
        await publish(privateAddress, channel, { other: number });
      }
    };
    let over = false;
    const connects = async () => {
      while (!over || seen.length < 100) seen.push(...events(await one.connect({ advice: { timeout: 1000 } })));
    };
    await Promise.all([own().finally(() => (over = true)), connects()]);
    agent.destroy();
    const expected = Array.from({ length: 50 }, (_, number) => [[channel, { own: number }], [channel, { other: number }]]).flat();
    same(seen, expected, "events:");
  },

  async "wildcards-match-as-they-should"({ publicAddress }) {
    const [one, deep, other] = [await session(publicAddress), await session(publicAddress), await session(publicAddress)], base = fresh();
    await one.subscribe(`${base}/foo/*`);
    await deep.subscribe(`${base}/foo/**`);
    const names = ["/foo", "/foobar", "/foo/bar", "/foo/bar/boo", "/foobar/boo", "/foo/boo", "/foo/end"];
    for (const name of names) await other.publish(base + name, name);
    // Order is kept within a channel, not between channels.
    for (const [listener, expected] of [[one, [2, 5, 6]], [deep, [2, 3, 5, 6]]]) {
      const seen = [];
      await eventually(() => `${expected.length} messages after ${shown(seen)}`, async () => {
        seen.push(...events(await listener.connect()).map(([, name]) => name));
        return seen.length >= expected.length ? true : undefined;
      });
      same(seen.sort(), expected.map((i) => names[i]).sort());
    }
  },

  async "a-message-comes-once-however-often-it-matches"({ publicAddress }) {
    const [one, other] = [await session(publicAddress), await session(publicAddress)], base = fresh();
    await one.subscribe([`${base}/a`, `${base}/*`, `${base}/**`, `${base}/a`]);
    await other.publish(`${base}/a`, 1);
    await other.publish(`${base}/a`, "end");
    same(await gathered(one, `${base}/a`, "end"), [[`${base}/a`, 1], [`${base}/a`, "end"]]);
  },

  async "batches-are-answered-in-order"({ publicAddress }) {
    const one = await session(publicAddress), channel = fresh();
    const batch = [
      one.message("/meta/subscribe", { subscription: channel }), one.message(channel, { data: 1 }), one.message("/meta/nothing"),
      one.message(channel, { data: 2 }), one.message("/meta/unsubscribe", { subscription: channel }),
    ];
    const answers = await one.all(batch);
    const own = answers.filter(({ successful }) => successful !== undefined);
    same(own.map(({ channel, id }) => [channel, id]), batch.map(({ channel, id }) => [channel, id]), "answers:");
  },

  async "a-connect-in-a-batch-is-answered-too"({ publicAddress }) {
    const one = await session(publicAddress), channel = fresh();
    const answers = await one.all([one.connecting(), one.message("/meta/subscribe", { subscription: channel }), one.message(channel, { data: "x" })]);
    for (const name of ["/meta/connect", "/meta/subscribe", channel]) succeeds(answerTo(answers, name));
  },

  async "bodies-are-json-in-utf8"({ publicAddress }) {
    const one = await session(publicAddress);
    const { status, headers, text } = await send(publicAddress, [one.message("/meta/unsubscribe", { subscription: "/a", id: "é😀" })]);
    same(status, 200, "status:");
    holds(/^application\/json(; ?charset=utf-8)?$/i.test(headers["content-type"]), headers["content-type"]);
    holds(/no-(cache|store)/.test(headers["cache-control"] ?? ""), `cache-control: ${headers["cache-control"]}`);
    holds(parsed(text)?.length === 1, text);
  },

  async "accepts-text-json-and-charsets"({ publicAddress }) {
    for (const type of ["application/json; charset=UTF-8", "application/json;charset=utf-8", "text/json", "APPLICATION/JSON"]) {
      succeeds(await handshake(publicAddress, {}, { type }));
    }
  },

  async "accepts-forms"({ publicAddress }) {
    const one = await session(publicAddress), type = "application/x-www-form-urlencoded";
    const message = (n) => ({ channel: "/meta/subscribe", clientId: one.clientId, subscription: `/form/${n}`, id: `f${n}` });
    const bodies = [
      form(message(1)), form([message(1), message(2)]), form(message(1), message(2)),
      form([message(1), message(2)], [message(3)]), form(message(1), [message(2), message(3)]),
    ];
    for (const [i, count] of [1, 2, 2, 3, 3].entries()) {
      const { messages, text } = await send(publicAddress, bodies[i], { type });
      holds(Array.isArray(messages), text);
      same(messages.filter(({ successful }) => successful).map(({ id }) => id), ["f1", "f2", "f3"].slice(0, count), `form ${i}:`);
    }
  },

  async "callback-polling-answers"({ publicAddress }) {
    const message = encodeURIComponent('[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["callback-polling"],"id":"\u2028"}]');
    const answer = await askScript(publicAddress, `?message=${message}&jsonp=a.callback_1`);
    same(answer.status, 200, "status:");
    holds(/javascript/.test(answer.headers["content-type"]), answer.headers["content-type"]);
    const [, name, body] = /^(?:\/\*\*\/)?\s*([\w.$]+)\((.*)\);?\s*$/s.exec(answer.text) ?? [];
    same(name, "a.callback_1", "callback:");
    holds(parsed(body)?.[0]?.successful, answer.text);
    holds(!/[\u2028\u2029]/.test(answer.text), "a line separator stands in a script");
    const plain = await askScript(publicAddress, `?message=${message}`);
    holds(/^(?:\/\*\*\/)?\s*jsonpcallback\(\[/.test(plain.text), plain.text);
  },

  async "one-browser-holds-one-connect"({ publicAddress, timeoutMs }) {
    const hello = await send(publicAddress, [{ channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] }]);
    const cookie = hello.headers["set-cookie"]?.find((one) => one.startsWith("BAYEUX_BROWSER="));
    holds(cookie, "no cookie BAYEUX_BROWSER");
    holds(/; *HttpOnly/i.test(cookie) && /; *SameSite=/i.test(cookie), cookie);
    const headers = { Cookie: cookie.split(";")[0] };
    const [left, right] = [await session(publicAddress, {}, { headers }), await session(publicAddress, {}, { headers })];
    const connecting = await held(left);
    const begun = Date.now();
    const { advice } = succeeds(answerTo(await right.connect(), "/meta/connect"));
    holds(Date.now() - begun < timeoutMs / 2, "the second connect was held");
    same(advice?.["multiple-clients"], true, "multiple-clients:");
    holds(advice.interval > 0, shown(advice));
    await left.disconnect();
    await connecting.promise;
  },

  async "two-browsers-hold-two-connects"({ publicAddress }) {
    const [left, right] = [await session(publicAddress), await session(publicAddress)];
    const connecting = [await held(left), await held(right)];
    holds(!connecting[0].over, "the second let go of the first");
    for (const one of [left, right]) await one.disconnect();
    for (const { promise } of connecting) await promise;
  },

  async "browsers-are-known-by-their-cookie"({ publicAddress }) {
    const cookie = async (headers) => {
      const hello = [{ channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] }];
      const { headers: answered } = await send(publicAddress, hello, { headers });
      return answered["set-cookie"]?.find((one) => one.startsWith("BAYEUX_BROWSER="));
    };
    const mine = await cookie({}), secured = await cookie({ "X-Forwarded-Proto": "https" });
    holds(/^BAYEUX_BROWSER=[0-9a-f]{36}; Path=\/; HttpOnly; SameSite=Lax$/.test(mine), mine);
    holds(/; Secure$/.test(secured), secured);
    same(await cookie({ Cookie: `other=1; ${mine.split(";")[0]}` }), undefined, "a second cookie:");
    const strange = await cookie({ Cookie: "BAYEUX_BROWSER=strange" });
    holds(strange && strange !== mine, `a strange one is answered with ${strange}`);
  },

  async "answers-on-every-address"({ publicAddress }) {
    // CometD's client adds the kind of a message to the address.
    for (const base of ["/bayeux", "/cometd", "/faye"]) {
      for (const path of [base, `${base}/`, `${base}/handshake`]) succeeds(await handshake(publicAddress, {}, { path }));
    }
  },

  async "acknowledged-messages-come-again-until-they-are-acknowledged"({ publicAddress, privateAddress }) {
    const one = await session(publicAddress, { ext: { ack: true } }), channel = fresh();
    await one.subscribe(channel);
    await publish(privateAddress, channel, 1);
    const lost = await one.connect({ ext: { ack: 0 } });
    same(events(lost), [[channel, 1]], "at first:");
    await publish(privateAddress, channel, 2);
    const again = await one.connect({ ext: { ack: 0 } });
    same(events(again), [[channel, 1], [channel, 2]], "not acknowledged:");
    const { ack } = answerTo(again, "/meta/connect").ext;
    holds(Number.isInteger(ack) && ack > answerTo(lost, "/meta/connect").ext.ack, `batch ${ack}`);
    await publish(privateAddress, channel, 3);
    same(events(await one.connect({ ext: { ack } })), [[channel, 3]], "acknowledged:");
  },

  async "acknowledged-messages-come-by-connect-alone"({ publicAddress }) {
    const one = await session(publicAddress, { ext: { ack: true } }), channel = fresh();
    await one.subscribe(channel);
    const answers = await one.all([one.message(channel, { data: "mine" })]);
    same(events(answers), [], "beside the answer:");
    same(events(await one.connect({ ext: { ack: 0 } })), [[channel, "mine"]], "by connect:");
  },

  // Every sentence has a check that exists, and every check a sentence.
  async "table-is-whole"() {
    const table = await readFile(new URL("SPECIFICATION.md", import.meta.url), "utf8");
    const named = new Set([...table.matchAll(/`(specification|malformed|clients|extensions|tabs)\/([a-z0-9-]+)`/g)].map(([, part, name]) => `${part}/${name}`));
    const known = new Set([
      ...Object.keys(SPECIFICATION).map((name) => `specification/${name}`),
      ...Object.keys(MALFORMED).map((name) => `malformed/${name}`),
      ...Object.keys(EXTENSIONS).map((name) => `extensions/${name}`),
      ...Object.keys(CASES).map((name) => `clients/${name}`),
      ...Object.keys(TABS).map((name) => `tabs/${name}`),
    ]);
    same([...named].filter((name) => !known.has(name)), [], "sentences with a check that does not exist:");
    const missing = Object.keys(SPECIFICATION).filter((name) => name !== "table-is-whole" && !named.has(`specification/${name}`));
    same(missing, [], "checks without a sentence:");
  },
};

// Publishes from a session of its own.
async function publishFrom(address, channel, data) {
  succeeds(await (await session(address)).publish(channel, data));
}

// What a session gets until `data` comes on `channel`, which ends it.
async function gathered(one, channel, data) {
  const seen = [];
  await eventually(() => `${shown(data)} after ${shown(seen)}`, async () => {
    seen.push(...events(await one.connect()));
    return seen.some(([name, value]) => name === channel && value === data) ? true : undefined;
  });
  return seen;
}
