use crate::support::http::Piece;
use crate::support::process::ServerProcess;
use crate::support::wire::{End, Response, Wire, post};
use crate::support::ws::{Heard, Ws};
use crate::support::{config, eventually, serve};
use encke::Config;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;

fn retry_after(answer: &Response) -> u64 {
    let text = answer.head.field("Retry-After").unwrap_or_else(|| panic!("no time to come back: {}", answer.text()));
    text.parse().expect("seconds")
}

fn assert_refused(answer: &Response, status: u16, code: &str) {
    assert_eq!((answer.status(), answer.member("error")), (status, code.into()), "{}", answer.text());
    assert!((1..=30).contains(&retry_after(answer)), "{}", retry_after(answer));
}

/// What a fresh connection is told that asks whether all is well.
fn knock(mut wire: Wire) -> Response {
    wire.offer(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.response()
}

/// One number of all reactors together.
pub fn metric(inspector: &mut Wire, name: &str) -> u64 {
    let text = inspector.ask("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn a_connection_too_many_is_told_so_and_when_to_come_back() {
    let server = serve(Config { connections_max: 2, ..config(1) });
    let address = server.addresses().public[0];
    let mut inspector = Wire::connect(server.addresses().private[0]);
    let mut held = Wire::connect(address);
    held.listen("/sub/a?transport=sse");
    let mut third = Wire::connect(address);
    let answer = third.response();
    assert_refused(&answer, 503, "too_many_connections");
    assert_eq!(answer.head.field("Connection"), Some("close"));
    assert_eq!(third.end(), End::Proper);
    assert_eq!(metric(&mut inspector, "encke_turned_away_full_total"), 1);
    drop(held);
    eventually("there is room again", || (knock(Wire::connect(address)).status() == 200).then_some(()));
}

#[test]
fn an_address_has_exactly_as_many_connections_as_it_may_over_all_reactors() {
    const MOST: usize = 50;
    const THREADS: usize = 4;
    let server = serve(Config { connections_per_address: MOST as u64, ..config(4) });
    let address = server.addresses().public[0];
    let ask = || {
        let mut wire = Wire::connect(address);
        wire.offer(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = wire.response();
        if answer.status() != 200 {
            assert_refused(&answer, 429, "too_many_connections");
        }
        (answer.status() == 200).then_some(wire)
    };
    let mut let_in: Vec<Wire> = thread::scope(|scope| {
        let some = || (0..2 * MOST).filter_map(|_| ask()).collect::<Vec<Wire>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(let_in.len(), MOST);
    assert_eq!(knock(Wire::connect_from("127.0.0.2", address)).status(), 200, "another address has its own");
    let mut inspector = Wire::connect(server.addresses().private[0]);
    assert_eq!(metric(&mut inspector, "encke_turned_away_address_total"), (2 * MOST * THREADS - MOST) as u64);
    for room in [1, 7] {
        let_in.truncate(let_in.len() - room);
        for _ in 0..room {
            let_in.push(eventually("one that goes makes room", ask));
        }
        assert!(ask().is_none(), "and for no more than that");
    }
}

#[test]
fn connections_that_come_too_fast_are_told_to_wait_and_let_in_later() {
    for (all, each, status) in [(1, 0, 503), (0, 1, 429)] {
        let server = serve(Config { connection_rate: all, connection_rate_per_address: each, rate_burst_ms: 100, ..config(2) });
        let address = server.addresses().public[0];
        let refused = eventually("one comes too fast", || {
            let answer = knock(Wire::connect(address));
            (answer.status() != 200).then_some(answer)
        });
        assert_refused(&refused, status, "too_many_connections");
        eventually("one is let in later", || (knock(Wire::connect(address)).status() == 200).then_some(()));
        for _ in 0..20 {
            assert_eq!(knock(Wire::connect(server.addresses().private[0])).status(), 200, "the application is not counted");
        }
    }
}

fn slow_publishers() -> Config {
    Config { publish_rate: 1, rate_burst_ms: 100, bayeux_publish: "/**".into(), ..config(2) }
}

#[test]
fn who_publishes_too_fast_is_told_to_wait_whatever_it_comes_by() {
    let server = serve(slow_publishers());
    let (address, private) = (server.addresses().public[0], server.addresses().private[0]);
    let publish = |address| {
        let mut wire = Wire::connect(address);
        wire.send(post("/a", "text/plain", "x"));
        wire.response()
    };
    let refused = eventually("one comes too fast", || Some(publish(address)).filter(|answer| answer.status() != 200));
    assert_refused(&refused, 429, "too_many_requests");
    assert_refused(
        &eventually("a batch pays for each", || {
            let lines = "{\"channel\":\"/a\",\"data\":1}\n".repeat(3);
            let mut wire = Wire::connect(address);
            wire.send(post("", "application/x-ndjson", &lines));
            Some(wire.response()).filter(|answer| answer.status() != 200)
        }),
        429,
        "too_many_requests",
    );
    let bayeux = eventually("a Bayeux client comes too fast", || {
        Some(publish_by_bayeux(address, "", "x")).filter(|answer| answer.contains("\"successful\":false"))
    });
    assert!(bayeux.contains("\"error\":\"429::"), "{bayeux}");
    eventually("it is taken later", || (publish(address).status() == 200).then_some(()));
    for _ in 0..20 {
        assert_eq!(publish(private).status(), 200, "the application is not counted");
    }
}

fn publish_by_bayeux(address: SocketAddr, fields: &str, data: &str) -> String {
    let body = format!(r#"[{{"channel":"/a","data":"{data}","id":"1"}}]"#);
    let mut wire = Wire::connect(address);
    let length = body.len();
    let head = format!("POST /bayeux HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{fields}");
    wire.send(format!("{head}Content-Length: {length}\r\n\r\n{body}"));
    wire.response().text()
}

#[test]
fn a_socket_that_goes_on_publishing_too_fast_is_closed() {
    let server = serve(slow_publishers());
    let mut ws = Ws::open(server.addresses().public[0], "/ws");
    for number in 0..100 {
        ws.say(format!("{{\"publish\":\"/a\",\"data\":{number},\"ref\":{number}}}"));
    }
    let mut told = 0;
    loop {
        match ws.next() {
            Heard::Text(text) if text.contains("too_many_requests") => told += 1,
            Heard::Text(_) => {}
            Heard::Close(code, reason) => {
                assert_eq!((code, &*reason), (1013, "too_many_requests"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(told >= 16, "it was told {told} times before");
}

#[test]
fn clients_behind_a_trusted_proxy_are_told_apart_and_others_cannot_pretend() {
    for (trusted, apart) in [("127.0.0.0/8", true), ("", false)] {
        let server =
            serve(Config { trusted_proxies: trusted.into(), publish_rate: 0, publish_bytes_rate: 1, ..slow_publishers() });
        let address = server.addresses().public[0];
        let publish = |from: &str| {
            let data = "x".repeat(100_000);
            publish_by_bayeux(address, &format!("X-Forwarded-For: 9.9.9.9, {from}\r\n"), &data)
        };
        // It is taken, and paid for during the day.
        assert!(publish("192.0.2.1").contains("\"successful\":true"));
        let refused = publish("192.0.2.1");
        assert!(refused.contains("\"error\":\"429::") && refused.contains("publish_bytes_rate"), "{refused}");
        assert_eq!(publish("192.0.2.2").contains("\"successful\":true"), apart, "{trusted:?}");
    }
}

#[test]
fn whoever_ends_its_half_while_it_is_held_is_gone_by_any_transport() {
    let server = serve(config(2));
    let (address, private) = (server.addresses().public[0], server.addresses().private[0]);
    let mut inspector = Wire::connect(private);
    for (number, transport) in
        ["sse", "stream", "iframe", "multipart", "gif", "long-poll", "jsonp&callback=c", "websocket"].into_iter().enumerate()
    {
        let mut wire = Wire::connect(address);
        let upgrade = match transport {
            "websocket" => {
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
            _ => "",
        };
        wire.send(format!("GET /sub/a?transport={transport} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"));
        eventually("it is held", || (inspector.ask("/channels/a").member("subscribers") == 1).then_some(()));
        wire.shut();
        eventually("it is gone", || (metric(&mut inspector, "encke_connections") == 1).then_some(()));
        assert_eq!(inspector.ask("/channels/a").member("subscribers"), 0, "{transport}");
        assert_eq!(metric(&mut inspector, "encke_gone_left_total"), number as u64 + 1, "{transport}");
    }
}

/// Clients that come when there is no descriptor left for them, and more of them than the queue of a listener holds.
const LATE: usize = 2_000;
const DESCRIPTORS: usize = 150;

#[test]
fn without_descriptors_streams_live_newcomers_are_told_and_served_when_some_have_gone() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    for reactors in ["1", "2"] {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_encke"), "serve", "--reactors", reactors, "--demo", "off"]);
        command.args(["--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"]);
        let server = ServerProcess::of(command);
        let mut inspector = Wire::connect(server.private);
        let mut early: Vec<Wire> = (0..10).map(|_| Wire::connect(server.public)).collect();
        early.iter_mut().for_each(|wire| wire.listen("/sub/a?transport=sse"));

        let mut late: Vec<Wire> = Vec::new();
        let (mut held, mut told) = (Vec::new(), 0);
        while held.len() + told < LATE {
            late.extend((0..LATE / 4).map(|_| Wire::connect(server.public)));
            late.iter_mut().for_each(|wire| wire.offer(b"GET /sub/a?transport=sse HTTP/1.1\r\nHost: a\r\n\r\n"));
            for mut wire in late.drain(..) {
                match wire.piece() {
                    Ok(Piece::Head(head)) if head.status == 200 => held.push(wire),
                    Ok(Piece::Head(head)) => {
                        let after = head.field("Retry-After").and_then(|after| after.parse::<u64>().ok());
                        assert!(head.status == 503 && after.is_some_and(|after| after > 0), "{head:?}");
                        told += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(inspector.publish("/a", "to all").status(), 200);
            for wire in early.iter_mut().chain(&mut held) {
                wire.until("data: to all\n");
            }
        }
        assert!(!held.is_empty() && held.len() < DESCRIPTORS, "{} are held", held.len());
        assert!(metric(&mut inspector, "encke_turned_away_descriptors_total") >= told as u64 / 2);
        server.process.said("Too many open files");

        held.clear();
        let next = || Some(knock(Wire::connect(server.public))).filter(|answer| answer.status() == 200);
        eventually("newcomers are served again", next);
        assert_eq!(inspector.publish("/a", "after that").status(), 200);
        early.iter_mut().for_each(|wire| wire.until("data: after that\n"));
    }
}

#[test]
fn readers_behind_a_trusted_proxy_are_counted_among_the_connections_of_their_address() {
    let options = Config { trusted_proxies: "127.0.0.1".into(), connections_per_address: 3, ..config(2) };
    let server = serve(options);
    let address = server.addresses().public[0];
    let ask = |from: &str, transport: &str| {
        let mut wire = Wire::connect(address);
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let upgrade = if transport == "websocket" { upgrade } else { "" };
        wire.send(format!("GET /sub/a?transport={transport} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {from}\r\n{upgrade}\r\n"));
        wire
    };
    let mut inspector = Wire::connect(server.addresses().private[0]);
    let mut held: Vec<Wire> = ["sse", "long-poll", "websocket"].into_iter().map(|way| ask("192.0.2.1", way)).collect();
    eventually("all are held", || (inspector.ask("/channels/a").member("subscribers") == 3).then_some(()));
    for transport in ["sse", "long-poll", "websocket", "poll"] {
        assert_refused(&ask("192.0.2.1", transport).response(), 429, "too_many_connections");
    }
    let shake_hands = |from: &str| {
        let body = r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;
        let mut wire = Wire::connect(address);
        let length = body.len();
        let head = format!("POST /bayeux HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Forwarded-For: {from}\r\n");
        wire.send(format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        wire.response().text()
    };
    assert!(shake_hands("192.0.2.1").contains("\"error\":\"429::"));
    assert!(shake_hands("192.0.2.2").contains("\"successful\":true"), "another address has its own");
    assert_eq!(inspector.publish("/a", "the long poll's").status(), 200);
    assert_eq!(held.remove(1).response().status(), 200);
    assert_eq!(ask("192.0.2.1", "poll").response().status(), 200, "who was answered has given its place up");
    assert!(shake_hands("192.0.2.1").contains("\"successful\":true"));
    assert_refused(&ask("192.0.2.1", "poll").response(), 429, "too_many_connections");
}
