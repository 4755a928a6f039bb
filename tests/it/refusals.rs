use crate::limits::metric;
use crate::support::wire::{End, Wire, post};
use crate::support::{config, eventually, serve};
use encke::{Config, Server};
use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

const BODY_BYTES_MAX: usize = 64 << 10;
const PATIENCE_MS: u64 = 300;
/// Whatever one connection does, another is answered within this.
const PROMPT: Duration = Duration::from_secs(2);

fn guarded() -> Server {
    serve(Config {
        body_bytes_max: BODY_BYTES_MAX as u64,
        head_timeout_ms: PATIENCE_MS,
        body_timeout_ms: PATIENCE_MS,
        ..config(2)
    })
}

fn assert_prompt(address: SocketAddr, after: &str) {
    let start = Instant::now();
    assert_eq!(Wire::connect(address).ask("/healthz").status(), 200, "{after}");
    assert!(start.elapsed() < PROMPT, "{after}: another had to wait for {:?}", start.elapsed());
}

/// What a connection does after its first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoesOn,
    Ends,
}
use Then::{Ends, GoesOn};

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into()
}

fn with_headers(headers: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n").into()
}

fn publish(framing: &str, body: &[u8]) -> Vec<u8> {
    [format!("POST /pub/a HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n").as_bytes(), body].concat()
}

fn sized(length: usize) -> Vec<u8> {
    publish(&format!("Content-Length: {length}"), &vec![b'x'; length])
}

fn chunked(length: usize) -> Vec<u8> {
    let body = [format!("{length:x}\r\n").as_bytes(), &vec![b'x'; length], b"\r\n0\r\n\r\n"].concat();
    publish("Transfer-Encoding: chunked", &body)
}

