//! Replies and events to JSON.

use super::timestamp::Timestamp;
use super::{ClientId, Fault, Timesync};
use crate::base::payload::{Kind, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write as _;

/// The only version there ever was.
const VERSION: &str = "1.0";

/// What a client is told to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Connect again after the interval, and expect to be held for the timeout.
    Retry {
        interval_ms: u64,
        timeout_ms: u64,
        /// Whether other clients of the same browser keep this one from being held; `None` does not say.
        multiple_clients: Option<bool>,
    },
    /// Shake hands again, after the interval.
    Handshake { interval_ms: u64 },
    /// Nothing: it is over.
    None,
}

/// What a reply says of acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// It is spoken here.
    Agreed,
    /// To be given back with the next connect.
    Batch(u64),
}

/// The subscriptions that a message named: one, or an array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscriptions {
    pub(crate) names: Vec<Box<str>>,
    pub(crate) one: bool,
}

/// The reply to one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The message's channel; empty if it had none.
    pub(crate) channel: Box<str>,
    /// The message's id as JSON; empty if it had none.
    pub(crate) id: Box<str>,
    pub(crate) client_id: Option<ClientId>,
    pub(crate) subscriptions: Option<Subscriptions>,
    /// Why it was not successful; `None` if it was.
    pub(crate) fault: Option<Fault>,
    pub(crate) advice: Option<Advice>,
    /// What it says of acknowledgement.
    pub(crate) ack: Option<Ack>,
    /// Says what is spoken here, as the reply to a handshake does.
    pub(crate) introduces: bool,
    /// What it says of time, to a client that asked.
    pub(crate) timesync: Option<Timesync>,
    /// It has a timestamp, as its message had.
    pub(crate) stamped: bool,
}

impl Reply {
    /// The same, not successful.
    pub(crate) fn failed(self, fault: Fault) -> Reply {
        Reply { fault: Some(fault), ..self }
    }

    /// The channel that its message was about, if that is one of the host's or of anybody's.
    pub(crate) fn subject(&self) -> Option<&str> {
        let named = self.fault.as_ref().and_then(Fault::channel);
        named.or((!self.channel.is_empty() && !self.channel.starts_with("/meta/")).then_some(&*self.channel))
    }

    /// Appends the reply as JSON, which is sent at `unix_ms` by a server that offers these connection types.
    pub(crate) fn write(&self, out: &mut Vec<u8>, connection_types: &[&str], unix_ms: u64) {
        out.push(b'{');
        if !self.channel.is_empty() {
            out.extend_from_slice(b"\"channel\":");
            string(out, &self.channel);
            out.push(b',');
        }
        text(out, format_args!("\"successful\":{}", self.fault.is_none()));
        if !self.id.is_empty() {
            text(out, format_args!(",\"id\":{}", self.id));
        }
        if let Some(client_id) = self.client_id {
            text(out, format_args!(",\"clientId\":\"{client_id}\""));
        }
        if self.introduces {
            let types = connection_types.join("\",\"");
            text(out, format_args!(",\"version\":\"{VERSION}\",\"minimumVersion\":\"{VERSION}\""));
            text(out, format_args!(",\"supportedConnectionTypes\":[\"{types}\"]"));
        }
        if let Some(subscriptions) = &self.subscriptions {
            out.extend_from_slice(b",\"subscription\":");
            subscriptions.write(out);
        }
        if let Some(advice) = self.advice {
            advice.write(out);
        }
        let ack = self.ack.map(|ack| match ack {
            Ack::Agreed => "\"ack\":true".to_owned(),
            Ack::Batch(batch) => format!("\"ack\":{batch}"),
        });
        let timesync = self.timesync.map(|timesync| format!("\"timesync\":{}", timesync.show(unix_ms)));
        match (ack, timesync) {
            (Some(ack), Some(timesync)) => text(out, format_args!(",\"ext\":{{{ack},{timesync}}}")),
            (Some(one), None) | (None, Some(one)) => text(out, format_args!(",\"ext\":{{{one}}}")),
            (None, None) => {}
        }
        if self.stamped {
            stamp(out, unix_ms);
        }
        if let Some(fault) = &self.fault {
            out.extend_from_slice(b",\"error\":");
            string(out, &fault.to_string());
        }
        out.push(b'}');
    }
}

