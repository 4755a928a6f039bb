//! Heads as peers send them, and what becomes of them: every rule of a refusal, every form that is taken.
//!
//! Each head goes in whole, byte by byte, and cut in two at every place; the outcome must be the same.

use super::request::{Body, Request, find_head, parse, room};
use super::{Limits, Method, Version};
use crate::base::error::Reject;
use crate::base::random::{Random, Seed};

const LIMITS: Limits = Limits { line_bytes: 64, head_bytes: 512, headers: 8, body_bytes: 1000 };

/// What a head said, without its borrows.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    length: usize,
    method: Method,
    version: Version,
    path: String,
    query: String,
    host: Option<String>,
    keep_alive: bool,
    body: Body,
    expect_continue: bool,
}

impl Said {
    fn new(length: usize, request: &Request<'_, '_>) -> Said {
        Said {
            length,
            method: request.method,
            version: request.version,
            path: request.path.to_string(),
            query: request.query.to_string(),
            host: request.host().map(str::to_string),
            keep_alive: request.keep_alive,
            body: request.body,
            expect_continue: request.expect_continue,
        }
    }
}

/// Shows the bytes as they would have come, by growing prefixes of these lengths. `None`: no head yet.
fn read(bytes: &[u8], lengths: impl IntoIterator<Item = usize>) -> Option<Result<Said, Reject>> {
    let mut scanned = 0;
    for length in lengths {
        let found = match find_head(&bytes[..length], &mut scanned, &LIMITS) {
            Ok(None) => {
                assert!(scanned + 1 >= length.min(LIMITS.head_bytes), "what was looked at is not looked at again");
                continue;
            }
            Ok(Some(found)) => found,
            Err(reject) => return Some(Err(reject)),
        };
        assert_eq!(scanned, 0, "ready for the next head");
        let mut room = room();
        return Some(parse(&bytes[..found], &LIMITS, &mut room).map(|request| Said::new(found, &request)));
    }
    None
}

