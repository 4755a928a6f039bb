// What may take so long and no longer.

// Gives what `work` gives, and fails after `ms`, or as soon as the signal `given`, if there is one, is aborted. The signal
// that `work` gets is aborted when this is over, whatever became of it.
export async function within(world, ms, given, work) {
  const inner = new AbortController();
  let stop;
  const over = new Promise((_, fail) => {
    stop = () => {
      fail(new TypeError(`no answer within ${ms / 1_000} s`));
      inner.abort();
    };
  });
  const late = world.later(ms, stop);
  given?.addEventListener("abort", stop);
  if (given?.aborted) stop();
  try {
    return await Promise.race([over, work(inner.signal)]);
  } finally {
    late();
    given?.removeEventListener("abort", stop);
    inner.abort();
  }
}
