//! From bytes to a request: where its head ends, and what the head says.
//!
//! Owns the refusals of RFC 9112 sections 2, 3, 5 and 6 (lines, target, fields, framing). httparse splits the head
//! into words; what makes two readers disagree about a request is judged here.
//! Never copies: a [`Request`] borrows from the head it was parsed from.
//!
//! Invariant: how a head was cut never shows. Of several faults [`find_head`] tells the one that stands first, and
//! [`parse`] sees whole heads only.

use super::{Limits, Method, Version};
use crate::base::error::Reject;
use memchr::{memchr, memchr_iter, memchr3, memrchr};
use std::mem::MaybeUninit;

/// No operator can ask for more headers than this.
pub const HEADERS_MAX: usize = 256;

/// Room for the views of [`parse`]. Nothing is written there before a header is: most requests have few.
pub type Room<'b> = [MaybeUninit<httparse::Header<'b>>; HEADERS_MAX];

/// Such room, for one request.
pub const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none: the next request follows the head. A length of zero is this.
    None,
    /// After so many bytes, at least one.
    Sized(u64),
    /// Where [`Chunked`](super::body::Chunked) says.
    Chunked,
}

/// What a head says. A view: its texts are the peer's, checked for form but not for sense.
#[derive(Debug)]
pub struct Request<'h, 'b> {
    /// What is to be done.
    pub method: Method,
    /// What the peer speaks.
    pub version: Version,
    /// Still percent-encoded. Begins with `/`, or is `*` in `OPTIONS *`.
    pub path: &'b str,
    /// What follows the first `?`, still percent-encoded; may be empty.
    pub query: &'b str,
    /// Whether the peer wants another request on this connection.
    pub keep_alive: bool,
    /// Where the body ends.
    pub body: Body,
    /// Whether the peer holds its body back until it is told to go on.
    pub expect_continue: bool,
    host: Option<&'b str>,
    headers: &'h [httparse::Header<'b>],
}

impl<'b> Request<'_, 'b> {
    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// The values of all headers of this name, in order.
    pub fn headers(&self, name: &str) -> impl DoubleEndedIterator<Item = &'b [u8]> {
        self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// Whether the comma-separated lists of the headers called `name` have `token` in them, in whatever case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.headers(name).flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
        tokens.any(|candidate| candidate.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Host and port that the peer believes to speak to: from an absolute target, else from `Host`.
    pub fn host(&self) -> Option<&'b str> {
        self.host
    }
}

/// Looks for the end of a head. `bytes` begin where the head begins; `scanned` starts at 0 and is then this
/// function's own note of how far it looked, so that a head which comes a byte at a time costs linear work.
///
/// `Ok(Some(len))`: the head is `bytes[..len]`, and `scanned` is 0 again for the next one. `Ok(None)`: not yet.
/// One or two blank lines before the request line are skipped (RFC 9112 section 2.2) and count into `len`.
pub fn find_head(bytes: &[u8], scanned: &mut usize, limits: &Limits) -> Result<Option<usize>, Reject> {
    let within = &bytes[..bytes.len().min(limits.head_bytes)];
    match scan_lines(within, scanned, limits)? {
        None if bytes.len() > limits.head_bytes => {
            let detail = format!("the head is longer than {} bytes (head_bytes_max)", limits.head_bytes);
            Err(Reject::new(431, "head_too_long", detail))
        }
        found => Ok(found),
    }
}

/// Goes from line end to line end. Each stretch of bytes is looked at once forward, and the last of an earlier call once
/// back; lines of earlier calls are counted again only when another one ends, which the bound on their number bounds too.
fn scan_lines(bytes: &[u8], scanned: &mut usize, limits: &Limits) -> Result<Option<usize>, Reject> {
    let first_line = skip_blank_lines(bytes);
    let first_line_bound = first_line.saturating_add(limits.line_bytes);
    let mut at = (*scanned).min(bytes.len());
    // Where the line begins in which `at` stands.
    let mut next_line = memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
    let mut lines_before = None;
    loop {
        let line = next_line;
        if at == line && matches!(bytes.get(at), Some(b' ' | b'\t')) {
            return Err(bad_head("a line begins with a space or a tab: folded lines are not taken"));
        }
        let stop = memchr3(b'\r', b'\n', 0, &bytes[at..]).map_or(bytes.len(), |offset| at + offset);
        // Only the one stretch that reaches over the bound can show the line too long, so lines are looked for once.
        if (at..stop).contains(&first_line_bound) && memchr(b'\n', &bytes[first_line..at]).is_none() {
            let detail = format!("the request line is longer than {} bytes (line_bytes_max)", limits.line_bytes);
            return Err(Reject::new(414, "uri_too_long", detail));
        }
        if !line_ends(bytes, stop)? {
            *scanned = stop;
            return Ok(None);
        }
        at = stop + 2;
        next_line = at;
        if line < first_line {
            continue;
        }
        if line == stop && line == first_line {
            return Err(bad_line("the request line is empty"));
        }
        if line == stop {
            *scanned = 0;
            return Ok(Some(at));
        }
        let lines = lines_before.get_or_insert_with(|| memchr_iter(b'\n', &bytes[first_line..line]).count());
        if *lines > limits.headers {
            return Err(too_many_headers(limits.headers));
        }
        *lines += 1;
    }
}

