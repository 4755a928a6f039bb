//! What a client asks for beside its transport: the rare things, which do not fit the bits of a variant.
//!
//! Looks are compared and shared by whoever holds them, so that frames are shared by all clients of one look.

use super::script;
use crate::base::error::Reject;

/// The most that an event may be padded to: what lies beyond costs more than a long-poll's round trip.
const PADDING_MAX: u32 = 64 << 10;
/// The longest separator, in bytes.
const SEPARATOR_BYTES_MAX: usize = 16;
/// How often a page may ask to be shown anew, in seconds.
const REFRESH_MAX: u32 = 3_600;

/// How one event is told from the next in a `stream`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Separator {
    /// A line feed behind each.
    #[default]
    Line,
    /// Its length in bytes, as decimal digits and a line feed, before each.
    Length,
    /// This text behind each.
    Text(String),
}

/// What a client asks for beside its transport. The default is what almost all ask for: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look {
    /// Each event is filled up to so many bytes, or in a stream of lines followed by so many, for buffers on the way
    /// that let go of full loads only.
    pub(crate) padding: u32,
    /// Bytes ahead of everything; `None` for what the transport thinks right.
    pub(crate) preamble: Option<u32>,
    /// `jsonp`, `iframe`: the function to call.
    pub(crate) callback: String,
    /// `iframe`: whom to post messages to; empty for the page's own origin.
    pub(crate) target: String,
    /// `iframe`: the value for `document.domain`.
    pub(crate) domain: String,
    /// `stream`.
    pub(crate) separator: Separator,
    /// `pull`: seconds between two showings; 0 for the default.
    pub(crate) refresh: u32,
    /// `gif`: size and colours.
    pub(crate) gif: Option<super::gif::Look>,
    /// `websocket`: whether and how messages are compressed.
    pub(crate) deflate: Option<super::websocket::Deflate>,
    /// Which of the configured origins asked, counted from 1; 0 where it makes no difference.
    pub(crate) origin: u16,
}

impl Look {
    /// Whether it is drawn, which costs more than framing does.
    pub(crate) fn is_picture(&self) -> bool {
        self.gif.is_some()
    }

    /// Takes one parameter of a query; `false` if it is none of a look's.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, Reject> {
        match name {
            "padding" => self.padding = number(name, value, 0, PADDING_MAX)?,
            "preamble" => self.preamble = Some(number(name, value, 0, PADDING_MAX)?),
            "refresh" => self.refresh = number(name, value, 1, REFRESH_MAX)?,
            "callback" => {
                script::callback(value)?;
                value.clone_into(&mut self.callback);
            }
            "target" => {
                script::origin(value)?;
                value.clone_into(&mut self.target);
            }
            "domain" => {
                script::domain(value)?;
                value.clone_into(&mut self.domain);
            }
            "separator" => self.separator = Separator::parse(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Separator {
    fn parse(value: &str) -> Result<Separator, Reject> {
        match value {
            "line" => Ok(Separator::Line),
            "length" => Ok(Separator::Length),
            _ if (1..=SEPARATOR_BYTES_MAX).contains(&value.len()) => Ok(Separator::Text(value.to_owned())),
            _ => Err(bad("separator is line, length, or a text of at most 16 bytes".into())),
        }
    }
}

fn number(name: &str, value: &str, low: u32, high: u32) -> Result<u32, Reject> {
    let number = value.parse().ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| bad(format!("{name} is a number from {low} to {high}, and not {value:?}")))
}

fn bad(detail: String) -> Reject {
    Reject::new(400, "bad_query", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_within_their_bounds() {
        let mut look = Look::default();
        assert_eq!(look.set("padding", "4096"), Ok(true));
        assert_eq!(look.set("separator", "|"), Ok(true));
        assert_eq!(look.set("utm_source", "x"), Ok(false));
        assert_eq!((look.padding, look.separator.clone()), (4096, Separator::Text("|".into())));
        for (name, value) in [
            ("padding", "65537"),
            ("padding", "-1"),
            ("preamble", "1e3"),
            ("refresh", "0"),
            ("callback", "a b"),
            ("target", "x"),
            ("domain", "\""),
            ("separator", ""),
            ("separator", "12345678901234567"),
        ] {
            assert_eq!(look.set(name, value).unwrap_err().status, 400, "{name}={value}");
        }
    }
}
