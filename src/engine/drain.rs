//! The end: nobody new is held, and everybody who is there is seen off.
//!
//! Who is held is told to come back. So that all those clients do not come at once to whoever serves them next, they are told
//! at moments spread over a while, which grows with their number.
//!
//! A server that is **succeeded** handed its sockets and its channels to another process, which goes on. What was on its way
//! here is answered still: a reader by the end of its response, so that it comes back at once, a publisher by a refusal.

use super::Engine;
use crate::base::time::Now;
use crate::conn::{Flags, State};
use crate::protocol::plain::reply;

/// Fewer connections than this are told at once.
const SPREAD_FROM: u64 = 100;

/// How long a connection without a request stays open where a successor has taken over: one may be on its way.
pub(super) const GRACE_MS: u64 = 1_000;

/// How a shard ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// Everybody is told to go within this time.
    pub within_ms: u64,
    /// Another process goes on in this one's place, with all that the channels held.
    pub succeeded: bool,
}

impl Engine {
    /// Takes no new requests, ends what is parked, lets answers under way finish.
    pub fn drain(&mut self, now: Now) {
        self.see_off(now, Ending::default());
    }

    /// The same, with those who are parked told over a while.
    pub fn see_off(&mut self, now: Now, ending: Ending) {
        self.draining = true;
        self.succeeded = ending.succeeded;
        let spread = self.spread_ms().min(ending.within_ms);
        let all: Vec<u32> = self.slots.indices().collect();
        for index in all {
            let after = if spread == 0 { 0 } else { self.random.bits() % spread };
            match self.slots[index].state {
                State::Parked | State::Bayeux if after > 0 => self.end_state_after(now.tick, index, after),
                // It is held for a moment yet, and then told.
                State::Joining if self.succeeded => {
                    let connection = &mut self.slots[index];
                    connection.flags.set(Flags::LAST, true);
                    connection.variant = connection.variant.last(true);
                }
                State::Parked | State::Joining => self.end_hold(now, index),
                State::Judged => {
                    self.leave(now, index);
                    self.refuse(now, index, &reply::stopping(), true);
                }
                State::ExpectHead if self.succeeded => self.end_state_after(now.tick, index, GRACE_MS),
                // A request may be on its way: its sender must see that nobody took it, and keep what it was answered.
                State::ExpectHead if !self.slots[index].has_unsent() => self.finish(now, index),
                State::Framed => self.drain_framed(now, index),
                State::Bayeux => self.end_connect(now, index),
                _ => self.slots[index].flags.set(Flags::LAST, true),
            }
        }
    }

    /// Over how long everybody is told: all shards together tell a thousand in the time that an operator set.
    fn spread_ms(&self) -> u64 {
        let connections = (self.slots.len() as u64).saturating_mul(u64::from(self.shards));
        match connections < SPREAD_FROM {
            true => 0,
            false => self.durations.drain_spread.saturating_mul(connections) / 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::id::Token;
    use crate::base::random::Seed;
    use crate::base::time::Tick;
    use crate::engine::{Door, Input, Output};

    const BEGIN: Tick = Tick(1_000);

    fn at(tick: Tick) -> Now {
        Now { tick, unix_ms: 784_111_777_000 }
    }

    /// A shard with so many streams.
    fn engine(config: &Config, streams: usize) -> (Engine, Vec<Token>) {
        let mut engine = Engine::new(config, 0, 1, Seed(1, 2));
        let mut open = || {
            let token = engine.open(at(BEGIN), Door::Public).expect("room");
            let bytes = b"GET /sub/public/a?transport=sse HTTP/1.1\r\nHost: localhost\r\n\r\n";
            engine.handle(at(BEGIN), Input::Bytes { token, bytes });
            token
        };
        let tokens = (0..streams).map(|_| open()).collect();
        settle(&mut engine, BEGIN);
        (engine, tokens)
    }

    /// Writes all there is; returns how many connections were ended.
    fn settle(engine: &mut Engine, now: Tick) -> usize {
        let mut ended = 0;
        loop {
            engine.begin_turn();
            while let Some(output) = engine.poll_output(at(now)) {
                match output {
                    Output::Write(token) => {
                        let count = engine.outgoing(token).iter().map(|slice| slice.len()).sum();
                        engine.handle(at(now), Input::Wrote { token, count });
                    }
                    Output::Shutdown(_) => ended += 1,
                    _ => {}
                }
            }
            engine.check_invariants();
            if !engine.busy() {
                return ended;
            }
        }
    }

    /// When each of so many streams is ended, in milliseconds after the drain has begun.
    fn ends(config: &Config, streams: usize, ending: Ending) -> Vec<u64> {
        let (mut engine, tokens) = engine(config, streams);
        engine.see_off(at(BEGIN), ending);
        let mut ends = Vec::new();
        for ms in 0..10_000 {
            let now = BEGIN + ms;
            if engine.next_deadline().is_some_and(|deadline| deadline <= now) {
                engine.handle(at(now), Input::Time);
            }
            ends.extend((0..settle(&mut engine, now)).map(|_| ms));
            if ends.len() == tokens.len() {
                return ends;
            }
        }
        panic!("{} of {streams} were never ended", streams - ends.len());
    }

    #[test]
    fn clients_are_told_over_a_while_that_grows_with_their_number() {
        let config = Config { drain_spread_ms: 1_000, ..Config::default() };
        let long = Ending { within_ms: 60_000, succeeded: false };
        for (streams, ending, spread) in [(99, long, 0), (200, long, 200), (2_000, long, 2_000)] {
            let ends = ends(&config, streams, ending);
            assert!(ends.iter().all(|&ms| ms <= spread), "{streams}: {:?}", ends.last());
            if spread > 0 {
                let early = ends.iter().filter(|&&ms| ms < spread / 2).count();
                assert!((streams / 3..streams * 2 / 3).contains(&early), "{early} of {streams} in the first half");
            }
        }
        let short = Ending { within_ms: 300, succeeded: false };
        assert!(ends(&config, 2_000, short).iter().all(|&ms| ms <= 300), "no longer than the drain may take");
        let at_once = Config { drain_spread_ms: 0, ..config };
        assert_eq!(ends(&at_once, 2_000, long), [0; 2_000]);
    }

    #[test]
    fn endless_streams_end_too() {
        let config = Config { drain_spread_ms: 1_000, life_span_ms: 0, heartbeat_ms: 0, ..Config::default() };
        assert_eq!(ends(&config, 150, Ending { within_ms: 60_000, succeeded: true }).len(), 150);
    }
}