impl Subscriptions {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.names[..] {
            [name] if self.one => string(out, name),
            names => serde_json::to_writer(out, names).expect("memory takes all bytes, and texts make JSON"),
        }
    }
}

impl Advice {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Advice::Retry { interval_ms, timeout_ms, multiple_clients } => {
                let retry = "\"reconnect\":\"retry\"";
                text(out, format_args!(",\"advice\":{{{retry},\"interval\":{interval_ms},\"timeout\":{timeout_ms}"));
                if let Some(multiple) = multiple_clients {
                    text(out, format_args!(",\"multiple-clients\":{multiple}"));
                }
                out.push(b'}');
            }
            Advice::Handshake { interval_ms } => {
                text(out, format_args!(",\"advice\":{{\"reconnect\":\"handshake\",\"interval\":{interval_ms}}}"));
            }
            Advice::None => text(out, format_args!(",\"advice\":{{\"reconnect\":\"none\"}}")),
        }
    }
}

/// Appends `message` as an event: `{"channel":…,"data":…}`. Bytes that are no text are base64, and `ext` says so. For a
/// client that has timestamps, when it was published; and for one that goes on with it from too far behind, how many it
/// `skipped`, in `ext` too.
pub(crate) fn event(out: &mut Vec<u8>, message: &Message, stamped: bool, skipped: Option<u64>) {
    out.extend_from_slice(b"{\"channel\":");
    string(out, message.channel());
    out.extend_from_slice(b",\"data\":");
    match message.kind() {
        Kind::Json => out.extend_from_slice(message.data()),
        Kind::Text => string(out, std::str::from_utf8(message.data()).expect("checked when it was published")),
        Kind::Binary => text(out, format_args!("\"{}\"", STANDARD.encode(message.data()))),
    }
    match (message.kind() == Kind::Binary, skipped) {
        (false, None) => {}
        (true, None) => out.extend_from_slice(b",\"ext\":{\"encoding\":\"base64\"}"),
        (false, Some(skipped)) => text(out, format_args!(",\"ext\":{{\"skipped\":{skipped}}}")),
        (true, Some(skipped)) => text(out, format_args!(",\"ext\":{{\"encoding\":\"base64\",\"skipped\":{skipped}}}")),
    }
    if stamped {
        stamp(out, message.unix_ms());
    }
    out.push(b'}');
}

fn stamp(out: &mut Vec<u8>, unix_ms: u64) {
    text(out, format_args!(",\"timestamp\":\"{}\"", Timestamp(unix_ms)));
}

fn string(out: &mut Vec<u8>, value: &str) {
    // Names hardly ever have something in them that must be escaped.
    if value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        return out.push(b'"');
    }
    serde_json::to_writer(out, value).expect("memory takes all bytes, and a str is always a JSON string");
}

