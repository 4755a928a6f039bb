use crate::support::REACTORS;
use crate::support::book::{Author, Book};
use crate::support::crowd::{Crowd, Way};
use crate::support::events::Events;
use crate::support::http::Piece;
use crate::support::ledger::{Faults, Ledger};
use crate::support::process::ServerProcess;
use crate::support::publishers::batch;
use crate::support::wire::Wire;

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
