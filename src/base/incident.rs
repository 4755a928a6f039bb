//! What happened to somebody's messages or requests, kept for whoever asks later why something was lost.

use super::shorten::shorten;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::sync::Arc;

/// How much is kept of a sentence, in bytes: one may repeat what a stranger wrote.
const DETAIL_BYTES_MAX: usize = 256;

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A reader was told that it has missed something.
    Gap,
    /// A connection was closed though its reader had not got everything.
    Closed,
    /// A Bayeux session ended though its client had not asked for that.
    SessionOver,
    /// The host program's queue was full, and events were not told.
    Unheard,
    /// A request, a message or a frame was refused.
    Refused,
}

/// One thing that happened, as it is told in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// When: milliseconds since 1970.
    pub unix_ms: u64,
    /// What sort of thing it was.
    pub what: What,
    /// A stable word for the reason: for a refusal the code that the client was told, for a loss mostly the option that
    /// let it happen.
    pub why: &'static str,
    /// A sentence for people; empty where there is no more to say.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub detail: Cow<'static, str>,
    /// The channel, if it happened in one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub channel: Option<Arc<str>>,
    /// Whom it happened to, by the number that host programs know; as text, since it takes all 64 bits.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "digits")]
    pub client: Option<u64>,
    /// The Bayeux session, by its client id: to be found by, and told to nobody, since it is a key.
    #[serde(skip)]
    pub session: Option<Box<str>>,
    /// The first offset that was missed, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The last offset that was missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How often it happened, where the same came again and again.
    pub times: u64,
}

impl Incident {
    /// Something that happened to nobody in particular.
    pub fn new(unix_ms: u64, what: What, why: &'static str) -> Incident {
        let (channel, client, first, last) = (None, None, None, None);
        Incident { unix_ms, what, why, detail: "".into(), channel, client, session: None, first, last, times: 1 }
    }

    /// Something was refused, for a reason that `code` stands for.
    pub fn refused(unix_ms: u64, code: &'static str, mut detail: Cow<'static, str>) -> Incident {
        if let Cow::Owned(text) = &mut detail {
            shorten(text, DETAIL_BYTES_MAX);
        }
        Incident { detail, ..Incident::new(unix_ms, What::Refused, code) }
    }

    /// Whether `other` is the same thing once more.
    pub fn is_like(&self, other: &Incident) -> bool {
        let thing = |one: &Incident| (one.what, one.why, one.client, one.first, one.last);
        thing(self) == thing(other) && self.channel == other.channel && self.detail == other.detail
    }
}

fn text<S: Serializer>(channel: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(channel.as_deref().unwrap_or_default())
}

fn digits<S: Serializer>(client: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&client.unwrap_or_default())
}

/// What somebody wants to know the incidents of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// Everything.
    All,
    /// This channel.
    Channel(Arc<str>),
    /// The client of this number.
    Client(u64),
    /// The Bayeux session of this client id.
    Session(Box<str>),
}

impl About {
    /// Whether it is about this.
    pub fn matches(&self, incident: &Incident) -> bool {
        match self {
            About::All => true,
            About::Channel(name) => incident.channel.as_deref() == Some(name),
            About::Client(number) => incident.client == Some(*number),
            About::Session(id) => incident.session.as_deref() == Some(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let json = |incident: &Incident| serde_json::to_string(incident).expect("it is JSON");
        let bare = Incident::new(7, What::SessionOver, "bayeux_max_interval");
        assert_eq!(json(&bare), r#"{"unix_ms":7,"what":"session_over","why":"bayeux_max_interval","times":1}"#);
        let (channel, client) = (Some("/a\"b".into()), Some(u64::MAX));
        let full = Incident { channel, client, first: Some(1), last: Some(2), detail: "x".into(), ..bare };
        let expected = r#""detail":"x","channel":"/a\"b","client":"18446744073709551615","first":1,"last":2,"times":1}"#;
        assert!(json(&full).ends_with(expected), "{}", json(&full));
    }

    #[test]
    fn what_a_stranger_wrote_is_kept_in_part() {
        let told = |detail: String| Incident::refused(7, "bad_query", detail.into()).detail.into_owned();
        assert_eq!(told("it is short".into()), "it is short");
        assert_eq!(told("x".repeat(8_192)), format!("{}…", "x".repeat(DETAIL_BYTES_MAX)));
    }

    #[test]
    fn a_question_finds_what_it_is_about() {
        let bare = Incident::new(0, What::Gap, "history_messages");
        let told = Incident { channel: Some("/a".into()), client: Some(7), session: Some("s".into()), ..bare.clone() };
        for (about, matches) in [
            (About::All, [true, true]),
            (About::Channel("/a".into()), [false, true]),
            (About::Channel("/a/b".into()), [false, false]),
            (About::Client(7), [false, true]),
            (About::Client(0), [false, false]),
            (About::Session("s".into()), [false, true]),
            (About::Session("".into()), [false, false]),
        ] {
            assert_eq!([&bare, &told].map(|one| about.matches(one)), matches, "{about:?}");
        }
    }
}
