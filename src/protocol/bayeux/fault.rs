//! What is wrong with one message, as the `error` of its reply: `NNN:args:text`.
//!
//! ```text
//! 300 version    301 connection types    400 what was sent    401 no client id, no good token    402 unknown client
//! 403 may not    404 no such channel     409 overtaken        429 too fast    503 no room
//! ```

use std::borrow::Cow;
use std::fmt;

/// The longest argument that is given back.
const ARGUMENT_BYTES_MAX: usize = 64;

/// Why a message was not successful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    argument: Box<str>,
    text: Cow<'static, str>,
}

impl Fault {
    /// A fault that speaks of nothing in particular.
    pub(crate) fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Fault {
        Fault { code, argument: "".into(), text: text.into() }
    }

    /// The same, about a channel, a client or whatever else the peer named. What could not be told from the error's own
    /// signs, or is long, is left out.
    pub(crate) fn about(code: u16, argument: &str, text: impl Into<Cow<'static, str>>) -> Fault {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b',' | b'"' | b'\\');
        let tells = argument.len() <= ARGUMENT_BYTES_MAX && argument.bytes().all(plain);
        Fault { argument: if tells { argument.into() } else { "".into() }, ..Fault::new(code, text) }
    }

    /// What it says to people.
    pub(crate) fn text(&self) -> &Cow<'static, str> {
        &self.text
    }

    /// The channel that it is about, if it says so.
    pub(crate) fn channel(&self) -> Option<&str> {
        self.argument.starts_with('/').then_some(&*self.argument)
    }

    /// There is no such session, any more or ever.
    pub(crate) fn unknown_client(client: &str) -> Fault {
        Fault::about(402, client, "Unknown client")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}:{}:{}", self.code, self.argument, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_three_parts_whatever_it_is_about() {
        for (argument, told) in [
            ("/foo/bar", "403:/foo/bar:no"),
            ("/foo/*", "403:/foo/*:no"),
            ("", "403::no"),
            ("/a:b", "403::no"),
            ("/a,b", "403::no"),
            ("/a\"b", "403::no"),
            ("/a b", "403::no"),
            ("/é", "403::no"),
            (&"x".repeat(65), "403::no"),
        ] {
            assert_eq!(Fault::about(403, argument, "no").to_string(), told);
        }
    }
}