fn read_each_way(bytes: &[u8]) -> Option<Result<Said, Reject>> {
    let whole = read(bytes, [bytes.len()]);
    assert_eq!(read(bytes, 1..=bytes.len()), whole, "byte by byte: {}", bytes.escape_ascii());
    for cut in 0..bytes.len() {
        assert_eq!(read(bytes, [cut, bytes.len()]), whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    whole
}

fn accepted(bytes: &[u8]) -> Said {
    match read_each_way(bytes) {
        Some(Ok(said)) => said,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn refused(bytes: &[u8]) -> Reject {
    match read_each_way(bytes) {
        Some(Err(reject)) => reject,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

/// A request for `/` with these header lines after its `Host`.
fn with(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

/// The same in HTTP/1.0, where a `Host` is not needed.
fn old_with(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.0\r\n{lines}\r\n").into_bytes()
}

/// A request for this target.
fn to(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

#[test]
fn a_plain_request_is_read() {
    let head = b"GET /sub/chat/rome?since=now HTTP/1.1\r\nHost: example.org:8080\r\nAccept: */*\r\n\r\n";
    let said = Said {
        length: head.len(),
        method: Method::Get,
        version: Version::Http11,
        path: "/sub/chat/rome".into(),
        query: "since=now".into(),
        host: Some("example.org:8080".into()),
        keep_alive: true,
        body: Body::None,
        expect_continue: false,
    };
    assert_eq!(accepted(head), said);
    assert_eq!(accepted(&[head, &b"GET / HT"[..]].concat()), said, "what follows is not looked at");
    assert_eq!(accepted(&[b"\r\n", &head[..]].concat()), Said { length: head.len() + 2, ..said.clone() });
    assert_eq!(accepted(&[b"\r\n\r\n", &head[..]].concat()), Said { length: head.len() + 4, ..said });
}

#[test]
fn every_method_has_its_name() {
    for method in [Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete, Method::Options] {
        let head = format!("{} / HTTP/1.1\r\nHost:\r\n\r\n", method.as_str());
        assert_eq!(accepted(head.as_bytes()).method, method);
    }
}

#[test]
fn every_form_of_target_is_taken_apart() {
    for (target, path, query, host) in [
        ("/", "/", "", "a"),
        ("/?", "/", "", "a"),
        ("/a?b?c=/d", "/a", "b?c=/d", "a"),
        ("/a%20b/%E2", "/a%20b/%E2", "", "a"),
        ("//b/c", "//b/c", "", "a"),
        ("/a?u=http://b/", "/a", "u=http://b/", "a"),
        ("/\"<>\\^`{|}", "/\"<>\\^`{|}", "", "a"),
        ("http://b", "/", "", "b"),
        ("http://b?c", "/", "c", "b"),
        ("http://b:80/c?d", "/c", "d", "b:80"),
        ("HTTPS://[::1]:8443/", "/", "", "[::1]:8443"),
    ] {
        let said = accepted(&to(target));
        assert_eq!((&*said.path, &*said.query, said.host.as_deref()), (path, query, Some(host)), "{target}");
    }
    assert_eq!(accepted(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path, "*");
}

#[test]
fn the_connection_stays_when_both_sides_may_think_so() {
    for (head, keep_alive) in [
        (with(""), true),
        (with("Connection: close\r\n"), false),
        (with("connection: Upgrade, CLOSE\r\n"), false),
        (with("Connection: foo\r\nConnection: ,\tclose\t,\r\n"), false),
        (with("Connection: keep-alive, close\r\n"), false),
        (with("Connection: closed\r\n"), true),
        (old_with(""), false),
        (old_with("Connection: Keep-Alive\r\n"), true),
        (old_with("Connection: foo\r\nConnection: keep-alive\r\n"), true),
        (old_with("Connection: keep-alive\r\nConnection: close\r\n"), false),
    ] {
        assert_eq!(accepted(&head).keep_alive, keep_alive, "{}", head.escape_ascii());
    }
}

#[test]
fn the_body_ends_where_its_headers_say() {
    for (head, body) in [
        (with(""), Body::None),
        (with("Content-Length: 0\r\n"), Body::None),
        (with("Content-Length: 1000\r\n"), Body::Sized(1000)),
        (with("content-length:007 \t\r\n"), Body::Sized(7)),
        (old_with("Content-Length: 5\r\n"), Body::Sized(5)),
        (with("Transfer-Encoding: chunked\r\n"), Body::Chunked),
        (with("transfer-encoding: Chunked\r\n"), Body::Chunked),
    ] {
        assert_eq!(accepted(&head).body, body, "{}", head.escape_ascii());
    }
}

#[test]
fn only_who_has_a_body_and_speaks_1_1_is_told_to_go_on() {
    for (head, expect_continue) in [
        (with("Expect: 100-continue\r\nContent-Length: 5\r\n"), true),
        (with("Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n"), true),
        (with("Expect: 100-continue\r\n"), false),
        (with("Content-Length: 5\r\n"), false),
        (old_with("Expect: 100-continue\r\nContent-Length: 5\r\n"), false),
        (old_with("Expect: a-miracle\r\n"), false),
    ] {
        assert_eq!(accepted(&head).expect_continue, expect_continue, "{}", head.escape_ascii());
    }
}

#[test]
fn the_host_may_be_missing_only_where_it_was_not_yet_known() {
    assert_eq!(accepted(b"GET / HTTP/1.0\r\n\r\n").host, None);
    assert_eq!(accepted(b"GET http://b/ HTTP/1.0\r\n\r\n").host.as_deref(), Some("b"));
    assert_eq!(accepted(b"GET / HTTP/1.0\r\nHost: c\r\n\r\n").host.as_deref(), Some("c"));
    assert_eq!(accepted(b"GET / HTTP/1.1\r\nHost:\r\n\r\n").host.as_deref(), Some(""));
}

#[test]
fn a_header_is_found_in_whatever_case_and_the_first_counts() {
    let head = b"GET / HTTP/1.0\r\nX-One: 1\r\nx-one: 2\r\nX-Latin: \xe9\t!\r\n\r\n";
    let mut room = room();
    let request = parse(head, &LIMITS, &mut room).unwrap();
    assert_eq!(request.header("x-ONE"), Some(&b"1"[..]));
    assert_eq!(request.header("x-latin"), Some(&b"\xe9\t!"[..]));
    assert_eq!(request.header("X-On"), None);
}

#[test]
fn lines_must_be_lines() {
    for (head, code) in [
        (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", "bad_head"),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX", "bad_head"),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", "bad_head"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "bad_head"),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_head"),
        (b"\r\n\tGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", "bad_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", "bad_head"),
        (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"),
    ] {
        let reject = refused(head);
        assert_eq!((reject.status, reject.code), (400, code), "{}", head.escape_ascii());
    }
}

#[test]
fn the_request_line_must_be_one() {
    for (line, status, code) in [
        ("GET", 400, "bad_request_line"),
        ("GET /", 400, "bad_request_line"),
        ("GET / ", 400, "bad_request_line"),
        ("GET  / HTTP/1.1", 400, "bad_request_line"),
        ("GET /  HTTP/1.1", 400, "bad_request_line"),
        ("GET / HTTP/1.1 ", 400, "bad_request_line"),
        ("GET\t/ HTTP/1.1", 400, "bad_request_line"),
        ("GET / a HTTP/1.1", 400, "bad_request_line"),
        ("G@T / HTTP/1.1", 400, "bad_request_line"),
        ("GET / http/1.1", 400, "bad_request_line"),
        ("GET / FTP/1.1", 400, "bad_request_line"),
        ("GET / HTTP/1.10", 400, "bad_request_line"),
        ("GET / HTTP/0.9", 505, "unknown_version"),
        ("GET / HTTP/1.2", 505, "unknown_version"),
        ("GET / HTTP/2", 505, "unknown_version"),
        ("PRI * HTTP/2.0", 505, "unknown_version"),
        ("get / HTTP/1.1", 501, "unknown_method"),
        ("PATCH / HTTP/1.1", 501, "unknown_method"),
        ("TRACE / HTTP/1.1", 501, "unknown_method"),
        ("CONNECT a:80 HTTP/1.1", 501, "unknown_method"),
    ] {
        let reject = refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!((reject.status, reject.code), (status, code), "{line:?}");
    }
}

#[test]
fn the_target_must_be_of_a_form_that_is_known() {
    for target in [
        "a",
        "a/b",
        "?a",
        "*",
        "*/",
        "a:80",
        "/#",
        "/a#b",
        "http://b/#c",
        "ftp://b/",
        "http:/b",
        "http://",
        "http:///a",
        "http://:80/",
        "http://u@b/",
        "http://u:p@b/",
        "http://b\\c/",
        "/é",
    ] {
        let reject = refused(&to(target));
        assert_eq!((reject.status, reject.code), (400, "bad_target"), "{target:?}");
    }
    assert_eq!(refused(b"OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n").code, "bad_target");
    assert_eq!(refused(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n").status, 400);
}

#[test]
fn header_lines_must_be_fields() {
    for line in ["X : b", "X\t: b", ": b", "X", "X b: c", "X(: b", "X\u{e9}: b", "X: a\u{1}b", "X: \u{7f}", "X: \u{b}b"] {
        let reject = refused(&with(&format!("{line}\r\n")));
        assert_eq!((reject.status, reject.code), (400, "bad_head"), "{line:?}");
    }
}

/// The splitter looks at many bytes at once; a control byte must not hide at any place among them.
#[test]
fn a_control_byte_is_seen_wherever_it_stands() {
    let controls = (1..b' ').filter(|byte| !b"\t\r\n".contains(byte)).chain([0x7f]);
    for control in controls {
        for before in 0..40 {
            let text = [&vec![b'a'; before][..], &[control], &[b'a'; 40]].concat();
            let value = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", &text[..], b"\r\n\r\n"].concat();
            let target = [b"GET /", &text[..before + 8], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            for head in [value, target] {
                let status = read(&head, [head.len()]).map(|outcome| outcome.map_err(|reject| reject.status));
                assert_eq!(status, Some(Err(400)), "{}", head.escape_ascii());
            }
        }
    }
}

#[test]
fn the_headers_that_frame_must_leave_no_doubt() {
    for (head, status, code) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400, "bad_host"),
        (b"GET http://b/ HTTP/1.1\r\n\r\n".to_vec(), 400, "bad_host"),
        (with("Host: a\r\n"), 400, "bad_host"),
        (old_with("Host: a\r\nhost: a\r\n"), 400, "bad_host"),
        (old_with("Host: a, b\r\n"), 400, "bad_host"),
        (old_with("Host: a/b\r\n"), 400, "bad_host"),
        (old_with("Host: u@a\r\n"), 400, "bad_host"),
        (old_with("Host: \u{e9}\r\n"), 400, "bad_host"),
        (with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400, "bad_length"),
        (with("Content-Length: 5\r\ncontent-length: 6\r\n"), 400, "bad_length"),
        (with("Content-Length: 5, 5\r\n"), 400, "bad_length"),
        (with("Content-Length: 5,\r\n"), 400, "bad_length"),
        (with("Content-Length:\r\n"), 400, "bad_length"),
        (with("Content-Length: +5\r\n"), 400, "bad_length"),
        (with("Content-Length: -5\r\n"), 400, "bad_length"),
        (with("Content-Length: 0x5\r\n"), 400, "bad_length"),
        (with("Content-Length: 5 5\r\n"), 400, "bad_length"),
        (with("Content-Length: 18446744073709551616\r\n"), 400, "bad_length"),
        (with("Content-Length: 18446744073709551615\r\n"), 413, "body_too_long"),
        (with("Content-Length: 1001\r\n"), 413, "body_too_long"),
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400, "bad_length"),
        (with("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"), 400, "bad_length"),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400, "bad_coding"),
        (with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 400, "bad_coding"),
        (old_with("Transfer-Encoding: chunked\r\n"), 400, "bad_coding"),
        (with("Transfer-Encoding: gzip\r\n"), 501, "unknown_coding"),
        (with("Transfer-Encoding: gzip, chunked\r\n"), 501, "unknown_coding"),
        (with("Transfer-Encoding: chunked, chunked\r\n"), 501, "unknown_coding"),
        (with("Transfer-Encoding: chunked;a=b\r\n"), 501, "unknown_coding"),
        (with("Transfer-Encoding: xchunked\r\n"), 501, "unknown_coding"),
        (with("Transfer-Encoding:\r\n"), 501, "unknown_coding"),
        (with("Expect: a-miracle\r\n"), 417, "unknown_expectation"),
        (with("Expect: 100-continue\r\nExpect: a-miracle\r\n"), 417, "unknown_expectation"),
        (with("Expect: a-miracle\r\nExpect: 100-continue\r\n"), 417, "unknown_expectation"),
        (with("Expect: 100-continue, a-miracle\r\n"), 417, "unknown_expectation"),
    ] {
        let reject = refused(&head);
        assert_eq!((reject.status, reject.code), (status, code), "{}", head.escape_ascii());
    }
}

/// A head whose request line is of this many bytes.
fn line_of(bytes: usize) -> Vec<u8> {
    let path = "/".repeat(bytes - "GET  HTTP/1.1".len());
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// A head of this many bytes.
fn head_of(bytes: usize) -> Vec<u8> {
    let value = "v".repeat(bytes - with("X: \r\n").len());
    with(&format!("X: {value}\r\n"))
}

#[test]
fn each_bound_is_reached_and_not_passed() {
    accepted(&line_of(64));
    accepted(&[b"\r\n\r\n", &line_of(64)[..]].concat());
    accepted(&head_of(512));
    accepted(&with(&"X: y\r\n".repeat(7)));

    let long_line = Reject::new(414, "uri_too_long", "the request line is longer than 64 bytes (line_bytes_max)");
    assert_eq!(refused(&line_of(65)), long_line);
    assert_eq!(refused(&[b"\r\n", &line_of(65)[..]].concat()), long_line);
    assert_eq!(refused(&[b'x'; 65]), long_line, "without waiting for its end");
    assert_eq!(refused(&[&[b'x'; 65][..], b"\0"].concat()), long_line, "which comes before the NUL");

    let long_head = Reject::new(431, "head_too_long", "the head is longer than 512 bytes (head_bytes_max)");
    assert_eq!(refused(&head_of(513)), long_head);
    assert_eq!(refused(&head_of(700)), long_head);
    assert_eq!(refused(&head_of(700)[..513]), long_head, "without waiting for its end");

    let many_headers = Reject::new(431, "too_many_headers", "the head has more than 8 header lines (headers_max)");
    assert_eq!(refused(&with(&"X: y\r\n".repeat(8))), many_headers);
    assert_eq!(refused(b"GET / HTTP/1.1\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n"), many_headers);
}

#[test]
fn part_of_a_head_is_not_yet_a_head() {
    let head = accepted(&with("Content-Length: 5\r\n")).length;
    for length in 0..head {
        assert_eq!(read_each_way(&with("Content-Length: 5\r\n")[..length]), None);
    }
}

/// No table has every order of faults; pieces put together at random have many.
#[test]
fn how_bytes_are_cut_never_matters() {
    let long = "l".repeat(50);
    let pieces = ["GET / HTTP/1.1\r\n", "Host: a\r\n", "X: y\r\n", "\r\n", "\r", "\n", "\0", " ", "\t", "a", ":", &long];
    let mut random = Random::new(Seed(4, 2));
    for _ in 0..500 {
        let mut pick = |count: usize| (random.bits() % count as u64) as usize;
        let bytes: String = (0..pick(14)).map(|_| pieces[pick(pieces.len()).min(pick(pieces.len()))]).collect();
        read_each_way(bytes.as_bytes());
    }
}
