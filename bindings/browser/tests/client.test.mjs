// The client's logic in virtual time, without a browser and without a network.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser } from "./browser.mjs";
import { Clock } from "./clock.mjs";
import { Server } from "./server.mjs";

// Another than src is tested by built.test.mjs.
const { Feed } = await import(process.env.ENCKE_CLIENT ?? "../src/feed.js");

// A server, a browser, and what a feed in one of its tabs shows.
function scene() {
  const clock = new Clock();
  const server = new Server(clock);
  const browser = new Browser(clock, server);
  const open = (options = {}, tab = browser.tab()) => {
    const feed = new Feed(tab.world, "/", { channels: ["/a"], ...options });
    const seen = { data: [], gaps: [], errors: [], states: [] };
    feed.on("/**", ({ data }) => seen.data.push(data));
    feed.ongap = (gap) => seen.gaps.push(gap);
    feed.onerror = (error) => seen.errors.push(error);
    feed.onstate = (state) => seen.states.push(state);
    return { feed, tab, ...seen };
  };
  return { clock, server, browser, open };
}

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const kinds = (server) => [...server.held].map(({ kind }) => kind);

test("a feed begins on a long-poll and goes over to a WebSocket that said hello", async () => {
  const { clock, server, open } = scene();
  const { feed, data, states } = open();
  await clock.pass(12);
  server.publish("/a", 1);
  await clock.pass(1_000);
  assert.deepEqual([feed.state, feed.transport], ["open", "websocket"]);
  assert.deepEqual(kinds(server), ["websocket"], "what was probed is closed");
  server.publish("/a", 2);
  await clock.pass(0);
  assert.deepEqual(data, [1, 2]);
  assert.equal(states[0], "open");
  assert.ok(server.requests.includes("GET /probe?verdict=websocket"));
});

for (const [buffer, transport, padding] of [[0, "stream", 0], [4_000, "stream", 4_096], [8_192, "stream", 8_192], [32_768, "long-poll", 0], [Infinity, "long-poll", 0]]) {
  test(`behind a buffer of ${buffer} bytes it ends on ${transport} with ${padding}, and delivers all the while`, async () => {
    const { clock, server, open } = scene();
    Object.assign(server.network, { sockets: false, buffer });
    const { feed, data } = open();
    await clock.pass(20);
    for (let number = 1; number <= 100; number++) {
      server.publish("/a", number);
      await clock.pass(100);
      assert.equal(data.length, number, "nothing waits for the probe");
    }
    assert.deepEqual(data, numbers(1, 100));
    assert.deepEqual([feed.transport, feed.padding], [transport, padding]);
    const verdict = padding ? `${transport}.${padding}` : transport;
    assert.equal(server.requests.filter((one) => one === `GET /probe?verdict=${verdict}`).length, 1);
  });
}

// Tokens that hold for a minute each; `mint.count` says how many were asked for.
function mint(server, clock) {
  server.tokens = new Map();
  let token;
  const give = (refused) => {
    if (!token || refused || server.tokens.get(token) - clock.now < 30_000) {
      token = `token${++give.count}`;
      server.tokens.set(token, clock.now + 60_000);
    }
    return token;
  };
  give.count = 0;
  return give;
}

for (const [sockets, buffer, transport] of [[true, 0, "websocket"], [false, 0, "stream"], [false, Infinity, "long-poll"]]) {
  test(`a token is shown with each request and renewed in time on ${transport}`, async () => {
    const { clock, server, open } = scene();
    Object.assign(server.network, { sockets, buffer });
    const { feed, data, errors } = open({ token: mint(server, clock) });
    await clock.pass(3_000);
    assert.equal(feed.transport, transport);
    const connections = () => server.requests.filter((one) => /SOCKET|transport=stream/.test(one)).length;
    const before = connections();
    for (let number = 1; number <= 300; number++) {
      server.publish("/a", number);
      await clock.pass(1_000);
    }
    assert.deepEqual([data, errors], [numbers(1, 300), []]);
    assert.equal(feed.state, "open");
    assert.equal(connections(), before, "it is the same connection all the while");
    assert.equal(server.requests.some((one) => one.startsWith("POST /token")), transport === "stream");
  });
}

