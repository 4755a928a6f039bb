//! What a shard counts beside [`Counters`](super::Counters), and who asks for the numbers of all.
//!
//! Whoever does waits until the reactor tells them: a shard knows its own alone.

use super::{Engine, Output, Reasons, WAYS};
use crate::base::histogram::Histogram;
use crate::base::time::Now;
use crate::conn::{ENDED, LOST, State, Subscription};
use crate::protocol::plain::reply;

impl Engine {
    /// A connection asks for the numbers.
    pub(super) fn ask_metrics(&mut self, now: Now, index: u32) {
        self.slots.turn(index, State::Asking);
        self.end_state_after(now.tick, index, self.durations.stall);
        self.orders.push_back(Output::Metrics(self.slots.token(index)));
    }

    /// Here they are.
    pub(super) fn tell_metrics(&mut self, now: Now, index: u32, text: &str) {
        let asks = self.slots[index].state == State::Asking;
        debug_assert!(asks, "whoever asked for numbers waits for them");
        if asks {
            self.reply(now, index, |out, dress| reply::metrics(out, dress, text));
            self.resume_reading(now, index);
        }
    }
}

impl Engine {
    /// How many connections are held in each of the [`WAYS`].
    pub fn ways(&self) -> &[u32; WAYS.len()] {
        self.slots.ways()
    }

    /// How often requests were refused, for which reason.
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// How many messages behind readers were, each time that a full socket could take bytes again. Who is never full is
    /// never behind by more than what is on its way, and is not counted.
    pub fn lag(&self) -> &Histogram {
        &self.lag
    }

    /// What the histories weigh of the channels whose home is here.
    pub fn history_bytes(&self) -> usize {
        self.hub.bytes
    }

    /// How many deadlines are armed.
    pub fn timers(&self) -> usize {
        self.timers.len() + self.channel_timers.len() + self.session_timers.len() + self.roll_timers.len()
    }

    /// A request, a message or a frame was refused for this reason.
    pub(super) fn count_refusal(&mut self, code: &'static str) {
        self.counters.refused += 1;
        self.reasons.count(code);
    }

    /// How many messages there are that a connection has yet to be told.
    pub(super) fn behind(&self, index: u32) -> u64 {
        let subscriptions = match self.slots[index].session() {
            Some(slot) => &self.sessions[slot].subscriptions,
            None => self.slots[index].subscriptions(),
        };
        let behind = |one: &Subscription| match one.position {
            LOST | ENDED => self.hub[one.channel].history.len() as u64,
            position => self.hub[one.channel].history.next().saturating_sub(position),
        };
        subscriptions.iter().map(behind).sum()
    }
}
