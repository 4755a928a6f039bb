//! More connections than one descriptor table holds, in one server process: what they take, and what a message to all costs.
//!
//! The floor has as many threads as Encke has reactors, each with a table, two ports and a share of the connections. The clients of
//! each side are spread over as many threads, with tables of their own too; they sleep until something comes.
//! Both listen at all addresses of this machine, and each client thread connects to others: there are ports for no more than
//! 28,000 connections between the same two places. Any client thread has connections to any thread of either server.

use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::message::{Message, clock_ns};
use crate::publisher::Publisher;
use crate::report::{Line, Row, alone, compare, quantile};
use crate::side::{self, Kind, Side};
use crate::turns::Figures;
use crate::{AS_FLOORS, Outcome, Setting, os};
use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const MESSAGE_BYTES: usize = 64;
const ROUNDS: usize = 10;
/// Of a table's descriptors, so many percent are meant for connections: the system does not spread them quite evenly.
const SHARE_PERCENT: usize = 84;
/// Addresses that a client thread connects to. Of the ports that there are for one, half are given out fast.
const ADDRESSES: usize = 4;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Broadcasts during which the other channel is watched.
const WATCHED_ROUNDS: usize = 5;
/// How often the other channel has a message: seldom enough for each to be answered before the next comes, since those of one
/// connection are taken one after the other.
const WATCHED_EVERY_NS: u64 = 20_000_000;
/// Between two of those broadcasts.
const PAUSE: Duration = Duration::from_millis(200);

/// 100,000 connections, in turns with the floor; then another channel's latency while a message goes to all.
pub fn many(_: &Setting) -> Outcome<Row> {
    let connections = number("ENCKE_BENCH_MANY", 100_000)?;
    let [mut floor, mut encke] = [Herd::park(Kind::Floor, connections)?, Herd::park(Kind::Encke, connections)?];
    let [mut wall, mut cpu] = [(); 2].map(|()| [Kind::Floor, Kind::Encke].map(nothing_yet));
    for number in 0..=ROUNDS {
        for lane in [number % 2, 1 - number % 2] {
            let round = [&mut floor, &mut encke][lane].broadcast()?;
            // The first of each warms up.
            if number > 0 {
                wall[lane].values.push((number, round.wall_ns as f64 / 1e6));
                cpu[lane].values.push((number, round.cpu_ns as f64 / 1e3 / connections as f64));
            }
        }
    }
    let latencies = encke.watch()?;
    let mut lines = parking(&[&floor, &encke]);
    lines.push(compare(format!("wall to all, {connections} connections"), "ms", wall.into(), "≤ 1.08"));
    lines.push(compare(format!("CPU a delivery, {connections} connections"), "µs", cpu.into(), "≤ 1.08"));
    for (what, share, target) in [("p50", 0.5, ""), ("p99", 0.99, "≤ 10,000 µs"), ("longest", 1.0, "")] {
        lines.push(alone(format!("{what} of another channel"), "µs", quantile(&latencies, share), target));
    }
    lines.push(alone("messages of that channel", "", latencies.len() as f64, ""));
    Ok(Row {
        name: "many",
        lines,
        asserted: "all in one process; each message reached each receiver once, in order, unchanged; publishing said 200",
    })
}

/// A million connections, of Encke alone.
pub fn million(_: &Setting) -> Outcome<Row> {
    let connections = number("ENCKE_BENCH_MILLION", 1_000_000)?;
    let mut encke = Herd::park(Kind::Encke, connections)?;
    let mut lines = parking(&[&encke]);
    for number in 1..=3 {
        let round = encke.broadcast()?;
        lines.push(alone(format!("wall to {connections}, message {number}"), "ms", round.wall_ns as f64 / 1e6, ""));
        let cpu = round.cpu_ns as f64 / 1e3 / connections as f64;
        lines.push(alone(format!("CPU a delivery, message {number}"), "µs", cpu, ""));
    }
    Ok(Row {
        name: "million",
        lines,
        asserted: "all in one process; each message reached each receiver once, in order, unchanged; publishing said 200",
    })
}

fn nothing_yet(kind: Kind) -> Figures {
    Figures { kind, values: Vec::new(), missing: None }
}

