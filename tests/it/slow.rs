use crate::support::book::{Author, Book};
use crate::support::crowd::{Crowd, Way};
use crate::support::events::Events;
use crate::support::http::Piece;
use crate::support::ledger::{Faults, Ledger};
use crate::support::process::ServerProcess;
use crate::support::publishers::batch;
use crate::support::wire::{Wire, post};
use crate::support::{REACTORS, eventually};
use std::collections::HashMap;

/// Kept, and published: sixteen times as much.
const HISTORY: u64 = 250;
const MESSAGES: u64 = 16 * HISTORY;
const BATCH: u64 = 50;
/// Letters in a message, on average half of that.
const FILLER: usize = 8_000;
/// The storm is 16 MB; whoever kept it for a slow reader would show.
const GROWTH_BYTES_MAX: u64 = 5 << 20;

#[test]
fn a_reader_that_stops_reading_costs_nothing_and_is_told_what_it_missed() {
    for reactors in REACTORS {
        let history = HISTORY.to_string();
        let server = ServerProcess::start(&["--reactors", &reactors.to_string(), "--history-messages", &history]);
        let book = Book::new(1, FILLER);
        let mut slow = Slow::join(&server, &book);
        let mut crowd = Crowd::new(server.public, &book);
        for i in 0..6 {
            crowd.join(&[0], [Way::Sse, Way::LongPoll, Way::Poll][i % 3]);
        }
        crowd.gather();
        let mut author = Author::new(&book, 0);
        let mut publisher = Wire::connect(server.private);
        let mut resident = 0;
        while book.published(0) < MESSAGES {
            batch(&mut publisher, &mut author, BATCH as usize);
            // The others keep pace with the publisher, so they would fall behind only if the slow one held them up.
            crowd.run_until("the others have it", |crowd| crowd.is_at_the_end());
            if book.published(0) == MESSAGES / 4 {
                resident = server.resident_bytes();
            }
        }
        let grown = server.resident_bytes().saturating_sub(resident);
        assert!(grown < GROWTH_BYTES_MAX, "{reactors} reactors: {grown} bytes more");
        assert!(crowd.ledgers().all(|ledger| ledger.notices == 0));
        assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0));

        slow.read_up_to(MESSAGES);
        assert_eq!(slow.ledger.notices, 1, "one gap, told once");
        assert_eq!(slow.ledger.received + slow.ledger.told, MESSAGES);
        assert!(slow.ledger.received >= HISTORY && slow.ledger.told > HISTORY);
        batch(&mut publisher, &mut author, 1);
        slow.read_up_to(MESSAGES + 1);
        assert_eq!(slow.ledger.faults(MESSAGES + 1), Faults::default(), "{reactors} reactors");
    }
}

/// Published to each channel with a policy: 16 MB, more than what lies between a server and a reader that takes nothing.
const PUBLISHED: u64 = 2_048;
const PUBLISHED_AT_ONCE: u64 = 16;
const EVENT_NAMES: u64 = 10;
/// A reader may be so far behind.
const LAG: u64 = 100;

#[test]
fn a_reader_that_stops_reading_meets_with_its_channels_policy() {
    for reactors in REACTORS {
        let (reactors, lag) = (reactors.to_string(), LAG.to_string());
        let server = ServerProcess::start(
            &[
                &["--reactors", &reactors, "--history-messages", "10000", "--history-bytes", "64MiB", "--slow-lag", &lag][..],
                &["--slow-conflate", "/conflated", "--slow-latest", "/latest", "--slow-disconnect", "/ended"],
                // No moment of a busy machine is long enough for this to matter.
                &["--slow-timeout", "1h"],
            ]
            .concat(),
        );
        let channels = ["/conflated", "/latest", "/ended"];
        let [mut conflated, mut latest, mut ended] = channels.map(|channel| Stopped::join(&server, channel, "now"));
        let mut publisher = Wire::connect(server.private);
        for first in (1..=PUBLISHED).step_by(PUBLISHED_AT_ONCE as usize) {
            publish(&mut publisher, &channels, first..first + PUBLISHED_AT_ONCE);
        }
        eventually("one is ended", || (counter(&server, "ended_slow") == 1).then_some(()));

        conflated.read_up_to(PUBLISHED);
        assert!(conflated.heard.is_sorted() && conflated.missed == 0);
        assert!((conflated.heard.len() as u64) < PUBLISHED, "{reactors} reactors: nothing was left out");
        let last: HashMap<u64, u64> = conflated.heard.iter().map(|number| (number % EVENT_NAMES, *number)).collect();
        let expected = (PUBLISHED - EVENT_NAMES + 1..=PUBLISHED).map(|number| (number % EVENT_NAMES, number));
        assert_eq!(last, expected.collect(), "{reactors} reactors: the latest of each event name");

        latest.read_up_to(PUBLISHED);
        assert!(latest.heard.is_sorted() && latest.missed > LAG, "{reactors} reactors: {} missed", latest.missed);
        assert_eq!(latest.heard.len() as u64 + latest.missed, PUBLISHED);

        ended.read_to_the_end();
        let before = ended.heard.len() as u64;
        assert!(before < PUBLISHED && ended.heard.iter().copied().eq(1..=before), "{reactors} reactors: {before} came");
        let mut back = Stopped::join(&server, "/ended", ended.events.last_id());
        back.read_up_to(PUBLISHED);
        assert!(back.heard.iter().copied().eq(before + 1..=PUBLISHED), "{reactors} reactors: it goes on where it was");

        let left_out = PUBLISHED - conflated.heard.len() as u64;
        let counted = || ["conflated", "skipped", "ended_slow"].map(|name| counter(&server, name));
        eventually("all is counted", || (counted() == [left_out, latest.missed, 1]).then_some(()));
    }
}

