//! A request's bytes to messages.
//!
//! What is no JSON, or no object or array of objects, is refused as a whole and has no effect. A message that is wrong in
//! itself is answered in its place, and those beside it are not disturbed.

use super::{ClientId, ConnectionType, Fault, Reply, Subscriptions, Timesync, usual};
use crate::base::error::Reject;
use crate::base::name::{NAME_BYTES_MAX, Name};
use crate::base::pattern::Pattern;
use crate::base::payload::{Message, Parts};
use crate::http::query;
use crate::protocol::OneOrMany;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// The most messages in one request.
const MESSAGES_MAX: usize = 4_096;
/// The deepest nesting of arrays and objects. Readers that recurse stop at about as much.
const NESTING_MAX: usize = 127;
/// The longest `id` of a message, as JSON.
const ID_BYTES_MAX: usize = 128;
/// The most channels in one `subscription`.
const SUBSCRIPTIONS_MAX: usize = 256;

/// Who a message says it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// It does not say.
    Nobody,
    /// An id that was given out here, or could have been.
    Known(ClientId),
    /// Any other text.
    Stranger,
}

/// One message of a client.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) client: Client,
    /// A token that shows who it is.
    pub(crate) token: Option<Box<str>>,
    pub(crate) what: What,
    /// The reply as far as it follows from the message alone.
    pub(crate) reply: Reply,
}

/// What a message asks for.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Handshake {
        /// The client acknowledges what it gets.
        acknowledges: bool,
    },
    Connect {
        by: ConnectionType,
        /// To be held for no longer than that.
        timeout_ms: Option<u64>,
        /// The last reply to a connect that it got.
        acknowledged: Option<u64>,
    },
    Disconnect,
    Subscribe(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
    Publish(Message),
    /// For the host program alone.
    Serve(Message),
    /// Nothing that can be done: the reply says why.
    Nothing,
}

/// What a client may subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Channel(Name),
    /// All channels that a pattern with a star stands for, those to come included.
    Stars(Arc<str>),
    /// A service: nothing published there ever reaches a subscriber, so nothing is noted.
    Service,
}

/// A message's fields. Unknown ones are left alone, as the specification wants it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields<'a> {
    #[serde(borrow, default)]
    pub(super) channel: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) client_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    minimum_version: Option<Cow<'a, str>>,
    #[serde(default)]
    supported_connection_types: Option<Vec<String>>,
    #[serde(borrow, default)]
    pub(super) connection_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    advice: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) ext: Option<&'a RawValue>,
    #[serde(default)]
    timestamp: Option<IgnoredAny>,
    #[serde(default)]
    subscription: Option<OneOrMany>,
    /// That there is `null` is not that there is none.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

const HANDSHAKE: &str = "/meta/handshake";

/// What of a client's advice matters here.
#[derive(Default, Deserialize)]
struct ClientAdvice {
    #[serde(default)]
    timeout: Option<f64>,
}

/// The extensions that are spoken here. What is of another form is none of them.
#[derive(Default, Deserialize)]
struct Ext {
    #[serde(default)]
    ack: Value,
    #[serde(default)]
    timesync: Value,
    #[serde(default)]
    token: Value,
}

fn ext(ext: Option<&RawValue>) -> Ext {
    ext.and_then(|ext| serde_json::from_str(ext.get()).ok()).unwrap_or_default()
}

/// Takes the messages out of a posted form: the values of `message`, each of them a request.
pub(crate) fn form(body: &[u8]) -> Result<Vec<String>, Reject> {
    let text = std::str::from_utf8(body).map_err(|_| bad("a form is text"))?;
    let mut requests = Vec::new();
    for pair in query::pairs(text) {
        let (name, value) = pair?;
        if name == "message" {
            requests.push(value.into_owned());
        }
    }
    if requests.is_empty() { Err(bad("the form has no field message")) } else { Ok(requests) }
}

