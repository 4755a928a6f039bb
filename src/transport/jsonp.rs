//! JSONP: the long-poll's batch as a script, for a `<script>` tag of any origin.
//!
//! ```text
//! body = "/**/" callback "(" batch ");"
//! ```
//! The callback is a name and nothing else; the batch is JSON with nothing in it that old scripts or a
//! confused sniffer could take for something else; the comment ahead keeps the body from beginning with bytes
//! of the asker's choice. A script cannot read a status: an empty batch is 200 like any other.

use super::{Batch, Setting, Variant, common_fields, long_poll, script};
use crate::http::response;

pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    fields(out, variant, setting);
    response::end(out);
}

fn fields(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    response::start(out, 200);
    response::field(out, "Content-Type", "text/javascript; charset=utf-8");
    response::field(out, "Cache-Control", "no-store");
    common_fields(out, variant, setting);
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, mut batch: Batch<'_>, setting: &Setting<'_>) {
    batch.move_cursor();
    call(out, variant, setting, |body| long_poll::json(body, batch.items, batch.cursor));
}

/// A script that calls the function with this JSON.
pub(super) fn answer(out: &mut Vec<u8>, variant: Variant, json: &[u8], setting: &Setting<'_>) {
    call(out, variant, setting, |body| body.extend_from_slice(json));
}

fn call(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>, json: impl FnOnce(&mut Vec<u8>)) {
    let mut body = b"/**/".to_vec();
    body.extend_from_slice(setting.look.callback.as_bytes());
    body.push(b'(');
    let start = body.len();
    json(&mut body);
    script::harmless(&mut body, start);
    body.extend_from_slice(b");");
    fields(out, variant, setting);
    long_poll::with_body(out, &body);
}
