//! What a client has acknowledged of what its session was sent.
//!
//! Every reply to a connect has a number, and the next connect gives back the number of the last reply that came. Where the
//! session goes on is where it stood behind that one: what was lost with later replies is sent again, out of the rings.
//! A connect that was given up may reach the server after a newer one, with an older number; that must take nothing back.

use std::collections::VecDeque;

/// Replies that may be unacknowledged and yet be known: a client that loses more of them, one after the other, and then gets
/// an old one gets its events again.
const SENT_MAX: usize = 16;

/// A position in each of some channels, in the order of the channels' keys: a session with a star may have thousands.
type Positions = Vec<(u32, u64)>;

fn place_of(positions: &Positions, channel: u32) -> Result<usize, usize> {
    positions.binary_search_by_key(&channel, |(known, _)| *known)
}

/// For one session.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The number of the last reply.
    batch: u64,
    /// What was acknowledged, of each channel that the session is subscribed to.
    acknowledged: Positions,
    /// Where the session stood behind each later reply, by number.
    sent: VecDeque<(u64, Positions)>,
}

impl Acks {
    /// A subscription begins at this position.
    pub(super) fn begin(&mut self, channel: u32, position: u64) {
        match place_of(&self.acknowledged, channel) {
            Ok(place) => self.acknowledged[place].1 = position,
            Err(place) => self.acknowledged.insert(place, (channel, position)),
        }
    }

    /// A subscription ends: what was not acknowledged of it is not wanted any more.
    pub(super) fn end(&mut self, channel: u32) {
        for positions in self.sent.iter_mut().map(|(_, positions)| positions).chain([&mut self.acknowledged]) {
            if let Ok(place) = place_of(positions, channel) {
                positions.remove(place);
            }
        }
    }

    /// Reply `batch` and all before it came.
    pub(super) fn acknowledge(&mut self, batch: u64) {
        while self.sent.front().is_some_and(|(number, _)| *number <= batch) {
            for (channel, position) in self.sent.pop_front().into_iter().flat_map(|(_, positions)| positions) {
                if let Ok(place) = place_of(&self.acknowledged, channel) {
                    self.acknowledged[place].1 = position;
                }
            }
        }
    }

    /// The position behind what was acknowledged of a channel.
    pub(super) fn position(&self, channel: u32) -> Option<u64> {
        place_of(&self.acknowledged, channel).ok().map(|place| self.acknowledged[place].1)
    }

    /// A reply is sent, behind which the session stands there; returns its number.
    pub(super) fn sent(&mut self, positions: impl Iterator<Item = (u32, u64)>) -> u64 {
        self.batch += 1;
        let last = self.sent.back().map_or(&self.acknowledged, |(_, positions)| positions);
        let mut positions: Positions = positions.collect();
        positions.sort_unstable();
        // Most replies bring nothing, and need not be known.
        if positions != *last {
            self.sent.push_back((self.batch, positions));
        }
        if self.sent.len() > SENT_MAX {
            self.sent.pop_front();
        }
        self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(acks: &mut Acks, position: u64) -> u64 {
        acks.sent([(7, position)].into_iter())
    }

    #[test]
    fn what_was_lost_is_sent_again_and_what_came_is_not() {
        let mut acks = Acks::default();
        acks.begin(7, 1);
        assert_eq!((sent(&mut acks, 1), sent(&mut acks, 3)), (1, 2));
        acks.acknowledge(1);
        assert_eq!(acks.position(7), Some(1));
        assert_eq!(sent(&mut acks, 5), 3);
        acks.acknowledge(2);
        assert_eq!(acks.position(7), Some(3), "the third was lost, the second was not");
        acks.acknowledge(1);
        assert_eq!(acks.position(7), Some(3), "a connect that comes late takes nothing back");
        acks.acknowledge(3);
        assert_eq!((acks.position(7), acks.sent.len()), (Some(5), 0));
    }

    #[test]
    fn a_subscription_that_begins_anew_forgets_the_former() {
        let mut acks = Acks::default();
        acks.begin(7, 1);
        sent(&mut acks, 9);
        acks.end(7);
        assert_eq!(acks.position(7), None);
        acks.begin(7, 20);
        acks.acknowledge(1);
        assert_eq!(acks.position(7), Some(20));
    }

    #[test]
    fn so_many_replies_are_known_and_no_more() {
        let mut acks = Acks::default();
        acks.begin(7, 1);
        for position in 2..100 {
            sent(&mut acks, position);
        }
        assert_eq!(acks.sent.len(), SENT_MAX);
        acks.acknowledge(1);
        assert_eq!(acks.position(7), Some(1));
    }
}
