//! Which transport, and in which of its ways: everything usual that framing depends on, in 16 bits.

use crate::http::Version;

/// The ways of holding a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Transport {
    /// Waits, answers one batch, ends.
    LongPoll,
    /// Answers at once with what there is.
    Poll,
    /// The long-poll as a script.
    Jsonp,
    /// A page that shows what there is, and is loaded anew now and then.
    Pull,
    /// Server-sent events.
    Sse,
    /// JSON, a line each.
    Stream,
    /// Scripts in an endless document.
    Iframe,
    /// Parts that replace each other.
    Multipart,
    /// A picture of the last lines.
    Gif,
    /// Messages both ways.
    WebSocket,
}

/// By the names used in `?transport=`, with the bits that a name stands for.
const NAMES: [(&str, Transport, u16); 12] = [
    ("long-poll", Transport::LongPoll, 0),
    ("poll", Transport::Poll, 0),
    ("jsonp", Transport::Jsonp, 0),
    ("jsonp-poll", Transport::Jsonp, AT_ONCE),
    ("pull", Transport::Pull, 0),
    ("sse", Transport::Sse, 0),
    ("x-dom-event-stream", Transport::Sse, OPERA),
    ("stream", Transport::Stream, 0),
    ("iframe", Transport::Iframe, 0),
    ("htmlfile", Transport::Iframe, 0),
    ("multipart", Transport::Multipart, 0),
    ("gif", Transport::Gif, 0),
];

/// By media types in `Accept`, the first that is named there.
const ACCEPTED: [(&str, Transport, u16); 5] = [
    ("text/event-stream", Transport::Sse, 0),
    ("application/x-dom-event-stream", Transport::Sse, OPERA),
    ("application/x-ndjson", Transport::Stream, 0),
    ("multipart/x-mixed-replace", Transport::Multipart, 0),
    ("multipart/mixed", Transport::Multipart, MIXED),
];

impl Transport {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, transport, _)| *transport == self).map_or("websocket", |(name, ..)| name)
    }

    /// Whether a response carries many batches and ends when its life span does.
    pub(crate) fn is_stream(self) -> bool {
        match self {
            Transport::LongPoll | Transport::Poll | Transport::Jsonp | Transport::Pull => false,
            Transport::Sse | Transport::Stream | Transport::Iframe | Transport::Multipart => true,
            Transport::Gif | Transport::WebSocket => true,
        }
    }

    /// Whether it can show one channel only.
    pub(crate) fn shows_one_channel(self) -> bool {
        matches!(self, Transport::Multipart | Transport::Gif)
    }

    /// How many messages before a batch its framing looks at.
    pub(crate) fn looks_back(self) -> usize {
        match self {
            Transport::Multipart => 1,
            Transport::Gif => super::gif::feed::LOOKS_BACK,
            _ => 0,
        }
    }
}

/// A transport and the bits beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Variant(u16);

const TRANSPORT: u16 = 0x000f;
/// The client speaks HTTP/1.0.
pub(super) const HTTP10: u16 = 0x0010;
/// The connection ends with this response.
pub(super) const LAST: u16 = 0x0020;
/// Each event's data is the JSON envelope.
pub(super) const ENVELOPE: u16 = 0x0040;
/// The published bytes, without an envelope.
pub(super) const RAW: u16 = 0x0080;
/// The client asked for news since a tag it holds, and takes 304 for "none".
pub(super) const CONDITIONAL: u16 = 0x0100;
/// `multipart/mixed`.
pub(super) const MIXED: u16 = 0x0200;
/// `application/x-dom-event-stream`.
pub(super) const OPERA: u16 = 0x0400;
/// What came before the reader's first message was not known when it was greeted.
pub(super) const AHEAD: u16 = 0x0800;
/// The script comes at once, whatever there is.
pub(super) const AT_ONCE: u16 = 0x1000;
/// The greeting says what the connection is called, where it is held by a token.
pub(super) const SESSION: u16 = 0x2000;

impl Variant {
    /// The transport called `name`; `None` if there is none.
    pub(crate) fn named(name: &str) -> Option<Variant> {
        let entry = NAMES.iter().find(|(known, ..)| *known == name);
        entry.map(|&(_, transport, bits)| Variant(transport as u16 | bits))
    }

    /// The transport for what a client accepts; a long-poll if it names none of ours.
    pub(crate) fn accepted(accept: &[u8]) -> Variant {
        let accept = accept.to_ascii_lowercase();
        let place = |media_type: &str| memchr::memmem::find(&accept, media_type.as_bytes());
        let named = ACCEPTED.iter().filter_map(|entry| Some((place(entry.0)?, entry)));
        named.min_by_key(|(place, _)| *place).map_or(Variant::default(), |(_, entry)| Variant(entry.1 as u16 | entry.2))
    }

