//! WebSocket from a server's side (RFC 6455) with permessage-deflate (RFC 7692): bytes in, bytes out.
//!
//! ```text
//!   handshake ── extension      a request to an agreement, and the 101 that seals it
//!   message ──── frame, utf8    the peer's bytes to events
//!        └────── deflate        payloads smaller, and back
//! ```
//! Owns the grammar and its refusals. Never meets a connection, a socket or the clock; never decides what a
//! message means, nor when to ping or close.
//!
//! Invariants:
//! - How the peer's bytes are cut into pieces changes neither an event nor a fault.
//! - Nothing a peer announces takes memory before it arrives, and what arrives is bounded by [`Rules`].
//! - No compression state outlives a message: a connection keeps an [`Inbound`] while something is unfinished,
//!   and else nothing; a shard's one [`Workspace`] and one [`Deflater`] serve all its connections.

mod deflate;
mod extension;
pub(crate) mod feed;
mod frame;
mod handshake;
mod message;
mod utf8;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    deflate::Deflater,
    extension::Deflate,
    frame::{Opcode, close, ping, pong, write},
    handshake::{Upgrade, accept, upgrade},
    message::{Event, Inbound, Rules, Workspace},
};

use std::borrow::Cow;

/// Done with it.
pub(crate) const NORMAL: u16 = 1000;
/// The server stops, or the connection's life span is over: come back.
pub(crate) const GOING_AWAY: u16 = 1001;
/// The token has ended by which it was held; of the codes that are everybody's own.
pub(crate) const EXPIRED: u16 = 4401;
/// Too fast, too many, or too slow: come back after a while (RFC 6455's registry, "Try Again Later").
pub(crate) const TRY_AGAIN_LATER: u16 = 1013;
const PROTOCOL_ERROR: u16 = 1002;
/// What it says is not what is spoken here.
pub(crate) const UNSUPPORTED: u16 = 1003;
pub(crate) const INVALID_DATA: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// Why nothing more is read from a peer: what to close with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The close code.
    pub(crate) code: u16,
    /// A sentence for people, which fits a close frame.
    pub(crate) detail: Cow<'static, str>,
}

impl Fault {
    fn protocol(detail: &'static str) -> Fault {
        Fault { code: PROTOCOL_ERROR, detail: detail.into() }
    }

    fn invalid(detail: &'static str) -> Fault {
        Fault { code: INVALID_DATA, detail: detail.into() }
    }

    fn too_big(message_bytes_max: usize) -> Fault {
        Fault { code: TOO_BIG, detail: format!("the message is longer than {message_bytes_max} bytes (body_bytes_max)").into() }
    }
}

/// What a shard's buffer may keep between two messages.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Makes a shard's buffer ready for another message. A large one is let go: large messages are rare.
fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
    buffer.clear();
}
