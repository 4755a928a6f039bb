//! The framed stream: how a program elsewhere hands over messages without a reply to each.
//!
//! ```text
//! stream  = preface *frame            preface = NUL "encke1" LF
//! frame   = channel_len u16 | type_len u8 | event_len u8 | data_len u32 | channel | content type | event | data
//! control = a frame whose channel_len and event_len are 0: type_len is its kind, and data alone follows
//! flush   = control of kind 1, 8 bytes of the client's choice
//! flushed = control of kind 1, the same 8 bytes | refused u32 | JSON of the first refusal, if there is one
//! ```
//! On the control socket a stream begins with the first byte; on a private listener behind the answer to `GET /frames`
//! with `Upgrade: encke1`. Numbers are little-endian; a frame with neither type nor event is `u32 channel_len | u32 data_len | channel |
//! data`. A frame here is a borrowed view and judges nothing but its own shape: what its bytes mean is for whoever
//! reads them. "Not yet" is `None`, and how the bytes were cut never matters.

use super::payload::Parts;

/// What a client sends before its first frame. No method of HTTP begins so.
pub const PREFACE: &[u8; 8] = b"\0encke1\n";

/// The lengths that a frame begins with.
pub const HEAD_BYTES: usize = 8;

/// The control frame that asks whether all messages before it were taken, and the one that answers.
pub const FLUSH: u8 = 1;

/// What a client chooses for a flush, and gets back with the answer.
pub type Cookie = [u8; 8];

/// One frame, its parts where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message to be.
    Message {
        /// Never empty.
        channel: &'a [u8],
        /// Empty if unknown.
        content_type: &'a [u8],
        /// Empty for none.
        event: &'a [u8],
        /// The bytes as published.
        data: &'a [u8],
    },
    /// Something about the stream itself.
    Control {
        /// For example [`FLUSH`].
        kind: u8,
        /// What the kind asks for.
        data: &'a [u8],
    },
}

/// Why what follows is not worth waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More data than there may be: so many bytes.
    TooLong(u32),
    /// No message, and no control frame that is known.
    Unknown,
}

/// Reads the frame at the front of `bytes`, and says how long it is; `None` while it is not whole. A frame with
/// more than `data_bytes_max` is refused by its head, before it is waited for.
pub fn read(bytes: &[u8], data_bytes_max: u64) -> Result<Option<(Frame<'_>, usize)>, Fault> {
    let Some((head, behind)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let [c0, c1, type_len, event_len, d0, d1, d2, d3] = *head;
    let (channel_len, data_len) = (usize::from(u16::from_le_bytes([c0, c1])), u32::from_le_bytes([d0, d1, d2, d3]));
    if u64::from(data_len) > data_bytes_max {
        return Err(Fault::TooLong(data_len));
    }
    if channel_len == 0 {
        if type_len != FLUSH || event_len != 0 {
            return Err(Fault::Unknown);
        }
        let whole = take(behind, data_len as usize);
        return Ok(whole.map(|(data, _)| (Frame::Control { kind: type_len, data }, HEAD_BYTES + data.len())));
    }
    let message = || {
        let (channel, rest) = take(behind, channel_len)?;
        let (content_type, rest) = take(rest, usize::from(type_len))?;
        let (event, rest) = take(rest, usize::from(event_len))?;
        let (data, rest) = take(rest, data_len as usize)?;
        Some((Frame::Message { channel, content_type, event, data }, bytes.len() - rest.len()))
    };
    Ok(message())
}

/// The first `count` of `bytes`, and the rest.
fn take(bytes: &[u8], count: usize) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(count)
}

/// How long the frame of a message is.
pub fn len(parts: &Parts<'_>) -> usize {
    HEAD_BYTES + parts.channel.len() + parts.content_type.len() + parts.event.len() + parts.data.len()
}