fn text(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("memory takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::payload::Parts;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn a_reply_says_what_it_has_to_and_no_more() {
        let client_id = ClientId { shard: 1, slot: 2, secret: 3 };
        let plain = Reply { channel: "/a".into(), id: "\"x\"".into(), ..Reply::default() };
        let timesync = Timesync::read(&serde_json::json!({ "tc": 7 }), 500);
        let names = || vec!["/a".into(), "/b\"".into()];
        let retry = |multiple_clients| Advice::Retry { interval_ms: 5, timeout_ms: 9, multiple_clients };
        for (reply, json) in [
            (plain.clone(), r#"{"channel":"/a","successful":true,"id":"x"}"#.to_string()),
            (
                plain.clone().failed(Fault::about(403, "/a", "may not")),
                r#"{"channel":"/a","successful":false,"id":"x","error":"403:/a:may not"}"#.to_string(),
            ),
            (Reply::default().failed(Fault::new(400, "no")), r#"{"successful":false,"error":"400::no"}"#.to_string()),
            (
                Reply { client_id: Some(client_id), introduces: true, ..Reply::default() },
                format!(
                    "{{\"successful\":true,\"clientId\":\"{client_id}\",\"version\":\"1.0\",\"minimumVersion\":\"1.0\",\
                     \"supportedConnectionTypes\":[\"websocket\",\"iframe\"]}}"
                ),
            ),
            (
                Reply { subscriptions: Some(Subscriptions { names: names(), one: false }), ..Reply::default() },
                r#"{"successful":true,"subscription":["/a","/b\""]}"#.to_string(),
            ),
            (
                Reply { subscriptions: Some(Subscriptions { names: vec!["/a".into()], one: true }), ..Reply::default() },
                r#"{"successful":true,"subscription":"/a"}"#.to_string(),
            ),
            (
                Reply { advice: Some(retry(None)), ..Reply::default() },
                r#"{"successful":true,"advice":{"reconnect":"retry","interval":5,"timeout":9}}"#.to_string(),
            ),
            (
                Reply { advice: Some(retry(Some(true))), ..Reply::default() },
                r#"{"successful":true,"advice":{"reconnect":"retry","interval":5,"timeout":9,"multiple-clients":true}}"#
                    .to_string(),
            ),
            (
                Reply { advice: Some(Advice::Handshake { interval_ms: 0 }), ..Reply::default() },
                r#"{"successful":true,"advice":{"reconnect":"handshake","interval":0}}"#.to_string(),
            ),
            (Reply { ack: Some(Ack::Agreed), ..Reply::default() }, r#"{"successful":true,"ext":{"ack":true}}"#.to_string()),
            (Reply { ack: Some(Ack::Batch(7)), ..Reply::default() }, r#"{"successful":true,"ext":{"ack":7}}"#.to_string()),
            (
                Reply { ack: Some(Ack::Agreed), timesync, ..Reply::default() },
                r#"{"successful":true,"ext":{"ack":true,"timesync":{"tc":7,"ts":500,"p":500}}}"#.to_string(),
            ),
            (
                Reply { timesync, ..Reply::default() },
                r#"{"successful":true,"ext":{"timesync":{"tc":7,"ts":500,"p":500}}}"#.to_string(),
            ),
            (
                Reply { stamped: true, ..Reply::default() },
                r#"{"successful":true,"timestamp":"1970-01-01T00:00:01.00Z"}"#.to_string(),
            ),
            (
                Reply { advice: Some(Advice::None), ..Reply::default() },
                r#"{"successful":true,"advice":{"reconnect":"none"}}"#.to_string(),
            ),
        ] {
            assert_eq!(written(|out| reply.write(out, &["websocket", "iframe"], 1_000)), json);
        }
    }

    #[test]
    fn an_event_carries_its_data_as_what_it_was_published_as() {
        for (content_type, data, json) in [
            ("application/json", &b"{\"a\": 1}"[..], r#"{"channel":"/a","data":{"a": 1}}"#),
            ("text/plain", b"say \"x\"", r#"{"channel":"/a","data":"say \"x\""}"#),
            ("", b"\xff", r#"{"channel":"/a","data":"/w==","ext":{"encoding":"base64"}}"#),
        ] {
            let parts = Parts { channel: "/a", content_type, event: "", data, unix_ms: 0 };
            let message = Message::new(&parts).expect("a message");
            assert_eq!(written(|out| event(out, &message, false, None)), json);
            let stamped = json.replace('}', "").len() + ",\"timestamp\":\"1970-01-01T00:00:00.00Z\"".len();
            assert_eq!(written(|out| event(out, &message, true, None)).replace('}', "").len(), stamped);
            let skipped = written(|out| event(out, &message, false, Some(7)));
            let ext = if data == b"\xff" { r#""ext":{"encoding":"base64","skipped":7}}"# } else { r#","ext":{"skipped":7}}"# };
            assert!(skipped.ends_with(ext), "{skipped}");
        }
    }
}
