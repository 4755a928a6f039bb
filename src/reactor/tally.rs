//! What each reactor has done, for others to read at any time: numbers that only it writes, once a turn.
//!
//! A reader may catch a turn half written; each number is right, their relation may be a turn old. Nothing is added up
//! before somebody asks, and no line of memory is written by two reactors.

use crate::base::histogram::{BUCKETS, Histogram, bucket_of};
use crate::engine::{Engine, OTHER, REASONS_MAX, VERDICTS, WAYS};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only ever grows.
    Counter,
}

/// Makes [`Stats`], its shared form and what each number means from one list.
macro_rules! tally {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ident = $read:expr;)+) => {
        /// Name, kind and help of each number, in the order of [`Stats::entries`].
        pub(super) const TABLE: &[(&str, Kind, &str)] = &[$((stringify!($name), Kind::$kind, concat!($($help),+)),)+];

        /// What a server has done since it was started, and what it holds now.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[doc = $help])+ pub $name: u64,)+
        }

        impl Stats {
            /// Both together.
            pub(super) fn plus(self, other: Stats) -> Stats {
                Stats { $($name: self.$name + other.$name,)+ }
            }

            /// Names and numbers, in the order of the fields.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }

        /// One reactor's.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(super) struct Tally {
            $($name: AtomicU64,)+
            verdicts: [AtomicU64; VERDICTS.len()],
            ways: [AtomicU64; WAYS.len()],
            reasons: Reasons,
            lag: Counts,
            turns: Counts,
        }

        impl Tally {
            pub(super) fn write(&self, engine: &Engine) {
                $(
                    let read: fn(&Engine) -> u64 = $read;
                    self.$name.store(read(engine), Ordering::Relaxed);
                )+
                for (verdict, count) in self.verdicts.iter().zip(engine.counters().verdicts) {
                    verdict.store(count, Ordering::Relaxed);
                }
                for (way, &count) in self.ways.iter().zip(engine.ways()) {
                    way.store(u64::from(count), Ordering::Relaxed);
                }
                self.reasons.write(engine);
                self.lag.write(engine.lag());
            }

            pub(super) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }

            /// How often clients came to the verdict that has this place in [`VERDICTS`].
            pub(super) fn verdict(&self, place: usize) -> u64 {
                self.verdicts[place].load(Ordering::Relaxed)
            }

            /// How many connections are held in the way that has this place in [`WAYS`].
            pub(super) fn way(&self, place: usize) -> u64 {
                self.ways[place].load(Ordering::Relaxed)
            }

            /// How many messages behind readers were whose full sockets could take bytes again.
            pub(super) fn lag(&self) -> Histogram {
                self.lag.read()
            }

            /// How many microseconds turns took.
            pub(super) fn turns(&self) -> Histogram {
                self.turns.read()
            }

            /// A turn took so many microseconds.
            pub(super) fn turned(&self, microseconds: u64) {
                self.turns.observe(microseconds);
            }
        }
    };
}

/// A histogram that its reactor alone writes.
#[derive(Debug, Default)]
struct Counts {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Counts {
    fn observe(&self, value: u64) {
        add(&self.counts[bucket_of(value)], 1);
        add(&self.sum, value);
    }

