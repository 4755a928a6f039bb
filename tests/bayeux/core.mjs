// What every client must be able to do, written once for all of them. A case is given what opens a client, a name to put
// its channels under, and the server's addresses.

import { blankPage } from "./agents.mjs";
import { cutter } from "./cutter.mjs";
import { first, session } from "./plain.mjs";
import { eventually, holds, numbered, pause, publish, same } from "./support.mjs";

const on = (channel, all) => all.map((data) => [channel, data]);

async function publishes({ open, name }) {
  const agent = await open();
  await agent.subscribe(`${name}/own`);
  await agent.publish(`${name}/own`, { text: "é\u2028\u0001</script>", list: [1, { deep: null }] });
  await agent.sees([[`${name}/own`, { text: "é\u2028\u0001</script>", list: [1, { deep: null }] }]]);
}

// No more than fit two kilobytes: Faye sends what is longer as several requests, and if a later one overtakes the first, its
// messages are published before there is the subscription.
async function batches({ open, name }) {
  const agent = await open();
  await agent.batch(`${name}/batch`, numbered(6));
  await agent.sees(on(`${name}/batch`, numbered(6)));
}

// Order is kept within a channel, not between channels.
async function wildcards({ open, name }) {
  const [one, deep, publisher] = [await open(), await open(), await open()];
  await one.subscribe(`${name}/foo/*`);
  await deep.subscribe(`${name}/foo/**`);
  const channels = [`${name}/foo`, `${name}/foo/a`, `${name}/foo/a/b`, `${name}/fool/a`, `${name}/foo/c/d/e`, `${name}/foo/z`];
  for (const channel of channels) await publisher.publish(channel, { channel });
  const expected = (...which) => which.map((i) => [channels[i], { channel: channels[i] }]);
  await one.seesInAnyOrder(expected(1, 5));
  await deep.seesInAnyOrder(expected(1, 2, 4, 5));
}

async function ordered({ open, name }) {
  const [left, right] = [await open(), await open()];
  await left.subscribe(`${name}/left`);
  await right.subscribe(`${name}/right`);
  const toRight = () => left.publishAll(`${name}/right`, numbered(1000));
  const toLeft = () => right.publishAll(`${name}/left`, numbered(1000, 5001));
  await Promise.all([toRight(), toLeft()]);
  await left.sees(on(`${name}/left`, numbered(1000, 5001)));
  await right.sees(on(`${name}/right`, numbered(1000)));
}

// Messages go on while the sockets are cut.
async function survivesCutsWithAcknowledgement({ openThrough, name, privateAddress }) {
  const { agent, proxy } = await openThrough();
  await agent.subscribe(`${name}/cut`);
  const rounds = 6, each = 10;
  for (let round = 0; round < rounds; round++) {
    const all = numbered(each, round * each + 1);
    for (const [i, data] of all.entries()) {
      await publish(privateAddress, `${name}/cut`, data);
      if (i === each / 2) proxy.cut();
    }
    await agent.sees(on(`${name}/cut`, numbered((round + 1) * each)));
  }
  same((await agent.state(0)).handshakes, 1, "handshakes:");
}

// A client that cannot say what it has got is cut when nothing is under way, and must be back for what comes next.
async function survivesCutsWithoutAcknowledgement({ openThrough, name, privateAddress }) {
  const { agent, proxy } = await openThrough();
  await agent.subscribe(`${name}/cut`);
  for (let round = 1; round <= 6; round++) {
    await publish(privateAddress, `${name}/cut`, { number: round });
    await agent.sees(on(`${name}/cut`, numbered(round)));
    proxy.cut();
    await agent.publish(`${name}/back`, { round });
  }
  same((await agent.state(0)).handshakes, 1, "handshakes:");
}

const survivesCuts = (context) =>
  (context.kind.acknowledges ? survivesCutsWithAcknowledgement : survivesCutsWithoutAcknowledgement)(context);

// Nobody is let in until the session is over, and then the client begins anew.
async function beginsAnewAfterExpiry({ openThrough, name, privateAddress, maxIntervalMs }) {
  const { agent, proxy } = await openThrough();
  await agent.subscribe(`${name}/again`);
  const before = (await agent.state(0)).clientId;
  proxy.letIn(false);
  proxy.cut();
  await pause(1.5 * maxIntervalMs);
  proxy.letIn(true);
  await eventually("a second handshake", async () => ((await agent.state(0)).handshakes > 1 ? true : undefined));
  let number = 0;
  await eventually("a message after the second handshake", async () => {
    await publish(privateAddress, `${name}/again`, { number: ++number });
    return (await agent.received()).length > 0 ? true : undefined;
  });
  const [[, { number: from }]] = await agent.received();
  await agent.sees(on(`${name}/again`, numbered(number - from + 1, from)));
  holds((await agent.state(0)).clientId !== before, "the session kept its id");
}

