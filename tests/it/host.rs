use crate::support::process::{encke, run, stderr};
use crate::support::wire::{Wire, post};
use crate::support::{DEADLINE, REACTORS, config, eventually};
use encke::{Config, Error, Event, EventKind, Events, Server};
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;

fn hosted(config: Config) -> (Server, Events) {
    Server::start_hosted(config).expect("a server on free ports")
}

/// Sleeps on the descriptor, as an event loop would, until there is an event.
fn wait(events: &Events) -> Event {
    let mut poll = Poll::new().expect("a poll");
    let fd = events.as_fd().as_raw_fd();
    loop {
        if let Some(event) = events.next() {
            return event;
        }
        poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).expect("a poll");
        let mut ready = mio::Events::with_capacity(1);
        poll.poll(&mut ready, Some(DEADLINE)).expect("a poll");
        assert!(!ready.is_empty(), "no event came");
        poll.registry().deregister(&mut SourceFd(&fd)).expect("a poll");
    }
}

fn request(event: &Event) -> serde_json::Value {
    serde_json::from_str(event.request()).expect("JSON")
}

#[test]
fn what_becomes_of_a_question_that_nobody_answers_is_as_it_was_reloaded() {
    let options = Config { judge: "/room/*".into(), ..config(2) };
    let (server, _events) = hosted(options.clone());
    let judge = server.judge();
    for (option, allows) in [("deny", false), ("allow", true), ("deny", false)] {
        server.reload(Config { judge_default: option.into(), ..options.clone() }).expect("good options");
        assert_eq!(judge.default_answer(), allows);
    }
}

#[test]
fn a_reader_waits_for_the_host_and_is_let_in_or_not() {
    for reactors in REACTORS {
        let (server, events) = hosted(Config { judge: "/room/*".into(), judge_timeout_ms: 3_600_000, ..config(reactors) });
        let judge = server.judge();
        for number in 0..2 * reactors {
            let mut reader = Wire::connect(server.addresses().public[0]);
            reader.get(&format!("/sub/room/1?transport=sse&number={number}"));
            let asked = wait(&events);
            assert_eq!((asked.kind, asked.channel()), (EventKind::Subscribe, "/room/1"));
            let who = request(&asked);
            assert_eq!((&who["transport"], &who["query"]), (&"sse".into(), &format!("transport=sse&number={number}").into()));
            assert!(who["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{who}");
            judge.answer(asked.question, number % 2 == 0).expect("room");
            if number % 2 == 0 {
                reader.until("id: ");
                let data = format!("number {number}");
                server.publisher().publish("/room/1", data.as_bytes()).expect("room");
                reader.until(&format!("data: {data}\n\n"));
            } else {
                let answer = reader.response();
                assert_eq!((answer.status(), answer.member("error")), (403, "forbidden".into()));
            }
        }
        server.stop();
        assert!(matches!(judge.answer(1, true), Err(Error::Closed)));
    }
}

#[test]
fn nobody_is_let_in_by_a_host_that_does_not_answer() {
    let (server, _events) = hosted(Config { judge: "/**".into(), judge_timeout_ms: 100, ..config(2) });
    let mut reader = Wire::connect(server.addresses().public[0]);
    assert_eq!(reader.ask("/sub/a?transport=sse").status(), 403);
}

#[test]
fn what_clients_publish_is_the_hosts_and_what_the_host_publishes_is_everybodys() {
    for reactors in REACTORS {
        let (server, events) = hosted(Config { host_channels: "/up".into(), ..config(reactors) });
        let address = server.addresses().public[0];
        let mut reader = Wire::connect(address);
        reader.listen("/sub/up?transport=sse");
        for number in 0..2 * reactors {
            let mut client = Wire::connect(address);
            client.send(post("/up", "text/x-note", &format!("from {number}")));
            let answer = client.response();
            assert_eq!((answer.status(), answer.member("taken")), (202, true.into()));
            let event = wait(&events);
            assert_eq!((event.kind, event.channel(), event.content_type()), (EventKind::Publish, "/up", "text/x-note"));
            assert_eq!(event.data(), format!("from {number}").as_bytes());
            let data = format!("to all: {number}");
            server.publisher().publish("/up", data.as_bytes()).expect("room");
            // The client's own words would have come before.
            reader.until(&format!("data: {data}\n\n"));
        }
        let mut application = Wire::connect(server.addresses().private[0]);
        assert_eq!(application.publish("/up", "by the other door").status(), 200);
        reader.until("data: by the other door\n\n");
    }
}

#[test]
fn each_position_is_told_once_however_many_come_and_go() {
    const CLIENTS: usize = 60;
    for reactors in REACTORS {
        let (server, events) = hosted(Config { events: "subscribed,unsubscribed,gone".into(), ..config(reactors) });
        let address = server.addresses().public[0];
        server.publisher().publish("/c", b"so that a long poll is answered").expect("room");
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                scope.spawn(move || {
                    let mut wire = Wire::connect(address);
                    match number % 3 {
                        0 => wire.listen("/sub/a?channel=/b&channel=/c&transport=sse"),
                        1 => assert_eq!(wire.ask("/sub/b?transport=poll").status(), 200),
                        _ => assert_eq!(wire.ask("/sub/c?transport=long-poll&since=earliest").status(), 200),
                    }
                });
            }
            let (mut held, mut gone) = (HashMap::<u64, HashSet<String>>::new(), HashSet::new());
            let mut taken = 0;
            while gone.len() < CLIENTS {
                let event = wait(&events);
                let held = held.entry(event.client).or_default();
                assert!(!gone.contains(&event.client));
                match event.kind {
                    EventKind::Subscribed => assert!(held.insert(event.channel().into())),
                    EventKind::Unsubscribed => assert!(held.remove(event.channel())),
                    EventKind::Gone => assert!(held.is_empty() && gone.insert(event.client)),
                    other => panic!("{other:?}"),
                }
                taken += usize::from(event.kind == EventKind::Subscribed);
            }
            assert_eq!(taken, CLIENTS / 3 * 5);
            assert!(events.next().is_none());
        });
    }
}

