//! What parked connections cost while nothing is said: nothing, or a heartbeat each now and then.

use crate::broadcast::{AWAKE, Audience};
use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::report::{Row, compare};
use crate::side::Kind;
use crate::turns::{figures, in_turns};
use crate::{Outcome, Setting};
use std::thread;
use std::time::{Duration, Instant};

/// How long nothing happens.
const STILL: Duration = Duration::from_secs(5);
/// Heartbeats come so often unless an option says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// Heartbeats off, then on.
pub fn idle(setting: &Setting) -> Outcome<Row> {
    let silent = still(setting)?;
    let [writes, cpu] = heartbeats(setting)?;
    let lines = vec![
        compare("CPU a second, heartbeats off", "µs", silent, "≤ 0 µs"),
        compare("heartbeats each in 25 s", "", writes, "≤ 1.1"),
        compare("CPU a heartbeat", "µs", cpu, ""),
    ];
    let asserted = "each got its head with status 200, no message, and nothing but heartbeats; with heartbeats off, nothing";
    Ok(Row { name: "idle", lines, asserted })
}

type Still = (Crowd, Option<(Instant, u64)>);

/// Microseconds of CPU a second. All sides are still at the same time: each one's first round begins it.
fn still(setting: &Setting) -> Outcome<Vec<crate::turns::Figures>> {
    let mut players = setting.players(&[Kind::Nchan, Kind::Faye]);
    players.options = &["--heartbeat", "off"];
    let taken = in_turns(
        &players,
        1,
        |side| Ok((Crowd::park(side, &[setting.connections], 0, Transport::Sse)?, None)),
        |side, (crowd, begun): &mut Still| {
            let Some((begin, cpu)) = *begun else {
                *begun = Some((Instant::now(), side.cpu_ns()?));
                return Ok(0.0);
            };
            thread::sleep(STILL.saturating_sub(begin.elapsed()));
            let spent = (side.cpu_ns()? - cpu) as f64 / 1e3 / begin.elapsed().as_secs_f64();
            crowd.expect_silence()?;
            Ok(spent)
        },
    )?;
    Ok(figures(&taken, |cpu| *cpu))
}

/// How many heartbeats a connection gets in 25 seconds, and microseconds of CPU for each. The floor writes to each once.
fn heartbeats(setting: &Setting) -> Outcome<[Vec<crate::turns::Figures>; 2]> {
    let receivers = setting.connections;
    let mut players = setting.players(&[]);
    players.options = &["--heartbeat", "25s"];
    let taken = in_turns(
        &players,
        1,
        |side| Audience::park(side, receivers, Transport::Sse),
        |side, audience| {
            if side.kind == Kind::Floor {
                return Ok((receivers, audience.tell(side, 1, AWAKE)?.cpu_ns));
            }
            let before = side.cpu_ns()?;
            let count = audience.heartbeats(HEARTBEAT)?;
            Ok((count, (side.cpu_ns()? - before) as f64))
        },
    )?;
    Ok([
        figures(&taken, |(count, _)| *count as f64 / receivers as f64),
        figures(&taken, |(count, cpu)| cpu / 1e3 / (*count).max(1) as f64),
    ])
}
