// The client of an Encke server in a browser: `connect` gives a feed of some channels.

import { Feed } from "./feed.js";
import { browser } from "./world.js";

export function connect(url, options) {
  return new Feed(browser(), url, options);
}
