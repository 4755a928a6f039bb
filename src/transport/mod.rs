//! How a client is held, and how a batch of messages is framed for it.
//!
//! One file a transport, each with the same four verbs; [`open`], [`batch`], [`keep_alive`] and [`close`] here
//! pick among them. What they write depends on nothing but their arguments, so a batch is framed once for all
//! connections of one [`Variant`] that stand at the same position, and shared.
//!
//! Never meets a socket, a connection or the clock.

mod envelope;
pub(crate) mod gif;
mod iframe;
mod jsonp;
mod long_poll;
mod look;
mod multipart;
mod pull;
mod script;
mod sse;
mod stream;
mod variant;
pub(crate) mod websocket;

pub(crate) use look::Look;
pub(crate) use variant::{Transport, Variant};

use crate::base::cursor::Cursor;
use crate::base::id::MessageId;
use crate::base::payload::Message;
use crate::http::{Sharing, response};
use variant::{AHEAD, CONDITIONAL, ENVELOPE, HTTP10, MIXED, OPERA, RAW, SESSION};

/// What a batch tells of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Which place of the cursor moves.
    pub(crate) place: usize,
    /// To where.
    pub(crate) id: MessageId,
    /// How many messages before this one were left out for later ones with their event names.
    pub(crate) conflated: u64,
    pub(crate) news: News<'a>,
}

/// One piece of news.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News<'a> {
    /// A message.
    Message(&'a Message),
    /// The reader missed messages of this channel: so many, if that is known. They were let go before it came for them; or
    /// they are passed over, since it was too far behind and goes on with the newest.
    Gap { channel: &'a str, missed: Option<u64>, skipped: bool },
    /// This channel was dropped, with what it held; what comes now is its new beginning.
    End { channel: &'a str },
}

/// Some news in order, for a reader at `cursor`; framing moves the cursor along.
pub(crate) struct Batch<'a> {
    pub(crate) items: &'a [Item<'a>],
    pub(crate) cursor: &'a mut Cursor,
    /// The messages before, for transports that look back; the newest last.
    pub(crate) earlier: &'a [&'a Message],
}

impl Batch<'_> {
    /// Moves the cursor behind all of the batch.
    fn move_cursor(&mut self) {
        for item in self.items {
            self.cursor.places[item.place] = item.id;
        }
    }
}

/// A client's first moment.
pub(crate) struct Opening<'a> {
    /// Where it stands; `None` for a client that has yet to be told what it missed.
    pub(crate) cursor: Option<&'a Cursor>,
    /// As in a [`Batch`].
    pub(crate) earlier: &'a [&'a Message],
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It has lived for long enough.
    LifeSpan,
    /// The server stops.
    Stopping,
    /// The token that it was held by has ended.
    Expired,
    /// Its client takes too little of it.
    TooSlow,
}

impl Farewell {
    /// What clients are told.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Farewell::LifeSpan => "life_span",
            Farewell::Stopping => "stopping",
            Farewell::Expired => "token_expired",
            Farewell::TooSlow => "too_slow",
        }
    }
}

/// What a client is told that is held by a token: how to bring another one before this one ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    /// What its connection is called.
    pub(crate) session: &'a str,
    pub(crate) expires_in_ms: u64,
}

/// What responses say beside the news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    /// For the `Date` field.
    pub(crate) date: &'a str,
    /// Which pages may read it.
    pub(crate) sharing: Sharing<'a>,
    /// What a stream tells its client to wait before it reconnects.
    pub(crate) retry_ms: u64,
    /// What no published bytes contain.
    pub(crate) boundary: &'a str,
    pub(crate) look: &'a Look,
    /// The value of a `Set-Cookie` field.
    pub(crate) cookie: Option<&'a str>,
    /// For a stream that begins by a token which ends.
    pub(crate) held: Option<Held<'a>>,
}

/// What framing needs to do its work, and keeps for the next time; one a shard.
#[derive(Default)]
pub(crate) struct Tools {
    deflater: websocket::Deflater,
}

/// What goes out as soon as a client is held: a stream's head and greeting.
pub(crate) fn open(out: &mut Vec<u8>, variant: Variant, opening: &Opening<'_>, setting: &Setting<'_>) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll | Transport::Jsonp | Transport::Pull => {}
        Transport::Sse => sse::open(out, variant, opening, setting),
        Transport::Stream => stream::open(out, variant, opening, setting),
        Transport::Iframe => iframe::open(out, variant, opening, setting),
        Transport::Multipart => multipart::open(out, variant, opening, setting),
        Transport::Gif => gif::feed::open(out, variant, opening, setting),
        Transport::WebSocket => websocket::feed::open(out, variant, opening, setting),
    }
}

