use crate::support::book::{Author, Book};
use crate::support::events::Events;
use crate::support::http::Piece;
use crate::support::ledger::{Faults, Ledger};
use crate::support::process::ServerProcess;
use crate::support::wire::{Wire, post};
use crate::support::ws::{BINARY, CLOSE, COMPRESSED, ENDS, GOES_ON, Heard, PING, PONG, TEXT, TEXT_BEGINS, Ws, deflate, frame};
use crate::support::{config, eventually, publishers, serve};
use encke::{Config, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

const REACTORS: [u64; 2] = [1, 2];
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

fn public(server: &Server) -> SocketAddr {
    server.addresses().public[0]
}

/// Enough channels that some have their home on each reactor.
fn channels() -> Vec<String> {
    (0..8).map(|number| format!("/c/{number}")).collect()
}

#[test]
fn whoever_asks_for_a_channel_with_the_request_is_subscribed_to_it() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let mut publisher = Wire::connect(public(&server));
        for channel in channels() {
            let first = publisher.publish(&channel, "1").member("id");
            let mut now = Ws::open(public(&server), &format!("/sub{channel}"));
            assert_eq!(now.json(), json!({ "cursor": first }), "where it begins");
            let mut earliest = Ws::open(public(&server), &format!("/sub{channel}?since=earliest"));
            assert!(earliest.json()["cursor"].as_str().is_some_and(|cursor| cursor.ends_with("-0")));
            assert_eq!(earliest.json(), json!({ "channel": channel, "id": first, "data": "1" }));
            let second = publisher.publish(&channel, "2").member("id");
            let message = json!({ "channel": channel, "id": second, "data": "2" });
            assert_eq!((now.json(), earliest.json()), (message.clone(), message.clone()));
            let mut again = Ws::open(public(&server), &format!("/sub{channel}?since={}", first.as_str().expect("an id")));
            assert_eq!(again.json(), json!({ "cursor": first }));
            assert_eq!(again.json(), message);
        }
    }
}

#[test]
fn wishes_are_fulfilled_in_order_and_answered_with_their_references() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let mut ws = Ws::open(public(&server), "/ws");
        assert_eq!(ws.json(), json!({ "cursor": null }), "it is nowhere yet");
        let all = channels();
        let answer = ws.ask(json!({ "subscribe": all, "since": "earliest", "ref": 7 }).to_string());
        assert_eq!((&answer["subscribed"], &answer["ref"]), (&json!(all), &json!(7)));
        let places = answer["cursor"].as_str().expect("a cursor").split('.').count();
        assert_eq!(places, all.len(), "{answer}");

        // All are said at once; the answers and the messages come in the order in which they were said.
        let said: Vec<u8> = all
            .iter()
            .flat_map(|channel| {
                frame(TEXT, json!({ "publish": channel, "data": { "n": 1 }, "ref": channel }).to_string().as_bytes())
            })
            .collect();
        ws.send(&said);
        let (mut answers, mut messages) = (Vec::new(), Vec::new());
        while answers.len() + messages.len() < 2 * all.len() {
            let heard = ws.json();
            match heard.get("published") {
                Some(published) => {
                    assert_eq!(published["subscribers"], 1);
                    answers.push((heard["ref"].clone(), published["id"].clone()));
                }
                None => {
                    assert_eq!(heard["data"], json!({ "n": 1 }));
                    messages.push((heard["channel"].clone(), heard["id"].clone()));
                }
            }
        }
        assert_eq!(answers.iter().map(|(reference, _)| reference).collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
        answers.sort_by_key(|answer| answer.0.to_string());
        messages.sort_by_key(|message| message.0.to_string());
        assert_eq!(answers, messages, "what is published comes back with the same id");

        let (gone, left) = all.split_at(4);
        assert_eq!(ws.ask(json!({ "unsubscribe": gone, "ref": "u" }).to_string()), json!({ "unsubscribed": gone, "ref": "u" }));
        let mut publisher = Wire::connect(public(&server));
        for channel in &all {
            assert_eq!(publisher.publish(channel, "2").status(), 200);
        }
        let mut told: Vec<Value> = left.iter().map(|_| ws.json()["channel"].clone()).collect();
        told.sort_by_key(Value::to_string);
        assert_eq!(told, left, "only what it is subscribed to");
    }
}

