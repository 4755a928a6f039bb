//! The ways in which connections are held, for whoever counts them.
//!
//! A connection's way follows from its state and its transport alone, so a count is right as long as every change of a
//! state goes through [`Slots::turn`](super::Slots::turn), and nobody who is held gets another transport.

use super::{Connection, State};
use crate::transport::Transport;

/// What each way is called.
pub const WAYS: [&str; 17] = [
    "idle",
    "framed",
    "long-poll",
    "poll",
    "jsonp",
    "pull",
    "sse",
    "stream",
    "iframe",
    "multipart",
    "gif",
    "websocket",
    "bayeux-long-polling",
    "bayeux-callback-polling",
    "bayeux-iframe",
    "bayeux-eventsource",
    "bayeux-websocket",
];

/// Between two requests, or at one that holds nothing.
const IDLE: usize = 0;
const FRAMED: usize = 1;

/// The place of a connection's way among [`WAYS`].
pub(super) fn way_of(connection: &Connection) -> usize {
    match connection.state {
        State::Parked => held(connection.variant.transport()),
        State::Bayeux => held_by_bayeux(connection.variant.transport()),
        State::Framed => FRAMED,
        _ => IDLE,
    }
}

fn held(transport: Transport) -> usize {
    match transport {
        Transport::LongPoll => 2,
        Transport::Poll => 3,
        Transport::Jsonp => 4,
        Transport::Pull => 5,
        Transport::Sse => 6,
        Transport::Stream => 7,
        Transport::Iframe => 8,
        Transport::Multipart => 9,
        Transport::Gif => 10,
        Transport::WebSocket => 11,
    }
}

/// What the way is called in which a Bayeux client of this transport is held.
pub(crate) fn bayeux_way(transport: Transport) -> &'static str {
    WAYS[held_by_bayeux(transport)]
}

fn held_by_bayeux(transport: Transport) -> usize {
    match transport {
        Transport::Jsonp => 13,
        Transport::Iframe => 14,
        Transport::Sse => 15,
        Transport::WebSocket => 16,
        _ => 12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::door::Door;
    use crate::base::time::Tick;
    use crate::transport::Variant;

    #[test]
    fn every_transport_is_counted_under_its_own_name() {
        let mut connection = Connection::new(1, Door::Public, Tick(0));
        assert_eq!(WAYS[way_of(&connection)], "idle");
        connection.state = State::Framed;
        assert_eq!(WAYS[way_of(&connection)], "framed");
        connection.state = State::Parked;
        for name in ["long-poll", "poll", "jsonp", "pull", "sse", "stream", "iframe", "multipart", "gif"] {
            connection.variant = Variant::named(name).expect("a transport");
            assert_eq!(WAYS[way_of(&connection)], name);
        }
        connection.variant = Variant::socket();
        assert_eq!(WAYS[way_of(&connection)], "websocket");
        connection.state = State::Bayeux;
        for (variant, name) in [
            (Variant::default(), "bayeux-long-polling"),
            (Variant::jsonp(), "bayeux-callback-polling"),
            (Variant::iframe(), "bayeux-iframe"),
            (Variant::sse(), "bayeux-eventsource"),
            (Variant::socket(), "bayeux-websocket"),
        ] {
            connection.variant = variant;
            assert_eq!(WAYS[way_of(&connection)], name);
        }
    }
}
