//! What happens when nothing happens: states that end by themselves, heartbeats, channels that age.
//!
//! A connection has one timer and perhaps several reasons to be woken; the timer is armed for the earliest
//! and never disturbed by later ones. Whoever is woken looks what is due, and sleeps on if nothing is.
//!
//! **Heartbeats do not come together.** What was written to a million at once would have a million hearts beat at once, as
//! long behind it. So each slot has a head start of its own, up to half of the wait, by which the first beat behind any other
//! write comes sooner. Later beats follow at the whole wait, so that a silent stream costs what it would without, and what is
//! spread stays spread.

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
    /// The same where slow readers are ended.
    pub(super) slow: u64,
    pub(super) long_poll: u64,
    /// 0 for none.
    pub(super) heartbeat: u64,
    /// 0 for none.
    pub(super) life: u64,
    pub(super) jitter_percent: u64,
    /// What clients are told to wait before they come back.
    pub(super) retry: u64,
    /// How long a stop takes at most.
    pub(super) drain: u64,
    /// Over how long a thousand connections are told that the server stops; 0 for at once.
    pub(super) drain_spread: u64,
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
    /// How long whatever is held by a token goes on when that has ended.
    pub(super) grace: u64,
    /// How long a client may send nothing but connects; 0 for as long as it likes.
    pub(super) inactivity: u64,
    /// How long a user may be away before it has left.
    pub(super) presence_grace: u64,
}

impl Durations {
    pub(super) fn new(config: &Config) -> Durations {
        Durations {
            head: config.head_timeout_ms,
            body: config.body_timeout_ms,
            idle: config.idle_timeout_ms,
            stall: config.stall_timeout_ms,
            slow: config.slow_timeout_ms,
            long_poll: config.long_poll_timeout_ms,
            heartbeat: config.heartbeat_ms,
            life: config.life_span_ms,
            jitter_percent: config.jitter_percent,
            retry: config.retry_ms,
            drain: config.drain_timeout_ms,
            drain_spread: config.drain_spread_ms,
            age: config.history_age_ms,
            channel_linger: config.channel_linger_ms,
            bayeux: config.bayeux_timeout_ms,
            bayeux_interval: config.bayeux_interval_ms,
            browser_interval: config.bayeux_browser_interval_ms,
            session: config.bayeux_max_interval_ms.saturating_add(config.bayeux_interval_ms),
            grace: config.token_grace_ms,
            inactivity: config.bayeux_inactivity_ms,
            presence_grace: config.presence_grace_ms,
        }
    }

    /// By how much sooner this slot's heart beats first, spread evenly over the slots whichever of them are taken.
    fn head_start(&self, index: u32) -> u64 {
        if self.jitter_percent == 0 {
            return 0;
        }
        // Multiples of the golden ratio lie evenly in the unit interval.
        let share = u64::from(index.wrapping_mul(0x9e37_79b1));
        (self.heartbeat / 2 * share) >> 32
    }

    /// Those that connections wait for often.
    pub(super) fn of_connections(&self) -> [u64; 9] {
        [self.head, self.body, self.idle, self.stall, self.slow, self.heartbeat, self.bayeux, LINGER_MS, NEVER_MS]
    }

    /// Those that channels wait for often.
    pub(super) fn of_channels(&self) -> [u64; 2] {
        [self.age, self.channel_linger]
    }
}

impl Engine {
    /// The present state ends by itself after `ms`.
    pub(super) fn end_state_after(&mut self, now: Tick, index: u32, ms: u64) {
        let ends_at = now.nearest(self.slots[index].ends_at);
        // Who is to be told that the server stops puts that off by nothing it says.
        let is_leaving = self.draining && self.slots[index].state == State::Bayeux;
        let at = if is_leaving { ends_at.min(now + ms) } else { now + ms };
        self.slots[index].ends_at = at.low();
        self.wake_by(now, index, self.pass_until(index).map_or(at, |until| until.min(at)));
    }

