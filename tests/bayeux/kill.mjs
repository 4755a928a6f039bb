// Two hundred sessions with the acknowledge extension, whose sockets are killed at random under five hundred messages a
// second. Every session must get every message exactly once, in order, and none may lose its session.
//
// Twenty of them are CometD's own client. A process cannot run two hundred of those at that pace, so that the others are
// as small as a client can be; half of each kind poll, half have a WebSocket.

import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { cometd, installed } from "./agents.mjs";
import { cometdAgent } from "./cometd_agent.js";
import { cutter } from "./cutter.mjs";
import { eventually, holds, pause } from "./support.mjs";

const SMALL = 90, REAL = 10;
const MESSAGES_PER_SECOND = 500, KILLS_PER_SESSION_AND_SECOND = 1;
const TICK_MS = 10;
const CHANNEL = "/kill/all";

// What a session has got so far, as one number; the first message out of turn is kept.
function ledger(name) {
  const self = { name, got: 0, wrong: undefined };
  self.take = ({ number }) => {
    if (number === self.got + 1) self.got = number;
    else self.wrong ??= `${name} got ${number} after ${self.got}`;
  };
  self.fail = (what) => (self.wrong ??= `${name}: ${what}`);
  return self;
}

// The smallest client with the extension. `exchange` sends messages and gives what is answered, or throws when its socket
// is killed; what one answer holds is taken as a whole or not at all.
async function small(ledger, exchange, transport, over) {
  const [hello] = await exchange([
    { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: [transport], ext: { ack: true }, id: "1" },
  ]);
  holds(hello.successful && hello.ext?.ack, `no handshake with acknowledgement: ${JSON.stringify(hello)}`);
  const { clientId } = hello;
  await exchange([{ channel: "/meta/subscribe", clientId, subscription: CHANNEL, id: "2" }]);
  return async () => {
    for (let ack = 0, id = 3; !over(); id++) {
      const asked = { channel: "/meta/connect", clientId, connectionType: transport, id: `${id}`, ext: { ack } };
      const answers = await exchange([asked]).catch(() => undefined);
      if (!answers) {
        await pause(TICK_MS);
        continue;
      }
      for (const { channel, data, successful, error, ext } of answers) {
        if (channel === CHANNEL) ledger.take(data);
        // The connect of a socket that was killed came to the server behind this one, and took its place.
        else if (channel === "/meta/connect" && error?.startsWith("409:")) await pause(TICK_MS);
        else if (channel === "/meta/connect" && !successful) return ledger.fail(error);
        else if (channel === "/meta/connect" && ext) ack = ext.ack;
      }
    }
  };
}

// By polling, on sockets that are kept.
function polling(address) {
  const [host, port] = address.split(":");
  const agent = new Agent({ keepAlive: true });
  const headers = { "Content-Type": "application/json" };
  const exchange = (messages) =>
    new Promise((resolve, reject) => {
      const request = httpRequest({ agent, host, port, method: "POST", path: "/bayeux", headers }, (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () => resolve(JSON.parse(Buffer.concat(parts))));
        response.on("error", reject);
      });
      request.on("error", reject);
      request.end(JSON.stringify(messages));
    });
  const kill = () => [agent.sockets, agent.freeSockets].flatMap((some) => Object.values(some).flat()).forEach((one) => one.destroy());
  return { exchange, kill };
}

// By WebSocket: an exchange ends with the answer to its last message, so that it has all that came before.
function webSocket(address) {
  const { WebSocket } = installed("ws");
  let socket;
  const opened = () =>
    new Promise((resolve, reject) => {
      if (socket?.readyState === WebSocket.OPEN) return resolve(socket);
      const fresh = new WebSocket(`ws://${address}/bayeux`);
      fresh.on("error", reject).on("close", reject).on("open", () => resolve((socket = fresh)));
    });
  const exchange = async (messages) => {
    const current = await opened(), gathered = [];
    const { id } = messages.at(-1);
    return new Promise((resolve, reject) => {
      const take = (bytes) => {
        const answers = JSON.parse(bytes);
        gathered.push(...answers);
        if (!answers.some((one) => one.id === id && one.channel.startsWith("/meta/"))) return;
        current.off("message", take);
        current.off("close", reject);
        resolve(gathered);
      };
      current.on("message", take);
      current.once("close", reject);
      current.send(JSON.stringify(messages));
    });
  };
  return { exchange, kill: () => socket?._socket?.destroy() };
}

