//! What each reactor has done, for others to read at any time: numbers that only it writes, once a turn.
//!
//! A reader may catch a turn half written; each number is right, their relation may be a turn old.

use crate::engine::Engine;
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes [`Stats`] and its shared form from one list.
macro_rules! tally {
    ($($(#[doc = $help:literal])+ $name:ident = $read:expr;)+) => {
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
        }

        impl Tally {
            pub(super) fn write(&self, engine: &Engine) {
                $(
                    let read: fn(&Engine) -> u64 = $read;
                    self.$name.store(read(engine), Ordering::Relaxed);
                )+
            }

            pub(super) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

tally! {
    /// Connections open now.
    connections = |engine| engine.connections() as u64;
    /// Channels known now; one that has readers on several reactors counts on each.
    channels = |engine| engine.channels() as u64;
    /// Connections taken in.
    opened = |engine| engine.counters().opened;
    /// Messages kept.
    published = |engine| engine.counters().published;
    /// Messages framed to readers, counted for each reader.
    delivered = |engine| engine.counters().delivered;
    /// Readers told that they have missed something.
    gaps = |engine| engine.counters().gaps;
    /// Requests refused.
    refused = |engine| engine.counters().refused;
    /// Messages published in this process that could not be kept, since there were too many channels.
    unkept = |engine| engine.counters().unkept;
}
