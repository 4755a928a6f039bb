// What is built passes the tests that src passes.

import { readFileSync } from "node:fs";

const text = readFileSync(new URL("../encke.js", import.meta.url), "utf8");
const whole = text.replace("export { connect };", "export { connect, Feed };");
process.env.ENCKE_CLIENT = `data:text/javascript,${encodeURIComponent(whole)}`;
await import("./client.test.mjs");
