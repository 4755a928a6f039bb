//! `benches/CAPACITY.md`: what so many clients would need, computed from what was measured here. Every figure on the page
//! comes out of this file and the data, so none can go on saying what is no longer measured.

use crate::Outcome;
use crate::crowd::HEARTBEAT;
use crate::measured::Measured;
use crate::svg::thousands;
use encke::base::config::Config;
use encke::base::payload::{Message, Parts};
use encke::base::random::Seed;
use encke::base::time::Now;
use encke::engine::{Door, Engine, Input, Output};
use std::fmt::Write;

const CLIENTS: [f64; 3] = [1e6, 1e7, 1e8];
/// Seconds between two messages to each client.
const EVERY: [f64; 3] = [60.0, 10.0, 1.0];
const HEARTBEAT_SECONDS: f64 = 25.0;

/// The machine that is counted with, and how much of it may be used: an assumption, to be replaced by one's own.
const NODE_CORES: f64 = 64.0;
const NODE_BYTES: f64 = 256.0 * GIB;
const NODE_BITS: f64 = 25e9;
const USED_MEMORY: f64 = 0.7;
const USED_CORES: f64 = 0.5;
const USED_NETWORK: f64 = 0.5;

const MESSAGE_BYTES: usize = 64;
const HEARTBEAT_BYTES: f64 = HEARTBEAT.len() as f64;
/// Ethernet with preamble and gap (38), IPv4 (20), TCP with time stamps (32): around each segment, and around nothing for its
/// acknowledgement.
const SEGMENT_BYTES: f64 = 90.0;
/// How long clients take to come back: their `retry`, spread.
const RETURN_SECONDS: [f64; 3] = [3.0, 30.0, 120.0];
const GIB: f64 = (1u64 << 30) as f64;

/// What was measured, for one connection or one event, in bytes and seconds.
struct Costs {
    user: f64,
    user_own: f64,
    session: f64,
    kernel: f64,
    connect: f64,
    delivery: f64,
    poll: f64,
    heartbeat: f64,
    frame: f64,
}

/// The page.
pub fn page(measured: &Measured) -> Outcome<String> {
    let micro = |row, what| measured.median(row, what, "encke").map(|value| value / 1e6);
    let costs = Costs {
        user: measured.median("memory", "user bytes each", "encke")?,
        user_own: measured.median("parked", "bytes each, a channel each", "encke")?,
        session: measured.median("sessions", "bytes each", "encke")?,
        kernel: measured.median("memory", "kernel bytes an end", "encke")?,
        connect: micro("connect", "CPU a connection")?,
        delivery: micro("broadcast", "CPU a delivery, asleep")?,
        poll: micro("long-poll", "CPU a delivery, awake")?,
        heartbeat: micro("idle", "CPU a heartbeat")?,
        frame: frame_bytes()? as f64,
    };
    let mut out = String::new();
    inputs(&mut out, &measured.machine, &costs)?;
    memory(&mut out, &costs)?;
    work(&mut out, &costs)?;
    nodes(&mut out, &costs)?;
    storms(&mut out, &costs)?;
    out += LIMITS;
    Ok(out)
}

fn inputs(out: &mut String, machine: &str, costs: &Costs) -> Outcome<()> {
    let Costs { user, user_own, session, kernel, connect, delivery, poll, heartbeat, frame } = costs;
    let us = |seconds: &f64| format!("{:.2} µs", seconds * 1e6);
    write!(
        out,
        "# Capacity\n\n\
         What 1, 10 and 100 million clients would need, as arithmetic: figures measured on one small machine, times clients. It was\n\
         not built and not run; nobody should buy machines by it who has not measured `connect` and `broadcast` on one of them.\n\
         Written by `benches/run.sh --plot` out of `measured/table.tsv`; `cargo test` checks that the two agree.\n\n\
         ## What goes in\n\n\
         Measured ({machine}), on one core and loopback, by the rows of [the table](README.md):\n\n\
         | sign | what | value | row |\n|---|---|---|---|\n\
         | U | user bytes a connection on a shared channel | {user:.0} B | `memory` |\n\
         | U₁ | the same, on a channel of its own, counted | {user_own:.0} B | `parked` |\n\
         | U₂ | what a Bayeux session adds, counted | {session:.0} B | `sessions` |\n\
         | K | kernel bytes of one end of a connection | {kernel:.0} B | `memory` |\n\
         | A | CPU to accept a connection and park it | {} | `connect` |\n\
         | D | CPU to deliver a message, its reader asleep | {} | `broadcast` |\n\
         | L | the same by long-polling, with the next request | {} | `long-poll` |\n\
         | H | CPU of a heartbeat | {} | `idle` |\n\
         | F | bytes of a message of {MESSAGE_BYTES}, framed for SSE | {frame:.0} B | engine |\n\
         | h | bytes of a heartbeat | {HEARTBEAT_BYTES:.0} B | `idle` |\n\n\
         Assumed: a segment costs S = {SEGMENT_BYTES} bytes of the wire beside what it carries (Ethernet with preamble and gap 38, IPv4 20,\n\
         TCP with time stamps 32), and as many the other way for its acknowledgement. A node has {NODE_CORES:.0} cores, {:.0} GiB and {:.0} Gbit/s, of\n\
         which {:.0} %, {:.0} % and {:.0} % are to be used. n is the number of clients.\n\n",
        us(connect),
        us(delivery),
        us(poll),
        us(heartbeat),
        NODE_BYTES / GIB,
        NODE_BITS / 1e9,
        USED_CORES * 100.0,
        USED_MEMORY * 100.0,
        USED_NETWORK * 100.0,
    )?;
    Ok(())
}

