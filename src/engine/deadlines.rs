//! What happens when nothing happens: states that end by themselves, heartbeats, channels that age.
//!
//! A connection has one timer and perhaps several reasons to be woken; the timer is armed for the earliest
//! and never disturbed by later ones. Whoever is woken looks what is due, and sleeps on if nothing is.

use super::Engine;
use crate::base::config::Config;
use crate::base::error::Reject;
use crate::base::time::{Now, Tick};
use crate::channel::Role;
use crate::conn::{Flags, State};
use crate::transport::Transport;

/// Timers handled in one turn; the others wait for the next, so that a million due at once stall nobody.
const TIMERS_A_TURN: usize = 1024;
/// How long a closed connection waits for its peer's end, so that the last answer is not cut off.
pub(super) const LINGER_MS: u64 = 2_000;
/// How long a probe is silent behind its hello: longer than a client waits for that.
const PROBE_MS: u64 = 10_000;
/// Stands for "never": within what a slot's 32 bits can tell apart, and renewed when it comes.
pub(super) const NEVER_MS: u64 = 20 * 24 * 3_600_000;

/// The bounds that are durations, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Durations {
    pub(super) head: u64,
    pub(super) body: u64,
    pub(super) idle: u64,
    pub(super) stall: u64,
    pub(super) long_poll: u64,
    /// 0 for none.
    pub(super) heartbeat: u64,
    /// 0 for none.
    pub(super) life: u64,
    pub(super) jitter_percent: u64,
    /// What clients are told to wait before they come back.
    pub(super) retry: u64,
    /// 0 for none.
    age: u64,
    channel_linger: u64,
    /// How long a Bayeux connect is held, and clients wait between two of them.
    pub(super) bayeux: u64,
    pub(super) bayeux_interval: u64,
    /// The same while others of their browser are held.
    pub(super) browser_interval: u64,
    /// How long a session lives that nobody carries.
    pub(super) session: u64,
    /// How long a client may send nothing but connects; 0 for as long as it likes.
    pub(super) inactivity: u64,
}

impl Durations {
    pub(super) fn new(config: &Config) -> Durations {
        Durations {
            head: config.head_timeout_ms,
            body: config.body_timeout_ms,
            idle: config.idle_timeout_ms,
            stall: config.stall_timeout_ms,
            long_poll: config.long_poll_timeout_ms,
            heartbeat: config.heartbeat_ms,
            life: config.life_span_ms,
            jitter_percent: config.jitter_percent,
            retry: config.retry_ms,
            age: config.history_age_ms,
            channel_linger: config.channel_linger_ms,
            bayeux: config.bayeux_timeout_ms,
            bayeux_interval: config.bayeux_interval_ms,
            browser_interval: config.bayeux_browser_interval_ms,
            session: config.bayeux_max_interval_ms.saturating_add(config.bayeux_interval_ms),
            inactivity: config.bayeux_inactivity_ms,
        }
    }

    /// Those that connections wait for often.
    pub(super) fn of_connections(&self) -> [u64; 8] {
        [self.head, self.body, self.idle, self.stall, self.heartbeat, self.bayeux, LINGER_MS, NEVER_MS]
    }

    /// Those that channels wait for often.
    pub(super) fn of_channels(&self) -> [u64; 2] {
        [self.age, self.channel_linger]
    }
}

impl Engine {
    /// The present state ends by itself after `ms`.
    pub(super) fn end_state_after(&mut self, now: Tick, index: u32, ms: u64) {
        let at = now + ms;
        self.slots[index].ends_at = at.low();
        self.wake_by(now, index, at);
    }

    /// The connection is held: a stream for its life span, a long-poll until its timeout, both with jitter.
    pub(super) fn end_hold_later(&mut self, now: Tick, index: u32) {
        let stream = self.slots[index].variant.transport().is_stream();
        let (ms, heartbeat) = match stream {
            true if self.is_probe(index) => (PROBE_MS, 0),
            true if self.durations.life == 0 => (NEVER_MS, self.durations.heartbeat),
            true => (self.random.jitter(self.durations.life, self.durations.jitter_percent), self.durations.heartbeat),
            false => (self.random.jitter(self.durations.long_poll, self.durations.jitter_percent), 0),
        };
        self.slots[index].ends_at = (now + ms).low();
        let first = if heartbeat > 0 { heartbeat.min(ms) } else { ms };
        self.wake_by(now, index, now + first);
    }

    /// The socket is full: it has until the stall limit to take something.
    pub(super) fn watch_stall(&mut self, now: Tick, index: u32) {
        self.slots[index].wrote_at = now.low();
        self.wake_by(now, index, now + self.durations.stall);
    }

    /// The socket is no longer full: while it was, a held connection slept on its stall limit alone.
    pub(super) fn watch_hold(&mut self, now: Tick, index: u32) {
        if matches!(self.slots[index].state, State::Parked | State::Framed | State::Bayeux) {
            let due = self.due(now, index);
            self.wake_by(now, index, due);
        }
    }

    pub(super) fn wake_by(&mut self, now: Tick, index: u32, at: Tick) {
        if self.slots[index].timer.wakes_at(now).is_none_or(|wakes| wakes > at) {
            self.timers.arm(&mut self.slots, index, now, at);
        }
    }