test("a token that is refused is replaced once, and what is refused again is told", async () => {
  const { clock, server, open } = scene();
  const give = mint(server, clock);
  const asked = [];
  const { feed, data } = open({ token: async (refused) => (asked.push(refused), refused ? give(true) : "old") });
  server.publish("/a", 1);
  await clock.pass(1_000);
  server.publish("/a", 2);
  await clock.pass(1_000);
  assert.deepEqual(data.at(-1), 2);
  assert.deepEqual(asked.slice(0, 2), [false, true]);
  feed.publish("/a", "by the new one");
  await clock.pass(1_000);
  assert.deepEqual(data.at(-1), "by the new one");
  feed.close();
  const { errors } = open({ token: () => "never good" });
  await clock.pass(5_000);
  assert.deepEqual(errors.map(({ status, code }) => [status, code]), [[401, "bad_token"]]);
});

test("tabs share a connection if they say that they are of one user", async () => {
  for (const [users, held] of [[["ann", "ann"], 1], [["ann", "ben"], 2], [[undefined, undefined], 2]]) {
    const { clock, server, browser, open } = scene();
    const token = mint(server, clock);
    users.forEach((user) => open({ token, user }, browser.tab()));
    await clock.pass(3_000);
    assert.equal(server.held.size, held, users.join());
  }
});

test("padding beyond 8 KiB is tried if it is asked for", async () => {
  const { clock, server, open } = scene();
  Object.assign(server.network, { sockets: false, buffer: 32_768 });
  const { feed } = open({ padding: [0, 16_384, 32_768] });
  await clock.pass(5_000);
  assert.deepEqual([feed.transport, feed.padding], ["stream", 32_768]);
});

test("what was learned is remembered for an hour, and used at once", async () => {
  const { clock, server, browser, open } = scene();
  Object.assign(server.network, { sockets: false, buffer: 4_000 });
  const first = open();
  await clock.pass(3_000);
  first.feed.close();
  await clock.pass(10);
  server.requests.length = 0;
  const second = open({}, browser.tab());
  await clock.pass(30);
  assert.deepEqual([second.feed.transport, second.feed.padding], ["stream", 4_096]);
  assert.deepEqual(server.requests.filter((one) => one.includes("/probe")), []);
  second.feed.close();
  await clock.pass(3_600_000);
  open({}, browser.tab());
  await clock.pass(30);
  assert.ok(server.requests.some((one) => one.includes("/probe")), "it is found out anew");
});

test("what has worked and does so no more is found out anew", async () => {
  const { clock, server, open } = scene();
  const { feed, data } = open();
  await clock.pass(1_000);
  assert.equal(feed.transport, "websocket");
  server.network.sockets = false;
  server.cut();
  server.publish("/a", 1);
  await clock.pass(20_000);
  assert.equal(feed.transport, "stream");
  assert.deepEqual(data, [1]);
});

test("answers that fetch may not read come by script tags", async () => {
  const { clock, server, open } = scene();
  Object.assign(server.network, { sockets: false, deaf: true });
  const { feed, data } = open();
  await clock.pass(1_000);
  for (const number of [1, 2, 3]) {
    server.publish("/a", number);
    await clock.pass(50);
  }
  await clock.pass(10_000);
  assert.equal(feed.transport, "jsonp");
  assert.deepEqual(data, [1, 2, 3]);
  const left = Object.keys(globalThis).filter((name) => name.startsWith("encke_"));
  assert.ok(left.length <= 1, `functions that are left: ${left}`);
});

test("where long-polls are cut off and nothing better works, it polls", async () => {
  const { clock, server, open } = scene();
  Object.assign(server.network, { sockets: false, buffer: Infinity, cutPolls: true });
  const { feed, data } = open();
  for (let number = 1; number <= 4; number++) {
    await clock.pass(15_000);
    server.publish("/a", number);
  }
  await clock.pass(5_000);
  assert.equal(feed.transport, "poll");
  assert.deepEqual(data, numbers(1, 4));
});

test("who wants polls alone is open between them, and waits when they fail", async () => {
  const { clock, server, open } = scene();
  const { feed, data, states } = open({ transports: ["poll"] });
  await clock.pass(20_000);
  server.publish("/a", 1);
  await clock.pass(3_500);
  assert.deepEqual([states, data, feed.transport], [["open"], [1], "poll"]);
  server.network.down = true;
  await clock.pass(5_000);
  assert.equal(feed.state, "waiting");
  server.network.down = false;
  await clock.pass(40_000);
  assert.equal(feed.state, "open");
});

