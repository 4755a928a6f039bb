//! What a reader is told next: from its position on, as far as there is room, and as its channel's policy has it.
//!
//! It follows from the ring and the position alone, so whoever stands there is told the same.

use super::Engine;
use crate::base::id::MessageId;
use crate::channel::{Channel, Slow};
use crate::conn::{ENDED, LOST, UNKNOWN};
use crate::transport::{Item, News};

/// A batch on its way: what it holds, and how much more fits.
#[derive(Default)]
pub(super) struct Collection<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// How far behind a reader may be where it would go on with the newest message else.
    pub(super) lag_max: u64,
    pub(super) bytes_left: usize,
    pub(super) messages_left: usize,
    pub(super) tally: Tally,
}

/// What a batch holds and what it passes over, as it is counted for each reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) gaps: u64,
    /// Messages missed, as far as that is known.
    pub(super) missed: u64,
    /// Messages left out, since a later one with the same event name is there.
    pub(super) conflated: u64,
    /// Messages passed over, since the reader was too far behind.
    pub(super) skipped: u64,
}

impl Tally {
    /// Both together.
    pub(super) fn plus(self, other: Tally) -> Tally {
        Tally {
            messages: self.messages + other.messages,
            gaps: self.gaps + other.gaps,
            missed: self.missed + other.missed,
            conflated: self.conflated + other.conflated,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl<'a> Collection<'a> {
    /// Adds what a reader at `position` of `channel`, whose place in the cursor is `place`, is to be told, as far as there
    /// is room; returns its new position. One message always fits.
    pub(super) fn add(&mut self, place: usize, channel: &'a Channel, mut position: u64) -> u64 {
        let epoch = channel.epoch;
        if position == UNKNOWN {
            return UNKNOWN;
        }
        if position == ENDED {
            // It begins anew with offset 1; what was let go since then was let go before anybody could have it.
            self.tell(place, MessageId { epoch, offset: 0 }, News::End { channel: &channel.name });
            position = 1;
        }
        let skipped = skips(channel, position, self.lag_max);
        let start = if skipped { channel.history.next() - 1 } else { position.max(channel.history.first()) };
        if position < start {
            let missed = (position != LOST).then(|| start - position);
            self.tell(place, MessageId { epoch, offset: start - 1 }, News::Gap { channel: &channel.name, missed, skipped });
            self.tally.gaps += 1;
            self.tally.missed += missed.unwrap_or(0);
            self.tally.skipped += if skipped { start - position.max(channel.history.first()) } else { 0 };
            position = start;
        }
        for (offset, message) in channel.history.news(position) {
            if self.messages_left == 0 || self.bytes_left == 0 {
                break;
            }
            self.messages_left -= 1;
            self.bytes_left = self.bytes_left.saturating_sub(message.weight());
            let conflated = offset - position;
            self.items.push(Item { place, id: MessageId { epoch, offset }, conflated, news: News::Message(message) });
            self.tally.messages += 1;
            self.tally.conflated += conflated;
            position = offset + 1;
        }
        position
    }

    fn tell(&mut self, place: usize, id: MessageId, news: News<'a>) {
        self.items.push(Item { place, id, conflated: 0, news });
    }
}

/// Whether a reader at `position` is so far behind that it goes on with the newest message. Nobody knows how far one is
/// whose place is lost: it counts from the oldest message.
pub(super) fn skips(channel: &Channel, position: u64, lag_max: u64) -> bool {
    let (first, next) = (channel.history.first(), channel.history.next());
    let from = if position == LOST { first } else { position };
    channel.slow == Slow::Latest && first < next && next.saturating_sub(from) > lag_max
}

impl Engine {
    /// A reader is told a batch.
    pub(super) fn count(&mut self, tally: Tally) {
        self.counters.delivered += tally.messages;
        // Whatever is missed or skipped has its gap, and most readers have none.
        if tally.gaps | tally.conflated == 0 {
            return;
        }
        self.counters.gaps += tally.gaps;
        self.counters.missed += tally.missed;
        self.counters.conflated += tally.conflated;
        self.counters.skipped += tally.skipped;
    }
}
