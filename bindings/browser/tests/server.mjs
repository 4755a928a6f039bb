// A server as its clients see it, and the network before it, in virtual time: enough of Encke's HTTP and WebSockets for
// the client's logic. What real servers, proxies and browsers do is tested with them (tests/browser_client).

const LONG_POLL_MS = 25_000;
const HEARTBEAT_MS = 25_000;
const LATENCY_MS = 5;

export class Server {
  // What the network does to clients: nothing passes; fetch may read nothing; sockets fail; streams are held back until so
  // many bytes have come (Infinity for the whole body); long-polls are cut off.
  network = { down: false, deaf: false, sockets: true, buffer: 0, cutPolls: false };
  history = 1_000;
  forbidden = new Set();
  // Channels that one connection may have.
  most = 64;
  // When each token ends, if tokens are needed.
  tokens;
  requests = [];
  held = new Set();
  #channels = new Map();
  #incarnation = 0;

  constructor(clock) {
    this.clock = clock;
  }

  channel(name) {
    if (!this.#channels.has(name)) {
      const epoch = `${[...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7).toString(36)}x${this.#incarnation}`.padStart(12, "0");
      this.#channels.set(name, { name, epoch, messages: [], first: 1 });
    }
    return this.#channels.get(name);
  }

  // With `left`, a message that nobody is told, since a later one that is `conflated` tells more.
  publish(name, data, more = {}) {
    const channel = this.channel(name);
    const id = `${channel.epoch}-${channel.first + channel.messages.length}`;
    channel.messages.push({ channel: name, id, data, ...more });
    while (channel.messages.length > this.history) channel.messages.shift(), channel.first++;
    for (const reader of [...this.held]) reader.look();
    return id;
  }

  // Everybody is cut off, and nothing is remembered.
  restart() {
    this.cut();
    this.#incarnation++;
    this.#channels.clear();
  }

  cut() {
    for (const reader of [...this.held]) reader.end(new TypeError("cut"));
  }

  // The lines to all that are held die without a word.
  silence() {
    for (const reader of this.held) reader.dead = true;
    this.held.clear();
  }

  // Each stream and WebSocket is told that the server stops.
  drain(retry) {
    for (const reader of [...this.held]) reader.farewell?.(retry);
  }

