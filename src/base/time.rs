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

/// `2023-11-14T22:13:20.123Z`, from milliseconds since 1970.
pub fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// Year, month and day from days since 1970. Years are counted from March, so that the leap day comes last, in
/// eras of 400 years, which all have the same 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
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

    #[test]
    fn a_moment_is_written_as_a_calendar_has_it() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(unix_ms), expected);
        }
    }
}
