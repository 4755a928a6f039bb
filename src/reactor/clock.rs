//! The one place that reads a clock.
//!
//! A reactor reads it once a turn and hands the reading down; whoever publishes in-process reads the
//! calendar once a message.

use crate::base::config::DURATION_MS_MAX;
use crate::base::time::{Now, Tick};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A steady clock that began when the server did, beside the calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    /// What it shows at first: what a predecessor has kept for as long as anything is kept is older than this process.
    pub(super) const BEGINS_AT_MS: u64 = DURATION_MS_MAX;

    /// A clock that begins now.
    pub(super) fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Milliseconds since it began.
    pub(super) fn elapsed_ms(self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What both clocks show.
    pub(super) fn now(self) -> Now {
        Now { tick: Tick(Clock::BEGINS_AT_MS) + self.elapsed_ms(), unix_ms: unix_ms() }
    }
}

/// How long something takes that is shorter than a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Microseconds since it was started.
    pub(super) fn microseconds(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The calendar in milliseconds since 1970; zero if it is set to before that.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_begins_where_it_is_said_to_and_never_goes_back() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!((Clock::BEGINS_AT_MS..Clock::BEGINS_AT_MS + 60_000).contains(&first.tick.0), "{first:?}");
        assert!(second.tick >= first.tick);
    }
}
