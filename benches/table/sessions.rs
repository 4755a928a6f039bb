//! What a parked Bayeux session with one subscription holds in the engine, beside its connection's slot: a hundred
//! thousand of them, without a socket. Counted as in `parked`; at the end a message comes out for all of them.

use crate::allocations::live;
use crate::bayeux;
use crate::parked::{Share, publish};
use crate::report::{Row, alone};
use crate::{Outcome, Setting};
use encke::base::config::Config;
use encke::base::random::Seed;
use encke::base::time::Now;
use encke::engine::{Door, Engine, Input, Output};

const SESSIONS: usize = 100_000;
const BYTES_MAX: f64 = 512.0;
/// A connection's slot, which it has whether it carries a session or not.
const SLOT_BYTES: f64 = 64.0;

/// All on one channel.
pub fn sessions(_: &Setting) -> Outcome<Row> {
    let share = measure()?;
    let row = Row {
        name: "sessions",
        lines: vec![
            alone("bytes each, one subscription", "B", share.bytes, "≤ 512 B"),
            alone("allocations each", "", share.blocks, ""),
        ],
        asserted: "each of 100,000 shook hands, subscribed and connected; a message came out for all of them; the bound",
    };
    if share.bytes > BYTES_MAX {
        row.print();
        return Err(format!("above the bound: {BYTES_MAX} bytes a session").into());
    }
    Ok(row)
}

fn measure() -> Outcome<Share> {
    let config = Config {
        connections_max: SESSIONS as u64,
        bayeux_sessions_max: SESSIONS as u64,
        anonymous_subscribe: "/**".into(),
        ..Config::default()
    };
    let before = live();
    let mut engine = Engine::new(&config, 0, 1, Seed(1, 2));
    let now = Now::default();
    for _ in 0..SESSIONS {
        let token = engine.open(now, Door::Public).ok_or("the engine has no room")?;
        let mut ask = |request: String| {
            engine.handle(now, Input::Bytes { token, bytes: request.as_bytes() });
            answer(&mut engine, now)
        };
        let client = bayeux::client_id(&ask(bayeux::handshake())?)?.to_owned();
        bayeux::check(ask(bayeux::subscribe(&client, "/x"))?.as_bytes())?;
        let nothing = ask(bayeux::connect(&client))?;
        if !nothing.is_empty() {
            return Err(format!("a connect was not held: {nothing}").into());
        }
    }
    let after = live();
    publish(&mut engine, now, "/x", SESSIONS)?;
    let share = |after: isize, before: isize| (after - before) as f64 / SESSIONS as f64;
    Ok(Share { bytes: share(after.bytes, before.bytes) - SLOT_BYTES, blocks: share(after.blocks, before.blocks) })
}

/// One turn of a reactor whose sockets take everything; returns what was written.
fn answer(engine: &mut Engine, now: Now) -> Outcome<String> {
    engine.begin_turn();
    let mut written = Vec::new();
    while let Some(output) = engine.poll_output(now) {
        let Output::Write(token) = output else { return Err(format!("the engine wants {output:?}").into()) };
        let bytes = engine.outgoing(token).concat();
        engine.handle(now, Input::Wrote { token, count: bytes.len() });
        written.extend(bytes);
    }
    Ok(String::from_utf8(written)?)
}
