//! A connection goes to the shard of the session that its request asks for.
//!
//! It goes when all that was to be written before is written, with what was read of it: its socket moves once, and stays.

use super::{Engine, Output};
use crate::base::door::{Address, Door};
use crate::base::id::Token;
use crate::base::time::Now;
use crate::conn::{Call, Flags, Moving, State};

/// What goes along with a socket.
#[derive(Debug)]
pub struct Luggage {
    door: Door,
    address: Option<Address>,
    flags: Flags,
    call: Call,
    body: Vec<u8>,
    unread: Vec<u8>,
}

impl Engine {
    /// This request is for another shard.
    pub(super) fn move_to(&mut self, now: Now, index: u32, shard: u16, call: Call, body: &[u8]) {
        let connection = &mut self.slots[index];
        connection.rest().moving = Some(Box::new(Moving { shard, call, body: body.to_vec() }));
        connection.state = State::Moving;
        self.end_state_after(now.tick, index, self.durations.stall);
        self.enqueue(index);
    }

    /// Everything is written: it goes.
    pub(super) fn depart(&mut self, index: u32) {
        let Some(rest) = self.slots[index].rest.as_mut() else { return };
        let Some(Moving { shard, call, body }) = rest.moving.take().map(|moving| *moving) else { return };
        let unread = std::mem::take(&mut rest.inbox);
        let (door, flags) = (self.slots[index].door, self.slots[index].flags);
        self.leaving.push_back(Luggage { door, address: self.host.address(index), flags, call, body, unread });
        self.gone(index, |token| Output::Move { token, shard });
    }

    /// What goes along with the socket of an [`Output::Move`], to be given to [`Engine::arrive`] there. Take it right after
    /// that output.
    pub fn luggage(&mut self) -> Option<Luggage> {
        self.leaving.pop_front()
    }

    /// Takes in a connection of another shard, which has a request. `None`: no room, close it.
    pub fn arrive(&mut self, now: Now, luggage: Luggage) -> Option<Token> {
        let Luggage { door, address, flags, call, body, unread } = luggage;
        let token = self.slots.open(now.tick, door)?;
        self.host.opened(token);
        if let Some(address) = address {
            self.came_from(token, address);
        }
        let connection = &mut self.slots[token.index];
        for flag in [Flags::HTTP10, Flags::LAST] {
            connection.flags.set(flag, flags.has(flag));
        }
        if !unread.is_empty() {
            connection.rest().inbox = unread;
        }
        self.end_state_after(now.tick, token.index, self.durations.head);
        self.called(now, token.index, call, &body);
        self.hear(token.index);
        Some(token)
    }
}
