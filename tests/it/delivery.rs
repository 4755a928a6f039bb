use crate::support::book::{Author, Book};
use crate::support::crowd::{Crowd, Way};
use crate::support::ledger::Faults;
use crate::support::wire::Wire;
use crate::support::{REACTORS, config, publishers, serve};
use encke::Server;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub const CHANNELS: usize = 50;
const READERS: usize = 500;
const MESSAGES: usize = 20_000;
/// Four threads of the server's process, one that pipelines, one that sends batches.
pub const AUTHORS: usize = 6;

#[test]
fn everybody_gets_everything_once_and_in_order() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let book = Book::new(CHANNELS, 60);
        let mut crowd = Crowd::new(server.addresses().public[0], &book);
        assemble(&mut crowd, READERS);
        storm(&server, &book, &mut crowd, MESSAGES);
        assert_eq!(book.published_in_all(), MESSAGES as u64);
        assert_eq!(crowd.received, crowd.due(), "{reactors} reactors");
        assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0), "{reactors} reactors");
        let mut inspector = Wire::connect(server.addresses().private[0]);
        for channel in 0..CHANNELS {
            let head = inspector.ask(&format!("/channels{}", book.name(channel))).member("head");
            let last = format!("-{}", book.published(channel));
            assert!(head.as_str().is_some_and(|head| head.ends_with(&last)), "{head} ends with {last}");
        }
        server.stop();
    }
}

#[test]
fn whoever_comes_late_gets_the_history_in_the_same_order() {
    let server = serve(config(2));
    let book = Book::new(3, 10);
    publishers::in_process(&server.publisher(), &mut Author::new(&book, 0), 900);
    let mut crowd = Crowd::new(server.addresses().public[0], &book);
    for (i, way) in [Way::Sse, Way::LongPoll, Way::Poll].into_iter().cycle().take(30).enumerate() {
        let channels: [&[usize]; 4] = [&[0], &[1], &[2], &[2, 0, 1]];
        crowd.join(channels[i % channels.len()], way);
    }
    crowd.run_to_the_end();
    assert_eq!(crowd.received, crowd.due());
    assert_eq!(crowd.faults(), Faults::default());
}

/// So many readers come, most of them of one channel, and are held.
pub fn assemble(crowd: &mut Crowd, readers: usize) {
    for i in 0..readers {
        let way = match i % 10 {
            0 => Way::Poll,
            1..4 => Way::LongPoll,
            _ => Way::Sse,
        };
        let first = i % CHANNELS;
        match i % 25 {
            0 => crowd.join(&[first, (first + 7) % CHANNELS, (first + 13) % CHANNELS], way),
            _ => crowd.join(&[first], way),
        }
    }
    crowd.gather();
}

/// All authors publish `messages` in all while the crowd reads, until it has read everything.
pub fn storm(server: &Server, book: &Book, crowd: &mut Crowd, messages: usize) {
    let share = messages / AUTHORS;
    let (private, publisher) = (server.addresses().private[0], server.publisher());
    let busy = AtomicUsize::new(AUTHORS);
    thread::scope(|scope| {
        for id in 0..AUTHORS {
            let (busy, publisher) = (&busy, &publisher);
            scope.spawn(move || {
                let mut author = Author::new(book, id);
                match id {
                    0 => publishers::pipelined(private, &mut author, share),
                    1 => publishers::batched(private, &mut author, messages - share * (AUTHORS - 1), 50),
                    _ => publishers::in_process(publisher, &mut author, share),
                }
                busy.fetch_sub(1, Ordering::AcqRel);
            });
        }
        crowd.run_until("everything is published", |_| busy.load(Ordering::Acquire) == 0);
    });
    crowd.run_to_the_end();
}
