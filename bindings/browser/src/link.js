// One connection to the server, for as many channels as its readers want. It begins on a long-poll, has the transports
// probed beside that, and goes over to what has proved itself. It comes back after every end, behind what it has told.
//
// It tells what it reads, in order: {channel, id, message}, {channel, id, gap, from}, {places}, {state}, {error, channel}.
// It may tell something twice or leave something out when it was cut off; ids let each reader know (reader.js).

import { backoff, pause } from "./backoff.js";
import { Refused } from "./net.js";
import { before, pairs, relation } from "./places.js";
import { probe } from "./probe.js";
import { socket } from "./socket.js";
import { stream } from "./stream.js";
import { forget, recall, remember, report } from "./verdict.js";

const TICK_MS = 5_000;
// A tick so late means that the machine slept.
const SLEPT_MS = 15_000;
// A connection that was silent for so long is dead: a server's heart beats each 25 seconds, and a long-poll ends.
const SILENT_MS = 60_000;
// After a sleep less is believed.
const SUSPECT_MS = 30_000;
// A WebSocket that has been silent for so long is asked whether it lives.
const ASK_MS = 20_000;
// How long what has proved itself may take to say hello, or to answer.
const HELLO_MS = 5_000;
// Long-polls that fail while polls are answered are given up for a while.
const CUT_POLLS_MAX = 3;
const POLLS_MS = 60_000;
const POLL_MS = 3_000;
// Whoever is cut off sooner than this after a hello waits longer each time.
const SETTLED_MS = 1_000;
// Between two tokens that are brought for one connection.
const RENEW_MS_MIN = 1_000;
const RENEW_MS_MAX = 86_400_000;
// Probes that the network broke off are tried again so often.
const PROBES_MAX = 3;

export class Link {
  #net;
  #paddings;
  #tell;
  #places = new Map();
  #verdict;
  #probing = false;
  #life = new AbortController();
  // Of the connection under way: what cuts it off, and whether because nothing came; when it last said anything; what says
  // something on it.
  #cut = new AbortController();
  #dead = false;
  #heard = 0;
  #say;
  // Wishes on a WebSocket, by number.
  #wishes = new Map();
  #wish = 0;
  #asked = false;
  #state = { state: "connecting" };
  #failures = 0;
  #troubles = 0;
  #probes = 0;
  // Failures in a row without a hello; long-polls in a row that failed while a poll did not.
  #unproved = 0;
  #cutPolls = 0;
  #pollsUntil = 0;
  #resume = () => {};
  // What the connection is called; what keeps another token from being brought for it.
  #held;
  #renewed = () => {};

