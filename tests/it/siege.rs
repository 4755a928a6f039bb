use crate::support::book::{Author, Book};
use crate::support::crowd::{Crowd, Way};
use crate::support::ledger::Faults;
use crate::support::process::ServerProcess;
use crate::support::slow_heads::SlowHeads;
use crate::support::{at_full_size, publishers};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CHANNELS: usize = 100;
const PER_SECOND: u32 = 100;
/// How much slower news may be beside slow heads, and how soon everybody is back; held against what is measured at full size.
const SLOWDOWN_MAX: f64 = 2.0;
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Turns of the same length with slow heads and without, so that whatever else the machine does meets both.
#[test]
fn slow_heads_do_not_slow_readers_down() {
    let (readers, heads, turns, seconds) = if at_full_size() { (5_000, 5_000, 5, 12) } else { (200, 200, 2, 1) };
    let server =
        ServerProcess::start(&["--reactors=2", if at_full_size() { "--head-timeout=10s" } else { "--head-timeout=500ms" }]);
    let book = Book::new(CHANNELS, 60).timed();
    let mut crowd = Crowd::new(server.public, &book);
    crowd.ways = &[Way::Sse];
    (0..readers).for_each(|reader| crowd.join(&[reader % CHANNELS], Way::Sse));
    crowd.gather();
    let ended = AtomicBool::new(false);
    let (mut without, mut beside, mut let_go) = (Vec::new(), Vec::new(), 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let goes_on = || !ended.load(Ordering::Acquire);
            publishers::paced(server.private, &mut Author::new(&book, 0), PER_SECOND, 1, goes_on);
        });
        for _ in 0..turns {
            without.extend(delays(&mut crowd, &book, Duration::from_secs(seconds)));
            let slow = SlowHeads::start(server.public, heads);
            crowd.run_until("most slow heads have begun", |_| slow.held() >= heads * 9 / 10);
            beside.extend(delays(&mut crowd, &book, Duration::from_secs(seconds)));
            let_go += slow.ended();
            drop(slow);
            // Their ends are nobody's turn.
            delays(&mut crowd, &book, Duration::from_millis(500));
        }
        ended.store(true, Ordering::Release);
    });
    crowd.run_to_the_end();
    let (before, after) = (percentile(&mut without, 99), percentile(&mut beside, 99));
    let slowdown = after.as_secs_f64() / before.as_secs_f64();
    println!(
        "slow heads: {heads} beside {readers} readers, {turns} turns of {seconds} s each; p50 {:?} and {:?}, p99 {before:?} and \
         {after:?}, {slowdown:.2} times; deliveries {} and {}; slow heads let go: {let_go}",
        percentile(&mut without, 50),
        percentile(&mut beside, 50),
        without.len(),
        beside.len()
    );
    assert_eq!((crowd.faults(), crowd.breaks, crowd.cuts), (Faults::default(), 0, 0), "readers notice nothing");
    assert!(let_go > 0, "slow heads are let go");
    assert!(!at_full_size() || slowdown <= SLOWDOWN_MAX, "{slowdown:.2} times slower");
}

/// What was on its way in so long.
fn delays(crowd: &mut Crowd, book: &Book, length: Duration) -> Vec<Duration> {
    book.take_delays();
    let start = Instant::now();
    while start.elapsed() < length {
        crowd.turn(Duration::from_millis(10));
    }
    book.take_delays()
}

fn percentile(delays: &mut [Duration], percent: usize) -> Duration {
    delays.sort_unstable();
    delays[(delays.len() - 1) * percent / 100]
}

#[test]
fn everybody_cut_off_at_once_is_soon_back_and_misses_nothing() {
    let readers = if at_full_size() { 10_000 } else { 1_000 };
    let server = ServerProcess::start(&["--reactors=2"]);
    let book = Book::new(CHANNELS, 60);
    let mut crowd = Crowd::new(server.public, &book);
    crowd.ways = &[Way::Sse];
    (0..readers).for_each(|reader| crowd.join(&[reader % CHANNELS], Way::Sse));
    crowd.gather();
    let ended = AtomicBool::new(false);
    let mut times = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let goes_on = || !ended.load(Ordering::Acquire);
            publishers::paced(server.private, &mut Author::new(&book, 0), PER_SECOND, 1, goes_on);
        });
        for _ in 0..3 {
            let start = Instant::now();
            crowd.cut_all();
            let published: Vec<u64> = (0..CHANNELS).map(|channel| book.published(channel)).collect();
            crowd.run_until("everybody is back", |crowd| {
                crowd.held == readers && crowd.ledgers().all(|ledger| ledger.reached() >= published[ledger.channel])
            });
            times.push(start.elapsed());
        }
        ended.store(true, Ordering::Release);
    });
    crowd.run_to_the_end();
    println!("storm: {readers} readers cut off at once {} times, all back and up to date within {times:?}", times.len());
    assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0));
    assert!(crowd.ledgers().all(|ledger| ledger.notices == 0), "nothing was passed over");
    assert!(!at_full_size() || times.iter().all(|time| *time <= BACK_WITHIN), "{times:?}");
}