/// What was measured while the clients of these servers came.
fn parking(herds: &[&Herd]) -> Vec<Line> {
    let each = |what: String, unit, figure: fn(&Herd) -> f64, target| {
        let figures = |herd: &&Herd| Figures { values: vec![(1, figure(herd))], ..nothing_yet(herd.server.kind) };
        compare(what, unit, herds.iter().map(figures).collect(), target)
    };
    let connections = herds.first().map_or(0, |herd| herd.connections);
    vec![
        each("threads that serve".into(), "", |herd| herd.reactors as f64, ""),
        each(format!("time to connect {connections}"), "s", |herd| herd.parked_ns as f64 / 1e9, ""),
        each("CPU a connect".into(), "µs", |herd| herd.parking_cpu_ns as f64 / 1e3 / herd.connections as f64, ""),
        each(format!("user bytes each, {connections} connections"), "B", |herd| herd.user_bytes, "≤ 96 B"),
        each("kernel bytes, both ends".into(), "B", |herd| herd.kernel_bytes, ""),
    ]
}

fn number(variable: &str, default: usize) -> Outcome<usize> {
    Ok(env::var(variable).map_or(Ok(default), |text| text.parse())?)
}

/// One server and all its clients.
struct Herd {
    connections: usize,
    reactors: usize,
    server: Server,
    publishers: Vec<Publisher>,
    lanes: Vec<Lane>,
    sequence: u64,
    /// User bytes of the server and bytes of the kernel, for each connection; nanoseconds until all were parked, and of the
    /// server's CPU.
    user_bytes: f64,
    kernel_bytes: f64,
    parked_ns: u64,
    parking_cpu_ns: u64,
}

struct Round {
    wall_ns: u64,
    cpu_ns: u64,
}

/// A client thread.
struct Lane {
    orders: Sender<Order>,
    outcomes: Receiver<Result<u64, String>>,
    connections: usize,
}

/// What it is told.
enum Order {
    /// Park all your connections.
    Park,
    /// Receive a message on each. It answers when it had the last.
    Receive,
}

impl Herd {
    fn park(kind: Kind, connections: usize) -> Outcome<Herd> {
        let reactors = number("ENCKE_BENCH_REACTORS", connections.div_ceil(os::descriptor_limit()? * SHARE_PERCENT / 100))?;
        let server = Server::start(kind, reactors)?;
        let share = |at: usize| connections * (at + 1) / reactors - connections * at / reactors;
        let lanes: Vec<Lane> = (0..reactors).map(|at| Lane::start(server.side(at), share(at))).collect();
        let start = clock_ns();
        let cpu = server.cpu_ns()?;
        let none = server.memory()?;
        lanes[0].order(Order::Park)?;
        lanes[0].outcome()?;
        // From here on, so that what a server has at any rate is no connection's.
        let some = if reactors > 1 { server.memory()? } else { none };
        lanes[1..].iter().try_for_each(|lane| lane.order(Order::Park))?;
        lanes[1..].iter().try_for_each(|lane| lane.outcome().map(drop))?;
        let parked_ns = clock_ns() - start;
        let parking_cpu_ns = server.cpu_ns()? - cpu;
        let all = server.memory()?;
        let counted = connections - if reactors > 1 { lanes[0].connections } else { 0 };
        let each = |all: u64, some: u64| (all as f64 - some as f64) / counted as f64;
        let publishers = server.publishers(&lanes)?;
        let (user_bytes, kernel_bytes) = (each(all.user, some.user), each(all.kernel, some.kernel));
        Ok(Herd {
            connections,
            reactors,
            server,
            publishers,
            lanes,
            sequence: 0,
            user_bytes,
            kernel_bytes,
            parked_ns,
            parking_cpu_ns,
        })
    }

    /// One message to everybody.
    fn broadcast(&mut self) -> Outcome<Round> {
        let cpu = self.server.cpu_ns()?;
        self.lanes.iter().try_for_each(|lane| lane.order(Order::Receive))?;
        let start = clock_ns();
        let body = Message { channel: 0, sequence: self.sequence, sent_ns: start }.body(MESSAGE_BYTES);
        for publisher in &mut self.publishers {
            publisher.queue(0, &body);
            publisher.send()?;
        }
        self.sequence += 1;
        let mut end = start;
        for lane in &self.lanes {
            end = end.max(lane.outcome()?);
        }
        self.publishers.iter_mut().try_for_each(Publisher::finish)?;
        Ok(Round { wall_ns: end - start, cpu_ns: self.server.cpu_ns()? - cpu })
    }

