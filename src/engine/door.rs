//! What somebody is told who is not let in, or not now: the answer comes before there is a connection of ours.
//!
//! When to come back is told with jitter, so that those who were refused together do not come back together.

use super::Engine;
use crate::base::error::Reject;
use crate::base::time::Now;
use crate::http::response;

/// How many seconds a client may be told to wait beyond what it has to.
const SPREAD_SECONDS: u64 = 4;
/// No client is told to wait for longer than this, and the spread.
const RETRY_SECONDS_MAX: u64 = 3_600;

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// There are as many as there may be.
    Full,
    /// The system has no descriptor left.
    NoDescriptor,
    /// More came in this second than are taken in.
    TooFast {
        /// When one more would be.
        wait_ms: u64,
    },
    /// Its address has as many as it may have.
    AddressFull,
    /// More came from its address in this second than are taken in.
    AddressTooFast {
        /// When one more would be.
        wait_ms: u64,
    },
}

impl Engine {
    /// A connection was accepted that is not let in: counts it, and says what to answer before it is closed.
    pub fn refuse_entry(&mut self, now: Now, why: TurnedAway) -> Vec<u8> {
        let counters = &mut self.counters;
        let (status, wait_ms, detail) = match why {
            TurnedAway::Full => {
                counters.turned_away_full += 1;
                (503, 0, "there are as many connections as there may be (connections_max)")
            }
            TurnedAway::NoDescriptor => {
                counters.turned_away_descriptors += 1;
                (503, 0, "the system has no room for more connections (limit of descriptors)")
            }
            TurnedAway::TooFast { wait_ms } => {
                counters.turned_away_rate += 1;
                (503, wait_ms, "more connections come than are taken in (connection_rate)")
            }
            TurnedAway::AddressFull => {
                counters.turned_away_address += 1;
                (429, 0, "this address has as many connections as it may have (connections_per_address)")
            }
            TurnedAway::AddressTooFast { wait_ms } => {
                counters.turned_away_rate += 1;
                (429, wait_ms, "more connections come from this address than are taken in (connection_rate_per_address)")
            }
        };
        let reject = Reject::new(status, "too_many_connections", detail).retry_after(self.retry_after(wait_ms));
        let mut out = Vec::with_capacity(512);
        self.calendar.date(now);
        response::refusal(&mut out, &reject, &self.calendar.date, self.calendar.sharing(0), false, true);
        out
    }

    /// What to tell a client in whole seconds that has to wait for so long.
    pub(super) fn retry_after(&mut self, wait_ms: u64) -> u64 {
        let least = wait_ms.div_ceil(1_000).clamp(1, RETRY_SECONDS_MAX);
        least + self.random.bits() % (SPREAD_SECONDS + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::random::Seed;
    use std::collections::BTreeSet;

    #[test]
    fn who_is_refused_is_told_why_and_when_to_come_back_and_not_all_the_same() {
        let mut engine = Engine::new(&Config { connections_max: 1, ..Config::default() }, 0, 1, Seed(1, 2));
        for (why, status, least) in [
            (TurnedAway::Full, "503 Service Unavailable", 1),
            (TurnedAway::NoDescriptor, "503 Service Unavailable", 1),
            (TurnedAway::TooFast { wait_ms: 2_500 }, "503 Service Unavailable", 3),
            (TurnedAway::AddressFull, "429 Too Many Requests", 1),
            (TurnedAway::AddressTooFast { wait_ms: u64::MAX }, "429 Too Many Requests", RETRY_SECONDS_MAX),
        ] {
            let mut waits = BTreeSet::new();
            for _ in 0..100 {
                let answer = String::from_utf8(engine.refuse_entry(Now::default(), why)).expect("text");
                assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
                assert!(answer.contains("Connection: close\r\n") && answer.contains("too_many_connections"), "{answer}");
                let wait = answer.split_once("Retry-After: ").and_then(|(_, rest)| rest.split_once('\r')).expect("a field").0;
                waits.insert(wait.parse::<u64>().expect("seconds"));
            }
            assert_eq!(waits, (least..=least + SPREAD_SECONDS).collect(), "{why:?}");
        }
        let counters = engine.counters();
        let away = [
            counters.turned_away_full,
            counters.turned_away_descriptors,
            counters.turned_away_address,
            counters.turned_away_rate,
        ];
        assert_eq!(away, [100, 100, 100, 200]);
    }
}