for (const sockets of [true, false]) {
  test(`cut off every three seconds, ${sockets ? "a WebSocket" : "a stream"} loses nothing and gets nothing twice`, async () => {
    const { clock, server, open } = scene();
    server.network.sockets = sockets;
    const { data, gaps } = open();
    await clock.pass(20);
    for (let number = 1; number <= 600; number++) {
      server.publish("/a", number);
      await clock.pass(100);
      if (number % 30 === 0) server.cut();
    }
    await clock.pass(30_000);
    assert.deepEqual(data, numbers(1, 600));
    assert.deepEqual(gaps, []);
  });
}

test("a server that is down is come back to with growing, jittered waits", async () => {
  const { clock, server, open } = scene();
  const { feed, states } = open({}, undefined);
  await clock.pass(1_000);
  server.network.down = true;
  server.cut();
  const before = server.requests.length;
  await clock.pass(600_000);
  assert.equal(feed.state, "waiting");
  const tries = server.requests.length - before;
  assert.ok(tries > 15 && tries < 150, `${tries} tries in ten minutes`);
  server.network.down = false;
  await clock.pass(31_000);
  assert.equal(feed.state, "open");
  assert.ok(states.includes("waiting"));
});

test("a server that hangs up behind each hello is come back to ever more slowly", async () => {
  const { clock, server, open } = scene();
  open();
  await clock.pass(5_000);
  server.requests.length = 0;
  for (let second = 0; second < 300; second++) {
    server.cut();
    await clock.pass(100);
    server.cut();
    await clock.pass(900);
  }
  assert.ok(server.requests.length < 100, `${server.requests.length} requests in five minutes`);
});

test("a network that broke down while transports were probed is no verdict", async () => {
  const { clock, server, open } = scene();
  const { feed } = open();
  await clock.pass(7);
  server.network.down = true;
  server.cut();
  await clock.pass(4_000);
  server.network.down = false;
  await clock.pass(40_000);
  assert.equal(feed.transport, "websocket");
});

test("the page's network coming back ends a wait", async () => {
  const { clock, server, open } = scene();
  const { feed, tab } = open({}, undefined);
  await clock.pass(1_000);
  server.network.down = true;
  server.cut();
  await clock.pass(300_000);
  server.network.down = false;
  tab.event("online");
  await clock.pass(100);
  assert.equal(feed.state, "open");
});

test("a restarted server is a gap, and what comes behind it comes once", async () => {
  const { clock, server, open } = scene();
  const { data, gaps } = open();
  await clock.pass(1_000);
  server.publish("/a", "before");
  await clock.pass(10);
  server.restart();
  server.publish("/a", "after");
  await clock.pass(5_000);
  assert.deepEqual(data, ["before", "after"]);
  assert.deepEqual(gaps, [{ channel: "/a", missed: null }]);
});

for (const sockets of [true, false]) {
  test(`what was left out for later messages is not asked for, on ${sockets ? "a WebSocket" : "a stream"}`, async () => {
    const { clock, server, open } = scene();
    server.network.sockets = sockets;
    const { feed, data, gaps } = open();
    await clock.pass(1_000);
    assert.equal(feed.transport, sockets ? "websocket" : "stream");
    server.publish("/a", 1);
    await clock.pass(10);
    server.requests.length = 0;
    server.publish("/a", 2, { left: true });
    server.publish("/a", 3, { left: true });
    server.publish("/a", 4, { conflated: 2 });
    server.publish("/a", 5);
    await clock.pass(10);
    assert.deepEqual([data, gaps, server.requests], [[1, 4, 5], [], []]);
  });
}

test("a reader that was away for too long is told how much it missed", async () => {
  const { clock, server, open } = scene();
  server.history = 10;
  const { data, gaps } = open();
  await clock.pass(1_000);
  server.publish("/a", 1);
  await clock.pass(10);
  server.network.down = true;
  server.cut();
  for (const number of numbers(2, 31)) server.publish("/a", number);
  server.network.down = false;
  await clock.pass(5_000);
  assert.deepEqual(gaps, [{ channel: "/a", missed: 20 }]);
  assert.deepEqual(data, [1, ...numbers(22, 31)]);
});

