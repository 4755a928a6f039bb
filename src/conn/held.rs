//! What a client calls a connection that is held by a token, when it brings another one by another connection.
//!
//! ```text
//! session = shard slot generation seal         4, 8, 8 and 32 hexadecimal digits
//! ```
//! The seal follows from the rest and the seed: nobody else can make one, and nobody needs to remember it.

use crate::base::id::Token;
use crate::base::random::{Seed, keyed_hash};
use subtle::ConstantTimeEq;

const CHARS: usize = 4 + 8 + 8 + 32;

/// A connection of some shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldId {
    pub(crate) shard: u16,
    pub(crate) token: Token,
}

impl HeldId {
    /// As its client is told.
    pub(crate) fn show(self, seed: Seed) -> String {
        let HeldId { shard, token: Token { index, generation } } = self;
        let place = format!("{shard:04x}{index:08x}{generation:08x}");
        let seal = |part: &str| keyed_hash(seed, format!("held {part} {place}").as_bytes());
        format!("{place}{:016x}{:016x}", seal("a"), seal("b"))
    }

    /// Reads what `show` wrote, and nothing else.
    pub(crate) fn parse(text: &str, seed: Seed) -> Option<HeldId> {
        let number = |from: usize, to: usize| u32::from_str_radix(text.get(from..to)?, 16).ok();
        (text.len() == CHARS).then_some(())?;
        let token = Token { index: number(4, 12)?, generation: number(12, 20)? };
        let held = HeldId { shard: number(0, 4)? as u16, token };
        bool::from(held.show(seed).as_bytes().ct_eq(text.as_bytes())).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_out_names_a_connection() {
        let seed = Seed(1, 2);
        let held = HeldId { shard: 7, token: Token { index: u32::MAX, generation: 9 } };
        let text = held.show(seed);
        assert_eq!((text.len(), HeldId::parse(&text, seed)), (CHARS, Some(held)));
        assert_eq!(HeldId::parse(&text, Seed(1, 3)), None, "another server's");
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, other);
            assert_eq!(HeldId::parse(&wrong, seed), None, "{wrong}");
        }
        for wrong in ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &"é".repeat(26), &"+".repeat(CHARS)] {
            assert_eq!(HeldId::parse(wrong, seed), None, "{wrong}");
        }
    }
}