#[test]
fn one_socket_s_messages_are_kept_in_its_order_wherever_their_home_is() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let (mut reader, mut writer) = (Ws::open(public(&server), "/ws"), Ws::open(public(&server), "/ws"));
        drop((reader.json(), writer.json()));
        assert!(reader.ask(json!({ "subscribe": channels() }).to_string()).get("subscribed").is_some());
        for number in 0..50 {
            for channel in channels() {
                writer.say(json!({ "publish": channel, "data": number }).to_string());
            }
        }
        let mut next: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..50 * channels().len() {
            let message = reader.json();
            let due = next.entry(message["channel"].to_string()).or_default();
            assert_eq!(message["data"], *due);
            *due += 1;
        }
    }
}

#[test]
fn what_cannot_be_done_is_an_error_with_its_reference_and_the_socket_goes_on() {
    let server = serve(Config { subscriptions_max: 3, ..config(2) });
    let mut ws = Ws::open(public(&server), "/ws");
    ws.json();
    for (said, error, reference) in [
        (r#"{"subscribe":"a","ref":"r"}"#, "bad_channel", json!("r")),
        (r#"{"subscribe":"/a","since":"yesterday","ref":1}"#, "bad_cursor", json!(1)),
        (r#"{"subscribe":["/a","/b","/c","/d"],"ref":2}"#, "too_many_channels", json!(2)),
        (r#"{"publish":"/a","ref":3}"#, "bad_command", json!(3)),
        (r#"{"shout":"/a"}"#, "bad_command", Value::Null),
        ("hello", "bad_command", Value::Null),
        ("", "bad_command", Value::Null),
    ] {
        let answer = ws.ask(said);
        assert_eq!((&answer["error"], &answer["ref"]), (&json!(error), &reference), "{said}: {answer}");
    }
    ws.send(&frame(BINARY, b"{}"));
    assert_eq!(ws.json()["error"], "bad_command");
    assert_eq!(ws.ask(r#"{"subscribe":["/a","/b","/c"]}"#)["subscribed"], json!(["/a", "/b", "/c"]));
    // Who has them already wishes for none more.
    assert_eq!(ws.ask(r#"{"subscribe":["/a","/b","/c"]}"#)["subscribed"], json!(["/a", "/b", "/c"]));
    assert_eq!(ws.ask(r#"{"subscribe":"/d"}"#)["error"], "too_many_channels");
}

#[test]
fn pages_of_other_sites_may_read_and_not_publish() {
    let server = serve(config(2));
    let mut ws = Ws::with(Wire::connect(public(&server)), "/sub/a", "Origin: https://evil.example\r\n", b"");
    ws.json();
    let answer = ws.ask(r#"{"publish":"/a","data":1,"ref":"x"}"#);
    assert_eq!((&answer["error"], &answer["ref"]), (&json!("forbidden"), &json!("x")));
    assert_eq!(Wire::connect(public(&server)).publish("/a", "2").status(), 200);
    assert_eq!(ws.json()["data"], "2");

    let server = serve(Config { origin: "https://own.example".into(), ..config(1) });
    let mut wire = Wire::connect(public(&server));
    wire.send(
        "GET /sub/a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.example\r\n\r\n",
    );
    assert_eq!(wire.response().status(), 403);
    Ws::with(Wire::connect(public(&server)), "/sub/a", "Origin: https://own.example\r\n", b"").json();
}

#[test]
fn raw_sockets_carry_what_was_published_and_nothing_else() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let mut ws = Ws::open(public(&server), "/sub/a?raw=1&since=earliest");
        let mut publisher = Wire::connect(public(&server));
        publisher.send(post("/a", "text/plain", "grüße") + &post("/a", "application/json", "{\"a\": 1}"));
        let bytes = [0xff, 0, 0x80];
        publisher.send("POST /pub/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\n");
        publisher.send(bytes);
        assert_eq!(ws.next(), Heard::Text("grüße".into()));
        assert_eq!(ws.next(), Heard::Text("{\"a\": 1}".into()));
        assert_eq!(ws.next(), Heard::Binary(bytes.to_vec()));
    }
}

#[test]
fn compressed_messages_are_understood_both_ways() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let mut ws = Ws::with(Wire::connect(public(&server)), "/sub/a", DEFLATE, b"");
        ws.json();
        let long = "so it goes, ".repeat(5_000);
        let said = deflate(json!({ "publish": "/a", "data": long }).to_string().as_bytes());
        // In one frame, then in two: only the first of a message says that it is compressed.
        ws.send(&frame(TEXT | COMPRESSED, &said));
        let (front, back) = said.split_at(said.len() / 2);
        ws.send(&[frame(TEXT_BEGINS | COMPRESSED, front), frame(PING, b"between"), frame(ENDS, back)].concat());
        let (mut published, mut messages, mut pongs) = (0, 0, 0);
        while published + messages + pongs < 5 {
            match ws.next() {
                Heard::Pong(payload) if payload == b"between" => pongs += 1,
                Heard::Text(text) if text.contains("published") => published += 1,
                Heard::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    assert_eq!(message["data"], long);
                    messages += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((published, messages, pongs), (2, 2, 1));
        assert!(ws.compressed >= 2);
        // Who did not ask for it gets the same, as it is.
        let mut plain = Ws::open(public(&server), "/sub/a?since=earliest");
        plain.json();
        assert_eq!((plain.json()["data"].as_str(), plain.compressed), (Some(&*long), 0));
    }
}

#[test]
fn fragments_make_one_message_and_control_frames_may_come_between() {
    let server = serve(config(1));
    let mut ws = Ws::open(public(&server), "/ws");
    ws.json();
    let said = r#"{"subscribe":"/ü","ref":"fragments"}"#.as_bytes();
    let cut = said.iter().position(|byte| !byte.is_ascii()).expect("an umlaut") + 1;
    let frames = [
        frame(TEXT_BEGINS, &said[..cut]),
        frame(PING, b""),
        frame(GOES_ON, &said[cut..cut + 1]),
        frame(PONG, b"unasked"),
        frame(GOES_ON, b""),
        frame(ENDS, &said[cut + 1..]),
    ]
    .concat();
    // Byte by byte, as any network may deliver it.
    for byte in &frames {
        ws.send(&[*byte]);
    }
    assert_eq!(ws.next(), Heard::Pong(Vec::new()));
    let answer = ws.json();
    assert_eq!(answer["ref"], "fragments", "{answer}");
    ws.send(&frame(PING, &[7; 125]));
    assert_eq!(ws.next(), Heard::Pong(vec![7; 125]));
}

#[test]
fn a_client_s_close_is_answered_and_the_server_hangs_up() {
    let server = serve(config(2));
    for (close, code) in [(&[][..], 0), (&[0x03, 0xe8], 1000), (b"\x03\xe9going", 1000), (b"\x0f\xa0app", 1000)] {
        let mut ws = Ws::open(public(&server), "/sub/a");
        ws.json();
        // What follows a close frame is nobody's.
        ws.send(&[frame(CLOSE, close), frame(TEXT, br#"{"publish":"/a","data":1}"#)].concat());
        assert_eq!(ws.closed(), code, "{close:?}");
    }
    let mut inspector = Wire::connect(server.addresses().private[0]);
    assert_eq!(inspector.ask("/channels/a").member("head").as_str().map(|head| head.ends_with("-0")), Some(true));
    // The shards tell each other in their own time.
    eventually("nobody is left", || (inspector.ask("/channels/a").member("subscribers") == 0).then_some(()));
}

#[test]
fn whoever_breaks_the_protocol_is_told_how_and_cut_off() {
    let server = serve(Config { body_bytes_max: 1000, ..config(2) });
    let unmasked = [&[TEXT, 2][..], b"{}"].concat();
    for (name, frames, code) in [
        ("unmasked", unmasked, 1002),
        ("a reserved opcode", frame(0x83, b""), 1002),
        ("a reserved bit", frame(TEXT | 0x20, b"{}"), 1002),
        ("compressed without leave", frame(TEXT | COMPRESSED, b"{}"), 1002),
        ("nothing to go on with", frame(ENDS, b""), 1002),
        ("a message inside another", [frame(TEXT_BEGINS, b"{"), frame(TEXT, b"}")].concat(), 1002),
        ("a fragmented ping", frame(PING & 0x0f, b""), 1002),
        ("a long ping", frame(PING, &[0; 126]), 1002),
        ("half a close code", frame(CLOSE, &[3]), 1002),
        ("a close code of nobody", frame(CLOSE, &[0x03, 0xed]), 1002),
        ("no UTF-8", frame(TEXT, b"\xff"), 1007),
        ("no UTF-8 in a fragment", frame(TEXT_BEGINS, b"\xc0\x80"), 1007),
        ("half a character", frame(TEXT, "ü".as_bytes().split_at(1).0), 1007),
        ("no UTF-8 in a reason", frame(CLOSE, b"\x03\xe8\xff"), 1007),
        ("too long", frame(TEXT, &[b' '; 1001]), 1009),
        ("too long in two", [frame(TEXT_BEGINS, &[b' '; 600]), frame(ENDS, &[b' '; 600])].concat(), 1009),
    ] {
        let mut ws = Ws::open(public(&server), "/sub/a");
        ws.json();
        ws.send(&frames);
        let heard = ws.next();
        assert!(matches!(heard, Heard::Close(found, _) if found == code), "{name}: {heard:?}");
    }
    let mut ws = Ws::with(Wire::connect(public(&server)), "/ws", DEFLATE, b"");
    ws.json();
    ws.send(&frame(TEXT | COMPRESSED, &deflate(&[b' '; 100_000])));
    assert_eq!(ws.closed(), 1009, "it may not unfold beyond the bound");
    // Who keeps to the bound is heard.
    let mut ws = Ws::open(public(&server), "/ws");
    ws.json();
    assert_eq!(ws.ask(format!("{:1000}", r#"{"subscribe":"/a"}"#))["subscribed"], json!(["/a"]));
}

#[test]
fn frames_right_behind_the_request_are_heard() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        for channel in channels() {
            let frames = [
                frame(TEXT, json!({ "publish": channel, "data": 1 }).to_string().as_bytes()),
                frame(TEXT, json!({ "subscribe": "/other", "ref": 2 }).to_string().as_bytes()),
            ];
            let wire = Wire::connect(public(&server));
            let mut ws = Ws::with(wire, &format!("/sub{channel}?since=earliest"), "", &frames.concat());
            let mut seen: Vec<Value> = (0..4).map(|_| ws.json()).collect();
            assert!(seen.remove(0).get("cursor").is_some(), "first the greeting");
            for member in ["published", "channel", "subscribed"] {
                assert_eq!(seen.iter().filter(|heard| heard.get(member).is_some()).count(), 1, "{member} in {seen:?}");
            }
        }
    }
}

#[test]
fn a_hundred_sockets_get_everything_once_and_in_order() {
    const SOCKETS: usize = 100;
    const MESSAGES: usize = 2_000;
    for reactors in REACTORS {
        let server = serve(Config { history_messages: 1 + MESSAGES as u64, ..config(reactors) });
        let book = Book::new(1, 60);
        let open = |number: usize| {
            let fields = if number.is_multiple_of(4) { DEFLATE } else { "" };
            let mut ws = Ws::with(Wire::connect(public(&server)), &format!("/sub{}", book.name(0)), fields, b"");
            ws.json();
            ws
        };
        let mut sockets: Vec<Ws> = (0..SOCKETS).map(open).collect();
        thread::scope(|scope| {
            for author in 0..2 {
                let (book, publisher) = (&book, server.publisher());
                scope.spawn(move || publishers::in_process(&publisher, &mut Author::new(book, author), MESSAGES / 2));
            }
            for share in sockets.chunks_mut(SOCKETS / 4) {
                let book = &book;
                scope.spawn(move || {
                    for ws in share {
                        let mut ledger = Ledger::new(0);
                        while ledger.reached() < MESSAGES as u64 {
                            note(&mut ledger, book, &ws.json());
                        }
                        assert_eq!((ledger.received, ledger.notices), (MESSAGES as u64, 0));
                        assert_eq!(ledger.faults(MESSAGES as u64), Faults::default());
                    }
                });
            }
        });
    }
}

/// Enters an envelope, of a message or of a gap.
fn note(ledger: &mut Ledger, book: &Book, heard: &Value) {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match heard.get("gap") {
        Some(gap) => ledger.gap(book, &text(&heard["id"]), gap["missed"].as_u64()),
        None => ledger.message(book, &text(&heard["id"]), &text(&heard["data"])),
    }
}

#[test]
fn a_reader_that_goes_between_websocket_and_sse_and_is_cut_off_each_time_misses_nothing() {
    const MESSAGES: usize = 4_000;
    const TURNS: usize = 40;
    for reactors in REACTORS {
        let server = serve(Config { history_messages: MESSAGES as u64, ..config(reactors) });
        let book = Book::new(2, 200);
        let mut ledgers = [Ledger::new(0), Ledger::new(1)];
        let target = format!("/sub{}?channel={}&envelope=json&since=", book.name(0), book.name(1));
        thread::scope(|scope| {
            let (book, publisher) = (&book, server.publisher());
            scope.spawn(move || publishers::in_process(&publisher, &mut Author::new(book, 0), MESSAGES));
            let mut cursor = "earliest".to_owned();
            for turn in 0..TURNS {
                let mut left = MESSAGES / TURNS;
                let target = format!("{target}{cursor}");
                let mut enter = |heard: &Value| {
                    let channel = usize::from(heard["channel"] == book.name(1));
                    note(&mut ledgers[channel], book, heard);
                };
                if turn % 2 == 0 {
                    let mut ws = Ws::open(public(&server), &target);
                    let greeting = ws.json();
                    let mut places: Vec<String> =
                        greeting["cursor"].as_str().expect("a cursor").split('.').map(str::to_owned).collect();
                    while left > 0 {
                        let heard = ws.json();
                        enter(&heard);
                        // Of each channel the last id: together they are the cursor.
                        let channel = usize::from(heard["channel"] == book.name(1));
                        places[channel] = heard["id"].as_str().expect("an id").to_owned();
                        left -= 1;
                    }
                    cursor = places.join(".");
                    ws.reset();
                } else {
                    let mut wire = Wire::connect(public(&server));
                    wire.get(&format!("{target}&transport=sse"));
                    let mut events = Events::default();
                    while left > 0 {
                        let bytes = match wire.piece() {
                            Ok(Piece::Body(bytes)) => bytes,
                            Ok(Piece::Head(_)) => continue,
                            other => panic!("the stream goes on: {other:?}"),
                        };
                        let outcome = events.feed(&bytes, |event| {
                            enter(&serde_json::from_str(&event.data).expect("an envelope"));
                            cursor.clone_from(&event.id);
                            left -= 1;
                            left > 0
                        });
                        outcome.expect("an event stream");
                    }
                    wire.writer().set_linger(Some(std::time::Duration::ZERO)).expect("an open socket");
                }
            }
        });
        for ledger in &ledgers {
            assert_eq!(ledger.faults(MESSAGES as u64 / 2), Faults::default(), "{reactors} reactors");
            assert_eq!((ledger.received, ledger.notices), (MESSAGES as u64 / 2, 0));
        }
    }
}

#[test]
fn a_stop_says_farewell_and_closes() {
    for reactors in ["1", "2"] {
        let mut server = ServerProcess::start(&["--reactors", reactors]);
        let mut ws = Ws::open(server.public, "/sub/a");
        ws.json();
        let mut raw = Ws::open(server.public, "/sub/a?raw=1");
        let mut idle = Ws::open(server.public, "/ws");
        idle.json();
        // Who has an answer is held; a raw one has no greeting to wait for.
        raw.send(&frame(PING, b"?"));
        assert_eq!(raw.next(), Heard::Pong(b"?".to_vec()));
        server.process.signal("TERM");
        for mut told in [ws, idle] {
            assert_eq!(told.json()["close"], "stopping");
            assert_eq!(told.closed(), 1001);
        }
        assert_eq!(raw.next(), Heard::Close(1001, "stopping".into()));
        assert_eq!(raw.next_or_end(), None);
        assert_eq!(server.process.wait().code(), Some(0));
    }
}

#[test]
fn a_slow_reader_is_told_what_it_missed() {
    const HISTORY: u64 = 250;
    const MESSAGES: u64 = 4_000;
    for reactors in REACTORS {
        let server = serve(Config { history_messages: HISTORY, ..config(reactors) });
        let book = Book::new(1, 8_000);
        let wire = Wire::with_window(public(&server), Some(4096));
        let mut slow = Ws::with(wire, &format!("/sub{}", book.name(0)), "", b"");
        slow.json();
        let mut author = Author::new(&book, 0);
        // What was answered has been kept, so there is no storm in a mailbox.
        publishers::batched(server.addresses().private[0], &mut author, MESSAGES as usize, 50);
        let mut ledger = Ledger::new(0);
        while ledger.reached() < MESSAGES {
            note(&mut ledger, &book, &slow.json());
        }
        assert_eq!((ledger.notices, ledger.received + ledger.told), (1, MESSAGES), "one gap, told once");
        assert!(ledger.received >= HISTORY && ledger.told > HISTORY);
        assert_eq!(ledger.faults(MESSAGES), Faults::default(), "{reactors} reactors");
    }
}
