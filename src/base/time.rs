//! Time as plain numbers. Nothing below the reactor reads a clock: whoever steps the engine tells it the time.

use std::ops::{Add, Sub};

/// Milliseconds on a clock that never goes back; zero is when the engine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// Milliseconds from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The low 32 bits, which is what a slot of 64 bytes has room for.
    pub(crate) fn low(self) -> u32 {
        self.0 as u32
    }

    /// The moment nearest to `self` whose low 32 bits are `low`: right for anything within 24 days of now,
    /// and no option allows a longer duration.
    pub(crate) fn nearest(self, low: u32) -> Tick {
        let ahead = low.wrapping_sub(self.low()) as i32;
        Tick(self.0.saturating_add_signed(i64::from(ahead)))
    }
}

impl Add<u64> for Tick {
    type Output = Tick;
    fn add(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }
}

impl Sub<u64> for Tick {
    type Output = Tick;
    fn sub(self, ms: u64) -> Tick {
        Tick(self.0.saturating_sub(ms))
    }
}

/// One reading of both clocks: the steady one for deadlines, the calendar one for headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and ages.
    pub tick: Tick,
    /// For `Date` and `Last-Modified`: milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_half_finds_its_way_back_across_the_wrap() {
        let now = Tick(0x1_0000_0010);
        assert_eq!(now.nearest((now + 5).low()), now + 5);
        assert_eq!(now.nearest((now - 0x20).low()), now - 0x20);
        let eve = Tick(0x1_ffff_fff0);
        assert_eq!(eve.nearest((eve + 0x100).low()), eve + 0x100);
    }
}
