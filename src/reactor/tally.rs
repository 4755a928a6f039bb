//! What each reactor has done, for others to read at any time: numbers that only it writes, once a turn.
//!
//! A reader may catch a turn half written; each number is right, their relation may be a turn old.

use crate::engine::{Engine, VERDICTS};
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
        pub(super) struct Tally {
            $($name: AtomicU64,)+
            verdicts: [AtomicU64; VERDICTS.len()],
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
            }

            pub(super) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }

            /// How often clients came to the verdict that has this place in [`VERDICTS`].
            pub(super) fn verdict(&self, place: usize) -> u64 {
                self.verdicts[place].load(Ordering::Relaxed)
            }
        }
    };
}

tally! {
    /// Connections open now.
    connections: Gauge = |engine| engine.connections() as u64;
    /// Channels known now; one that has readers on several reactors counts on each.
    channels: Gauge = |engine| engine.channels() as u64;
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
    /// Requests refused.
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