/// Publishes messages of these numbers to each channel.
fn publish(publisher: &mut Wire, channels: &[&str], numbers: std::ops::Range<u64>) {
    let filler = "x".repeat(8_000);
    let mut lines = String::new();
    for (channel, number) in channels.iter().flat_map(|channel| numbers.clone().map(move |number| (channel, number))) {
        let (event, data) = (format!("name {}", number % EVENT_NAMES), format!("{number} {filler}"));
        lines += &format!("{}\n", serde_json::json!({ "channel": channel, "event": event, "data": data }));
    }
    publisher.send(post("", "application/x-ndjson", &lines));
    assert_eq!(publisher.response().status(), 200);
}

/// One of the server's counters.
fn counter(server: &ServerProcess, name: &str) -> u64 {
    let text = Wire::connect(server.private).ask("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("encke_{name}_total ")));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// A reader that takes nothing until it is told to.
struct Stopped {
    wire: Wire,
    events: Events,
    /// The numbers of the messages that it got.
    heard: Vec<u64>,
    /// How many it was told it skipped.
    missed: u64,
}

impl Stopped {
    fn join(server: &ServerProcess, channel: &str, since: &str) -> Stopped {
        let mut wire = Wire::with_window(server.public, Some(4096));
        wire.get(&format!("/sub{channel}?transport=sse&since={since}"));
        assert!(matches!(wire.piece(), Ok(Piece::Head(head)) if head.status == 200));
        Stopped { wire, events: Events::default(), heard: Vec::new(), missed: 0 }
    }

    fn read_up_to(&mut self, number: u64) {
        while self.heard.last() != Some(&number) {
            let Ok(Piece::Body(bytes)) = self.wire.piece() else { panic!("the stream goes on") };
            self.take(&bytes);
        }
    }

    /// Reads what was begun, and the farewell.
    fn read_to_the_end(&mut self) {
        let mut last = Vec::new();
        loop {
            match self.wire.piece() {
                Ok(Piece::Body(bytes)) => {
                    self.take(&bytes);
                    last.extend(bytes);
                }
                Ok(Piece::End) => break,
                other => panic!("a proper end, not {other:?}"),
            }
        }
        assert!(memchr::memmem::find(&last, b"\n: too_slow\nretry: ").is_some(), "it is told why");
    }

    fn take(&mut self, bytes: &[u8]) {
        let (heard, missed) = (&mut self.heard, &mut self.missed);
        let outcome = self.events.feed(bytes, |event| {
            if event.name == "gap" {
                let notice: serde_json::Value = serde_json::from_str(&event.data).expect("a notice");
                assert_eq!(notice["skipped"], true);
                *missed += notice["missed"].as_u64().expect("a number");
            } else {
                let number = event.data.split(' ').next().and_then(|number| number.parse().ok());
                heard.push(number.expect("a number"));
            }
            true
        });
        outcome.expect("an event stream");
    }
}

/// A reader of one channel that reads when it is told to.
struct Slow<'a> {
    wire: Wire,
    book: &'a Book,
    events: Events,
    ledger: Ledger,
}

impl<'a> Slow<'a> {
    fn join(server: &ServerProcess, book: &'a Book) -> Slow<'a> {
        let mut wire = Wire::with_window(server.public, Some(4096));
        wire.listen(&format!("/sub{}?transport=sse", book.name(0)));
        Slow { wire, book, events: Events::default(), ledger: Ledger::new(0) }
    }

    fn read_up_to(&mut self, count: u64) {
        while self.ledger.reached() < count {
            let Ok(Piece::Body(bytes)) = self.wire.piece() else { panic!("the stream goes on") };
            let outcome = self.events.feed(&bytes, |event| {
                if event.name == "gap" {
                    let notice: serde_json::Value = serde_json::from_str(&event.data).expect("a notice");
                    self.ledger.gap(self.book, &event.id, notice["missed"].as_u64());
                } else {
                    self.ledger.message(self.book, &event.id, &event.data);
                }
                true
            });
            outcome.expect("an event stream");
        }
    }
}
