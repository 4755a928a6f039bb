//! Log lines for people and programs alike: `time=… level=… msg="…" key=value`, one to a line, on stderr.
//!
//! Only the command logs this way; the library writes to whatever logger its host has set.

use encke::base::time::timestamp;
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

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;
    use std::time::Duration;

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
