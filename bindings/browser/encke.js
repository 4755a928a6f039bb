// Encke 0.1.0 for browsers. MIT or Apache-2.0. Made from bindings/browser/src.
let number = 0;
function byScript({ document }, address, signal) {
return new Promise((resolve, reject) => {
const callback = `encke_${number++}`;
const script = document.createElement("script");
globalThis[callback] = resolve;
script.onload = script.onerror = () => {
delete globalThis[callback];
script.remove();
reject(new TypeError("the script did not come"));
};
signal.addEventListener("abort", () => reject(new DOMException("given up", "AbortError")));
script.src = address(callback);
document.head.append(script);
});
}
const KEPT_BYTES = 8_192;
const SHORT_MS = 20_000;
const LONG_MS = 60_000;
class Refused extends Error {
constructor(status, { error = "refused", detail = "" }, retry) {
super(`${detail || error} (${status})`);
Object.assign(this, { name: "Refused", status, code: error, detail, retry });
}
get final() {
return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
}
}
class Net {
#base;
#fetched = false;
rtt = 0;
scripts = false;
constructor(world, url, { headers = {}, credentials = "same-origin", transports, patience = 900 }) {
Object.assign(this, { world, headers, credentials, transports, least: patience });
this.#base = new URL(url, world.base);
if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
this.scripts = transports.includes("jsonp") && !transports.includes("long-poll") && !transports.includes("poll");
}
get key() {
return `encke ${JSON.stringify([this.#base.href, this.headers, this.credentials, this.transports])}`;
}
get origin() {
return this.#base.href;
}
get patience() {
return Math.max(this.least, 2 * this.rtt + 250);
}
address(room, channel = "", more = {}) {
const address = new URL(this.#base);
address.pathname += room + channel.split("/").map(encodeURIComponent).join("/");
for (const [name, value] of Object.entries(more)) [value].flat().forEach((one) => address.searchParams.append(name, one));
return address.href;
}
reading(transport, [first, ...others], since, more = {}) {
return this.address("sub", first, { transport, channel: others, since, ...more });
}
async get(address, more) {
const { headers, credentials } = this;
const response = await this.world.fetch(address, { headers, credentials, cache: "no-store", ...more });
if (response.ok) return response;
const told = await response.json().catch(() => ({}));
throw new Refused(response.status, told, 1000 * (Number(response.headers.get("Retry-After")) || 0));
}
async ask(transport, channels, since, signal) {
const begun = this.world.now();
const limit = new AbortController();
const stop = () => limit.abort();
const late = this.world.later(transport === "poll" ? SHORT_MS : LONG_MS, stop);
signal?.addEventListener("abort", stop);
if (signal?.aborted) stop();
try {
const batch = await this.#batch(transport, channels, since, limit.signal);
if (transport === "poll") this.rtt = this.world.now() - begun;
return batch;
} finally {
late();
signal?.removeEventListener("abort", stop);
}
}
async #batch(transport, channels, since, signal) {
const scripted = transport === "poll" ? "jsonp-poll" : "jsonp";
const script = () => byScript(this.world, (callback) => this.reading(scripted, channels, since, { callback }), signal);
if (this.scripts) return script();
try {
const batch = await (await this.get(this.reading(transport, channels, since), { signal })).json();
this.#fetched = true;
return batch;
} catch (error) {
const forbidden = error instanceof TypeError && !this.#fetched && !signal.aborted;
if (!forbidden || !this.world.document || !this.transports.includes("jsonp")) throw error;
const batch = await script();
this.scripts = true;
return batch;
}
}
async publish(channel, data, { event, type } = {}) {
const bytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data) || data instanceof Blob;
const raw = bytes || typeof data === "string";
const headers = { ...this.headers };
headers["Content-Type"] = type ?? (bytes ? "application/octet-stream" : raw ? "text/plain; charset=utf-8" : "application/json");
if (event) headers["Encke-Event"] = encodeURIComponent(event);
const body = raw ? data : JSON.stringify(data);
const keepalive = new Blob([body]).size <= KEPT_BYTES;
return (await this.get(this.address("pub", channel), { method: "POST", body, headers, keepalive })).json();
}
}
function matches(pattern, channel) {
const [, base, star] = /^(.*\/)(\*\*?)$/.exec(pattern) ?? [];
if (!star) return pattern === channel;
const rest = channel.startsWith(base) ? channel.slice(base.length) : "";
return rest !== "" && (star === "**" || !rest.includes("/"));
}
const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const backoff = (failures, random, told = 0) =>
Math.max(told, random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10)));
const epoch = (id) => id.slice(0, id.lastIndexOf("-"));
const offset = (id) => Number(id.slice(id.lastIndexOf("-") + 1));
const sameEpoch = (one, other) => epoch(one) === epoch(other);
const before = (id) => `${epoch(id)}-${offset(id) - 1}`;
function relation(place, id) {
const distance = sameEpoch(place, id) ? offset(id) - offset(place) : Infinity;
return distance < 1 ? "seen" : distance === 1 ? "next" : "far";
}
function pairs(channels, cursor) {
const places = cursor.split(".");
return places.length === channels.length ? channels.map((channel, at) => [channel, places[at]]) : [];
}
const HELD_MAX = 1_000;
class Reader {
#net;
#out;
#entries = new Map();
#held = [];
#busy = false;
#most = Infinity;
#failures = 0;
#life = new AbortController();
#resume = () => {};
constructor(net, out) {
[this.#net, this.#out] = [net, out];
}
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
wake() {
this.#resume();
}
doubt() {
for (const entry of this.#entries.values()) entry.behind = true;
this.#catchUp();
}
stop() {
this.#life.abort();
this.#entries.clear();
this.#resume();
}
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
const how = gap && from === entry.place ? "next" : relation(entry.place, id);
if (how === "seen") return;
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
const current = ({ channel }) => {
const { entry, place } = asked.get(channel) ?? {};
const same = entry && this.#entries.get(channel) === entry;
return same && (!place || sameEpoch(place, entry.place)) ? entry : undefined;
};
const gaps = batch.gaps ?? (batch.gap ? channels.map((channel) => ({ channel, missed: null })) : []);
this.#apply(batch, gaps, current, pairs(channels, batch.cursor));
const begun = group.filter((entry) => !asked.get(entry.channel).place && entry.place && this.#entries.get(entry.channel) === entry);
if (begun.length) this.#out.placed(Object.fromEntries(begun.map(({ channel, place }) => [channel, place])));
}
#apply({ messages }, gaps, current, places) {
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
this.#entries.delete(group[0].channel);
return this.#out.refused(group[0].channel, error);
}
const wait = backoff(++this.#failures, this.#net.world.random, error.retry);
this.#out.failed(error, wait);
await new Promise((over) => {
const cancel = this.#net.world.later(wait, over);
this.#resume = () => {
cancel();
over();
};
});
}
}
const NAME = "encke tab";
const FREE = "encke tab free";
function tab({ session, random, listen }) {
const made = () => [0, 0].map(() => random().toString(36).slice(2, 12)).join("");
if (!session) return made();
try {
const free = session.getItem(FREE) === session.getItem(NAME) && session.getItem(NAME);
const name = free || current.get(session) || made();
session.setItem(NAME, name);
const use = () => session.removeItem(FREE);
use();
if (!current.has(session)) {
listen("pagehide", () => session.setItem(FREE, current.get(session)));
listen("pageshow", use);
}
current.set(session, name);
return name;
} catch {
return made();
}
}
const current = new Map();
function socket({ world }, address, { heard, event, ready }, signal) {
return new Promise((resolve, reject) => {
const socket = new world.WebSocket(address.replace(/^http/, "ws"));
socket.onopen = () => ready?.((wish) => socket.readyState === 1 && socket.send(JSON.stringify(wish)));
socket.onmessage = ({ data }) => {
heard();
event(JSON.parse(data));
};
socket.onclose = resolve;
socket.onerror = () => reject(new TypeError("the WebSocket failed"));
const stop = () => {
socket.onopen = socket.onmessage = null;
socket.close();
reject(new DOMException("given up", "AbortError"));
};
if (signal.aborted) stop();
else signal.addEventListener("abort", stop);
});
}
async function stream(net, address, { heard, event }, signal) {
const { body } = await net.get(address, { signal });
const reader = body.getReader();
const text = new TextDecoder();
for (let rest = ""; ; ) {
const { value, done } = await reader.read();
if (done) return;
heard();
const lines = (rest + text.decode(value, { stream: true })).split("\n");
rest = lines.pop();
for (const line of lines) if (line.trim()) event(JSON.parse(line));
}
}
const LONG_POLL = { transport: "long-poll", padding: 0 };
function shows(net, open, address, given) {
return new Promise((settle) => {
const cut = new AbortController();
const stop = () => cut.abort();
const done = (shown) => {
late();
given.removeEventListener("abort", stop);
stop();
settle(shown);
};
const late = net.world.later(net.patience, () => done(false));
given.addEventListener("abort", stop);
const fail = () => done(false);
open(net, address, { heard() {}, event: () => done(true) }, cut.signal).then(fail, fail);
if (given.aborted) stop();
});
}
async function probe(net, paddings, signal) {
const allowed = (transport) => net.transports.includes(transport);
const rest = new AbortController();
const stop = () => rest.abort();
signal.addEventListener("abort", stop);
const streams = (padding) => shows(net, stream, net.address("probe", "", { padding }), rest.signal);
const steps = allowed("stream") && !net.scripts ? paddings : [];
const sockets = allowed("websocket") && net.world.WebSocket && !Object.keys(net.headers).length;
const first = steps.length && streams(steps[0]);
try {
if (sockets && (await shows(net, socket, net.address("ws"), rest.signal))) return { transport: "websocket", padding: 0 };
for (const padding of steps) {
if (await (padding === steps[0] ? first : streams(padding))) return { transport: "stream", padding };
}
return { ...LONG_POLL };
} finally {
stop();
signal.removeEventListener("abort", stop);
}
}
const LIFE_MS = 3_600_000;
const key = (net) => `encke ${net.origin}`;
function recall(net) {
try {
const verdict = JSON.parse(net.world.local.getItem(key(net)));
const left = verdict.until - net.world.now();
return left > 0 && left <= LIFE_MS && net.transports.includes(verdict.transport) ? verdict : undefined;
} catch {
return undefined;
}
}
function remember(net, verdict) {
const dated = { ...verdict, until: net.world.now() + LIFE_MS };
try {
net.world.local.setItem(key(net), JSON.stringify(dated));
} catch {
}
return dated;
}
function forget(net) {
try {
net.world.local.removeItem(key(net));
} catch {
}
}
function report(net, { transport, padding }) {
const verdict = padding ? `${transport}.${padding}` : transport;
const { credentials } = net;
Promise.resolve(net.world.fetch(net.address("probe", "", { verdict }), { mode: "no-cors", credentials, cache: "no-store" })).catch(() => {});
}
const TICK_MS = 5_000;
const SLEPT_MS = 15_000;
const SILENT_MS = 60_000;
const SUSPECT_MS = 30_000;
const ASK_MS = 20_000;
const HELLO_MS = 5_000;
const CUT_POLLS_MAX = 3;
const POLLS_MS = 60_000;
const POLL_MS = 3_000;
const SETTLED_MS = 1_000;
const PROBES_MAX = 3;
class Link {
#net;
#paddings;
#tell;
#places = new Map();
#verdict;
#probing = false;
#life = new AbortController();
#cut = new AbortController();
#heard = 0;
#say;
#wishes = new Map();
#wish = 0;
#asked = false;
#state = { state: "connecting" };
#failures = 0;
#troubles = 0;
#probes = 0;
#unproved = 0;
#cutPolls = 0;
#pollsUntil = 0;
#resume = () => {};
constructor(net, paddings, tell) {
[this.#net, this.#paddings, this.#tell] = [net, paddings, tell];
this.#verdict = recall(net);
net.scripts ||= this.#verdict?.transport === "jsonp";
this.#run();
this.#tick(net.world.now());
}
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
this.#cut = new AbortController();
this.#heard = world.now();
let wait = 0;
try {
wait = await this.#hold(this.#cut.signal);
} catch (error) {
if (!this.#cut.signal.aborted || this.#cut.signal.reason === "dead") wait = await this.#failed(error);
}
this.#say = undefined;
if (wait > 0 && !this.#life.signal.aborted) {
if (this.#mode.transport !== "poll") this.#enter({ state: "waiting", wait });
await this.#pause(wait);
}
}
}
get #mode() {
if (this.#pollsUntil > this.#net.world.now()) return { transport: "poll", padding: 0 };
return this.#verdict ?? LONG_POLL;
}
#hold(signal) {
const { transport, padding } = this.#mode;
return transport === "websocket" || transport === "stream" ? this.#stay(transport, padding, signal) : this.#poll(signal);
}
async #poll(signal) {
const { world, transports } = this.#net;
const short = this.#mode.transport === "poll" || !["long-poll", "jsonp"].some((one) => transports.includes(one));
const transport = short || this.#failures ? "poll" : "long-poll";
const open = () => this.#opened(this.#net.scripts ? "jsonp" : short ? "poll" : "long-poll");
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
const silent = world.later(HELLO_MS, () => greeted || this.#cut.abort("dead"));
const sink = {
heard: () => (this.#heard = world.now()),
event: (event) => {
if (signal.aborted) return;
if ("close" in event) farewell = event;
else this.#hear(event);
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
if (transport === "websocket") await socket(this.#net, this.#net.address("ws"), sink, signal);
else await stream(this.#net, this.#net.reading(transport, this.#channels, this.#cursor, { padding }), sink, signal);
} catch (error) {
if (!farewell || signal.aborted) throw error;
} finally {
silent();
if (greeted && world.now() - greeted > SETTLED_MS) this.#failures = 0;
if (!greeted && !(signal.aborted && signal.reason !== "dead") && ++this.#unproved > 1) this.#doubt();
}
if (farewell) return farewell.retry;
throw new TypeError("the connection was cut");
}
#doubt() {
this.#unproved = 0;
this.#verdict = undefined;
forget(this.#net);
}
#subscribe(channel) {
this.#wishes.set(++this.#wish, channel);
this.#say({ subscribe: channel, since: this.#places.get(channel), ref: this.#wish });
}
#hear(event) {
const { channel, id, gap, end, error, ref } = event;
this.#asked = false;
if ("data" in event) this.#message(event);
else if (gap) this.#gap(gap.channel, id, gap.missed);
else if (end) this.#gap(end.channel, id, null);
else if (error && this.#wishes.has(ref)) {
const refused = this.#wishes.get(ref);
this.#wishes.delete(ref);
if (["busy", "stopping"].includes(error)) this.#cut.abort("dead");
else this.#refuse(refused, new Refused(error === "forbidden" ? 403 : 400, event));
} else if (event.subscribed) this.#wishes.delete(ref);
}
#take(channels, { cursor, gap, gaps, messages }) {
const places = new Map(pairs(channels, cursor));
const lost = gaps ?? (gap ? channels.map((channel) => ({ channel, missed: null })) : []);
for (const { channel, missed } of lost) {
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
this.#tell({ error: { status: error.status, code: error.code, detail: error.detail, message: error.message }, channel });
}
#opened(transport, padding = 0) {
this.#enter({ state: "open", transport, padding });
const stale = this.#verdict?.transport !== "websocket" && !(this.#verdict?.until > this.#net.world.now());
if (stale && !this.#probing) this.#prove();
}
async #prove() {
this.#probing = true;
const troubles = this.#troubles;
const verdict = await probe(this.#net, this.#paddings, this.#life.signal);
this.#probing = false;
if (this.#life.signal.aborted) return;
const doubtful = troubles !== this.#troubles && verdict.transport !== "websocket";
if (doubtful && ++this.#probes < PROBES_MAX) return;
this.#probes = 0;
const held = this.#mode;
if (this.#net.scripts && verdict.transport === "long-poll") verdict.transport = "jsonp";
this.#verdict = remember(this.#net, verdict);
report(this.#net, verdict);
if (verdict.transport !== held.transport || verdict.padding !== held.padding) this.#cut.abort();
}
async #failed(error) {
if (error.final && (await this.#weed().catch(() => {}))) return 0;
this.#failures++;
this.#troubles++;
return backoff(this.#failures, this.#net.world.random, error.retry);
}
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
return new Promise((over) => {
const cancel = ms === Infinity ? () => {} : this.#net.world.later(ms, over);
this.#resume = () => {
cancel();
over();
};
});
}
#tick(last) {
const { world } = this.#net;
const cancel = world.later(TICK_MS, () => {
this.#life.signal.removeEventListener("abort", cancel);
const now = world.now();
const slept = now - last > SLEPT_MS;
const age = now - this.#heard;
if (this.#say && (slept || age > ASK_MS)) this.#ask();
else if (!this.#say && age > (slept ? SUSPECT_MS : SILENT_MS)) this.#cut.abort("dead");
this.#tick(now);
});
this.#life.signal.addEventListener("abort", cancel);
}
#ask() {
if (!this.#say || this.#asked) return;
this.#asked = true;
const cut = this.#cut;
this.#say({ ping: true });
this.#net.world.later(HELLO_MS, () => this.#asked && cut === this.#cut && cut.abort("dead"));
}
}
const PING_MS = 10_000;
const PONG_MS = 5_000;
class Tabs {
#world;
#make;
#tell;
#name;
#me;
#wanted;
#link;
#bus;
#turn = new AbortController();
#release = () => {};
#members = new Map();
#heard = false;
#cancel = () => {};
constructor(net, paddings, tell, wanted) {
this.#world = net.world;
this.#make = (told) => new Link(net, paddings, told);
[this.#tell, this.#wanted, this.#name] = [tell, wanted, net.key];
const random = () => this.#world.random().toString(36).slice(2);
this.#me = random() + random();
}
get leads() {
return Boolean(this.#link);
}
start() {
const { locks, BroadcastChannel } = this.#world;
if (!locks || !BroadcastChannel) return this.#lead();
this.#bus = new BroadcastChannel(this.#name);
this.#bus.onmessage = ({ data }) => this.#hear(data);
const turn = (this.#turn = new AbortController());
const mine = () => {
this.want(this.#wanted());
return new Promise((gone) => turn.signal.addEventListener("abort", gone));
};
locks.request(`${this.#name} ${this.#me}`, { signal: turn.signal }, mine).catch(() => {});
this.#queue({ signal: turn.signal });
this.#watch();
}
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
#queue(how) {
const { signal } = this.#turn;
const held = () => {
if (signal.aborted) return undefined;
this.#lead();
return new Promise((release) => (this.#release = release));
};
this.#world.locks.request(this.#name, how, held).catch(({ name }) => {
if (signal.aborted) return;
if (name !== "AbortError") return this.#lead();
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
#attend(member) {
const link = this.#link;
const gone = () => link === this.#link && this.#forget(member);
this.#world.locks.request(`${this.#name} ${member}`, { signal: this.#turn.signal }, gone).catch(() => {});
}
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
const TRANSPORTS = ["websocket", "stream", "long-poll", "jsonp", "poll"];
const PADDINGS = [0, 4_096, 8_192];
const WAITING_MAX = 10_000;
function opened(message) {
const { encoding, ...plain } = message;
return encoding === "base64" ? { ...plain, data: Uint8Array.from(atob(plain.data), (byte) => byte.charCodeAt(0)) } : message;
}
class Feed {
#world;
#net;
#reader;
#tabs;
#handlers = new Set();
#iterators = new Set();
#status = { state: "connecting" };
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
const { status, code, detail, message } = error;
this.#call(this.onerror, { channel, status, code, detail, message });
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
#comeBack() {
if (this.state === "closed") return;
this.#tabs.start();
this.#reader.doubt();
this.#wake();
}
}
function storage(name) {
try {
const store = globalThis[name];
store.getItem("");
return store;
} catch {
return undefined;
}
}
function browser() {
const { document, navigator, location, WebSocket, BroadcastChannel } = globalThis;
return {
base: document?.baseURI ?? location?.href,
now: () => Date.now(),
random: () => Math.random(),
later(ms, then) {
const timer = setTimeout(then, ms);
return () => clearTimeout(timer);
},
fetch: (...request) => globalThis.fetch(...request),
WebSocket,
document,
BroadcastChannel,
locks: navigator?.locks,
local: storage("localStorage"),
session: storage("sessionStorage"),
visible: () => document?.visibilityState !== "hidden",
listen(name, handler) {
const target = name === "visibilitychange" ? document : globalThis;
target?.addEventListener?.(name, handler);
return () => target?.removeEventListener?.(name, handler);
},
report: (error) => (globalThis.reportError ?? console.error)(error),
};
}
function connect(url, options) {
return new Feed(browser(), url, options);
}
export { connect };
export default { connect };
