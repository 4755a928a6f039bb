//! Which of a ring's messages count, where a later one with the same event name takes an earlier one's place: of each
//! name the last, and all without a name.
//!
//! Grows and shrinks with its ring, each time in constant time; the next message that counts is found by looking at 64
//! at once. Never holds a message that its ring has let go; costs a bit a message, and some 30 bytes an event name.

use crate::base::payload::Message;
use crate::base::random::{Seed, keyed_hash};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::VecDeque;

/// For one ring, whose messages are those from `first` to before `next`.
#[derive(Debug)]
pub(super) struct Latest {
    /// Keys the hashes of event names, which strangers may choose.
    seed: Seed,
    first: u64,
    next: u64,
    /// The last message of each event name, with its offset.
    named: HashTable<(u64, Message)>,
    /// A bit for each offset, 64 of them in a word: whether its message counts. What is not in the ring does not.
    words: VecDeque<u64>,
}

const WORD: u64 = u64::BITS as u64;

impl Latest {
    /// For an empty ring whose first message gets the offset `next`.
    pub(super) fn new(seed: Seed, next: u64) -> Latest {
        Latest { seed, first: next, next, named: HashTable::new(), words: VecDeque::new() }
    }

    /// The ring takes a message.
    pub(super) fn push(&mut self, message: &Message) {
        let offset = self.next;
        self.next += 1;
        if self.word(offset) == self.words.len() {
            self.words.push_back(0);
        }
        self.mark(offset, true);
        if let Some((former, _)) = self.name(offset, message) {
            self.mark(former, false);
        }
    }

    /// The ring lets go of its oldest message.
    pub(super) fn pop(&mut self, message: &Message) {
        let offset = self.first;
        self.mark(offset, false);
        let hash = keyed_hash(self.seed, message.event().as_bytes());
        if let Ok(entry) = self.named.find_entry(hash, |(latest, _)| *latest == offset) {
            entry.remove();
        }
        self.first += 1;
        if self.first.is_multiple_of(WORD) {
            self.words.pop_front();
        }
    }

    /// Whether the message at `offset` counts.
    pub(super) fn counts(&self, offset: u64) -> bool {
        offset >= self.first && self.words.get(self.word(offset)).is_some_and(|word| word & 1 << (offset % WORD) != 0)
    }

    /// The offset of the first message from `offset` on that counts.
    pub(super) fn next_from(&self, offset: u64) -> Option<u64> {
        let offset = offset.max(self.first);
        let at = self.word(offset);
        let from = self.words.get(at)? & u64::MAX << (offset % WORD);
        let further = self.words.range(at + 1..);
        let (word, base) = std::iter::once(&from).chain(further).zip(offset / WORD..).find(|(word, _)| **word != 0)?;
        Some(base * WORD + u64::from(word.trailing_zeros()))
    }

    /// This message is the last of its event name now; returns the one that was. Those without a name have no last.
    fn name(&mut self, offset: u64, message: &Message) -> Option<(u64, Message)> {
        if message.event().is_empty() {
            return None;
        }
        let (seed, latest) = (self.seed, (offset, message.clone()));
        let hash = |message: &Message| keyed_hash(seed, message.event().as_bytes());
        match self.named.entry(hash(message), |(_, known)| known.event() == message.event(), |(_, known)| hash(known)) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(entry.get_mut(), latest)),
            Entry::Vacant(entry) => {
                entry.insert(latest);
                None
            }
        }
    }

    /// The place of the word that holds an offset's bit.
    fn word(&self, offset: u64) -> usize {
        (offset / WORD - self.first / WORD) as usize
    }

    fn mark(&mut self, offset: u64, counts: bool) {
        let at = self.word(offset);
        let bit = 1 << (offset % WORD);
        self.words[at] = if counts { self.words[at] | bit } else { self.words[at] & !bit };
    }

    /// Panics unless it is what the `messages` of its ring, oldest first, make it.
    pub(super) fn check_invariants<'a>(&self, messages: impl DoubleEndedIterator<Item = (u64, &'a Message)>) {
        let (mut known, mut offsets) = (Vec::new(), Vec::new());
        for (offset, message) in messages.rev() {
            let name = message.event();
            if name.is_empty() || !known.contains(&name) {
                known.extend((!name.is_empty()).then_some(name));
                offsets.push(offset);
            }
        }
        offsets.reverse();
        let counted: Vec<u64> = std::iter::successors(self.next_from(0), |offset| self.next_from(offset + 1)).collect();
        assert_eq!(counted, offsets);
        assert_eq!(self.named.len(), known.len(), "names whose last message is gone");
    }
}
