//! An options file in TOML: keys of the option table, values as on the command line.
//!
//! Only an adapter: it turns each value into the text that `Config::set` reads, so the table alone knows what is
//! right. All that is wrong with a file is told at once.

use encke::Config;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use toml::{Table, Value};

/// A longer file is refused: all options together are a hundredth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Sets in `config` what the file at `path` says. `Err` has a line for each fault.
pub fn read(path: &Path, config: &mut Config) -> Result<(), String> {
    let place = path.display();
    let text = text_of(path).map_err(|error| format!("cannot read {place}: {error}"))?;
    let faults = take(&text, config);
    if faults.is_empty() {
        return Ok(());
    }
    Err(faults.iter().map(|fault| format!("{} (in {place})", fault.trim_end())).collect::<Vec<_>>().join("\n"))
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1MiB")),
        false => Ok(text),
    }
}

/// `encke check`: reads the file over the defaults and holds its values against each other too.
pub fn check(path: &Path) -> Result<(), String> {
    let mut config = Config::default();
    let read = read(path, &mut config);
    let checked = [config.check(), config.check_hostless()].map(|result| result.map_err(|error| error.to_string()));
    let faults: Vec<String> = std::iter::once(read).chain(checked).filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Sets what `text` says and tells what it could not set.
fn take(text: &str, config: &mut Config) -> Vec<String> {
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return vec![error.to_string()],
    };
    let mut faults = Vec::new();
    for (key, value) in &table {
        let set =
            written(value).ok_or_else(|| unfit(key)).and_then(|text| config.set(key, &text).map_err(|error| error.to_string()));
        faults.extend(set.err());
    }
    faults
}

fn unfit(key: &str) -> String {
    format!("--{}: a file gives text, a whole number, false for off, or a list of texts", key.replace('_', "-"))
}

/// A value as it would stand on the command line.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(false) => Some("off".into()),
        Value::Array(list) => {
            let parts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            Some(parts?.join(","))
        }
        Value::Boolean(true) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A file that is gone when the test is.
    pub struct Scratch(PathBuf);

    impl Scratch {
        pub fn new(text: &str) -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("encke-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            Scratch(path)
        }

        pub fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn values_are_written_as_on_the_command_line_or_as_toml_has_them() {
        let mut config = Config::default();
        let text = "heartbeat = false\nreactors = 4\nretry = \"3s\"\nlisten = [\"0.0.0.0:80\", \"[::]:80\"]\norigin = \"*\"\n";
        assert_eq!(take(text, &mut config), [""; 0]);
        assert_eq!((config.heartbeat_ms, config.reactors, config.retry_ms), (0, 4, 3_000));
        assert_eq!(config.listen, ["0.0.0.0:80", "[::]:80"]);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let scratch = Scratch::new("hartbeat = \"3s\"\nretry = 2.5\njitter = 99\nline_bytes_max = \"32KiB\"\n");
        let error = check(Path::new(scratch.path())).unwrap_err();
        let expected = [
            "--hartbeat: there is no such option (did you mean --heartbeat?) (in ",
            "--jitter: 99% is out of bounds (off, or 1% to 50%) (in ",
            "--retry: a file gives text, a whole number, false for off, or a list of texts (in ",
            "--line-bytes-max: 32KiB is more than --head-bytes-max",
        ];
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{error}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
    }

    #[test]
    fn a_file_speaks_to_no_host_program() {
        let scratch = Scratch::new("judge = \"/room/*\"\nevents = [\"gone\", \"nothing\"]\n");
        let error = check(Path::new(scratch.path())).unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines.len() == 3 && lines[0].starts_with("--events: \"nothing\" is none of "), "{error}");
        assert!(lines[1].starts_with("--judge: ") && lines[2].starts_with("--events: "), "{error}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_its_line() {
        let scratch = Scratch::new("retry = \"3s\"\nlisten = [\n");
        assert!(check(Path::new(scratch.path())).unwrap_err().contains("line 2"));
        #[cfg(target_os = "linux")]
        assert!(check(Path::new("/dev/zero")).unwrap_err().contains("longer than 1MiB"));
        assert!(check(Path::new("/nowhere/encke.toml")).unwrap_err().starts_with("cannot read /nowhere/encke.toml: "));
    }

    #[test]
    fn a_file_without_a_fault_is_fine() {
        let scratch = Scratch::new("# nothing but the defaults\n");
        check(Path::new(scratch.path())).unwrap();
    }
}
