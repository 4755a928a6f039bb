// Makes code without comments shorter, and changes nothing that it does: `#names`, which never leave a class, and CONSTANTS of
// the outermost level get names of few letters, and spaces beside marks go.
//
// It knows as much of the language as src needs: texts, templates without templates in them, and patterns behind a mark that
// no division follows.

const TEXT = /("(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|(?<=[(=,:?&|] ?)\/(?:[^/\\\n]|\\.)+\/)/;

// `code` with `change` made to all that is not said in a text; in a template, to what stands in its braces.
function beside(code, change) {
  const inside = (text) => (text[0] === "`" ? text.replace(/(?<=\$\{)[^}]*(?=\})/g, change) : text);
  return code.split(TEXT).map((part, at) => (at % 2 ? inside(part) : change(part))).join("");
}

// a, b … z, aa, ab …
const letters = (number) => (number < 26 ? "" : letters(Math.floor(number / 26) - 1)) + String.fromCharCode(97 + (number % 26));

// What `name` finds is renamed, `mark` and letters; those that are named most get the fewest.
function rename(code, name, mark) {
  const counts = new Map();
  beside(code, (part) => part.replace(name, (found) => counts.set(found, (counts.get(found) ?? 0) + 1) && found));
  const found = [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one));
  return beside(code, (part) => part.replace(name, (one) => mark + letters(found.indexOf(one))));
}

// Of one module: no other can name them.
export const privates = (module) => rename(module, /#[a-z]\w*/gi, "#");

// Of the whole, where each of these words is a constant. A short name with a dollar is nobody else's.
export function constants(whole) {
  const names = [...whole.matchAll(/^const ([A-Z][A-Z_]+) = /gm)].map(([, name]) => name);
  return names.length ? rename(whole, new RegExp(`\\b(?:${names.join("|")})\\b`, "g"), "$") : whole;
}

// Between words, beside signs that could grow together, and at the ends of lines all stays.
export const spaces = (code) => beside(code, (part) => part.replace(/ ?(=>|[{}()[\],;:?=&|]) ?/g, "$1"));
