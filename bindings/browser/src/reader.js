// Brings one application each message once and in order, whatever the line it hears tells twice or leaves out.
//
// It has a place of its own in each channel. What comes next there is handed on; what is behind it was seen; anything
// else means that the line and it stand at different places, and then it asks the server, from its own place on. The
// first place in a channel is asked for in the same way, so messages from before are there at once.

import { backoff, pause } from "./backoff.js";
import { pairs, relation, sameEpoch } from "./places.js";

// What the line told too early is kept meanwhile; beyond this the server is asked again.
const HELD_MAX = 1_000;

export class Reader {
  #net;
  #out;
  // By channel: {channel, since, place, behind}; no place before the server has told one.
  #entries = new Map();
  #held = [];
  #busy = false;
  // As many are asked for together: halved when they are refused, until it is known which is.
  #most = Infinity;
  #failures = 0;
  #life = new AbortController();
  #resume = () => {};

  // `out` takes message(message), gap(gap), refused(channel, told), failed(error), and placed({channel: place}).
  constructor(net, out) {
    [this.#net, this.#out] = [net, out];
  }

  // Reads these channels from `since` on.
  begin(channels, since) {
    for (const channel of channels) {
      if (!this.#entries.has(channel)) this.#entries.set(channel, { channel, since, place: undefined, behind: true });
    }
    this.#catchUp();
  }

  end(channel) {
    this.#entries.delete(channel);
  }

  get channels() {
    return [...this.#entries.keys()];
  }

  get places() {
    return Object.fromEntries(this.#placed.map(({ channel, place }) => [channel, place]));
  }

  get cursor() {
    return this.#placed.map(({ place }) => place).join(".");
  }

  get #placed() {
    return [...this.#entries.values()].filter(({ place }) => place !== undefined);
  }

  // The network may be back.
  wake() {
    this.#resume();
  }

  // Nobody knows what the line told in the meantime.
  doubt() {
    for (const entry of this.#entries.values()) entry.behind = true;
    this.#catchUp();
  }

  stop() {
    this.#life.abort();
    this.#entries.clear();
    this.#resume();
  }

  // Something that the line tells.
  hear(news) {
    for (const [channel, place] of Object.entries(news.places ?? {})) this.#compare(channel, place);
    if (news.channel !== undefined && news.id !== undefined) this.#step(news);
  }

  #compare(channel, place) {
    const entry = this.#entries.get(channel);
    if (entry?.place === undefined || relation(entry.place, place) === "seen") return;
    entry.behind = true;
    this.#catchUp();
  }

  #step(news) {
    const { channel, id, message, gap, from } = news;
    const entry = this.#entries.get(channel);
    if (entry?.place === undefined) return;
    const how = gap && from === entry.place ? "next" : relation(entry.place, id, message?.conflated);
    if (how === "seen") return;
    // A notice for a line that stood elsewhere is no notice for this reader.
    if (how === "next" && (!gap || from === entry.place)) {
      entry.place = id;
      if (gap) this.#out.gap(gap);
      else this.#out.message(message);
      return;
    }
    this.#held.push(news);
    if (this.#held.length > HELD_MAX) this.#held.shift();
    entry.behind = true;
    this.#catchUp();
  }

  async #catchUp() {
    if (this.#busy) return;
    this.#busy = true;
    for (let group; (group = this.#group()) && !this.#life.signal.aborted; ) {
      try {
        await this.#ask(group);
        this.#failures = 0;
        this.#most *= 2;
      } catch (error) {
        if (!this.#life.signal.aborted) await this.#failed(group, error);
      }
      const held = this.#held;
      this.#held = [];
      held.forEach((news) => this.#step(news));
    }
    this.#busy = false;
  }

  // Those that are behind and can be asked for together: they begin alike, or have places.
  #group() {
    const behind = [...this.#entries.values()].filter((entry) => entry.behind);
    const [first] = behind;
    if (!first) return undefined;
    return behind.filter(({ place, since }) => (first.place ? place : !place && since === first.since)).slice(0, this.#most);
  }

  async #ask(group) {
    const [first] = group;
    const asked = new Map(group.map((entry) => [entry.channel, { entry, place: entry.place }]));
    const since = first.place ? group.map(({ place }) => place).join(".") : first.since;
    group.forEach((entry) => (entry.behind = false));
    const channels = [...asked.keys()];
    const batch = await this.#net.ask("poll", channels, since, this.#life.signal).catch((error) => {
      group.forEach((entry) => (entry.behind = true));
      throw error;
    });
    // Left out: what was dropped since, and what the line has led into another epoch.
    const current = ({ channel }) => {
      const { entry, place } = asked.get(channel) ?? {};
      const same = entry && this.#entries.get(channel) === entry;
      return same && (!place || sameEpoch(place, entry.place)) ? entry : undefined;
    };
    this.#apply(batch, current, pairs(channels, batch.cursor));
    const begun = group.filter((entry) => !asked.get(entry.channel).place && entry.place && this.#entries.get(entry.channel) === entry);
    if (begun.length) this.#out.placed(Object.fromEntries(begun.map(({ channel, place }) => [channel, place])));
  }

  #apply({ messages, gaps = [] }, current, places) {
    const reached = new Map();
    const lost = new Set();
    for (const gap of gaps) {
      const entry = current(gap);
      if (!entry) continue;
      lost.add(entry);
      this.#out.gap(gap);
    }
    for (const message of messages) {
      const entry = reached.get(message.channel) ?? current(message);
      if (!entry || (entry.place && !lost.has(entry) && relation(entry.place, message.id) === "seen")) continue;
      lost.delete(entry);
      reached.set(message.channel, entry);
      entry.place = message.id;
      this.#out.message(message);
    }
    for (const [channel, place] of places) {
      const entry = reached.get(channel) ?? current({ channel });
      if (entry && (!entry.place || lost.has(entry) || relation(entry.place, place) !== "seen")) entry.place = place;
    }
  }

  async #failed(group, error) {
    if (error.final) {
      if (group.length > 1) return void (this.#most = group.length >> 1);
      const [{ channel }] = group;
      this.#entries.delete(channel);
      return this.#out.refused(channel, error.told);
    }
    const wait = backoff(++this.#failures, this.#net.world.random, error.retry);
    this.#out.failed(error, wait);
    await pause(this.#net.world, wait, (resume) => (this.#resume = resume));
  }
}
