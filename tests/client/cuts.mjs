// A network that drops all sockets every three seconds, then a server that is killed and restarted, under messages all the
// while: each comes once, or the gap is shown.
//
//   node tests/client/cuts.mjs [SECONDS]     how long sockets are dropped; ten seconds if it is not said

import assert from "node:assert/strict";
import { Publisher, all, complete, eventually, finish, line, look, openFeed, pause, serve, withBrowser } from "./support.mjs";

const SECONDS = Number(process.argv[2] ?? 10);
const CHANNEL = "/cuts";
const KEEP = ["--history-messages", "100000", "--history-bytes", "64MiB", "--retry", "200ms"];
// Each browser has two tabs, so that the follower's way is cut as well.
const WAYS = [["websocket", "long-poll"], ["stream", "long-poll"], ["long-poll"]];

await finish(() =>
  withBrowser(async (browser) => {
    let server = await serve(...KEEP);
    const wire = await line(server.public);
    const pages = [];
    for (const transports of WAYS) {
      const context = await browser.newContext();
      const options = { channels: CHANNEL, transports, patience: 5_000 };
      for (let tab = 0; tab < 2; tab++) pages.push(Object.assign(await openFeed(context, wire.address, options), { way: transports[0] }));
    }
    await eventually("each is on its way", async (saw) => {
      const looks = await Promise.all(pages.map(look));
      saw(looks);
      return looks.every(({ transport }, at) => transport === pages[at].way) ? true : undefined;
    });

    const publisher = new Publisher(server.private, CHANNEL);
    publisher.start(100);
    for (let second = 3; second <= SECONDS; second += 3) {
      await pause(3_000);
      wire.cut();
    }
    await publisher.stop();
    await complete(`sockets dropped for ${SECONDS} s`, pages, publisher.numbers);
    for (const { gaps } of await Promise.all(pages.map(look))) assert.deepEqual(gaps, []);
    console.log(`sockets dropped every 3 s for ${SECONDS} s: ${publisher.numbers.length} messages, each once in each of ${pages.length} tabs`);

    await all("all are open", pages, ({ state }) => state === "open");
    await server.kill();
    server = await serve(...KEEP);
    publisher.address = server.private;
    publisher.start(50);
    wire.lead(server.public);
    await all("the gap is shown", pages, ({ gaps }) => gaps.length > 0);
    await pause(1_000);
    await publisher.stop();
    await complete("a restarted server", pages, publisher.numbers);
    for (const { gaps, states } of await Promise.all(pages.map(look))) {
      assert.deepEqual(gaps, [{ channel: CHANNEL, missed: null }], JSON.stringify(states));
    }
    console.log(`a server killed and restarted: the gap shown once, ${publisher.numbers.length} messages each once`);
  }),
);
