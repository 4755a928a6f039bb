//! What a parked connection holds in the engine: a million of them, without a socket.
//!
//! The figure is all that was allocated since before the engine was made, divided by the connections. A slope from some
//! of them to all would miss what an engine reserves for all at its start, slots above all. Parked means parked: at the
//! end a message is published and must come out for everyone who listens.

use crate::allocations::live;
use crate::report::{Row, alone};
use crate::{Outcome, Setting};
use encke::base::config::Config;
use encke::base::payload::{Message, Parts};
use encke::base::random::Seed;
use encke::base::time::Now;
use encke::engine::{Door, Engine, Input, Output};

const CONNECTIONS: usize = 1_000_000;
const SHARED_BYTES_MAX: f64 = 96.0;
const OWN_BYTES_MAX: f64 = 320.0;
const PAYLOAD: &[u8] = b"a message for whoever is parked";

/// All on one channel, and each on its own.
pub fn parked(_: &Setting) -> Outcome<Row> {
    let shared = measure(|_| "x".into(), CONNECTIONS)?;
    let own = measure(|index| format!("x{index}"), 1)?;
    let lines =
        [("one channel", shared, "≤ 96"), ("a channel each", own, "≤ 320")].into_iter().flat_map(|(channels, share, target)| {
            [
                alone(format!("bytes each, {channels}"), "B", share.bytes, target),
                alone(format!("allocations each, {channels}"), "", share.blocks, ""),
            ]
        });
    let row = Row {
        name: "parked",
        lines: lines.collect(),
        asserted: "1,000,000 slots; each got a head of 200; a message to the first one's channel came out for all its subscribers; both bounds",
    };
    if shared.bytes > SHARED_BYTES_MAX || own.bytes > OWN_BYTES_MAX {
        row.print();
        return Err(format!("above the bound: {SHARED_BYTES_MAX} bytes on one channel, {OWN_BYTES_MAX} on one each").into());
    }
    Ok(row)
}

/// Live bytes and allocations, for each connection.
#[derive(Clone, Copy)]
pub struct Share {
    pub bytes: f64,
    pub blocks: f64,
}

fn measure(channel: impl Fn(usize) -> String, subscribers_of_first: usize) -> Outcome<Share> {
    let config = Config {
        connections_max: CONNECTIONS as u64,
        channels_max: CONNECTIONS as u64,
        anonymous_subscribe: "/**".into(),
        ..Config::default()
    };
    let before = live();
    let mut engine = Engine::new(&config, 0, 1, Seed(1, 2));
    let now = Now::default();
    for index in 0..CONNECTIONS {
        let token = engine.open(now, Door::Public).ok_or("the engine has no room")?;
        let request = format!("GET /sub/{}?transport=sse HTTP/1.1\r\nHost: a\r\n\r\n", channel(index));
        engine.handle(now, Input::Bytes { token, bytes: request.as_bytes() });
        let heads = turn(&mut engine, now, b"HTTP/1.1 200 ")?;
        if heads != 1 {
            return Err(format!("connection {index} got {heads} heads").into());
        }
    }
    let after = live();
    if engine.connections() != CONNECTIONS {
        return Err(format!("{} connections are parked", engine.connections()).into());
    }
    publish(&mut engine, now, &format!("/{}", channel(0)), subscribers_of_first)?;
    let share = |after: isize, before: isize| (after - before) as f64 / CONNECTIONS as f64;
    Ok(Share { bytes: share(after.bytes, before.bytes), blocks: share(after.blocks, before.blocks) })
}

/// Publishes a message, which must come out for so many.
pub fn publish(engine: &mut Engine, now: Now, channel: &str, subscribers: usize) -> Outcome<()> {
    let parts = Parts { channel, content_type: "text/plain", event: "", data: PAYLOAD, unix_ms: now.unix_ms };
    engine.handle(now, Input::Publish(&mut vec![Message::new(&parts)?]));
    let mut deliveries = turn(engine, now, PAYLOAD)?;
    while engine.busy() {
        deliveries += turn(engine, now, PAYLOAD)?;
    }
    if deliveries == subscribers { Ok(()) } else { Err(format!("{deliveries} deliveries to {subscribers} subscribers").into()) }
}

/// One turn of a reactor whose sockets take everything; returns how many writes held `wanted`.
fn turn(engine: &mut Engine, now: Now, wanted: &[u8]) -> Outcome<usize> {
    engine.begin_turn();
    let mut count = 0;
    while let Some(output) = engine.poll_output(now) {
        match output {
            Output::Write(token) => {
                let bytes = engine.outgoing(token).concat();
                count += usize::from(bytes.windows(wanted.len()).any(|window| window == wanted));
                engine.handle(now, Input::Wrote { token, count: bytes.len() });
            }
            Output::Read(_) | Output::Ring => {}
            Output::Shutdown(_) | Output::Close(_) | Output::Move { .. } | Output::Metrics(_) | Output::Sample => {
                return Err("the engine closes a parked connection".into());
            }
        }
    }
    Ok(count)
}
