// Time that passes when a test says so.

// Lets everything happen that is due without any time passing.
export async function settle() {
  for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next));
}

export class Clock {
  now = 1_000_000;
  #timers = new Set();

  later = (ms, then) => {
    const timer = { at: this.now + ms, then };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  // Passes `ms`, each timer at its moment.
  async pass(ms) {
    const end = this.now + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
      if (!next) break;
      this.#timers.delete(next);
      this.now = Math.max(this.now, next.at);
      next.then();
      await settle();
    }
    this.now = end;
    await settle();
  }

  // The machine sleeps: time passes and no timer runs, until all that are due do.
  async sleep(ms) {
    this.now += ms;
    await this.pass(0);
  }
}
