//! Bayeux 1.0: JSON messages on channels, those below `/meta` for the protocol itself. Bytes to messages, replies and
//! events to bytes.
//!
//! ```text
//! request  = message / "[" message *( "," message ) "]"          answered with an array, replies in the same order
//! message  = { "channel", "id"?, "clientId"?, … }                what else, the channel decides
//! channel  = "/meta/" ( "handshake" / "connect" / "disconnect" / "subscribe" / "unsubscribe" )
//!          / "/service/" segments                                to the host program alone
//!          / name                                                with "data": a publish
//! error    = code ":" [ args ] ":" text                          three digits; args parted by commas
//! ```
//! Never meets a transport, a session or the clock: who a client is and what it may do is the engine's to know.
//!
//! Invariant: what a stranger wrote reaches a reply only as a JSON string, a checked id, or not at all.

mod browser;
mod client_id;
mod connection_type;
mod fault;
mod read;
mod timestamp;
mod timesync;
mod usual;
mod write;

pub(crate) use browser::Browser;
pub(crate) use client_id::ClientId;
pub(crate) use connection_type::ConnectionType;
pub(crate) use fault::Fault;
pub(crate) use read::{Client, Incoming, Topic, What, form, heard, read};
pub(crate) use timesync::Timesync;
pub(crate) use write::{Ack, Advice, Reply, Subscriptions, event};

/// The first segments of the paths where Bayeux is spoken. Some clients add the kind of message as a second one.
const ROOMS: [&str; 3] = ["bayeux", "cometd", "faye"];

/// The client that a path names in its last place, as an event stream's does.
pub(crate) fn client_of_path(path: &str) -> Option<ClientId> {
    path.rsplit('/').next().and_then(ClientId::parse)
}

/// Whether Bayeux is spoken at this path.
pub(crate) fn is_path(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return false };
    let end = memchr::memchr(b'/', path.as_bytes()).unwrap_or(path.len());
    ROOMS.contains(&&path[..end])
}
