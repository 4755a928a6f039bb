//! A server's threads: how they start, fail and end.

use super::*;
use crate::base::event::{Event, EventKind};
use crate::base::payload::Parts;
use crate::base::time::Tick;
use crate::reactor::mailbox::{End, Inbox, mailbox};
use crate::reactor::waker::Waker;
use mio::{Events, Poll, Token};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server's shared half with one reactor that nobody drives.
fn shared() -> (Arc<Shared>, Inbox, Poll) {
    let poll = Poll::new().expect("a poll");
    let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
    let (mailbox, inbox) = mailbox(1, waker, false).expect("queues");
    let shared = Shared { mailboxes: vec![mailbox], tallies: vec![], ..Shared::for_tests(0) };
    (Arc::new(shared), inbox, poll)
}

fn is_woken(poll: &mut Poll) -> bool {
    let mut events = Events::with_capacity(4);
    poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
    !events.is_empty()
}

#[test]
fn a_panic_stops_the_server_and_stays_in_its_thread() {
    let (shared, _inbox, mut poll) = shared();
    fenced(&shared, 0, || panic!("on purpose"));
    assert!(shared.is_stopping());
    assert!(is_woken(&mut poll));
}

#[test]
fn the_host_program_is_told_of_a_failure() {
    let (shared, _inbox, _poll) = shared();
    let mut shared = Arc::into_inner(shared).expect("nobody else has it");
    let (outbox, events) = outbox(1).expect("a pair");
    assert!(outbox.push(Event::log("whatever waits")));
    shared.outbox = Some(outbox);
    fenced(&Arc::new(shared), 3, || panic!("on purpose"));
    assert_eq!(events.next().map(|event| event.kind), Some(EventKind::Log));
    let failure = events.next().expect("it failed");
    assert_eq!(failure.kind, EventKind::Failed);
    assert_eq!(failure.data(), b"reactor 3 panicked, the server stops: on purpose");
    assert!(events.next().is_none());
}

#[test]
fn an_answer_goes_to_the_shard_that_asked() {
    let (shared, mut inbox, _poll) = shared();
    let judge = Judge::new(shared.clone());
    assert!(matches!(judge.answer(1 << 48, true), Err(Error::Invalid(_))), "there is one shard");
    assert!(judge.answer(7, true).is_ok());
    assert!(matches!(judge.answer(8, true), Err(Error::Full)));
    let (_, End::Rare(rare)) = inbox.mail(Tick(0)) else { panic!("the verdict") };
    assert!(matches!(*rare, Rare::Verdict { question: 7, allow: true }));
    shared.stop();
    assert!(matches!(judge.answer(9, true), Err(Error::Closed)));
}

#[test]
fn a_failure_stops_the_server_and_a_normal_end_does_not() {
    let (shared, _inbox, _poll) = shared();
    fenced(&shared, 0, || Ok(()));
    assert!(!shared.is_stopping());
    fenced(&shared, 0, || Err(io::Error::other("no epoll")));
    assert!(shared.is_stopping());
}

#[test]
fn the_last_reactor_to_drain_wakes_the_others_even_by_a_panic() {
    let (shared, _inbox, mut poll) = shared();
    let first = Attendance::new(shared.clone());
    let second = Attendance::new(shared.clone());
    drop(first);
    assert!(!shared.is_drained());
    assert!(!is_woken(&mut poll));
    fenced(&shared, 1, || {
        let _held = second;
        panic!("on purpose")
    });
    assert!(shared.is_drained());
    assert!(is_woken(&mut poll));
}

#[test]
fn a_publisher_of_a_stopped_server_is_told() {
    let (shared, _inbox, _poll) = shared();
    shared.stop();
    let publisher = Publisher::new(shared);
    assert!(matches!(publisher.publish("/a", b"x"), Err(Error::Closed)));
}

