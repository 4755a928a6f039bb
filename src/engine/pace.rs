//! Readers who are too slow for a channel whose policy ends them.
//!
//! Only who is held by a stream whose socket is full can be: whoever is away, or about to ask again, is not slow but absent,
//! and its place lies in its cursor or its session. A stream is too slow when
//! - a message finds it more than `slow_lag` behind. One that came back from further behind has until it was within that, or
//!   until the ring lets go of what it wants next: or it would be ended while it catches up;
//! - its socket has taken nothing for `slow_timeout`.
//!
//! A Bayeux event stream is ended by its socket alone: the connect beside it tells at once what comes next, and must not
//! overtake what the stream still holds.
//!
//! Who is ended leaves its channels at once. What was begun goes out, with a farewell behind it, as long as its socket takes
//! some of it in each `slow_timeout`. Its client comes back with its cursor, and a session goes on from its positions.

use super::Engine;
use crate::base::time::Now;
use crate::channel::Slow;
use crate::conn::{Flags, LOST, State, Subscription};
use crate::transport::Farewell;

/// How a reader keeps pace with the channels that mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pace {
    /// It is behind by no more than it may be.
    Within,
    Behind,
    /// What it wants next was let go.
    Lost,
}

impl Engine {
    /// A reader begins to be held: whoever comes from too far behind may catch up first.
    pub(super) fn note_start(&mut self, index: u32) {
        let behind = self.pace(index) > Some(Pace::Within);
        self.slots[index].flags.set(Flags::CATCHING_UP, behind);
    }

    /// A wave has a message for a reader whose socket is full.
    pub(super) fn judge_pace(&mut self, now: Now, index: u32) {
        if self.is_event_stream(index) {
            return;
        }
        let catching_up = self.slots[index].flags.has(Flags::CATCHING_UP);
        match self.pace(index) {
            None => {}
            Some(Pace::Within) => self.slots[index].flags.set(Flags::CATCHING_UP, false),
            Some(Pace::Behind) if catching_up => {}
            Some(Pace::Behind | Pace::Lost) => self.end_slow(now, index),
        }
    }

    /// How long a full socket may take nothing.
    pub(super) fn patience(&self, index: u32) -> u64 {
        let ended = self.slots[index].flags.has(Flags::TOO_SLOW);
        let (slow, stall) = (self.durations.slow, self.durations.stall);
        if ended || self.pace(index).is_some() { slow.min(stall) } else { stall }
    }

    /// A full socket took nothing for as long as it may.
    pub(super) fn stalled(&mut self, now: Now, index: u32) {
        let ended = self.slots[index].flags.has(Flags::TOO_SLOW);
        let minds = self.pace(index).is_some();
        self.counters.ended_slow += u64::from(!ended && minds);
        self.counters.gone_stalled += 1;
        let by_policy = (ended || minds) && self.durations.slow < self.durations.stall;
        let why = if by_policy { "slow_timeout" } else { "stall_timeout" };
        self.note_closed(now, index, why, "its socket was full and took nothing for too long");
        self.close(now, index);
    }

    fn end_slow(&mut self, now: Now, index: u32) {
        self.counters.ended_slow += 1;
        self.note_closed(now, index, "slow_disconnect", "its socket was full and its reader further behind than slow_lag");
        self.slots[index].flags.set(Flags::TOO_SLOW, true);
        match self.slots[index].state {
            State::Bayeux if self.is_socket(index) => self.close_socket(now, index, Farewell::TooSlow),
            _ => self.end_hold(now, index),
        }
    }

    /// The worst of its paces; `None` for who is not held by a stream, or has no channel that minds.
    fn pace(&self, index: u32) -> Option<Pace> {
        let connection = &self.slots[index];
        let held = matches!(connection.state, State::Joining | State::Parked | State::Bayeux);
        if !self.hub.ends_slow() || !held || !connection.variant.transport().is_stream() {
            return None;
        }
        let subscriptions = match connection.session() {
            Some(slot) => &self.sessions[slot].subscriptions,
            None => connection.subscriptions(),
        };
        subscriptions.iter().filter_map(|subscription| self.pace_of(subscription)).max()
    }

    fn pace_of(&self, subscription: &Subscription) -> Option<Pace> {
        let channel = &self.hub[subscription.channel];
        let (first, next) = (channel.history.first(), channel.history.next());
        if channel.slow != Slow::Disconnect {
            return None;
        }
        Some(match subscription.position {
            // It has yet to be told where it is.
            LOST => Pace::Within,
            position if position < first => Pace::Lost,
            position if next.saturating_sub(position) > self.limits.slow_lag => Pace::Behind,
            _ => Pace::Within,
        })
    }
}
