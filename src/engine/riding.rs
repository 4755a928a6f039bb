//! Which responses may bring a session's events.
//!
//! Events ride on any response to a session's requests, and no two responses with events may overtake each other. On one
//! connection HTTP keeps their order. So while a response with events is **under way** on one connection, none goes out on
//! another. It is under way no more
//! - if it answered a connect: when the session connects anew, since a client does that when it has the reply; or as below
//!   once the session has an event stream, since that needs no connect;
//! - if it answered anything else: when its connection asks for something anew or is gone, or [`UNDER_WAY_MS`] later.
//!
//! A connect that is held meanwhile has its news **kept back** until then. A client that acknowledges gets events by connects
//! alone, since that is what it acknowledges; and a session that has a WebSocket or an event stream gets them there.

use super::Engine;
use crate::base::id::Token;
use crate::base::time::{Now, Tick};
use crate::conn::State;

/// How long a response can be on its way that nobody has shown to have read: long enough for a packet to be lost once.
const UNDER_WAY_MS: u64 = 500;

/// The last response that brought a session's events, unless it is known to have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UnderWay {
    #[default]
    Nothing,
    /// The reply to a connect, on this connection.
    Connect(Token),
    /// Another response on this connection, or one that is about to be given there; until then.
    Beside(Token, Tick),
}

impl Engine {
    /// Whether a response on this connection could not overtake another one with events of the session.
    pub(super) fn may_tell(&self, now: Now, index: u32, slot: u32) -> bool {
        let own = self.slots.token(index);
        match self.sessions[slot].under_way {
            UnderWay::Nothing => true,
            UnderWay::Connect(token) => token == own || self.slots.live(token).is_none(),
            UnderWay::Beside(token, until) => token == own || until <= now.tick || self.slots.live(token).is_none(),
        }
    }

    /// Takes what rides on the response to a request which is no connect.
    pub(super) fn riding_events(&mut self, now: Now, index: u32, session: Option<Token>) -> Vec<u8> {
        let Some(slot) = self.rider(now, index, session) else { return Vec::new() };
        let events = match self.session_has_news(slot) && !self.session_is_over(slot) && self.may_be_told_by_script(index, slot) {
            true => self.take_events(now, slot),
            false => Vec::new(),
        };
        if !events.is_empty() {
            self.goes_under_way(now, index, slot);
        } else if !self.slots[index].has_unsent() {
            // What was expected to ride does not; and what rode before has arrived, or this was not asked for.
            self.arrived(index);
        }
        events
    }

    /// A request waits for other shards: what it has them do is rather told with its response than with a connect.
    pub(super) fn expect_riders(&mut self, now: Now, index: u32, session: Option<Token>) {
        if let Some(slot) = self.rider(now, index, session) {
            self.goes_under_way(now, index, slot);
        }
    }

    /// The session whose events may ride on a response of this connection.
    fn rider(&self, now: Now, index: u32, session: Option<Token>) -> Option<u32> {
        let slot = self.sessions.live(session?)?;
        let carrier = self.sessions[slot].carrier.and_then(|token| self.slots.live(token));
        let by_socket = self.is_socket(index) || carrier.is_some_and(|carrier| self.is_socket(carrier));
        (!by_socket && !self.is_streamed(slot) && !self.acknowledges(slot) && self.may_tell(now, index, slot)).then_some(slot)
    }

    fn goes_under_way(&mut self, now: Now, index: u32, slot: u32) {
        let session = self.sessions.token(slot);
        if self.slots[index].told() != Some(session) {
            self.arrived(index);
            self.slots[index].tell(session);
        }
        self.sessions[slot].under_way = UnderWay::Beside(self.slots.token(index), now.tick + UNDER_WAY_MS);
    }

    /// What this connection was told last has arrived, or nobody is there for it: those who were kept back are told.
    pub(super) fn arrived(&mut self, index: u32) {
        let Some(slot) = self.slots[index].take_told().and_then(|session| self.sessions.live(session)) else { return };
        if matches!(self.sessions[slot].under_way, UnderWay::Beside(token, _) if token == self.slots.token(index)) {
            self.sessions[slot].under_way = UnderWay::Nothing;
            if let Some(carrier) = self.sessions[slot].carrier.and_then(|token| self.slots.live(token)) {
                self.enqueue(carrier);
            }
        }
    }

    /// Events go out with the reply to a connect, or on the session's WebSocket or event stream.
    pub(super) fn told_by_connect(&mut self, index: u32, slot: u32) {
        self.sessions[slot].under_way = match self.is_socket(index) || self.is_event_stream(index) {
            true => UnderWay::Nothing,
            false => UnderWay::Connect(self.slots.token(index)),
        };
    }

    /// A session connects: the reply to its last connect has arrived.
    pub(super) fn connects_anew(&mut self, slot: u32) {
        if matches!(self.sessions[slot].under_way, UnderWay::Connect(_)) {
            self.sessions[slot].under_way = UnderWay::Nothing;
        }
    }

    /// An event stream begins. It does not show that the reply to the last connect has arrived, and no connect need follow.
    pub(super) fn streams_anew(&mut self, now: Now, slot: u32) {
        let UnderWay::Connect(token) = self.sessions[slot].under_way else { return };
        self.sessions[slot].under_way = UnderWay::Nothing;
        // Whoever is not idle has asked for something since, be it for another session.
        if let Some(index) = self.slots.live(token).filter(|&index| self.slots[index].is_idle()) {
            self.goes_under_way(now, index, slot);
        }
    }

    /// Until when the news of the session that a connection carries are kept back.
    pub(super) fn kept_back_until(&self, index: u32) -> Option<Tick> {
        let connection = &self.slots[index];
        let slot = connection.session().filter(|_| connection.state == State::Bayeux)?;
        match self.sessions[slot].under_way {
            UnderWay::Beside(_, until) if self.session_has_news(slot) => Some(until),
            _ => None,
        }
    }
}
