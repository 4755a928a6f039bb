// The name of this tab, which survives a reload. A tab that was duplicated finds the name of another that still uses
// it: whoever leaves a page marks the name as free, and only a free name is taken on.

const NAME = "encke tab";
const FREE = "encke tab free";

// A name that nobody else has.
export const named = (random) => [0, 0].map(() => random().toString(36).slice(2, 12)).join("");

export function tab({ session, random, listen }) {
  if (!session) return named(random);
  try {
    const free = session.getItem(FREE) === session.getItem(NAME) && session.getItem(NAME);
    const name = free || current.get(session) || named(random);
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
    return named(random);
  }
}

// Several feeds of a page have one name.
const current = new Map();
