use crate::delivery::{CHANNELS, assemble, storm};
use crate::support::book::{Author, Book};
use crate::support::crowd::{Crowd, Way};
use crate::support::ledger::Faults;
use crate::support::wire::Wire;
use crate::support::{REACTORS, config, publishers, serve};

const READERS: usize = 200;
const MESSAGES: usize = 10_000;

#[test]
fn whoever_is_cut_off_in_a_storm_misses_nothing_and_gets_nothing_twice() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let book = Book::new(CHANNELS, 300);
        let mut crowd = Crowd::new(server.addresses().public[0], &book);
        assemble(&mut crowd, READERS);
        // Each reader gets twice as many and more: so each is cut off once, at a place of its own.
        crowd.cut_each_within((MESSAGES / CHANNELS / 2) as u64);
        storm(&server, &book, &mut crowd, MESSAGES);
        assert_eq!(crowd.cuts, READERS as u64);
        assert_eq!(crowd.received, crowd.due(), "{reactors} reactors");
        assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0), "{reactors} reactors");
        server.stop();
    }
}

#[test]
fn streams_that_are_rotated_all_the_time_lose_nothing() {
    let server = serve(encke::Config { life_span_ms: 100, long_poll_timeout_ms: 100, ..config(2) });
    let book = Book::new(CHANNELS, 20);
    let mut crowd = Crowd::new(server.addresses().public[0], &book);
    assemble(&mut crowd, READERS);
    storm(&server, &book, &mut crowd, MESSAGES);
    assert_eq!(crowd.received, crowd.due());
    assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0));
}

#[test]
fn a_restarted_server_tells_everybody_of_a_gap_and_goes_on_from_its_first_message() {
    let first = serve(config(2));
    let book = Book::new(4, 20);
    let mut crowd = Crowd::new(first.addresses().public[0], &book);
    for i in 0..60 {
        let way = [Way::Sse, Way::LongPoll, Way::Poll][i % 3];
        crowd.join(if i % 5 == 0 { &[0, 1] } else { &[2] }, way);
    }
    publishers::in_process(&first.publisher(), &mut Author::new(&book, 0), 40);
    crowd.run_to_the_end();
    assert_eq!(crowd.faults(), Faults::default());
    assert!(crowd.ledgers().all(|ledger| ledger.notices == 0));

    let (second, after) = (serve(config(2)), Book::new(4, 20));
    crowd.move_to(second.addresses().public[0], &after);
    first.stop();
    crowd.run_until("everybody is told", |crowd| crowd.ledgers().all(|ledger| ledger.notices == 1));
    publishers::in_process(&second.publisher(), &mut Author::new(&after, 0), 80);
    crowd.run_until("everybody has the new messages", |crowd| crowd.is_at_the_end());
    assert_eq!(crowd.faults(), Faults::default());
    let (before, now) = (10, 20);
    for ledger in crowd.ledgers() {
        assert_eq!((ledger.notices, ledger.received), (1, before + now), "once each of both servers");
    }
}

#[test]
fn any_transport_takes_the_cursor_of_any_other() {
    let server = serve(config(2));
    let mut wire = Wire::connect(server.addresses().public[0]);
    let first = wire.publish("/a", "1").member("id").as_str().expect("an id").to_owned();
    for data in ["2", "3"] {
        assert_eq!(wire.publish("/a", data).status(), 200);
    }
    // A publisher's id is a cursor; the answer to it is one too.
    let batch = wire.ask(&format!("/sub/a?transport=long-poll&since={first}"));
    assert_eq!(data_of(&batch.member("messages")), ["2", "3"]);
    let cursor = batch.member("cursor").as_str().expect("a cursor").to_owned();
    assert_eq!(batch.head.field("ETag"), Some(&*format!("\"{cursor}\"")));
    assert_eq!(wire.publish("/a", "4").status(), 200);
    let batch = wire.ask(&format!("/sub/a?transport=poll&since={cursor}"));
    assert_eq!(data_of(&batch.member("messages")), ["4"]);
    let mut stream = Wire::connect(server.addresses().public[0]);
    stream.send(format!("GET /sub/a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nLast-Event-ID: {first}\r\n\r\n"));
    stream.until("data: 2\n\n");
    stream.until("data: 4\n\n");
    let raw = wire.ask(&format!("/sub/a?transport=poll&raw=1&since={first}"));
    assert_eq!((raw.text(), raw.head.field("Encke-Channel")), ("2".into(), Some("/a")));
}

fn data_of(messages: &serde_json::Value) -> Vec<&str> {
    messages.as_array().expect("a list").iter().filter_map(|message| message["data"].as_str()).collect()
}
