use crate::succession::{publish, succeed};
use crate::support::book::Book;
use crate::support::crowd::{Crowd, Random, Way};
use crate::support::eventually;
use crate::support::ledger::Faults;
use crate::support::process::{self, Running, ServerProcess, Stranger, encke};
use crate::support::scratch::Scratch;
use crate::support::slow_heads::SlowHeads;
use crate::support::wire::Wire;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CHANNELS: usize = 100;
const READERS: usize = 1_000;
/// Between two messages. Ten readers to a channel make 5,000 deliveries a second of that.
const PACE: Duration = Duration::from_millis(2);
/// So many messages a channel keeps: what it is told in four seconds. Whoever is away for longer is told of a gap.
const KEPT: u64 = 20;
/// Readers that are processes of their own, to be killed and stopped.
const PROCESSES: usize = 10;
const SLOW_HEADS: usize = 50;
const FAULT_EVERY: Duration = Duration::from_millis(100);
/// New options, or a successor for the process, in turn.
const OPERATION_EVERY: Duration = Duration::from_millis(1_900);
/// A process that was succeeded is gone when so many others were.
const GOING_MAX: usize = 8;
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// In CI. By hand, `ENCKE_FAULT_SECONDS=1800` says how long.
const SECONDS: u64 = 10;
/// How much more memory the last quarter may take than the second: this much, or a twentieth.
const GROWTH_BYTES_MAX: u64 = 8 << 20;
/// The same for descriptors: readers come and go at random.
const GROWTH_DESCRIPTORS_MAX: usize = 60;

/// What happens to readers at random.
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
    fn start(public: SocketAddr, channel: &str) -> Reader {
        let from = format!("--to=http://{public}");
        Reader { process: Running::start(encke(&["subscribe", channel, &from])), stopped: false }
    }
}

#[test]
fn whatever_befalls_readers_nothing_is_lost_and_the_server_does_not_grow() {
    let seconds = std::env::var("ENCKE_FAULT_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let mut operator = Operator::start();
    let (public, private, quiet) = (operator.server.public, operator.server.private, process::descriptors(operator.id()));
    let book = Book::new(CHANNELS, 60).keeping(KEPT);
    let mut crowd = Crowd::new(public, &book);
    crowd.ways = &[Way::Sse, Way::LongPoll];
    (0..READERS).for_each(|reader| crowd.join(&[reader % CHANNELS], Way::Sse));
    crowd.gather();
    let slow_heads = SlowHeads::start(public, SLOW_HEADS);
    let mut mishaps = Mishaps::new(public, &book);
    let (ended, length) = (AtomicBool::new(false), Duration::from_secs(seconds));
    let mut samples = Vec::new();
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(private, &book, PACE, &AtomicU64::new(0), &ended));
        let start = Instant::now();
        let (mut next_fault, mut next_sample, mut next_operation) = (start, start, start + OPERATION_EVERY);
        while start.elapsed() < length {
            crowd.turn(Duration::from_millis(10));
            if next_fault <= Instant::now() {
                next_fault += FAULT_EVERY;
                mishaps.happen(&mut crowd);
            }
            if next_sample <= Instant::now() {
                next_sample += SAMPLE_EVERY;
                let (bytes, descriptors) = (process::resident_bytes(operator.id()), process::descriptors(operator.id()));
                samples.push(Sample { bytes, descriptors, received: crowd.received });
            }
            if next_operation <= Instant::now() {
                next_operation += OPERATION_EVERY;
                operator.operate();
            }
        }
        ended.store(true, Ordering::Release);
        println!("the publisher met {:?}", publisher.join().expect("no panic"));
    });
    crowd.recall();
    crowd.run_until("everybody is at the end", |crowd| crowd.held == READERS && crowd.is_at_the_end());

    let quarters: Vec<Quarter> = samples.chunks(samples.len().div_ceil(4)).map(Quarter::of).collect();
    let told: u64 = crowd.ledgers().map(|ledger| ledger.told).sum();
    let notices: u64 = crowd.ledgers().map(|ledger| ledger.notices).sum();
    let (reloads, successors) = (operator.reloads, operator.successors);
    println!(
        "faults: {seconds} s, {mishaps}, reloads {reloads}, successors {successors}; slow heads let go: {}",
        slow_heads.ended()
    );
    println!(
        "published {}, received {}, gaps told {notices}, of them with their width {told}",
        book.published_in_all(),
        crowd.received
    );
    quarters.iter().enumerate().for_each(|(number, quarter)| println!("quarter {}: {quarter}", number + 1));
    println!("{:?}, connections broken by the server: {}", crowd.faults(), crowd.breaks);

    assert_eq!((crowd.faults(), crowd.breaks), (Faults::default(), 0));
    assert!(notices > 0, "somebody was away for too long");
    assert!(reloads > 0 && successors > 0, "the server is operated");
    let [_, second, _, last] = quarters[..] else { panic!("a run has quarters") };
    assert!(last.bytes <= second.bytes + GROWTH_BYTES_MAX.max(second.bytes / 20), "memory grows");
    assert!(last.descriptors <= second.descriptors + GROWTH_DESCRIPTORS_MAX, "descriptors grow");
    drop((crowd, slow_heads, mishaps));
    eventually("all descriptors of clients are closed", || (process::descriptors(operator.id()) <= quiet).then_some(()));
    println!("verdict: nothing lost, every gap told, memory and descriptors flat");
}

