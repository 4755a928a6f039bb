//! One input out of another: bytes are changed, lost, doubled, moved, and mixed with those of others.

use crate::dice::Dice;

/// Longer inputs find nothing that shorter ones do not, only later.
const BYTES_MAX: usize = 8_192;
/// What readers may stumble over.
const PIECES: [&[u8]; 26] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\"",
    b"\\",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"/**",
    b"/meta/connect",
    b"/service/x",
    b"%00",
    b"%",
    b"\"ext\":{\"ack\":1},",
    b"../",
];

/// One of `corpus`, damaged a few times; now and then as it is.
pub fn damaged(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = dice.pick(corpus);
    for _ in 0..dice.below(6) {
        damage(&mut input, corpus, dice);
    }
    input.truncate(BYTES_MAX);
    input
}

fn damage(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let (from, to) = range(input, dice);
    match dice.below(9) {
        0 if from < input.len() => input[from] = dice.bits() as u8,
        1 if from < input.len() => input[from] ^= 1 << dice.below(8),
        2 => input.truncate(from),
        3 => _ = input.drain(from..to),
        4 => {
            let again = input[from..to].to_vec();
            input.splice(to..to, again);
        }
        5 => {
            let moved: Vec<u8> = input.drain(from..to).collect();
            let at = dice.below(input.len() + 1);
            input.splice(at..at, moved);
        }
        6 => {
            let other = dice.pick(corpus);
            let (begin, end) = range(&other, dice);
            input.splice(from..to, other[begin..end].iter().copied());
        }
        7 => {
            let many = dice.pick(&[1, 1, 1, 2, 200]);
            input.splice(from..from, dice.pick(&PIECES).repeat(many));
        }
        _ => _ = input.splice(from..to, dice.pick(&PIECES).iter().copied()),
    }
}

/// A stretch of the input, more often short than long.
fn range(input: &[u8], dice: &mut Dice) -> (usize, usize) {
    let from = dice.below(input.len() + 1);
    let longest = dice.pick(&[1, 8, 64, BYTES_MAX]).min(input.len() - from);
    (from, from + dice.below(longest + 1))
}