for (const [transports, silent] of [[["websocket"], "websocket"], [["stream"], "stream"], [["long-poll"], "long-poll"]]) {
  test(`a machine that slept for five minutes goes on behind what it has seen, on ${silent}`, async () => {
    const { clock, server, open } = scene();
    const { feed, data, gaps } = open({ transports: [...transports, "long-poll"] });
    await clock.pass(1_000);
    assert.equal(feed.transport, silent);
    // The line died without a word while the machine slept.
    server.silence();
    for (const number of numbers(1, 50)) server.publish("/a", number);
    await clock.sleep(300_000);
    await clock.pass(7_000);
    assert.deepEqual(data, numbers(1, 50));
    assert.deepEqual(gaps, []);
    assert.equal(feed.state, "open");
  });
}

test("a WebSocket whose other end is silently gone is given up within half a minute", async () => {
  const { clock, server, open } = scene();
  const { data } = open();
  await clock.pass(1_000);
  server.silence();
  server.publish("/a", 1);
  await clock.pass(31_000);
  assert.deepEqual(data, [1]);
});

for (const sockets of [true, false]) {
  test(`a server that stops says when to come back, on ${sockets ? "a WebSocket" : "a stream"}`, async () => {
    const { clock, server, open } = scene();
    server.network.sockets = sockets;
    const { data } = open();
    await clock.pass(1_500);
    server.requests.length = 0;
    server.drain(4_000);
    server.publish("/a", 1);
    await clock.pass(3_900);
    assert.deepEqual(server.requests, []);
    await clock.pass(500);
    assert.deepEqual(data, [1]);
  });
}

test("history comes first, from the earliest or from a cursor that came with the page", async () => {
  const { clock, server, open } = scene();
  const ids = numbers(1, 5).map((number) => server.publish("/a", number));
  const all = open({ since: "earliest" });
  const some = open({ since: ids[2] });
  const none = open();
  await clock.pass(500);
  server.publish("/a", 6);
  await clock.pass(10);
  assert.deepEqual([all.data, some.data, none.data], [numbers(1, 6), [4, 5, 6], [6]]);
  assert.equal(all.feed.cursor, ids[0].replace(/-1$/, "-6"));
});

test("channels come and go while others are read", async () => {
  for (const transports of [["websocket", "long-poll"], ["stream", "long-poll"], ["long-poll"]]) {
    const { clock, server, open } = scene();
    const { feed, data } = open({ transports });
    await clock.pass(1_000);
    server.publish("/b", "early");
    const begun = feed.subscribe(["/b", "/c"], { since: "earliest" });
    await clock.pass(100);
    await begun;
    for (const name of ["/a", "/b", "/c"]) server.publish(name, name);
    await clock.pass(50);
    feed.unsubscribe("/b");
    await clock.pass(50);
    for (const name of ["/a", "/b", "/c"]) server.publish(name, `${name}2`);
    await clock.pass(50);
    assert.deepEqual(data.sort(), ["/a", "/a2", "/b", "/c", "/c2", "early"].sort(), transports[0]);
    assert.deepEqual(feed.channels, ["/a", "/c"]);
  }
});

test("a channel that is forbidden is told, and the others are read", async () => {
  const { clock, server, open } = scene();
  server.forbidden.add("/b");
  const { feed, data, errors } = open({ channels: ["/a", "/b", "/c"] });
  await clock.pass(1_000);
  server.publish("/a", 1);
  server.publish("/c", 2);
  await clock.pass(10);
  assert.deepEqual(data, [1, 2]);
  assert.deepEqual(errors.map(({ channel, status, code }) => [channel, status, code]), [["/b", 403, "forbidden"]]);
  assert.deepEqual(feed.channels, ["/a", "/c"]);
});

for (const sockets of [true, false]) {
  test(`a channel that is forbidden later is let go of ${sockets ? "on a WebSocket" : "on a stream"}`, async () => {
    const { clock, server, open } = scene();
    server.network.sockets = sockets;
    const { data, errors } = open({ channels: ["/a", "/b"] });
    await clock.pass(1_500);
    server.forbidden.add("/b");
    server.cut();
    await clock.pass(10_000);
    server.publish("/a", 1);
    await clock.pass(10);
    assert.deepEqual(data, [1]);
    assert.deepEqual(errors.map(({ channel }) => channel), ["/b"]);
  });
}

