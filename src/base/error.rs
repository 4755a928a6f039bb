//! The three sorts of failure, kept apart: the peer's becomes an answer, the operator's stops the start,
//! the caller's is a code.

use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// What a peer did wrong, as the answer it will get: a status, a stable code and one sentence.
///
/// On the wire: `{"error":"code","detail":"sentence"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: Cow<'static, str>,
    /// Methods for an `Allow` header; set with 405 only.
    pub allow: Option<&'static str>,
    /// The protocol for an `Upgrade` header; set with 426 only.
    pub upgrade: Option<&'static str>,
    /// Seconds for a `Retry-After` header; a 503 that knows nothing better says some, spread.
    pub retry_after: Option<u64>,
}

/// A refusal on the wire.
#[derive(Serialize)]
struct Wire<'a> {
    error: &'a str,
    detail: &'a str,
}

impl Reject {
    /// A refusal with `status`, for programs `code`, for people `detail`.
    pub fn new(status: u16, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Reject {
        Reject { status, code, detail: detail.into(), allow: None, upgrade: None, retry_after: None }
    }

    /// 426, naming the protocol that must be asked for.
    pub fn upgrade(protocol: &'static str, code: &'static str, detail: &'static str) -> Reject {
        Reject { upgrade: Some(protocol), ..Reject::new(426, code, detail) }
    }

    /// The same, saying in how many seconds to come back.
    pub fn retry_after(self, seconds: u64) -> Reject {
        Reject { retry_after: Some(seconds), ..self }
    }

    /// As it goes over the wire.
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(&Wire { error: self.code, detail: &self.detail }).expect("two strings make JSON")
    }

    /// 405, naming the methods that would have been taken.
    pub fn method(allow: &'static str) -> Reject {
        let detail = format!("this resource takes {allow}");
        Reject { allow: Some(allow), ..Reject::new(405, "method_not_allowed", detail) }
    }
}

/// What went wrong for whoever starts a server or publishes in-process.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An option's value is out of its bounds; the text names option, value and bound.
    Config(String),
    /// The system refused something; the text says what was tried.
    Io(String, std::io::Error),
    /// The mailbox is full: nothing was taken, try again shortly.
    Full,
    /// The server has stopped.
    Closed,
    /// What was waited for did not happen in time.
    TimedOut,
    /// The connection to a server elsewhere broke; the text says what may not have arrived.
    Lost(String),
    /// A channel name, event name or content type is not acceptable; the text says why.
    Invalid(String),
}

impl Error {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Config(_) => "config",
            Error::Io(..) => "io",
            Error::Full => "full",
            Error::Closed => "closed",
            Error::TimedOut => "timed_out",
            Error::Lost(_) => "lost",
            Error::Invalid(_) => "invalid",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config(text) | Error::Invalid(text) | Error::Lost(text) => f.write_str(text),
            Error::Io(what, error) => write!(f, "{what}: {error}"),
            Error::Full => f.write_str("the mailbox is full, try again"),
            Error::TimedOut => f.write_str("it did not happen in time"),
            Error::Closed => f.write_str("the server has stopped"),
        }
    }
}

impl std::error::Error for Error {}