    /// Some time has passed.
    pub(super) fn passed(&mut self, now: Now) {
        self.judge_overdue(now, TIMERS_A_TURN);
        self.sample_if_due(now);
        for _ in 0..TIMERS_A_TURN {
            let Some(index) = self.timers.expired(&mut self.slots, now.tick) else { break };
            let due = self.due(now.tick, index);
            if due > now.tick {
                self.timers.arm(&mut self.slots, index, now.tick, due);
            } else {
                self.state_over(now, index);
            }
        }
        for _ in 0..TIMERS_A_TURN {
            let Some(key) = self.channel_timers.expired(&mut self.hub, now.tick) else { break };
            self.age_channel(now.tick, key);
        }
        self.end_sessions(now, TIMERS_A_TURN);
    }

    /// The earliest reason to wake a connection.
    pub(super) fn due(&self, now: Tick, index: u32) -> Tick {
        let connection = &self.slots[index];
        let wrote_at = now.nearest(connection.wrote_at);
        let ends_at = now.nearest(connection.ends_at);
        if connection.flags.has(Flags::BLOCKED) {
            return wrote_at + self.durations.stall;
        }
        let beat = self.beats(index).then(|| wrote_at + self.durations.heartbeat);
        let reasons = [beat, self.kept_back_until(index)];
        reasons.into_iter().flatten().fold(ends_at, Tick::min)
    }

    fn beats(&self, index: u32) -> bool {
        let connection = &self.slots[index];
        let held = connection.state == State::Parked && !self.is_probe(index) || self.is_event_stream(index);
        self.durations.heartbeat > 0 && held && connection.variant.transport().is_stream()
    }

    /// A stream of no channel proves by its silence that nothing on the way keeps its hello.
    fn is_probe(&self, index: u32) -> bool {
        let connection = &self.slots[index];
        connection.subscriptions().is_empty() && connection.variant.transport() == Transport::Stream
    }

    fn state_over(&mut self, now: Now, index: u32) {
        let event_stream = self.is_event_stream(index);
        let connection = &mut self.slots[index];
        if connection.flags.has(Flags::BLOCKED) {
            self.note_stall(now, index);
            return self.close(now, index);
        }
        let timeout = |what: &'static str| Reject::new(408, "timeout", what);
        let half_read = connection.rest.as_ref().is_some_and(|rest| !rest.inbox.is_empty());
        match connection.state {
            State::ExpectHead if half_read => {
                self.log_begin(now, index, None);
                self.refuse(now, index, &timeout("the head of the request took too long (head_timeout)"), true);
            }
            State::ExpectBody => {
                self.refuse(now, index, &timeout("the body of the request took too long (body_timeout)"), true);
            }
            State::Parked => self.hold_over(now, index),
            // Questions have a deadline of their own, and it is over long before.
            State::Judged | State::Moving => self.close(now, index),
            State::Bayeux if event_stream => self.hold_over(now, index),
            State::Bayeux => self.bayeux_over(now, index),
            State::Framed => self.framed_over(now, index),
            State::ExpectHead | State::Asking | State::Joining | State::Closing | State::Lingering => self.close(now, index),
        }
    }

    /// A held connection was woken: its hold is over, or its heart must beat.
    fn hold_over(&mut self, now: Now, index: u32) {
        let stream = self.slots[index].variant.transport().is_stream();
        let endless = stream && self.durations.life == 0 && !self.is_probe(index);
        if now.tick < now.tick.nearest(self.slots[index].ends_at) || endless {
            let connection = &mut self.slots[index];
            if endless {
                connection.ends_at = (now.tick + NEVER_MS).low();
            }
            // What was kept back until now is a sign of life too, and goes out in this turn.
            if self.kept_back_until(index).is_none_or(|until| until > now.tick) {
                self.write_heartbeat(now, index);
            }
            self.enqueue(index);
            let due = self.due(now.tick, index).max(now.tick + 1);
            self.timers.arm(&mut self.slots, index, now.tick, due);
        } else {
            self.end_hold(now, index);
        }
    }

    /// A channel was used, left or published to: see to it that it is looked at when its oldest message has
    /// aged, or when nobody will have needed it for long enough.
    pub(super) fn schedule_channel(&mut self, now: Tick, key: u32) {
        let channel = &self.hub[key];
        let Some(due) = self.channel_due(now, key) else { return };
        if channel.timer.wakes_at(now).is_none_or(|wakes| wakes > due) {
            self.channel_timers.arm(&mut self.hub, key, now, due);
        }
    }

    fn channel_due(&self, now: Tick, key: u32) -> Option<Tick> {
        let channel = &self.hub[key];
        let unused = channel.subscribers.is_empty() && channel.mirrors().is_empty();
        let gone = (unused && (channel.history.len() == 0 || channel.role != Role::Home))
            .then(|| channel.used(now) + self.durations.channel_linger);
        channel.history.expires(&self.limits.keep).into_iter().chain(gone).min()
    }

    fn age_channel(&mut self, now: Tick, key: u32) {
        let keep = self.limits.keep;
        let held = self.hub[key].history.len() > 0;
        self.hub.change_history(key, |history| history.trim(now, &keep));
        if held && self.hub[key].history.len() == 0 && self.hub[key].role == Role::Home {
            // How long it is remembered without messages counts from its last one's end.
            self.hub.touch(key, now);
        }
        let channel = &self.hub[key];
        let unused = channel.subscribers.is_empty() && channel.mirrors().is_empty();
        let empty = channel.history.len() == 0 || channel.role != Role::Home;
        let rested = channel.used(now) + self.durations.channel_linger <= now;
        if unused && empty && rested && self.forget_channel(key) {
            return;
        }
        self.schedule_channel(now, key);
    }
}
