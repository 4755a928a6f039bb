use crate::support::events::Events;
use crate::support::http::Piece;
use crate::support::process::{ServerProcess, encke};
use crate::support::wire::{End, Wire, post};
use crate::support::ws::{Heard, Ws};
use crate::support::{DEADLINE, eventually};
use std::io::Write;
use std::net::TcpListener;
use std::thread;

/// Begins a publish, and leaves it half done once the server knows of it.
pub fn publish_half(server: &ServerProcess) -> Wire {
    let mut publish = Wire::connect(server.private);
    publish.send("POST /pub/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    assert!(publish.has_answer_within(DEADLINE), "100 Continue");
    publish.send("half ");
    publish
}

#[test]
fn a_stop_ends_streams_answers_polls_and_finishes_what_is_under_way() {
    for reactors in ["1", "2", "4"] {
        let mut server = ServerProcess::start(&["--reactors", reactors]);
        let mut stream = Wire::connect(server.public);
        stream.listen("/sub/a?transport=sse");
        let mut poll = Wire::connect(server.public);
        poll.get("/sub/a?transport=long-poll");
        let mut idle = Wire::connect(server.public);
        assert_eq!(idle.ask("/healthz").status(), 200);
        let mut publish = publish_half(&server);
        let mut inspector = Wire::connect(server.private);
        eventually("both are held", || (inspector.ask("/channels/a").member("subscribers") == 2).then_some(()));

        server.process.signal("TERM");
        stream_ends(&mut stream);
        assert_eq!(stream.end(), End::Proper);
        let answer = poll.response();
        assert_eq!((answer.status(), answer.head.field("Connection")), (200, Some("close")));
        assert_eq!(answer.member("messages").as_array().map(Vec::len), Some(0));
        assert!(!answer.member("cursor").is_null());
        assert_eq!(poll.end(), End::Proper);
        assert_eq!(idle.end(), End::Proper);
        publish.send("whole");
        let answer = publish.response();
        assert_eq!((answer.status(), answer.head.field("Connection")), (200, Some("close")), "{}", answer.text());
        assert_eq!(publish.end(), End::Proper);
        drop((stream, poll, idle, publish, inspector));
        assert_eq!(server.process.wait().code(), Some(0));
        TcpListener::bind(server.public).expect("the port is free");
        TcpListener::bind(server.private).expect("the port is free");
    }
}

#[test]
fn everybody_who_is_held_is_told() {
    const EACH: usize = 100;
    // A small second for three hundred: they are told one after the other, and all before the deadline.
    let mut server = ServerProcess::start(&["--reactors", "2", "--drain-spread", "3s", "--drain-timeout", "30s"]);
    let hold = |target: &str| {
        let mut wire = Wire::connect(server.public);
        wire.get(target);
        wire
    };
    let mut streams: Vec<Wire> = (0..EACH).map(|_| hold("/sub/a?transport=sse")).collect();
    let mut polls: Vec<Wire> = (0..EACH).map(|_| hold("/sub/a?transport=long-poll")).collect();
    let mut sockets: Vec<Ws> = (0..EACH).map(|_| Ws::open(server.public, "/sub/a")).collect();
    streams.iter_mut().for_each(|stream| stream.until("\n\n"));
    let mut inspector = Wire::connect(server.private);
    eventually("all are held", || (inspector.ask("/channels/a").member("subscribers") == 3 * EACH).then_some(()));
    drop(inspector);
    server.process.signal("TERM");
    for stream in &mut streams {
        stream_ends(stream);
        assert_eq!(stream.end(), End::Proper);
    }
    for poll in &mut polls {
        let answer = poll.response();
        assert_eq!((answer.status(), answer.head.field("Connection")), (200, Some("close")));
        assert_eq!(poll.end(), End::Proper);
    }
    for socket in &mut sockets {
        let told = loop {
            match socket.next() {
                Heard::Text(text) if text.contains("\"close\":\"stopping\"") => break text,
                Heard::Text(_) => {}
                other => panic!("no farewell but {other:?}"),
            }
        };
        assert!(told.contains("\"retry\":"), "{told}");
        assert!(matches!(socket.next(), Heard::Close(1001, _)));
    }
    drop(sockets);
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut server = ServerProcess::start(&["--drain-timeout", "1h"]);
        let _publish = publish_half(&server);
        let mut stream = Wire::connect(server.public);
        stream.listen("/sub/a?transport=sse");
        server.process.signal(signal);
        stream_ends(&mut stream);
        // By now the first signal has been taken, and the half publish keeps the server up.
        server.process.signal(signal);
        assert_eq!(server.process.wait().code(), Some(code));
    }
}

#[test]
fn a_stop_does_not_wait_longer_than_it_was_told() {
    let mut server = ServerProcess::start(&["--drain-timeout", "200ms"]);
    let _publish = publish_half(&server);
    let mut stream = Wire::connect(server.public);
    stream.listen("/sub/a?transport=sse");
    server.process.signal("TERM");
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn a_successor_takes_the_port_at_once() {
    let mut server = ServerProcess::start(&[]);
    let mut wire = Wire::connect(server.public);
    wire.listen("/sub/a?transport=sse");
    server.process.signal("TERM");
    assert_eq!(server.process.wait().code(), Some(0));
    let (public, private) = (server.public.to_string(), server.private.to_string());
    let successor = ServerProcess::of(encke(&["--listen", &public, "--private", &private]));
    assert_eq!(successor.public, server.public);
    assert_eq!(Wire::connect(successor.public).ask("/healthz").status(), 200);
}

#[test]
fn whatever_a_stop_finds_taken_was_answered() {
    for reactors in ["1", "2"] {
        let mut server = ServerProcess::start(&["--reactors", reactors]);
        let mut stream = Wire::connect(server.public);
        stream.listen("/sub/a?transport=sse");
        let mut publish = Wire::connect(server.private);
        let mut writer = publish.writer();
        let (answered, end, seen) = thread::scope(|scope| {
            // Writes until the server has gone.
            scope.spawn(move || while writer.write_all(post("/a", "text/plain", "x").repeat(16).as_bytes()).is_ok() {});
            let seen = scope.spawn(move || {
                let (mut events, mut seen) = (Events::default(), 0);
                while let Ok(Piece::Body(bytes)) = stream.piece() {
                    let outcome = events.feed(&bytes, |_| {
                        seen += 1;
                        true
                    });
                    outcome.expect("an event stream");
                }
                seen
            });
            let mut answered = 0;
            loop {
                match publish.response_or_end() {
                    Ok(answer) if answer.status() == 200 => answered += 1,
                    Ok(answer) => panic!("{}", answer.text()),
                    Err(end) => break (answered, end, seen.join().expect("no panic")),
                }
                if answered == 500 {
                    server.process.signal("TERM");
                }
            }
        });
        assert!(seen > 0 && answered >= seen, "{reactors} reactors: {seen} were taken, {answered} answered, {end:?}");
        assert_eq!(server.process.wait().code(), Some(0));
    }
}

/// A stream is told when to come back, and then ends with its last chunk.
fn stream_ends(stream: &mut Wire) {
    match stream.piece() {
        Ok(Piece::Body(bytes)) => assert!(bytes.starts_with(b"retry: "), "{}", String::from_utf8_lossy(&bytes)),
        other => panic!("no farewell but {other:?}"),
    }
    assert!(matches!(stream.piece(), Ok(Piece::End)), "the last chunk");
}
