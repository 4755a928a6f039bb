use crate::support::book::{Author, Book};
use crate::support::crowd::Crowd;
use crate::support::ledger::Faults;
use crate::support::process::ServerProcess;
use crate::support::{at_full_size, publishers};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CHANNELS: usize = 100;
const PER_SECOND: u32 = 2_000;
const BATCH: u32 = 20;

/// Half of the time undisturbed, then the same again with everybody cut off in the middle.
#[test]
fn nothing_is_lost_among_very_many_connections() {
    let (connections, seconds) = if at_full_size() { (10_000, 30) } else { (1_000, 3) };
    for cut in [false, true] {
        soak(connections, seconds, cut);
    }
}

fn soak(connections: usize, seconds: u64, cut: bool) {
    let server = ServerProcess::start(&["--reactors", "2"]);
    let private = server.private;
    let book = Book::new(CHANNELS, 60);
    let mut crowd = Crowd::of_streams(server.public, &book, connections);
    let start = Instant::now();
    let length = Duration::from_secs(seconds);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            publishers::paced(private, &mut Author::new(&book, 0), PER_SECOND, BATCH, || start.elapsed() < length);
            ended.store(true, Ordering::Release);
        });
        if cut {
            while start.elapsed() < length / 2 {
                crowd.turn(Duration::from_millis(10));
            }
            crowd.cut_all();
        }
        while !ended.load(Ordering::Acquire) {
            crowd.turn(Duration::from_millis(10));
        }
    });
    crowd.run_to_the_end();
    let (published, expected, received) = (book.published_in_all(), crowd.due(), crowd.received);
    let Faults { lost, repeated, disordered, .. } = crowd.faults();
    println!(
        "soak: connections {connections}, cut {}, published {published}, expected {expected}, received {received}, lost {lost}, \
         repeated {repeated}, out of order {disordered}, seconds {:.1}",
        crowd.cuts,
        start.elapsed().as_secs_f32()
    );
    assert_eq!(received, expected);
    assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0));
    assert!(crowd.ledgers().all(|ledger| ledger.notices == 0));
}