#[test]
fn a_message_that_is_none_is_refused_where_it_is_made() {
    let (shared, _inbox, _poll) = shared();
    let publisher = Publisher::new(shared);
    assert!(matches!(publisher.publish("no slash", b"x"), Err(Error::Invalid(_))));
    assert!(matches!(publisher.publish("/a", b"eleven byte"), Err(Error::Invalid(_))));
    let parts = Parts { channel: "/a", content_type: "application/json", event: "", data: b"{", unix_ms: 0 };
    assert!(matches!(publisher.publish_with(&parts), Err(Error::Invalid(_))));
}

#[test]
fn an_option_out_of_its_bounds_names_itself() {
    for (config, name) in [
        (Config { reactors: 257, ..Config::default() }, "reactors"),
        (Config { mailbox_messages: 0, ..Config::default() }, "mailbox-messages"),
        (Config { listen: vec!["nowhere".into()], ..Config::default() }, "listen"),
    ] {
        match Server::start(config) {
            Err(Error::Config(text)) => assert!(text.contains(name), "{text}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn free_ports(reactors: u64) -> Config {
    let any = || vec!["127.0.0.1:0".into()];
    Config { listen: any(), private: any(), reactors, ..Config::default() }
}

/// Reads up to and with a line that holds `text`.
fn read_until(reader: &mut impl BufRead, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("a stream"), 0, "it ended before {text:?}");
    }
}

#[test]
fn a_message_reaches_the_subscribers_of_every_reactor_and_a_stop_ends_their_streams() {
    let server = Server::start(free_ports(3)).expect("free ports");
    let address = server.addresses().public[0];
    let mut streams: Vec<_> = (0..20).map(|_| subscribe(address)).collect();
    server.publisher().publish("/news", b"ciao").expect("room");
    for stream in &mut streams {
        read_until(stream, "data: ciao");
    }
    thread::scope(|scope| {
        scope.spawn(|| server.stop());
        for mut stream in streams {
            stream.read_to_end(&mut Vec::new()).expect("an end, not a reset");
        }
    });
}

/// A stream of `/news` that is under way.
fn subscribe(address: SocketAddr) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream.write_all(b"GET /sub/news?transport=sse HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("room");
    let mut stream = BufReader::new(stream);
    read_until(&mut stream, "text/event-stream");
    stream
}

#[test]
fn a_flush_returns_when_all_that_was_published_is_taken() {
    let server = Server::start(free_ports(3)).expect("free ports");
    let publisher = server.publisher();
    for number in 0..3_000 {
        publisher.publish(&format!("/flush/{}", number % 10), b"x").expect("room");
    }
    publisher.flush(Duration::from_secs(20)).expect("it is taken");
    assert_eq!(server.publisher().stats().published, 3_000);
    server.finish(Duration::from_secs(20)).expect("nothing is left");
    assert!(matches!(publisher.flush(Duration::from_secs(20)), Err(Error::Closed)));
}

#[test]
fn a_flush_ends_in_time_though_nobody_takes_anything() {
    let (shared, _inbox, _poll) = shared();
    let publisher = Publisher::new(shared);
    assert!(matches!(publisher.flush(Duration::ZERO), Err(Error::TimedOut)));
    assert!(matches!(publisher.flush(Duration::from_millis(1)), Err(Error::TimedOut)), "no room for a barrier");
}

#[test]
fn a_stopped_server_takes_neither_connections_nor_messages() {
    let server = Server::start(free_ports(2)).expect("free ports");
    assert!(server.is_running());
    let (address, publisher) = (server.addresses().public[0], server.publisher());
    server.stop();
    assert!(matches!(publisher.publish("/a", b"x"), Err(Error::Closed)));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn two_seeds_differ() {
    assert_ne!(system_seed(), system_seed());
    let Seed(first, second) = system_seed();
    assert_ne!(first, second);
}

#[test]
fn publishers_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync>() {}
    anywhere::<Publisher>();
}
