//! How long to wait before the next try: longer each time, and never quite as long as everybody else.

use encke::base::random::{Random, Seed};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The waits between tries at one thing.
pub struct Backoff {
    first_ms: u64,
    most_ms: u64,
    next_ms: u64,
    random: Random,
}

impl Backoff {
    /// Waits of `first_ms`, twice that, and so on up to `most_ms`, each a quarter more or less.
    pub fn new(first_ms: u64, most_ms: u64) -> Backoff {
        let seed = || RandomState::new().hash_one(0);
        Backoff { first_ms, most_ms, next_ms: first_ms, random: Random::new(Seed(seed(), seed())) }
    }

    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let wait = self.random.jitter(self.next_ms, 25);
        self.next_ms = self.next_ms.saturating_mul(2).min(self.most_ms);
        Duration::from_millis(wait)
    }

    /// It went well: begin again with the first wait.
    pub fn reset(&mut self) {
        self.next_ms = self.first_ms;
    }

    /// The server said what it wants the first wait to be.
    pub fn begin_with(&mut self, first_ms: u64) {
        self.first_ms = first_ms.min(self.most_ms);
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(wait: Duration, ms: u64) {
        let wait = wait.as_millis() as u64;
        assert!((ms - ms / 4..=ms + ms / 4).contains(&wait), "{wait} is not about {ms}");
    }

    #[test]
    fn waits_double_up_to_the_most_and_begin_again() {
        let mut backoff = Backoff::new(100, 500);
        for ms in [100, 200, 400, 500, 500] {
            about(backoff.next(), ms);
        }
        backoff.reset();
        about(backoff.next(), 100);
        backoff.begin_with(300);
        about(backoff.next(), 300);
        about(backoff.next(), 500);
        backoff.begin_with(9_000);
        about(backoff.next(), 500);
    }
}
