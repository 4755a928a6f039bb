//! The events of a Bayeux channel as JSON, written once for all sessions that stand at the same position.
//!
//! A response holds replies that are its session's own, so it cannot be shared whole, as frames are. The events in it can.

use super::collect::{Collection, Tally};
use crate::base::id::Epoch;
use crate::channel::Channel;
use crate::protocol::bayeux;
use crate::transport::News;

/// Fragments remembered. A broadcast needs one; so many sessions that catch up from different places keep theirs.
const FRAGMENTS: usize = 8;

/// All that the bytes of a fragment depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) channel: u32,
    pub(super) epoch: Epoch,
    pub(super) from: u64,
    /// The end of the ring: what was written before a message came lacks that message.
    pub(super) next: u64,
    /// How many bytes of messages there is room for.
    pub(super) bytes_max: usize,
    /// How far behind a reader may be where it would go on with the newest message else.
    pub(super) lag_max: u64,
    /// Whether each event says when it was published.
    pub(super) stamped: bool,
}

/// The events from one position to another, each followed by a comma.
#[derive(Debug)]
pub(super) struct Fragment {
    wanted: Wanted,
    pub(super) to: u64,
    pub(super) tally: Tally,
    pub(super) json: Vec<u8>,
}

/// The fragments in use.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    recent: Vec<Fragment>,
    oldest: usize,
}

impl Fragments {
    /// The fragment that `wanted` describes, of this channel.
    pub(super) fn of(&mut self, wanted: Wanted, channel: &Channel) -> &Fragment {
        let place = match self.recent.iter().position(|fragment| fragment.wanted == wanted) {
            Some(place) => place,
            None => self.add(Fragment::new(wanted, channel)),
        };
        &self.recent[place]
    }

    fn add(&mut self, fragment: Fragment) -> usize {
        if self.recent.len() < FRAGMENTS {
            self.recent.push(fragment);
            return self.recent.len() - 1;
        }
        let place = self.oldest;
        self.recent[place] = fragment;
        self.oldest = (place + 1) % FRAGMENTS;
        place
    }
}

impl Fragment {
    fn new(wanted: Wanted, channel: &Channel) -> Fragment {
        let mut collection = Collection {
            bytes_left: wanted.bytes_max,
            messages_left: usize::MAX,
            lag_max: wanted.lag_max,
            ..Collection::default()
        };
        let to = collection.add(0, channel, wanted.from);
        let (mut json, mut skipped) = (Vec::new(), None);
        for item in &collection.items {
            match item.news {
                News::Message(message) => {
                    bayeux::event(&mut json, message, wanted.stamped, skipped.take());
                    json.push(b',');
                }
                // Whoever is told of any other gap has no session any more.
                News::Gap { missed, .. } => skipped = missed,
                News::End { .. } => {}
            }
        }
        Fragment { wanted, to, tally: collection.tally, json }
    }
}