#[test]
fn what_is_wrong_gets_its_status_and_its_connection_a_proper_end() {
    let server = guarded();
    let address = server.addresses().public[0];
    let tls_hello = b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b";
    for (what, bytes, status, then) in [
        ("a header of 1 MB", with_headers(&format!("X: {}\r\n", "x".repeat(1 << 20))), 431, Ends),
        ("10,000 headers", with_headers(&"X: y\r\n".repeat(10_000)), 431, Ends),
        ("a first line of 1 MB", get(&format!("/{}", "x".repeat(1 << 20))), 414, Ends),
        ("a body at the limit", sized(BODY_BYTES_MAX), 200, GoesOn),
        ("a body one byte over the limit", sized(BODY_BYTES_MAX + 1), 413, Ends),
        ("chunks at the limit", chunked(BODY_BYTES_MAX), 200, GoesOn),
        ("chunks one byte over the limit", chunked(BODY_BYTES_MAX + 1), 413, Ends),
        ("a body of 10 MB", sized(10 << 20), 413, Ends),
        ("a body of more bytes than there are", publish("Content-Length: 99999999999999999999", b""), 400, Ends),
        ("a length and chunks", publish("Content-Length: 3\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"), 400, Ends),
        ("two lengths", publish("Content-Length: 3\r\nContent-Length: 4", b"abcd"), 400, Ends),
        ("a chunk size that is none", publish("Transfer-Encoding: chunked", b"xyz\r\n"), 400, Ends),
        ("a folded header", with_headers("X: a\r\n b\r\n"), 400, Ends),
        ("a line feed alone", b"GET / HTTP/1.1\nHost: a\n\n".into(), 400, Ends),
        ("no host", b"GET / HTTP/1.1\r\n\r\n".into(), 400, Ends),
        ("two hosts", with_headers("Host: b\r\n"), 400, Ends),
        ("a NUL in a channel's name", get("/sub/%00"), 400, GoesOn),
        ("what is no UTF-8 in a channel's name", get("/sub/%ff"), 400, GoesOn),
        ("what is no UTF-8 in the query", get("/sub/a?channel=%ff"), 400, GoesOn),
        ("a percent sign alone", get("/sub/%"), 400, GoesOn),
        ("dots in a channel's name", get("/sub/a/../b"), 400, GoesOn),
        ("a cursor that is none", get("/sub/a?since=yesterday"), 400, GoesOn),
        ("an unknown transport", get("/sub/a?transport=pigeon"), 406, GoesOn),
        ("an unknown place", get("/nowhere"), 404, GoesOn),
        ("an unknown place with a body", b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".into(), 404, Ends),
        ("another method", b"DELETE /sub/a HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405, GoesOn),
        ("an unknown method", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 501, Ends),
        ("another version", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n".into(), 505, Ends),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505, Ends),
        ("TLS", tls_hello.into(), 400, Ends),
        ("half a body, then silence", publish("Content-Length: 10", b"half "), 408, Ends),
        ("half a chunk, then silence", publish("Transfer-Encoding: chunked", b"a\r\nhalf "), 408, Ends),
        ("half a head, then silence", b"GET / HTTP/1.1\r\nHo".into(), 408, Ends),
    ] {
        let mut wire = Wire::connect(address);
        let mut writer = wire.writer();
        thread::scope(|scope| {
            // Whether the server still wants it or not: as long as it keeps the connection, it takes it.
            scope.spawn(|| writer.write_all(&bytes));
            let answer = wire.response_or_end().unwrap_or_else(|end| panic!("{what}: no answer, {end:?}"));
            assert_eq!(answer.status(), status, "{what}: {}", answer.text());
            match then {
                GoesOn => assert_eq!(wire.ask("/healthz").status(), 200, "{what}"),
                Ends => {
                    assert_eq!(answer.head.field("Connection"), Some("close"), "{what}");
                    assert_eq!(wire.end(), End::Proper, "{what}");
                }
            }
        });
        if status >= 400 {
            assert_prompt(address, what);
        }
    }
}

#[test]
fn a_head_that_dribbles_in_is_given_up_however_steadily_it_comes() {
    let server = guarded();
    let address = server.addresses().public[0];
    let mut wire = Wire::connect(address);
    let start = Instant::now();
    let mut head = get(&format!("/{}", "x".repeat(5_000))).into_iter();
    loop {
        wire.offer(&[head.next().expect("it takes long to send all that")]);
        if wire.has_answer_within(Duration::from_millis(10)) {
            break;
        }
    }
    assert!(start.elapsed() >= Duration::from_millis(PATIENCE_MS / 2));
    assert_eq!(wire.response().status(), 408);
    assert_eq!(wire.end(), End::Proper);
    assert_prompt(address, "a head that dribbles in");
}

#[test]
fn whoever_says_nothing_is_let_go_without_a_word() {
    let server = guarded();
    assert_eq!(Wire::connect(server.addresses().public[0]).end(), End::Proper);
}

#[test]
fn whoever_sends_half_a_request_and_hangs_up_is_no_trouble() {
    let server = guarded();
    let address = server.addresses().public[0];
    for half in [&b"GET / HT"[..], &publish("Content-Length: 10", b"half "), &publish("Transfer-Encoding: chunked", b"5\r\nha")] {
        let mut wire = Wire::connect(address);
        wire.send(half);
        wire.shut();
        assert_eq!(wire.end(), End::Proper, "{half:?}");
    }
    assert_prompt(address, "half a request");
}

#[test]
fn whoever_asks_and_then_ends_its_side_still_gets_the_answer() {
    let server = guarded();
    let mut wire = Wire::connect(server.addresses().public[0]);
    wire.send([post("/a", "text/plain", "1"), post("/a", "text/plain", "2")].concat());
    wire.shut();
    assert_eq!((wire.response().status(), wire.response().status()), (200, 200));
    assert_eq!(wire.end(), End::Proper);
}

#[test]
fn whoever_reads_its_answers_slowly_gets_them_all() {
    const ANSWERS: usize = 300;
    let server = guarded();
    let address = server.addresses().public[0];
    let page = Wire::connect(address).ask("/").body;
    let mut wire = Wire::with_window(address, Some(4096));
    let mut writer = wire.writer();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&get("/").repeat(ANSWERS)));
        for number in 0..ANSWERS {
            assert!(wire.response().body == page, "answer {number} is another");
            if number % 10 == 0 {
                assert_prompt(address, "a slow reader");
            }
        }
    });
}