    /// The connection is held: a stream for its life span, a long-poll until its timeout, both with jitter.
    pub(super) fn end_hold_later(&mut self, now: Tick, index: u32) {
        let stream = self.slots[index].variant.transport().is_stream();
        let (ms, heartbeat) = match stream {
            true if self.is_probe(index) => (PROBE_MS, 0),
            // Where another process goes on, whoever came too late for it to have them is to come once more.
            _ if self.draining => (1, 0),
            true if self.durations.life == 0 => (NEVER_MS, self.first_beat(index)),
            true => (self.random.jitter(self.durations.life, self.durations.jitter_percent), self.first_beat(index)),
            false => (self.random.jitter(self.durations.long_poll, self.durations.jitter_percent), 0),
        };
        self.slots[index].ends_at = (now + ms).low();
        let first = if heartbeat > 0 { heartbeat.min(ms) } else { ms };
        self.wake_by(now, index, self.pass_until(index).map_or(now + first, |until| until.min(now + first)));
    }

    /// The socket is full: it has until the stall limit to take something.
    pub(super) fn watch_stall(&mut self, now: Tick, index: u32) {
        self.slots[index].wrote_at = now.low();
        self.wake_by(now, index, now + self.patience(index));
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
        self.end_graces(now, TIMERS_A_TURN);
    }

    /// The earliest reason to wake a connection.
    pub(super) fn due(&self, now: Tick, index: u32) -> Tick {
        let connection = &self.slots[index];
        let wrote_at = now.nearest(connection.wrote_at);
        let ends_at = now.nearest(connection.ends_at);
        let until = self.pass_until(index);
        if connection.flags.has(Flags::BLOCKED) {
            let stalled = wrote_at + self.patience(index);
            return until.map_or(stalled, |until| until.min(stalled));
        }
        let beat = self.beats(index).then(|| wrote_at + self.first_beat(index));
        let reasons = [beat, self.kept_back_until(index), until];
        reasons.into_iter().flatten().fold(ends_at, Tick::min)
    }

    /// How long after a write that was none the first heartbeat comes; 0 for never.
    fn first_beat(&self, index: u32) -> u64 {
        self.durations.heartbeat - self.durations.head_start(index)
    }

