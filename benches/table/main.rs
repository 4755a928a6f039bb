//! One table of what Encke costs, next to the least that any server could: see `benches/README.md`.
//!
//! `cargo bench --bench table [-- ROW…] [--all] [--calibrate | --no-peers | --write | --plot]`

mod allocations;
mod answers;
mod bayeux;
mod broadcast;
mod capacity;
mod connect;
mod crowd;
mod dialect;
mod floor;
mod idle;
mod latency;
mod measured;
mod memory;
mod message;
mod os;
mod pages;
mod parked;
mod peers;
mod plots;
mod publish;
mod publisher;
mod report;
mod resume;
mod scale;
mod sessions;
mod side;
mod svg;
mod turns;

use dialect::Transport;
use measured::Measured;
use report::Row;
use side::Kind;
use std::env;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use turns::Players;

/// What a row gives back; the error is for people.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The argument that makes this program the floor instead.
const AS_FLOOR: &str = "--as-floor";

/// What all rows are told.
pub struct Setting {
    /// How many receivers a broadcast has.
    pub connections: usize,
    /// Whom the floor is compared with: itself, to see what the method is worth.
    pub opponent: Kind,
    /// Whether other servers are measured too, where they are installed.
    pub peers: bool,
}

impl Setting {
    /// The floor, its opponent, and these, if peers are wanted.
    pub fn players(&self, peers: &[Kind]) -> Players {
        let peers = if self.peers { peers } else { &[] };
        Players { kinds: [&[Kind::Floor, self.opponent], peers].concat(), options: &[] }
    }
}

struct Entry {
    name: &'static str,
    /// Not part of the table unless asked for by name.
    extra: bool,
    measure: fn(&Setting) -> Outcome<Row>,
}

const fn row(name: &'static str, measure: fn(&Setting) -> Outcome<Row>) -> Entry {
    Entry { name, extra: false, measure }
}

const fn extra(name: &'static str, measure: fn(&Setting) -> Outcome<Row>) -> Entry {
    Entry { name, extra: true, measure }
}

const ROWS: [Entry; 17] = [
    row("parked", parked::parked),
    row("memory", memory::memory),
    row("sessions", sessions::sessions),
    row("broadcast", |setting| broadcast::broadcast(setting, "broadcast", Transport::Sse)),
    row("long-poll", |setting| broadcast::broadcast(setting, "long-poll", Transport::LongPoll)),
    row("bayeux", |setting| broadcast::broadcast(setting, "bayeux", Transport::Bayeux)),
    extra("stream", |setting| broadcast::broadcast(setting, "stream", Transport::Stream)),
    extra("iframe", |setting| broadcast::broadcast(setting, "iframe", Transport::Iframe)),
    extra("websocket", |setting| broadcast::broadcast(setting, "websocket", Transport::WebSocket)),
    row("coalesce", broadcast::coalesce),
    row("publish", publish::publish),
    row("connect", connect::connect),
    row("fanout", latency::fanout),
    row("fair", latency::fair),
    row("idle", idle::idle),
    row("resume", resume::resume),
    row("scale", scale::scale),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |argument: &str| arguments.iter().any(|given| given == argument);
    if has(AS_FLOOR) {
        return exit_code(floor::serve());
    }
    // `cargo bench` says so; a test run of all targets comes here without it, has nothing to measure, and something to check.
    if !has("--bench") {
        return exit_code(pages::check());
    }
    if has("--plot") {
        return exit_code(pages::write());
    }
    exit_code(table(&arguments))
}

fn exit_code(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn table(arguments: &[String]) -> Outcome<()> {
    let names: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = names.iter().find(|name| ROWS.iter().all(|entry| entry.name != **name)) {
        let known = ROWS.map(|entry| entry.name).join(", ");
        return Err(format!("no row {unknown}; there are {known}").into());
    }
    let calibrate = arguments.iter().any(|argument| argument == "--calibrate");
    let connections = env::var("ENCKE_BENCH_N").map_or(Ok(10_000), |text| text.parse())?;
    let peers = !calibrate && !arguments.iter().any(|argument| argument == "--no-peers");
    let setting = Setting { connections, opponent: if calibrate { Kind::Floor } else { Kind::Encke }, peers };
    os::raise_descriptor_limit()?;
    let (machine, commit) = (machine(), commit());
    println!("commit {commit}, {machine}");
    // What cannot be kept should be known before anything is measured.
    let kept = if arguments.iter().any(|argument| argument == "--write") { Some(measured::load()?) } else { None };
    let mut kept = kept.map(|kept| Measured { machine, ..kept });
    if let Err(error) = os::pin(os::CLIENT_CORE) {
        println!("NOT PINNED, so not to be compared: no core {} ({error})", os::CLIENT_CORE);
    }
    report::print_head();
    let all = arguments.iter().any(|argument| argument == "--all");
    let wanted = |entry: &&Entry| if names.is_empty() { all || !entry.extra } else { names.contains(&entry.name) };
    let mut notes = Vec::new();
    let mut failed = false;
    for entry in ROWS.iter().filter(wanted) {
        match measure(entry, &setting) {
            Ok(row) => {
                row.print();
                if let Some(kept) = &mut kept {
                    kept.take(&row, &commit);
                    kept.save()?;
                }
                notes.push(format!("{}: {}", row.name, row.asserted));
            }
            Err(error) => {
                failed = true;
                println!("{:<10} FAILED: {error}", entry.name);
            }
        }
    }
    println!("\nmedian [min–max] of the rounds; ratio: encke's median to the floor's; paired: median of the rounds' ratios");
    if kept.is_some() {
        pages::write()?;
    }
    println!("asserted meanwhile:\n  {}", notes.join("\n  "));
    if failed { Err("a row failed".into()) } else { Ok(()) }
}

/// A row that panics fails; the others go on.
fn measure(entry: &Entry, setting: &Setting) -> Outcome<Row> {
    catch_unwind(AssertUnwindSafe(|| (entry.measure)(setting))).unwrap_or_else(|_| Err("it panicked".into()))
}

/// Where the figures are from.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, cpu)| cpu.to_string()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The first two numbers of a release say what it is to everybody.
    let release = read("/proc/sys/kernel/osrelease");
    let release = release.trim().splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    format!("{}, Linux {release}, {cores} cores", cpu.unwrap_or_default())
}

/// Of what they are.
fn commit() -> String {
    let told = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]).output();
    told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
}
