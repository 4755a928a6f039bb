use crate::limits::metric;
use crate::stop::publish_half;
use crate::support::book::{Author, Book};
use crate::support::crowd::{Crowd, Way};
use crate::support::eventually;
use crate::support::ledger::{Faults, Ledger};
use crate::support::process::{Running, ServerProcess, Stranger, descriptors, encke, signal};
use crate::support::scratch::{Scratch, text_of};
use crate::support::wire::{End, Wire, post};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CHANNELS: usize = 20;
const READERS: usize = 240;

/// Has a new process take over from the one called `id`, and waits until it has.
pub fn succeed(process: &Running, id: u32) -> Stranger {
    assert!(signal(id, "USR2"));
    let line = process.said("has taken over");
    let id = line.split_once("msg=\"process ").and_then(|(_, rest)| rest.split(' ').next()).and_then(|id| id.parse().ok());
    Stranger(id.unwrap_or_else(|| panic!("no process in {line:?}")))
}

/// What a publisher met that kept on until all was taken.
#[derive(Debug, Default)]
pub struct Toil {
    /// Told that nothing was taken.
    pub refused: u64,
    /// Connections that ended before an answer.
    pub ended: u64,
}

/// Publishes what an author writes, one message after the other and not faster than one in `pace`, until told to end.
/// Whatever was not taken is sent again.
pub fn publish(private: SocketAddr, book: &Book, pace: Duration, taken: &AtomicU64, ended: &AtomicBool) -> Toil {
    let (mut author, mut wire, mut toil) = (Author::new(book, 0), Wire::connect(private), Toil::default());
    let mut due = Instant::now();
    while !ended.load(Ordering::Acquire) {
        due += pace;
        while let Some(early) = due.checked_duration_since(Instant::now()).filter(|early| !early.is_zero()) {
            thread::park_timeout(early);
        }
        let (channel, text) = author.write();
        loop {
            wire.offer(post(book.name(channel), "text/plain", &text).as_bytes());
            match wire.response_or_end() {
                Ok(answer) if answer.status() == 200 => break,
                Ok(answer) => {
                    assert_eq!((answer.status(), answer.member("error")), (503, "stopping".into()));
                    toil.refused += 1;
                }
                Err(End::Proper) => toil.ended += 1,
                Err(End::Reset) => panic!("a publisher was cut off"),
            }
            wire = Wire::connect(private);
        }
        book.note(channel, 1);
        taken.fetch_add(1, Ordering::AcqRel);
    }
    toil
}

#[test]
fn successors_take_over_and_everybody_gets_everything_once() {
    for reactors in ["1", "3"] {
        let options = ["--reactors", reactors, "--drain-spread", "2s", "--drain-timeout", "40s"];
        let mut server = ServerProcess::start(&options);
        let book = Book::new(CHANNELS, 60);
        let mut crowd = Crowd::new(server.public, &book);
        for i in 0..READERS {
            crowd.join(&[i % CHANNELS], [Way::Sse, Way::LongPoll, Way::Poll][i % 3]);
        }
        crowd.gather();
        let (taken, ended, over) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let private = server.private;
        let process = &server.process;
        let successors = thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                let toil = publish(private, &book, Duration::ZERO, &taken, &ended);
                over.store(true, Ordering::Release);
                toil
            });
            let chain = scope.spawn(|| {
                let more = |count| eventually("more is published", || (taken.load(Ordering::Acquire) >= count).then_some(()));
                more(200);
                let first = succeed(process, process.id());
                more(taken.load(Ordering::Acquire) + 200);
                // And once more, from the one that took over.
                let second = succeed(process, first.0);
                more(taken.load(Ordering::Acquire) + 200);
                ended.store(true, Ordering::Release);
                (first, second)
            });
            while !over.load(Ordering::Acquire) && !publisher.is_finished() {
                crowd.turn(Duration::from_millis(5));
            }
            let toil = publisher.join().expect("no panic");
            println!("succession: reactors {reactors}, published {}, {toil:?}", taken.load(Ordering::Acquire));
            chain.join().expect("no panic")
        });
        crowd.run_to_the_end();
        assert_eq!(crowd.received, crowd.due());
        assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0), "{:?}", crowd.first_break);
        assert!(crowd.ledgers().all(|ledger: &Ledger| ledger.notices == 0), "nothing was missed");
        assert_eq!(server.process.wait().code(), Some(0));
        drop(crowd);
        assert!(signal(successors.1.0, "TERM"));
        server.process.silent();
    }
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let scratch = Scratch::new();
    let path = scratch.file("encke.toml", "");
    let server = ServerProcess::of(encke(&["--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--config", &path]));
    let mut stream = Wire::connect(server.public);
    stream.listen("/sub/a?transport=sse");
    let mut application = Wire::connect(server.private);
    scratch.file("encke.toml", "jitter = 99\n");
    server.process.signal("USR2");
    server.process.said("--jitter: 99% is out of bounds");
    server.process.said("this one goes on: the successor did not take over");
    assert_eq!(application.publish("/a", "still here").status(), 200);
    stream.until("data: still here");
    scratch.file("encke.toml", "");
    let successor = succeed(&server.process, server.process.id());
    // What was published before is there, on connections that are new.
    let answer = Wire::connect(server.public).ask("/sub/a?transport=poll&since=earliest");
    assert_eq!(answer.member("messages")[0]["data"], "still here");
    drop(successor);
}

