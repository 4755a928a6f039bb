//! Log lines for people and programs alike: `time=… level=… msg="…" key=value`, one to a line, on stderr.
//!
//! Only the command logs this way; the library writes to whatever logger its host has set.

use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// The target of the first lines, which are shown on any level but `off`.
pub const START: &str = "start";

/// The backend.
struct Lines {
    level: LevelFilter,
}

/// Writes log lines of `level` and above from now on.
pub fn start(level: LevelFilter) {
    let lines = Box::leak(Box::new(Lines { level }));
    if log::set_logger(lines).is_ok() {
        log::set_max_level(if level == LevelFilter::Off { level } else { level.max(LevelFilter::Info) });
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= self.level || metadata.target() == START
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            // A stderr that is gone leaves nobody to tell.
            let _ = std::io::stderr().write_all(line(SystemTime::now(), record).as_bytes());
        }
    }

    fn flush(&self) {}
}

fn line(time: SystemTime, record: &Record) -> String {
    let unix_ms = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let mut fields = Fields(format!("time={} level={}", timestamp(unix_ms), record.level().as_str().to_ascii_lowercase()));
    fields.add("msg", &record.args().to_string(), true);
    // The source is never fallible: `Fields` refuses nothing.
    let _ = record.key_values().visit(&mut fields);
    fields.0 + "\n"
}

/// The line as it grows.
struct Fields(String);

impl Fields {
    /// Adds `key=value`, quoted if it has to be, so that no value can look like another field or line.
    fn add(&mut self, key: &str, value: &str, quoted: bool) {
        let bare = |letter: char| letter.is_ascii_graphic() && letter != '"' && letter != '=';
        let outcome = match !quoted && !value.is_empty() && value.chars().all(bare) {
            true => write!(self.0, " {key}={value}"),
            false => write!(self.0, " {key}={value:?}"),
        };
        outcome.expect("a String takes all that is written to it");
    }
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.add(key.as_str(), &value.to_string(), false);
        Ok(())
    }
}

/// `2023-11-14T22:13:20.123Z`, from milliseconds since 1970.
fn timestamp(unix_ms: u64) -> String {
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
    use log::Level;
    use std::time::Duration;

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

    #[test]
    fn a_line_has_its_fields_and_no_value_can_forge_one() {
        let pairs: &[(&str, &str)] = &[("address", "127.0.0.1:80"), ("peer", "a=b\nlevel=error"), ("none", "")];
        let record = Record::builder().args(format_args!("listening")).level(Level::Warn).key_values(&pairs).build();
        let text = line(UNIX_EPOCH + Duration::from_secs(1), &record);
        let expected = "time=1970-01-01T00:00:01.000Z level=warn msg=\"listening\" address=127.0.0.1:80 \
                        peer=\"a=b\\nlevel=error\" none=\"\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_first_lines_are_shown_on_a_quiet_level() {
        let lines = Lines { level: LevelFilter::Warn };
        let shows = |target, level| lines.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(shows(START, Level::Info));
        assert!(shows("encke::reactor", Level::Warn));
        assert!(!shows("encke::reactor", Level::Info));
    }
}
