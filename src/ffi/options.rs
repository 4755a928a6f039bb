//! Options as JSON: names of the option table, values as in a file. Only an adapter: the table alone knows what is right.

use super::code::{Failure, encke_code};
use crate::base::config::Config;
use serde_json::Value;

/// The longest text of options, in bytes.
pub(super) const OPTIONS_BYTES_MAX: usize = 64 << 10;

/// What `text` says over the defaults. One default differs from the binary's: a program that has the server in
/// hand needs no private listener.
pub(super) fn read(text: &str) -> Result<Config, Failure> {
    let mut config = Config { private: Vec::new(), ..Config::default() };
    if text.trim().is_empty() {
        return Ok(config);
    }
    let fault = |detail: String| Failure::new(encke_code::ENCKE_ECONFIG, detail);
    let table: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|error| fault(format!("options are one JSON object: {error}")))?;
    let mut faults = Vec::new();
    for (key, value) in &table {
        let set = match written(value) {
            Some(text) => config.set(key, &text).map_err(|error| error.to_string()),
            None => {
                Err(format!("--{}: an option is text, a whole number, false for off, or a list of texts", key.replace('_', "-")))
            }
        };
        faults.extend(set.err());
    }
    if faults.is_empty() { Ok(config) } else { Err(fault(faults.join("\n"))) }
}

/// A value as it would stand on the command line.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        Value::Null | Value::Bool(false) => Some("off".into()),
        Value::Array(list) => {
            let parts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            Some(parts?.join(","))
        }
        Value::Bool(true) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_on_the_command_line_or_as_json_has_them() {
        let config = read(r#"{"heartbeat":false,"reactors":4,"retry":"3s","listen":["0.0.0.0:80","[::]:80"],"private":null}"#);
        let config = config.expect("good options");
        assert_eq!((config.heartbeat_ms, config.reactors, config.retry_ms), (0, 4, 3_000));
        assert_eq!(config.listen, ["0.0.0.0:80", "[::]:80"]);
        assert!(config.private.is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let failure = read(r#"{"hartbeat":"3s","retry":2.5,"reactors":true,"jitter":99}"#).expect_err("four faults");
        assert_eq!(failure.code, encke_code::ENCKE_ECONFIG);
        let lines: Vec<&str> = failure.detail.lines().collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        for part in ["did you mean --heartbeat?", "--retry: an option is text", "--reactors: an", "--jitter: 99%"] {
            assert!(failure.detail.contains(part), "{part}: {lines:?}");
        }
        assert!(read("[]").is_err() && read("{").is_err());
    }

    #[test]
    fn without_options_there_is_no_private_listener() {
        assert!(read("").expect("defaults").private.is_empty());
        assert!(read(" {} ").expect("defaults").private.is_empty());
    }
}