    fn write(&self, histogram: &Histogram) {
        // Hardly ever news: whoever is not slow is not counted.
        if self.sum.load(Ordering::Relaxed) == histogram.sum && self.counts[0].load(Ordering::Relaxed) == histogram.counts[0] {
            return;
        }
        for (shared, &count) in self.counts.iter().zip(&histogram.counts) {
            shared.store(count, Ordering::Relaxed);
        }
        self.sum.store(histogram.sum, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        let mut counts = [0; BUCKETS];
        counts.iter_mut().zip(&self.counts).for_each(|(count, shared)| *count = shared.load(Ordering::Relaxed));
        Histogram { counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// Adds to a number that nobody else writes.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// Why requests were refused; a code has its place from its first refusal on.
#[derive(Debug)]
struct Reasons {
    total: AtomicU64,
    counts: [(OnceLock<&'static str>, AtomicU64); REASONS_MAX],
}

impl Default for Reasons {
    fn default() -> Reasons {
        Reasons { total: AtomicU64::new(0), counts: std::array::from_fn(|_| Default::default()) }
    }
}

impl Reasons {
    fn write(&self, engine: &Engine) {
        let total = engine.counters().refused;
        if self.total.load(Ordering::Relaxed) == total {
            return;
        }
        self.total.store(total, Ordering::Relaxed);
        for ((code, shared), (name, count)) in self.counts.iter().zip(engine.reasons().iter()) {
            shared.store(count, Ordering::Relaxed);
            // What finds no place comes last, and nothing takes that place before.
            let _ = code.set(name);
        }
    }
}

/// How often requests were refused on all reactors, by code.
pub(super) fn refusals(tallies: &[Tally]) -> BTreeMap<&'static str, u64> {
    let mut refusals = BTreeMap::from([(OTHER, 0)]);
    for (code, count) in tallies.iter().flat_map(|tally| &tally.reasons.counts) {
        if let Some(code) = code.get() {
            *refusals.entry(*code).or_default() += count.load(Ordering::Relaxed);
        }
    }
    refusals
}

tally! {
    /// Connections open now.
    connections: Gauge = |engine| engine.connections() as u64;
    /// Channels known now; one that has readers on several reactors counts on each.
    channels: Gauge = |engine| engine.channels() as u64;
    /// Bayeux sessions open now.
    sessions: Gauge = |engine| engine.sessions() as u64;
    /// Deadlines armed now.
    timers: Gauge = |engine| engine.timers() as u64;
    /// What the messages kept weigh, with what is kept beside their data.
    history_bytes: Gauge = |engine| engine.history_bytes() as u64;
    /// Connections taken in.
    opened: Counter = |engine| engine.counters().opened;
    /// Messages kept.
    published: Counter = |engine| engine.counters().published;
    /// Messages framed to readers, counted for each reader.
    delivered: Counter = |engine| engine.counters().delivered;
    /// Readers told that they have missed something.
    gaps: Counter = |engine| engine.counters().gaps;
    /// Messages left out for a later one with the same event name, counted for each reader.
    conflated: Counter = |engine| engine.counters().conflated;
    /// Messages passed over for readers who were too far behind, counted for each reader.
    skipped: Counter = |engine| engine.counters().skipped;
    /// Streams ended since their clients were too slow for a channel.
    ended_slow: Counter = |engine| engine.counters().ended_slow;
    /// Messages that readers have missed who were told so, as far as that is known.
    missed: Counter = |engine| engine.counters().missed;
    /// Bytes received by sockets.
    received_bytes: Counter = |engine| engine.counters().received_bytes;
    /// Bytes that sockets took.
    sent_bytes: Counter = |engine| engine.counters().sent_bytes;
    /// Requests, messages and frames refused.
    refused: Counter = |engine| engine.counters().refused;
    /// Publishes refused because their client was too fast.
    refused_rate: Counter = |engine| engine.counters().refused_rate;
    /// Connections not let in because there were as many as there may be.
    turned_away_full: Counter = |engine| engine.counters().turned_away_full;
    /// Connections not let in because the system had no descriptor left.
    turned_away_descriptors: Counter = |engine| engine.counters().turned_away_descriptors;
    /// Connections not let in because their address had as many as it may have.
    turned_away_address: Counter = |engine| engine.counters().turned_away_address;
    /// Readers refused because their user had as many as it may have.
    turned_away_user: Counter = |engine| engine.counters().turned_away_user;
    /// Connections not let in because too many came in a second, of all or of their address.
    turned_away_rate: Counter = |engine| engine.counters().turned_away_rate;
    /// Connections that their clients ended.
    gone_left: Counter = |engine| engine.counters().gone_left;
    /// Connections that broke.
    gone_reset: Counter = |engine| engine.counters().gone_reset;
    /// Connections given up because their peers did not answer in time.
    gone_timed_out: Counter = |engine| engine.counters().gone_timed_out;
    /// Connections cut off because they took nothing of what waited for them.
    gone_stalled: Counter = |engine| engine.counters().gone_stalled;
    /// Messages published in this process that could not be kept: too many channels, or one of the server's own.
    unkept: Counter = |engine| engine.counters().unkept;
    /// Users present now, counted in each channel of which it is told who is here.
    members: Gauge = |engine| engine.members() as u64;
    /// Users who came to a channel.
    joins: Counter = |engine| engine.counters().joins;
    /// Users who left one.
    leaves: Counter = |engine| engine.counters().leaves;
}
