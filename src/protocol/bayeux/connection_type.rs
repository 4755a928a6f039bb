//! The ways in which a client says it is held, by their names in a handshake and in a connect.

/// How a client wants to be told of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionType {
    WebSocket,
    /// By an event stream beside its connects.
    EventSource,
    LongPolling,
    CallbackPolling,
    /// By documents in a frame.
    Iframe,
    /// What a page of another site calls long-polling that may send credentials along.
    CrossOrigin,
}

/// The last is not always offered.
const NAMES: [&str; 6] = ["websocket", "eventsource", "long-polling", "callback-polling", "iframe", "cross-origin-long-polling"];
const TYPES: [ConnectionType; NAMES.len()] = [
    ConnectionType::WebSocket,
    ConnectionType::EventSource,
    ConnectionType::LongPolling,
    ConnectionType::CallbackPolling,
    ConnectionType::Iframe,
    ConnectionType::CrossOrigin,
];

impl ConnectionType {
    /// The type called `name`; `None` if it is not spoken here.
    pub(crate) fn named(name: &str) -> Option<ConnectionType> {
        NAMES.iter().position(|known| *known == name).map(|place| TYPES[place])
    }

    /// The names of those that work here. Whoever says cross-origin long-polling sends credentials, which browsers allow
    /// for the origins alone that an operator named; where there are none, such a client does better with scripts.
    pub(crate) fn offered(origins_are_named: bool) -> &'static [&'static str] {
        if origins_are_named { &NAMES } else { &NAMES[..NAMES.len() - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_type_and_no_other_has_one() {
        assert_eq!(NAMES.map(|name| ConnectionType::named(name).expect("a type")), TYPES);
        for bad in ["", "flash", "WebSocket", "long-polling "] {
            assert_eq!(ConnectionType::named(bad), None, "{bad:?}");
        }
        assert_eq!(ConnectionType::offered(true), NAMES);
        assert!(!ConnectionType::offered(false).contains(&"cross-origin-long-polling"));
    }
}
