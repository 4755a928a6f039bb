// Requests that no client should send. Each is answered as the specification says, or by a 400 (or what HTTP has for a
// request that is too large), and none has an effect on a session beside it, which gets its next message as if nothing were.

import { ask, askRaw, askScript, first, handshake, send, session, webSocket } from "./plain.mjs";
import { holds, publish, shown, within } from "./support.mjs";

const MEGABYTE = 1 << 20;
const REFUSED = new Set([400, 411, 413, 414, 415, 431]);
const ERROR = /^[0-9]{3}:[^:]*:.*/s;

// An answer as the specification says: each failed, each with an error in its format, none with an effect.
const failed = (messages) =>
  Array.isArray(messages) && messages.length > 0 &&
  messages.every(({ successful, error }) => successful === false && ERROR.test(error));

// Refused as a whole, or message by message.
function refused({ status, text, messages }) {
  holds(REFUSED.has(status) || (status === 200 && failed(messages)), `answered ${status}: ${text.slice(0, 200)}`);
}

// Runs `body` beside a session that must not notice: it stays connected, and the first that it gets is what comes after.
async function unharmed({ publicAddress, privateAddress }, name, body) {
  const bystander = await session(publicAddress), channel = `/bystander/${name}`;
  await bystander.subscribe(channel);
  let over = false;
  const listening = (async () => {
    for (const events = []; !over; ) {
      const messages = await bystander.connect();
      holds(messages.every(({ successful }) => successful !== false), `a session beside it was told ${shown(messages)}`);
      events.push(...messages.filter(({ data }) => data));
      if (events.length > 0) return events;
    }
  })();
  listening.catch(() => {});
  try {
    await body();
    await publish(privateAddress, channel, { name });
    const events = await within("the next message of a session beside it", listening);
    holds(events.length === 1 && events[0].data.name === name, `a session beside it got ${shown(events)}`);
  } finally {
    over = true;
  }
}

const nested = (open, close, depth) => open.repeat(depth) + close.repeat(depth);
const inArrays = nested("[", "]", 100_000);
const inObjects = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;

// Bodies that are no Bayeux messages at all.
const BODIES = {
  "no-json": "this is not JSON",
  "cut-json": '[{"channel":"/meta/handshake","version":"1.0"',
  "two-values": '[{"channel":"/meta/handshake"}] []',
  "empty-body": "",
  "a-string": '"/meta/handshake"',
  "a-number": "17",
  "null": "null",
  "true": "true",
  "array-of-numbers": "[1,2,3]",
  "array-of-arrays": '[[{"channel":"/meta/handshake"}]]',
  "array-of-null": "[null]",
  "no-channel": '[{"data":{}}]',
  "channel-is-a-number": '[{"channel":5,"data":{}}]',
  "channel-is-null": '[{"channel":null,"data":{}}]',
  "channel-twice": '[{"channel":"/a","channel":"/meta/handshake","data":{}}]',
  "nested-arrays": inArrays,
  "nested-objects": inObjects,
  "nested-unclosed": "[".repeat(100_000),
  "not-utf8": Buffer.concat([Buffer.from('[{"channel":"/a","data":"'), Buffer.of(0xff, 0xfe), Buffer.from('"}]')]),
  "lone-surrogate-in-channel": '[{"channel":"/a\\ud800","data":1}]',
  "control-in-string": '[{"channel":"/a","data":"\u0001"}]',
  "bad-number": '[{"channel":"/a","data":01}]',
  "nul-bytes": "\0\0\0\0",
};

// Names that nobody may publish to, or that are no names.
const UNPUBLISHABLE = {
  "wildcard": "/a/*", "deep-wildcard": "/a/**", "all": "/**", "unknown-meta": "/meta/unknown", "meta-itself": "/meta",
  "meta-deep": "/meta/connect/more", "no-slash": "a", "empty": "", "slash": "/", "slash-behind": "/a/",
  "two-slashes": "/a//b", "blank": "/a b", "control": "/a\u0007", "star-inside": "/a/*/b", "question": "/a?b",
};

// Patterns that nobody may subscribe to.
const UNSUBSCRIBABLE = {
  "meta": "/meta/connect", "meta-all": "/meta/*", "meta-deep": "/meta/**", "star-inside": "/a/*/b", "deep-inside": "/a/**/b",
  "half-star": "/a/b*", "no-slash": "a", "empty": "", "number": 5, "null": null, "object": {}, "array-of-numbers": [1, 2],
  "two-slashes": "//", "three-stars": "/***",
};

