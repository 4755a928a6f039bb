//! Server-sent events (WHATWG HTML, section 9.2).
//!
//! ```text
//! stream = *( event / comment )
//! event  = [ "id: " cursor LF ] [ "event: " name LF ] *( "data: " line LF ) LF
//! comment = ":" LF LF
//! ```
//! Each event carries the cursor as its id, so that a client that comes back with `Last-Event-ID` gets what
//! follows. The greeting carries one too: a client cut off before its first message then loses nothing either.

use super::{Batch, ENVELOPE, HTTP10, News, Setting, Variant, common_fields, envelope, piece, text};
use crate::base::cursor::Cursor;
use crate::base::id::MessageId;
use crate::base::payload::{Kind, Message};
use crate::http::response;

const MEDIA_TYPE: &str = "text/event-stream";

pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    response::start(out, 200);
    response::field(out, "Content-Type", MEDIA_TYPE);
    response::field(out, "Cache-Control", "no-cache, no-store, no-transform");
    response::field(out, "X-Accel-Buffering", "no");
    if !variant.has(HTTP10) {
        response::field(out, "Transfer-Encoding", "chunked");
    }
    common_fields(out, variant, setting);
    response::end(out);
}

pub(super) fn open(out: &mut Vec<u8>, variant: Variant, cursor: Option<&Cursor>, setting: &Setting<'_>) {
    head(out, variant, setting);
    piece(out, variant, |out| {
        text(out, format_args!("retry: {}\n", setting.retry_ms));
        if let Some(cursor) = cursor {
            text(out, format_args!("id: {cursor}\n"));
        }
        out.push(b'\n');
    });
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, batch: Batch<'_>) {
    piece(out, variant, |out| {
        for item in batch.items {
            batch.cursor.places[item.place] = item.id;
            text(out, format_args!("id: {}\n", batch.cursor));
            match item.news {
                News::Message(message) => event(out, variant, item.id, message),
                News::Gap { channel, missed } => {
                    out.extend_from_slice(b"event: gap\ndata: ");
                    envelope::gap(out, channel, missed);
                    out.extend_from_slice(b"\n\n");
                }
            }
        }
    });
}

pub(super) fn keep_alive(out: &mut Vec<u8>, variant: Variant) {
    piece(out, variant, |out| out.extend_from_slice(b":\n\n"));
}

fn event(out: &mut Vec<u8>, variant: Variant, id: MessageId, message: &Message) {
    if !message.event().is_empty() {
        text(out, format_args!("event: {}\n", message.event()));
    }
    if variant.has(ENVELOPE) {
        out.extend_from_slice(b"data: ");
        envelope::write(out, id, message);
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
