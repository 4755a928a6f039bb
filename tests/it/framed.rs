use crate::delivery::assemble;
use crate::support::book::{Author, Book};
use crate::support::crowd::Crowd;
use crate::support::frames::{Flushed, Frames};
use crate::support::ledger::Faults;
use crate::support::process::ServerProcess;
use crate::support::scratch::{Scratch, text_of};
use crate::support::wire::Wire;
use crate::support::{DEADLINE, REACTORS, config, eventually, publishers, serve};
use encke::{Config, Error, Parts, Remote};
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// All were taken.
const ALL: Flushed = Flushed { refused: 0, first: String::new() };

fn config_at(path: &Path, reactors: u64) -> Config {
    Config { control: Some(text_of(path)), ..config(reactors) }
}

fn remote(path: &Path) -> Remote {
    Remote::connect(&format!("unix:{}", text_of(path))).expect("a server")
}

/// How many messages of a channel were kept since it began; 0 if there is no such channel.
fn kept(inspector: &mut Wire, channel: &str) -> u64 {
    let head = inspector.ask(&format!("/channels{channel}")).member("head");
    head.as_str().and_then(|head| head.split_once('-')).map_or(0, |(_, offset)| offset.parse().expect("an offset"))
}

#[test]
fn everybody_gets_everything_that_is_framed_once_and_in_order() {
    const READERS: usize = 100;
    const MESSAGES: usize = 25_000;
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let server = serve(Config { history_messages: 10_000, ..config_at(&path, 3) });
    let book = Book::new(crate::delivery::CHANNELS, 60);
    let mut crowd = Crowd::new(server.addresses().public[0], &book);
    assemble(&mut crowd, READERS);
    let busy = AtomicUsize::new(4);
    thread::scope(|scope| {
        for id in 0..4 {
            let (book, path, busy) = (&book, &path, &busy);
            scope.spawn(move || {
                let mut author = Author::new(book, id);
                match id {
                    0 | 1 => publishers::framed(Frames::connect(path), &mut author, MESSAGES),
                    _ => publishers::remote(&remote(path), &mut author, MESSAGES),
                }
                busy.fetch_sub(1, Ordering::AcqRel);
            });
        }
        crowd.run_until("everything is published", |_| busy.load(Ordering::Acquire) == 0);
    });
    crowd.run_to_the_end();
    assert_eq!(book.published_in_all(), 4 * MESSAGES as u64);
    assert_eq!(crowd.received, crowd.due());
    assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0));
}

#[test]
fn a_flush_means_that_homes_have_it() {
    for reactors in REACTORS {
        let scratch = Scratch::new();
        let path = scratch.path("control");
        let server = serve(config_at(&path, reactors));
        let mut inspector = Wire::connect(server.addresses().private[0]);
        let (mut frames, remote) = (Frames::connect(&path), remote(&path));
        for number in 1..=50 {
            let channel = format!("/flushed/{}", number % 7);
            let before = kept(&mut inspector, &channel);
            frames.message(&channel, "by hand");
            assert_eq!(frames.flush(), ALL);
            assert_eq!(kept(&mut inspector, &channel), before + 1);
            remote.publish(&channel, b"by the library").expect("room");
            remote.flush(DEADLINE).expect("an answer");
            assert_eq!(kept(&mut inspector, &channel), before + 2);
        }
    }
}

#[test]
fn small_mailboxes_hold_publishers_up_and_lose_nothing() {
    const MESSAGES: u64 = 20_000;
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let small = Config { mailbox_messages: 64, history_messages: MESSAGES, ..config_at(&path, 3) };
    let server = serve(small);
    let mut inspector = Wire::connect(server.addresses().private[0]);
    // Whichever reactor a connection is dealt to, one channel or the other has its home elsewhere.
    for (number, flushes) in [true, false, true, false, true, false].into_iter().enumerate() {
        let channels = ["a", "b", "c"].map(|name| format!("/small/{name}{number}"));
        let mut frames = Frames::connect(&path);
        for message in 0..MESSAGES {
            frames.message(&channels[message as usize % 3], "x");
            if message % 100 == 0 {
                frames.send();
            }
        }
        match flushes {
            true => assert_eq!(frames.flush(), ALL),
            // It goes at once, and its end comes behind all that the server has yet to read.
            false => frames.send(),
        }
        drop(frames);
        let all = || (channels.iter().map(|channel| kept(&mut inspector, channel)).sum::<u64>() == MESSAGES).then_some(());
        eventually("all are kept", all);
    }
}

