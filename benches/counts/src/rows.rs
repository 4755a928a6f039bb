//! What is counted: each row does one thing many times, and says how often.
//!
//! A row asserts that the thing was done. Before it is counted, it was done once: buffers have their sizes, tables their
//! entries.

use crate::Outcome;
use crate::stage::{Stage, Work, message};
use encke::base::id::Token;
use encke::engine::Door;

/// Connections, and deliveries, of a row.
const READERS: usize = 1_000;
/// Requests of a row that publishes.
const PUBLISHES: usize = 1_600;
const PIPELINED: usize = 16;
/// Behind all heartbeats that are due after a silence of 25 seconds, and before the next.
const SILENCE_MS: u64 = 26_000;

/// What a row counts, and how.
pub struct Row {
    pub name: &'static str,
    pub count: fn() -> Outcome<Counted>,
}

/// How often it was done, and what that took.
pub struct Counted {
    pub times: usize,
    pub work: Work,
}

const fn row(name: &'static str, count: fn() -> Outcome<Counted>) -> Row {
    Row { name, count }
}

pub const ROWS: [Row; 11] = [
    row("deliver/sse", || deliver("sse")),
    row("deliver/websocket", || deliver("websocket")),
    row("deliver/stream", || deliver("stream")),
    row("deliver/iframe", || deliver("iframe")),
    row("deliver/long-poll", || deliver("long-poll")),
    row("ask-again/long-poll", ask_again),
    row("connect/sse", || connect("sse")),
    row("connect/websocket", || connect("websocket")),
    row("publish/one-by-one", || publish(1)),
    row("publish/pipelined-16", || publish(PIPELINED)),
    row("heartbeat/sse", heartbeat),
];

fn subscribe(transport: &str, cursor: &str) -> Vec<u8> {
    let upgrade = match transport {
        "websocket" => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        _ => "",
    };
    format!("GET /sub/bench?transport={transport}{cursor} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n").into_bytes()
}

fn parked(stage: &mut Stage, transport: &str) -> Outcome<Vec<Token>> {
    let request = subscribe(transport, "");
    (0..READERS).map(|_| stage.connect(Door::Public, &request)).collect()
}

fn done(times: usize, sends: usize, work: Work) -> Outcome<Counted> {
    if work.sends == sends as u64 {
        Ok(Counted { times, work })
    } else {
        Err(format!("{} sends, not {sends}", work.sends).into())
    }
}

/// A message to a thousand readers of one channel. It is made and framed once, and that is part of it.
fn deliver(transport: &str) -> Outcome<Counted> {
    let mut stage = Stage::new();
    let readers = parked(&mut stage, transport)?;
    stage.publish(&mut vec![message("/bench")?]);
    if transport == "long-poll" {
        readers.iter().for_each(|&reader| stage.receive(reader, &subscribe(transport, "")));
    }
    let mut messages = vec![message("/bench")?];
    let work = stage.count(|stage| stage.publish(&mut messages));
    done(READERS, READERS, work)
}

/// A long poll that was answered asks again, with the cursor that it was given.
fn ask_again() -> Outcome<Counted> {
    let mut stage = Stage::new();
    let readers = parked(&mut stage, "long-poll")?;
    stage.last = Some(Vec::new());
    stage.publish(&mut vec![message("/bench")?]);
    let answer = stage.last.take().unwrap_or_default();
    let answer = String::from_utf8(answer)?;
    let cursor = answer.split("\"cursor\":\"").nth(1).and_then(|rest| rest.split('"').next()).ok_or("there is no cursor")?;
    let request = subscribe("long-poll", &format!("&since={cursor}"));
    let work = stage.count(|stage| readers.iter().for_each(|&reader| stage.receive(reader, &request)));
    stage.publish(&mut vec![message("/bench")?]);
    done(READERS, 0, work)
}

/// A connection comes and subscribes.
fn connect(transport: &str) -> Outcome<Counted> {
    let mut stage = Stage::new();
    let request = subscribe(transport, "");
    stage.connect(Door::Public, &request)?;
    let mut failed = None;
    let work = stage.count(|stage| {
        for _ in 0..READERS {
            failed = stage.connect(Door::Public, &request).err().or(failed.take());
        }
    });
    failed.map_or_else(|| done(READERS, READERS, work), Err)
}

/// A hundred bytes by POST on the private listener, so many at once; each batch is answered by one send.
fn publish(pipelined: usize) -> Outcome<Counted> {
    let one = format!("POST /pub/bench HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{}", "x".repeat(100));
    let requests = one.repeat(pipelined).into_bytes();
    let mut stage = Stage::new();
    let publisher = stage.connect(Door::PrivateLoopback, &requests)?;
    stage.last = Some(Vec::new());
    stage.receive(publisher, &requests);
    let answers = stage.last.take().unwrap_or_default();
    if !answers.starts_with(b"HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(&answers).into());
    }
    let batches = PUBLISHES / pipelined;
    let work = stage.count(|stage| (0..batches).for_each(|_| stage.receive(publisher, &requests)));
    done(PUBLISHES, batches, work)
}

/// Silent streams' hearts beat, each at a moment of its own, and once.
fn heartbeat() -> Outcome<Counted> {
    let mut stage = Stage::new();
    parked(&mut stage, "sse")?;
    stage.pass(SILENCE_MS);
    let work = stage.count(|stage| stage.pass(SILENCE_MS));
    let times = work.sends as usize;
    if times < READERS { Err(format!("{times} hearts beat").into()) } else { Ok(Counted { times, work }) }
}
