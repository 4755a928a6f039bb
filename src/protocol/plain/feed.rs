//! What a client says on a WebSocket, and what it is answered: one JSON object a message.
//!
//! ```text
//! {"subscribe": "/a" or ["/a", "/b"], "since"?: cursor, "earliest" or "now"}  -> {"subscribed": ["/a"], "cursor": "…"}
//! {"unsubscribe": "/a" or ["/a", "/b"]}                                         -> {"unsubscribed": ["/a"]}
//! {"publish": "/a", "data": …, "event"?, "type"?, "encoding"?}                 -> {"published": {"id", "subscribers"}}
//!                                              to a channel of the host program -> {"taken": true}
//! {"token": "…"}                                                                -> {"renewed": {"expires_in": ms or null}}
//! {"ping": true}                                                                -> {"pong": true}
//!                                                                   anything else -> {"error": "code", "detail": "…"}
//! ```
//! A page is shown no ping frames and can send none: it asks in its own words whether anybody is there. `"ref"`, a string or a number, may stand in any of them, and then stands in the answer.

use super::batch::{self, Line};
use crate::base::cursor::Since;
use crate::base::error::Reject;
use crate::base::id::MessageId;
use crate::base::name::Name;
use crate::base::payload::Message;
use crate::protocol::OneOrMany;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The longest reference, as JSON.
const REFERENCE_BYTES_MAX: usize = 128;

/// The most channels in one wish, repeated ones included: as many as a connection may have where an operator allows most.
/// Each is compared with all before it.
const CHANNELS_MAX: usize = 256;

/// What a client wants, and how it will know the answer.
#[derive(Debug)]
pub(crate) struct Wish {
    /// JSON to be given back with the answer; empty if none was given.
    pub(crate) reference: String,
    pub(crate) what: What,
}

