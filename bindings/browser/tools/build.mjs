// Makes encke.js, a module, and encke.classic.js, a script that defines `encke`, out of src. Modules are put one behind
// the other, those that others import first; comments, which stand on lines of their own, indentation, ends of lines that say
// nothing, and all but one letter of what classes call their own stay behind.
//
//   node tools/build.mjs            writes both
//   node tools/build.mjs --check    fails if either is not what src makes

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const home = new URL("../", import.meta.url);
const SIZE_MAX = 10_000;
const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const IMPORT = /^import \{[^}]*\} from "\.\/([^"]+)";\n/gm;

// The modules that `name` needs, and it, in an order that runs.
function ordered(name, seen = new Map()) {
  if (seen.has(name)) return seen;
  const text = readFileSync(new URL(`src/${name}`, home), "utf8");
  for (const [, imported] of text.matchAll(IMPORT)) ordered(imported, seen);
  return seen.set(name, shortened(text));
}

// Nobody outside a class sees its private names: in each module they are called by letters, in the order in which they come.
function shortened(text) {
  const names = [...new Set(text.match(/#\w+/g))];
  if (names.length > LETTERS.length) throw new Error(`a module has more than ${LETTERS.length} private names`);
  return text.replace(/#\w+/g, (name) => `#${LETTERS[names.indexOf(name)]}`);
}

// A module's names become names of the whole, so no two modules may say the same on their outermost level.
function whole() {
  const modules = [...ordered("encke.js").values()];
  const names = modules.flatMap((text) => [...text.matchAll(/^(?:export )?(?:async )?(?:function|class|const|let) (\w+)/gm)].map(([, name]) => name));
  const twice = names.filter((name, at) => names.indexOf(name) !== at);
  if (twice.length) throw new Error(`several modules define ${twice}`);
  const lines = modules.join("").replace(IMPORT, "").replace(/^export /gm, "").split("\n");
  const code = lines.map((line) => line.trim()).filter((line) => line && !line.startsWith("//"));
  const commented = code.find((line) => / \/\/ /.test(line));
  if (commented) throw new Error(`a comment stands behind code: ${commented}`);
  return code.join("\n").replace(/([;{,}])\n/g, "$1");
}

const { version } = JSON.parse(readFileSync(new URL("package.json", home), "utf8"));
const head = `// Encke ${version} for browsers. MIT or Apache-2.0. Made from bindings/browser/src.\n`;
const body = whole();
const made = {
  "encke.js": `${head}${body}\nexport { connect };\nexport default { connect };\n`,
  "encke.classic.js": `${head}(() => {\n"use strict";\n${body}\nglobalThis.encke = { connect };\n})();\n`,
};
for (const [name, text] of Object.entries(made)) {
  const size = gzipSync(text, { level: 9 }).length;
  console.log(`${name}: ${text.length} bytes, ${size} with gzip`);
  if (size >= SIZE_MAX) throw new Error(`${name} is larger than ${SIZE_MAX} bytes with gzip`);
  const file = new URL(name, home);
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) throw new Error(`${name} is not what src makes: node bindings/browser/tools/build.mjs`);
}
