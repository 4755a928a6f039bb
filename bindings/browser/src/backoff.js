// Waiting, and how long after failures in a row: any time up to a bound that doubles (full jitter), so that clients that
// were cut off together do not come back together. A server that says how long is obeyed.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

export const backoff = (failures, random, told = 0) =>
  Math.max(told, random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10)));

// Settles after `ms`, or as soon as what `begun` is given is called.
export function pause(world, ms, begun) {
  return new Promise((over) => {
    const cancel = world.later(ms, over);
    begun(() => {
      cancel();
      over();
    });
  });
}