    /// All names, for an error that says what there is.
    pub(crate) fn names() -> String {
        NAMES.map(|(name, ..)| name).join(", ")
    }

    fn with(self, bit: u16, set: bool) -> Variant {
        Variant(if set { self.0 | bit } else { self.0 & !bit })
    }

    /// A script that calls a function.
    pub(crate) fn jsonp() -> Variant {
        Variant(Transport::Jsonp as u16)
    }

    /// A document in a frame.
    pub(crate) fn iframe() -> Variant {
        Variant::default().over(Transport::Iframe)
    }

    /// The same by another transport.
    pub(crate) fn over(self, transport: Transport) -> Variant {
        Variant(self.0 & !TRANSPORT | transport as u16)
    }

    /// Server-sent events.
    pub(crate) fn sse() -> Variant {
        Variant(Transport::Sse as u16)
    }

    /// JSON, a line each.
    pub(crate) fn stream() -> Variant {
        Variant(Transport::Stream as u16)
    }

    /// A WebSocket.
    pub(crate) fn socket() -> Variant {
        Variant(Transport::WebSocket as u16)
    }

    /// For a client that speaks `version`.
    pub(crate) fn version(self, version: Version) -> Variant {
        self.with(HTTP10, version == Version::Http10)
    }

    pub(crate) fn last(self, last: bool) -> Variant {
        self.with(LAST, last)
    }

    pub(crate) fn envelope(self, envelope: bool) -> Variant {
        self.with(ENVELOPE, envelope)
    }

    pub(crate) fn raw(self, raw: bool) -> Variant {
        self.with(RAW, raw)
    }

    pub(crate) fn conditional(self, conditional: bool) -> Variant {
        self.with(CONDITIONAL, conditional)
    }

    pub(crate) fn mixed(self, mixed: bool) -> Variant {
        self.with(MIXED, mixed || self.has(MIXED))
    }

    /// For a reader that knows of messages which its shard has yet to hear of.
    pub(crate) fn ahead(self, ahead: bool) -> Variant {
        self.with(AHEAD, ahead)
    }

    /// Whether it is still such a reader's.
    pub(crate) fn is_ahead(self) -> bool {
        self.has(AHEAD)
    }

    /// For a client that asks what its connection is called, until it was told.
    pub(crate) fn session(self, told: bool) -> Variant {
        self.with(SESSION, told)
    }

    pub(crate) fn transport(self) -> Transport {
        match self.0 & TRANSPORT {
            0 => Transport::LongPoll,
            1 => Transport::Poll,
            2 => Transport::Jsonp,
            3 => Transport::Pull,
            4 => Transport::Sse,
            5 => Transport::Stream,
            6 => Transport::Iframe,
            7 => Transport::Multipart,
            8 => Transport::Gif,
            _ => Transport::WebSocket,
        }
    }

    /// Whether the answer is given at once, whatever there is.
    pub(crate) fn is_immediate(self) -> bool {
        matches!(self.transport(), Transport::Poll | Transport::Pull) || self.has(AT_ONCE)
    }

    /// Whether the connection ends with the response: it said so, or it has no other way to end the body, or speaks
    /// HTTP no more.
    pub(crate) fn ends_connection(self) -> bool {
        let transport = self.transport();
        self.has(LAST) || self.has(HTTP10) && transport.is_stream() || transport == Transport::WebSocket
    }

    /// How many messages one batch may hold: a raw response has room for one.
    pub(crate) fn messages_max(self) -> usize {
        if self.has(RAW) && !self.transport().is_stream() { 1 } else { usize::MAX }
    }

    pub(super) fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_every_accepted_type_finds_its_transport() {
        for (name, transport, bits) in NAMES {
            let variant = Variant::named(name).unwrap();
            assert_eq!(variant.transport(), transport, "{name}");
            assert_eq!((variant.has(OPERA), variant.has(AT_ONCE)), (bits & OPERA != 0, bits & AT_ONCE != 0));
        }
        assert_eq!(Variant::named("telegraph"), None);
        let accepted = |accept: &str| Variant::accepted(accept.as_bytes()).transport();
        assert_eq!(accepted("*/*"), Transport::LongPoll);
        assert_eq!(accepted("text/html, Multipart/X-Mixed-Replace, text/event-stream"), Transport::Multipart);
        assert!(Variant::accepted(b"multipart/mixed").has(MIXED));
    }
}
