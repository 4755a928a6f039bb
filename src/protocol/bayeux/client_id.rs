//! What a client is known by: where its session lies, and 128 bits that nobody can guess.
//!
//! ```text
//! client id = shard slot secret        4, 8 and 32 hexadecimal digits
//! ```
//! The places are no secret: they lead a request to its session's shard, and the secret alone opens it.

use std::fmt;

/// Digits of each part.
const PARTS: [usize; 3] = [4, 8, 32];
/// How long the text is.
const CHARS: usize = PARTS[0] + PARTS[1] + PARTS[2];

/// A client's id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientId {
    /// The shard of its session.
    pub(crate) shard: u16,
    /// The session's slot there.
    pub(crate) slot: u32,
    pub(crate) secret: u128,
}

impl ClientId {
    /// Reads a client id in its one spelling; `None` if it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<ClientId> {
        if !are_digits(text, CHARS) {
            return None;
        }
        let (shard, rest) = text.split_at(PARTS[0]);
        let (slot, secret) = rest.split_at(PARTS[1]);
        Some(ClientId {
            shard: u16::from_str_radix(shard, 16).ok()?,
            slot: u32::from_str_radix(slot, 16).ok()?,
            secret: u128::from_str_radix(secret, 16).ok()?,
        })
    }
}

/// Whether a text is `count` hexadecimal digits in their one spelling.
pub(super) fn are_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClientId { shard, slot, secret } = self;
        write!(f, "{shard:04x}{slot:08x}{secret:032x}")
    }
}

/// A log is no place for a secret.
impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({}, {})", self.shard, self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_in_its_one_spelling() {
        for id in [
            ClientId { shard: 0, slot: 0, secret: 0 },
            ClientId { shard: 7, slot: 0x1234, secret: 0xabcd },
            ClientId { shard: u16::MAX, slot: u32::MAX, secret: u128::MAX },
        ] {
            let text = id.to_string();
            assert_eq!(text.len(), CHARS);
            assert_eq!(ClientId::parse(&text), Some(id));
        }
        let good = ClientId { shard: 10, slot: 11, secret: 12 }.to_string();
        for bad in ["", "x", &good[1..], &good.to_uppercase(), &format!("{good}0"), &good.replacen('0', "+", 1), &"é".repeat(22)]
        {
            assert_eq!(ClientId::parse(bad), None, "{bad:?}");
        }
    }
}
