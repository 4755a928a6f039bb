//! One published message: immutable, shared by count, one allocation from publisher to last receiver.
//!
//! Layout of the one allocation: a fixed header, then channel name, content type, event name, data.
//! ```text
//! unix_ms u64 | data_len u32 | channel_len u16 | type_len u8 | event_len u8 | kind u8 | channel type event data
//! ```

use std::fmt;
use std::sync::Arc;

const HEADER_BYTES: usize = 17;

/// Messages up to this are put together on the stack.
const SMALL_BYTES: usize = 256;

/// The longest event name and content type that fit the header's length bytes.
pub const LABEL_BYTES_MAX: usize = 255;

/// How a message's data appears inside a JSON envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Published as JSON and checked to be JSON: embedded as it is.
    Json,
    /// Valid UTF-8: a JSON string.
    Text,
    /// Anything else: base64.
    Binary,
}

/// The shared, immutable message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Arc<[u8]>);

/// The parts a message is made from. Lengths are the caller's to check (see [`Parts::check`]).
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Full channel name, with its leading slash.
    pub channel: &'a str,
    /// The data's media type; empty if unknown.
    pub content_type: &'a str,
    /// The event's name; empty for none.
    pub event: &'a str,
    /// The bytes as published.
    pub data: &'a [u8],
    /// When, in milliseconds since 1970; 0 for the moment at which a reactor takes it.
    pub unix_ms: u64,
}

impl Parts<'_> {
    /// Finds the data's [`Kind`]; `Err` says why the parts make no message.
    pub fn check(&self) -> Result<Kind, &'static str> {
        let label = |text: &str| text.len() <= LABEL_BYTES_MAX && text.bytes().all(|b| b >= b' ' && b != 0x7f);
        if !label(self.event) {
            return Err("an event name is one line of at most 255 bytes");
        }
        if !label(self.content_type) || !self.content_type.is_ascii() {
            return Err("a content type is one line of at most 255 ASCII bytes");
        }
        if self.data.len() > u32::MAX as usize {
            return Err("a message is at most 4 GiB");
        }
        if !self.content_type.is_empty() && is_json(self.content_type) {
            return match serde_json::from_slice::<&serde_json::value::RawValue>(self.data) {
                Ok(_) => Ok(Kind::Json),
                Err(_) => Err("the content type is JSON and the body is not"),
            };
        }
        Ok(if is_ascii(self.data) || std::str::from_utf8(self.data).is_ok() { Kind::Text } else { Kind::Binary })
    }
}

/// Whether these bytes are ASCII, as most texts are: found without a branch a byte, in half the time that UTF-8 takes.
pub(crate) fn is_ascii(bytes: &[u8]) -> bool {
    bytes.chunks(ASCII_BYTES).all(|some| some.iter().fold(0, |all, byte| all | byte) < 0x80)
}

/// Bytes looked at before what they were decides whether to go on.
const ASCII_BYTES: usize = 256;

/// `application/json`, or any `+json` type, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
}

impl Message {
    /// Checks `parts` and copies them into one allocation.
    pub fn new(parts: &Parts<'_>) -> Result<Message, &'static str> {
        let kind = parts.check()?;
        let channel_len = u16::try_from(parts.channel.len()).map_err(|_| "a channel name is too long")?;
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&parts.unix_ms.to_le_bytes());
        header[8..12].copy_from_slice(&(parts.data.len() as u32).to_le_bytes());
        header[12..14].copy_from_slice(&channel_len.to_le_bytes());
        header[14] = parts.content_type.len() as u8;
        header[15] = parts.event.len() as u8;
        header[16] = kind as u8;
        let pieces = [&header[..], parts.channel.as_bytes(), parts.content_type.as_bytes(), parts.event.as_bytes(), parts.data];
        let len = pieces.iter().map(|piece| piece.len()).sum();
        if len <= SMALL_BYTES {
            // Put together in the cache, and copied once: half of what it takes to clear and fill an allocation.
            let mut small = [0; SMALL_BYTES];
            join(&pieces, &mut small[..len]);
            return Ok(Message(small[..len].into()));
        }
        let mut shared: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
        join(&pieces, Arc::get_mut(&mut shared).expect("just made, so nobody else holds it"));
        Ok(Message(shared))
    }

