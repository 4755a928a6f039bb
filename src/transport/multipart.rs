//! Server push (1995): images or documents that replace each other in an `<img>`, a frame or an XHR; and
//! `multipart/mixed` for programs, where they follow each other.
//!
//! ```text
//! body      = [ preamble ] next *( message next )
//! next      = CRLF "--" boundary CRLF "Content-Type: " type CRLF CRLF
//! ```
//! A browser paints a part when the fields of the next one arrive. So each message is followed at once by the
//! fields of the next, which is taken to be of the same type. If it turns out to be of another, there is a part
//! to be filled first, and never with nothing: an `<img>` that meets an empty part is broken for good. It is
//! filled with the message before once more, so the picture is replaced by itself; where there was none, or it
//! is not kept any more, with the new one, for an `<img>` goes by the bytes and not by the type. A program is
//! given the empty part instead.
//!
//! A preamble of a kilobyte gets a cross-origin image past the browser's wish to sniff it. It is blank: browsers
//! take what is ahead of the first boundary for fields of the first part.
//!
//! Bytes go out as they were published. The boundary is drawn at random when the server starts. An image
//! cannot say that it missed another, and who shows pictures wants the newest: only programs are sent notices.

use super::{AHEAD, Batch, MIXED, News, Opening, Setting, Variant, envelope, piece, stream_head, text};
use crate::base::payload::Message;

const PREAMBLE: u32 = 1_100;
const UNKNOWN_TYPE: &str = "application/octet-stream";
const NOTICE_TYPE: &str = "application/vnd.encke.notice+json";

pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    let kind = if variant.has(MIXED) { "mixed" } else { "x-mixed-replace" };
    stream_head(out, variant, &format!("multipart/{kind}; boundary={}", setting.boundary), setting);
}

pub(super) fn open(out: &mut Vec<u8>, variant: Variant, opening: &Opening<'_>, setting: &Setting<'_>) {
    head(out, variant, setting);
    piece(out, variant, |out| {
        let default = if variant.has(MIXED) { 0 } else { PREAMBLE };
        out.resize(out.len() + setting.look.preamble.unwrap_or(default) as usize, b' ');
        next(out, expected(variant, opening.earlier).unwrap_or(UNKNOWN_TYPE), setting);
    });
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, batch: &Batch<'_>, setting: &Setting<'_>) {
    piece(out, variant, |out| {
        if variant.has(MIXED) { follow(out, variant, batch, setting) } else { replace(out, variant, batch, setting) }
    });
}

/// Parts that replace each other, none of them empty.
fn replace(out: &mut Vec<u8>, variant: Variant, batch: &Batch<'_>, setting: &Setting<'_>) {
    let mut before = batch.earlier.last().copied().filter(|_| !variant.has(AHEAD));
    for item in batch.items {
        let News::Message(message) = item.news else { continue };
        let media_type = type_of(message);
        if before.is_none_or(|before| type_of(before) != media_type) {
            out.extend_from_slice(before.unwrap_or(message).data());
            next(out, media_type, setting);
        }
        out.extend_from_slice(message.data());
        next(out, media_type, setting);
        before = Some(message);
    }
}

/// Parts that follow each other, notices among them.
fn follow(out: &mut Vec<u8>, variant: Variant, batch: &Batch<'_>, setting: &Setting<'_>) {
    let mut announced = expected(variant, batch.earlier);
    let mut json = Vec::new();
    for item in batch.items {
        let (media_type, bytes) = match item.news {
            News::Message(message) => (type_of(message), message.data()),
            _ => {
                json.clear();
                envelope::news(&mut json, item);
                (NOTICE_TYPE, &json[..])
            }
        };
        if announced != Some(media_type) {
            next(out, media_type, setting);
        }
        out.extend_from_slice(bytes);
        announced = if media_type == NOTICE_TYPE { announced } else { Some(media_type) };
        next(out, announced.unwrap_or(UNKNOWN_TYPE), setting);
    }
}

