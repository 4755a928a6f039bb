//! The timesync extension: a client learns how far its clock is off, and how long the way is.
//!
//! ```text
//! request = { "tc": its time, "l": the lag it reckons with, "o": its offset }       milliseconds
//! reply   = { "tc": the same, "ts": our time when it came, "p": how long it waited here, "a": how far off l and o are }
//! ```
//! `a = tc + o + l - ts`. A client that is right to within [`ACCURACY_MS`] is not answered: it has nothing to learn. One that
//! says no `l` is of an older kind, and is told no `a`.

use serde_json::Value;
use std::fmt;

/// How far off a client may be that is left as it is.
const ACCURACY_MS: u64 = 25;

/// What a message is to be answered of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timesync {
    client_ms: i64,
    came_ms: u64,
    accuracy_ms: Option<i64>,
}

impl Timesync {
    /// The answer to what a message that came at `unix_ms` says of time, if there is one.
    pub(crate) fn read(said: &Value, unix_ms: u64) -> Option<Timesync> {
        let number = |name: &str| said.get(name).and_then(Value::as_f64).map(|number| number as i64);
        let client_ms = number("tc")?;
        let server_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        let answer = Timesync { client_ms, came_ms: unix_ms, accuracy_ms: None };
        let Some(lag) = number("l") else { return Some(answer) };
        let offset = number("o").unwrap_or(0);
        let accuracy = client_ms.saturating_add(offset).saturating_add(lag).saturating_sub(server_ms);
        let learns = lag == 0 || accuracy.unsigned_abs() >= ACCURACY_MS;
        learns.then_some(Timesync { accuracy_ms: Some(accuracy), ..answer })
    }

    /// As JSON, in a reply that is sent at `unix_ms`.
    pub(super) fn show(&self, unix_ms: u64) -> impl fmt::Display {
        let Timesync { client_ms, came_ms, accuracy_ms } = *self;
        let waited = unix_ms.saturating_sub(came_ms);
        let accuracy = accuracy_ms.map_or(String::new(), |accuracy| format!(",\"a\":{accuracy}"));
        format!("{{\"tc\":{client_ms},\"ts\":{came_ms},\"p\":{waited}{accuracy}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_answered_as_long_as_it_has_something_to_learn() {
        for (said, expected) in [
            (r#"{"tc":1000,"l":0,"o":0}"#, Some(r#"{"tc":1000,"ts":2000,"p":500,"a":-1000}"#)),
            (r#"{"tc":2000,"l":0,"o":0}"#, Some(r#"{"tc":2000,"ts":2000,"p":500,"a":0}"#)),
            (r#"{"tc":1000,"l":10,"o":990}"#, None),
            (r#"{"tc":1000,"l":10,"o":1014}"#, None),
            (r#"{"tc":1000,"l":10,"o":1015}"#, Some(r#"{"tc":1000,"ts":2000,"p":500,"a":25}"#)),
            (r#"{"tc":1000,"l":10,"o":965}"#, Some(r#"{"tc":1000,"ts":2000,"p":500,"a":-25}"#)),
            (r#"{"tc":1000}"#, Some(r#"{"tc":1000,"ts":2000,"p":500}"#)),
            (r#"{"tc":1e300,"l":1,"o":1e300}"#, Some(r#"{"tc":9223372036854775807,"ts":2000,"p":500,"a":9223372036854773807}"#)),
            (r#"{"tc":"x"}"#, None),
            ("{}", None),
            ("7", None),
            ("null", None),
        ] {
            let said: Value = serde_json::from_str(said).expect("JSON");
            let answer = Timesync::read(&said, 2000).map(|answer| answer.show(2500).to_string());
            assert_eq!(answer.as_deref(), expected, "{said}");
        }
    }
}
