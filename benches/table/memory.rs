//! What a parked connection costs in real memory: the server's pages (PSS), from a tenth of the connections to all of
//! them, so that what a server has anyway does not count; and what the kernel holds for one end of a connection.

use crate::crowd::Crowd;
use crate::dialect::Transport;
use crate::report::{Row, compare};
use crate::side::Kind;
use crate::turns::{figures, in_turns};
use crate::{Outcome, Setting, os};

/// How often the floor and Encke are started anew.
const STARTS: usize = 3;

struct Slope {
    user: f64,
    kernel: f64,
}

/// All on one channel.
pub fn memory(setting: &Setting) -> Outcome<Row> {
    let (few, all) = (setting.connections / 10, setting.connections);
    let mut taken = Vec::new();
    for start in 0..STARTS {
        // The others once: some take their time.
        let players = setting.players(if start == 0 { &[Kind::Nchan, Kind::Faye] } else { &[] });
        let again = in_turns(
            &players,
            1,
            |_| Ok(None),
            |side, crowd: &mut Option<Crowd>| {
                // The first step parks a tenth, and is not kept; the second the others.
                let bytes = || -> Outcome<_> {
                    side.cpu_ns()?;
                    Ok((side.pss_bytes()? as f64, os::slab_bytes()? as f64))
                };
                let Some(crowd) = crowd else {
                    *crowd = Some(Crowd::park(side, &[few], 0, Transport::Sse)?);
                    return Ok(Slope { user: 0.0, kernel: 0.0 });
                };
                let (user, kernel) = bytes()?;
                crowd.grow(side, 0, few..all)?;
                let (user_then, kernel_then) = bytes()?;
                let more = (all - few) as f64;
                // Both ends lie in this machine's kernel.
                Ok(Slope { user: (user_then - user) / more, kernel: (kernel_then - kernel) / more / 2.0 })
            },
        )?;
        for (place, side) in again.into_iter().enumerate() {
            match taken.get_mut(place) {
                None => taken.push(side),
                Some(kept) => kept.samples.extend(side.samples.into_iter().map(|(_, slope)| (start + 1, slope))),
            }
        }
    }
    let lines = vec![
        compare(format!("user bytes each, {few} to {all}"), "B", figures(&taken, |slope| slope.user), "≤ 96 B"),
        compare(format!("kernel bytes an end, {few} to {all}"), "B", figures(&taken, |slope| slope.kernel), ""),
    ];
    Ok(Row { name: "memory", lines, asserted: "each got its head with status 200 and no message" })
}
