//! Long-poll and poll: one batch is one response.
//!
//! As JSON, `{"cursor":…,"gap":…,"messages":[envelope …]}`, with the cursor as `ETag` too; where there is a gap,
//! `"gaps":[{"channel":…,"missed":…} …]` says where. Raw, one message is
//! the body, under the `Content-Type` it was published with; `ETag` and `Last-Modified` are the cursor, and
//! `Encke-Channel`, `Encke-Event` and `Encke-Gap` say the rest.
//!
//! JSON is never stored by a cache, raw is stored and always revalidated: that is how a browser's own cache
//! resumes it. A raw response without a message is 204 and not 304, or that cache would hand out its last
//! message again.

use super::{Batch, CONDITIONAL, Item, News, RAW, SANDBOX, Setting, Transport, Variant, common_fields, envelope, text};
use crate::base::cursor::Cursor;
use crate::base::payload::Message;
use crate::http::response;
use std::time::{Duration, UNIX_EPOCH};

const MEDIA_TYPE: &str = "application/json";
/// What most heads take.
const HEAD_BYTES: usize = 256;

/// What a `GET` would begin with, as far as that is known before there is news.
pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    response::start(out, 200);
    if !variant.has(RAW) {
        response::field(out, "Content-Type", MEDIA_TYPE);
    }
    caching(out, variant);
    common_fields(out, variant, setting);
    response::end(out);
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, mut batch: Batch<'_>, setting: &Setting<'_>) {
    batch.move_cursor();
    let unchanged = variant.has(CONDITIONAL) && !variant.has(RAW) && batch.items.is_empty();
    if unchanged && variant.transport() == Transport::Poll {
        response::start(out, 304);
        fields(out, variant, batch.cursor, setting);
        response::end(out);
    } else if variant.has(RAW) {
        raw(out, variant, batch.items, batch.cursor, setting);
    } else {
        let mut body = Vec::with_capacity(256);
        json(&mut body, batch.items, batch.cursor);
        response::start(out, 200);
        response::field(out, "Content-Type", MEDIA_TYPE);
        fields(out, variant, batch.cursor, setting);
        with_body(out, &body);
    }
}

/// A response whose body is this JSON.
pub(super) fn answer(out: &mut Vec<u8>, variant: Variant, json: &[u8], setting: &Setting<'_>) {
    out.reserve(HEAD_BYTES + json.len());
    response::start(out, 200);
    response::field(out, "Content-Type", MEDIA_TYPE);
    response::field(out, "Cache-Control", "no-store");
    common_fields(out, variant, setting);
    with_body(out, json);
}

/// The batch as JSON. A channel that ended is a gap too: what it held is not to be had any more.
pub(super) fn json(body: &mut Vec<u8>, items: &[Item<'_>], cursor: &Cursor) {
    let mut gaps = items.iter().filter_map(|item| match item.news {
        News::Message(_) => None,
        News::Gap { channel, missed, skipped } => Some((channel, missed, skipped)),
        News::End { channel } => Some((channel, None, false)),
    });
    let first = gaps.next();
    text(body, format_args!("{{\"cursor\":\"{cursor}\",\"gap\":{},", first.is_some()));
    if let Some((channel, missed, skipped)) = first {
        body.extend_from_slice(b"\"gaps\":[");
        envelope::gap(body, channel, missed, skipped);
        for (channel, missed, skipped) in gaps {
            body.push(b',');
            envelope::gap(body, channel, missed, skipped);
        }
        body.extend_from_slice(b"],");
    }
    body.extend_from_slice(b"\"messages\":[");
    let mut first = true;
    for item in items {
        if let News::Message(message) = item.news {
            if !std::mem::take(&mut first) {
                body.push(b',');
            }
            envelope::write(body, item.id, message, item.conflated);
        }
    }
    body.extend_from_slice(b"]}");
}

fn raw(out: &mut Vec<u8>, variant: Variant, items: &[Item<'_>], cursor: &Cursor, setting: &Setting<'_>) {
    let message = items.iter().find_map(|item| match item.news {
        News::Message(message) => Some(message),
        News::Gap { .. } | News::End { .. } => None,
    });
    let gap = items.iter().find_map(|item| match item.news {
        News::Gap { missed, .. } => Some(missed),
        News::End { .. } => Some(None),
        News::Message(_) => None,
    });
    response::start(out, if message.is_some() { 200 } else { 204 });
    if let Some(missed) = gap {
        response::field(out, "Encke-Gap", &missed.map_or("unknown".into(), |missed| missed.to_string()));
    }
    if let Some(message) = message {
        response::field(out, SANDBOX.0, SANDBOX.1);
        message_fields(out, message);
    }
    fields(out, variant, cursor, setting);
    match message {
        Some(message) => with_body(out, message.data()),
        None => response::end(out),
    }
}

fn message_fields(out: &mut Vec<u8>, message: &Message) {
    let media_type = if message.content_type().is_empty() { "text/plain; charset=utf-8" } else { message.content_type() };
    response::field(out, "Content-Type", media_type);
    let published = UNIX_EPOCH + Duration::from_secs(message.unix_ms() / 1000);
    response::field(out, "Last-Modified", &httpdate::fmt_http_date(published));
    response::field(out, "Encke-Channel", &escaped(message.channel()));
    if !message.event().is_empty() {
        response::field(out, "Encke-Event", &escaped(message.event()));
    }
}

fn fields(out: &mut Vec<u8>, variant: Variant, cursor: &Cursor, setting: &Setting<'_>) {
    response::field(out, "ETag", &format!("\"{cursor}\""));
    caching(out, variant);
    common_fields(out, variant, setting);
}

fn caching(out: &mut Vec<u8>, variant: Variant) {
    if variant.has(RAW) {
        response::field(out, "Cache-Control", "no-cache");
        response::field(out, "Vary", "If-None-Match, If-Modified-Since");
    } else {
        response::field(out, "Cache-Control", "no-store");
    }
}

pub(super) fn with_body(out: &mut Vec<u8>, body: &[u8]) {
    text(out, format_args!("Content-Length: {}\r\n\r\n", body.len()));
    out.extend_from_slice(body);
}

/// A field's value is ASCII: other bytes, and the percent sign, are percent-encoded as they are in a path.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
