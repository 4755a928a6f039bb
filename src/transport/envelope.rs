//! A message as JSON: `{"channel":…,"id":…,"event":…,"data":…}`.
//!
//! `data` is the JSON that was published as JSON, else a string, else base64 with `"encoding":"base64"`. Where messages are
//! conflated, `"conflated"` is how many were left out between this one and what came before it, so that a reader can count.
//! Always one line.

use super::{Farewell, Held, Item, News, text};
use crate::base::cursor::Cursor;
use crate::base::id::MessageId;
use crate::base::payload::{Kind, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Appends the envelope of `message`, before which so many were left out.
pub(super) fn write(out: &mut Vec<u8>, id: MessageId, message: &Message, conflated: u64) {
    out.extend_from_slice(b"{\"channel\":");
    string(out, message.channel());
    text(out, format_args!(",\"id\":\"{id}\""));
    if !message.event().is_empty() {
        out.extend_from_slice(b",\"event\":");
        string(out, message.event());
    }
    out.extend_from_slice(b",\"data\":");
    match message.kind() {
        Kind::Json => one_line(out, message.data()),
        Kind::Text => string(out, std::str::from_utf8(message.data()).expect("checked when it was published")),
        Kind::Binary => text(out, format_args!("\"{}\",\"encoding\":\"base64\"", base64(message))),
    }
    if conflated > 0 {
        text(out, format_args!(",\"conflated\":{conflated}"));
    }
    out.push(b'}');
}

/// Appends the notice that messages of `channel` are missing, perhaps since they were skipped.
pub(super) fn gap(out: &mut Vec<u8>, channel: &str, missed: Option<u64>, skipped: bool) {
    out.extend_from_slice(b"{\"channel\":");
    string(out, channel);
    match missed {
        Some(missed) => text(out, format_args!(",\"missed\":{missed}")),
        None => out.extend_from_slice(b",\"missed\":null"),
    }
    out.extend_from_slice(if skipped { b",\"skipped\":true}" } else { b"}" });
}

/// Appends the notice that `channel` was dropped.
pub(super) fn end(out: &mut Vec<u8>, channel: &str) {
    out.extend_from_slice(b"{\"channel\":");
    string(out, channel);
    out.push(b'}');
}

/// What a transport of envelopes says of itself, beside the messages: an object with one of these names.
///
/// ```text
/// {"cursor": cursor or null, "session", "expires_in"}   the greeting: where the reader stands; and by a token, what its
///                                                       connection is called, and for how many ms the token holds
/// {"gap": {"channel", "missed": number or null}, "id"}  it has missed something; the id is a place behind that; with
///                                                       "skipped": true if it was too far behind and goes on with the newest
/// {"end": {"channel"}, "id"}                            the channel was dropped and begins anew
/// {"close": "life_span", "stopping", "token_expired" or "too_slow", "retry": ms}  the response ends; come back then
/// ```
pub(super) fn news(out: &mut Vec<u8>, item: &Item<'_>) {
    match item.news {
        News::Message(message) => return write(out, item.id, message, item.conflated),
        News::Gap { channel, missed, skipped } => {
            out.extend_from_slice(b"{\"gap\":");
            gap(out, channel, missed, skipped);
        }
        News::End { channel } => {
            out.extend_from_slice(b"{\"end\":");
            end(out, channel);
        }
    }
    text(out, format_args!(",\"id\":\"{}\"}}", item.id));
}

/// Appends the greeting.
pub(super) fn hello(out: &mut Vec<u8>, cursor: Option<&Cursor>, held: Option<Held<'_>>) {
    match cursor {
        Some(cursor) => text(out, format_args!("{{\"cursor\":\"{cursor}\"")),
        None => out.extend_from_slice(b"{\"cursor\":null"),
    }
    if let Some(Held { session, expires_in_ms }) = held {
        text(out, format_args!(",\"session\":\"{session}\",\"expires_in\":{expires_in_ms}"));
    }
    out.push(b'}');
}

/// Appends what a client is told that is held by a token.
pub(super) fn session(out: &mut Vec<u8>, held: Held<'_>) {
    let Held { session, expires_in_ms } = held;
    text(out, format_args!("{{\"session\":\"{session}\",\"expires_in\":{expires_in_ms}}}"));
}

/// Appends the farewell.
pub(super) fn farewell(out: &mut Vec<u8>, farewell: Farewell, retry_ms: u64) {
    text(out, format_args!("{{\"close\":\"{}\",\"retry\":{retry_ms}}}", farewell.reason()));
}

/// Appends `value` as a JSON string.
pub(super) fn string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("memory takes all bytes, and a str is always a JSON string");
}

/// A message's bytes in base64.
pub(super) fn base64(message: &Message) -> String {
    STANDARD.encode(message.data())
}

/// JSON's line breaks can only lie between its tokens, where a space does as well.
fn one_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::Epoch;
    use crate::base::payload::Parts;

    fn envelope(content_type: &str, event: &str, data: &[u8]) -> String {
        let message = Message::new(&Parts { channel: "/a\"b", content_type, event, data, unix_ms: 0 }).unwrap();
        let mut out = Vec::new();
        write(&mut out, MessageId { epoch: Epoch::new("/a", 0), offset: 7 }, &message, 0);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn data_appears_as_what_it_was_published_as() {
        let id = MessageId { epoch: Epoch::new("/a", 0), offset: 7 };
        let head = format!(r#"{{"channel":"/a\"b","id":"{id}""#);
        assert_eq!(envelope("application/json", "", b"{\"a\":\r\n1}"), format!(r#"{head},"data":{{"a":  1}}}}"#));
        assert_eq!(envelope("", "e", b"a\nb\0"), format!(r#"{head},"event":"e","data":"a\nb\u0000"}}"#));
        assert_eq!(envelope("", "", b"\xff"), format!(r#"{head},"data":"/w==","encoding":"base64"}}"#));
    }
}
