//! Bytes to requests and responses to bytes: HTTP/1.0 and HTTP/1.1 from a server's side (RFC 9110, RFC 9112).
//!
//! Owns the grammar: where a head ends, what a request says, where its body ends, how an answer is written.
//! Never does I/O, never keeps a byte of what it was lent, never knows what a request is for.
//!
//! Invariants:
//! - What is ambiguous is refused, never repaired: two readers of the same bytes must see the same requests.
//! - Everything a peer can make long has a bound in [`Limits`] or a constant beside its use, and the refusal names it.
//! - How the bytes were cut into pieces changes neither a request nor a refusal.

pub mod body;
pub mod query;
pub mod request;
pub mod response;
mod sharing;

pub use body::Chunked;
pub use request::{Body, Request};
pub use sharing::Sharing;

#[cfg(test)]
mod tests;

/// How much of a request is taken. The options of the same names with `_max` say so to the operator.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the request line, without its line end.
    pub line_bytes: usize,
    /// Of the whole head, with the blank line that ends it.
    pub head_bytes: usize,
    /// How many header lines.
    pub headers: usize,
    /// Of a body, once its chunks are put together.
    pub body_bytes: u64,
}

/// The methods that some resource here takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
}

impl Method {
    /// Reads a method's name; names are case-sensitive.
    fn parse(name: &str) -> Option<Method> {
        match name {
            "GET" => Some(Method::Get),
            "HEAD" => Some(Method::Head),
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "DELETE" => Some(Method::Delete),
            "OPTIONS" => Some(Method::Options),
            _ => None,
        }
    }

    /// The name as it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }
}

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    Http11,
}
