//! What it costs the server to take a connection in, read its request and park it.

use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::report::{Row, compare};
use crate::side::Kind;
use crate::turns::{figures, in_turns};
use crate::{Outcome, Setting};

const CONNECTIONS: usize = 5_000;
const ROUNDS: usize = 8;

/// Connect and subscribe; disconnecting is not counted.
pub fn connect(setting: &Setting) -> Outcome<Row> {
    let taken = in_turns(
        &setting.players(&[Kind::Nchan, Kind::Faye]),
        ROUNDS,
        |_| Ok(()),
        |side, ()| {
            // A peer is given less to do: some are slow.
            let connections = if side.kind.is_peer() { CONNECTIONS / 5 } else { CONNECTIONS };
            let before = side.cpu_ns()?;
            let crowd = Crowd::park(side, &[connections], 0, Transport::Sse)?;
            let cpu = side.cpu_ns()? - before;
            drop(crowd);
            side.cpu_ns()?;
            Ok(cpu as f64 / 1e3 / connections as f64)
        },
    )?;
    let lines = vec![compare("CPU a connection", "µs", figures(&taken, |cpu| *cpu), "≤ 1.15")];
    Ok(Row { name: "connect", lines, asserted: "each got its head with status 200 and no message" })
}
