//! Bayeux by an event stream: events go there as they come, and all that the client says it posts, connects included.
//!
//! A session has one such stream at most, the newest. While it is open, a connect is held for its own sake and is answered
//! without events. When it ends, the connect that is held is answered with what there is: polls go on from the positions
//! where the stream ended. A client that acknowledges gets its events with the replies to connects all the same.
//!
//! A stream never says that a session is over, nor keeps it alive: connects do both.

use super::Engine;
use super::passes::expired;
use crate::base::id::Token;
use crate::base::time::Now;
use crate::conn::{Call, Cargo, State, unknown_client};
use crate::protocol::bayeux::ClientId;
use crate::transport::Transport;

impl Engine {
    /// Whether a connection is a session's event stream.
    pub(super) fn is_event_stream(&self, index: u32) -> bool {
        let connection = &self.slots[index];
        connection.state == State::Bayeux && connection.variant.transport() == Transport::Sse
    }

    /// A request becomes the event stream of `client`.
    pub(super) fn open_stream(&mut self, now: Now, index: u32, client: ClientId, call: Call) {
        if client.shard != self.shard && client.shard < self.shards {
            return self.move_to(now, index, client.shard, Cargo::Call { call, body: Vec::new() });
        }
        let known = self.sessions.find(client).filter(|_| client.shard == self.shard);
        let Some(slot) = known else { return self.refuse(now, index, &unknown_client(), false) };
        let shown = match self.sessions[slot].pass() {
            Some(pass) if pass.is_over(now.tick) => Err(expired()),
            _ if call.proof.is_shown() => self.show_session(now, slot, &call.proof, false),
            _ => Ok(()),
        };
        if let Err(reject) = shown {
            return self.refuse(now, index, &reject, false);
        }
        self.end_stream(now, slot);
        self.take_look(index, &call, &[]);
        self.slots.turn(index, State::Bayeux);
        self.slots[index].carry(slot);
        self.note_start(index);
        self.streams_anew(now, slot);
        self.sessions[slot].extras().stream = Some(self.slots.token(index));
        self.write_opening(now, index, false);
        self.end_hold_later(now.tick, index);
        self.slots[index].tidy();
        self.enqueue(index);
    }

    /// Ends the event stream of a session, if it has one, behind what was written there.
    pub(super) fn end_stream(&mut self, now: Now, slot: u32) {
        if let Some(token) = self.sessions[slot].stream() {
            let index = self.slots.live(token).expect("a session's event stream is there");
            self.end_hold(now, index);
        }
    }

    /// A session's event stream is not that any more: from here on the connect is answered with what comes.
    pub(super) fn put_down_stream(&mut self, slot: u32) {
        let session = &mut self.sessions[slot];
        session.extras().stream = None;
        if let Some(carrier) = session.carrier {
            self.enqueue(carrier.index);
        }
    }

    /// Whether events go by a stream beside the connects.
    pub(super) fn is_streamed(&self, slot: u32) -> bool {
        self.sessions[slot].stream().is_some() && !self.acknowledges(slot)
    }

    /// The connection by which a session is told of events.
    pub(super) fn teller(&self, slot: u32) -> Option<Token> {
        let session = &self.sessions[slot];
        if self.is_streamed(slot) { session.stream() } else { session.carrier }
    }
}