#[test]
fn the_control_socket_goes_over_with_its_file() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let mut server = ServerProcess::start(&["--control", &text_of(&path), "--reactors", "2"]);
    let successor = succeed(&server.process, server.process.id());
    assert_eq!(server.process.wait().code(), Some(0));
    assert_eq!(Wire::connect_unix(&path).publish("/a", "x").status(), 200);
    assert!(signal(successor.0, "TERM"));
    server.process.silent();
    assert!(!path.exists(), "the last one takes it away");
}

const LONG: [&str; 4] = ["--drain-timeout", "10m", "--body-timeout", "10m"];

#[test]
fn whoever_was_refused_shortly_before_is_let_go_while_the_predecessor_drains() {
    let mut server = ServerProcess::start(&[&LONG[..], &["--reactors", "1", "--connection-rate-per-address", "1"]].concat());
    let mut publish = publish_half(&server);
    let mut inspector = Wire::connect(server.private);
    eventually("both are there", || (metric(&mut inspector, "encke_connections") == 2).then_some(()));
    drop(inspector);
    let before = server.descriptors();
    let over = AtomicBool::new(false);
    let successor = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                drop(Wire::connect(server.public));
                thread::park_timeout(Duration::from_millis(2));
            }
        });
        let successor = succeed(&server.process, server.process.id());
        over.store(true, Ordering::Release);
        successor
    });
    eventually("they are gone", || (descriptors(server.process.id()) < before).then_some(()));
    publish.send("done!");
    assert_eq!(server.process.wait().code(), Some(0));
    drop(successor);
}

#[test]
fn a_server_that_drains_has_left_its_control_socket_to_the_next() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let control = text_of(&path);
    let options = [&LONG[..], &["--control", &control]].concat();
    let mut server = ServerProcess::start(&options);
    let mut publish = publish_half(&server);
    server.process.signal("TERM");
    eventually("its file is gone", || (!path.exists()).then_some(()));
    let _next = ServerProcess::start(&options);
    publish.send("done!");
    assert_eq!(server.process.wait().code(), Some(0));
    assert_eq!(Wire::connect_unix(&path).publish("/a", "x").status(), 200);
}

#[test]
fn a_control_socket_that_is_not_wanted_any_more_leaves_no_file() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let file = scratch.file("encke.toml", &format!("control = {:?}\n", text_of(&path)));
    let mut server = ServerProcess::of(encke(&["--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--config", &file]));
    assert!(path.exists());
    scratch.file("encke.toml", "");
    let _successor = succeed(&server.process, server.process.id());
    assert_eq!(server.process.wait().code(), Some(0));
    assert!(!path.exists());
}

/// The end of the first process is the end of all others in its container.
#[test]
fn the_first_process_of_a_container_starts_no_successor() {
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-root-user", "--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_encke"), "serve"]);
    command.args(["--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"]);
    let server = ServerProcess::of(command);
    let id = server.process.id();
    let first = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("the process runs");
    assert!(signal(first.trim().parse().expect("one child"), "USR2"));
    server.process.said("no successor: this is the first process of its container");
    assert_eq!(Wire::connect(server.private).publish("/a", "still here").status(), 200);
}