// CometD's own client.
async function real(ledger, address, transport) {
  const agent = cometdAgent(await cometd(), new Map());
  await agent.open({ url: `http://${address}/bayeux`, transport, ack: true });
  await agent.subscribe(CHANNEL);
  let taken = 0;
  const look = async () => {
    const { messages, handshakes } = await agent.state(taken);
    taken += messages.length;
    messages.forEach(([, data]) => ledger.take(data));
    if (handshakes > 1) ledger.fail("a second handshake");
  };
  return { agent, look };
}

// A publisher that never waits: requests follow each other on one socket, and their answers are counted.
function publisher(address) {
  const [host, port] = address.split(":");
  const socket = connect(port, host);
  const self = { sent: 0, taken: 0, refused: undefined, close: () => socket.destroy() };
  let rest = "";
  socket.setEncoding("latin1");
  socket.on("error", (error) => (self.refused ??= error.message));
  socket.on("data", (more) => {
    const lines = (rest + more).split("\r\n");
    rest = lines.pop();
    for (const line of lines) {
      // An answer's body has no line of its own, and the next answer begins right behind it.
      const status = /HTTP\/1\.1 (\d+)/.exec(line)?.[1];
      if (status === "200") self.taken++;
      else if (status) self.refused ??= line;
    }
  });
  self.publish = (number) => {
    const body = JSON.stringify({ number, text: "x".repeat(40) });
    socket.write(
      `POST /pub${CHANNEL} HTTP/1.1\r\nHost: ${address}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    self.sent = number;
  };
  return self;
}

export async function kill({ publicAddress, privateAddress, killMs }) {
  let over = false, killed = 0;
  const proxy = await cutter(publicAddress);
  const ways = Object.entries({ "long-polling": polling, websocket: webSocket });
  const ledgers = [], looks = [], victims = [], agents = [], running = [];
  const opening = [];
  for (const [transport, way] of ways) {
    for (let i = 0; i < SMALL; i++) {
      const account = ledger(`small ${transport} ${i}`), { exchange, kill } = way(publicAddress);
      ledgers.push(account);
      victims.push(kill);
      // It connects at once: a session does not wait for as long as a busy machine may take to open the others.
      opening.push(small(account, exchange, transport, () => over).then((loop) => void running.push(loop())));
    }
    for (let i = 0; i < REAL; i++) {
      const account = ledger(`cometd ${transport} ${i}`);
      ledgers.push(account);
      opening.push(real(account, proxy.address, transport).then(({ agent, look }) => (agents.push(agent), looks.push(look))));
    }
  }
  await Promise.all(opening);
  const publishing = publisher(privateAddress);

  const begun = Date.now(), chance = (KILLS_PER_SESSION_AND_SECOND * TICK_MS) / 1000;
  const one = (kill) => (killed++, kill());
  for (let ticks = 0; Date.now() - begun < killMs; ticks++) {
    const due = ((Date.now() - begun) * MESSAGES_PER_SECOND) / 1000;
    while (publishing.sent < due) publishing.publish(publishing.sent + 1);
    victims.filter(() => Math.random() < chance).forEach(one);
    proxy.cut(() => Math.random() < chance && ++killed);
    if (ticks % 10 === 0) for (const look of looks) await look();
    await pause(TICK_MS);
  }
  const total = publishing.sent;
  const lagging = () => ledgers.filter(({ got, wrong }) => got < total && !wrong);
  const what = () => `${lagging().length} sessions wait, such as ${lagging()[0]?.name} at ${lagging()[0]?.got} of ${total}`;
  try {
    await eventually(what, async () => {
      for (const look of looks) await look();
      return lagging().length === 0 ? true : undefined;
    });
  } finally {
    over = true;
    // A last answer or two lets the small ones out of their wait.
    await Promise.all(agents.map((agent) => Promise.race([agent.close().catch(() => {}), pause(2000)])));
    publishing.close();
    proxy.close();
    victims.forEach((kill) => kill());
    await Promise.race([Promise.all(running), pause(5000)]);
    victims.forEach((kill) => kill());
  }
  holds(!publishing.refused, `publishing was refused: ${publishing.refused}`);
  holds(publishing.taken === total, `${publishing.taken} of ${total} messages were taken`);
  const wrong = ledgers.filter((one) => one.wrong);
  holds(wrong.length === 0, `${wrong.length} of ${ledgers.length} sessions: ${wrong.slice(0, 5).map((one) => one.wrong).join("; ")}`);
  return `${total} messages to each of ${ledgers.length} sessions, ${killed} times killed`;
}