const long = "i".repeat(MEGABYTE - 1000);

const checks = {
  async "nested-where-anything-may-stand"({ publicAddress }) {
    // It may be taken, since it is JSON: what matters is that the server is still there.
    const hello = `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"ext":${inObjects}}]`;
    for (const body of [`[{"channel":"/nested/deep","data":${inArrays}}]`, hello]) {
      const { status, text } = await send(publicAddress, body);
      holds(REFUSED.has(status) || (status === 200 && text.startsWith("[{")), `answered ${status}: ${text.slice(0, 200)}`);
    }
  },
  async "long-id"({ publicAddress }) {
    // As long as a body may be: an id comes back as it is, or is refused.
    const { status, messages, text } = await send(publicAddress, [
      { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"], id: long },
    ]);
    const echoed = status === 200 && messages?.[0]?.id === long;
    holds(echoed || REFUSED.has(status) || failed(messages), `answered ${status}: ${text.slice(0, 200)}`);
  },
  async "too-long-id"({ publicAddress }) {
    refused(await send(publicAddress, [{ channel: "/meta/handshake", id: "i".repeat(2 * MEGABYTE) }]).catch(() => ({ status: 413 })));
  },
  async "long-clientId"({ publicAddress }) {
    const answer = await send(publicAddress, [{ channel: "/meta/connect", connectionType: "long-polling", clientId: long }]);
    refused(answer);
  },
  async "strange-clientIds"({ publicAddress }) {
    for (const clientId of [5, null, {}, [], "", " ", "é", "a\u0000b", "..", "%00"]) {
      refused(await send(publicAddress, [{ channel: "/meta/connect", connectionType: "long-polling", clientId }]));
    }
  },
  async "strange-ids"({ publicAddress }) {
    // An id is text; what else stands there comes back as it is or is refused, and breaks nothing.
    for (const id of [5, null, {}, [], "", true, "\u2028</script>"]) {
      const { status, messages, text } = await send(publicAddress, [
        { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"], id },
      ]);
      holds(REFUSED.has(status) || (status === 200 && Array.isArray(messages)), `id ${shown(id)} is answered ${status}: ${text}`);
    }
  },
  async "strange-handshakes"({ publicAddress }) {
    const strange = [
      { version: undefined }, { version: 1 }, { version: null }, { version: "" }, { version: "x" }, { version: "99.0", minimumVersion: "99.0" },
      { supportedConnectionTypes: undefined }, { supportedConnectionTypes: "long-polling" }, { supportedConnectionTypes: [] },
      { supportedConnectionTypes: [1, null] }, { supportedConnectionTypes: ["pigeon"] }, { minimumVersion: {} },
    ];
    for (const fields of strange) {
      const answer = await handshake(publicAddress, fields);
      // What is only optional may be passed over; what is missing may not.
      const lenient = "version" in fields || "minimumVersion" in fields;
      holds(failed([answer]) || (lenient && answer.successful === true), `${shown(fields)} is answered ${shown(answer)}`);
    }
  },
  async "strange-advice"({ publicAddress }) {
    const strange = [5, null, [], { timeout: "0" }, { timeout: -1 }, { timeout: 1e300 }, { interval: "x" }];
    const ask = async (advice) => {
      const one = await session(publicAddress);
      const answer = (await one.connect({ advice })).find(({ channel }) => channel === "/meta/connect");
      holds(typeof answer?.successful === "boolean", `advice ${shown(advice)} is answered ${shown(answer)}`);
    };
    await Promise.all(strange.map(ask));
  },
  async "strange-acknowledgements"({ publicAddress }) {
    const one = await session(publicAddress, { ext: { ack: true } });
    for (const ack of [-1, 1e300, 4_000_000_000, "1", null, {}, 0.5]) {
      const { status, messages } = await send(publicAddress, [one.connecting({ ext: { ack }, advice: { timeout: 0 } })]);
      holds(REFUSED.has(status) || Array.isArray(messages), `ack ${shown(ack)} is answered ${status}`);
    }
  },
  async "without-a-session"({ publicAddress }) {
    for (const channel of ["/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect"]) {
      for (const clientId of [undefined, "nobody"]) {
        refused(await send(publicAddress, [{ channel, clientId, connectionType: "long-polling", subscription: "/a" }]));
      }
    }
  },
  async "many-messages"({ publicAddress }) {
    // As many as fit a request; each gets its answer, or all are refused together.
    const one = await session(publicAddress);
    const all = Array.from({ length: 8000 }, (_, i) => ({ channel: "/meta/nothing", clientId: one.clientId, id: `${i}` }));
    const { status, messages } = await send(publicAddress, all);
    holds(REFUSED.has(status) || (messages.length === all.length && messages.every(({ id }, i) => id === `${i}`)), `${status}`);
  },
  async "strange-methods-and-types"({ publicAddress }) {
    const body = '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]';
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const { status } = await ask(publicAddress, { method, body });
      holds((status >= 400 && status < 500) || status === 501, `${method} is answered ${status}`);
    }
    for (const type of ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png", ";;;"]) {
      const { status, text } = await ask(publicAddress, { headers: { "Content-Type": type }, body });
      holds(status < 500, `${type} is answered ${status}: ${text}`);
    }
    for (const query of ["", "?", "?message", "?message=", "?message=%", "?message=%5B%5D&jsonp=%28"]) {
      const { status, text } = await askScript(publicAddress, query);
      holds(status >= 200 && status < 500, `GET ${query} is answered ${status}: ${text}`);
    }
  },
  async "dangerous-callbacks"({ publicAddress }) {
    const message = encodeURIComponent('[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["callback-polling"]}]');
    for (const jsonp of ["alert(1);x", "a b", "<script>", "a.b[0]()", "", "é", "a\nb"]) {
      const { status, text } = await askScript(publicAddress, `?message=${message}&jsonp=${encodeURIComponent(jsonp)}`);
      const harmless = /^\/\*\*\/\s*jsonpcallback\(/.test(text);
      holds(REFUSED.has(status) || (jsonp === "" && harmless), `jsonp=${jsonp.slice(0, 20)} is answered ${status}: ${text.slice(0, 100)}`);
    }
  },
  async "cut-requests"({ publicAddress }) {
    const host = `Host: ${publicAddress}\r\n`;
    const wrong = [
      `POST /bayeux HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: x\r\n\r\n[]`,
      `POST /bayeux HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]`,
      `POST /bayeux HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nzz\r\n[]`,
    ];
    for (const bytes of wrong) {
      const status = await askRaw(publicAddress, bytes);
      holds(status === "" || status === undefined || REFUSED.has(status), `${bytes.slice(0, 80)} is answered ${status}`);
    }
  },
  async "frames"({ publicAddress }) {
    // A frame with something else than messages is answered or ends its socket, and ends no other one.
    for (const frame of ["not JSON", "17", "[1]", '[{"data":1}]', inArrays, '[{"channel":"/meta/connect","clientId":"nobody"}]']) {
      const socket = await webSocket(publicAddress);
      socket.send(frame);
      const answer = await socket.frame();
      holds(answer === undefined || failed(JSON.parse(answer)), `${frame.slice(0, 40)} is answered ${shown(answer)}`);
      socket.close();
    }
    // What Faye's client sends to see whether anybody is there.
    const socket = await webSocket(publicAddress);
    socket.send("[]");
    await socket.ping();
    socket.close();
  },
};

const entries = {
  ...Object.fromEntries(
    Object.entries(BODIES).map(([name, body]) => [
      `body-${name}`,
      async ({ publicAddress }) => refused(await send(publicAddress, body)),
    ])),
  ...Object.fromEntries(
    Object.entries(UNPUBLISHABLE).map(([name, channel]) => [
      `publish-to-${name}`,
      async ({ publicAddress }) => {
        const one = await session(publicAddress);
        refused(await send(publicAddress, [one.message(channel, { data: {} })]));
      },
    ])),
  ...Object.fromEntries(
    Object.entries(UNSUBSCRIBABLE).map(([name, subscription]) => [
      `subscribe-to-${name}`,
      async ({ publicAddress }) => {
        const one = await session(publicAddress);
        const answer = await first(publicAddress, one.message("/meta/subscribe", { subscription })).catch((error) => error);
        holds(answer instanceof Error ? /: 4/.test(answer.message) : failed([answer]), `answered ${shown(answer.message ?? answer)}`);
      },
    ])),
  ...checks,
};

export const MALFORMED = Object.fromEntries(
  Object.entries(entries).map(([name, check]) => [name, (server) => unharmed(server, name, () => check(server))]));