/// Reads a request: its messages in order. `unix_ms` is when what they publish was published.
pub(crate) fn read(request: &[u8], unix_ms: u64) -> Result<Vec<Incoming>, Reject> {
    if let Some(fields) = usual::fields(request) {
        return Ok(vec![understood(fields, unix_ms)]);
    }
    if nesting(request) > NESTING_MAX {
        return Err(bad("arrays and objects are nested too deeply"));
    }
    let no_json = |error: serde_json::Error| Reject::new(400, "bad_messages", format!("a request is JSON: {error}"));
    let raw: &RawValue = serde_json::from_slice(request).map_err(no_json)?;
    let messages: Vec<&RawValue> = match raw.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(raw.get()).map_err(no_json)?,
        _ => vec![raw],
    };
    if messages.len() > MESSAGES_MAX {
        return Err(bad("a request has at most 4096 messages"));
    }
    if !messages.iter().all(|message| message.get().starts_with('{')) {
        return Err(bad("a request is a message or an array of messages, which are objects"));
    }
    Ok(messages.into_iter().map(|message| one(message.get(), unix_ms)).collect())
}

/// Leaves of a request's messages those that are to be heard: what comes along with a handshake is not.
pub(crate) fn heard(mut messages: Vec<Incoming>) -> Vec<Incoming> {
    if let Some(place) = messages.iter().position(|message| *message.reply.channel == *HANDSHAKE) {
        messages = vec![messages.swap_remove(place)];
    }
    messages
}

fn bad(detail: &'static str) -> Reject {
    Reject::new(400, "bad_messages", detail)
}

/// How deeply arrays and objects are nested at most. What is no JSON has some nesting too.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn one(json: &str, unix_ms: u64) -> Incoming {
    match serde_json::from_str(json) {
        Ok(fields) => understood(fields, unix_ms),
        Err(error) => misshapen(json, &error),
    }
}

fn understood(fields: Fields<'_>, unix_ms: u64) -> Incoming {
    let client = match fields.client_id.as_deref() {
        None => Client::Nobody,
        Some(text) => ClientId::parse(text).map_or(Client::Stranger, Client::Known),
    };
    let channel = channel(fields.channel.as_deref());
    let mut reply = Reply { channel, stamped: fields.timestamp.is_some(), ..Reply::default() };
    let ext = ext(fields.ext);
    let what = identify(&mut reply, fields.id).and_then(|()| what(&mut reply, &fields, &ext, unix_ms));
    let (token, what) = match (ext.token, what) {
        (Value::Null, what) => (None, what),
        (Value::String(token), what) => (Some(token.into()), what),
        (_, what) => (None, what.and(Err(Fault::new(400, "a token is a text")))),
    };
    match what {
        Ok(what) => Incoming { client, token, what, reply },
        Err(fault) => Incoming { client, token, what: What::Nothing, reply: reply.failed(fault) },
    }
}

/// A message with a field of the wrong kind. What there is of its channel and id is told in its reply.
fn misshapen(json: &str, error: &serde_json::Error) -> Incoming {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let mut reply = Reply { channel: channel(value.get("channel").and_then(Value::as_str)), ..Reply::default() };
    if let Some(id) = value.get("id").map(Value::to_string).filter(|id| is_id(id)) {
        reply.id = id.into();
    }
    let fault = Fault::new(400, format!("a field is not what it should be: {error}"));
    Incoming { client: Client::Nobody, token: None, what: What::Nothing, reply: reply.failed(fault) }
}

/// The channel for the reply; one that could be none is not given back.
fn channel(text: Option<&str>) -> Box<str> {
    text.filter(|text| text.starts_with('/') && text.len() <= NAME_BYTES_MAX).unwrap_or_default().into()
}

fn identify(reply: &mut Reply, id: Option<&RawValue>) -> Result<(), Fault> {
    match id.map(RawValue::get) {
        None => Ok(()),
        Some(id) if is_id(id) => {
            reply.id = id.into();
            Ok(())
        }
        Some(_) => Err(Fault::new(400, "an id is a string or a number of at most 128 bytes")),
    }
}

