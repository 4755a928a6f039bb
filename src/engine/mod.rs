//! One shard: all its connections, channels and deadlines, without a socket, a clock or a thread.
//!
//! **The contract.** Whoever drives an engine does three things. It tells what happened with
//! [`Engine::handle`], as often as things happened. It then takes [`Engine::poll_output`] until `None`,
//! doing each output before it takes the next. It then sleeps until something happens or
//! [`Engine::next_deadline`] has come; not at all while [`Engine::busy`].

mod input;
mod output;
mod peer;

pub use crate::base::door::Door;
pub use input::Input;
pub use output::Output;
pub use peer::{Answer, Asker, ChannelInfo, PeerMessage};

use crate::base::config::Config;
use crate::base::id::Token;
use crate::base::random::Seed;
use crate::base::time::{Now, Tick};

/// One shard's whole state.
pub struct Engine {}

#[allow(unused_variables, missing_docs)]
impl Engine {
    /// Shard `shard` of `shards`, all of which are given the same `seed` and `config`.
    pub fn new(config: &Config, shard: u16, shards: u16, seed: Seed) -> Engine {
        todo!()
    }

    /// Takes a new connection in. `None`: no room, close it.
    pub fn open(&mut self, now: Now, door: Door) -> Option<Token> {
        todo!()
    }

    /// Tells the engine what happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        todo!()
    }

    /// Starts a turn: gives fan-out its slice anew.
    pub fn begin_turn(&mut self) {
        todo!()
    }

    /// The next thing to do; `None` when there is nothing more in this turn.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        todo!()
    }

    /// What is to be written to this socket now, in order. Valid right after [`Output::Write`].
    pub fn outgoing(&self, token: Token) -> [&[u8]; 2] {
        todo!()
    }

    /// Whether this connection takes more bytes now. While `false`, leave them in the socket:
    /// [`Output::Read`] says when to go on.
    pub fn wants_read(&self, token: Token) -> bool {
        todo!()
    }

    /// Whether there is work left that did not fit the turn: poll for events without sleeping.
    pub fn busy(&self) -> bool {
        todo!()
    }

    /// When to call `handle(Input::Time)` at the latest.
    pub fn next_deadline(&self, now: Now) -> Option<Tick> {
        todo!()
    }

    /// The next message for another shard, to be taken only when that shard's mailbox has room.
    pub fn poll_peer(&mut self, shard: u16) -> Option<PeerMessage> {
        todo!()
    }

    /// Gives back a message that found the mailbox full after all; it stays first in line.
    pub fn unpoll_peer(&mut self, shard: u16, message: PeerMessage) {
        todo!()
    }

    /// The home shard of a channel.
    pub fn home_of(seed: Seed, shards: u16, channel: &str) -> u16 {
        todo!()
    }

    /// Takes no new requests, ends what is parked, lets answers under way finish. New connections get 503.
    pub fn drain(&mut self, now: Now) {
        todo!()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        todo!()
    }
}