/// Writes a message as a frame. `Err` says which of its parts no frame can hold; nothing was written then.
pub fn write(out: &mut Vec<u8>, parts: &Parts<'_>) -> Result<(), &'static str> {
    let channel_len = u16::try_from(parts.channel.len()).ok().filter(|&len| len > 0).ok_or("a channel has a name")?;
    let type_len = u8::try_from(parts.content_type.len()).map_err(|_| "a content type is at most 255 bytes long")?;
    let event_len = u8::try_from(parts.event.len()).map_err(|_| "an event name is at most 255 bytes long")?;
    let data_len = u32::try_from(parts.data.len()).map_err(|_| "a message is at most 4 GiB")?;
    out.reserve(len(parts));
    out.extend_from_slice(&head(channel_len, type_len, event_len, data_len));
    for part in [parts.channel.as_bytes(), parts.content_type.as_bytes(), parts.event.as_bytes(), parts.data] {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Writes the question whether all messages before it were taken.
pub fn write_flush(out: &mut Vec<u8>, cookie: Cookie) {
    out.extend_from_slice(&head(0, FLUSH, 0, cookie.len() as u32));
    out.extend_from_slice(&cookie);
}

fn head(channel_len: u16, type_len: u8, event_len: u8, data_len: u32) -> [u8; HEAD_BYTES] {
    let ([c0, c1], [d0, d1, d2, d3]) = (channel_len.to_le_bytes(), data_len.to_le_bytes());
    [c0, c1, type_len, event_len, d0, d1, d2, d3]
}

/// The answer to a flush: all messages before it are taken, but for those that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed<'a> {
    /// As it was asked with.
    pub cookie: Cookie,
    /// How many messages were refused since the last flush.
    pub refused: u32,
    /// The first of those refusals as JSON; empty if there is none.
    pub first: &'a [u8],
}

impl<'a> Flushed<'a> {
    /// Writes the answer's frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let len = self.cookie.len() + size_of::<u32>() + self.first.len();
        out.extend_from_slice(&head(0, FLUSH, 0, len as u32));
        out.extend_from_slice(&self.cookie);
        out.extend_from_slice(&self.refused.to_le_bytes());
        out.extend_from_slice(self.first);
    }

    /// Reads the data of the answer's frame; `None` if it is none.
    pub fn read(data: &'a [u8]) -> Option<Flushed<'a>> {
        let (cookie, rest) = data.split_first_chunk()?;
        let (refused, first) = rest.split_first_chunk()?;
        Some(Flushed { cookie: *cookie, refused: u32::from_le_bytes(*refused), first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(content_type: &'a str, event: &'a str, data: &'a [u8]) -> Parts<'a> {
        Parts { channel: "/chat", content_type, event, data, unix_ms: 0 }
    }

    #[test]
    fn a_frame_comes_back_as_it_was_written_and_not_before_it_is_whole() {
        for (content_type, event, data) in [("", "", &b""[..]), ("text/plain", "", b"ciao"), ("a/b", "line", &[0xff; 300])] {
            let mut bytes = Vec::new();
            write(&mut bytes, &parts(content_type, event, data)).expect("it fits");
            assert_eq!(bytes.len(), len(&parts(content_type, event, data)));
            let (content_type, event) = (content_type.as_bytes(), event.as_bytes());
            let frame = Frame::Message { channel: b"/chat", content_type, event, data };
            let whole = bytes.len();
            bytes.extend_from_slice(b"more");
            for cut in 0..whole {
                assert_eq!(read(&bytes[..cut], 300), Ok(None), "{cut}");
            }
            assert_eq!(read(&bytes, 300), Ok(Some((frame, whole))));
        }
    }

    #[test]
    fn without_type_and_event_a_frame_is_two_numbers_and_two_texts() {
        let mut bytes = Vec::new();
        write(&mut bytes, &parts("", "", b"hi")).expect("it fits");
        assert_eq!(bytes, b"\x05\0\0\0\x02\0\0\0/chathi");
    }

    #[test]
    fn a_head_alone_says_what_is_not_worth_waiting_for() {
        for (bytes, fault) in [
            (&b"\x05\0\0\0\x0b\0\0\0"[..], Fault::TooLong(11)),
            (b"\x05\0\0\0\xff\xff\xff\xff", Fault::TooLong(u32::MAX)),
            (b"\0\0\x01\0\x0b\0\0\0", Fault::TooLong(11)),
            (b"\0\0\0\0\0\0\0\0", Fault::Unknown),
            (b"\0\0\x02\0\x08\0\0\0", Fault::Unknown),
            (b"\0\0\x01\x01\x08\0\0\0", Fault::Unknown),
        ] {
            assert_eq!(read(bytes, 10), Err(fault), "{bytes:?}");
        }
    }

    #[test]
    fn what_no_frame_can_hold_is_not_written() {
        let long = "x".repeat(256);
        let mut out = Vec::new();
        assert!(write(&mut out, &parts(&long, "", b"")).is_err());
        assert!(write(&mut out, &parts("", &long, b"")).is_err());
        assert!(write(&mut out, &Parts { channel: "", ..parts("", "", b"") }).is_err());
        assert!(out.is_empty());
    }

    #[test]
    fn a_flush_and_its_answer_share_their_cookie() {
        let mut bytes = Vec::new();
        write_flush(&mut bytes, *b"12345678");
        assert_eq!(bytes, b"\0\0\x01\0\x08\0\0\x0012345678");
        for flushed in [
            Flushed { cookie: *b"12345678", refused: 0, first: b"" },
            Flushed { cookie: [0xff; 8], refused: 70_000, first: b"{\"error\":\"bad_channel\"}" },
        ] {
            let mut bytes = Vec::new();
            flushed.write(&mut bytes);
            let Ok(Some((Frame::Control { kind: FLUSH, data }, len))) = read(&bytes, 100) else { panic!("{bytes:?}") };
            assert_eq!((Flushed::read(data), len), (Some(flushed), bytes.len()));
        }
        assert_eq!(Flushed::read(b"too short"), None);
    }
}
