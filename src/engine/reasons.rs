//! Why requests were refused: a count for each code, and one for all codes that find no place.

/// How many codes are told apart. There are fewer; what a later version adds is counted, if not by name.
pub const REASONS_MAX: usize = 64;

/// The name of what finds no place.
pub const OTHER: &str = "other";

/// Counts by code, in the order in which the codes came up.
#[derive(Debug, Default)]
pub struct Reasons {
    named: Vec<(&'static str, u64)>,
    other: u64,
}

impl Reasons {
    /// One more refusal for this reason.
    pub(super) fn count(&mut self, code: &'static str) {
        match self.named.iter().position(|(known, _)| *known == code) {
            Some(place) => self.named[place].1 += 1,
            None if self.named.len() < REASONS_MAX - 1 => self.named.push((code, 1)),
            None => self.other += 1,
        }
    }

    /// Codes and counts. The order of the codes stays; new ones come behind.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let other = (self.other > 0).then_some((OTHER, self.other));
        self.named.iter().copied().chain(other)
    }
}

/// What a Bayeux fault of this number is counted as.
pub(super) fn of_bayeux(code: u16) -> &'static str {
    match code {
        401 => "bayeux_no_client",
        402 => "bayeux_unknown_client",
        403 => "bayeux_forbidden",
        404 => "bayeux_no_channel",
        409 => "bayeux_overtaken",
        429 => "bayeux_too_fast",
        503 => "bayeux_no_room",
        _ => "bayeux_bad_message",
    }
}

/// What a WebSocket that is closed with this code is counted as.
pub(super) fn of_websocket(code: u16) -> &'static str {
    match code {
        1003 => "websocket_unsupported",
        1007 => "websocket_bad_text",
        1008 => "websocket_policy",
        1009 => "websocket_too_long",
        1013 => "websocket_too_fast",
        _ => "websocket_bad_frame",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_beyond_the_table_are_counted_together() {
        let mut reasons = Reasons::default();
        let codes: Vec<&'static str> = (0..REASONS_MAX + 5).map(|number| &*Box::leak(format!("code_{number}").into())).collect();
        codes.iter().chain(&codes).for_each(|code| reasons.count(code));
        let counts: Vec<_> = reasons.iter().collect();
        assert_eq!(counts.len(), REASONS_MAX);
        assert_eq!((counts[0], counts[REASONS_MAX - 1]), (("code_0", 2), (OTHER, 12)));
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 2 * codes.len() as u64);
    }
}