#[test]
fn who_leaves_without_reading_answers_is_still_heard_out() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let server = serve(config_at(&path, 2));
    let mut inspector = Wire::connect(server.addresses().private[0]);
    for number in 0..20 {
        let channel = format!("/left/{number}");
        let mut frames = Frames::connect(&path);
        for _ in 0..2_000 {
            frames.message(&channel, "said and gone");
            frames.ask();
        }
        frames.send();
        drop(frames);
        eventually("all are kept", || (kept(&mut inspector, &channel) == 2_000).then_some(()));
    }
}

#[test]
fn what_is_refused_is_told_with_the_next_flush() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let _server = serve(Config { channels_max: 3, ..config_at(&path, 3) });
    let mut frames = Frames::connect(&path);
    frames.message("no slash", "x");
    frames.typed("/a", "application/json", "{");
    frames.message("/a", "good");
    let flushed = frames.flush();
    assert_eq!(flushed.refused, 2);
    assert!(flushed.first.contains("\"bad_channel\""), "{}", flushed.first);
    assert_eq!(frames.flush(), ALL);

    let remote = remote(&path);
    for number in 0..100 {
        remote.publish(&format!("/one/too/many/{number}"), b"x").expect("room");
    }
    let Err(Error::Invalid(text)) = remote.flush(DEADLINE) else { panic!("there is room for three") };
    assert!(text.contains("channels_max"), "{text}");
    remote.flush(DEADLINE).expect("it was told");
    for wrong in [remote.publish("no slash", b"x"), remote.publish_with(&Parts { event: "two\nlines", ..parts(b"x") })] {
        assert!(matches!(wrong, Err(Error::Invalid(_))));
    }
}

fn parts(data: &[u8]) -> Parts<'_> {
    Parts { channel: "/a", content_type: "", event: "", data, unix_ms: 0 }
}

#[test]
fn what_cannot_be_understood_ends_the_stream_and_nothing_else() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let server = serve(Config { body_bytes_max: 1_000, ..config_at(&path, 2) });
    let mut inspector = Wire::connect(server.addresses().private[0]);
    let mut frames = Frames::connect(&path);
    frames.message("/a", "good");
    frames.message("/a", &"x".repeat(1_001));
    frames.send();
    frames.end();
    // Nobody asked for a barrier: the message may still be on its way to its home.
    eventually("what came before is kept", || (kept(&mut inspector, "/a") == 1).then_some(()));

    // The library does not know the bound: what the server ends every connection for is given up, and told.
    let remote = remote(&path);
    remote.publish("/b", &vec![b'x'; 4 << 20]).expect("room");
    remote.publish("/b", b"behind it").expect("room");
    let Err(Error::Lost(text)) = remote.flush(DEADLINE) else { panic!("it is too long") };
    assert!(text.contains("1 messages"), "{text}");
    remote.flush(DEADLINE).expect("what came behind it is taken");
    assert_eq!(kept(&mut inspector, "/b"), 1);
}

#[test]
fn a_half_closed_stream_is_answered_to_its_end() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let _server = serve(config_at(&path, 3));
    let mut frames = Frames::connect(&path);
    for number in 0..1_000 {
        frames.message(&format!("/half/{}", number % 10), "x");
    }
    frames.ask();
    frames.send();
    frames.shut();
    assert_eq!(frames.answer(0), ALL);
    frames.end();
}

#[test]
fn a_server_that_stops_takes_what_it_was_sent() {
    for reactors in REACTORS {
        let scratch = Scratch::new();
        let path = scratch.path("control");
        let server = serve(config_at(&path, reactors));
        let mut frames = Frames::connect(&path);
        assert_eq!(frames.flush(), ALL);
        for _ in 0..1_000 {
            frames.message("/a", "in time");
        }
        frames.ask();
        frames.send();
        let stopping = thread::spawn(move || server.stop());
        assert_eq!(frames.answer(1), ALL);
        frames.end();
        stopping.join().expect("a stop");
    }
}

