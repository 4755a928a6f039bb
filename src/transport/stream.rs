//! An endless response for programs, XHR and fetch: an envelope each event, a line each envelope.
//!
//! ```text
//! stream = *( event LF [ padding LF ] )    or, as asked for,  *( event separator )  or  *( length LF event )
//! event  = envelope / notice               raw: the published bytes in the place of an envelope
//! ```
//! Padding is a line of white space behind each line: all of it comes behind the event's end, so that the end is let go
//! of however full a buffer on the way was. With other separators, and raw, it is white space that fills the event up to
//! its size, which any JSON parser passes over. A media type that no browser sniffs, and `nosniff`, keep the first bytes
//! from being held back.

use super::look::Separator;
use super::{Batch, Farewell, News, Opening, RAW, Setting, Variant, envelope, piece, stream_head};

pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    let media_type = if variant.has(RAW) { "application/octet-stream" } else { "application/x-ndjson" };
    stream_head(out, variant, media_type, setting);
}

pub(super) fn open(out: &mut Vec<u8>, variant: Variant, opening: &Opening<'_>, setting: &Setting<'_>) {
    head(out, variant, setting);
    piece(out, variant, |out| {
        let preamble = setting.look.preamble.unwrap_or(0) as usize;
        if preamble > 0 {
            out.resize(out.len() + preamble - 1, b' ');
            out.push(b'\n');
        }
        if !variant.has(RAW) {
            event(out, variant, setting, |out| envelope::hello(out, opening.cursor, setting.held));
        }
    });
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, batch: &Batch<'_>, setting: &Setting<'_>) {
    piece(out, variant, |out| {
        for item in batch.items {
            event(out, variant, setting, |out| match item.news {
                News::Message(message) if variant.has(RAW) => out.extend_from_slice(message.data()),
                _ => envelope::news(out, item),
            });
        }
    });
}

/// A line of white space is no event to whoever reads lines; whoever reads anything else gets a notice. It is padded
/// like an event, or a buffer on the way would keep it.
pub(super) fn keep_alive(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    piece(out, variant, |out| match setting.look.separator {
        Separator::Line if !variant.has(RAW) => event(out, variant, setting, |_| {}),
        _ => event(out, variant, setting, |out| out.extend_from_slice(b"{\"heartbeat\":true}")),
    });
}

pub(super) fn close(out: &mut Vec<u8>, variant: Variant, farewell: Farewell, setting: &Setting<'_>) {
    if !variant.has(RAW) {
        piece(out, variant, |out| event(out, variant, setting, |out| envelope::farewell(out, farewell, setting.retry_ms)));
    }
}

fn event(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let padding = setting.look.padding as usize;
    match &setting.look.separator {
        Separator::Line if variant.has(RAW) => {
            fill(out, start, padding.saturating_sub(1));
            out.push(b'\n');
        }
        Separator::Line => {
            out.push(b'\n');
            if padding > 0 {
                out.resize(out.len() + padding - 1, b' ');
                out.push(b'\n');
            }
        }
        Separator::Text(text) => {
            fill(out, start, padding.saturating_sub(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
        Separator::Length => {
            fill(out, start, padding);
            let length = format!("{}\n", out.len() - start);
            out.splice(start..start, length.into_bytes());
        }
    }
}

/// Fills what was written from `start` on up to `bytes`.
fn fill(out: &mut Vec<u8>, start: usize, bytes: usize) {
    out.resize(out.len().max(start + bytes), b' ');
}
