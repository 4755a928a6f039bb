// Requests: addresses, asking for a batch by fetch or by a script tag, and publishing.
//
// Whether fetch may read this server's answers is found out by asking: where it never could, a script tag is tried.

import { byScript } from "./script.js";
import { within } from "./within.js";

// What a browser sees through when the page has gone: 64 KiB in all.
const KEPT_BYTES = 8_192;
// How long an answer may take that is not held back on purpose; and one that is, or one to a message, which may be large.
const SHORT_MS = 20_000;
const LONG_MS = 60_000;

// The server understood, and will not.
export class Refused extends Error {
  constructor(status, { error = "refused", detail = "" }, retry) {
    super(`${detail || error} (${status})`);
    Object.assign(this, { name: "Refused", status, code: error, detail, retry });
  }

  // What an application is told; tabs tell it each other, too.
  get told() {
    const { status, code, detail, message } = this;
    return { status, code, detail, message };
  }

  // Whether it will say the same again.
  get final() {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
  }
}

export class Net {
  #base;
  #user;
  #fetched = false;
  // A round trip as last measured.
  rtt = 0;
  // Batches come by script tags.
  scripts = false;

  constructor(world, url, { headers = {}, credentials = "same-origin", transports, patience = 900, token, user }) {
    Object.assign(this, { world, headers, credentials, transports, least: patience, token });
    // Tabs share what one user may read, and only if they say that they are of one.
    this.#user = token && (user ?? world.random());
    this.#base = new URL(url, world.base);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    // Who names JSONP and no long-poll wants nothing else.
    this.scripts = transports.includes("jsonp") && !transports.includes("long-poll") && !transports.includes("poll");
  }

  // What tells one server and way of asking from another.
  get key() {
    const user = this.token ? [this.#user] : [];
    return `encke ${JSON.stringify([this.#base.href, this.headers, this.credentials, this.transports, ...user])}`;
  }

  get origin() {
    return this.#base.href;
  }

  // How long a hello may take: proxies on the way hold what they have for up to a quarter of a second.
  get patience() {
    return Math.max(this.least, 2 * this.rtt + 250);
  }

  address(room, channel = "", more = {}) {
    const address = new URL(this.#base);
    address.pathname += room + channel.split("/").map(encodeURIComponent).join("/");
    for (const [name, value] of Object.entries(more)) [value].flat().forEach((one) => address.searchParams.append(name, one));
    return address.href;
  }

  // Where `channels` are read from `since` on.
  reading(transport, [first, ...others], since, more = {}) {
    return this.address("sub", first, { transport, channel: others, since, ...more });
  }

  // What shows who it is, in a query, where no header can be sent.
  async shown() {
    const token = await this.token?.(false);
    return token ? { token } : {};
  }

  // Asks, and gives the response if it is a good one. A token that is good no more is replaced once.
  async get(address, more) {
    const { headers, credentials } = this;
    const ask = async (refused) => {
      const token = this.token && (await this.token(refused));
      const all = { ...headers, ...more?.headers, ...(token && { Authorization: `Bearer ${token}` }) };
      return this.world.fetch(address, { credentials, cache: "no-store", ...more, headers: all });
    };
    let response = await ask(false);
    if (response.status === 401 && this.token) response = await ask(true);
    if (response.ok) return response;
    const told = await response.json().catch(() => ({}));
    throw new Refused(response.status, told, 1000 * (Number(response.headers.get("Retry-After")) || 0));
  }

  // One batch, by "poll" or "long-poll".
  async ask(transport, channels, since, signal) {
    const begun = this.world.now();
    const poll = transport === "poll";
    const batch = await within(this.world, poll ? SHORT_MS : LONG_MS, signal, (limit) => this.#batch(transport, channels, since, limit));
    if (poll) this.rtt = this.world.now() - begun;
    return batch;
  }

  // Brings another token for what is held under this name; gives for how long it holds.
  async renew(session) {
    return (await this.get(this.address("token", "", { session }), { method: "POST" })).json();
  }

  async #batch(transport, channels, since, signal) {
    const scripted = transport === "poll" ? "jsonp-poll" : "jsonp";
    const script = async () => {
      const shown = this.token && (await this.shown());
      return byScript(this.world, (callback) => this.reading(scripted, channels, since, { callback, ...shown }));
    };
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
    const headers = {};
    headers["Content-Type"] = type ?? (bytes ? "application/octet-stream" : raw ? "text/plain; charset=utf-8" : "application/json");
    if (event) headers["Encke-Event"] = encodeURIComponent(event);
    const body = raw ? data : JSON.stringify(data);
    const keepalive = new Blob([body]).size <= KEPT_BYTES;
    return within(this.world, LONG_MS, undefined, async (signal) =>
      (await this.get(this.address("pub", channel), { method: "POST", body, headers, keepalive, signal })).json(),
    );
  }
}
