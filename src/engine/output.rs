//! What an engine asks its reactor to do.

use crate::base::id::Token;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// There are bytes for this socket: borrow them with [`outgoing`](super::Engine::outgoing), write once,
    /// report with [`Input::Wrote`](super::Input::Wrote) before the next `poll_output`.
    Write(Token),
    /// Reading this socket was put off and may go on: read it again, there may be no new readiness event.
    Read(Token),
    /// Close the sending half; keep reading until the peer's end or `Close`.
    Shutdown(Token),
    /// Close the socket and forget the token.
    Close(Token),
    /// Forget the token, and hand its socket to another shard with its [`luggage`](super::Engine::luggage), for
    /// [`arrive`](super::Engine::arrive) there.
    Move {
        /// Whose.
        token: Token,
        /// Where to.
        shard: u16,
    },
    /// Tell this connection the numbers of all shards, with [`Input::Metrics`](super::Input::Metrics).
    Metrics(Token),
    /// Give the numbers of all shards, with [`Input::Sample`](super::Input::Sample), to whoever listens to them.
    Sample,
    /// The host program has events to take: ring, once all else is done.
    Ring,
}
