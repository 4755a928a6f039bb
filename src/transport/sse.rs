//! Server-sent events (WHATWG HTML, section 9.2).
//!
//! ```text
//! stream = *( event / comment )
//! event  = [ "id: " cursor LF ] [ "event: " name LF ] *( "data: " line LF ) LF
//! comment = ":" LF LF
//! ```
//! Each event carries the cursor as its id, so that a client that comes back with `Last-Event-ID` gets what
//! follows. The greeting carries one too: a client cut off before its first message then loses nothing either.

//!
//! `application/x-dom-event-stream` is what the browser that had it first called it: the same fields, with a
//! capital `Event` that is always there.

use super::{
    Batch, ENVELOPE, Farewell, Item, News, OPERA, Opening, SESSION, Setting, Variant, envelope, piece, stream_head, text,
};
use crate::base::cursor::Cursor;
use crate::base::payload::{Kind, Message};
use crate::http::response;

pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    let media_type = if variant.has(OPERA) { "application/x-dom-event-stream" } else { "text/event-stream" };
    stream_head(out, variant, media_type, setting);
}

pub(super) fn open(out: &mut Vec<u8>, variant: Variant, opening: &Opening<'_>, setting: &Setting<'_>) {
    head(out, variant, setting);
    piece(out, variant, |out| {
        let preamble = setting.look.preamble.unwrap_or(0) as usize;
        comment(out, preamble);
        let start = out.len();
        out.extend_from_slice(b"retry: ");
        response::decimal(out, setting.retry_ms);
        out.push(b'\n');
        if let Some(cursor) = opening.cursor {
            id(out, cursor);
        }
        out.push(b'\n');
        if let Some(held) = setting.held.filter(|_| variant.has(SESSION)) {
            notice(out, variant, "session", |out| envelope::session(out, held));
        }
        pad(out, start, setting);
    });
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, batch: Batch<'_>, setting: &Setting<'_>) {
    piece(out, variant, |out| {
        for item in batch.items {
            let start = out.len();
            batch.cursor.places[item.place] = item.id;
            id(out, batch.cursor);
            match item.news {
                News::Message(message) => event(out, variant, item, message),
                News::Gap { channel, missed, skipped } => {
                    notice(out, variant, "gap", |out| envelope::gap(out, channel, missed, skipped));
                }
                News::End { channel } => notice(out, variant, "end", |out| envelope::end(out, channel)),
            }
            pad(out, start, setting);
        }
    });
}

/// The line that is a reader's cursor from then on.
fn id(out: &mut Vec<u8>, cursor: &Cursor) {
    out.extend_from_slice(b"id: ");
    cursor.write(out);
    out.push(b'\n');
}

/// An event that is this JSON, and nothing else.
pub(super) fn say(out: &mut Vec<u8>, variant: Variant, json: &[u8]) {
    piece(out, variant, |out| {
        lines(out, json);
        out.push(b'\n');
    });
}

pub(super) fn keep_alive(out: &mut Vec<u8>, variant: Variant) {
    piece(out, variant, |out| out.extend_from_slice(b":\n\n"));
}

/// Whoever stops wants its clients back spread over some time, and those that were too slow too; one that has lived for long
/// enough, at once. Why a stream ends has no field: a comment shows it to people, and whose token has ended sees the refusal
/// that follows.
pub(super) fn close(out: &mut Vec<u8>, variant: Variant, farewell: Farewell, setting: &Setting<'_>) {
    let (why, retry_ms) = (farewell.reason(), setting.retry_ms);
    match farewell {
        Farewell::LifeSpan => {}
        Farewell::Stopping => piece(out, variant, |out| text(out, format_args!("retry: {retry_ms}\n\n"))),
        Farewell::Expired => piece(out, variant, |out| text(out, format_args!(": {why}\n\n"))),
        Farewell::TooSlow => piece(out, variant, |out| text(out, format_args!(": {why}\nretry: {retry_ms}\n\n"))),
    }
}

fn notice(out: &mut Vec<u8>, variant: Variant, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    text(out, format_args!("{}: {name}\ndata: ", event_field(variant)));
    write(out);
    out.extend_from_slice(b"\n\n");
}

fn event_field(variant: Variant) -> &'static str {
    if variant.has(OPERA) { "Event" } else { "event" }
}

/// Fills up what was written from `start` on, with a comment.
fn pad(out: &mut Vec<u8>, start: usize, setting: &Setting<'_>) {
    let missing = (setting.look.padding as usize).saturating_sub(out.len() - start);
    comment(out, missing);
}

/// A comment of so many bytes, as far as a comment can be short.
fn comment(out: &mut Vec<u8>, bytes: usize) {
    if bytes > 0 {
        out.push(b':');
        out.resize(out.len() + bytes.saturating_sub(3), b' ');
        out.extend_from_slice(b"\n\n");
    }
}

fn event(out: &mut Vec<u8>, variant: Variant, item: &Item<'_>, message: &Message) {
    match message.event() {
        "" if variant.has(OPERA) => out.extend_from_slice(b"Event: message\n"),
        "" => {}
        name => text(out, format_args!("{}: {name}\n", event_field(variant))),
    }
    if variant.has(ENVELOPE) {
        out.extend_from_slice(b"data: ");
        envelope::write(out, item.id, message, item.conflated);
        out.push(b'\n');
    } else if message.kind() == Kind::Binary {
        text(out, format_args!("data: {}\n", envelope::base64(message)));
    } else {
        lines(out, message.data());
    }
    out.push(b'\n');
}

/// Each line of the data in a field of its own: CR, LF and CR LF all end a line, as they do for the receiver.
fn lines(out: &mut Vec<u8>, mut data: &[u8]) {
    loop {
        let end = memchr::memchr2(b'\r', b'\n', data).unwrap_or(data.len());
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&data[..end]);
        out.push(b'\n');
        data = match &data[end..] {
            [] => return,
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_data_can_make_a_second_field() {
        let framed = |data: &[u8]| {
            let mut out = Vec::new();
            lines(&mut out, data);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(framed(b"a"), "data: a\n");
        assert_eq!(framed(b""), "data: \n");
        assert_eq!(framed(b"a\nid: 7\r\nb\rc\r"), "data: a\ndata: id: 7\ndata: b\ndata: c\ndata: \n");
    }
}
