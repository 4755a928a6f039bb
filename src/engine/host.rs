//! The host program's side of a shard.

use super::{Engine, EventPort};
use crate::base::id::Token;
use std::net::SocketAddr;

/// Bits of a question's number below its shard's.
const SERIAL_BITS: u32 = 48;

impl Engine {
    /// The host program hears of this shard through `port`, and is asked.
    pub fn set_host(&mut self, port: EventPort) {
        self.host = Some(port);
    }

    /// The shard that asked `question`.
    pub fn asker_of(question: u64) -> u16 {
        (question >> SERIAL_BITS) as u16
    }

    /// Whether the host program will want to know where a client's connection comes from.
    pub fn wants_addresses(&self) -> bool {
        false
    }

    /// The connection comes from `address`.
    pub fn comes_from(&mut self, _token: Token, _address: SocketAddr) {}
}
