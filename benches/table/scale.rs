//! How cost goes with the number of connections: CPU and wall of a broadcast, and user bytes, at several sizes.

use crate::broadcast::{AWAKE, Audience};
use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::report::{Row, compare};
use crate::side::Kind;
use crate::turns::{figures, in_turns};
use crate::{Outcome, Setting};

const ROUNDS: usize = 10;

struct Sample {
    wall_ns: f64,
    cpu_ns: f64,
    bytes: f64,
}

/// A tenth, a half, all, and 1.8 times the connections of other rows: as many as 20,000 descriptors allow.
pub fn scale(setting: &Setting) -> Outcome<Row> {
    let mut lines = Vec::new();
    let mut players = setting.players(&[Kind::Nchan, Kind::Faye]);
    // Who publishes has nothing to say while the others' clients come.
    players.options = &["--idle-timeout", "10m"];
    for tenths in [1, 5, 10, 18] {
        let receivers = setting.connections * tenths / 10;
        let taken = in_turns(
            &players,
            ROUNDS,
            |side| {
                // What the first connection of all makes a server fetch is not the others' cost.
                drop(Crowd::park(side, &[1], 0, Transport::Sse)?);
                side.cpu_ns()?;
                let before = side.pss_bytes()?;
                let audience = Audience::park(side, receivers, Transport::Sse)?;
                side.cpu_ns()?;
                let bytes = side.pss_bytes()?.saturating_sub(before) as f64 / receivers as f64;
                Ok((audience, bytes))
            },
            |side, (audience, bytes)| {
                let round = audience.tell(side, 1, AWAKE)?;
                Ok(Sample { wall_ns: round.wall_ns, cpu_ns: round.cpu_ns, bytes: *bytes })
            },
        )?;
        let each = |what| format!("{what}, {receivers} connections");
        lines.push(compare(each("CPU a delivery"), "µs", figures(&taken, |sample| sample.cpu_ns / 1e3 / receivers as f64), ""));
        lines.push(compare(each("wall"), "ms", figures(&taken, |sample| sample.wall_ns / 1e6), ""));
        lines.push(compare(each("user bytes each"), "B", figures(&taken, |sample| sample.bytes), ""));
    }
    Ok(Row { name: "scale", lines, asserted: "as in broadcast" })
}
