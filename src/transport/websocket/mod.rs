//! WebSocket from a server's side (RFC 6455) with permessage-deflate (RFC 7692): bytes in, bytes out.
//!
//! Owns the grammar and its refusals. Never meets a connection, a socket or the clock.

mod extension;
mod handshake;

pub(crate) use self::{
    extension::Deflate,
    handshake::{Upgrade, accept, upgrade},
};
