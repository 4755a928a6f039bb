//! What readers get whose connections are cut again and again: everything, once, in order, while messages come as fast as
//! they are taken. And what one is told that was away for longer than the history lasts: how many it missed.

use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::message::{self, Message};
use crate::publisher::Publisher;
use crate::report::{Row, compare};
use crate::side::{Kind, PATIENCE, Side};
use crate::turns::{figures, in_turns};
use crate::{Outcome, Setting, answers};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const READERS: usize = 50;
const MESSAGES: u64 = 10_000;
/// So many messages after one cut comes the next.
const CUT_EVERY: u64 = 10;
/// More than a history holds.
const AWAY: u64 = 3_000;
const MESSAGE_BYTES: usize = 64;

struct Outcomes {
    cuts: f64,
    per_second: f64,
    missed: f64,
}

/// Encke, and nchan, whose history holds as much of it as is needed; the floor keeps nothing.
pub fn resume(setting: &Setting) -> Outcome<Row> {
    let mut players = setting.players(&[Kind::Nchan]);
    players.kinds.retain(|&kind| kind != Kind::Floor);
    let setup = |side: &Side| {
        let mut crowd = Crowd::park(side, &[READERS], MESSAGE_BYTES, Transport::Sse)?;
        crowd.may_come_back();
        Ok((crowd, Publisher::connect(side, &[READERS])?, 0))
    };
    let taken = in_turns(&players, 1, setup, |side, (crowd, publisher, sequence)| {
        let start = Instant::now();
        let cuts = storm(side, crowd, publisher, sequence)?;
        let seconds = start.elapsed().as_secs_f64();
        let missed = if side.kind == Kind::Encke { away(side, crowd, publisher, sequence)? } else { 0 };
        Ok(Outcomes { cuts: cuts as f64, per_second: (MESSAGES * READERS as u64) as f64 / seconds / 1e3, missed: missed as f64 })
    })?;
    // Nobody is the floor here, so nothing is a ratio.
    let plain = |mut line: crate::report::Line| {
        line.cells.iter_mut().for_each(|cell| cell.ratios = None);
        line
    };
    let lines = vec![
        // A message that is lost, repeated or out of order ends a side's part: what is left has none.
        compare("lost, repeated, reordered", "", figures(&taken, |_| 0.0), "≤ 0 messages"),
        compare("connections cut meanwhile", "", figures(&taken, |outcomes| outcomes.cuts), ""),
        compare("deliveries", "k/s", figures(&taken, |outcomes| outcomes.per_second), ""),
        compare("missed beyond the history, and told", "", figures(&taken, |outcomes| outcomes.missed), ""),
    ];
    let asserted = "each reader had each message once, in order, however often it was cut; who was away too long was told how many it missed, \
                    and had all later ones";
    Ok(Row { name: "resume", lines: lines.into_iter().map(plain).collect(), asserted })
}

/// Messages as fast as they are taken, and a cut now and then; returns how many cuts.
fn storm(side: &Side, crowd: &mut Crowd, publisher: &mut Publisher, sequence: &mut u64) -> Outcome<usize> {
    // Who has had no message has none to come back behind.
    say(publisher, sequence)?;
    crowd.receive(READERS, Duration::from_secs(1))?;
    let (mut received, mut cuts) = (0, 0);
    let due = MESSAGES as usize * READERS;
    for number in 1..=MESSAGES {
        say(publisher, sequence)?;
        received += crowd.turn(Some(Duration::ZERO), |_| Ok(()))?;
        if number % CUT_EVERY == 0 {
            crowd.come_back(side, cuts % READERS)?;
            cuts += 1;
            // A history is to hold what a reader misses while it comes back, so nobody may be far behind.
            let until = Instant::now() + PATIENCE;
            while received + READERS * CUT_EVERY as usize * 2 < number as usize * READERS {
                received += crowd.turn(Some(Duration::ZERO), |_| Ok(()))?;
                if Instant::now() > until {
                    return Err(format!("lost: {} messages", number as usize * READERS - received).into());
                }
            }
        }
    }
    crowd.receive(due - received, Duration::from_secs(1))?;
    publisher.finish()?;
    crowd.expect_silence()?;
    Ok(cuts)
}

fn say(publisher: &mut Publisher, sequence: &mut u64) -> Outcome<()> {
    publisher.queue(0, &Message { channel: 0, sequence: *sequence, sent_ns: 0 }.body(MESSAGE_BYTES));
    publisher.send()?;
    *sequence += 1;
    publisher.read_answers()
}

/// One more reader goes away, and comes back when the history has let go of what it would want next.
fn away(side: &Side, crowd: &mut Crowd, publisher: &mut Publisher, sequence: &mut u64) -> Outcome<u64> {
    let mut socket = subscribe(side, "")?;
    say(publisher, sequence)?;
    let last = *sequence - 1;
    let seen = read_until(&mut socket, |text| holds(text, last))?;
    drop(socket);
    let (_, id) = seen.rsplit_once("id: ").ok_or("a message has no id")?;
    let id = id.lines().next().unwrap_or_default().to_owned();
    for _ in 0..AWAY {
        say(publisher, sequence)?;
        crowd.turn(Some(Duration::ZERO), |_| Ok(()))?;
    }
    publisher.finish()?;
    while crowd.turn(Some(Duration::from_millis(100)), |_| Ok(()))? > 0 {}
    let mut socket = subscribe(side, &format!("Last-Event-ID: {id}\r\n"))?;
    let end = *sequence - 1;
    let seen = read_until(&mut socket, |text| holds(text, end))?;
    let told = seen.split_once("event: gap").and_then(|(_, rest)| rest.split_once("\"missed\":"));
    let digits = told.ok_or("a gap was not told")?.1;
    let digits = &digits[..digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len())];
    let missed: u64 = digits.parse()?;
    let mut next = last + 1 + missed;
    message::scan(seen.as_bytes(), MESSAGE_BYTES, |message| {
        let due = next;
        next += 1;
        if message.sequence == due { Ok(()) } else { Err(format!("behind a gap {due} was due, not {}", message.sequence).into()) }
    })?;
    if next == *sequence { Ok(missed) } else { Err("behind a gap some messages did not come".into()) }
}

fn subscribe(side: &Side, header: &str) -> Outcome<TcpStream> {
    let mut socket = TcpStream::connect(side.public)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let request = Transport::Sse.request(side.kind, 0, None).replacen("\r\n", &format!("\r\n{header}"), 1);
    socket.write_all(request.as_bytes())?;
    if header.is_empty() {
        // Held, so what is said from now on comes.
        read_until(&mut socket, |text| answers::head_len(text.as_bytes()).is_some())?;
    }
    Ok(socket)
}

/// Whether the message of this number is there, with the blank line behind it.
fn holds(text: &str, sequence: u64) -> bool {
    text.split_once(&format!("{sequence:016x}")).is_some_and(|(_, rest)| rest.contains("\n\n"))
}

fn read_until(socket: &mut TcpStream, is_whole: impl Fn(&str) -> bool) -> Outcome<String> {
    let mut text = String::new();
    let mut buffer = [0; 64 << 10];
    while !is_whole(&text) {
        match socket.read(&mut buffer)? {
            0 => return Err("a reader's connection was closed".into()),
            len => text.push_str(std::str::from_utf8(&buffer[..len])?),
        }
    }
    Ok(text)
}
