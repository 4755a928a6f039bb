//! Answers, written to the end of a vector: status line, fields, chunks, and the one form of a refusal.
//!
//! Never decides what to answer. Order is the caller's: [`start`], any [`field`]s, [`end`], then the body.
//!
//! Invariant: no value that came from elsewhere can end its line and so begin another field or another answer.

use super::Sharing;
use crate::base::error::Reject;
use memchr::memchr3;

/// What ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The status line of almost all answers.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// What a peer that holds its body back is waiting for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A chunk's size line before the size is known.
const CHUNK_OPENING: &[u8] = b"00000000\r\n";
const CHUNK_SIZE_DIGITS: usize = 8;

/// Writes the status line. It says HTTP/1.1 to whichever version asked (RFC 9112 section 2.3).
pub fn start(out: &mut Vec<u8>, status: u16) {
    debug_assert!((100..1000).contains(&status), "a status has three digits");
    if status == 200 {
        return out.extend_from_slice(OK);
    }
    let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a status is called; people read it, programs must not.
fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        202 => "Accepted",
        303 => "See Other",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// Writes one field. `value` must be one line without a NUL.
pub fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    debug_assert!(!value.bytes().any(breaks_line), "the value of {name} is one line");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    match memchr3(b'\r', b'\n', 0, value.as_bytes()) {
        None => out.extend_from_slice(value.as_bytes()),
        Some(_) => out.extend(value.bytes().map(one_line)),
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes fields that stand in our own source, one or some with a line end between them, without a look at what they are.
pub fn fixed(out: &mut Vec<u8>, lines: &'static str) {
    debug_assert!(lines.split("\r\n").all(|line| line.contains(": ") && !line.bytes().any(breaks_line)), "{lines} are fields");
    out.extend_from_slice(lines.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes the date, which is our own.
pub fn date(out: &mut Vec<u8>, date: &str) {
    debug_assert!(!date.bytes().any(breaks_line), "{date} is one line");
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(date.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes one field whose value is a number.
pub fn number(out: &mut Vec<u8>, name: &'static str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    decimal(out, value);
    out.extend_from_slice(b"\r\n");
}

/// How many digits [`decimal`] writes.
pub fn digits(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Writes a number as people do.
pub fn decimal(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn breaks_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

/// RFC 9110 section 5.5: whoever meets CR, LF or NUL in a value refuses it or puts a space in its place.
fn one_line(byte: u8) -> u8 {
    if breaks_line(byte) { b' ' } else { byte }
}

/// Writes the blank line after the last field.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Begins a chunk of a length not yet known; what it returns is for [`chunk_close`].
pub fn chunk_open(out: &mut Vec<u8>) -> usize {
    let mark = out.len();
    out.extend_from_slice(CHUNK_OPENING);
    mark
}

/// Ends the chunk that begins at `mark`. If nothing was written, there is no chunk: an empty one would end the body.
pub fn chunk_close(out: &mut Vec<u8>, mark: usize) {
    match out.len() - (mark + CHUNK_OPENING.len()) {
        0 => out.truncate(mark),
        length => {
            write_chunk_size(out, mark, length);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Puts the size where the zeros are. A chunk beyond 4 GiB has more digits than there are zeros, and moves up.
fn write_chunk_size(out: &mut Vec<u8>, mark: usize, length: usize) {
    let zeros = mark..mark + CHUNK_SIZE_DIGITS;
    if length >> (4 * CHUNK_SIZE_DIGITS) > 0 {
        out.splice(zeros, format!("{length:x}").into_bytes());
        return;
    }
    let mut left = length;
    for digit in out[zeros].iter_mut().rev() {
        *digit = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
}

/// Writes the whole answer to what is refused. `head_only` leaves the body out, as HEAD wants it; `close` announces
/// that no further request will be read. `sharing` says which pages may read it, and so learn why.
pub fn refusal(out: &mut Vec<u8>, reject: &Reject, date: &str, sharing: Sharing<'_>, head_only: bool, close: bool) {
    let body = reject.json();
    start(out, reject.status);
    self::date(out, date);
    fixed(out, "Content-Type: application/json");
    number(out, "Content-Length", body.len() as u64);
    fixed(out, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff");
    sharing.write_origin(out);
    if reject.status == 401 {
        // RFC 9110 section 15.5.2, RFC 6750 section 3.1.
        field(out, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
    }
    if let Some(methods) = reject.allow {
        field(out, "Allow", methods);
    }
    if let Some(protocol) = reject.upgrade {
        // RFC 9110 section 15.5.22.
        field(out, "Upgrade", protocol);
        field(out, "Connection", "Upgrade");
        if protocol == "websocket" {
            // There is one version (RFC 6455 section 4.4).
            field(out, "Sec-WebSocket-Version", "13");
        }
    }
    if let Some(seconds) = reject.retry_after.or((reject.status == 503).then_some(1)) {
        field(out, "Retry-After", &seconds.to_string());
    }
    if close {
        field(out, "Connection", "close");
    }
    end(out);
    if !head_only {
        out.extend_from_slice(&body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before|".to_vec();
        write(&mut out);
        String::from_utf8(out).unwrap().strip_prefix("before|").expect("what was there stays").to_string()
    }

    #[test]
    fn an_answer_is_written_in_order() {
        let answer = written(|out| {
            start(out, 200);
            field(out, "Content-Type", "text/event-stream");
            field(out, "X-Empty", "");
            date(out, DATE);
            fixed(out, "One: 1\r\nTwo: 2");
            end(out);
        });
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Empty: \r\n";
        assert_eq!(answer, format!("{expected}Date: {DATE}\r\nOne: 1\r\nTwo: 2\r\n\r\n"));
    }

    #[test]
    fn a_status_without_a_name_keeps_the_space_before_it() {
        assert_eq!(written(|out| start(out, 299)), "HTTP/1.1 299 \r\n");
    }

    #[test]
    fn no_byte_of_a_value_ends_its_line() {
        let value: Vec<u8> = b"a\r\nSet-Cookie: b\0".iter().map(|&byte| one_line(byte)).collect();
        assert_eq!(value, b"a  Set-Cookie: b ");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "the value of Location is one line")]
    fn a_value_of_two_lines_is_a_fault_of_ours() {
        field(&mut Vec::new(), "Location", "/\r\nSet-Cookie: a=b");
    }

    #[test]
    fn a_chunk_knows_its_size_when_it_is_closed() {
        for (data, chunk) in [
            ("", String::new()),
            ("x", "00000001\r\nx\r\n".to_string()),
            (&"y".repeat(0xabc), format!("00000abc\r\n{}\r\n", "y".repeat(0xabc))),
        ] {
            let bytes = written(|out| {
                let mark = chunk_open(out);
                out.extend_from_slice(data.as_bytes());
                chunk_close(out, mark);
            });
            assert_eq!(bytes, chunk);
        }
    }

    #[test]
    fn a_size_takes_the_digits_it_needs() {
        for (length, line) in [(0xffff_ffff, "ffffffff\r\n"), (0x1_0000_0000, "100000000\r\n")] {
            let bytes = written(|out| {
                let mark = chunk_open(out);
                write_chunk_size(out, mark, length);
            });
            assert_eq!(bytes, line);
        }
    }

    #[test]
    fn what_is_written_in_chunks_reads_back() {
        let mut out = Vec::new();
        for data in ["one", "", "two"] {
            let mark = chunk_open(&mut out);
            out.extend_from_slice(data.as_bytes());
            chunk_close(&mut out, mark);
        }
        out.extend_from_slice(LAST_CHUNK);
        let mut data = Vec::new();
        let read = super::super::body::Chunked::default().decode(&out, &mut data, 100);
        assert_eq!(read, Ok((out.len(), true)));
        assert_eq!(data, b"onetwo");
    }

    #[test]
    fn a_refusal_says_why_in_json() {
        let reject = Reject::new(400, "bad_target", "a \"quoted\" word");
        let body = r#"{"error":"bad_target","detail":"a \"quoted\" word"}"#;
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\nDate: {DATE}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: *\r\n",
            body.len()
        );
        assert_eq!(written(|out| refusal(out, &reject, DATE, Sharing::All, false, false)), format!("{head}\r\n{body}"));
        assert_eq!(
            written(|out| refusal(out, &reject, DATE, Sharing::All, true, true)),
            format!("{head}Connection: close\r\n\r\n")
        );
    }

    #[test]
    fn a_refusal_says_what_would_have_been_taken_and_when() {
        let answer = written(|out| refusal(out, &Reject::method("GET, HEAD"), DATE, Sharing::All, false, false));
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
        assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
        assert!(!answer.contains("Retry-After"), "{answer}");

        let answer =
            written(|out| refusal(out, &Reject::new(503, "draining", "the server is stopping"), DATE, Sharing::All, false, true));
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");

        let answer = written(|out| refusal(out, &Reject::new(401, "bad_token", "who?"), DATE, Sharing::All, false, false));
        assert!(answer.contains("\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\n"), "{answer}");

        let answer = written(|out| {
            refusal(out, &Reject::upgrade("websocket", "unknown_version", "only 13"), DATE, Sharing::All, false, false)
        });
        let fields = "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
        assert!(answer.contains(fields), "{answer}");
    }
}