/// Bytes between parts would be bytes of one. So a program gets a part that says nothing, and a picture is
/// replaced by itself, as long as it is kept.
pub(super) fn keep_alive(out: &mut Vec<u8>, variant: Variant, earlier: &[&Message], setting: &Setting<'_>) {
    piece(out, variant, |out| match earlier.last() {
        _ if variant.has(MIXED) => {
            next(out, NOTICE_TYPE, setting);
            out.extend_from_slice(b"{\"heartbeat\":true}");
            next(out, earlier.last().map_or(UNKNOWN_TYPE, |message| type_of(message)), setting);
        }
        Some(message) => {
            // The fields sent ahead were for nobody knew what: that part is not left empty either.
            let times = if variant.has(AHEAD) { 2 } else { 1 };
            for _ in 0..times {
                out.extend_from_slice(message.data());
                next(out, type_of(message), setting);
            }
        }
        // Nothing is known that could be shown again, and an empty part would break the picture.
        None => {}
    });
}

pub(super) fn close(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    piece(out, variant, |out| text(out, format_args!("\r\n--{}--\r\n", setting.boundary)));
}

fn next(out: &mut Vec<u8>, media_type: &str, setting: &Setting<'_>) {
    text(out, format_args!("\r\n--{}\r\nContent-Type: {media_type}\r\n\r\n", setting.boundary));
}

/// The type that the fields sent ahead were for: that of the message before. `None` if that message is not there
/// any more, or was not yet: then nobody knows what they were for, and the next part brings its own.
fn expected<'a>(variant: Variant, earlier: &[&'a Message]) -> Option<&'a str> {
    earlier.last().filter(|_| !variant.has(AHEAD)).map(|message| type_of(message))
}

fn type_of(message: &Message) -> &str {
    if message.content_type().is_empty() { "text/plain; charset=utf-8" } else { message.content_type() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cursor::Cursor;
    use crate::base::id::{Epoch, MessageId};
    use crate::base::payload::Parts;
    use crate::http::Sharing;
    use crate::transport::{Item, Look};

    fn message(media_type: &str, data: &str) -> Message {
        let parts = Parts { channel: "/a", content_type: media_type, event: "", data: data.as_bytes(), unix_ms: 0 };
        Message::new(&parts).unwrap()
    }

    /// What a reader gets that was there before `messages`, each as a type and its bytes.
    fn parts(before: Option<&Message>, messages: &[Message]) -> Vec<(String, String)> {
        let look = Look::default();
        let setting =
            Setting { date: "", sharing: Sharing::None, retry_ms: 0, boundary: "B", look: &look, cookie: None, held: None };
        let id = MessageId { epoch: Epoch::new("/a", 0), offset: 1 };
        let items: Vec<_> =
            messages.iter().map(|message| Item { place: 0, id, conflated: 0, news: News::Message(message) }).collect();
        let mut cursor = Cursor::default();
        let mut out = Vec::new();
        let variant = Variant::named("multipart").unwrap();
        next(&mut out, expected(variant, before.as_slice()).unwrap_or(UNKNOWN_TYPE), &setting);
        replace(&mut out, variant, &Batch { items: &items, cursor: &mut cursor, earlier: before.as_slice() }, &setting);
        let text = String::from_utf8(out).unwrap();
        let part = |part: &str| {
            let (fields, body) = part.split_once("\r\n\r\n").unwrap();
            (fields.trim_start_matches("\r\nContent-Type: ").to_owned(), body.to_owned())
        };
        text.split("\r\n--B").skip(1).map(part).collect()
    }

    #[test]
    fn no_part_is_empty_but_the_one_to_come() {
        let [a, b, c] = [message("image/png", "a"), message("image/png", "b"), message("image/jpeg", "c")];
        let (png, jpeg) = ("image/png", "image/jpeg");
        let all = [a.clone(), b.clone(), c.clone()];
        type Case<'a> = (Option<&'a Message>, &'a [Message], &'a [(&'a str, &'a str)]);
        let cases: [Case<'_>; 4] = [
            (Some(&a), &all[1..2], &[(png, "b"), (png, "")]),
            (Some(&a), &all[2..], &[(png, "a"), (jpeg, "c"), (jpeg, "")]),
            (None, &all[..1], &[(UNKNOWN_TYPE, "a"), (png, "a"), (png, "")]),
            (Some(&c), &all, &[(jpeg, "c"), (png, "a"), (png, "b"), (png, "b"), (jpeg, "c"), (jpeg, "")]),
        ];
        for (before, messages, expected) in cases {
            let got = parts(before, messages);
            let got: Vec<_> = got.iter().map(|(media_type, body)| (&**media_type, &**body)).collect();
            assert_eq!(got, expected);
        }
    }
}