    /// Microseconds of each delivery to the only reader of another channel, of those that were sent while a message to all was
    /// on its way.
    fn watch(&mut self) -> Outcome<Vec<f64>> {
        let side = self.server.side(0);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&side, &over).map_err(|error| error.to_string()));
            let mut windows = Vec::new();
            let mut outcome = Ok(());
            for _ in 0..WATCHED_ROUNDS {
                thread::sleep(PAUSE);
                let start = clock_ns();
                // The watcher keeps the server from being at rest: only the wall is of use here.
                outcome = self.broadcast_unmeasured();
                windows.push(start..clock_ns());
                if outcome.is_err() {
                    break;
                }
            }
            over.store(true, Ordering::Release);
            let seen = watcher.join().map_err(|_| "the watcher panicked")??;
            outcome?;
            let meanwhile = |sent: &u64| windows.iter().any(|window| window.contains(sent));
            Ok(seen.iter().filter(|(sent, _)| meanwhile(sent)).map(|(_, latency)| *latency as f64 / 1e3).collect())
        })
    }

    fn broadcast_unmeasured(&mut self) -> Outcome<()> {
        self.lanes.iter().try_for_each(|lane| lane.order(Order::Receive))?;
        let body = Message { channel: 0, sequence: self.sequence, sent_ns: clock_ns() }.body(MESSAGE_BYTES);
        for publisher in &mut self.publishers {
            publisher.queue(0, &body);
            publisher.send()?;
        }
        self.sequence += 1;
        self.lanes.iter().try_for_each(|lane| lane.outcome().map(drop))?;
        self.publishers.iter_mut().try_for_each(Publisher::finish)
    }
}

/// A message each 20 ms to a reader of one's own: when each was sent, and how long it took.
fn watch(side: &Side, over: &AtomicBool) -> Outcome<Vec<(u64, u64)>> {
    os::own_descriptors()?;
    os::go_first();
    let layout = [0, 1];
    let mut crowd = Crowd::park(side, &layout, MESSAGE_BYTES, Transport::Sse)?;
    let mut publisher = Publisher::connect(side, &layout)?;
    let (start, mut sent, mut seen) = (clock_ns(), 0_u64, Vec::new());
    while !over.load(Ordering::Acquire) || (seen.len() as u64) < sent {
        let now = clock_ns();
        let due = start + sent * WATCHED_EVERY_NS;
        if now >= due && !over.load(Ordering::Acquire) {
            publisher.queue(1, &Message { channel: 1, sequence: sent, sent_ns: now }.body(MESSAGE_BYTES));
            publisher.send()?;
            sent += 1;
        }
        publisher.read_answers()?;
        let next = Duration::from_nanos((start + sent * WATCHED_EVERY_NS).saturating_sub(clock_ns()));
        crowd.turn(Some(next), |message| {
            seen.push((message.sent_ns, clock_ns() - message.sent_ns));
            Ok(())
        })?;
        if now > start + PATIENCE.as_nanos() as u64 {
            return Err("the watched channel's messages do not come".into());
        }
    }
    publisher.finish()?;
    Ok(seen)
}

impl Lane {
    fn start(side: Side, connections: usize) -> Lane {
        let (orders, taken) = channel();
        let (told, outcomes) = channel();
        // It ends when its herd lets go of the orders.
        thread::spawn(move || {
            let outcome = graze(&side, connections, &taken, &told);
            if let Err(error) = outcome {
                // If nobody waits, another has failed before.
                let _ = told.send(Err(error.to_string()));
            }
        });
        Lane { orders, outcomes, connections }
    }

    fn order(&self, order: Order) -> Outcome<()> {
        // If it is gone, its outcome says why.
        let _ = self.orders.send(order);
        Ok(())
    }

    fn outcome(&self) -> Outcome<u64> {
        Ok(self.outcomes.recv_timeout(PATIENCE)??)
    }
}

fn graze(side: &Side, connections: usize, orders: &Receiver<Order>, told: &Sender<Result<u64, String>>) -> Outcome<()> {
    os::own_descriptors()?;
    let mut crowd = None;
    for order in orders {
        match (order, &mut crowd) {
            (Order::Park, _) => crowd = Some(Crowd::park(side, &[connections], MESSAGE_BYTES, Transport::Sse)?),
            (Order::Receive, Some(crowd)) => {
                let until = Instant::now() + PATIENCE;
                let mut received = 0;
                while received < connections {
                    received += crowd.turn(Some(Duration::from_secs(1)), |_| Ok(()))?;
                    if Instant::now() > until {
                        return Err(format!("lost: {} of {connections} messages", connections - received).into());
                    }
                }
            }
            (Order::Receive, None) => return Err("nobody is parked".into()),
        }
        told.send(Ok(clock_ns())).map_err(|_| "nobody waits")?;
    }
    Ok(())
}