async function unsubscribes({ open, name, privateAddress }) {
  const agent = await open();
  await agent.subscribe(`${name}/left`);
  await agent.subscribe(`${name}/kept`);
  await publish(privateAddress, `${name}/left`, { number: 1 });
  await agent.sees([[`${name}/left`, { number: 1 }]]);
  await agent.unsubscribe(`${name}/left`);
  await publish(privateAddress, `${name}/left`, { number: 2 });
  await publish(privateAddress, `${name}/kept`, { number: 3 });
  await agent.sees([[`${name}/left`, { number: 1 }], [`${name}/kept`, { number: 3 }]]);
}

async function disconnects({ open, publicAddress, name }) {
  const agent = await open();
  const { clientId } = await agent.state(0);
  await agent.close();
  const { successful, error } = await first(publicAddress, { channel: "/meta/subscribe", clientId, subscription: `${name}/x` });
  holds(successful === false && /^402:/.test(error), `after its goodbye the session is answered ${error}`);
}

// One publish reaches every client, whatever it speaks and whichever side published.
async function meetsTheRest({ open, name, publicAddress, privateAddress, browser }) {
  const agent = await open();
  await agent.subscribe(`${name}/rest`);
  const { page, context } = await blankPage(browser, `http://${publicAddress}`);
  try {
    await page.evaluate((url) => {
      window.seen = [];
      const source = new EventSource(url);
      source.onmessage = ({ data }) => seen.push(JSON.parse(data));
      return new Promise((opened) => (source.onopen = opened));
    }, `http://${publicAddress}/sub${name}/rest`);
    await publish(privateAddress, `${name}/rest`, { number: 1 });
    await agent.publish(`${name}/rest`, { number: 2 });
    await publish(privateAddress, `${name}/rest`, { number: 3 });
    await agent.sees(on(`${name}/rest`, numbered(3)));
    await page.waitForFunction(() => seen.length >= 3);
    same(await page.evaluate(() => seen), numbered(3), "the EventSource:");
  } finally {
    await context.close();
  }
}

// Two sessions of different clients on one channel, which every kind shares with a plain client here.
async function meetsAPlainClient({ open, name, publicAddress }) {
  const agent = await open();
  const plain = await session(publicAddress);
  await agent.subscribe(`${name}/shared`);
  await plain.subscribe(`${name}/shared`);
  await agent.publish(`${name}/shared`, { from: "agent" });
  await agent.sees([[`${name}/shared`, { from: "agent" }]]);
  const events = (await plain.connect()).filter(({ data }) => data);
  same(events.map(({ channel, data }) => [channel, data]), [[`${name}/shared`, { from: "agent" }]], "the plain client:");
  holds(events.every((event) => !("clientId" in event)), "an event leaks its publisher's clientId");
}

export const CASES = {
  publishes: { run: publishes },
  batches: { run: batches, when: ({ batches }) => batches },
  wildcards: { run: wildcards },
  ordered: { run: ordered },
  "survives-cuts": { run: survivesCuts, when: ({ survives }) => survives },
  "begins-anew-after-expiry": { run: beginsAnewAfterExpiry, when: ({ survives }) => survives },
  unsubscribes: { run: unsubscribes },
  disconnects: { run: disconnects },
  "meets-the-rest": { run: meetsTheRest },
  "meets-a-plain-client": { run: meetsAPlainClient },
};

// Runs one case with clients of one kind, and ends them however it goes.
export async function runCore(kind, name, run, surroundings) {
  const ends = [];
  const open = async ({ address = surroundings.publicAddress } = {}) => {
    const agent = watched(await kind.open({ address, ack: kind.acknowledges, browser: surroundings.browser }));
    ends.push(() => agent.end?.());
    ends.push(() => agent.close());
    return agent;
  };
  const openThrough = async () => {
    const proxy = await cutter(surroundings.publicAddress);
    ends.push(proxy.close);
    return { agent: await open({ address: proxy.address }), proxy };
  };
  try {
    await run({ ...surroundings, kind, name: `/${kind.name}/${name}`, open, openThrough });
  } finally {
    // The last opened ends first. How an end goes is a case of its own.
    for (const end of ends.reverse()) await Promise.race([Promise.resolve().then(end).catch(() => {}), pause(2000)]);
  }
}

// An agent with what it has received so far, and with what it must have received in the end, no more and no less.
function watched(agent) {
  const messages = [];
  const received = async () => {
    messages.push(...(await agent.state(messages.length)).messages);
    return messages;
  };
  const arrived = (expected) => {
    const what = () => `${messages.length} of ${expected.length} messages`;
    return eventually(what, async () => ((await received()).length >= expected.length ? true : undefined));
  };
  const sees = (expected) => arrived(expected).then(() => same(messages, expected, "messages:"));
  const seesInAnyOrder = (expected) => arrived(expected).then(() => same([...messages].sort(), [...expected].sort(), "messages:"));
  return { ...agent, received, sees, seesInAnyOrder };
}