    /// The socket has taken all that was to be written: silence counts from now, and from a heartbeat a little later.
    pub(super) fn note_written(&mut self, now: Tick, index: u32) {
        let connection = &mut self.slots[index];
        connection.wrote_at = now.low();
        if connection.flags.has(Flags::BEAT) {
            connection.flags.set(Flags::BEAT, false);
            connection.wrote_at = (now + self.durations.head_start(index)).low();
        }
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
            // Whose token ended while it took nothing is let go as well, though not for being slow.
            return match self.pass_until(index).is_some_and(|until| until <= now.tick) {
                true => self.close(now, index),
                false => self.stalled(now, index),
            };
        }
        let held = matches!(connection.state, State::Parked | State::Bayeux);
        if held && self.pass_until(index).is_some_and(|until| until <= now.tick) {
            return self.pass_over(now, index);
        }
        let connection = &mut self.slots[index];
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
            State::Bayeux if self.draining && now.tick >= now.tick.nearest(connection.ends_at) => self.end_connect(now, index),
            State::Bayeux if event_stream => self.hold_over(now, index),
            State::Bayeux => self.bayeux_over(now, index),
            State::Framed => self.framed_over(now, index),
            State::ExpectHead if self.draining => self.finish(now, index),
            State::ExpectHead | State::Asking | State::Joining | State::Closing | State::Lingering => self.close(now, index),
        }
    }

    /// A held connection was woken: its hold is over, or its heart must beat.
    fn hold_over(&mut self, now: Now, index: u32) {
        let stream = self.slots[index].variant.transport().is_stream();
        let endless = stream && self.durations.life == 0 && !self.is_probe(index) && !self.draining;
        if now.tick < now.tick.nearest(self.slots[index].ends_at) || endless {
            let connection = &mut self.slots[index];
            if endless {
                connection.ends_at = (now.tick + NEVER_MS).low();
            }
            // What was kept back until now is a sign of life too, and goes out in this turn.
            if self.kept_back_until(index).is_none_or(|until| until > now.tick) {
                self.write_heartbeat(now, index);
                self.slots[index].flags.set(Flags::BEAT, true);
                self.slots[index].wrote_at = (now.tick + self.durations.head_start(index)).low();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::Token;
    use crate::base::payload::{Message, Parts};
    use crate::base::random::Seed;
    use crate::engine::{Door, Input, Output};

    const STREAMS: u64 = 5_000;
    const HEARTBEAT_MS: u64 = 25_000;

    fn now(ms: u64) -> Now {
        Now { tick: Tick(ms), unix_ms: ms }
    }

    /// Does what the engine asks; whose sockets were written to.
    fn turn(engine: &mut Engine, now: Now) -> Vec<Token> {
        let mut written = Vec::new();
        loop {
            engine.begin_turn();
            while let Some(output) = engine.poll_output(now) {
                if let Output::Write(token) = output {
                    let count = engine.outgoing(token).iter().map(|bytes| bytes.len()).sum();
                    engine.handle(now, Input::Wrote { token, count });
                    written.push(token);
                }
            }
            if !engine.busy() {
                return written;
            }
        }
    }

    /// Streams of one channel, all opened at the moment 0.
    fn crowd(jitter_percent: u64) -> Engine {
        let config = Config {
            connections_max: STREAMS,
            life_span_ms: 0,
            history_age_ms: 0,
            heartbeat_ms: HEARTBEAT_MS,
            jitter_percent,
            ..Config::default()
        };
        let mut engine = Engine::new(&config, 0, 1, Seed(1, 2));
        for _ in 0..STREAMS {
            let token = engine.open(now(0), Door::Public).expect("room");
            let bytes = b"GET /sub/public/a?transport=sse HTTP/1.1\r\nHost: a\r\n\r\n";
            engine.handle(now(0), Input::Bytes { token, bytes });
        }
        assert_eq!(turn(&mut engine, now(0)).len() as u64, STREAMS);
        engine
    }

    fn publish(engine: &mut Engine, at: u64) {
        let parts = Parts { channel: "/public/a", content_type: "", event: "", data: b"hello", unix_ms: 0 };
        engine.handle(now(at), Input::Publish(&mut vec![Message::new(&parts).expect("a message")]));
        assert_eq!(turn(engine, now(at)).len() as u64, STREAMS);
    }

    /// What was written from `start` until `end`, by the hundredth of a heartbeat's wait; and how often the engine was woken
    /// to write nothing.
    fn run(engine: &mut Engine, start: u64, end: u64) -> (Vec<u64>, u64) {
        let mut beats = vec![0; ((end - start).div_ceil(HEARTBEAT_MS / 100)) as usize];
        let (mut at, mut idle) = (start, 0);
        while let Some(next) = engine.next_deadline().filter(|next| next.0 < end) {
            at = at.max(next.0);
            engine.handle(now(at), Input::Time);
            let written = turn(engine, now(at)).len() as u64;
            idle += u64::from(written == 0);
            beats[((at - start) / (HEARTBEAT_MS / 100)) as usize] += written;
        }
        (beats, idle)
    }

    #[test]
    fn heartbeats_behind_one_message_to_all_do_not_come_together() {
        let mut engine = crowd(10);
        for (what, start) in [("they were opened at once", 0), ("all were told something", 4 * HEARTBEAT_MS + 7_000)] {
            if start > 0 {
                run(&mut engine, HEARTBEAT_MS, start);
                publish(&mut engine, start);
            }
            let (beats, _) = run(&mut engine, start, start + HEARTBEAT_MS + 1);
            let (busiest, all) = (beats.iter().max().expect("hundredths"), beats.iter().sum::<u64>());
            assert_eq!(all, STREAMS, "{what}: each heart beats once");
            assert!(busiest * 100 <= all * 4, "{what}: {busiest} of {all} within a hundredth");
        }
    }

    #[test]
    fn a_silent_stream_is_woken_for_its_heartbeats_alone() {
        let mut engine = crowd(10);
        run(&mut engine, 0, 2 * HEARTBEAT_MS);
        let (beats, idle) = run(&mut engine, 2 * HEARTBEAT_MS, 12 * HEARTBEAT_MS);
        assert_eq!((beats.iter().sum::<u64>(), idle), (10 * STREAMS, 0));
    }

    #[test]
    fn without_jitter_they_come_when_the_wait_is_over_and_not_before() {
        let mut engine = crowd(0);
        let (beats, _) = run(&mut engine, 0, HEARTBEAT_MS);
        assert_eq!(beats.iter().sum::<u64>(), 0);
        let (beats, _) = run(&mut engine, HEARTBEAT_MS, HEARTBEAT_MS + 1);
        assert_eq!(beats.iter().sum::<u64>(), STREAMS);
    }
}
