//! How a client is held, and how a batch of messages is framed for it.
//!
//! One file a transport, each with the same four verbs; [`open`], [`batch`], [`keep_alive`] and [`close`] here
//! pick among them. What they write depends on nothing but their arguments, so a batch is framed once for all
//! connections of one [`Variant`] that stand at the same position, and shared.
//!
//! Never meets a socket, a connection or the clock.

mod envelope;
#[allow(dead_code, reason = "no request leads here yet")]
mod gif;
mod long_poll;
mod sse;
#[allow(dead_code, unused_imports, reason = "complete and tested in itself; connections do not speak it yet")]
mod websocket;

use crate::base::cursor::Cursor;
use crate::base::id::MessageId;
use crate::base::payload::Message;
use crate::http::{Version, response};

/// The ways of holding a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Transport {
    /// Waits, answers one batch, ends.
    LongPoll,
    /// Answers at once with what there is.
    Poll,
    /// Server-sent events.
    Sse,
}

/// By the names used in `?transport=`.
const TRANSPORTS: [(&str, Transport); 3] =
    [("long-poll", Transport::LongPoll), ("poll", Transport::Poll), ("sse", Transport::Sse)];

impl Transport {
    /// The transport called `name`.
    pub(crate) fn named(name: &str) -> Option<Transport> {
        TRANSPORTS.iter().find(|(known, _)| *known == name).map(|&(_, transport)| transport)
    }

    /// All names, for an error that says what there is.
    pub(crate) fn names() -> String {
        TRANSPORTS.map(|(name, _)| name).join(", ")
    }

    /// Whether a response carries many batches and ends when its life span does.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Transport::Sse)
    }
}

/// Everything that framing depends on, in the 16 bits that a connection's slot has for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Variant(u16);

const TRANSPORT: u16 = 0x000f;
const HTTP10: u16 = 0x0010;
const LAST: u16 = 0x0020;
const ENVELOPE: u16 = 0x0040;
const RAW: u16 = 0x0080;
const CONDITIONAL: u16 = 0x0100;

impl Variant {
    /// A plain variant of `transport` for a client that speaks `version`.
    pub(crate) fn new(transport: Transport, version: Version) -> Variant {
        Variant(transport as u16).with(HTTP10, version == Version::Http10)
    }

    fn with(self, bit: u16, set: bool) -> Variant {
        Variant(if set { self.0 | bit } else { self.0 & !bit })
    }

    /// The connection ends with this response.
    pub(crate) fn last(self, last: bool) -> Variant {
        self.with(LAST, last)
    }

    /// Each event's data is the JSON envelope.
    pub(crate) fn envelope(self, envelope: bool) -> Variant {
        self.with(ENVELOPE, envelope)
    }

    /// One message is the body.
    pub(crate) fn raw(self, raw: bool) -> Variant {
        self.with(RAW, raw)
    }

    /// The client asked for news since a tag it holds, and takes 304 for "none".
    pub(crate) fn conditional(self, conditional: bool) -> Variant {
        self.with(CONDITIONAL, conditional)
    }

    pub(crate) fn transport(self) -> Transport {
        match self.0 & TRANSPORT {
            0 => Transport::LongPoll,
            1 => Transport::Poll,
            _ => Transport::Sse,
        }
    }

    /// Whether the connection ends with the response: it said so, or it has no other way to end the body.
    pub(crate) fn ends_connection(self) -> bool {
        self.has(LAST) || self.has(HTTP10) && self.transport().is_stream()
    }

    fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    /// How many messages one batch may hold: a raw response has room for one.
    pub(crate) fn messages_max(self) -> usize {
        if self.has(RAW) && !self.transport().is_stream() { 1 } else { usize::MAX }
    }
}

/// What a batch tells of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Which place of the cursor moves.
    pub(crate) place: usize,
    /// To where.
    pub(crate) id: MessageId,
    pub(crate) news: News<'a>,
}

/// One piece of news.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News<'a> {
    /// A message.
    Message(&'a Message),
    /// Messages of this channel were let go before the reader came for them: so many, if that is known.
    Gap { channel: &'a str, missed: Option<u64> },
}

/// Some news in order, for a reader at `cursor`; framing moves the cursor along.
pub(crate) struct Batch<'a> {
    pub(crate) items: &'a [Item<'a>],
    pub(crate) cursor: &'a mut Cursor,
}

/// What responses say beside the news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    /// For the `Date` field.
    pub(crate) date: &'a str,
    /// For `Access-Control-Allow-Origin`; empty for none.
    pub(crate) origin: &'a str,
    /// What a stream tells its client to wait before it reconnects.
    pub(crate) retry_ms: u64,
}

/// What goes out as soon as a client is held at `cursor`: a stream's head and greeting. No cursor is given to
/// a client that has yet to be told what it missed.
pub(crate) fn open(out: &mut Vec<u8>, variant: Variant, cursor: Option<&Cursor>, setting: &Setting<'_>) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll => {}
        Transport::Sse => sse::open(out, variant, cursor, setting),
    }
}

/// The news. For a stream, a piece of it; otherwise the whole response, also when there are none.
pub(crate) fn batch(out: &mut Vec<u8>, variant: Variant, batch: Batch<'_>, setting: &Setting<'_>) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll => long_poll::batch(out, variant, batch, setting),
        Transport::Sse => sse::batch(out, variant, batch),
    }
}

/// What keeps a silent stream open in the eyes of those between.
pub(crate) fn keep_alive(out: &mut Vec<u8>, variant: Variant) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll => {}
        Transport::Sse => sse::keep_alive(out, variant),
    }
}

/// The end of a stream; its client comes back.
pub(crate) fn close(out: &mut Vec<u8>, variant: Variant) {
    if variant.transport().is_stream() && !variant.has(HTTP10) {
        out.extend_from_slice(response::LAST_CHUNK);
    }
}

/// The answer to `HEAD`: what a `GET` would begin with, and no body.
pub(crate) fn head_only(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll => long_poll::head(out, variant, setting),
        Transport::Sse => sse::head(out, variant, setting),
    }
}

/// Writes with `body` one piece of a stream: a chunk, or for HTTP/1.0 the bytes alone.
fn piece(out: &mut Vec<u8>, variant: Variant, body: impl FnOnce(&mut Vec<u8>)) {
    if variant.has(HTTP10) {
        return body(out);
    }
    let mark = response::chunk_open(out);
    body(out);
    response::chunk_close(out, mark);
}

/// The fields that every transport's responses carry.
fn common_fields(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    response::field(out, "Date", setting.date);
    response::field(out, "X-Content-Type-Options", "nosniff");
    if !setting.origin.is_empty() {
        response::field(out, "Access-Control-Allow-Origin", setting.origin);
        let exposed = "ETag, Last-Modified, Date, Encke-Channel, Encke-Event, Encke-Gap";
        response::field(out, "Access-Control-Expose-Headers", exposed);
    }
    if variant.ends_connection() {
        response::field(out, "Connection", "close");
    } else if variant.has(HTTP10) {
        response::field(out, "Connection", "keep-alive");
    }
}

/// Two stretches of text that JSON strings and decimal numbers may be written to without fail.
fn text(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    use std::io::Write;
    out.write_fmt(args).expect("memory takes all bytes");
}