/// A server with private descriptor tables.
struct Server {
    kind: Kind,
    child: Child,
    /// Its public and private addresses: of the floor one pair a thread.
    doors: Vec<(SocketAddr, SocketAddr)>,
}

#[derive(Clone, Copy)]
struct Memory {
    user: u64,
    kernel: u64,
}

impl Server {
    fn start(kind: Kind, threads: usize) -> Outcome<Server> {
        let mut command = match kind {
            Kind::Floor => {
                let mut command = Command::new(env::current_exe()?);
                command.args([AS_FLOORS, &threads.to_string()]);
                command
            }
            Kind::Encke => {
                let mut command = Command::new(side::encke());
                command.args(["serve", "--listen", "0.0.0.0:0", "--private", "127.0.0.1:0", "--anonymous-subscribe", "/**"]);
                command.args(["--descriptor-tables", "private", "--reactors", &threads.to_string()]);
                // No shard is to be full before its table is. What is sent or asked while all are silent is another matter.
                command.args(["--connections-max", "2000000", "--heartbeat", "off", "--tcp-keepalive", "off"]);
                command
            }
            Kind::Nchan | Kind::Faye => return Err("it has no tables of its own".into()),
        };
        os::as_server(&mut command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or("stderr was asked for")?;
        let mut server = Server { kind, child, doors: Vec::new() };
        let (sender, lines) = channel();
        // It is read to its end, so that nobody blocks on it.
        thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut public = None;
        let wanted = if kind == Kind::Floor { threads } else { 1 };
        while server.doors.len() < wanted {
            let line = lines.recv_timeout(PATIENCE).map_err(|_| "the server did not say where it listens")?;
            let mut words = line.split([' ', '"', ',']).map(|word| word.trim_start_matches("http://"));
            let addresses: Vec<SocketAddr> = words.by_ref().filter_map(|word| word.parse().ok()).collect();
            match (kind, &addresses[..]) {
                (Kind::Floor, [public, private]) => server.doors.push((*public, *private)),
                (Kind::Encke, [address, ..]) if line.contains("subscribe at") => public = Some(*address),
                (Kind::Encke, [private]) if line.contains("\"publish at") => {
                    server.doors.push((public.ok_or("the public address comes first")?, *private));
                }
                _ => {}
            }
        }
        Ok(server)
    }

    /// What client thread `at` connects to, one after the other: of the floor all threads, of Encke some addresses.
    fn side(&self, at: usize) -> Side {
        let local = |door: SocketAddr, part: usize| {
            SocketAddr::new(
                Ipv4Addr::new(127, (part % 256) as u8, 1 + (at / 250) as u8, 1 + (at % 250) as u8).into(),
                door.port(),
            )
        };
        let doors = match self.kind {
            Kind::Floor => self.doors.iter().map(|(public, _)| local(*public, 0)).collect(),
            _ => (0..ADDRESSES).map(|part| local(self.doors[0].0, part)).collect(),
        };
        Side::of(self.kind, doors, self.doors[0].1)
    }

    /// Its publishers, and how many receivers each has to name: those of the floor's thread.
    fn publishers(&self, lanes: &[Lane]) -> Outcome<Vec<Publisher>> {
        let threads = self.doors.len();
        let of_thread = |thread: usize| lanes.iter().map(|lane| (lane.connections + threads - 1 - thread) / threads).sum();
        let connect = |(thread, (public, private)): (usize, &(SocketAddr, SocketAddr))| {
            Publisher::connect(&Side::of(self.kind, vec![*public], *private), &[of_thread(thread)])
        };
        self.doors.iter().enumerate().map(connect).collect()
    }

    fn cpu_ns(&self) -> Outcome<u64> {
        os::cpu_ns_at_rest(self.child.id())
    }

    /// The server's own, and what the kernel has for itself on this machine.
    fn memory(&self) -> Outcome<Memory> {
        let user = os::bytes_of(&format!("/proc/{}/smaps_rollup", self.child.id()), "Pss")?;
        let kernel = os::bytes_of("/proc/meminfo", "Slab")?;
        Ok(Memory { user, kernel })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