for (const transport of ["websocket", "stream", "long-poll"]) {
  test(`channels beyond what a connection may have are told on ${transport}, and the others are read`, async () => {
    const { clock, server, open } = scene();
    server.most = 5;
    const names = numbers(1, 8).map((number) => `/${number}`);
    const one = open({ channels: names.slice(0, 3), transports: [transport, "long-poll"] });
    await clock.pass(2_000);
    const other = open({ channels: names.slice(2), transports: [transport, "long-poll"] });
    await clock.pass(2_000);
    names.forEach((name) => server.publish(name, name));
    await clock.pass(100);
    assert.deepEqual([one.data.sort(), other.data.sort()], [names.slice(0, 3), names.slice(2, 5)]);
    assert.deepEqual(one.errors, []);
    assert.deepEqual(other.errors.map(({ channel, status, code }) => [channel, status, code]), names.slice(5).map((name) => [name, 400, "too_many_channels"]));
    assert.deepEqual([one.feed.state, other.feed.state], ["open", "open"]);
    server.requests.length = 0;
    await clock.pass(100_000);
    assert.ok(server.requests.length <= 5, `${server.requests}`);
    // Room that is given back is there for others.
    one.feed.unsubscribe(names.slice(0, 2));
    other.feed.subscribe(names[7]);
    await clock.pass(100);
    server.publish(names[7], "room");
    await clock.pass(100);
    assert.equal(other.data.at(-1), "room");
  });
}

for (const count of [1, 2, 7]) {
  test(`${count} forbidden among twenty channels are told, and what is not forbidden is read within a second`, async () => {
    const { clock, server, open } = scene();
    server.network.sockets = false;
    const names = numbers(10, 29).map((number) => `/${number}`);
    const { data, errors } = open({ channels: names });
    await clock.pass(5_000);
    const bad = names.filter((_, at) => at % 3 === 1).slice(0, count);
    bad.forEach((name) => server.forbidden.add(name));
    server.cut();
    await clock.pass(1_500);
    names.forEach((name) => server.publish(name, name));
    await clock.pass(10);
    assert.deepEqual(errors.map(({ channel }) => channel), bad);
    assert.deepEqual(data, names.filter((name) => !bad.includes(name)));
  });
}

test("what waits to be published goes when the page does, and no more waits than may", async () => {
  const { clock, server, open } = scene();
  const { feed, tab } = open();
  await clock.pass(1_000);
  for (const number of numbers(1, 5)) feed.publish("/left", number);
  tab.event("pagehide", { persisted: false });
  tab.kill();
  await clock.pass(10);
  assert.deepEqual(server.channel("/left").messages.map(({ data }) => data), ["1", "2", "3", "4", "5"]);
  const full = open();
  const answers = numbers(1, 10_002).map((number) => full.feed.publish("/full", number));
  await assert.rejects(answers.at(-1), /too many wait/);
});

test("messages are published one behind the other, and what is refused is told", async () => {
  const { clock, server, open } = scene();
  const { feed, data } = open();
  await clock.pass(1_000);
  const answers = Promise.all([feed.publish("/a", "one"), feed.publish("/a", { two: 2 }), feed.publish("/a", "three")]);
  await clock.pass(50);
  assert.match((await answers)[0].id, /-1$/);
  assert.deepEqual(data, ["one", '{"two":2}', "three"]);
  server.network.down = true;
  const failed = assert.rejects(feed.publish("/a", "four"), TypeError);
  await clock.pass(50);
  await failed;
  server.network.down = false;
  const later = feed.publish("/a", "five");
  await clock.pass(50);
  await later;
});

test("a message whose publishing nobody answers fails after a minute, and the next one goes", async () => {
  const { clock, browser, open } = scene();
  const tab = browser.tab();
  const { fetch } = tab.world;
  const hung = [];
  tab.world.fetch = (address, request) => {
    if (request.method !== "POST" || hung.length) return fetch(address, request);
    hung.push(request.signal);
    return new Promise(() => {});
  };
  const { feed, data } = open({}, tab);
  await clock.pass(1_000);
  const failed = assert.rejects(feed.publish("/a", "lost"), { name: "TypeError", message: "no answer within 60 s" });
  const next = feed.publish("/a", "next");
  await clock.pass(59_000);
  assert.deepEqual([data, hung[0].aborted], [[], false]);
  await clock.pass(2_000);
  await failed;
  await next;
  assert.deepEqual([data, hung[0].aborted], [["next"], true]);
});

