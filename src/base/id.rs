//! Names for things that come and go: connections by token, channel incarnations by epoch, messages by id.

use std::fmt;

/// A connection's slot and its generation, so that a late event for a slot's former tenant is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// The slot.
    pub index: u32,
    /// Which tenant of that slot.
    pub generation: u32,
}

impl Token {
    /// Both halves in one word, for an event queue.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`Token::to_u64`].
    pub fn from_u64(word: u64) -> Token {
        Token { index: word as u32, generation: (word >> 32) as u32 }
    }
}

/// One incarnation of a channel, 60 bits: 20 that follow from the channel's name, so that a cursor's entry
/// finds its channel again, and 40 at random, so that a restart is noticed.
///
/// As text: twelve digits of base 32 (`0`–`9`, `a`–`v`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const EPOCH_CHARS: usize = 12;
const RANDOM_BITS: u32 = 40;

impl Epoch {
    /// A new incarnation of the channel called `name`.
    pub fn new(name: &str, random: u64) -> Epoch {
        Epoch(name_bits(name) << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }

    /// Whether this is an incarnation of the channel called `name` (wrong for one other name in a million).
    pub fn is_of(self, name: &str) -> bool {
        self.0 >> RANDOM_BITS == name_bits(name)
    }

    fn parse(text: &[u8]) -> Option<Epoch> {
        if text.len() != EPOCH_CHARS {
            return None;
        }
        let mut word = 0;
        for &byte in text {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'v' => byte - b'a' + 10,
                _ => return None,
            };
            word = word << 5 | u64::from(digit);
        }
        Some(Epoch(word))
    }

    fn text(self) -> [u8; EPOCH_CHARS] {
        std::array::from_fn(|i| DIGITS[(self.0 >> (5 * (EPOCH_CHARS - 1 - i)) & 31) as usize])
    }
}

/// The same in every process and for ever: cursors outlive restarts.
fn name_bits(name: &str) -> u64 {
    siphasher::sip::SipHasher13::new_with_keys(0, 0).hash(name.as_bytes()) & 0xf_ffff
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// A place in a channel: `epoch-offset` as text. As a message's id it names that message; as a position
/// it says that everything up to and with this offset has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The channel's incarnation.
    pub epoch: Epoch,
    /// 1, 2, 3 … within the epoch; 0 is "before the first".
    pub offset: u64,
}

impl MessageId {
    /// Reads `epoch-offset`; nothing else, and no leading zeros, so that equal places are equal texts.
    pub fn parse(text: &[u8]) -> Option<MessageId> {
        if text.len() < EPOCH_CHARS + 2 || text.len() > EPOCH_CHARS + 21 || text[EPOCH_CHARS] != b'-' {
            return None;
        }
        let epoch = Epoch::parse(&text[..EPOCH_CHARS])?;
        let digits = &text[EPOCH_CHARS + 1..];
        if !digits.iter().all(u8::is_ascii_digit) || (digits[0] == b'0' && digits.len() > 1) {
            return None;
        }
        let offset = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(MessageId { epoch, offset })
    }

    /// How many bytes [`MessageId::write`] writes.
    pub fn text_len(self) -> usize {
        EPOCH_CHARS + 1 + self.offset.checked_ilog10().map_or(1, |log| log as usize + 1)
    }

    /// Writes it to the end of `out`, without the machinery of formatting: every publisher is answered with one.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.text());
        out.push(b'-');
        out.extend_from_slice(itoa::Buffer::new().format(self.offset).as_bytes());
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = MessageId { epoch: Epoch::new("/chat/rome", u64::MAX), offset: u64::MAX };
        assert_eq!(MessageId::parse(id.to_string().as_bytes()), Some(id));
        let mut written = Vec::new();
        id.write(&mut written);
        assert_eq!(written, id.to_string().as_bytes());
        assert!(id.epoch.is_of("/chat/rome"));
        assert!(!id.epoch.is_of("/chat/milan"));
    }

    #[test]
    fn only_the_one_spelling_of_an_id_is_read() {
        let good = MessageId { epoch: Epoch::new("/a", 5), offset: 17 }.to_string();
        assert!(MessageId::parse(good.as_bytes()).is_some());
        for bad in [
            "",
            "-",
            "-1",
            &good.replace('-', "-0"),
            &good.to_uppercase(),
            &good[1..],
            &format!("{good} "),
            &format!("{good}99999999999999999999"),
        ] {
            assert_eq!(MessageId::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_token_survives_the_event_queue() {
        let token = Token { index: u32::MAX, generation: 3 };
        assert_eq!(Token::from_u64(token.to_u64()), token);
    }
}