/// Where the request line begins.
fn skip_blank_lines(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', b'\r', b'\n', ..] => 4,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    }
}

/// Whether a line ends at `stop`, which is the end of `bytes` or a byte that stands in a head as part of a line end only.
fn line_ends(bytes: &[u8], stop: usize) -> Result<bool, Reject> {
    match (bytes.get(stop), bytes.get(stop + 1)) {
        (None, _) | (Some(b'\r'), None) => Ok(false),
        (Some(b'\r'), Some(b'\n')) => Ok(true),
        (Some(b'\r'), Some(_)) => Err(bad_head("a carriage return stands without its line feed")),
        (Some(b'\n'), _) => Err(bad_head("a line ends without a carriage return")),
        (Some(_), _) => Err(bad_head("a NUL byte stands in the head")),
    }
}

/// Reads a whole head, as [`find_head`] found it.
pub fn parse<'b, 'h>(head: &'b [u8], limits: &Limits, room: &'h mut Room<'b>) -> Result<Request<'h, 'b>, Reject> {
    let count = limits.headers.min(HEADERS_MAX);
    let mut words = httparse::Request::new(&mut []);
    let status = words.parse_with_uninit_headers(head, &mut room[..count]).map_err(|error| malformed(error, head, count))?;
    let (httparse::Status::Complete(_), Some(method), Some(target), Some(minor)) =
        (status, words.method, words.path, words.version)
    else {
        return Err(bad_head("the head is not whole"));
    };
    let headers: &'h [httparse::Header<'b>] = words.headers;

    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let method = Method::parse(method)
        .ok_or_else(|| Reject::new(501, "unknown_method", "the method is none of GET, HEAD, POST, PUT, DELETE, OPTIONS"))?;
    let target = Target::parse(target, method)?;
    let known = Known::collect(headers)?;
    let host = known.host(version)?;
    let body = known.body(version, limits.body_bytes)?;
    let expects = known.expects_continue(version)?;
    Ok(Request {
        method,
        version,
        path: target.path,
        query: target.query,
        keep_alive: known.keep_alive(version),
        body,
        expect_continue: expects && body != Body::None,
        host: target.authority.or(host),
        headers,
    })
}

/// Says what httparse stumbled on.
fn malformed(error: httparse::Error, head: &[u8], room: usize) -> Reject {
    match error {
        httparse::Error::Token => {
            bad_line("the request line is not a method, a target and a version with one space between them")
        }
        httparse::Error::Version if names_version(head) => {
            Reject::new(505, "unknown_version", "the version is neither HTTP/1.0 nor HTTP/1.1")
        }
        httparse::Error::Version | httparse::Error::NewLine | httparse::Error::Status => {
            bad_line("the request line does not end with a version such as HTTP/1.1")
        }
        httparse::Error::HeaderName => bad_head("a header's name is not a token that its colon follows at once"),
        httparse::Error::HeaderValue => bad_head("a header's value has a control byte in it"),
        httparse::Error::TooManyHeaders => too_many_headers(room),
    }
}

/// Whether the request line's third word claims to be some version of HTTP.
fn names_version(head: &[u8]) -> bool {
    let mut words = head[skip_blank_lines(head)..].splitn(3, |&byte| byte == b' ');
    words.nth(2).is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// The request line's target, taken apart.
struct Target<'b> {
    authority: Option<&'b str>,
    path: &'b str,
    query: &'b str,
}

impl<'b> Target<'b> {
    /// ```text
    /// request-target = origin-form / absolute-form / authority-form / asterisk-form
    /// origin-form    = absolute-path [ "?" query ]
    /// absolute-form  = absolute-URI
    /// ```
    /// authority-form is for CONNECT alone, which is not a method here.
    fn parse(target: &'b str, method: Method) -> Result<Target<'b>, Reject> {
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(bad_target("the target has a byte in it that must be percent-encoded, or a fragment"));
        }
        if target == "*" && method == Method::Options {
            return Ok(Target { authority: None, path: target, query: "" });
        }
        let (authority, rest) = match split_absolute(target) {
            Some((authority, rest)) => (Some(authority), rest),
            None => (None, target),
        };
        if authority.is_some_and(|text| text.is_empty() || text.starts_with(':') || !is_authority(text.as_bytes())) {
            return Err(bad_target("the target's authority is not a host with or without a port"));
        }
        let (path, query) = match memchr(b'?', rest.as_bytes()) {
            Some(mark) => (&rest[..mark], &rest[mark + 1..]),
            None => (rest, ""),
        };
        match path {
            "" if authority.is_some() => Ok(Target { authority, path: "/", query }),
            _ if path.starts_with('/') => Ok(Target { authority, path, query }),
            _ => Err(bad_target("the target is neither a path that begins with a slash nor an http or https URL")),
        }
    }
}

