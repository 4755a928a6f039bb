//! One message to everyone, and several at once to everyone: wall time to the last receiver, and the server's CPU
//! time for each delivery.

use crate::crowd::{Crowd, Transport};
use crate::message::{Message, clock_ns};
use crate::publisher::Publisher;
use crate::report::{Line, Row, compare};
use crate::side::Side;
use crate::turns::in_turns;
use crate::{Outcome, Setting};
use std::time::Duration;

/// Clients that sleep until something comes: a `send` that finds them asleep also pays for waking them.
const ASLEEP: Duration = Duration::from_secs(1);
/// Clients that spin: no side pays less because its clients, having more to do, sleep less.
const AWAKE: Duration = Duration::ZERO;
const MESSAGE_BYTES: usize = 64;
const ROUNDS: usize = 30;
const COALESCE_RECEIVERS: usize = 1_000;
const COALESCE_MESSAGES: usize = 16;

/// One message to all connections.
pub fn broadcast(setting: &Setting, name: &'static str, transport: Transport) -> Outcome<Row> {
    let receivers = setting.connections;
    let is_long_poll = matches!(transport, Transport::LongPoll | Transport::Bayeux);
    let (wall_target, cpu_target) = if is_long_poll { ("", "≤ 1.5") } else { ("≤ 1.05", "≤ 1.05") };
    let mut lines = Vec::new();
    for (clients, pace, targets) in [("asleep", ASLEEP, (wall_target, cpu_target)), ("awake", AWAKE, ("", ""))] {
        let [wall, cpu] = measure(setting, receivers, 1, transport, pace)?;
        lines.push(compare(format!("wall to {receivers}, {clients}"), "ms", wall.map(|side| scaled(&side, 1e6)), targets.0));
        let cpu = cpu.map(|side| scaled(&side, 1e3 * receivers as f64));
        lines.push(compare(format!("CPU a delivery, {clients}"), "µs", cpu, targets.1));
    }
    let asserted = "each message reached each receiver once, in order, unchanged; nothing else came; publishing said 200";
    Ok(Row { name, lines, asserted })
}

/// Many messages in one turn to one channel's receivers.
pub fn coalesce(setting: &Setting) -> Outcome<Row> {
    let [wall, cpu] = measure(setting, COALESCE_RECEIVERS, COALESCE_MESSAGES, Transport::Sse, AWAKE)?;
    let deliveries = (COALESCE_RECEIVERS * COALESCE_MESSAGES) as f64;
    let lines: Vec<Line> = vec![
        compare(
            format!("wall, {COALESCE_MESSAGES} at once to {COALESCE_RECEIVERS}"),
            "ms",
            wall.map(|side| scaled(&side, 1e6)),
            "",
        ),
        compare("CPU a delivery", "µs", cpu.map(|side| scaled(&side, 1e3 * deliveries)), "≤ 1.0 µs"),
    ];
    Ok(Row {
        name: "coalesce",
        lines,
        asserted: "each of the 16 reached each receiver once, in order, unchanged; publishing said 200",
    })
}

/// One side's clients.
struct Parked {
    crowd: Crowd,
    publisher: Publisher,
    sequence: u64,
}

/// Nanoseconds of a round: wall and server CPU, for the floor and for Encke.
fn measure(
    setting: &Setting,
    receivers: usize,
    messages: usize,
    transport: Transport,
    pace: Duration,
) -> Outcome<[[Vec<f64>; 2]; 2]> {
    let layout = [receivers];
    let setup = |side: &Side| {
        let crowd = Crowd::park(side, &layout, MESSAGE_BYTES, transport)?;
        Ok(Parked { crowd, publisher: Publisher::connect(side, &layout)?, sequence: 0 })
    };
    let samples = in_turns(setting, ROUNDS, setup, |side, parked| {
        let cpu_before = side.cpu_ns()?;
        let start = clock_ns();
        for sequence in (parked.sequence..).take(messages) {
            parked.publisher.queue(0, &Message { channel: 0, sequence, sent_ns: start }.body(MESSAGE_BYTES));
        }
        parked.publisher.send()?;
        if let Err(lost) = parked.crowd.receive(receivers * messages, pace) {
            // A refusal to publish is the better reason.
            parked.publisher.finish()?;
            return Err(lost);
        }
        let wall = clock_ns() - start;
        parked.sequence += messages as u64;
        parked.publisher.finish()?;
        // At rest, all that the round caused is done: for long polls, the next requests are parked.
        let cpu = side.cpu_ns()? - cpu_before;
        parked.crowd.expect_silence()?;
        Ok([wall as f64, cpu as f64])
    })?;
    Ok([0, 1].map(|figure| samples.each_ref().map(|side| side.iter().map(|sample| sample[figure]).collect())))
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|value| value / by).collect()
}