/// The news. For a stream, a piece of it; otherwise the whole response, also when there are none.
pub(crate) fn batch(out: &mut Vec<u8>, variant: Variant, batch: Batch<'_>, setting: &Setting<'_>, tools: &mut Tools) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll => long_poll::batch(out, variant, batch, setting),
        Transport::Jsonp => jsonp::batch(out, variant, batch, setting),
        Transport::Pull => pull::batch(out, variant, batch, setting),
        Transport::Sse => sse::batch(out, variant, batch, setting),
        Transport::Stream => stream::batch(out, variant, &batch, setting),
        Transport::Iframe => iframe::batch(out, variant, &batch, setting),
        Transport::Multipart => multipart::batch(out, variant, &batch, setting),
        Transport::Gif => gif::feed::batch(out, variant, &batch, setting),
        Transport::WebSocket => websocket::feed::batch(out, variant, &batch, setting, tools),
    }
}

/// A protocol's own answer, which is `json` and complete; on a stream, one of many.
pub(crate) fn answer(out: &mut Vec<u8>, variant: Variant, json: &[u8], setting: &Setting<'_>, tools: &mut Tools) {
    match variant.transport() {
        Transport::Jsonp => jsonp::answer(out, variant, json, setting),
        Transport::Iframe => iframe::answer(out, variant, json, setting),
        Transport::Sse => sse::say(out, variant, json),
        Transport::WebSocket => websocket::feed::say(out, websocket::Opcode::Text, json, setting, tools),
        _ => long_poll::answer(out, variant, json, setting),
    }
}

/// What keeps a silent stream open in the eyes of those between.
pub(crate) fn keep_alive(out: &mut Vec<u8>, variant: Variant, earlier: &[&Message], setting: &Setting<'_>) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll | Transport::Jsonp | Transport::Pull => {}
        Transport::Sse => sse::keep_alive(out, variant),
        Transport::Stream => stream::keep_alive(out, variant, setting),
        Transport::Iframe => iframe::keep_alive(out, variant),
        Transport::Multipart => multipart::keep_alive(out, variant, earlier, setting),
        Transport::Gif => gif::feed::keep_alive(out, variant),
        Transport::WebSocket => websocket::feed::keep_alive(out),
    }
}

/// The end of a stream; its client comes back.
pub(crate) fn close(out: &mut Vec<u8>, variant: Variant, farewell: Farewell, setting: &Setting<'_>) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll | Transport::Jsonp | Transport::Pull => return,
        Transport::Sse => sse::close(out, variant, farewell, setting),
        Transport::Stream => stream::close(out, variant, farewell, setting),
        Transport::Iframe => iframe::close(out, variant, farewell, setting),
        Transport::Multipart => multipart::close(out, variant, setting),
        Transport::Gif => gif::feed::close(out, variant),
        Transport::WebSocket => return websocket::feed::close(out, variant, farewell, setting),
    }
    if !variant.has(HTTP10) {
        out.extend_from_slice(response::LAST_CHUNK);
    }
}

/// The answer to `HEAD`: what a `GET` would begin with, and no body.
pub(crate) fn head_only(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    match variant.transport() {
        Transport::LongPoll | Transport::Poll => long_poll::head(out, variant, setting),
        Transport::Jsonp => jsonp::head(out, variant, setting),
        Transport::Pull => pull::head(out, variant, setting),
        Transport::Sse => sse::head(out, variant, setting),
        Transport::Stream => stream::head(out, variant, setting),
        Transport::Iframe => iframe::head(out, variant, setting),
        Transport::Multipart => multipart::head(out, variant, setting),
        Transport::Gif => gif::feed::head(out, variant, setting),
        // A socket is asked for with GET.
        Transport::WebSocket => {}
    }
}

/// What most streams begin with, their greeting included.
const STREAM_HEAD_BYTES: usize = 512;

/// Begins the head of a stream of this media type, and ends it.
fn stream_head(out: &mut Vec<u8>, variant: Variant, media_type: &str, setting: &Setting<'_>) {
    out.reserve(STREAM_HEAD_BYTES);
    response::start(out, 200);
    response::field(out, "Content-Type", media_type);
    response::fixed(out, "Cache-Control: no-cache, no-store, no-transform\r\nX-Accel-Buffering: no");
    if variant.transport() == Transport::Multipart {
        response::field(out, SANDBOX.0, SANDBOX.1);
    }
    if !variant.has(HTTP10) {
        response::fixed(out, "Transfer-Encoding: chunked");
    }
    common_fields(out, variant, setting);
    response::end(out);
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

/// What was published goes out under its own type, and may be a page or a drawing with scripts: shown as a
/// document it must not run in this server's name.
const SANDBOX: (&str, &str) = ("Content-Security-Policy", "sandbox");

/// The fields that every transport's responses carry.
fn common_fields(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    response::date(out, setting.date);
    response::fixed(out, "X-Content-Type-Options: nosniff");
    setting.sharing.write(out);
    if let Some(held) = setting.held {
        response::field(out, "Encke-Session", held.session);
        response::field(out, "Access-Control-Expose-Headers", "Encke-Session");
    }
    if let Some(cookie) = setting.cookie {
        response::field(out, "Set-Cookie", cookie);
    }
    if variant.ends_connection() {
        response::field(out, "Connection", "close");
    } else if variant.has(HTTP10) {
        response::field(out, "Connection", "keep-alive");
    }
}

/// Writes text, which memory takes without fail.
fn text(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    use std::io::Write;
    out.write_fmt(args).expect("memory takes all bytes");
}