/// Cuts `http://authority` off its path and query; `None` for all that is not of this form.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    // As almost every target does: then there is nothing to look for.
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// Whether all bytes may stand in `uri-host [ ":" port ]`. User names may not: they are a phisher's tool
/// (RFC 9110 section 4.2.4).
fn is_authority(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

/// The headers that decide how a connection goes on. Collected in one pass, judged afterwards.
#[derive(Default)]
struct Known<'b> {
    host: Option<&'b [u8]>,
    content_length: Option<&'b [u8]>,
    transfer_encoding: Option<&'b [u8]>,
    connection_close: bool,
    connection_keep_alive: bool,
    expect_continue: bool,
    expect_other: bool,
}

impl<'b> Known<'b> {
    fn collect(headers: &[httparse::Header<'b>]) -> Result<Known<'b>, Reject> {
        let mut known = Known::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("host") {
                once(&mut known.host, header.value, || bad_host("there is more than one Host header"))?;
            } else if is("content-length") {
                let twice = || bad_length("there is more than one Content-Length header");
                once(&mut known.content_length, header.value, twice)?;
            } else if is("transfer-encoding") {
                let twice = || bad_coding("there is more than one Transfer-Encoding header");
                once(&mut known.transfer_encoding, header.value, twice)?;
            } else if is("connection") {
                known.note_connection(header.value);
            } else if is("expect") {
                let other = !header.value.eq_ignore_ascii_case(b"100-continue");
                known.expect_other |= other;
                known.expect_continue |= !other;
            }
        }
        Ok(known)
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.connection_close |= option.eq_ignore_ascii_case(b"close");
            self.connection_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// HTTP/1.1 must name the host, be it by an empty value (RFC 9112 section 3.2).
    fn host(&self, version: Version) -> Result<Option<&'b str>, Reject> {
        match self.host {
            None if version == Version::Http10 => Ok(None),
            None => Err(bad_host("an HTTP/1.1 request needs a Host header")),
            Some(value) if !is_authority(value) => Err(bad_host("the Host header is not a host with or without a port")),
            Some(value) => Ok(std::str::from_utf8(value).ok()),
        }
    }

    /// RFC 9112 section 6.3, without its repairs: what could be framed in two ways is refused.
    fn body(&self, version: Version, body_bytes: u64) -> Result<Body, Reject> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(Body::None),
            (None, Some(length)) => sized(length, body_bytes),
            (Some(_), Some(_)) => Err(bad_length("there are both a Content-Length and a Transfer-Encoding header")),
            (Some(_), None) if version == Version::Http10 => Err(bad_coding("HTTP/1.0 has no Transfer-Encoding")),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunked),
            (Some(_), None) => Err(Reject::new(501, "unknown_coding", "the Transfer-Encoding is not chunked alone")),
        }
    }

    fn expects_continue(&self, version: Version) -> Result<bool, Reject> {
        match version {
            Version::Http10 => Ok(false),
            Version::Http11 if self.expect_other => {
                Err(Reject::new(417, "unknown_expectation", "the only expectation that can be met is 100-continue"))
            }
            Version::Http11 => Ok(self.expect_continue),
        }
    }

    fn keep_alive(&self, version: Version) -> bool {
        match version {
            Version::Http10 => self.connection_keep_alive && !self.connection_close,
            Version::Http11 => !self.connection_close,
        }
    }
}

fn once<'b>(place: &mut Option<&'b [u8]>, value: &'b [u8], twice: impl Fn() -> Reject) -> Result<(), Reject> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice()),
    }
}

/// `Content-Length = 1*DIGIT`: no sign, no list, and it fits 64 bits.
fn sized(length: &[u8], body_bytes: u64) -> Result<Body, Reject> {
    match decimal(length) {
        None => Err(bad_length("the Content-Length is not one decimal number below 2 to the 64th")),
        Some(0) => Ok(Body::None),
        Some(length) if length > body_bytes => Err(body_too_long(body_bytes)),
        Some(length) => Ok(Body::Sized(length)),
    }
}

/// One or more digits and nothing else; `None` also for what does not fit.
fn decimal(text: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let (first, rest) = text.split_first()?;
    rest.iter().try_fold(digit(first)?, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?))
}

/// The refusal of a body over its bound, announced or counted.
pub(super) fn body_too_long(body_bytes: u64) -> Reject {
    Reject::new(413, "body_too_long", format!("the body is longer than {body_bytes} bytes (body_bytes_max)"))
}

fn too_many_headers(headers: usize) -> Reject {
    Reject::new(431, "too_many_headers", format!("the head has more than {headers} header lines (headers_max)"))
}

fn bad_line(detail: &'static str) -> Reject {
    Reject::new(400, "bad_request_line", detail)
}

fn bad_target(detail: &'static str) -> Reject {
    Reject::new(400, "bad_target", detail)
}

fn bad_head(detail: &'static str) -> Reject {
    Reject::new(400, "bad_head", detail)
}

fn bad_host(detail: &'static str) -> Reject {
    Reject::new(400, "bad_host", detail)
}

fn bad_length(detail: &'static str) -> Reject {
    Reject::new(400, "bad_length", detail)
}

fn bad_coding(detail: &'static str) -> Reject {
    Reject::new(400, "bad_coding", detail)
}
