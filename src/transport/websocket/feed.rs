//! The transport's verbs: events as messages, a frame each. The 101 was written when the socket was taken.
//!
//! A message's envelope is a text frame; raw, its bytes are one, or a binary frame if they are no text. What the
//! frames of a batch need is done once for all who share them, compression included.

use super::super::envelope;
use super::super::{Batch, Farewell, News, Opening, RAW, Setting, Tools, Variant};
use super::{EXPIRED, GOING_AWAY, Opcode, TRY_AGAIN_LATER, close as close_frame, ping, write};
use crate::base::payload::Kind;

/// Shorter messages gain nothing by compression.
const DEFLATE_BYTES_MIN: usize = 64;

pub(in crate::transport) fn open(out: &mut Vec<u8>, variant: Variant, opening: &Opening<'_>, setting: &Setting<'_>) {
    if !variant.has(RAW) {
        let mut hello = Vec::new();
        envelope::hello(&mut hello, opening.cursor, setting.held);
        say(out, Opcode::Text, &hello, setting, &mut Tools::default());
    }
}

pub(in crate::transport) fn batch(
    out: &mut Vec<u8>,
    variant: Variant,
    batch: &Batch<'_>,
    setting: &Setting<'_>,
    tools: &mut Tools,
) {
    let mut json = Vec::new();
    for item in batch.items {
        match item.news {
            News::Message(message) if variant.has(RAW) => {
                let opcode = if message.kind() == Kind::Binary { Opcode::Binary } else { Opcode::Text };
                say(out, opcode, message.data(), setting, tools);
            }
            _ => {
                json.clear();
                envelope::news(&mut json, item);
                say(out, Opcode::Text, &json, setting, tools);
            }
        }
    }
}

pub(in crate::transport) fn keep_alive(out: &mut Vec<u8>) {
    ping(out, b"");
}

pub(in crate::transport) fn close(out: &mut Vec<u8>, variant: Variant, farewell: Farewell, setting: &Setting<'_>) {
    if !variant.has(RAW) {
        let mut json = Vec::new();
        envelope::farewell(&mut json, farewell, setting.retry_ms);
        say(out, Opcode::Text, &json, setting, &mut Tools::default());
    }
    end(out, farewell);
}

/// Closes the socket, and says why.
pub(crate) fn end(out: &mut Vec<u8>, farewell: Farewell) {
    let code = match farewell {
        Farewell::LifeSpan | Farewell::Stopping => GOING_AWAY,
        Farewell::Expired => EXPIRED,
        Farewell::TooSlow => TRY_AGAIN_LATER,
    };
    close_frame(out, Some(code), farewell.reason());
}

/// Writes one message, compressed if that was agreed and pays.
pub(crate) fn say(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], setting: &Setting<'_>, tools: &mut Tools) {
    match setting.look.deflate {
        Some(_) if payload.len() >= DEFLATE_BYTES_MIN => echo(out, opcode, payload, setting, tools),
        _ => write(out, opcode, false, payload),
    }
}

/// Writes one message, compressed if that was agreed: conformance suites want to see it.
pub(crate) fn echo(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], setting: &Setting<'_>, tools: &mut Tools) {
    match setting.look.deflate {
        Some(deflate) => write(out, opcode, true, tools.deflater.deflate(payload, deflate)),
        None => write(out, opcode, false, payload),
    }
}
