//! Bayeux on a WebSocket: each message of text is a request, and so is each answer.
//!
//! A socket carries one session at a time, that of its last connect. While no connect is held it has a while to say
//! something, and is closed then.

use super::Engine;
use crate::base::time::Now;
use crate::conn::{Call, Cargo, Exchange, Flags, State, bayeux_way};
use crate::protocol::bayeux;
use crate::protocol::plain::reply;
use crate::transport::websocket::{self, Fault};
use crate::transport::{Farewell, Transport};

impl Engine {
    /// A request becomes a socket.
    pub(super) fn open_socket(&mut self, now: Now, index: u32, call: Call) {
        if self.draining {
            return self.refuse(now, index, &reply::stopping(), true);
        }
        let Some(upgrade) = &call.upgrade else { return };
        let look = self.looks.take(&call.look).expect("only pictures are refused");
        let connection = &mut self.slots[index];
        (connection.look, connection.variant) = (look, call.variant(&[]));
        self.slots.turn(index, State::Bayeux);
        self.log_transport(index, bayeux_way(Transport::WebSocket));
        let connection = &mut self.slots[index];
        connection.flags.set(Flags::MAY_PUBLISH, call.may_publish);
        websocket::accept(connection.out(), upgrade, self.calendar.date(now));
        connection.rest().who = call.who;
        self.keep_pass(now, index, &call.proof);
        self.rest_socket(now, index);
        self.enqueue(index);
    }

    /// A socket holds no connect: it has a while.
    pub(super) fn rest_socket(&mut self, now: Now, index: u32) {
        self.end_state_after(now.tick, index, self.durations.idle);
    }

    /// A client says something.
    pub(super) fn heard_messages(&mut self, now: Now, index: u32, text: &str) {
        let messages = match bayeux::read(text.as_bytes(), now.unix_ms) {
            Ok(messages) => messages,
            Err(reject) => {
                // A close frame has room for a short text only.
                log::debug!("refused a message: {}", reject.detail);
                return self.hang_up(now, index, &Fault { code: websocket::INVALID_DATA, detail: "no Bayeux message".into() });
            }
        };
        let who = self.slots[index].rest.as_ref().and_then(|rest| rest.who.clone());
        if let Some(shard) = self.elsewhere(&messages, None) {
            let look = self.looks.get(self.slots[index].look).clone();
            let proof = self.pass(index).map(|pass| pass.proof.clone());
            return self.move_to(now, index, shard, Cargo::Text { text: text.to_owned(), look, who, proof });
        }
        self.slots[index].rest().exchange = Some(Box::new(Exchange::new(messages, who, None, None)));
        self.perform_messages(now, index);
    }

    /// The time of a connect is over, or that of a socket without one.
    pub(super) fn bayeux_over(&mut self, now: Now, index: u32) {
        let ends_at = now.tick.nearest(self.slots[index].ends_at);
        if now.tick < ends_at {
            // What was kept back may be told.
            let until = self.pass_until(index);
            self.wake_by(now.tick, index, until.map_or(ends_at, |until| until.min(ends_at)));
            return self.enqueue(index);
        }
        let held = self.slots[index].session().is_some_and(|slot| self.sessions[slot].connect.is_some());
        match held {
            true => self.answer_connect(now, index),
            false => self.close_socket(now, index, Farewell::LifeSpan),
        }
    }

    /// A socket is closed, and its client comes back.
    pub(super) fn close_socket(&mut self, now: Now, index: u32, farewell: Farewell) {
        websocket::feed::end(self.slots[index].out(), farewell);
        self.leave(now, index);
        self.hold_answered(now, index);
    }
}