test("handlers hear the channels of their pattern, and one that throws disturbs nobody", async () => {
  const { clock, server, open } = scene();
  const { feed, tab, data } = open({ channels: ["/chat/rome", "/chat/rome/x", "/chat"] });
  const heard = [];
  const off = feed.on("/chat/*", ({ channel }) => heard.push(channel));
  feed.on("/chat/rome", () => {
    throw new Error("on purpose");
  });
  await clock.pass(1_000);
  for (const name of ["/chat/rome", "/chat/rome/x", "/chat"]) server.publish(name, 1);
  await clock.pass(10);
  off();
  server.publish("/chat/rome", 2);
  await clock.pass(10);
  assert.deepEqual(heard, ["/chat/rome"]);
  assert.equal(data.length, 4);
  assert.deepEqual(tab.complaints.map(({ message }) => message), ["on purpose", "on purpose"]);
});

test("bytes arrive as bytes", async () => {
  const { clock, server, open } = scene();
  const { data } = open();
  await clock.pass(1_000);
  server.publish("/a", "AP8=", { encoding: "base64" });
  await clock.pass(10);
  assert.deepEqual(data, [Uint8Array.of(0, 255)]);
});

test("an iterator gives each message, and ends with the feed", async () => {
  const { clock, server, open } = scene();
  const { feed } = open();
  const got = [];
  const over = (async () => {
    for await (const { data } of feed) got.push(data);
  })();
  await clock.pass(1_000);
  server.publish("/a", 1);
  server.publish("/a", 2);
  await clock.pass(10);
  feed.close();
  await over;
  assert.deepEqual(got, [1, 2]);
  assert.equal(feed.state, "closed");
});

test("eight tabs have one connection, and each hears what it wants", async () => {
  const { clock, server, open } = scene();
  const tabs = numbers(1, 8).map((number) => open({ channels: ["/all", `/of/${number}`] }));
  await clock.pass(2_000);
  assert.deepEqual(kinds(server), ["websocket"]);
  assert.equal(tabs.filter(({ feed }) => feed.leads).length, 1);
  server.publish("/all", "all");
  for (const number of numbers(1, 8)) server.publish(`/of/${number}`, number);
  await clock.pass(20);
  tabs.forEach(({ feed, data }, at) => {
    assert.deepEqual(data, ["all", at + 1]);
    assert.deepEqual([feed.state, feed.transport], ["open", "websocket"]);
  });
});

for (const how of ["closed", "killed"]) {
  test(`a leader that is ${how} is taken over from without loss`, async () => {
    const { clock, server, open } = scene();
    const tabs = numbers(1, 4).map(() => open());
    await clock.pass(2_000);
    let number = 0;
    for (let turn = 0; turn < 4; turn++) {
      for (let count = 0; count < 50; count++) {
        server.publish("/a", ++number);
        await clock.pass(10);
        const leader = tabs.find(({ feed, tab }) => feed.leads && !tab.gone && feed.state !== "closed");
        if (count === 25 && turn < 3) how === "closed" ? leader.feed.close() : leader.tab.kill();
      }
    }
    await clock.pass(5_000);
    const left = tabs.filter(({ feed, tab }) => feed.state !== "closed" && !tab.gone);
    assert.equal(left.length, 1);
    assert.deepEqual(left[0].data, numbers(1, number));
    assert.deepEqual(left[0].gaps, []);
  });
}

test("a late tab gets what its own beginning asks for, beside a connection that is further", async () => {
  const { clock, server, open } = scene();
  open();
  await clock.pass(2_000);
  for (const number of numbers(1, 50)) server.publish("/a", number);
  const late = open({ since: "earliest" });
  for (const number of numbers(51, 100)) {
    server.publish("/a", number);
    await clock.pass(3);
  }
  await clock.pass(1_000);
  assert.deepEqual(late.data, numbers(1, 100));
});

