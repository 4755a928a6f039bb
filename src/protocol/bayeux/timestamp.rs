//! The `timestamp` of a message, as the specification writes it: `YYYY-MM-DDThh:mm:ss.ss`, in GMT, and says so.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// The years that can be written in four digits end here: 9999-12-31T23:59:59.99Z.
const LAST_MS: u64 = 253_402_300_799_990;

/// A moment, written for a message.
pub(super) struct Timestamp(pub(super) u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unix_ms = self.0.min(LAST_MS);
        // Weekday, day, month, year, time and zone, parted by blanks: "Sun, 06 Nov 1994 08:49:37 GMT".
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(unix_ms));
        let mut words = text.split(' ').skip(1);
        let mut word = || words.next().unwrap_or_default();
        let (day, month, year, time) = (word(), word(), word(), word());
        let month = MONTHS.iter().position(|name| *name == month).map_or(0, |place| place + 1);
        write!(f, "{year}-{month:02}-{day}T{time}.{:02}Z", unix_ms % 1000 / 10)
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_gmt() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.00Z"),
            (784_111_777_129, "1994-11-06T08:49:37.12Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.99Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.00Z"),
            (u64::MAX, "9999-12-31T23:59:59.99Z"),
        ] {
            assert_eq!(Timestamp(unix_ms).to_string(), text);
        }
    }
}
