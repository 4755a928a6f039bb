// A TCP proxy that hurts: it passes bytes on until it is told to cut what is open, or to let nobody in.

import { relay, reset } from "../common/relay.mjs";

// The proxy for the server at `target`, once it listens: {address, cut(), letIn(whether), close()}.
export async function cutter(target) {
  let lettingIn = true;
  const { address, pairs, close } = await relay(() => target, () => lettingIn);
  const cut = (which = () => true) => reset([...pairs].filter(which));
  return { address, cut, letIn: (whether) => (lettingIn = whether), close };
}
