//! The transport's verbs: which lines a picture shows.

use super::super::{Batch, HTTP10, News, Opening, Setting, Variant, piece, stream_head};
use super::{Look, frame, head as picture_head, tail};
use crate::base::payload::{Kind, Message};

/// Messages a picture may show: more than the tallest has rows.
pub(in crate::transport) const LOOKS_BACK: usize = 64;

pub(in crate::transport) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    stream_head(out, variant, "image/gif", setting);
}

pub(in crate::transport) fn open(out: &mut Vec<u8>, variant: Variant, opening: &Opening<'_>, setting: &Setting<'_>) {
    head(out, variant, setting);
    piece(out, variant, |out| {
        let look = setting.look.gif.clone().unwrap_or_default();
        picture_head(out, &look);
        if !opening.earlier.is_empty() {
            draw(out, &look, opening.earlier.iter().map(|message| line_of(message)).collect());
        }
    });
}

/// One picture for all of a batch: what came before it and still fits, and what is new.
pub(in crate::transport) fn batch(out: &mut Vec<u8>, variant: Variant, batch: &Batch<'_>, setting: &Setting<'_>) {
    let mut lines: Vec<String> = batch.earlier.iter().map(|message| line_of(message)).collect();
    for item in batch.items {
        if matches!(item.news, News::End { .. }) {
            lines.clear();
        }
        lines.push(match item.news {
            News::Message(message) => line_of(message),
            News::Gap { missed: Some(missed), .. } => format!("… {missed} missed …"),
            News::Gap { missed: None, .. } => "… some missed …".to_owned(),
            News::End { .. } => "… the channel began anew …".to_owned(),
        });
    }
    piece(out, variant, |out| draw(out, &setting.look.gif.clone().unwrap_or_default(), lines));
}

/// A comment: any decoder passes over it.
pub(in crate::transport) fn keep_alive(out: &mut Vec<u8>, variant: Variant) {
    piece(out, variant, |out| out.extend_from_slice(b"!\xfe\x01.\0"));
}

pub(in crate::transport) fn close(out: &mut Vec<u8>, variant: Variant) {
    piece(out, variant, tail);
    debug_assert!(variant.has(HTTP10) || out.ends_with(b"\r\n"));
}

fn line_of(message: &Message) -> String {
    match (message.kind(), std::str::from_utf8(message.data())) {
        (Kind::Json | Kind::Text, Ok(text)) => text.to_owned(),
        _ => format!("[{} bytes {}]", message.data().len(), message.content_type()),
    }
}

fn draw(out: &mut Vec<u8>, look: &Look, lines: Vec<String>) {
    let lines: Vec<&str> = lines.iter().flat_map(|message| message.lines()).collect();
    frame(out, look, &lines);
}
