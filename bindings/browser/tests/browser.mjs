// A browser with tabs, in virtual time: storage, locks and channels that its tabs share, and what each has of its own.

class Store {
  #values = new Map();
  getItem = (name) => this.#values.get(name) ?? null;
  setItem = (name, value) => void this.#values.set(name, String(value));
  removeItem = (name) => void this.#values.delete(name);
  copy = () => Object.assign(new Store(), { from: this }) && [...this.#values].reduce((copy, [name, value]) => (copy.setItem(name, value), copy), new Store());
}

// Locks as browsers have them: held by one, waited for in line, stolen.
class Locks {
  #names = new Map();

  of(tab) {
    return { request: (name, how, held) => (tab.gone ? new Promise(() => {}) : this.#request(tab, name, how, held)) };
  }

  #request(tab, name, { signal, steal }, held) {
    const line = this.#names.get(name) ?? [];
    this.#names.set(name, line);
    return new Promise((resolve, reject) => {
      const entry = { tab, held, resolve, reject, holds: false };
      const abort = () => {
        if (entry.holds) return;
        line.splice(line.indexOf(entry), 1);
        reject(new DOMException("aborted", "AbortError"));
      };
      if (signal?.aborted) return reject(new DOMException("aborted", "AbortError"));
      signal?.addEventListener("abort", abort);
      if (steal) {
        if (line[0]?.holds) line.shift().reject(new DOMException("stolen", "AbortError"));
        line.unshift(entry);
      } else line.push(entry);
      this.#grant(line);
    });
  }

  #grant(line) {
    const [first] = line;
    if (!first || first.holds) return;
    first.holds = true;
    queueMicrotask(async () => {
      const value = await first.held({});
      const at = line.indexOf(first);
      if (at >= 0) line.splice(at, 1);
      first.resolve(value);
      this.#grant(line);
    });
  }

  // A tab has gone, and with it what it held and waited for.
  drop(tab) {
    for (const [name, line] of this.#names) {
      const left = line.filter((entry) => entry.tab !== tab);
      line.splice(0, line.length, ...left);
      this.#names.set(name, line);
      this.#grant(line);
    }
  }
}

export class Browser {
  local = new Store();
  locks = new Locks();
  channels = new Set();

  constructor(clock, server) {
    [this.clock, this.server] = [clock, server];
  }

  // A tab: {world, session, kill(), hide(), show(), event(name, event)}. `apis` leaves some of its world out.
  tab({ session = new Store(), random = Math.random, ...apis } = {}) {
    const { clock, server, channels } = this;
    const tab = { session, gone: false, frozen: false, visible: true, complaints: [] };
    const listeners = new Set();
    const browser = this;
    tab.world = {
      base: "http://server/",
      now: () => clock.now,
      random,
      later: (ms, then) => clock.later(ms, () => tab.gone || then()),
      fetch: (...request) => (tab.gone ? new Promise(() => {}) : server.fetch(...request)),
      WebSocket: server.WebSocket,
      document: {
        head: { append: (script) => browser.#run(script) },
        createElement: () => ({ remove() {} }),
      },
      BroadcastChannel: class {
        constructor(name) {
          Object.assign(this, { name, tab });
          channels.add(this);
        }
        postMessage(data) {
          if (tab.gone) return;
          for (const other of channels) {
            if (other === this || other.name !== this.name) continue;
            const copy = structuredClone(data);
            setImmediate(() => channels.has(other) && !other.tab.gone && !other.tab.frozen && other.onmessage?.({ data: copy }));
          }
        }
        close() {
          channels.delete(this);
        }
      },
      locks: this.locks.of(tab),
      local: this.local,
      session,
      visible: () => tab.visible,
      listen(name, handler) {
        const entry = { name, handler };
        listeners.add(entry);
        return () => listeners.delete(entry);
      },
      report: (error) => tab.complaints.push(error),
      ...apis,
    };
    tab.event = (name, event = {}) => [...listeners].filter((one) => one.name === name).forEach(({ handler }) => handler(event));
    tab.kill = () => {
      tab.gone = true;
      this.locks.drop(tab);
    };
    return tab;
  }

  async #run(script) {
    try {
      const [callback, batch] = await this.server.script(script.src);
      globalThis[callback](batch);
      script.onload();
    } catch {
      script.onerror();
    }
  }
}
