//! Where a server's options come from: four places, each over the one before: the table's defaults, the file, the
//! environment, the command line.
//!
//! They are read at the start and with each reload, by the same rules. All that is wrong is told at once.

use crate::arguments::Environment;
use crate::file;
use encke::Config;
use encke::base::config::{Kind, OPTIONS, Opt};
use std::path::PathBuf;

/// The places that the command line named, and what it said itself.
#[derive(Debug, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    given: Vec<(&'static Opt, String)>,
}

impl Sources {
    /// A file, if there is one.
    pub fn of(file: Option<String>) -> Sources {
        Sources { file: file.map(PathBuf::from), given: Vec::new() }
    }

    /// Another file instead.
    pub fn with_file(self, file: String) -> Sources {
        Sources { file: Some(file.into()), ..self }
    }

    /// Notes that `opt` was given. A list may be given piece by piece, anything else again to change one's mind.
    pub fn give(&mut self, opt: &'static Opt, value: String) {
        match self.given.iter_mut().find(|(before, _)| before.key == opt.key) {
            Some((_, list)) if opt.kind == Kind::Addresses => *list = format!("{list},{value}"),
            Some((_, before)) => *before = value,
            None => self.given.push((opt, value)),
        }
    }

    /// What they say now. `Err` has a line for each fault.
    pub fn read(&self, environment: Environment) -> Result<Config, String> {
        let mut config = Config::default();
        let mut faults = Vec::new();
        if let Some(path) = &self.file {
            faults.extend(file::read(path, &mut config).err());
        }
        for opt in OPTIONS {
            let variable = opt.variable();
            if let Some(value) = environment(&variable) {
                faults.extend(config.set(opt.key, &value).err().map(|error| format!("{error} (from {variable})")));
            }
        }
        for (opt, value) in &self.given {
            faults.extend(config.set(opt.key, value).err().map(|error| error.to_string()));
        }
        faults.extend(config.check().err().map(|error| error.to_string()));
        faults.extend(config.check_hostless().err().map(|error| error.to_string()));
        if faults.is_empty() { Ok(config) } else { Err(faults.join("\n")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::Scratch;

    #[test]
    fn all_faults_of_all_places_are_told_at_once() {
        let scratch = Scratch::new("retry = 2.5\nline_bytes_max = \"32KiB\"\n");
        let mut sources = Sources::of(None).with_file(scratch.path().into());
        sources.give(Opt::find("heartbeat").unwrap(), "soon".into());
        let environment = |name: &str| (name == "ENCKE_JITTER").then(|| "99".to_string());
        let error = sources.read(&environment).unwrap_err();
        let expected = ["--retry: ", "--jitter: 99% is out", "--heartbeat: ", "--line-bytes-max: 32KiB is more"];
        assert_eq!(error.lines().count(), expected.len(), "{error}");
        for (line, expected) in error.lines().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert!(error.contains(&format!("(in {})", scratch.path())) && error.contains("(from ENCKE_JITTER)"));
    }

    #[test]
    fn the_file_is_read_anew_and_the_command_line_goes_over_it() {
        let scratch = Scratch::new("retry = \"3s\"\nheartbeat = \"4s\"\n");
        let mut sources = Sources::of(Some(scratch.path().into()));
        sources.give(Opt::find("heartbeat").unwrap(), "9s".into());
        let nothing = |_: &str| None;
        let config = sources.read(&nothing).unwrap();
        assert_eq!((config.retry_ms, config.heartbeat_ms), (3_000, 9_000));
        std::fs::write(scratch.path(), "retry = \"7s\"\nheartbeat = \"1s\"\n").unwrap();
        let config = sources.read(&nothing).unwrap();
        assert_eq!((config.retry_ms, config.heartbeat_ms), (7_000, 9_000));
    }
}
