//! The messages that are measured: each names its channel, its place in it and when it was sent, and is found
//! again by its marks in whatever a transport puts around it. So one reader checks every transport, down to the
//! last byte, for what was lost, repeated, reordered, mangled or sent to the wrong place.
//!
//! ```text
//! ^^ channel (8 hex digits) sequence (16) sent_ns (16) .... $
//! ```
//! None of these characters is escaped in JSON, HTML or a script, and a head holds no `^`. `@` would not do: it is the
//! length byte of a WebSocket frame of 64.

use crate::Outcome;
use std::sync::OnceLock;
use std::time::Instant;

const MARKED: usize = 2 + 8 + 16 + 16;

/// One message as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub channel: u32,
    /// 0, 1, 2 … within the channel.
    pub sequence: u64,
    /// By [`clock_ns`].
    pub sent_ns: u64,
}

/// One clock for both ends: they are one process.
pub fn clock_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

impl Message {
    /// The message as a body of exactly `size` bytes.
    pub fn body(&self, size: usize) -> Vec<u8> {
        let mut body = format!("^^{:08x}{:016x}{:016x}", self.channel, self.sequence, self.sent_ns).into_bytes();
        body.resize(size - 1, b'.');
        body.push(b'$');
        body
    }

    fn parse(body: &[u8]) -> Option<Message> {
        let (marked, fill) = body.split_at_checked(MARKED)?;
        let (end, dots) = fill.split_last()?;
        if !marked.starts_with(b"^^") || *end != b'$' || dots.iter().any(|&byte| byte != b'.') {
            return None;
        }
        Some(Message { channel: hex(&marked[2..10])? as u32, sequence: hex(&marked[10..26])?, sent_ns: hex(&marked[26..42])? })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |word, &digit| Some(word << 4 | u64::from((digit as char).to_digit(16)?)))
}

/// Gives `each` the messages of `size` bytes within `bytes`; returns how many bytes are done with.
/// The rest is the beginning of a message.
pub fn scan(bytes: &[u8], size: usize, mut each: impl FnMut(Message) -> Outcome<()>) -> Outcome<usize> {
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|&byte| byte == b'^') {
        at += next;
        let Some(body) = bytes.get(at..at + size) else { return Ok(at) };
        let message = Message::parse(body).ok_or_else(|| format!("mangled: {:?}", String::from_utf8_lossy(body)))?;
        each(message)?;
        at += size;
    }
    Ok(bytes.len())
}
