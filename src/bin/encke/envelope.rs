//! What the server's JSON says: messages as they are read, answers to what was published.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// `{"channel","id","data"}`, or on an event named `gap` `{"channel","missed"}`.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// Every message has one; a gap has none.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    encoding: Option<Cow<'a, str>>,
    /// How many messages a gap is wide, if that is known.
    pub missed: Option<u64>,
}

impl<'a> Envelope<'a> {
    /// Reads one.
    pub fn parse(text: &'a str) -> Result<Envelope<'a>, String> {
        serde_json::from_str(text).map_err(|error| format!("the server sent no envelope ({error}): {text:.200}"))
    }

    /// The data as it was published: the text of a string, the bytes of base64, any other JSON as it is.
    pub fn data(&self) -> Result<Cow<'a, [u8]>, String> {
        let raw = self.data.map_or("null", RawValue::get);
        if !raw.starts_with('"') {
            return Ok(raw.as_bytes().into());
        }
        let text: String = serde_json::from_str(raw).map_err(|error| format!("the server sent broken data: {error}"))?;
        match self.encoding.as_deref() {
            None => Ok(text.into_bytes().into()),
            Some("base64") => {
                STANDARD.decode(text).map(Cow::from).map_err(|error| format!("the server sent broken base64: {error}"))
            }
            Some(other) => Err(format!("the server sent data in an unknown encoding: {other}")),
        }
    }
}

/// A long poll's answer.
#[derive(Debug, Deserialize)]
pub struct Batch<'a> {
    /// Where to go on.
    pub cursor: String,
    /// Whether something is missing before these.
    #[serde(default)]
    pub gap: bool,
    /// An [`Envelope`] each.
    #[serde(borrow)]
    pub messages: Vec<&'a RawValue>,
}

/// Which messages of a batch the server says it has taken: those that stand as `null` it has not.
/// `None` if it does not say.
pub fn taken(answer: &[u8]) -> Option<Vec<bool>> {
    #[derive(Deserialize)]
    struct Answer {
        messages: Vec<Option<serde::de::IgnoredAny>>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    Some(answer.messages.iter().map(Option::is_some).collect())
}

/// An envelope on one line. Line breaks in JSON stand between tokens only, so blanks say the same.
pub fn on_one_line(json: &str) -> Cow<'_, str> {
    match json.contains(['\n', '\r']) {
        true => json.replace(['\n', '\r'], " ").into(),
        false => json.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_out_as_it_was_published() {
        for (data, expected) in [
            (r#""data":"ciao \u00e8""#, "ciao è".as_bytes()),
            (r#""data":{"a": 1}"#, br#"{"a": 1}"#),
            (r#""data":"/wA=","encoding":"base64""#, b"\xff\x00"),
            (r#""data":7"#, b"7"),
        ] {
            let text = format!(r#"{{"channel":"/a","id":"e-1",{data}}}"#);
            let envelope = Envelope::parse(&text).unwrap();
            assert_eq!(envelope.data().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_gap_has_no_id() {
        let gap = Envelope::parse(r#"{"channel":"/a","missed":null}"#).unwrap();
        assert!(gap.id.is_none() && gap.missed.is_none());
        assert_eq!(Envelope::parse(r#"{"channel":"/a","missed":3}"#).unwrap().missed, Some(3));
    }

    #[test]
    fn what_is_no_envelope_is_told() {
        assert!(Envelope::parse("hello").unwrap_err().contains("hello"));
        let broken = Envelope::parse(r#"{"channel":"/a","id":"e-1","data":"?","encoding":"base64"}"#).unwrap();
        assert!(broken.data().is_err());
    }

    #[test]
    fn an_answer_tells_what_was_taken() {
        assert_eq!(taken(br#"{"messages":[{"id":"e-1","subscribers":0},null]}"#), Some(vec![true, false]));
        assert_eq!(taken(br#"{"error":"full"}"#), None);
    }

    #[test]
    fn an_envelope_fits_a_line() {
        assert_eq!(on_one_line("{\"data\":\r\n1}"), "{\"data\":  1}");
    }
}