fn is_id(json: &str) -> bool {
    json.len() <= ID_BYTES_MAX && json.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

fn what(reply: &mut Reply, fields: &Fields<'_>, ext: &Ext, unix_ms: u64) -> Result<What, Fault> {
    let channel = fields.channel.as_deref().unwrap_or_default();
    if is_below(channel, "/meta") {
        reply.timesync = Timesync::read(&ext.timesync, unix_ms);
        return what_of_protocol(reply, channel, fields, ext);
    }
    if channel.is_empty() {
        return Err(Fault::new(400, "a message has a channel"));
    }
    check_name(channel)?;
    let data = fields.data.ok_or_else(|| Fault::about(400, channel, "a publish has data"))?.get().as_bytes();
    let parts = Parts { channel, content_type: "application/json", event: "", data, unix_ms };
    let message = Message::new(&parts).map_err(|detail| Fault::about(400, channel, detail))?;
    Ok(if is_below(channel, "/service") { What::Serve(message) } else { What::Publish(message) })
}

/// The same for a message of the protocol's own.
fn what_of_protocol(reply: &mut Reply, channel: &str, fields: &Fields<'_>, ext: &Ext) -> Result<What, Fault> {
    match channel {
        HANDSHAKE => handshake(reply, fields, ext),
        "/meta/connect" => match &fields.connection_type {
            None => Err(Fault::new(400, "a connect has a connectionType")),
            Some(name) => {
                let unknown = || Fault::about(301, name, "Unsupported connection type");
                let by = ConnectionType::named(name).ok_or_else(unknown)?;
                Ok(What::Connect { by, timeout_ms: wished_timeout(fields.advice), acknowledged: ext.ack.as_u64() })
            }
        },
        "/meta/disconnect" => Ok(What::Disconnect),
        "/meta/subscribe" => topics(reply, fields.subscription.as_ref()).map(What::Subscribe),
        "/meta/unsubscribe" => topics(reply, fields.subscription.as_ref()).map(What::Unsubscribe),
        _ => Err(Fault::about(404, channel, "Unknown channel")),
    }
}

/// Whether `channel` is `room` or lies below it.
fn is_below(channel: &str, room: &str) -> bool {
    channel.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn handshake(reply: &mut Reply, fields: &Fields<'_>, ext: &Ext) -> Result<What, Fault> {
    // Whatever becomes of it, a client learns what is spoken here.
    reply.introduces = true;
    let version = fields.version.as_deref().ok_or_else(|| Fault::new(400, "a handshake has a version"))?;
    let is_met = |least: &str| major(least).is_some_and(|least| least <= 1);
    if major(version).is_none_or(|newest| newest < 1) || !fields.minimum_version.as_deref().is_none_or(is_met) {
        return Err(Fault::about(300, version, "Unsupported version"));
    }
    let offered = fields.supported_connection_types.as_deref();
    let offered = offered.ok_or_else(|| Fault::new(400, "a handshake has supportedConnectionTypes"))?;
    if !offered.iter().any(|offered| ConnectionType::named(offered).is_some()) {
        return Err(Fault::new(301, "Unsupported connection types"));
    }
    // Newer clients say it in an object.
    let ack = &ext.ack;
    Ok(What::Handshake { acknowledges: *ack == Value::Bool(true) || ack.get("enabled") == Some(&Value::Bool(true)) })
}

/// `version = integer *( "." version_element )`: the integer. Whoever speaks something newer than 1 speaks 1 too, unless
/// the least that it wants is newer.
fn major(version: &str) -> Option<u32> {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let element =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let number = major.parse().ok().filter(|_| major.bytes().all(|byte| byte.is_ascii_digit()))?;
    minor.split('.').all(element).then_some(number)
}

/// How long a client wants to be held at most, if it says so.
fn wished_timeout(advice: Option<&RawValue>) -> Option<u64> {
    let advice: ClientAdvice = advice.and_then(|advice| serde_json::from_str(advice.get()).ok())?;
    advice.timeout.filter(|timeout| *timeout >= 0.0).map(|timeout| timeout as u64)
}

fn topics(reply: &mut Reply, subscription: Option<&OneOrMany>) -> Result<Vec<Topic>, Fault> {
    let (texts, one) = match subscription {
        None => return Err(Fault::new(400, "a subscription is named")),
        Some(OneOrMany::One(text)) => (std::slice::from_ref(text), true),
        Some(OneOrMany::Many(texts)) => (&texts[..], false),
    };
    if texts.is_empty() || texts.len() > SUBSCRIPTIONS_MAX {
        return Err(Fault::new(400, "a subscription is a channel, or an array of 1 to 256"));
    }
    let topics = texts.iter().map(|text| topic(text)).collect();
    let names = texts.iter().map(|text| channel(Some(text))).collect();
    reply.subscriptions = Some(Subscriptions { names, one });
    topics
}

fn topic(text: &str) -> Result<Topic, Fault> {
    if is_below(text, "/meta") {
        return Err(Fault::about(403, text, "Nobody subscribes to these"));
    }
    if is_below(text, "/service") {
        return Ok(Topic::Service);
    }
    if text.ends_with("/*") || text.ends_with("/**") {
        let before = text.trim_end_matches('*').trim_end_matches('/');
        let named = before.is_empty() || check_name(before).is_ok();
        let pattern = Pattern::parse(text).ok().filter(|_| named && text.len() <= NAME_BYTES_MAX);
        let fault = || Fault::about(400, text, "A star stands alone in the last segment of a channel name");
        return pattern.map(|_| Topic::Stars(text.into())).ok_or_else(fault);
    }
    check_name(text)?;
    Name::parse(text).map(Topic::Channel).map_err(|reject| Fault::about(400, text, reject.detail))
}

/// What may stand in a channel's name beside letters and digits. Letters are those of any script: the specification knows
/// ASCII alone, but a channel is everybody's.
const MARKS: &[u8] = b"-_!~()$@/";

fn check_name(name: &str) -> Result<(), Fault> {
    Name::check(name).map_err(|reject| Fault::about(400, name, reject.detail))?;
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || MARKS.contains(&byte);
    if name.bytes().all(is_fit) {
        return Ok(());
    }
    Err(Fault::about(400, name, "A channel name has letters, digits and the marks - _ ! ~ ( ) $ @"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of(json: &str) -> Incoming {
        let mut messages = read(json.as_bytes(), 7).expect("a request");
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    fn replied(message: &Incoming) -> String {
        let mut out = Vec::new();
        message.reply.write(&mut out, ConnectionType::offered(true), 0);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn each_message_is_understood() {
        let shake = r#"{"channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0beta",
            "supportedConnectionTypes":["x","long-polling"],"id":"1","ext":{"any":[1]},"more":null}"#;
        assert!(matches!(one_of(shake).what, What::Handshake { acknowledges: false }));
        let id = ClientId { shard: 1, slot: 2, secret: 3 };
        let connect = |more: &str| {
            let head = format!("\"channel\":\"/meta/connect\",\"connectionType\":\"long-polling\",\"clientId\":\"{id}\"");
            one_of(&format!("{{{head}{more}}}"))
        };
        for (more, timeout) in [
            ("", None),
            (",\"advice\":null", None),
            (",\"advice\":{}", None),
            (",\"advice\":{\"timeout\":0,\"x\":1}", Some(0)),
            (",\"advice\":{\"timeout\":2.5e3}", Some(2500)),
            (",\"advice\":{\"timeout\":-1}", None),
            (",\"advice\":7", None),
        ] {
            let message = connect(more);
            assert_eq!(message.client, Client::Known(id));
            assert!(
                matches!(message.what, What::Connect { timeout_ms, acknowledged: None, .. } if timeout_ms == timeout),
                "{more}"
            );
        }
        assert!(matches!(one_of(r#"{"channel":"/meta/disconnect","clientId":"x"}"#).what, What::Disconnect));
        assert_eq!(one_of(r#"{"channel":"/meta/disconnect","clientId":"x"}"#).client, Client::Stranger);
        let name = |text| Topic::Channel(Name::parse(text).expect("a name"));
        let subscribe = one_of(r#"{"channel":"/meta/subscribe","subscription":["/a","/b","/service/x"]}"#);
        assert!(matches!(subscribe.what, What::Subscribe(topics) if topics == [name("/a"), name("/b"), Topic::Service]));
        let stars = one_of(r#"{"channel":"/meta/subscribe","subscription":["/a/*","/**"]}"#);
        assert!(
            matches!(stars.what, What::Subscribe(topics) if topics == [Topic::Stars("/a/*".into()), Topic::Stars("/**".into())])
        );
        assert!(matches!(one_of(r#"{"channel":"/meta/subscribe","subscription":"/a/*/**"}"#).what, What::Nothing));
        let unsubscribe = one_of(r#"{"channel":"/meta/unsubscribe","subscription":"/a"}"#);
        assert!(matches!(unsubscribe.what, What::Unsubscribe(topics) if topics == [name("/a")]));
        for (json, data) in [("{ \"a\":1}", "{ \"a\":1}"), ("null", "null"), ("\"x\"", "\"x\"")] {
            let publish = one_of(&format!("{{\"channel\":\"/a/b\",\"data\":{json}}}"));
            let What::Publish(message) = publish.what else { panic!("a publish") };
            assert_eq!((message.channel(), message.data(), message.unix_ms()), ("/a/b", data.as_bytes(), 7));
            assert_eq!(message.content_type(), "application/json");
        }
        assert!(matches!(one_of(r#"{"channel":"/service/a","data":1}"#).what, What::Serve(_)));
        assert!(matches!(one_of(r#"{"channel":"/services","data":1}"#).what, What::Publish(_)));
    }

    #[test]
    fn a_message_that_is_wrong_is_answered_in_its_place() {
        let long = "x".repeat(200);
        for (json, reply) in [
            ("{}", r#"{"successful":false,"error":"400::a message has a channel"}"#),
            (r#"{"channel":null,"id":5}"#, r#"{"successful":false,"id":5,"error":"400::a message has a channel"}"#),
            (
                r#"{"channel":"/meta/x","id":"a"}"#,
                r#"{"channel":"/meta/x","successful":false,"id":"a","error":"404:/meta/x:Unknown channel"}"#,
            ),
            (
                r#"{"channel":"/meta/connect"}"#,
                r#"{"channel":"/meta/connect","successful":false,"error":"400::a connect has a connectionType"}"#,
            ),
            (
                r#"{"channel":"/meta/connect","connectionType":"flash"}"#,
                r#"{"channel":"/meta/connect","successful":false,"error":"301:flash:Unsupported connection type"}"#,
            ),
            (
                r#"{"channel":"/meta/subscribe","subscription":"/meta/connect"}"#,
                r#"{"channel":"/meta/subscribe","successful":false,"subscription":"/meta/connect","error":"403:/meta/connect:Nobody subscribes to these"}"#,
            ),
            (
                r#"{"channel":"/meta/subscribe","subscription":["/a","b"]}"#,
                r#"{"channel":"/meta/subscribe","successful":false,"subscription":["/a",""],"error":"400:b:a channel name begins with a slash"}"#,
            ),
            (
                r#"{"channel":"/meta/subscribe","subscription":[]}"#,
                r#"{"channel":"/meta/subscribe","successful":false,"error":"400::a subscription is a channel, or an array of 1 to 256"}"#,
            ),
            (
                r#"{"channel":"/meta/subscribe"}"#,
                r#"{"channel":"/meta/subscribe","successful":false,"error":"400::a subscription is named"}"#,
            ),
            (r#"{"channel":"/a"}"#, r#"{"channel":"/a","successful":false,"error":"400:/a:a publish has data"}"#),
            (
                r#"{"channel":"/a/*","data":1}"#,
                r#"{"channel":"/a/*","successful":false,"error":"400:/a/*:a star is a pattern, not a channel name"}"#,
            ),
            (r#"{"channel":"a","data":1}"#, r#"{"successful":false,"error":"400:a:a channel name begins with a slash"}"#),
            (
                r#"{"channel":"/a","data":1,"id":{}}"#,
                r#"{"channel":"/a","successful":false,"error":"400::an id is a string or a number of at most 128 bytes"}"#,
            ),
            (
                &format!(r#"{{"channel":"/a","data":1,"id":"{long}"}}"#),
                r#"{"channel":"/a","successful":false,"error":"400::an id is a string or a number of at most 128 bytes"}"#,
            ),
        ] {
            let message = one_of(json);
            assert!(matches!(message.what, What::Nothing), "{json}");
            assert_eq!(replied(&message), reply, "{json}");
        }
        let misshapen = one_of(r#"{"channel":"/a","id":"5","clientId":5}"#);
        assert!(replied(&misshapen).starts_with(r#"{"channel":"/a","successful":false,"id":"5","error":"400::a field"#));
    }

    #[test]
    fn a_handshake_agrees_on_a_version_and_a_way_or_fails() {
        for (fields, code) in [
            (r#""version":"1.0","supportedConnectionTypes":["long-polling"]"#, None),
            (r#""version":"1.0.3b","minimumVersion":"1.0","supportedConnectionTypes":["long-polling"]"#, None),
            (r#""version":"2.0","minimumVersion":"1","supportedConnectionTypes":["long-polling"]"#, None),
            (r#""version":"1.0","minimumVersion":"0.9","supportedConnectionTypes":["long-polling"]"#, None),
            (r#""supportedConnectionTypes":["long-polling"]"#, Some(400)),
            (r#""version":"x","supportedConnectionTypes":["long-polling"]"#, Some(300)),
            (r#""version":"0.9","supportedConnectionTypes":["long-polling"]"#, Some(300)),
            (r#""version":"2.0","minimumVersion":"2.0","supportedConnectionTypes":["long-polling"]"#, Some(300)),
            (r#""version":"1.","supportedConnectionTypes":["long-polling"]"#, Some(300)),
            (r#""version":"1.0""#, Some(400)),
            (r#""version":"1.0","supportedConnectionTypes":[]"#, Some(301)),
            (r#""version":"1.0","supportedConnectionTypes":["flash"]"#, Some(301)),
        ] {
            let message = one_of(&format!("{{\"channel\":\"/meta/handshake\",{fields}}}"));
            assert_eq!(message.reply.fault.as_ref().map(|fault| fault.code), code, "{fields}");
            assert!(message.reply.introduces, "{fields}");
        }
    }

    #[test]
    fn who_acknowledges_says_so_in_one_of_two_ways() {
        for (ext, expected) in [
            ("{\"ack\":true}", true),
            ("{\"ack\":{\"enabled\":true}}", true),
            ("{\"ack\":false}", false),
            ("{\"ack\":{}}", false),
            ("{}", false),
            ("7", false),
            ("null", false),
        ] {
            let head = r#""channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]"#;
            let message = one_of(&format!("{{{head},\"ext\":{ext}}}"));
            assert!(matches!(message.what, What::Handshake { acknowledges } if acknowledges == expected), "{ext}");
        }
        for (ext, expected) in [("{\"ack\":7}", Some(7)), ("{\"ack\":-1}", None), ("{\"ack\":\"7\"}", None), ("[]", None)] {
            let head = r#""channel":"/meta/connect","connectionType":"long-polling""#;
            let message = one_of(&format!("{{{head},\"ext\":{ext}}}"));
            assert!(matches!(message.what, What::Connect { acknowledged, .. } if acknowledged == expected), "{ext}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_whole() {
        let deep = |depth: usize| format!("{{\"channel\":\"/a\",\"data\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for bad in
            ["", "x", "1", "null", "\"a\"", "[1]", "[{},[]]", "{", "[{}", "{}{}", "[{},]", &deep(127), &deep(100_000), "\"\\"]
        {
            assert_eq!(read(bad.as_bytes(), 0).expect_err(bad).code, "bad_messages", "{bad:.20}");
        }
        assert!(read(b"[\"\xff\"]", 0).is_err());
        assert!(read(deep(126).as_bytes(), 0).is_ok());
        assert!(read(b"[]", 0).expect("no message is a request too").is_empty());
        assert_eq!(read(br#" [{}, {"channel":"[[[\"[["}] "#, 0).expect("two").len(), 2);
        assert!(read(format!("[{}{{}}]", "{},".repeat(4_096)).as_bytes(), 0).is_err());
    }

    #[test]
    fn whoever_shakes_hands_is_heard_to_do_that_and_nothing_else() {
        let request =
            r#"[{"channel":"/a","data":1},{"channel":"/meta/handshake","id":"1"},{"channel":"/meta/handshake","id":"2"}]"#;
        let messages = heard(read(request.as_bytes(), 0).expect("a request"));
        assert_eq!(messages.iter().map(|message| &*message.reply.id).collect::<Vec<_>>(), ["\"1\""]);
        assert_eq!(heard(read(br#"[{},{}]"#, 0).expect("a request")).len(), 2);
    }

    #[test]
    fn a_form_carries_requests_in_its_messages() {
        assert_eq!(form(b"message=%5B%5D&x=1&message={}").expect("two"), ["[]", "{}"]);
        for bad in [&b""[..], b"x=1", b"message=%", b"\xff"] {
            assert!(form(bad).is_err(), "{bad:?}");
        }
    }
}
