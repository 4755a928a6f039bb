//! What a client's bytes mean: requests to commands, answers to bytes. One room a protocol.
//!
//! Never meets a transport, a connection or a socket.

pub(crate) mod bayeux;
pub(crate) mod framed;
pub(crate) mod plain;

use serde::Deserialize;

/// A channel, or an array of them: how clients name what they subscribe to, in whichever protocol.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}
