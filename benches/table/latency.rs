//! From just before a message is sent to when its receiver has read it, under a steady load.
//!
//! One thread publishes when a message is due and receives in between. It spins, so that its own wake-ups are no part
//! of the figures.

use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::message::{Message, clock_ns};
use crate::publisher::Publisher;
use crate::report::{LATENCY, Row, compare, quantile_of_sorted};
use crate::side::{Kind, PATIENCE, Side};
use crate::turns::{Taken, figures, in_turns};
use crate::{Outcome, Setting};
use std::ops::Range;
use std::time::Duration;

const MESSAGE_BYTES: usize = 64;
const ROUNDS: usize = 5;
/// Where the curve of latencies has its points.
const CURVE: [f64; 11] = [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99];
const ROUND_NS: u64 = 1_000_000_000;

/// 1,000 connections on 100 channels: 5,000 messages a second to 10 receivers each.
pub fn fanout(setting: &Setting) -> Outcome<Row> {
    let load = [Flow { channels: 0..100, interval_ns: 200_000 }];
    let taken = measure(setting, &[10; 100], &load, 0..100)?;
    let mut lines = vec![
        compare("p50, 50k deliveries/s", "µs", figures(&taken, |latencies| quantile_of_sorted(latencies, 0.50)), "≤ 1"),
        compare("p99, 50k deliveries/s", "µs", figures(&taken, |latencies| quantile_of_sorted(latencies, 0.99)), "≤ 1"),
    ];
    lines.extend(CURVE.map(|percent| {
        let figures = figures(&taken, |latencies| quantile_of_sorted(latencies, percent / 100.0));
        compare(format!("{LATENCY}{percent}%"), "µs", figures, "")
    }));
    Ok(Row {
        name: "fanout",
        lines,
        asserted: "each message reached its channel's 10 receivers once, in order; publishing was answered as it should be",
    })
}

/// One channel with everybody, a message each 100 ms; one with a single reader, whose latency is measured each 2 ms.
pub fn fair(setting: &Setting) -> Outcome<Row> {
    let layout = [setting.connections, 1];
    let load = [Flow { channels: 0..1, interval_ns: 100_000_000 }, Flow { channels: 1..2, interval_ns: 2_000_000 }];
    let taken = measure(setting, &layout, &load, 1..2)?;
    let lines = vec![
        compare("p50 of the small channel", "µs", figures(&taken, |latencies| quantile_of_sorted(latencies, 0.50)), ""),
        compare(
            "p99 of the small channel",
            "µs",
            figures(&taken, |latencies| quantile_of_sorted(latencies, 0.99)),
            "≤ 10,000 µs",
        ),
    ];
    Ok(Row {
        name: "fair",
        lines,
        asserted: "both channels: each receiver had each message once, in order; publishing was answered as it should be",
    })
}

/// Messages at a steady pace to some channels, one after the other, over a connection of their own.
struct Flow {
    channels: Range<u32>,
    interval_ns: u64,
}

struct Running {
    crowd: Crowd,
    publishers: Vec<Publisher>,
    /// How many messages each channel has had.
    sequences: Vec<u64>,
}

/// Microseconds of each delivery on the `watched` channels, in order, round by round.
fn measure(setting: &Setting, layout: &[usize], load: &[Flow], watched: Range<u32>) -> Outcome<Vec<Taken<Vec<f64>>>> {
    let setup = |side: &Side| {
        let crowd = Crowd::park(side, layout, MESSAGE_BYTES, Transport::Sse)?;
        let publishers = load.iter().map(|_| Publisher::connect(side, layout)).collect::<Outcome<_>>()?;
        Ok(Running { crowd, publishers, sequences: vec![0; layout.len()] })
    };
    in_turns(&setting.players(&[Kind::Nchan, Kind::Faye]), ROUNDS, setup, |_, running| running.round(layout, load, &watched))
}

impl Running {
    fn round(&mut self, layout: &[usize], load: &[Flow], watched: &Range<u32>) -> Outcome<Vec<f64>> {
        let start = clock_ns();
        let mut sent: Vec<u64> = vec![0; load.len()];
        let (mut due, mut received) = (0, 0);
        let mut latencies = Vec::new();
        loop {
            let elapsed = clock_ns() - start;
            for ((flow, sent), publisher) in load.iter().zip(&mut sent).zip(&mut self.publishers) {
                let next = *sent * flow.interval_ns;
                if next < ROUND_NS && next <= elapsed {
                    let channel = flow.channels.start + (*sent % flow.channels.len() as u64) as u32;
                    let sequence = &mut self.sequences[channel as usize];
                    publisher.queue(channel, &Message { channel, sequence: *sequence, sent_ns: clock_ns() }.body(MESSAGE_BYTES));
                    publisher.send()?;
                    *sequence += 1;
                    *sent += 1;
                    due += layout[channel as usize];
                }
                publisher.read_answers()?;
            }
            received += self.crowd.turn(Some(Duration::ZERO), |message| {
                if watched.contains(&message.channel) {
                    latencies.push((clock_ns() - message.sent_ns) as f64 / 1e3);
                }
                Ok(())
            })?;
            if elapsed > ROUND_NS && received == due {
                break;
            }
            if elapsed > ROUND_NS + PATIENCE.as_nanos() as u64 {
                return Err(format!("lost: {} of {due} deliveries", due - received).into());
            }
        }
        self.publishers.iter_mut().try_for_each(Publisher::finish)?;
        self.crowd.expect_silence()?;
        latencies.sort_by(f64::total_cmp);
        Ok(latencies)
    }
}
