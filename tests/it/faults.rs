use crate::support::book::{Author, Book};
use crate::support::crowd::{Crowd, Random, Way};
use crate::support::ledger::Faults;
use crate::support::process::{Running, ServerProcess, encke};
use crate::support::slow_heads::SlowHeads;
use crate::support::wire::Wire;
use crate::support::{eventually, publishers};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CHANNELS: usize = 100;
const READERS: usize = 1_000;
/// Ten readers to a channel make ten times as many deliveries.
const PER_SECOND: u32 = 500;
const BATCH: u32 = 10;
/// So many messages a channel keeps: what it is told in four seconds. Whoever is away for longer is told of a gap.
const KEPT: u64 = 20;
/// Readers that are processes of their own, to be killed and stopped.
const PROCESSES: usize = 10;
const SLOW_HEADS: usize = 50;
const FAULT_EVERY: Duration = Duration::from_millis(100);
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// In CI. By hand, `ENCKE_FAULT_SECONDS=1800` says how long.
const SECONDS: u64 = 10;
/// How much more memory the last quarter may take than the second: this much, or a twentieth.
const GROWTH_BYTES_MAX: u64 = 8 << 20;
/// The same for descriptors: readers come and go at random.
const GROWTH_DESCRIPTORS_MAX: usize = 60;

/// What happens at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Some readers' connections are reset, and they come back at once.
    Reset,
    /// Some are away for a while, some of them for longer than their channel remembers.
    Absence,
    /// Some read nothing for a while.
    Stall,
    /// A process that reads is killed, and another started.
    Kill,
    /// A process that reads is stopped, or goes on.
    Stop,
    /// Half a request, and a reset.
    HalfRequest,
}

const FAULTS: [Fault; 6] = [Fault::Reset, Fault::Absence, Fault::Stall, Fault::Kill, Fault::Stop, Fault::HalfRequest];

/// Memory and descriptors at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    bytes: u64,
    descriptors: usize,
    received: u64,
}

/// A process that reads.
struct Reader {
    process: Running,
    stopped: bool,
}

impl Reader {
    fn start(server: &ServerProcess, channel: &str) -> Reader {
        let from = format!("--to=http://{}", server.public);
        Reader { process: Running::start(encke(&["subscribe", channel, &from])), stopped: false }
    }
}

#[test]
fn whatever_befalls_readers_nothing_is_lost_and_the_server_does_not_grow() {
    let seconds = std::env::var("ENCKE_FAULT_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let history = format!("--history-messages={KEPT}");
    let server = ServerProcess::start(&["--reactors=2", &history, "--head-timeout=2s", "--heartbeat=2s", "--retry=100ms"]);
    let quiet = server.descriptors();
    let book = Book::new(CHANNELS, 60).keeping(KEPT);
    let mut crowd = Crowd::new(server.public, &book);
    crowd.ways = &[Way::Sse, Way::LongPoll];
    (0..READERS).for_each(|reader| crowd.join(&[reader % CHANNELS], Way::Sse));
    crowd.gather();
    let slow_heads = SlowHeads::start(server.public, SLOW_HEADS);
    let mut mishaps = Mishaps::new(&server, &book);
    let (ended, length) = (AtomicBool::new(false), Duration::from_secs(seconds));
    let mut samples = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let goes_on = || !ended.load(Ordering::Acquire);
            publishers::paced(server.private, &mut Author::new(&book, 0), PER_SECOND, BATCH, goes_on);
        });
        let start = Instant::now();
        let (mut next_fault, mut next_sample) = (start, start);
        while start.elapsed() < length {
            crowd.turn(Duration::from_millis(10));
            if next_fault <= Instant::now() {
                next_fault += FAULT_EVERY;
                mishaps.happen(&mut crowd);
            }
            if next_sample <= Instant::now() {
                next_sample += SAMPLE_EVERY;
                let (bytes, descriptors) = (server.resident_bytes(), server.descriptors());
                samples.push(Sample { bytes, descriptors, received: crowd.received });
            }
        }
        ended.store(true, Ordering::Release);
    });
    crowd.recall();
    crowd.run_until("everybody is at the end", |crowd| crowd.held == READERS && crowd.is_at_the_end());

    let quarters: Vec<Quarter> = samples.chunks(samples.len().div_ceil(4)).map(Quarter::of).collect();
    let told: u64 = crowd.ledgers().map(|ledger| ledger.told).sum();
    let notices: u64 = crowd.ledgers().map(|ledger| ledger.notices).sum();
    println!("faults: {seconds} s, {mishaps}; slow heads let go: {}", slow_heads.ended());
    println!(
        "published {}, received {}, gaps told {notices}, of them with their width {told}",
        book.published_in_all(),
        crowd.received
    );
    quarters.iter().enumerate().for_each(|(number, quarter)| println!("quarter {}: {quarter}", number + 1));
    println!("{:?}, connections broken by the server: {}", crowd.faults(), crowd.breaks);

    assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0));
    assert!(notices > 0, "somebody was away for too long");
    let [_, second, _, last] = quarters[..] else { panic!("a run has quarters") };
    assert!(last.bytes <= second.bytes + GROWTH_BYTES_MAX.max(second.bytes / 20), "memory grows");
    assert!(last.descriptors <= second.descriptors + GROWTH_DESCRIPTORS_MAX, "descriptors grow");
    drop((crowd, slow_heads, mishaps));
    eventually("all descriptors of clients are closed", || (server.descriptors() <= quiet).then_some(()));
    println!("verdict: nothing lost, every gap told, memory and descriptors flat");
}