/// What a client wants.
#[derive(Debug)]
pub(crate) enum What {
    Subscribe {
        channels: Vec<Name>,
        since: Since,
    },
    Unsubscribe {
        channels: Vec<Name>,
    },
    Publish(Message),
    Ping,
    /// To go on by this token.
    Renew(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'a> {
    #[serde(default)]
    subscribe: Option<OneOrMany>,
    #[serde(default)]
    unsubscribe: Option<OneOrMany>,
    #[serde(borrow, default)]
    publish: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    since: Option<Cow<'a, str>>,
    #[serde(default)]
    ping: bool,
    #[serde(default)]
    token: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    content_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    encoding: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<&'a RawValue>,
}

/// Reads what a client says. What is wrong is told with the reference, if that much could be read.
pub(crate) fn parse(text: &str, unix_ms: u64) -> Result<Wish, (String, Reject)> {
    let bad = |detail: String| Reject::new(400, "bad_command", detail);
    let object: Object<'_> = serde_json::from_str(text).map_err(|error| (String::new(), bad(error.to_string())))?;
    let reference = match object.reference.map(RawValue::get) {
        None => String::new(),
        Some(json) if json.len() <= REFERENCE_BYTES_MAX && !json.starts_with(['{', '[']) => json.to_owned(),
        Some(_) => return Err((String::new(), bad("ref is a string or a number of at most 128 bytes".into()))),
    };
    match what(object, unix_ms) {
        Ok(what) => Ok(Wish { reference, what }),
        Err(reject) => Err((reference, reject)),
    }
}

fn what(object: Object<'_>, unix_ms: u64) -> Result<What, Reject> {
    let Object { subscribe, unsubscribe, publish, since, ping, data, event, content_type, encoding, token, .. } = object;
    let carries = data.is_some() || event.is_some() || content_type.is_some() || encoding.is_some();
    match (subscribe, unsubscribe, publish) {
        (None, None, None) if !ping && since.is_none() && !carries && token.is_some() => {
            token.map(What::Renew).ok_or_else(none_of_them)
        }
        _ if token.is_some() => Err(none_of_them()),
        (None, None, None) if ping && since.is_none() && !carries => Ok(What::Ping),
        _ if ping => Err(none_of_them()),
        (Some(channels), None, None) if !carries => {
            let since = since.map_or(Ok(Since::Now), |since| Since::parse(&since))?;
            Ok(What::Subscribe { channels: names(channels)?, since })
        }
        (None, Some(channels), None) if !carries && since.is_none() => Ok(What::Unsubscribe { channels: names(channels)? }),
        (None, None, Some(channel)) if since.is_none() => {
            let data = data.ok_or_else(|| Reject::new(400, "bad_command", "there is no data to publish"))?;
            let line = Line { data, channel: Some(channel), event, content_type, encoding };
            batch::message_of(&line, None, "", unix_ms).map(What::Publish)
        }
        _ => Err(none_of_them()),
    }
}

fn none_of_them() -> Reject {
    let detail = "say one of subscribe (with since), unsubscribe, publish (with data, event, type, encoding), token, and ping";
    Reject::new(400, "bad_command", detail)
}

fn names(channels: OneOrMany) -> Result<Vec<Name>, Reject> {
    let texts = match channels {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    if texts.len() > CHANNELS_MAX {
        let detail = format!("{} channels in one wish are more than {CHANNELS_MAX}", texts.len());
        return Err(Reject::new(400, "too_many_channels", detail));
    }
    let mut names = Vec::with_capacity(texts.len());
    for text in texts {
        let name = Name::parse(&text)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { Err(Reject::new(400, "bad_command", "no channel is named")) } else { Ok(names) }
}

/// It is subscribed to these channels, and has seen as much of all its channels as `cursor` says.
pub(crate) fn subscribed(channels: &[Name], cursor: &str, reference: &str) -> String {
    tagged(format!("{{\"subscribed\":{},\"cursor\":\"{cursor}\"", list(channels)), reference)
}

/// It is subscribed to these channels no more.
pub(crate) fn unsubscribed(channels: &[Name], reference: &str) -> String {
    tagged(format!("{{\"unsubscribed\":{}", list(channels)), reference)
}

/// What was published is kept.
pub(crate) fn published(id: MessageId, subscribers: u64, reference: &str) -> String {
    tagged(format!("{{\"published\":{{\"id\":\"{id}\",\"subscribers\":{subscribers}}}"), reference)
}

/// The token was taken.
pub(crate) fn renewed(expires_in_ms: Option<u64>, reference: &str) -> String {
    tagged(format!("{{\"renewed\":{}", super::reply::renewed(expires_in_ms)), reference)
}

/// Somebody is there.
pub(crate) fn pong(reference: &str) -> String {
    tagged("{\"pong\":true".to_owned(), reference)
}

/// What was published is the host program's now.
pub(crate) fn taken(reference: &str) -> String {
    tagged("{\"taken\":true".to_owned(), reference)
}

/// What was said cannot be done.
pub(crate) fn refused(reject: &Reject, reference: &str) -> String {
    let detail = serde_json::Value::from(&*reject.detail);
    tagged(format!("{{\"error\":\"{}\",\"detail\":{detail}", reject.code), reference)
}

fn list(channels: &[Name]) -> serde_json::Value {
    channels.iter().map(|name| &**name).collect()
}

fn tagged(object: String, reference: &str) -> String {
    if reference.is_empty() { object + "}" } else { format!("{object},\"ref\":{reference}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_is_understood() {
        let wish = parse(r#"{"subscribe":["/a","/b","/a"],"since":"earliest","ref":7}"#, 0).unwrap();
        assert_eq!(wish.reference, "7");
        assert!(matches!(wish.what, What::Subscribe { channels, since: Since::Earliest } if channels.len() == 2));
        let wish = parse(r#"{"unsubscribe":"/a"}"#, 0).unwrap();
        assert!(matches!(wish.what, What::Unsubscribe { channels } if &*channels[0] == "/a"));
        assert!(matches!(parse(r#"{"ping":true}"#, 0).unwrap().what, What::Ping));
        let wish = parse(r#"{"publish":"/a","data":"x\ny","event":"e","ref":"q"}"#, 5).unwrap();
        assert_eq!(wish.reference, "\"q\"");
        assert!(matches!(wish.what, What::Publish(message) if message.data() == b"x\ny" && message.event() == "e"));
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_reference() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"subscribe":"a"}"#,
            r#"{"subscribe":[]}"#,
            r#"{"subscribe":"/a","since":"x"}"#,
            r#"{"subscribe":"/a","data":1}"#,
            r#"{"subscribe":"/a","publish":"/b","data":1}"#,
            r#"{"publish":"/a"}"#,
            r#"{"publish":"/a","data":1,"since":"now"}"#,
            r#"{"publish":"/a","data":1,"event":"gap"}"#,
            r#"{"shout":"/a"}"#,
            r#"{"token":7}"#,
            r#"{"token":"x","ping":true}"#,
            r#"{"token":"x","subscribe":"/a"}"#,
            r#"{"token":"x","data":1}"#,
            r#"{"ping":false}"#,
            r#"{"ping":true,"subscribe":"/a"}"#,
            r#"{"subscribe":"/a","ref":{}}"#,
        ] {
            assert_eq!(parse(bad, 0).unwrap_err().1.status, 400, "{bad}");
        }
        let (reference, reject) = parse(r#"{"subscribe":"a","ref":"r"}"#, 0).unwrap_err();
        assert_eq!(
            refused(&reject, &reference),
            r#"{"error":"bad_channel","detail":"a channel name begins with a slash","ref":"r"}"#
        );
    }
}