#[test]
fn whoever_never_reads_its_answers_is_let_go() {
    let server = serve(Config { stall_timeout_ms: PATIENCE_MS, ..config(2) });
    let address = server.addresses().public[0];
    let wire = Wire::with_window(address, Some(4096));
    let mut writer = wire.writer();
    let requests = get("/").repeat(100);
    eventually("the connection is cut", || writer.write_all(&requests).err());
    assert_prompt(address, "a reader that never reads");
}

#[test]
fn a_hundred_thousand_requests_at_once_are_a_hundred_thousand_answers() {
    const REQUESTS: usize = 100_000;
    let server = guarded();
    let address = server.addresses().public[0];
    let mut wire = Wire::connect(address);
    let mut writer = wire.writer();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&get("/healthz").repeat(REQUESTS)));
        for number in 0..REQUESTS {
            let answer = wire.response();
            assert_eq!((answer.status(), answer.body.as_slice()), (200, &b"{\"status\":\"ok\"}"[..]), "answer {number}");
            if number % 20_000 == 0 {
                assert_prompt(address, "very many requests");
            }
        }
    });
    assert_eq!(wire.ask("/healthz").status(), 200, "and it goes on");
}

#[test]
fn too_many_channels_and_too_many_connections_are_refused_and_the_rest_goes_on() {
    let server = serve(Config { channels_max: 2, connections_max: 3, ..config(1) });
    let address = server.addresses().public[0];
    let mut wire = Wire::connect(address);
    assert_eq!([wire.publish("/a", "1").status(), wire.publish("/b", "1").status()], [200, 200]);
    assert_eq!(wire.publish("/c", "1").status(), 503);
    assert_eq!(wire.ask("/sub/c?transport=poll").status(), 503);
    assert_eq!(wire.publish("/a", "2").status(), 200);

    let mut others = [Wire::connect(address), Wire::connect(address)];
    for other in &mut others {
        assert_eq!(other.ask("/healthz").status(), 200);
    }
    let mut further = Wire::connect(address);
    assert_eq!((further.response().status(), further.end()), (503, End::Proper));
    drop(others);
    eventually("there is room again", || {
        let mut next = Wire::connect(address);
        next.offer(&get("/healthz"));
        next.response_or_end().ok().filter(|answer| answer.status() == 200)
    });
    assert_eq!(wire.publish("/a", "3").status(), 200);
}

#[test]
fn whoever_hangs_up_behind_requests_that_nobody_reads_yet_is_gone_at_once() {
    for reactors in [1, 2] {
        let server = serve(Config { heartbeat_ms: 0, long_poll_timeout_ms: 3_600_000, ..config(reactors) });
        let mut inspector = Wire::connect(server.addresses().private[0]);
        let more = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3_000);
        for (gone, waits) in [(1, true), (2, false)] {
            let mut client = Wire::connect(server.addresses().public[0]);
            client.get("/sub/a?transport=long-poll&since=now");
            let mut is_held = || (inspector.ask("/channels/a").member("subscribers") == 1).then_some(());
            if waits {
                eventually("it is held", &mut is_held);
            }
            client.send(&more);
            if waits {
                eventually("it is held all the same", &mut is_held);
            }
            client.shut();
            eventually("it is gone", || (metric(&mut inspector, "encke_gone_left_total") == gone).then_some(()));
            assert_eq!(inspector.ask("/channels/a").member("subscribers"), 0);
        }
        server.stop();
    }
}