/// Who operates the server: gives it new options, and has a new process take over from it.
struct Operator {
    server: ServerProcess,
    /// Those that took over, the last of which serves; the others are soon gone.
    processes: VecDeque<Stranger>,
    folder: Scratch,
    reloads: u64,
    successors: u64,
}

impl Operator {
    fn start() -> Operator {
        let folder = Scratch::new();
        let path = folder.file("encke.toml", "heartbeat = \"2s\"");
        let mut command = encke(&["--listen=127.0.0.1:0", "--private=127.0.0.1:0", "--reactors=2", "--config", &path]);
        command.args([&format!("--history-messages={KEPT}"), "--head-timeout=2s", "--retry=100ms", "--drain-timeout=3s"]);
        let (server, processes) = (ServerProcess::of(command), VecDeque::new());
        Operator { server, processes, folder, reloads: 0, successors: 0 }
    }

    /// The process that serves.
    fn id(&self) -> u32 {
        self.processes.back().map_or(self.server.process.id(), |process| process.0)
    }

    fn operate(&mut self) {
        if self.reloads <= self.successors {
            self.reloads += 1;
            self.folder.file("encke.toml", &format!("heartbeat = \"{}s\"", 2 + self.reloads % 2));
            assert!(process::signal(self.id(), "HUP"));
            self.server.process.said("options reloaded");
        } else {
            self.successors += 1;
            self.processes.push_back(succeed(&self.server.process, self.id()));
            if self.processes.len() > GOING_MAX {
                // It has ended long ago, and its number may be another's.
                if let Some(process) = self.processes.pop_front() {
                    std::mem::forget(process);
                }
            }
        }
    }
}

/// Who lets things happen, and how often each has.
struct Mishaps<'a> {
    public: SocketAddr,
    book: &'a Book,
    random: Random,
    readers: Vec<Reader>,
    counts: [u64; FAULTS.len()],
}

impl Mishaps<'_> {
    fn new(public: SocketAddr, book: &Book) -> Mishaps<'_> {
        let readers = (0..PROCESSES).map(|number| Reader::start(public, book.name(number))).collect();
        Mishaps { public, book, random: Random(0x2545_f491_4f6c_dd1d), readers, counts: [0; FAULTS.len()] }
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
                self.readers[number] = Reader::start(self.public, self.book.name(number));
            }
            Fault::Stop => {
                let number = self.random.below(PROCESSES as u64) as usize;
                let reader = &mut self.readers[number];
                reader.process.signal(if reader.stopped { "CONT" } else { "STOP" });
                reader.stopped = !reader.stopped;
            }
            Fault::HalfRequest => {
                let mut wire = Wire::connect(self.public);
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
