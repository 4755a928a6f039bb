// The real Bayeux clients, and a plain one that follows the specification to the letter, against one server.
//
//   node tests/bayeux/suite.mjs PUBLIC PRIVATE [--max-interval MS] [--timeout MS] [--kill SECONDS] [--lanes N] [CASE…]
//
// A case is named `part/name`, such as `cometd-node-websocket/ordered` or `specification/handshake-answers`; those run
// whose name begins with what is asked for, all if nothing is. One line for each; those that failed are named at the end.
// `--max-interval` and `--timeout` are what the server was told.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { KINDS } from "./agents.mjs";
import { CASES, runCore } from "./core.mjs";
import { EXTENSIONS } from "./extensions.mjs";
import { kill } from "./kill.mjs";
import { MALFORMED } from "./malformed.mjs";
import { SPECIFICATION } from "./specification.mjs";
import { TABS } from "./tabs.mjs";
import { within } from "./support.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "max-interval": { type: "string", default: "5000" },
    timeout: { type: "string", default: "2000" },
    kill: { type: "string", default: "10" },
    lanes: { type: "string", default: "4" },
    list: { type: "boolean", default: false },
  },
});
const [publicAddress, privateAddress, ...wanted] = positionals;

// One Chromium for all, once somebody asks for it.
let chromium;
function browser() {
  const { chromium: launcher } = createRequire(resolve("target/node/package.json"))("playwright-core");
  const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
  chromium ??= launcher.launch({ executablePath, args: ["--no-sandbox"] });
  return chromium;
}

const server = {
  publicAddress,
  privateAddress,
  maxIntervalMs: Number(options["max-interval"]),
  timeoutMs: Number(options.timeout),
  killMs: 1000 * Number(options.kill),
  browser,
};

// Every case that there is, {name, run}. The kill test has the machine to itself, at the end.
const plain = (part, checks) => Object.entries(checks).map(([name, run]) => ({ name: `${part}/${name}`, run: () => run(server) }));
const cases = [
  ...KINDS.flatMap((kind) =>
    Object.entries(CASES)
      .filter(([, { when }]) => !when || when(kind))
      .map(([name, { run }]) => ({ name: `${kind.name}/${name}`, run: () => runCore(kind, name, run, server) }))),
  ...plain("specification", SPECIFICATION),
  ...plain("malformed", MALFORMED),
  ...plain("extensions", EXTENSIONS),
  ...plain("tabs", TABS),
];
const last = [{ name: "kill/every-message-exactly-once-in-order", run: () => kill(server), ms: 2 * server.killMs + 60_000 }];
const asked = ({ name }) => wanted.length === 0 || wanted.some((start) => name.startsWith(start));

// What the server does not do yet, by name and with the reason. One that passes all the same fails the run: then it is
// done, and no longer belongs here.
const NOT_YET = {};

const failed = [];
let passed = 0;
let missing = 0;

async function runOne({ name, run, ms = 100_000 }) {
  const begun = Date.now();
  try {
    const said = await within(name, Promise.resolve().then(run), ms);
    if (name in NOT_YET) throw new Error("it is said to be missing, and passes");
    passed++;
    console.log(`ok     ${name} (${Date.now() - begun} ms)${said ? `: ${said}` : ""}`);
  } catch (error) {
    if (name in NOT_YET && !error.message.startsWith("it is said")) {
      missing++;
      return console.log(`not yet ${name}: ${NOT_YET[name]}`);
    }
    failed.push(name);
    console.log(`FAILED ${name}: ${process.env.DEBUG ? error.stack : error.message.split("\n", 1)[0].slice(0, 500)}`);
  }
}

async function lane(queue) {
  for (let next; (next = queue.shift()); ) await runOne(next);
}

// What a client's library throws where nobody can catch it must not end the suite; it is said, since it may explain a failure.
process.on("uncaughtException", (error) => console.log(`       (uncaught: ${error.message})`));
process.on("unhandledRejection", (error) => console.log(`       (uncaught: ${error?.message ?? error})`));

if (options.list) {
  [...cases, ...last].filter(asked).forEach(({ name }) => console.log(name));
  process.exit(0);
}
const queue = cases.filter(asked);
const unknown = wanted.filter((start) => ![...cases, ...last].some(({ name }) => name.startsWith(start)));
await Promise.all(Array.from({ length: Number(options.lanes) }, () => lane(queue)));
for (const one of last.filter(asked)) await runOne(one);
if (chromium) await (await chromium).close();
unknown.forEach((start) => failed.push(`${start} (no such case)`));
console.log(`\n${passed} passed, ${failed.length} failed, ${missing} not yet there`);
if (failed.length > 0) console.log(`failed: ${failed.join(" ")}`);
process.exit(failed.length > 0 ? 1 : 0);
