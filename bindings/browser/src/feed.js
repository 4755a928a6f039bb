// What an application holds: its channels, handlers, states, and what it publishes.

import { Net } from "./net.js";
import { matches } from "./pattern.js";
import { Reader } from "./reader.js";
import { tab } from "./tab.js";
import { Tabs } from "./tabs.js";

const TRANSPORTS = ["websocket", "stream", "long-poll", "jsonp", "poll"];
const PADDINGS = [0, 4_096, 8_192];
// Messages that wait for an iterator, or to be published; one that falls behind further is told.
const WAITING_MAX = 10_000;

// Bytes that were published as such come as base64.
function opened(message) {
  const { encoding, ...plain } = message;
  return encoding === "base64" ? { ...plain, data: Uint8Array.from(atob(plain.data), (byte) => byte.charCodeAt(0)) } : message;
}

export class Feed {
  #world;
  #net;
  #reader;
  #tabs;
  #handlers = new Set();
  #iterators = new Set();
  #status = { state: "connecting" };
  // What is to be published behind what is on its way.
  #unsent = [];
  #sending = false;
  #begun = new Map();
  #ends = [];

  constructor(world, url, options = {}) {
    const { channels = [], since = "now", transports = TRANSPORTS, padding = PADDINGS } = options;
    const { onstate = null, ongap = null, onerror = null } = options;
    Object.assign(this, { onstate, ongap, onerror });
    this.#world = world;
    this.#net = new Net(world, url, { ...options, transports });
    this.tab = tab(world);
    this.#reader = new Reader(this.#net, {
      message: (message) => this.#deliver(opened(message)),
      gap: (gap) => this.#call(this.ongap, gap),
      refused: (channel, error) => this.#refused(channel, error),
      failed: () => this.state === "open" || this.#enter({ state: "waiting" }),
      placed: (places) => this.#placed(places),
    });
    const hear = (news) => this.#hear(news);
    this.#tabs = new Tabs(this.#net, [padding].flat(), hear, () => this.#reader.places);
    const wake = () => this.#wake();
    this.#ends = [
      world.listen("online", wake),
      world.listen("visibilitychange", () => world.visible() && wake()),
      world.listen("pagehide", () => this.#leave()),
      world.listen("pageshow", ({ persisted }) => persisted && this.#comeBack()),
    ];
    this.#tabs.start();
    this.subscribe(channels, { since });
  }

  get state() {
    return this.#status.state;
  }

  get transport() {
    return this.#status.transport ?? null;
  }

  get padding() {
    return this.#status.padding ?? 0;
  }

  get leads() {
    return this.#tabs.leads;
  }

  get channels() {
    return this.#reader.channels;
  }

  get cursor() {
    return this.#reader.cursor;
  }

  on(pattern, handler) {
    const entry = { pattern, handler };
    this.#handlers.add(entry);
    return () => this.#handlers.delete(entry);
  }

  // Settles when all are begun, or refused.
  subscribe(channels, { since = "now" } = {}) {
    const wanted = [channels].flat();
    if (this.state === "closed") return Promise.resolve();
    const begun = wanted.filter((channel) => !(channel in this.#reader.places)).map(
      (channel) =>
        new Promise((done) => {
          const earlier = this.#begun.get(channel);
          this.#begun.set(channel, () => (earlier?.(), done()));
        }),
    );
    this.#reader.begin(wanted, since);
    return Promise.all(begun).then(() => {});
  }

  unsubscribe(channels) {
    const dropped = [channels].flat();
    for (const channel of dropped) this.#drop(channel);
    this.#tabs.drop(dropped);
  }

  // One after the other, so that they keep their order.
  publish(channel, data, more) {
    return new Promise((settle) => {
      if (this.#unsent.length >= WAITING_MAX) throw new Error("too many wait to be published");
      this.#unsent.push(() => {
        const answer = this.#net.publish(channel, data, more);
        settle(answer);
        return answer.catch(() => {});
      });
      this.#send();
    });
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#unsent.length) await this.#unsent.shift()();
    this.#sending = false;
  }

  // The page will not hear any answer: what waits goes now, and browsers see it through.
  #leave() {
    this.#unsent.splice(0).forEach((send) => send());
    this.#tabs.stop();
  }

  close() {
    if (this.state === "closed") return;
    this.#enter({ state: "closed" });
    this.#ends.forEach((end) => end());
    this.#tabs.stop();
    this.#reader.stop();
    this.#begun.forEach((done) => done());
    this.#iterators.forEach((iterator) => iterator.end());
  }

  async *[Symbol.asyncIterator]() {
    const waiting = [];
    let awake = () => {}, late = false;
    const iterator = {
      take(message) {
        late ||= waiting.length >= WAITING_MAX;
        if (!late) waiting.push(message);
        awake();
      },
      end: () => awake(),
    };
    this.#iterators.add(iterator);
    try {
      for (;;) {
        while (waiting.length) yield waiting.shift();
        if (late) throw new Error(`more than ${WAITING_MAX} messages waited for this iterator`);
        if (this.state === "closed") return;
        await new Promise((woken) => (awake = woken));
      }
    } finally {
      this.#iterators.delete(iterator);
    }
  }

  #hear(news) {
    if (news.error && this.channels.includes(news.channel)) this.#refused(news.channel, news.error);
    if (news.state) this.#enter(news);
    this.#reader.hear(news);
  }

  #deliver(message) {
    for (const { pattern, handler } of this.#handlers) if (matches(pattern, message.channel)) this.#call(handler, message);
    this.#iterators.forEach((iterator) => iterator.take(message));
  }

  #placed(places) {
    this.#tabs.want(places);
    for (const channel of Object.keys(places)) this.#settle(channel);
  }

  #refused(channel, error) {
    this.#drop(channel);
    this.#call(this.onerror, { channel, ...error });
  }

  #drop(channel) {
    this.#reader.end(channel);
    this.#settle(channel);
  }

  #settle(channel) {
    this.#begun.get(channel)?.();
    this.#begun.delete(channel);
  }

  #enter(status) {
    if (this.state === "closed") return;
    const { state, transport, padding } = this.#status;
    this.#status = status;
    if (state === status.state && transport === status.transport && padding === status.padding) return;
    this.#call(this.onstate, this.state);
  }

  // What an application does wrong is its own affair: the others are told all the same.
  #call(handler, value) {
    try {
      handler?.call(this, value);
    } catch (error) {
      this.#world.report(error);
    }
  }

  #wake() {
    this.#reader.wake();
    this.#tabs.wake();
  }

  // Out of the cache of pages: others lead now, and told what this one could not hear.
  #comeBack() {
    if (this.state === "closed") return;
    this.#tabs.start();
    this.#reader.doubt();
    this.#wake();
  }
}