test("a restart is told to each tab once", async () => {
  const { clock, server, open } = scene();
  const tabs = numbers(1, 3).map(() => open());
  await clock.pass(2_000);
  server.publish("/a", 1);
  await clock.pass(50);
  server.restart();
  server.publish("/a", 2);
  await clock.pass(5_000);
  for (const { data, gaps } of tabs) {
    assert.deepEqual(data, [1, 2]);
    assert.deepEqual(gaps, [{ channel: "/a", missed: null }]);
  }
});

test("a frozen leader is relieved by a tab that is looked at", async () => {
  const { clock, server, open } = scene();
  const first = open();
  await clock.pass(2_000);
  const second = open();
  await clock.pass(2_000);
  assert.ok(first.feed.leads);
  first.tab.frozen = true;
  // Frozen: it neither answers nor tells what it reads.
  server.held.clear();
  server.publish("/a", 1);
  await clock.pass(20_000);
  assert.ok(second.feed.leads);
  assert.deepEqual(second.data, [1]);
});

test("what a tab that has gone wanted is dropped", async () => {
  const { clock, server, open } = scene();
  open({ channels: ["/a"] });
  await clock.pass(2_000);
  const other = open({ channels: ["/b"] });
  await clock.pass(100);
  const told = [];
  const [reader] = server.held;
  const look = reader.look;
  reader.look = () => (told.push(1), look());
  other.tab.kill();
  await clock.pass(100);
  const third = open({ channels: ["/c"] });
  await clock.pass(100);
  server.publish("/c", "c");
  await clock.pass(10);
  assert.deepEqual(third.data, ["c"]);
  assert.equal(kinds(server).length, 1);
});

test("a page that is put away and brought back catches up", async () => {
  const { clock, server, open } = scene();
  const { feed, tab, data } = open();
  await clock.pass(2_000);
  tab.event("pagehide", { persisted: true });
  await clock.pass(100);
  assert.deepEqual(kinds(server), [], "nothing keeps the page out of the cache");
  for (const number of numbers(1, 20)) server.publish("/a", number);
  await clock.pass(60_000);
  tab.event("pageshow", { persisted: true });
  await clock.pass(1_000);
  server.publish("/a", 21);
  await clock.pass(100);
  assert.deepEqual(data, numbers(1, 21));
  assert.equal(feed.state, "open");
});

test("a leader that is told something by a tab before that tab has its lock does not forget it", async () => {
  const { clock, server, browser, open } = scene();
  open();
  await clock.pass(2_000);
  const late = browser.tab();
  const { request } = late.world.locks;
  late.world.locks.request = (...asked) => new Promise((granted, refused) => clock.later(50, () => request(...asked).then(granted, refused)));
  const { data } = open({ channels: ["/b"] }, late);
  await clock.pass(1_000);
  server.publish("/b", 1);
  await clock.pass(10);
  assert.deepEqual(data, [1]);
});

test("where locks are forbidden a tab connects by itself", async () => {
  const { clock, server, browser, open } = scene();
  const request = () => Promise.reject(new DOMException("in a sandbox", "SecurityError"));
  const { feed, data } = open({}, browser.tab({ locks: { request } }));
  await clock.pass(2_000);
  server.publish("/a", 1);
  await clock.pass(10);
  assert.deepEqual(data, [1]);
  assert.ok(feed.leads);
});

test("without locks, channels and storage a tab connects by itself", async () => {
  const { clock, server, browser, open } = scene();
  const bare = () => browser.tab({ locks: undefined, BroadcastChannel: undefined, local: undefined, session: undefined });
  const tabs = [open({}, bare()), open({}, bare())];
  await clock.pass(2_000);
  server.publish("/a", 1);
  await clock.pass(10);
  assert.deepEqual(tabs.map(({ data }) => data), [[1], [1]]);
  assert.equal(kinds(server).length, 2);
});

test("a tab keeps its name when it is reloaded, and a duplicate gets another", async () => {
  const { browser, open } = scene();
  const { feed, tab } = open();
  const duplicate = open({}, browser.tab({ session: tab.session.copy() }));
  assert.notEqual(duplicate.feed.tab, feed.tab);
  tab.event("pagehide", {});
  const reloaded = open({}, browser.tab({ session: tab.session }));
  assert.equal(reloaded.feed.tab, feed.tab);
});