    /// Says when it was published, if that was left to whoever takes it and nobody else holds it yet.
    pub(crate) fn stamp(&mut self, unix_ms: u64) {
        if let Some(bytes) = Arc::get_mut(&mut self.0)
            && bytes[..8] == [0; 8]
        {
            bytes[..8].copy_from_slice(&unix_ms.to_le_bytes());
        }
    }

    /// When it was published, in milliseconds since 1970.
    pub fn unix_ms(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("eight bytes"))
    }

    /// How the data appears in an envelope.
    pub fn kind(&self) -> Kind {
        match self.0[16] {
            0 => Kind::Json,
            1 => Kind::Text,
            _ => Kind::Binary,
        }
    }

    /// The channel it was published to.
    pub fn channel(&self) -> &str {
        self.text(0)
    }

    /// The same as bytes, for whoever need not know that they are text.
    pub(crate) fn channel_bytes(&self) -> &[u8] {
        let starts = self.starts();
        &self.0[starts[0]..starts[1]]
    }

    /// The media type it was published with; empty if none.
    pub fn content_type(&self) -> &str {
        self.text(1)
    }

    /// The event's name; empty if none.
    pub fn event(&self) -> &str {
        self.text(2)
    }

    /// The bytes as published.
    pub fn data(&self) -> &[u8] {
        &self.0[self.starts()[3]..]
    }

    /// What it was made from.
    pub(crate) fn parts(&self) -> Parts<'_> {
        let (channel, content_type, event) = (self.channel(), self.content_type(), self.event());
        Parts { channel, content_type, event, data: self.data(), unix_ms: self.unix_ms() }
    }

    /// What it weighs against a history's byte bound: all of its one allocation.
    pub fn weight(&self) -> usize {
        self.0.len() + 16
    }

    fn starts(&self) -> [usize; 4] {
        let channel = HEADER_BYTES;
        let kind = channel + usize::from(u16::from_le_bytes([self.0[12], self.0[13]]));
        let event = kind + usize::from(self.0[14]);
        [channel, kind, event, event + usize::from(self.0[15])]
    }

    fn text(&self, which: usize) -> &str {
        let starts = self.starts();
        std::str::from_utf8(&self.0[starts[which]..starts[which + 1]]).expect("copied from a str")
    }
}

/// Writes `pieces`, which fill `out`, one behind the other.
fn join(pieces: &[&[u8]], out: &mut [u8]) {
    let mut rest = out;
    // Most messages have neither type nor event.
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let (here, later) = rest.split_at_mut(piece.len());
        here.copy_from_slice(piece);
        rest = later;
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} {:?})", self.channel(), String::from_utf8_lossy(self.data()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(content_type: &'a str, data: &'a [u8]) -> Parts<'a> {
        Parts { channel: "/chat/rome", content_type, event: "line", data, unix_ms: 1_700_000_000_123 }
    }

    #[test]
    fn every_part_comes_back_out() {
        let message = Message::new(&parts("text/plain", b"ciao")).unwrap();
        assert_eq!(message.channel(), "/chat/rome");
        assert_eq!(message.content_type(), "text/plain");
        assert_eq!(message.event(), "line");
        assert_eq!(message.data(), b"ciao");
        assert_eq!(message.unix_ms(), 1_700_000_000_123);
        assert_eq!(message.kind(), Kind::Text);
    }

    #[test]
    fn a_message_is_stamped_once() {
        let mut message = Message::new(&Parts { unix_ms: 0, ..parts("", b"x") }).unwrap();
        message.stamp(5);
        message.stamp(6);
        assert_eq!(message.unix_ms(), 5);
    }

    #[test]
    fn the_kind_follows_type_and_bytes() {
        let kind = |content_type, data| Message::new(&parts(content_type, data)).map(|message| message.kind());
        assert_eq!(kind("application/json; charset=utf-8", b"{\"a\":1}"), Ok(Kind::Json));
        assert_eq!(kind("application/vnd.api+json", b"[]"), Ok(Kind::Json));
        assert!(kind("application/json", b"{").is_err());
        assert_eq!(kind("image/png", b"\x89PNG\r\n"), Ok(Kind::Binary));
        assert_eq!(kind("", b""), Ok(Kind::Text));
    }

    #[test]
    fn a_label_with_a_line_break_makes_no_message() {
        assert!(Message::new(&Parts { event: "a\nid: 7", ..parts("", b"") }).is_err());
        assert!(Message::new(&parts("text/plain\r\nX: y", b"")).is_err());
    }
}