#[test]
fn a_host_that_does_not_come_is_told_how_much_it_missed() {
    const POLLS: u64 = 50;
    let (server, events) = hosted(Config { events: "subscribed,unsubscribed".into(), events_max: 7, ..config(2) });
    let mut wire = Wire::connect(server.addresses().public[0]);
    for _ in 0..POLLS {
        assert_eq!(wire.ask("/sub/a?transport=poll").status(), 200);
    }
    let missed = wait(&events);
    assert_eq!(missed.kind, EventKind::Overflow);
    let missed: u64 = String::from_utf8_lossy(missed.data()).parse().expect("a count");
    let told = std::iter::from_fn(|| events.next()).count() as u64;
    assert_eq!((told, missed), (7, 2 * POLLS - 7));
    assert_eq!(wire.ask("/sub/a?transport=poll").status(), 200);
    assert_eq!(wait(&events).kind, EventKind::Subscribed);
}

#[test]
fn events_are_there_after_the_server_has_stopped() {
    let (server, events) = hosted(Config { events: "gone,log".into(), ..config(2) });
    let mut reader = Wire::connect(server.addresses().public[0]);
    reader.listen("/sub/a?transport=sse");
    let outbox = server.outbox().expect("there is a host");
    drop(reader);
    assert_eq!(wait(&events).kind, EventKind::Gone);
    assert!(outbox.push(Event::log("a line")));
    server.stop();
    assert_eq!(eventually("a line", || events.next()).data(), b"a line");
}

#[test]
fn without_a_host_nothing_speaks_to_one() {
    for (option, value) in [("--judge", "/room/*"), ("--host-channels", "/up"), ("--events", "gone")] {
        let output = run(&mut encke(&["serve", option, value]), b"");
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(option) && said.contains("a program that links Encke"), "{said}");
    }
    let error = Server::start(Config { judge: "/a".into(), ..config(1) }).expect_err("there is none").to_string();
    assert!(error.starts_with("--judge: "), "{error}");
}
