//! What can happen to an engine.

#![allow(missing_docs)]

use super::peer::PeerMessage;
use crate::base::id::Token;
use crate::base::payload::Message;

/// One thing that happened. Bytes are lent for the call only.
#[derive(Debug)]
pub enum Input<'a> {
    /// The peer sent `bytes` (never empty).
    Bytes { token: Token, bytes: &'a [u8] },
    /// The peer will send no more.
    Eof { token: Token },
    /// The peer will send no more than what lies there already, which is not wanted yet.
    HungUp { token: Token },
    /// A socket that was full can take bytes again.
    Writable { token: Token },
    /// Of what [`outgoing`](super::Engine::outgoing) lent, the socket took the first `count` bytes.
    /// Fewer than all means that it is full: `Writable` must follow when it no longer is.
    Wrote { token: Token, count: usize },
    /// The socket failed (reset, timed out): the connection is gone.
    Failed { token: Token },
    /// The numbers that [`Output::Metrics`](super::Output::Metrics) asked for, in Prometheus' text format.
    Metrics { token: Token, text: &'a str },
    /// The numbers that [`Output::Sample`](super::Output::Sample) asked for: the fields of a JSON object, without its braces.
    Sample { fields: &'a str },
    /// A message from another shard.
    Peer(PeerMessage),
    /// Messages published in this process; this shard is the home of their channels. All are taken out.
    Publish(&'a mut Vec<Message>),
    /// The host program's answer to one of this shard's questions.
    Verdict { question: u64, allow: bool },
    /// Nothing but time has passed.
    Time,
}
