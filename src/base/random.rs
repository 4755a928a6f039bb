//! A keyed generator over a seed from outside: the same seed gives the same run, and without the seed
//! no output tells anything about the next.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// What the engine is seeded with: from the system in service, fixed in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64, pub u64);

/// SipHash of a counter under the seed.
#[derive(Debug)]
pub struct Random {
    seed: Seed,
    count: u64,
}

impl Random {
    /// A generator that repeats itself for the same `seed`.
    pub fn new(seed: Seed) -> Random {
        Random { seed, count: 0 }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.count += 1;
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write_u64(self.count);
        hasher.finish()
    }

    /// The next 128 bits, for what nobody shall guess.
    pub fn wide_bits(&mut self) -> u128 {
        u128::from(self.bits()) << 64 | u128::from(self.bits())
    }

    /// A duration spread evenly over `ms ± percent`, so that what began together does not end together.
    pub fn jitter(&mut self, ms: u64, percent: u64) -> u64 {
        let reach = ms / 100 * percent + ms % 100 * percent / 100;
        if reach == 0 {
            return ms;
        }
        ms - reach + self.bits() % (2 * reach + 1)
    }
}

/// The hash of a channel name under the seed: it decides the home shard, and the place in the table.
pub fn keyed_hash(seed: Seed, bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(seed.0, seed.1).hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_repeats_itself_and_another_does_not() {
        let run = |seed| {
            let mut random = Random::new(seed);
            [random.bits(), random.bits(), random.bits()]
        };
        assert_eq!(run(Seed(1, 2)), run(Seed(1, 2)));
        assert_ne!(run(Seed(1, 2)), run(Seed(1, 3)));
    }

    #[test]
    fn jitter_stays_within_its_reach() {
        let mut random = Random::new(Seed(7, 7));
        for _ in 0..1000 {
            let ms = random.jitter(30_000, 10);
            assert!((27_000..=33_000).contains(&ms), "{ms}");
        }
        assert_eq!(random.jitter(30_000, 0), 30_000);
    }
}
