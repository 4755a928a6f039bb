//! The ring: a channel's newest messages, with contiguous offsets.
//!
//! A position is the offset a reader wants next. `first()` is the oldest that is kept, `next()` the one that
//! the next message will get; a reader below `first()` has missed something and must be told.
//! An empty history is one number and a null pointer, since most channels of a quiet server are empty.

use super::latest::Latest;
use crate::base::payload::Message;
use crate::base::random::Seed;
use crate::base::time::Tick;
use std::collections::VecDeque;

/// The bounds of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// Milliseconds; 0 for no bound.
    pub(crate) age_ms: u64,
    /// Whether readers are to be told the latest of each event name alone; the seed for their hashes.
    pub(crate) conflated: Option<Seed>,
}

impl Keep {
    /// The bounds while news are on their way to readers who are there: a burst that comes within one turn must
    /// not fall off the ring before anybody could have had it.
    pub(crate) fn while_waving(self) -> Keep {
        Keep { messages: self.messages.saturating_mul(BURST), bytes: self.bytes.saturating_mul(BURST), ..self }
    }
}

/// Why the last message that was let go had to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LetGo {
    /// None was.
    Nothing,
    /// There were too many messages.
    Messages,
    /// They weighed too much.
    Bytes,
    /// It was too old.
    Age,
    /// All histories together weighed too much.
    Budget,
    /// This is a mirror, and never got it.
    Behind,
}

/// How many times the bounds a burst may be.
const BURST: usize = 4;

#[derive(Debug)]
struct Entry {
    message: Message,
    kept: Tick,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Only where messages are conflated.
    latest: Option<Box<Latest>>,
}

impl Ring {
    fn push(&mut self, entry: Entry) {
        self.bytes += entry.message.weight();
        if let Some(latest) = &mut self.latest {
            latest.push(&entry.message);
        }
        self.entries.push_back(entry);
    }

    /// Lets go of the oldest message; returns what it weighed.
    fn pop(&mut self) -> usize {
        let Some(entry) = self.entries.pop_front() else { return 0 };
        if let Some(latest) = &mut self.latest {
            latest.pop(&entry.message);
        }
        let weight = entry.message.weight();
        self.bytes -= weight;
        weight
    }

    /// Knows from here on which messages count, or does not. `next` is the offset behind its newest.
    fn conflate(&mut self, next: u64, conflated: Option<Seed>) {
        self.latest = conflated.map(|seed| {
            let mut latest = Latest::new(seed, next - self.entries.len() as u64);
            self.entries.iter().for_each(|entry| latest.push(&entry.message));
            Box::new(latest)
        });
    }

    /// Why the oldest message has to give way, if it has. The newest stays whatever it weighs: it is on its way.
    fn over(&self, keep: &Keep) -> Option<LetGo> {
        match self.entries.len() {
            0 | 1 => None,
            len if len > keep.messages => Some(LetGo::Messages),
            _ => (self.bytes > keep.bytes).then_some(LetGo::Bytes),
        }
    }
}

/// A channel's messages. Offsets begin with 1.
#[derive(Debug)]
pub(crate) struct History {
    next: u64,
    ring: Option<Box<Ring>>,
    let_go: LetGo,
}

impl History {
    /// An empty history whose next message gets offset `next`.
    pub(crate) fn new(next: u64) -> History {
        History { next, ring: None, let_go: LetGo::Nothing }
    }

    /// The same for a mirror of one that has let go of what was before, for this reason.
    pub(crate) fn after(next: u64, let_go: LetGo) -> History {
        History { let_go, ..History::new(next) }
    }

    /// The oldest offset kept; equal to `next()` when empty.
    pub(crate) fn first(&self) -> u64 {
        self.next - self.len() as u64
    }

