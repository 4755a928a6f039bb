//! What the publisher of a framed stream is owed: an answer for each flush, in order.
//!
//! A flush is answered once every home that got a message before it has let a barrier pass. The next flush counts on
//! that: it sets barriers only where something was sent since.

use crate::base::error::Reject;
use crate::base::frame::Cookie;
use std::collections::VecDeque;

/// Flushes of one stream that may wait for their answers; further frames are left unread meanwhile.
const FLUSHES_MAX: usize = 1024;

/// One framed stream.
#[derive(Debug)]
pub(crate) struct Framed {
    /// The preface was read.
    pub(crate) greeted: bool,
    /// It waits for room at another shard.
    pub(crate) stalled: bool,
    /// A frame has begun, or the preface, and time is short.
    pub(crate) unfinished: bool,
    /// The other shards that got a message since they were last sent a barrier, by number.
    touched: Vec<bool>,
    /// What was refused here since the last flush.
    refusals: Refusals,
    flushes: VecDeque<Flush>,
    /// The number of the first of them.
    first: u32,
}

/// A flush that waits.
#[derive(Debug)]
struct Flush {
    cookie: Cookie,
    /// Barriers that have yet to pass.
    waiting: usize,
    refusals: Refusals,
}

/// How many messages were refused, and the first refusal that is known.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) count: u32,
    pub(crate) first: Option<Reject>,
}

impl Refusals {
    pub(crate) fn add(&mut self, count: u32, reject: impl FnOnce() -> Reject) {
        self.count = self.count.saturating_add(count);
        if count > 0 {
            self.first.get_or_insert_with(reject);
        }
    }
}

impl Framed {
    /// A stream of a server with so many shards.
    pub(crate) fn new(shards: u16) -> Framed {
        Framed {
            greeted: false,
            stalled: false,
            unfinished: true,
            touched: vec![false; usize::from(shards)],
            refusals: Refusals::default(),
            flushes: VecDeque::new(),
            first: 0,
        }
    }

    /// Something was sent to `shard`.
    pub(crate) fn touch(&mut self, shard: u16) {
        if let Some(touched) = self.touched.get_mut(usize::from(shard)) {
            *touched = true;
        }
    }

    /// A message was refused.
    pub(crate) fn refuse(&mut self, reject: Reject) {
        self.refusals.add(1, || reject);
    }

    /// Whether one more flush may wait.
    pub(crate) fn takes_flushes(&self) -> bool {
        self.flushes.len() < FLUSHES_MAX
    }

    /// Whether any flush waits.
    pub(crate) fn owes_answers(&self) -> bool {
        !self.flushes.is_empty()
    }

    /// A flush came: returns its number and the shards to be sent a barrier.
    pub(crate) fn flush(&mut self, cookie: Cookie) -> (u32, Vec<u16>) {
        let shards = self.touched();
        let number = self.first.wrapping_add(self.flushes.len() as u32);
        let refusals = std::mem::take(&mut self.refusals);
        self.flushes.push_back(Flush { cookie, waiting: shards.len(), refusals });
        (number, shards)
    }

    /// The shards that got a message since they were last sent a barrier; none of them is from here on.
    pub(crate) fn touched(&mut self) -> Vec<u16> {
        let shards = self.touched.iter_mut().zip(0..);
        shards.filter_map(|(touched, shard)| std::mem::take(touched).then_some(shard)).collect()
    }

    /// A barrier of flush `number` has passed, before which `refused` messages were refused because of `reject`.
    pub(crate) fn passed(&mut self, number: u32, refused: u32, reject: impl FnOnce() -> Reject) {
        let Some(flush) = self.flushes.get_mut(number.wrapping_sub(self.first) as usize) else { return };
        flush.waiting = flush.waiting.saturating_sub(1);
        flush.refusals.add(refused, reject);
    }

    /// The next flush to be answered, if all its barriers have passed.
    pub(crate) fn next_answer(&mut self) -> Option<(Cookie, Refusals)> {
        self.flushes.front().filter(|flush| flush.waiting == 0)?;
        self.first = self.first.wrapping_add(1);
        self.flushes.pop_front().map(|flush| (flush.cookie, flush.refusals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject() -> Reject {
        Reject::new(400, "bad", "bad")
    }

    #[test]
    fn flushes_are_answered_in_their_order() {
        let mut framed = Framed::new(3);
        framed.touch(1);
        framed.touch(2);
        let (first, shards) = framed.flush([1; 8]);
        assert_eq!(shards, [1, 2]);
        framed.refuse(reject());
        let (second, shards) = framed.flush([2; 8]);
        assert!(shards.is_empty(), "nothing was sent since");
        assert!(framed.next_answer().is_none());
        framed.passed(first, 0, reject);
        framed.passed(first, 2, reject);
        let (cookie, refusals) = framed.next_answer().expect("all have passed");
        assert_eq!((cookie, refusals.count, refusals.first), ([1; 8], 2, Some(reject())));
        framed.passed(second, 9, reject);
        let (cookie, refusals) = framed.next_answer().expect("it waited for nobody");
        assert_eq!((cookie, refusals.count), ([2; 8], 10));
        assert!(framed.next_answer().is_none() && !framed.owes_answers());
        framed.passed(first, 1, reject);
    }
}
