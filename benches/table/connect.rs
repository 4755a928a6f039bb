//! What it costs the server to take a connection in, read its request and park it.

use crate::crowd::{Crowd, Transport};
use crate::report::{Row, compare};
use crate::turns::in_turns;
use crate::{Outcome, Setting};

const CONNECTIONS: usize = 5_000;
const ROUNDS: usize = 8;

/// Connect and subscribe; disconnecting is not counted.
pub fn connect(setting: &Setting) -> Outcome<Row> {
    let samples = in_turns(
        setting,
        ROUNDS,
        |_| Ok(()),
        |side, ()| {
            let before = side.cpu_ns()?;
            let crowd = Crowd::park(side, &[CONNECTIONS], 0, Transport::Sse)?;
            let cpu = side.cpu_ns()? - before;
            drop(crowd);
            side.cpu_ns()?;
            Ok(cpu as f64 / 1e3 / CONNECTIONS as f64)
        },
    )?;
    let lines = vec![compare("CPU a connection", "µs", samples, "≤ 1.15")];
    Ok(Row { name: "connect", lines, asserted: "each of 5,000 got its head with status 200 and no message" })
}