    /// The offset the next message gets.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.entries.len())
    }

    /// What the messages weigh.
    pub(crate) fn bytes(&self) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.bytes)
    }

    /// Keeps `message` under the next offset, which is returned, and lets go of what exceeds the bounds.
    pub(crate) fn append(&mut self, now: Tick, message: Message, keep: &Keep) -> u64 {
        let offset = self.next;
        self.append_all(now, std::iter::once(message), keep);
        offset
    }

    /// The same for messages that come together.
    pub(crate) fn append_all(&mut self, now: Tick, messages: impl Iterator<Item = Message>, keep: &Keep) {
        for message in messages {
            let ring = self.ring.get_or_insert_default();
            if ring.latest.is_some() != keep.conflated.is_some() {
                ring.conflate(self.next, keep.conflated);
            }
            ring.push(Entry { message, kept: now });
            self.next += 1;
            // At once, so that a run of messages needs no more room than the bounds give it.
            while let Some(why) = ring.over(keep) {
                ring.pop();
                self.let_go = why;
            }
        }
        self.trim(now, keep);
    }

    /// Lets go of what exceeds the bounds. The newest message stays, unless it has aged.
    pub(crate) fn trim(&mut self, now: Tick, keep: &Keep) {
        while let Some(ring) = &self.ring {
            let aged = || self.expires(keep).is_some_and(|expires| expires <= now).then_some(LetGo::Age);
            let Some(why) = ring.over(keep).or_else(aged) else { return };
            self.drop_oldest(why);
        }
    }

    /// When the oldest message will have reached the age bound.
    pub(crate) fn expires(&self, keep: &Keep) -> Option<Tick> {
        let oldest = self.ring.as_ref()?.entries.front()?;
        (keep.age_ms > 0).then(|| oldest.kept + keep.age_ms)
    }

    /// Why the last message that was let go had to go.
    pub(crate) fn let_go(&self) -> LetGo {
        self.let_go
    }

    /// Lets go of the oldest message; returns what it weighed.
    pub(crate) fn drop_oldest(&mut self, why: LetGo) -> usize {
        let Some(ring) = &mut self.ring else { return 0 };
        self.let_go = why;
        let weight = ring.pop();
        if ring.entries.is_empty() {
            self.ring = None;
        }
        weight
    }

    /// Lets go of everything before `first`, which may lie beyond the end: then the history is empty and
    /// goes on there.
    pub(crate) fn skip_to(&mut self, first: u64, why: LetGo) {
        while self.first() < first && self.len() > 0 {
            self.drop_oldest(why);
        }
        if self.next < first {
            self.next = first;
            self.let_go = LetGo::Behind;
        }
    }

    /// The offset from which on there are `messages` messages, or as many as weigh no more than `bytes`, though one
    /// whatever it weighs.
    pub(crate) fn last(&self, messages: u64, bytes: usize) -> u64 {
        let mut weight = 0;
        let entries = self.ring.iter().flat_map(|ring| ring.entries.iter().rev()).take(messages as usize);
        let fit = entries.take_while(|entry| {
            weight += entry.message.weight();
            weight <= bytes || weight == entry.message.weight()
        });
        self.next - fit.count() as u64
    }

    /// The messages from `position` on, oldest first. A position beyond either end is moved to it.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = (u64, &Message)> {
        let first = self.first();
        let skip = position.saturating_sub(first).min(self.len() as u64) as usize;
        let entries = self.ring.iter().flat_map(move |ring| ring.entries.range(skip..));
        entries.enumerate().map(move |(i, entry)| (first + (skip + i) as u64, &entry.message))
    }

    /// What a reader at `position` is to be told, oldest first: the messages from there on, but where they are conflated
    /// those that count.
    pub(crate) fn news(&self, position: u64) -> impl Iterator<Item = (u64, &Message)> {
        let (first, mut position) = (self.first(), position.max(self.first()));
        std::iter::from_fn(move || {
            let ring = self.ring.as_ref()?;
            let offset = ring.latest.as_ref().map_or(Some(position), |latest| latest.next_from(position))?;
            position = offset + 1;
            Some((offset, &ring.entries.get((offset - first) as usize)?.message))
        })
    }

    /// Whether a reader who comes by `offset` is to be told of its message.
    pub(crate) fn counts(&self, offset: u64) -> bool {
        let latest = self.ring.as_ref().and_then(|ring| ring.latest.as_ref());
        latest.is_none_or(|latest| latest.counts(offset))
    }

    /// All messages, oldest first, each with how many milliseconds it has been kept.
    pub(crate) fn ages(&self, now: Tick) -> impl Iterator<Item = (u64, &Message)> {
        let entries = self.ring.iter().flat_map(|ring| ring.entries.iter());
        entries.map(move |entry| (now.since(entry.kept), &entry.message))
    }

    /// Panics unless all that must hold does.
    pub(crate) fn check_invariants(&self) {
        if let Some(latest) = self.ring.as_ref().and_then(|ring| ring.latest.as_ref()) {
            latest.check_invariants(self.from(0).collect::<Vec<_>>().into_iter());
        }
        let weights: usize = self.from(0).map(|(_, message)| message.weight()).sum();
        assert_eq!(weights, self.bytes());
        assert!(self.next >= 1 && self.first() >= 1);
        assert!(self.ring.as_ref().is_none_or(|ring| !ring.entries.is_empty()), "an empty ring is no ring");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::payload::Parts;

    fn message(text: &str) -> Message {
        Message::new(&Parts { channel: "/a", content_type: "", event: "", data: text.as_bytes(), unix_ms: 0 }).unwrap()
    }

    const KEEP: Keep = Keep { messages: 3, bytes: 10_000, age_ms: 1_000, conflated: None };

    fn offsets(history: &History, position: u64) -> Vec<u64> {
        history.from(position).map(|(offset, _)| offset).collect()
    }

    #[test]
    fn offsets_are_contiguous_and_the_oldest_give_way() {
        let mut history = History::new(1);
        for i in 1..=5 {
            assert_eq!(history.append(Tick(0), message("x"), &KEEP), i);
            history.check_invariants();
        }
        assert_eq!((history.first(), history.next()), (3, 6));
        assert_eq!(offsets(&history, 0), [3, 4, 5]);
        assert_eq!(offsets(&history, 5), [5]);
        assert_eq!(offsets(&history, 9), [0; 0]);
    }

    #[test]
    fn bytes_and_age_bound_it_too_but_the_newest_stays() {
        let mut history = History::new(1);
        let keep = Keep { bytes: message("x").weight() * 2, ..KEEP };
        for _ in 0..3 {
            history.append(Tick(0), message("x"), &keep);
        }
        assert_eq!(history.len(), 2);
        history.append(Tick(500), message(&"x".repeat(500)), &keep);
        assert_eq!(offsets(&history, 0), [4]);
        assert_eq!(history.expires(&keep), Some(Tick(1_500)));
        history.trim(Tick(1_500), &keep);
        assert_eq!((history.len(), history.first(), history.next()), (0, 5, 5));
        history.check_invariants();
    }

    #[test]
    fn skipping_beyond_the_end_leaves_a_hole_that_readers_can_see() {
        let mut history = History::new(1);
        history.append(Tick(0), message("x"), &KEEP);
        history.skip_to(9, LetGo::Behind);
        assert_eq!((history.len(), history.first(), history.next()), (0, 9, 9));
        history.check_invariants();
    }

    fn named(event: &str) -> Message {
        Message::new(&Parts { channel: "/a", content_type: "", event, data: b"x", unix_ms: 0 }).unwrap()
    }

    fn news(history: &History, position: u64) -> Vec<u64> {
        history.news(position).map(|(offset, _)| offset).collect()
    }

    const CONFLATED: Keep = Keep { messages: 1_000, conflated: Some(Seed(1, 2)), ..KEEP };

    #[test]
    fn of_messages_with_the_same_event_name_the_latest_is_news() {
        let mut history = History::new(1);
        for event in ["a", "b", "", "a", "", "c", "b"] {
            history.append(Tick(0), named(event), &CONFLATED);
            history.check_invariants();
        }
        assert_eq!(offsets(&history, 0), [1, 2, 3, 4, 5, 6, 7]);
        for (position, expected) in [(0, &[3, 4, 5, 6, 7][..]), (4, &[4, 5, 6, 7]), (6, &[6, 7]), (7, &[7]), (8, &[]), (99, &[])]
        {
            assert_eq!(news(&history, position), expected, "from {position}");
        }
        assert_eq!([1, 3, 7, 8].map(|offset| history.counts(offset)), [false, true, true, false]);
    }

    #[test]
    fn what_is_let_go_takes_its_event_name_along() {
        let mut history = History::new(60);
        let keep = Keep { messages: 3, ..CONFLATED };
        for (event, expected) in [
            ("a", &[60][..]),
            ("b", &[60, 61]),
            ("a", &[61, 62]),
            ("a", &[61, 63]),
            ("a", &[64]),
            ("", &[64, 65]),
            ("", &[64, 65, 66]),
            ("b", &[65, 66, 67]),
        ] {
            history.append(Tick(0), named(event), &keep);
            history.check_invariants();
            assert_eq!(news(&history, 0), expected);
        }
        history.skip_to(67, LetGo::Behind);
        history.check_invariants();
        assert_eq!(news(&history, 0), [67]);
        history.skip_to(1_000, LetGo::Behind);
        history.append(Tick(0), named("b"), &keep);
        history.check_invariants();
        assert_eq!(news(&history, 0), [1_000]);
    }

    #[test]
    fn thousands_of_replaced_messages_are_passed_over_word_by_word() {
        let mut history = History::new(1);
        let keep = Keep { messages: 100_000, bytes: 1 << 30, ..CONFLATED };
        for offset in 1..=10_000 {
            history.append(Tick(0), named(if offset % 1_000 == 0 { "" } else { "a" }), &keep);
        }
        assert_eq!(news(&history, 3_001), [4_000, 5_000, 6_000, 7_000, 8_000, 9_000, 9_999, 10_000]);
        history.skip_to(9_000, LetGo::Behind);
        assert_eq!(news(&history, 0), [9_000, 9_999, 10_000]);
        history.check_invariants();
    }

    #[test]
    fn a_ring_begins_to_conflate_and_ceases_to_as_it_is_told() {
        let mut history = History::new(1);
        let say = |history: &mut History, keep: &Keep| {
            history.append(Tick(0), named("a"), keep);
            history.check_invariants();
            news(history, 0)
        };
        let plain = Keep { conflated: None, ..CONFLATED };
        assert_eq!(say(&mut history, &plain), [1]);
        assert_eq!(say(&mut history, &plain), [1, 2]);
        assert_eq!(say(&mut history, &CONFLATED), [3]);
        assert_eq!(say(&mut history, &plain), [1, 2, 3, 4]);
    }
}