  // The next offsets of `channels` for a reader that comes `since`; those that were lost.
  #positions(channels, since) {
    const places = new Map(since.split(".").map((place) => [place.slice(0, place.lastIndexOf("-")), Number(place.slice(place.lastIndexOf("-") + 1))]));
    const of = (epoch, channel) => epoch.slice(0, -2).endsWith(channel.epoch.slice(0, -2));
    const all = channels.map((name) => this.channel(name));
    return all.map((channel) => {
      const end = channel.first + channel.messages.length;
      const position = { channel, epoch: channel.epoch, next: end, lost: false };
      if (since === "earliest") position.next = channel.first;
      else if (since !== "now") {
        const offset = places.get(channel.epoch);
        const former = [...places.keys()].some((epoch) => of(epoch, channel));
        if (offset !== undefined) position.next = offset + 1;
        else if (former) Object.assign(position, { next: channel.first, lost: true, missed: null });
      }
      return position;
    });
  }

  // What a reader at `position` is told, which moves it on.
  #news(position) {
    const { channel } = position;
    const news = [];
    if (position.epoch !== channel.epoch) Object.assign(position, { epoch: channel.epoch, next: channel.first, lost: true, missed: null });
    if (position.next < channel.first) Object.assign(position, { lost: true, missed: channel.first - position.next, next: channel.first });
    if (position.lost) news.push({ gap: { channel: channel.name, missed: position.missed }, id: `${channel.epoch}-${position.next - 1}` });
    news.push(...channel.messages.slice(position.next - channel.first).filter(({ left }) => !left));
    Object.assign(position, { lost: false, next: channel.first + channel.messages.length });
    return news;
  }

  #cursor = (positions) => positions.map(({ epoch, next }) => `${epoch}-${next - 1}`).join(".");

  #batch(positions) {
    const news = positions.flatMap((position) => this.#news(position));
    const gaps = news.filter((one) => one.gap).map((one) => one.gap);
    const batch = { cursor: this.#cursor(positions), gap: gaps.length > 0, messages: news.filter((one) => !one.gap) };
    return gaps.length ? { ...batch, gaps } : batch;
  }

  // A round trip, unless nothing passes.
  #travel(signal) {
    return new Promise((arrived, failed) => {
      const abort = () => failed(new DOMException("aborted", "AbortError"));
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      this.clock.later(LATENCY_MS, () => (this.network.down ? failed(new TypeError("down")) : arrived()));
    });
  }

  // What is wrong with a token now.
  #wrong(token) {
    const ends = this.tokens?.get(token);
    if (!this.tokens || ends > this.clock.now) return undefined;
    return json({ error: ends === undefined ? "bad_token" : "token_expired", detail: "no" }, 401);
  }

  // Whoever is held by a token is told for how long, and ends with it.
  #hello(hello, reader, token) {
    const ends = this.tokens?.get(token);
    if (ends === undefined) return hello;
    const session = `session${this.sessions.length}`;
    const hold = (ends) => {
      reader.over?.();
      reader.over = this.clock.later(ends - this.clock.now, () => reader.farewell(2_000, "token_expired"));
      return ends - this.clock.now;
    };
    this.sessions.push((token) => hold(this.tokens.get(token)));
    return { ...hello, session, expires_in: hold(ends) };
  }

  // By number.
  sessions = [];

  fetch = async (address, { signal, method = "GET", body, mode, headers = {} } = {}) => {
    const url = new URL(address);
    this.requests.push(`${method} ${url.pathname}${url.search}`);
    await this.#travel(signal);
    if (this.network.deaf && mode !== "no-cors") throw new TypeError("deaf");
    return this.#answer(url, signal, body, headers.Authorization?.replace("Bearer ", ""));
  };

  // The answer of a script tag's request.
  script = async (address) => {
    const url = new URL(address);
    this.requests.push(`SCRIPT ${url.pathname}${url.search}`);
    await this.#travel();
    const response = await this.#answer(url);
    return [url.searchParams.get("callback"), await response.json()];
  };

  async #answer(url, signal, body, token = url.searchParams.get("token")) {
    const [, room] = url.pathname.split("/");
    const wrong = room !== "probe" && this.#wrong(token);
    if (wrong) return wrong;
    if (room === "token") return json({ expires_in: this.sessions[url.searchParams.get("session").replace("session", "")](token) });
    const path = decodeURIComponent(url.pathname.slice(room.length + 1));
    const query = url.searchParams;
    if (room === "pub") return json({ id: this.publish(path, body), subscribers: 0 });
    if (room === "probe") return query.has("verdict") ? json({}, 204) : this.#stream([], Number(query.get("padding")), signal);
    const channels = [path, ...query.getAll("channel")];
    if (channels.some((name) => this.forbidden.has(name))) return json({ error: "forbidden", detail: "no" }, 403);
    if (channels.length > this.most) return json({ error: "too_many_channels", detail: "too many" }, 400);
    const positions = this.#positions(channels, query.get("since"));
    switch (query.get("transport")) {
      case "poll":
      case "jsonp-poll":
        return json(this.#batch(positions));
      case "stream":
        return this.#stream(positions, Number(query.get("padding")), signal, token);
      default:
        return this.#longPoll(positions, signal);
    }
  }

  #longPoll(positions, signal) {
    return new Promise((answered, failed) => {
      const done = (settle) => (value) => {
        this.held.delete(reader);
        cancel();
        if (!reader.dead || value instanceof DOMException) settle(value);
      };
      const reader = { end: done(failed), kind: "long-poll", look: () => {
        if (positions.some((at) => at.lost || at.epoch !== at.channel.epoch || at.next < at.channel.first + at.channel.messages.length)) done(answered)(json(this.#batch(positions)));
      } };
      const cancel = this.clock.later(this.network.cutPolls ? 3_000 : LONG_POLL_MS, () => (this.network.cutPolls ? reader.end(new TypeError("gateway")) : done(answered)(json(this.#batch(positions)))));
      signal?.addEventListener("abort", () => reader.end(new DOMException("aborted", "AbortError")));
      this.held.add(reader);
      reader.look();
    });
  }

  // A proxy on the way that stores and forwards passes on what it has when that fills its buffer.
  #stream(positions, padding, signal, token) {
    let stored = "", waiting, ended, failure;
    const ready = [];
    const settleRead = () => {
      if (!waiting) return;
      const { read, failed } = waiting;
      if (ready.length) read({ value: new TextEncoder().encode(ready.shift()), done: false });
      else if (failure) failed(failure);
      else if (ended) read({ value: undefined, done: true });
      else return;
      waiting = undefined;
    };
    const write = (text) => {
      if (reader.dead) return;
      stored += `${text}\n${padding ? " ".repeat(padding - 1) + "\n" : ""}`;
      if (stored.length >= this.network.buffer) {
        ready.push(stored);
        stored = "";
      }
      settleRead();
    };
    const stop = () => (this.held.delete(reader), beat(), reader.over?.());
    const reader = {
      kind: "stream",
      look: () => positions.flatMap((position) => this.#news(position)).forEach((one) => write(JSON.stringify(one))),
      farewell: (retry, close = "stopping") => {
        write(JSON.stringify({ close, retry }));
        ended = true;
        stop();
        settleRead();
      },
      end: (error) => {
        failure = error;
        stop();
        settleRead();
      },
    };
    let beat = () => {};
    const heartbeat = () => (beat = this.clock.later(HEARTBEAT_MS, () => (write(""), heartbeat())));
    heartbeat();
    signal?.addEventListener("abort", () => {
      failure = new DOMException("aborted", "AbortError");
      stop();
      settleRead();
    });
    this.held.add(reader);
    const cursor = positions.some(({ lost }) => lost) ? null : this.#cursor(positions);
    write(JSON.stringify(this.#hello({ cursor }, reader, token)));
    reader.look();
    const read = () => new Promise((read, failed) => ((waiting = { read, failed }), settleRead()));
    return { ok: true, status: 200, headers: new Headers(), body: { getReader: () => ({ read }) } };
  }

  // The class that a page of this server's clients has for WebSockets.
  get WebSocket() {
    const server = this;
    return class {
      readyState = 0;
      subscribed = [];
      constructor(address) {
        server.requests.push(`SOCKET ${new URL(address).pathname}`);
        this.token = new URL(address).searchParams.get("token");
        server.#travel().then(
          () => (server.network.sockets && !server.#wrong(this.token) ? this.#open() : this.#fail()),
          () => this.#fail(),
        );
      }
      #fail() {
        this.readyState = 3;
        this.onerror?.({});
        this.onclose?.({});
      }
      #open() {
        if (this.readyState) return;
        this.readyState = 1;
        this.reader = {
          kind: "websocket",
          look: () => this.subscribed.flatMap((position) => server.#news(position)).forEach((one) => this.#tell(one)),
          farewell: (retry, close = "stopping") => (this.#tell({ close, retry }), this.reader.end()),
          end: () => {
            this.reader.over?.();
            server.held.delete(this.reader);
            if (this.readyState === 1) this.#fail();
          },
        };
        server.held.add(this.reader);
        this.onopen?.({});
        this.#tell(server.#hello({ cursor: "" }, this.reader, this.token));
        this.renew = server.sessions.at(-1);
      }
      #tell(event) {
        if (!this.reader.dead) this.onmessage?.({ data: JSON.stringify(event) });
      }
      send(text) {
        const { subscribe, unsubscribe, since, ref, ping, token } = JSON.parse(text);
        if (this.reader.dead) return;
        if (ping) this.#tell({ pong: true });
        if (token) this.#tell({ renewed: { expires_in: this.renew(token) } });
        if (unsubscribe) this.subscribed = this.subscribed.filter(({ channel }) => ![unsubscribe].flat().includes(channel.name));
        if (!subscribe) return;
        if (server.forbidden.has(subscribe)) return this.#tell({ error: "forbidden", detail: "no", ref });
        if (this.subscribed.length >= server.most) return this.#tell({ error: "too_many_channels", detail: "too many", ref });
        this.subscribed.push(...server.#positions([subscribe], since));
        this.#tell({ subscribed: [subscribe], cursor: server.#cursor(this.subscribed), ref });
        this.reader.look();
      }
      close() {
        this.readyState = 3;
        this.reader?.over?.();
        server.held.delete(this.reader);
      }
    };
  }
}

function json(body, status = 200) {
  return { ok: status < 300, status, headers: new Headers(), json: async () => structuredClone(body) };
}
