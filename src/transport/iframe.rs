//! The forever frame: an endless HTML document in a hidden frame, a script each event.
//!
//! ```text
//! document = preamble *( "<script>e(" event ")</script>" LF )
//! ```
//! `e` posts the event to the parent window, for the target origin that was asked for; with a callback it
//! calls that function of the parent, after it has set `document.domain` if that was asked for, as browsers
//! without `postMessage` need it (and `htmlfile`, a frame inside of a control, needs no more than that).
//! Events are JSON made harmless, so nothing that was published can break out of its script. The preamble is
//! long enough for browsers that wait for a kilobyte before they show anything.
//!
//! A protocol's own answer is a document that ends: the same beginning, without a filling, and one script.

use super::{Batch, Farewell, Opening, Setting, Variant, common_fields, envelope, long_poll, piece, script, stream_head};
use crate::http::response;

const PREAMBLE: u32 = 1_024;
const MEDIA_TYPE: &str = "text/html; charset=utf-8";

pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    stream_head(out, variant, MEDIA_TYPE, setting);
}

pub(super) fn open(out: &mut Vec<u8>, variant: Variant, opening: &Opening<'_>, setting: &Setting<'_>) {
    head(out, variant, setting);
    piece(out, variant, |out| {
        let start = out.len();
        preamble(out, setting);
        let fill = setting.look.preamble.unwrap_or(PREAMBLE) as usize;
        out.resize(out.len().max(start + fill), b' ');
        out.push(b'\n');
        event(out, setting, |out| envelope::hello(out, opening.cursor, setting.held));
    });
}

/// Callback, target and domain were checked to be nothing but what they are called.
fn preamble(out: &mut Vec<u8>, setting: &Setting<'_>) {
    let look = setting.look;
    out.extend_from_slice(b"<!doctype html><meta charset=\"utf-8\"><title>Encke</title><body><script>");
    if !look.domain.is_empty() {
        super::text(out, format_args!("document.domain=\"{}\";", look.domain));
    }
    match (&*look.callback, &*look.target) {
        ("", "") => out.extend_from_slice(b"function e(m){parent.postMessage(m,location.origin)}"),
        ("", target) => super::text(out, format_args!("function e(m){{parent.postMessage(m,\"{target}\")}}")),
        (callback, _) => super::text(out, format_args!("function e(m){{parent.{callback}(m)}}")),
    }
    out.extend_from_slice(b"</script>");
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, batch: &Batch<'_>, setting: &Setting<'_>) {
    piece(out, variant, |out| {
        for item in batch.items {
            event(out, setting, |out| envelope::news(out, item));
        }
    });
}

pub(super) fn keep_alive(out: &mut Vec<u8>, variant: Variant) {
    piece(out, variant, |out| out.push(b'\n'));
}

pub(super) fn close(out: &mut Vec<u8>, variant: Variant, farewell: Farewell, setting: &Setting<'_>) {
    piece(out, variant, |out| event(out, setting, |out| envelope::farewell(out, farewell, setting.retry_ms)));
}

/// A document that hands this JSON on, and ends.
pub(super) fn answer(out: &mut Vec<u8>, variant: Variant, json: &[u8], setting: &Setting<'_>) {
    let mut body = Vec::with_capacity(json.len() + 256);
    preamble(&mut body, setting);
    event(&mut body, setting, |body| body.extend_from_slice(json));
    response::start(out, 200);
    response::field(out, "Content-Type", MEDIA_TYPE);
    response::field(out, "Cache-Control", "no-store");
    common_fields(out, variant, setting);
    long_poll::with_body(out, &body);
}

fn event(out: &mut Vec<u8>, setting: &Setting<'_>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(b"<script>e(");
    let json = out.len();
    write(out);
    script::harmless(out, json);
    out.extend_from_slice(b")</script>");
    let fill = (setting.look.padding as usize).saturating_sub(1);
    out.resize(out.len().max(start + fill), b' ');
    out.push(b'\n');
}
