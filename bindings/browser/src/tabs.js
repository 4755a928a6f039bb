// One connection for all tabs of a browser that ask one server in one way. Whoever holds a Web Lock leads: it has the
// link, and tells all the others by a BroadcastChannel what it reads. The next in line takes the lock as soon as the
// leader is gone, is told by all what they want and from where, and goes on. What was lost in between each reader
// notices by itself (reader.js). Without locks or channels a tab has a link of its own.
//
// On the channel, each with who says it in `from`:
//   {lead}            somebody leads now: say what you want    {want: {channel: place}}  {drop: [channel]}  {bye}
//   {tell: …}         what the link tells                      {ping} {pong} {wake}      is the leader there?

import { Link } from "./link.js";
import { named } from "./tab.js";

const PING_MS = 10_000;
// A leader that is silent for so long is frozen. Only a tab that is looked at judges: its own timers run in time.
const PONG_MS = 5_000;

export class Tabs {
  #world;
  #make;
  #tell;
  #name;
  #me;
  #wanted;
  #link;
  #bus;
  // Of the lock that is held or waited for.
  #turn = new AbortController();
  #release = () => {};
  #members = new Map();
  #heard = false;
  #cancel = () => {};

  // `tell` is told what the link tells; `wanted` gives {channel: place}, now.
  constructor(net, paddings, tell, wanted) {
    this.#world = net.world;
    this.#make = (told) => new Link(net, paddings, told);
    [this.#tell, this.#wanted, this.#name] = [tell, wanted, net.key];
    this.#me = named(this.#world.random);
  }

  get leads() {
    return Boolean(this.#link);
  }

  start() {
    const { locks, BroadcastChannel } = this.#world;
    if (!locks || !BroadcastChannel) return this.#lead();
    this.#bus = new BroadcastChannel(this.#name);
    this.#bus.onmessage = ({ data }) => this.#hear(data);
    // Held for as long as this tab lives: so a leader learns when it does not.
    const turn = (this.#turn = new AbortController());
    // Whoever leads looks for this lock when it is told something: it is told only now, or once more.
    const mine = () => {
      this.want(this.#wanted());
      return new Promise((gone) => turn.signal.addEventListener("abort", gone));
    };
    locks.request(`${this.#name} ${this.#me}`, { signal: turn.signal }, mine).catch(() => {});
    this.#queue({ signal: turn.signal });
    this.#watch();
  }

  // Ends all of it. A tab that is put away starts anew when it comes back.
  stop() {
    this.#cancel();
    this.#say({ bye: true });
    this.#abdicate();
    this.#turn.abort();
    this.#release();
    this.#bus?.close();
    this.#bus = undefined;
  }

  want(wanted) {
    if (!Object.keys(wanted).length) return;
    if (this.#link) this.#want(this.#me, wanted);
    else this.#say({ want: wanted });
  }

  drop(channels) {
    if (this.#link) this.#drop(this.#me, channels);
    else this.#say({ drop: channels });
  }

  wake() {
    if (this.#link) this.#link.wake();
    else this.#say({ wake: true });
    if (this.#bus) this.#watch();
  }

  #say(what) {
    this.#bus?.postMessage({ ...what, from: this.#me });
  }

  // Waits for the lock, or takes it.
  #queue(how) {
    const { signal } = this.#turn;
    const held = () => {
      if (signal.aborted) return undefined;
      this.#lead();
      return new Promise((release) => (this.#release = release));
    };
    this.#world.locks.request(this.#name, how, held).catch(({ name }) => {
      if (signal.aborted) return;
      // Where locks are there and forbidden, as in a frame in a sandbox, each tab leads itself.
      if (name !== "AbortError") return this.#lead();
      // Somebody took it: this tab did not answer for too long.
      this.#abdicate();
      this.#queue({ signal });
    });
  }

  #lead() {
    if (this.#link) return;
    this.#link = this.#make((news) => {
      this.#say({ tell: news });
      this.#tell(news);
    });
    this.want(this.#wanted());
    this.#say({ lead: true });
  }

  #abdicate() {
    this.#link?.stop();
    this.#link = undefined;
    this.#members.clear();
  }

  #hear({ from, lead, want, drop, bye, tell, ping, pong, wake }) {
    if (this.#link) {
      if (want) this.#want(from, want);
      if (drop) this.#drop(from, drop);
      if (bye) this.#forget(from);
      if (wake) this.#link.wake();
      if (ping) this.#say({ pong: true });
      return;
    }
    if (lead) this.want(this.#wanted());
    if (tell) this.#tell(tell);
    if (lead || tell || pong) this.#heard = true;
  }

  #want(member, wanted) {
    if (!this.#members.has(member)) {
      this.#members.set(member, new Set());
      if (member !== this.#me) this.#attend(member);
    }
    for (const channel of Object.keys(wanted)) this.#members.get(member).add(channel);
    this.#link.want(wanted);
  }

  #drop(member, channels) {
    const held = this.#members.get(member);
    channels.forEach((channel) => held?.delete(channel));
    const others = [...this.#members.values()];
    this.#link.drop(channels.filter((channel) => !others.some((other) => other.has(channel))));
  }

  #forget(member) {
    const held = this.#members.get(member);
    if (!held) return;
    this.#members.delete(member);
    this.#drop(member, [...held]);
  }

  // A tab that ends without a word lets go of its lock.
  #attend(member) {
    const link = this.#link;
    const gone = () => link === this.#link && this.#forget(member);
    this.#world.locks.request(`${this.#name} ${member}`, { signal: this.#turn.signal }, gone).catch(() => {});
  }

  // Asks now and then whether the leader is there, as long as this tab is looked at.
  #watch() {
    this.#cancel();
    this.#heard = false;
    if (!this.#link && this.#world.visible()) this.#say({ ping: true });
    this.#cancel = this.#world.later(PONG_MS, () => {
      const silent = !this.#heard && !this.#link && this.#world.visible();
      if (silent) this.#queue({ steal: true });
      this.#cancel = this.#world.later(PING_MS - PONG_MS, () => this.#watch());
    });
  }
}
