//! A connection goes to the shard of the session that its client speaks for.
//!
//! It goes when all that was to be written before is written, with what was read of it: its socket moves once, and stays.

use super::access_log::Entry;
use super::meter::Guest;
use super::{Engine, Output};
use crate::base::door::{Address, Door};
use crate::base::id::Token;
use crate::base::time::Now;
use crate::conn::{Cargo, Flags, Moving, State};
use crate::transport::Variant;
use crate::transport::websocket::Inbound;

/// What goes along with a socket.
#[derive(Debug)]
pub struct Luggage {
    door: Door,
    address: Option<Address>,
    guest: Option<Guest>,
    flags: Flags,
    cargo: Cargo,
    unread: Vec<u8>,
    inbound: Option<Box<Inbound>>,
    /// Of the access log.
    entry: Option<Box<Entry>>,
}

impl Engine {
    /// What a client asks for here is for another shard.
    pub(super) fn move_to(&mut self, now: Now, index: u32, shard: u16, cargo: Cargo) {
        self.leave(now, index);
        self.slots[index].rest().moving = Some(Box::new(Moving { shard, cargo }));
        self.slots.turn(index, State::Moving);
        self.end_state_after(now.tick, index, self.durations.stall);
        self.enqueue(index);
    }

    /// Everything is written: it goes.
    pub(super) fn depart(&mut self, index: u32) {
        let Some(rest) = self.slots[index].rest.as_mut() else { return };
        let Some(Moving { shard, cargo }) = rest.moving.take().map(|moving| *moving) else { return };
        let (unread, inbound) = (std::mem::take(&mut rest.inbox), rest.inbound.take());
        let (door, flags) = (self.slots[index].door, self.slots[index].flags);
        let (address, guest) = (self.host.address(index), self.meter.guest(index));
        let entry = self.log_take(index);
        self.leaving.push_back(Luggage { door, address, guest, flags, cargo, unread, inbound, entry });
        self.gone(index, |token| Output::Move { token, shard });
    }

    /// What goes along with the socket of an [`Output::Move`], to be given to [`Engine::arrive`] there. Take it right after
    /// that output.
    pub fn luggage(&mut self) -> Option<Luggage> {
        self.leaving.pop_front()
    }

    /// Takes in a connection of another shard, whose client has asked for something. `None`: no room, close it.
    pub fn arrive(&mut self, now: Now, luggage: Luggage) -> Option<Token> {
        let Luggage { door, address, guest, flags, cargo, unread, inbound, entry } = luggage;
        let token = self.slots.open(now.tick, door)?;
        let index = token.index;
        self.host.opened(token);
        if let Some(address) = address {
            self.came_from(token, address);
        }
        self.meter.note(index, guest);
        self.log_arrive(index, entry);
        let connection = &mut self.slots[index];
        for flag in [Flags::HTTP10, Flags::LAST, Flags::MAY_PUBLISH] {
            connection.flags.set(flag, flags.has(flag));
        }
        if !unread.is_empty() || inbound.is_some() {
            connection.rest().inbox = unread;
            connection.rest().inbound = inbound;
        }
        self.end_state_after(now.tick, index, self.durations.head);
        match cargo {
            Cargo::Call { call, body } => {
                self.called(now, index, call, &body);
                self.hear(index);
            }
            Cargo::Text { text, look, who, proof } => {
                self.slots[index].look = self.looks.take(&look).expect("only pictures are refused");
                self.slots[index].variant = Variant::socket();
                self.slots.turn(index, State::Bayeux);
                if who.is_some() {
                    self.slots[index].rest().who = who;
                }
                if let Some(proof) = proof {
                    self.keep_pass(now, index, &proof);
                }
                self.rest_socket(now, index);
                self.heard_messages(now, index, &text);
                self.heard_socket(now, index, &[]);
            }
        }
        Some(token)
    }
}
