//! The body of a publish to messages: the body itself, or one a line.
//!
//! ```text
//! batch = *( line LF )     line = JSON object:
//! {"data": any JSON, "channel"?: "/a", "event"?: "e", "type"?: "text/plain", "encoding"?: "base64"}
//! ```
//! A `data` that is a string is published as that text (with `"encoding":"base64"` as the bytes it stands
//! for), anything else as JSON. One bad line refuses the batch, so a batch is understood whole or not at all.

use super::command::{Manner, Publish};
use super::demo;
use crate::base::error::Reject;
use crate::base::name::Name;
use crate::base::payload::{Message, Parts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One message as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    #[serde(borrow, default)]
    pub(super) channel: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) event: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    pub(super) content_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) encoding: Option<Cow<'a, str>>,
}

/// Makes the messages that `publish` asks for of `body`.
pub(crate) fn messages(publish: &Publish, body: &[u8], unix_ms: u64) -> Result<Vec<Message>, Reject> {
    match publish.manner {
        Manner::Message => Ok(vec![one_message(publish, body, unix_ms)?]),
        Manner::Form => Ok(vec![one_message(publish, demo::line(body)?.as_bytes(), unix_ms)?]),
        Manner::Batch => batch(publish, body, unix_ms),
    }
}

/// Makes one message of `data` as it is.
pub(crate) fn one_message(publish: &Publish, data: &[u8], unix_ms: u64) -> Result<Message, Reject> {
    let channel = publish.channel.as_deref().unwrap_or_default();
    let (content_type, event) = (publish.content_type.as_str(), publish.event.as_str());
    message(&Parts { channel, content_type, event, data, unix_ms })
}

fn batch(publish: &Publish, body: &[u8], unix_ms: u64) -> Result<Vec<Message>, Reject> {
    let lines = body.split(|&byte| byte == b'\n').enumerate();
    let messages: Vec<Message> = lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(i, line)| {
            one(publish, line, unix_ms)
                .map_err(|reject| Reject { detail: format!("line {}: {}", i + 1, reject.detail).into(), ..reject })
        })
        .collect::<Result<_, _>>()?;
    if messages.is_empty() {
        return Err(Reject::new(400, "bad_batch", "the batch has no line"));
    }
    Ok(messages)
}

fn one(publish: &Publish, line: &[u8], unix_ms: u64) -> Result<Message, Reject> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    message_of(&line, publish.channel.as_deref(), &publish.event, unix_ms)
}

fn bad(detail: String) -> Reject {
    Reject::new(400, "bad_batch", detail)
}

/// Makes the message that `line` describes; `channel` and `event` stand in for what it does not say.
pub(super) fn message_of(line: &Line<'_>, channel: Option<&str>, event: &str, unix_ms: u64) -> Result<Message, Reject> {
    if let Some(channel) = &line.channel {
        Name::check(channel)?;
    }
    let channel = line.channel.as_deref().or(channel).ok_or_else(|| bad("no channel is named".into()))?;
    let event = line.event.as_deref().unwrap_or(event);
    let text: Option<Cow<'_, str>> = match line.data.get().starts_with('"') {
        true => Some(serde_json::from_str::<Text<'_>>(line.data.get()).map_err(|error| bad(error.to_string()))?.0),
        false => None,
    };
    let decoded;
    let (data, default_type) = match (line.encoding.as_deref(), &text) {
        (None, Some(text)) => (text.as_bytes(), ""),
        (None, None) => (line.data.get().as_bytes(), "application/json"),
        (Some("base64"), Some(text)) => {
            decoded = STANDARD.decode(text.as_bytes()).map_err(|error| bad(format!("data is not base64: {error}")))?;
            (&decoded[..], "application/octet-stream")
        }
        (Some(_), _) => return Err(bad("the only encoding is \"base64\", of a string".into())),
    };
    let content_type = line.content_type.as_deref().unwrap_or(default_type);
    message(&Parts { channel, content_type, event, data, unix_ms })
}

/// A JSON string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Makes a message of `parts`, whose channel is one.
pub(crate) fn message(parts: &Parts<'_>) -> Result<Message, Reject> {
    if matches!(parts.event, "gap" | "end") {
        return Err(Reject::new(400, "bad_event", "the event names \"gap\" and \"end\" are kept for notices"));
    }
    Message::new(parts).map_err(|detail| Reject::new(400, "bad_message", detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::payload::Kind;

    fn publish(manner: Manner) -> Publish {
        Publish { channel: Some(Name::parse("/a").unwrap()), content_type: String::new(), event: String::new(), manner }
    }

    fn batch(text: &str) -> Result<Vec<Message>, Reject> {
        messages(&publish(Manner::Batch), text.as_bytes(), 0)
    }

    #[test]
    fn a_plain_body_is_one_message_as_it_is() {
        let made = messages(&publish(Manner::Message), b"a\nb", 5).unwrap();
        assert_eq!((made.len(), made[0].data(), made[0].channel(), made[0].unix_ms()), (1, &b"a\nb"[..], "/a", 5));
    }

    #[test]
    fn each_line_of_a_batch_is_a_message() {
        let made = batch(
            "{\"data\":\"a\\nb\"}\n\n{\"data\":[1, 2],\"channel\":\"/b\",\"event\":\"e\"}\r\n{\"data\":\"/w==\",\"encoding\":\"base64\"}",
        );
        let made = made.unwrap();
        assert_eq!(made.len(), 3);
        assert_eq!((made[0].data(), made[0].kind(), made[0].channel()), (&b"a\nb"[..], Kind::Text, "/a"));
        assert_eq!((made[1].data(), made[1].kind(), made[1].channel(), made[1].event()), (&b"[1, 2]"[..], Kind::Json, "/b", "e"));
        assert_eq!((made[2].data(), made[2].kind()), (&b"\xff"[..], Kind::Binary));
    }

    #[test]
    fn one_bad_line_refuses_all_and_is_named() {
        for bad in [
            "x",
            "[]",
            "{}",
            "{\"data\":1,\"dta\":2}",
            "{\"data\":1,\"channel\":\"b\"}",
            "{\"data\":1,\"encoding\":\"base64\"}",
            "{\"data\":\"?\",\"encoding\":\"base64\"}",
            "{\"data\":\"x\",\"type\":\"application/json\"}",
            "{\"data\":\"x\",\"event\":\"gap\"}",
            "{\"data\":\"x\",\"event\":\"a\\nb\"}",
        ] {
            let reject = batch(&format!("{{\"data\":1}}\n{bad}\n")).unwrap_err();
            assert_eq!(reject.status, 400);
            assert!(reject.detail.starts_with("line 2: "), "{bad}: {}", reject.detail);
        }
        assert!(batch("\n\n").is_err());
    }
}
