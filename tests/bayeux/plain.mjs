// A plain HTTP client that follows the specification to the letter: each request has a socket of its own, unless it is given
// an agent.

import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { installed } from "./agents.mjs";
import { within } from "./support.mjs";

const PATH = "/bayeux";

// One request, whatever the status: {status, headers, text}. `signal` gives it up, `agent` keeps sockets.
export function ask(address, { method = "POST", path = PATH, headers = {}, body, signal, agent = false } = {}) {
  const [host, port] = address.split(":");
  const answer = new Promise((resolve, reject) => {
    const request = httpRequest({ host, port, method, path, headers, signal, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (more) => (text += more));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
  return within(`${method} ${path.slice(0, 80)}`, answer);
}

// As a script tag asks that stands in a page of the server's own.
export const askScript = (address, query) =>
  ask(address, { method: "GET", path: `${PATH}${query}`, headers: { Referer: `http://${address}/` } });

// The bytes as they are, on a socket of their own; gives the status of what is answered, or undefined where it is cut off.
export function askRaw(address, bytes) {
  const [host, port] = address.split(":");
  const answer = new Promise((resolve) => {
    let text = "";
    const socket = connect(port, host, () => socket.write(bytes));
    const over = () => (socket.destroy(), resolve(text && Number(text.split(" ")[1])));
    socket.setEncoding("latin1");
    socket.on("data", (more) => ((text += more), text.includes("\r\n\r\n") && over()));
    socket.on("error", over).on("close", over);
  });
  return within("a raw request", answer);
}

// Messages as a JSON body: {status, headers, text, messages}.
export async function send(address, messages, { type = "application/json", headers = {}, ...more } = {}) {
  const body = typeof messages === "string" || Buffer.isBuffer(messages) ? messages : JSON.stringify(messages);
  const answer = await ask(address, { headers: { "Content-Type": type, ...headers }, body, ...more });
  return { ...answer, messages: parsed(answer.text) };
}

// What a body says, or undefined where it is no JSON.
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const HANDSHAKE = { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] };

// One message and the first answer to it.
export async function first(address, message, options) {
  const { status, text, messages } = await send(address, [message], options);
  if (!Array.isArray(messages)) throw new Error(`an answer of another kind: ${status} ${text.slice(0, 200)}`);
  return messages.find(({ channel, data }) => channel === message.channel && data === undefined) ?? messages[0];
}

export const handshake = (address, more = {}, options) => first(address, { ...HANDSHAKE, ...more }, options);

// A session that has connected once: its verbs give the answers of the server.
export async function session(address, more = {}, options) {
  const { clientId, successful, error } = await handshake(address, more, options);
  if (!successful) throw new Error(`no handshake: ${error}`);
  let number = 0;
  const message = (channel, fields = {}) => ({ channel, clientId, id: `${++number}`, ...fields });
  const connecting = (fields) => message("/meta/connect", { connectionType: "long-polling", ...fields });
  const self = {
    clientId,
    message,
    connecting,
    one: (channel, fields) => first(address, message(channel, fields), options),
    all: (messages, more) => send(address, messages, { ...options, ...more }).then((answer) => answer.messages),
    subscribe: (subscription) => self.one("/meta/subscribe", { subscription }),
    unsubscribe: (subscription) => self.one("/meta/unsubscribe", { subscription }),
    publish: (channel, data) => self.one(channel, { data }),
    disconnect: () => self.one("/meta/disconnect"),
    // Held until there is something, or until the server's timeout; all that is answered.
    connect: (fields, more) => self.all([connecting(fields)], more),
    // Answered at once.
    poll: () => self.connect({ advice: { timeout: 0 } }),
  };
  await self.poll();
  return self;
}

// A WebSocket of frames. `frame` gives the next one, or undefined where the socket ends instead.
export async function webSocket(address, path = PATH) {
  const { WebSocket } = installed("ws");
  const socket = new WebSocket(`ws://${address}${path}`);
  const frames = [], waiting = [];
  const ended = new Promise((end) => socket.on("close", () => end(undefined)));
  socket.on("message", (bytes) => (waiting.shift() ?? ((frame) => frames.push(frame)))(`${bytes}`));
  socket.on("error", () => {});
  const opened = new Promise((open) => socket.on("open", () => open(true)));
  if (!(await within("a WebSocket", Promise.race([opened, ended])))) throw new Error("a WebSocket was refused");
  const next = () => (frames.length > 0 ? Promise.resolve(frames.shift()) : new Promise((come) => waiting.push(come)));
  return {
    send: (messages) => socket.send(typeof messages === "string" ? messages : JSON.stringify(messages)),
    frame: () => within("a frame", Promise.race([next(), ended])),
    ping: () => new Promise((pong) => (socket.once("pong", pong), socket.ping())),
    close: () => socket.terminate(),
  };
}