/// Who lets things happen, and how often each has.
struct Mishaps<'a> {
    server: &'a ServerProcess,
    book: &'a Book,
    random: Random,
    readers: Vec<Reader>,
    counts: [u64; FAULTS.len()],
}

impl Mishaps<'_> {
    fn new<'a>(server: &'a ServerProcess, book: &'a Book) -> Mishaps<'a> {
        let readers = (0..PROCESSES).map(|number| Reader::start(server, book.name(number))).collect();
        Mishaps { server, book, random: Random(0x2545_f491_4f6c_dd1d), readers, counts: [0; FAULTS.len()] }
    }

    fn happen(&mut self, crowd: &mut Crowd) {
        let which = self.random.below(FAULTS.len() as u64) as usize;
        self.counts[which] += 1;
        let some = 1 + self.random.below(20);
        match FAULTS[which] {
            Fault::Reset => (0..some).for_each(|_| crowd.cut(self.anyone(), Duration::ZERO)),
            Fault::Absence => (0..some).for_each(|_| crowd.cut(self.anyone(), self.up_to(6_000))),
            Fault::Stall => (0..some).for_each(|_| crowd.stall(self.anyone(), self.up_to(3_000))),
            Fault::Kill => {
                let number = self.random.below(PROCESSES as u64) as usize;
                self.readers[number] = Reader::start(self.server, self.book.name(number));
            }
            Fault::Stop => {
                let number = self.random.below(PROCESSES as u64) as usize;
                let reader = &mut self.readers[number];
                reader.process.signal(if reader.stopped { "CONT" } else { "STOP" });
                reader.stopped = !reader.stopped;
            }
            Fault::HalfRequest => {
                let mut wire = Wire::connect(self.server.public);
                wire.offer(b"POST /pub/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
                wire.writer().set_linger(Some(Duration::ZERO)).expect("an open socket");
            }
        }
    }

    fn anyone(&mut self) -> usize {
        self.random.below(READERS as u64) as usize
    }

    fn up_to(&mut self, ms: u64) -> Duration {
        Duration::from_millis(self.random.below(ms))
    }
}

impl fmt::Display for Mishaps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = FAULTS.iter().zip(self.counts).map(|(fault, count)| format!("{fault:?} {count}"));
        f.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}

/// What is in the middle of a quarter's samples.
#[derive(Clone, Copy, Debug)]
struct Quarter {
    bytes: u64,
    descriptors: usize,
    per_second: u64,
}

impl Quarter {
    fn of(samples: &[Sample]) -> Quarter {
        let middle = |mut values: Vec<u64>| {
            values.sort_unstable();
            values[values.len() / 2]
        };
        let received = samples[samples.len() - 1].received - samples[0].received;
        let ms = SAMPLE_EVERY.as_millis() as u64 * (samples.len() as u64 - 1).max(1);
        Quarter {
            bytes: middle(samples.iter().map(|sample| sample.bytes).collect()),
            descriptors: middle(samples.iter().map(|sample| sample.descriptors as u64).collect()) as usize,
            per_second: received * 1_000 / ms,
        }
    }
}

impl fmt::Display for Quarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB, {} descriptors, {} deliveries a second", self.bytes >> 10, self.descriptors, self.per_second)
    }
}
