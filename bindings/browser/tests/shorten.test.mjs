// What makes code shorter leaves what it does, and what it says, as it was.

import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, privates, spaces } from "../tools/shorten.mjs";

const each = (change, cases) => cases.forEach(([code, short]) => assert.equal(change(code), short));

test("private names become letters, the most used first, and no others change", () => {
  each(privates, [
    ["class A {#one;#two = this.#two + this.#one + this.#two;}", "class A {#b;#a = this.#a + this.#b + this.#a;}"],
    ["class A {get #one() {return #one in this;}}", "class A {get #a() {return #a in this;}}"],
    ['this.#one = "#one";', 'this.#a = "#one";'],
    ["this.#one = `#one ${this.#one} ${two}`;", "this.#a = `#one ${this.#a} ${two}`;"],
    ["this.#one.replace(/#one/, #two)", "this.#a.replace(/#one/, #b)"],
    ["one();", "one();"],
  ]);
});

test("no two private names become one, however many there are", () => {
  const names = Array.from({ length: 1_000 }, (_, number) => `#name${number}`);
  const short = privates(names.join(";")).split(";");
  assert.equal(new Set(short).size, names.length);
  assert.deepEqual([short[0], short[25], short[26], short[701], short[702]], ["#a", "#z", "#aa", "#zz", "#aaa"]);
});

test("constants become letters wherever they are meant", () => {
  each(constants, [
    ["const ONE = 1;\nconst ONE_MORE = ONE + 1;\nuse(ONE_MORE, { ...ONE });", "const $a = 1;\nconst $b = $a + 1;\nuse($b, { ...$a });"],
    ['const ONE = "ONE";\nuse(`ONE ${ONE}`, ONES, one);', 'const $a = "ONE";\nuse(`ONE ${$a}`, ONES, one);'],
    ["new URL(ONE);", "new URL(ONE);"],
  ]);
});

test("spaces go beside marks, and stay where they part or are said", () => {
  each(spaces, [
    ["if (a) return { b, c: [1, 2] };", "if(a)return{b,c:[1,2]};"],
    ["const a = (b) => b ?? c || d;", "const a=(b)=>b??c||d;"],
    ["async function a() {} new B", "async function a(){}new B"],
    ["a + +b - -c / d", "a + +b - -c / d"],
    ["a >= b && c < d", "a >=b&&c < d"],
    ['f("a , b", `c , ${ d } e`, /f = g/)', 'f("a , b",`c , ${ d } e`,/f = g/)'],
    ['f("\\" , ", a , b)', 'f("\\" , ",a,b)'],
    ["a = b / c, d = e / f;", "a=b / c,d=e / f;"],
    ["a = b;\nc = d\n(e)", "a=b;\nc=d\n(e)"],
  ]);
});
