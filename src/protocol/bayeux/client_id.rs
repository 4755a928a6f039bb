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

const DIGITS: &[u8; 16] = b"0123456789abcdef";

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
        let (shard, rest) = text.as_bytes().split_at_checked(PARTS[0])?;
        let (slot, secret) = rest.split_at_checked(PARTS[1])?;
        (secret.len() == PARTS[2]).then_some(())?;
        // Each part has as many digits as fit its number.
        Some(ClientId { shard: number(shard)? as u16, slot: number(slot)? as u32, secret: number(secret)? })
    }
}

/// The number that hexadecimal digits in their one spelling make.
pub(super) fn number(digits: &[u8]) -> Option<u128> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | u128::from(value(digit)?)))
}

fn hexadecimal(digits: &mut [u8], number: u128) {
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = DIGITS[(number >> (4 * place) & 0xf) as usize];
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It is written with each reply.
        let mut text = [0; CHARS];
        let (shard, rest) = text.split_at_mut(PARTS[0]);
        let (slot, secret) = rest.split_at_mut(PARTS[1]);
        hexadecimal(shard, self.shard.into());
        hexadecimal(slot, self.slot.into());
        hexadecimal(secret, self.secret);
        f.write_str(std::str::from_utf8(&text).expect("digits are ASCII"))
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