fn memory(out: &mut String, costs: &Costs) -> Outcome<()> {
    *out += "## Memory\n\nn × (U + K). The kernel's part is there whatever the server does; what lies unsent in sockets of slow readers comes on top.\n\n\
             | clients | user, shared channel (n U) | user, a channel each (n U₁) | user, Bayeux (n (U + U₂)) | kernel (n K) | together, shared |\n|---|---|---|---|---|---|\n";
    for n in CLIENTS {
        let Costs { user, user_own, session, kernel, .. } = costs;
        let [shared, own, bayeux, system, all] =
            [*user, *user_own, user + session, *kernel, user + kernel].map(|bytes| gib(n * bytes));
        writeln!(out, "| {} | {shared} | {own} | {bayeux} | {system} | {all} |", thousands(n))?;
    }
    out.push('\n');
    Ok(())
}

fn work(out: &mut String, costs: &Costs) -> Outcome<()> {
    let Costs { delivery, poll, heartbeat, frame, .. } = costs;
    write!(
        out,
        "## Cores and network at a given rate\n\n\
         Each client gets a message every T seconds: n D / T cores over SSE, n L / T by long-polling; outwards n (F + S) / T bytes a second,\n\
         inwards n S / T for acknowledgements. Cores here are fully busy ones.\n\n\
         | clients | T | messages a second | cores, SSE | cores, long-poll | out | in |\n|---|---|---|---|---|---|---|\n"
    )?;
    for n in CLIENTS {
        for every in EVERY {
            let rate = n / every;
            let (out_bits, in_bits) = (gbit(rate * (frame + SEGMENT_BYTES)), gbit(rate * SEGMENT_BYTES));
            writeln!(
                out,
                "| {} | {every} s | {} | {} | {} | {out_bits} | {in_bits} |",
                thousands(n),
                thousands(rate.round()),
                cores(rate * delivery),
                cores(rate * poll)
            )?;
        }
    }
    write!(
        out,
        "\nHeartbeats each {HEARTBEAT_SECONDS} s to clients that get nothing else: n H / {HEARTBEAT_SECONDS} cores, n (h + S) / {HEARTBEAT_SECONDS} bytes a second. A client that is\n\
         sent messages more often than that gets none.\n\n\
         | clients | heartbeats a second | cores | out | in |\n|---|---|---|---|---|\n"
    )?;
    for n in CLIENTS {
        let rate = n / HEARTBEAT_SECONDS;
        let (out_bits, in_bits) = (gbit(rate * (HEARTBEAT_BYTES + SEGMENT_BYTES)), gbit(rate * SEGMENT_BYTES));
        writeln!(out, "| {} | {} | {} | {out_bits} | {in_bits} |", thousands(n), thousands(rate), cores(rate * heartbeat))?;
    }
    out.push('\n');
    Ok(())
}

/// How many nodes for these clients, and by what.
fn nodes_for(n: f64, every: f64, costs: &Costs) -> (f64, &'static str) {
    let rate = n / every;
    let beats = if every > HEARTBEAT_SECONDS { n / HEARTBEAT_SECONDS } else { 0.0 };
    let by = [
        (n * (costs.user + costs.kernel) / (NODE_BYTES * USED_MEMORY), "memory"),
        ((rate * costs.delivery + beats * costs.heartbeat) / (NODE_CORES * USED_CORES), "cores"),
        (
            8.0 * (rate * (costs.frame + SEGMENT_BYTES) + beats * (HEARTBEAT_BYTES + SEGMENT_BYTES)) / (NODE_BITS * USED_NETWORK),
            "network",
        ),
    ];
    let (nodes, limit) = by.into_iter().fold((0.0, ""), |most, next| if next.0 > most.0 { next } else { most });
    // One may be gone.
    (nodes.ceil() + 1.0, limit)
}

