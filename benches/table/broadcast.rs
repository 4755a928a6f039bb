//! One message to everyone, and several at once to everyone: wall time to the last receiver, and the server's CPU
//! time for each delivery.

use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::message::{Message, clock_ns};
use crate::publisher::Publisher;
use crate::report::{Line, Row, compare};
use crate::side::{Kind, Side};
use crate::turns::{Taken, figures, in_turns};
use crate::{Outcome, Setting};
use std::time::Duration;

/// Clients that sleep until something comes: a `send` that finds them asleep also pays for waking them.
const ASLEEP: Duration = Duration::from_secs(1);
/// Clients that spin: no side pays less because its clients, having more to do, sleep less.
pub const AWAKE: Duration = Duration::ZERO;
const MESSAGE_BYTES: usize = 64;
const ROUNDS: usize = 30;
const COALESCE_RECEIVERS: usize = 1_000;
const COALESCE_MESSAGES: usize = 16;

/// One message to all connections.
pub fn broadcast(setting: &Setting, name: &'static str, transport: Transport) -> Outcome<Row> {
    let receivers = setting.connections;
    // Who asks again is compared awake: see the manual.
    let [asleep, awake] = if transport.asks_again() { [["", ""], ["", "≤ 1.5"]] } else { [["≤ 1.05", "≤ 1.05"], ["", ""]] };
    let peers: &[Kind] = match transport {
        Transport::Sse => &[Kind::Nchan, Kind::Faye],
        Transport::WebSocket | Transport::LongPoll => &[Kind::Nchan],
        Transport::Bayeux => &[Kind::Faye],
        Transport::Stream | Transport::Iframe => &[],
    };
    let mut lines = Vec::new();
    for (clients, pace, [wall_target, cpu_target]) in [("asleep", ASLEEP, asleep), ("awake", AWAKE, awake)] {
        let taken = measure(setting, receivers, 1, transport, peers, pace)?;
        lines.push(compare(
            format!("wall to {receivers}, {clients}"),
            "ms",
            figures(&taken, |round| round.wall_ns / 1e6),
            wall_target,
        ));
        let cpu = figures(&taken, |round| round.cpu_ns / 1e3 / receivers as f64);
        lines.push(compare(format!("CPU a delivery, {clients}"), "µs", cpu, cpu_target));
    }
    let asserted = "each message reached each receiver once, in order, unchanged; nothing else came; publishing was answered as it should be";
    Ok(Row { name, lines, asserted })
}

/// Many messages in one turn to one channel's receivers.
pub fn coalesce(setting: &Setting) -> Outcome<Row> {
    let peers = [Kind::Nchan, Kind::Faye];
    let taken = measure(setting, COALESCE_RECEIVERS, COALESCE_MESSAGES, Transport::Sse, &peers, AWAKE)?;
    let deliveries = (COALESCE_RECEIVERS * COALESCE_MESSAGES) as f64;
    let wall = format!("wall, {COALESCE_MESSAGES} at once to {COALESCE_RECEIVERS}");
    let lines: Vec<Line> = vec![
        compare(wall, "ms", figures(&taken, |round| round.wall_ns / 1e6), ""),
        compare("CPU a delivery", "µs", figures(&taken, |round| round.cpu_ns / 1e3 / deliveries), "≤ 1.0 µs"),
    ];
    let asserted = "each of the 16 reached each receiver once, in order, unchanged; publishing was answered as it should be";
    Ok(Row { name: "coalesce", lines, asserted })
}

fn measure(
    setting: &Setting,
    receivers: usize,
    messages: usize,
    transport: Transport,
    peers: &[Kind],
    pace: Duration,
) -> Outcome<Vec<Taken<Round>>> {
    let setup = |side: &Side| Audience::park(side, receivers, transport);
    in_turns(&setting.players(peers), ROUNDS, setup, |side, audience| audience.tell(side, messages, pace))
}

/// One side's clients, all on one channel, and who publishes to them.
pub struct Audience {
    crowd: Crowd,
    publisher: Publisher,
    layout: [usize; 1],
    sequence: u64,
}

/// Nanoseconds of one message, or several at once, to everybody.
pub struct Round {
    pub wall_ns: f64,
    pub cpu_ns: f64,
}

impl Audience {
    /// Parks so many.
    pub fn park(side: &Side, receivers: usize, transport: Transport) -> Outcome<Audience> {
        let layout = [receivers];
        let crowd = Crowd::park(side, &layout, MESSAGE_BYTES, transport)?;
        Ok(Audience { crowd, publisher: Publisher::connect(side, &layout)?, layout, sequence: 0 })
    }

    /// Publishes so many messages in one go, and waits until everybody has them and the server is at rest.
    pub fn tell(&mut self, side: &Side, messages: usize, pace: Duration) -> Outcome<Round> {
        let cpu_before = side.cpu_ns()?;
        let start = clock_ns();
        for sequence in (self.sequence..).take(messages) {
            self.publisher.queue(0, &Message { channel: 0, sequence, sent_ns: start }.body(MESSAGE_BYTES));
        }
        self.publisher.send()?;
        if let Err(lost) = self.crowd.receive(self.layout[0] * messages, pace) {
            // A refusal to publish is the better reason.
            self.publisher.finish()?;
            return Err(lost);
        }
        let wall = clock_ns() - start;
        self.sequence += messages as u64;
        self.publisher.finish()?;
        // At rest, all that the round caused is done: for long polls, the next requests are parked.
        let cpu = side.cpu_ns()? - cpu_before;
        self.crowd.expect_silence()?;
        Ok(Round { wall_ns: wall as f64, cpu_ns: cpu as f64 })
    }

    /// Counts the heartbeats that come in so long, spinning; nothing else may.
    pub fn heartbeats(&mut self, span: Duration) -> Outcome<usize> {
        self.crowd.heartbeats(span)
    }
}