  constructor(net, paddings, tell) {
    [this.#net, this.#paddings, this.#tell] = [net, paddings, tell];
    this.#verdict = recall(net);
    net.scripts ||= this.#verdict?.transport === "jsonp";
    this.#run();
    this.#tick(net.world.now());
  }

  // Reads these channels too: {channel: place}. Where one is read already, its readers learn how far.
  want(wanted) {
    const added = Object.keys(wanted).filter((channel) => !this.#places.has(channel));
    for (const channel of added) this.#places.set(channel, wanted[channel]);
    const known = Object.keys(wanted).map((channel) => [channel, this.#places.get(channel)]);
    this.#tell({ places: Object.fromEntries(known) });
    this.#tell(this.#state);
    if (added.length) this.#change(() => added.forEach((channel) => this.#subscribe(channel)));
  }

  drop(channels) {
    const dropped = channels.filter((channel) => this.#places.delete(channel));
    if (dropped.length) this.#change(() => this.#say({ unsubscribe: dropped }));
  }

  // The network may be back, or the page be looked at.
  wake() {
    this.#resume();
    this.#ask();
  }

  stop() {
    this.#life.abort();
    this.#cut.abort();
    this.#resume();
  }

  get #channels() {
    return [...this.#places.keys()];
  }

  get #cursor() {
    return [...this.#places.values()].join(".");
  }

  // Whether the connection under way was cut off on purpose.
  get #left() {
    return this.#cut.signal.aborted && !this.#dead;
  }

  // It is cut off because nothing comes of it.
  #bury() {
    this.#dead = !this.#left;
    this.#cut.abort();
  }

  // What the connection is to read has changed: it is told so, or opened anew.
  #change(tell) {
    if (this.#say) tell();
    else this.#cut.abort();
    if (this.#places.size) this.#resume();
  }

  async #run() {
    const { world } = this.#net;
    while (!this.#life.signal.aborted) {
      if (!this.#places.size) {
        await this.#pause(Infinity);
        continue;
      }
      [this.#cut, this.#dead] = [new AbortController(), false];
      this.#heard = world.now();
      let wait = 0;
      try {
        wait = await this.#hold(this.#cut.signal);
      } catch (error) {
        // Cut off on purpose: it goes on at once.
        if (!this.#left) wait = await this.#failed(error);
      }
      this.#say = undefined;
      if (wait > 0 && !this.#life.signal.aborted) {
        if (this.#failures || this.#mode.transport !== "poll") this.#enter({ state: "waiting", wait });
        await this.#pause(wait);
      }
    }
  }

  get #mode() {
    const mode = this.#verdict ?? { transport: "long-poll", padding: 0 };
    const { world, transports } = this.#net;
    const polls = mode.transport === "long-poll" && !["long-poll", "jsonp"].some((one) => transports.includes(one));
    return polls || this.#pollsUntil > world.now() ? { transport: "poll", padding: 0 } : mode;
  }

  // Gives how long to wait before the next, once the connection has ended well.
  #hold(signal) {
    const { transport, padding } = this.#mode;
    return transport === "websocket" || transport === "stream" ? this.#stay(transport, padding, signal) : this.#poll(signal);
  }

  async #poll(signal) {
    const { world } = this.#net;
    const short = this.#mode.transport === "poll";
    // Behind a failure a poll says at once whether anything works.
    const transport = short || this.#failures ? "poll" : "long-poll";
    const open = () => this.#opened(this.#net.scripts ? "jsonp" : short ? "poll" : "long-poll");
    // Places came with a good answer, and behind a failure there is another before this.
    if (transport === "long-poll") open();
    const channels = this.#channels;
    const batch = await this.#net.ask(transport, channels, this.#cursor, signal);
    if (signal.aborted) return 0;
    this.#take(channels, batch);
    this.#failures = 0;
    if (transport === "long-poll") this.#cutPolls = 0;
    else if (!short && ++this.#cutPolls >= CUT_POLLS_MAX) this.#pollsUntil = world.now() + POLLS_MS;
    open();
    return short ? POLL_MS / 2 + (world.random() * POLL_MS) / 2 : 0;
  }

  async #stay(transport, padding, signal) {
    const { world } = this.#net;
    let greeted = 0, farewell;
    const silent = world.later(HELLO_MS, () => greeted || this.#bury());
    const sink = {
      heard: () => (this.#heard = world.now()),
      event: (event) => {
        if (signal.aborted) return;
        if ("close" in event) farewell = event;
        else this.#hear(event);
        this.#renewIn(event.renewed ?? event, signal);
        if (greeted || event.cursor === undefined) return;
        greeted = world.now();
        this.#unproved = 0;
        this.#say = say;
        this.#wishes.clear();
        if (say) this.#channels.forEach((channel) => this.#subscribe(channel));
        this.#opened(transport, padding);
      },
      ready: (given) => (say = given),
    };
    let say;
    try {
      const shown = transport === "websocket" && this.#net.token ? await this.#net.shown() : {};
      if (transport === "websocket") await socket(this.#net, this.#net.address("ws", "", shown), sink, signal);
      else await stream(this.#net, this.#net.reading(transport, this.#channels, this.#cursor, { padding }), sink, signal);
    } catch (error) {
      if (!farewell || signal.aborted) throw error;
    } finally {
      silent();
      this.#renewed();
      if (greeted && world.now() - greeted > SETTLED_MS) this.#failures = 0;
      if (!greeted && !this.#left && ++this.#unproved > 1) this.#doubt();
    }
    // A server that says goodbye says when to come back, too.
    if (farewell) return farewell.retry;
    throw new TypeError("the connection was cut");
  }

  // Who is held by a token brings another one in time. What is refused then is told when the connection ends by it.
  #renewIn({ session, expires_in: left }, signal) {
    if (left === undefined || left === null || !this.#net.token) return;
    this.#held = session ?? this.#held;
    this.#renewed();
    const wait = Math.min(Math.max((left * 3) / 4, RENEW_MS_MIN), RENEW_MS_MAX);
    this.#renewed = this.#net.world.later(wait, async () => {
      try {
        if (this.#say) this.#say(await this.#net.shown());
        else this.#renewIn(await this.#net.renew(this.#held), signal);
      } catch (error) {
        if (!signal.aborted && !error.final) this.#renewIn({ expires_in: left / 4 }, signal);
      }
      if (signal.aborted) this.#renewed();
    });
  }

  // What worked once does so no more.
  #doubt() {
    this.#unproved = 0;
    this.#verdict = undefined;
    forget(this.#net);
  }

  #subscribe(channel) {
    this.#wishes.set(++this.#wish, channel);
    this.#say({ subscribe: channel, since: this.#places.get(channel), ref: this.#wish });
  }

  // One event of a stream or a WebSocket.
  #hear(event) {
    const { channel, id, gap, end, error, ref } = event;
    this.#asked = false;
    if ("data" in event) this.#message(event);
    else if (gap) this.#gap(gap.channel, id, gap.missed);
    else if (end) this.#gap(end.channel, id, null);
    else if (error && this.#wishes.has(ref)) {
      const refused = this.#wishes.get(ref);
      this.#wishes.delete(ref);
      // A server that has no room now may have some later.
      if (["busy", "stopping"].includes(error)) this.#bury();
      else this.#refuse(refused, new Refused(error === "forbidden" ? 403 : 400, event));
    } else if (event.subscribed) this.#wishes.delete(ref);
  }

  #take(channels, { cursor, gaps = [], messages }) {
    // Behind a gap a channel goes on with the first message that is there, or else where the cursor says.
    const places = new Map(pairs(channels, cursor));
    for (const { channel, missed } of gaps) {
      const first = messages.find((message) => message.channel === channel);
      const id = first ? before(first.id) : places.get(channel);
      if (id) this.#gap(channel, id, missed);
    }
    messages.forEach((message) => this.#message(message));
    for (const [channel, id] of places) if (this.#places.has(channel)) this.#places.set(channel, id);
  }

  #message(message) {
    const { channel, id } = message;
    const place = this.#places.get(channel);
    if (place === undefined || relation(place, id) === "seen") return;
    this.#places.set(channel, id);
    this.#tell({ channel, id, message });
  }

  #gap(channel, id, missed) {
    const from = this.#places.get(channel);
    if (from === undefined) return;
    this.#places.set(channel, id);
    this.#tell({ channel, id, gap: { channel, missed }, from });
  }

  #refuse(channel, error) {
    if (!this.#places.delete(channel)) return;
    this.#tell({ error: error.told, channel });
  }

  #opened(transport, padding = 0) {
    this.#enter({ state: "open", transport, padding });
    // What is best works until it fails; anything less is tried again when its hour is over.
    const stale = this.#verdict?.transport !== "websocket" && !(this.#verdict?.until > this.#net.world.now());
    if (stale && !this.#probing) this.#prove();
  }

  async #prove() {
    this.#probing = true;
    const troubles = this.#troubles;
    const verdict = await probe(this.#net, this.#paddings, this.#life.signal);
    this.#probing = false;
    if (this.#life.signal.aborted) return;
    // What failed beside a poll that failed too says nothing of the way.
    const doubtful = troubles !== this.#troubles && verdict.transport !== "websocket";
    if (doubtful && ++this.#probes < PROBES_MAX) return;
    this.#probes = 0;
    const held = this.#mode;
    this.#verdict = remember(this.#net, verdict);
    report(this.#net, verdict);
    if (verdict.transport !== held.transport || verdict.padding !== held.padding) this.#cut.abort();
  }

  // Gives how long to wait.
  async #failed(error) {
    if (error.final && (await this.#weed().catch(() => {}))) return 0;
    this.#failures++;
    this.#troubles++;
    return backoff(this.#failures, this.#net.world.random, error.retry);
  }

  // One of the channels is refused, and all with it, or they are too many. The first that make it so is found; it is left
  // out, and if it is not to blame by itself, all that came behind it. Gives whether any was.
  async #weed() {
    const all = [...this.#places];
    const refusal = async (some) => {
      try {
        await this.#net.ask("poll", some.map(([channel]) => channel), some.map(([, place]) => place).join("."), this.#life.signal);
      } catch (error) {
        if (error.final) return error;
        throw error;
      }
    };
    let why = await refusal(all);
    if (!why) return;
    // So many are read together, and so many are not.
    let well = 0, ill = all.length;
    while (ill - well > 1) {
      const middle = (well + ill) >> 1;
      const error = await refusal(all.slice(0, middle));
      if (error) [ill, why] = [middle, error];
      else well = middle;
    }
    const alone = await refusal([all[well]]);
    for (const [channel] of all.slice(well, alone ? ill : undefined)) this.#refuse(channel, alone ?? why);
    return true;
  }

  #enter(state) {
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    this.#tell(state);
  }

  #pause(ms) {
    return pause(this.#net.world, ms, (resume) => (this.#resume = resume));
  }

  #tick(last) {
    const { world } = this.#net;
    const cancel = world.later(TICK_MS, () => {
      this.#life.signal.removeEventListener("abort", cancel);
      const now = world.now();
      const slept = now - last > SLEPT_MS;
      const age = now - this.#heard;
      if (this.#say && (slept || age > ASK_MS)) this.#ask();
      else if (!this.#say && age > (slept ? SUSPECT_MS : SILENT_MS)) this.#bury();
      this.#tick(now);
    });
    this.#life.signal.addEventListener("abort", cancel);
  }

  // Browsers show no pings to a page, so it asks on its own whether anybody is there.
  #ask() {
    if (!this.#say || this.#asked) return;
    this.#asked = true;
    const cut = this.#cut;
    this.#say({ ping: true });
    this.#net.world.later(HELLO_MS, () => this.#asked && cut === this.#cut && this.#bury());
  }
}