fn nodes(out: &mut String, costs: &Costs) -> Outcome<()> {
    *out += "## Nodes\n\nThe most that memory, cores or network ask for, rounded up, and one more that may be gone. Where T is above the heartbeat's, its\n\
             work is added. Every node has a copy of what is published to channels that clients of several nodes share: Encke keeps\n\
             one process's channels, and whoever publishes tells each node.\n\n\
             | clients | T = 60 s | T = 10 s | T = 1 s |\n|---|---|---|---|\n";
    for n in CLIENTS {
        let cells = EVERY.map(|every| {
            let (nodes, limit) = nodes_for(n, every, costs);
            format!("{nodes} ({limit})")
        });
        writeln!(out, "| {} | {} |", thousands(n), cells.join(" | "))?;
    }
    out.push('\n');
    Ok(())
}

fn storms(out: &mut String, costs: &Costs) -> Outcome<()> {
    write!(
        out,
        "## Reconnect storms\n\n\
         All n come back within W seconds: n A / W cores while it lasts, n / W connections a second, and each client that missed m messages\n\
         has them delivered in one write, so D once more. TLS comes on top, and costs far more than A: a handshake takes a millisecond\n\
         of a core, more or less, in whatever ends it.\n\n\
         | clients | W | connections a second | cores to accept (n A / W) | cores with one delivery (n (A + D) / W) |\n|---|---|---|---|---|\n"
    )?;
    for n in CLIENTS {
        for seconds in RETURN_SECONDS {
            let rate = n / seconds;
            writeln!(
                out,
                "| {} | {seconds} s | {} | {} | {} |",
                thousands(n),
                thousands(rate.round()),
                cores(rate * costs.connect),
                cores(rate * (costs.connect + costs.delivery))
            )?;
        }
    }
    let n = CLIENTS[1];
    let (nodes, _) = nodes_for(n, EVERY[1], costs);
    let of_node = n / nodes;
    let rest = (nodes - 1.0) * NODE_CORES * (1.0 - USED_CORES);
    let seconds = of_node * (costs.connect + costs.delivery) / rest;
    write!(
        out,
        "\nOne node of {nodes} is gone, with {} clients at T = {} s: {} of them come to the others, whose idle {:.0} cores need at least\n\
         {seconds:.2} s for all. So the network's accept queues and the clients' own spread decide how long it takes, and\n\
         `--jitter` spreads clients that the server itself sends away.\n\n",
        thousands(n),
        EVERY[1],
        thousands(of_node.round()),
        rest,
    )?;
    Ok(())
}

const LIMITS: &str = "\
## What this leaves out

- **Loopback.** A `send` here runs the receiver's half of TCP as well, on the sender's core; on a network the card's interrupts and the
  acknowledgements cost instead. Which is more was not measured.
- **More cores.** Costs are those of one reactor on one core. Reactors share nothing but mailboxes, and a message to a channel with
  readers on all of them is one entry in each mailbox; what caches and memory of 64 cores do to D was not measured.
- **Descriptors.** A process may hold as many connections as the limits of descriptors and of conntrack, if there is one, allow.
- **TLS**, and whatever else stands in front: its memory a connection (tens of kilobytes, usually) is many times U + K.
- **Slow readers** keep what was sent in their sockets' buffers, in the kernel: at most `tcp_wmem` each.
- **Work that is not even.** Peaks, not averages, decide; USED is what is left for them.
";

/// The bytes that a reader of SSE gets for a message of 64.
fn frame_bytes() -> Outcome<usize> {
    let config = Config { anonymous_subscribe: "/**".into(), ..Config::default() };
    let mut engine = Engine::new(&config, 0, 1, Seed(1, 2));
    let now = Now::default();
    let token = engine.open(now, Door::Public).ok_or("the engine has no room")?;
    engine.handle(now, Input::Bytes { token, bytes: b"GET /sub/x?transport=sse HTTP/1.1\r\nHost: a\r\n\r\n" });
    written(&mut engine, now)?;
    let data = &[b'.'; MESSAGE_BYTES];
    let parts = Parts { channel: "/x", content_type: "text/plain", event: "", data, unix_ms: now.unix_ms };
    engine.handle(now, Input::Publish(&mut vec![Message::new(&parts)?]));
    written(&mut engine, now)
}

/// One turn of a reactor whose sockets take everything: how many bytes they took.
fn written(engine: &mut Engine, now: Now) -> Outcome<usize> {
    engine.begin_turn();
    let mut count = 0;
    while let Some(output) = engine.poll_output(now) {
        let Output::Write(token) = output else { continue };
        let bytes = engine.outgoing(token).concat().len();
        engine.handle(now, Input::Wrote { token, count: bytes });
        count += bytes;
    }
    Ok(count)
}

fn gib(bytes: f64) -> String {
    match bytes / GIB {
        some if some < 10.0 => format!("{some:.2} GiB"),
        many => format!("{} GiB", thousands(many.round())),
    }
}

fn gbit(bytes_a_second: f64) -> String {
    match bytes_a_second * 8.0 / 1e9 {
        some if some < 10.0 => format!("{some:.2} Gbit/s"),
        many => format!("{} Gbit/s", thousands(many.round())),
    }
}

fn cores(count: f64) -> String {
    if count < 10.0 { format!("{count:.2}") } else { thousands(count.round()) }
}