#[test]
fn a_remote_publisher_finds_the_server_that_comes_after() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let options = ["--control", &text_of(&path)];
    let mut first = ServerProcess::start(&options);
    let remote = remote(&path);
    remote.publish("/a", b"before").expect("room");
    remote.flush(DEADLINE).expect("it was taken");
    first.process.signal("KILL");
    first.process.wait();
    // Confirmed before it broke: there is no doubt about anything, and nobody needs to be asked.
    remote.flush(Duration::from_millis(50)).expect("nothing is open");
    for _ in 0..1_000 {
        remote.publish("/a", b"meanwhile").expect("room");
    }
    let second = ServerProcess::start(&options);
    remote.flush(DEADLINE).expect("what was not sent is sent now");
    let mut inspector = Wire::connect(second.private);
    assert_eq!(kept(&mut inspector, "/a"), 1_000);
    remote.close(DEADLINE).expect("nothing is left");
}

#[test]
fn a_remote_publisher_comes_by_the_private_listener_too() {
    let server = serve(config(2));
    let remote = Remote::connect(&format!("http://{}", server.addresses().private[0])).expect("a server");
    for _ in 0..1_000 {
        remote.publish("/a", b"by http").expect("room");
    }
    remote.flush(DEADLINE).expect("it was taken");
    let mut inspector = Wire::connect(server.addresses().private[0]);
    assert_eq!(kept(&mut inspector, "/a"), 1_000);
    let refused = Remote::connect(&format!("http://{}", server.addresses().public[0]));
    assert!(matches!(refused, Err(Error::Io(..))), "{refused:?}");
}

#[test]
fn what_the_system_had_taken_and_no_server_has_is_told() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    // Somebody who reads the beginning of what comes, and answers nothing.
    let listener = UnixListener::bind(&path).expect("a socket");
    let remote = remote(&path);
    let (mut connection, _) = listener.accept().expect("it connects");
    remote.publish("/a", b"on its way").expect("room");
    // The preface, and one byte of a message that is written whole: it is on its way.
    connection.read_exact(&mut [0; 9]).expect("a message");
    assert!(matches!(remote.flush(Duration::from_millis(50)), Err(Error::TimedOut)));
    drop(connection);
    let told = eventually("it is told", || match remote.flush(Duration::from_millis(50)) {
        Err(Error::Lost(text)) => Some(text),
        Err(Error::TimedOut) => None,
        other => panic!("{other:?}"),
    });
    assert!(told.contains("1 messages"), "{told}");
}

#[test]
fn several_threads_may_flush_at_once() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let _server = serve(config_at(&path, 3));
    let remote = remote(&path);
    thread::scope(|scope| {
        for id in 0..8 {
            let remote = &remote;
            scope.spawn(move || {
                for number in 0..200 {
                    remote.publish(&format!("/at/once/{}", (id + number) % 10), b"x").expect("room");
                    remote.flush(DEADLINE).expect("an answer");
                }
            });
        }
    });
}

#[test]
fn a_publisher_that_nobody_reads_is_told_to_wait() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let _listener = UnixListener::bind(&path).expect("a socket");
    let remote = remote(&path);
    let data = vec![0; 100_000];
    let full = (0..1_000).find_map(|_| remote.publish("/a", &data).err());
    assert!(matches!(full, Some(Error::Full)), "{full:?}");
    assert!(matches!(remote.close(Duration::from_millis(20)), Err(Error::TimedOut)));
}

#[test]
fn who_listens_nowhere_is_not_connected_to() {
    let scratch = Scratch::new();
    let nobody = format!("unix:{}", text_of(&scratch.path("nobody")));
    assert!(matches!(Remote::connect(&nobody), Err(Error::Io(..))));
    for wrong in ["", "unix:", "http://127.0.0.1", "/run/encke.sock"] {
        let Err(Error::Invalid(text)) = Remote::connect(wrong) else { panic!("{wrong} is no address") };
        assert!(text.contains("unix:/run/encke.sock"), "{text}");
    }
}
