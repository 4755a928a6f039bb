//! Deadlines by the million: what a timer costs is two links and a moment, wherever its owner keeps them.
//!
//! Timers that wait equally long form a list in the order they were armed, so the head of a list is always
//! its earliest, and arming, cancelling and expiring touch the list's ends and two neighbours at most.
//! A wait that has no list of its own is walked in strides: it goes to the longest list that is not longer,
//! and its owner, woken early, arms it again for what is left. Strides shrink by 32 each time, so a day is
//! walked in six of them, and the durations an operator configured have their own lists: one stride.
//!
//! Told the time, never asks for it. Never allocates after it was made. Does not own the links: they lie in
//! the owners' slots and come along with every call.

use crate::base::time::Tick;

/// "No neighbour" and "no list".
const NONE: u32 = u32::MAX;
const IDLE: u16 = u16::MAX;
/// Lists an octave: the first stride covers all but a 32nd of a wait.
const STEPS: u64 = 32;
/// The longest list; a longer wait is walked in several of these.
const LONGEST_MS: u64 = 1 << 30;

/// One timer's place: lies in the slot of whatever waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    previous: u32,
    next: u32,
    /// When its list wakes the owner: the low half of a [`Tick`].
    wakes: u32,
    list: u16,
}

impl Default for Link {
    fn default() -> Link {
        Link { previous: NONE, next: NONE, wakes: 0, list: IDLE }
    }
}

impl Link {
    /// The moment at which this timer wakes its owner; `None` while it is not armed.
    pub(crate) fn wakes_at(&self, now: Tick) -> Option<Tick> {
        (self.list != IDLE).then(|| now.nearest(self.wakes))
    }
}

/// Where the links lie.
pub(crate) trait Links {
    /// The link of the slot `key`, which is live.
    fn link(&mut self, key: u32) -> &mut Link;
}

#[derive(Clone, Copy, Debug)]
struct List {
    ms: u64,
    head: u32,
    tail: u32,
    /// When the head wakes; meaningless while empty.
    wakes: Tick,
}

/// All lists of one kind of owner.
#[derive(Debug)]
pub(crate) struct Timers {
    /// By rising duration; the first is 1 ms.
    lists: Vec<List>,
    /// A bit for each list that is not empty.
    occupied: Vec<u64>,
    armed: usize,
}

impl Timers {
    /// `exact`: durations that will be armed often, in ms, each of which gets a list of its own.
    pub(crate) fn new(exact: &[u64]) -> Timers {
        let mut durations: Vec<u64> = (1..STEPS).collect();
        let mut octave = STEPS;
        while octave < LONGEST_MS {
            durations.extend((0..STEPS).map(|step| octave + octave / STEPS * step));
            octave *= 2;
        }
        durations.extend(exact.iter().copied().filter(|ms| (1..LONGEST_MS).contains(ms)));
        durations.push(LONGEST_MS);
        durations.sort_unstable();
        durations.dedup();
        let lists: Vec<List> = durations.iter().map(|&ms| List { ms, head: NONE, tail: NONE, wakes: Tick(0) }).collect();
        let occupied = vec![0; lists.len().div_ceil(64)];
        Timers { lists, occupied, armed: 0 }
    }

    /// Wakes `key` at `at` or earlier, never later (but not before the next millisecond): an owner woken
    /// early arms again. A timer that is armed already moves.
    pub(crate) fn arm(&mut self, links: &mut impl Links, key: u32, now: Tick, at: Tick) {
        self.cancel(links, key);
        self.armed += 1;
        let wait = at.since(now).max(1);
        let which = self.lists.partition_point(|list| list.ms <= wait) - 1;
        let list = &mut self.lists[which];
        let wakes = now + list.ms;
        *links.link(key) = Link { previous: list.tail, next: NONE, wakes: wakes.low(), list: which as u16 };
        if list.head == NONE {
            list.head = key;
            list.wakes = wakes;
            self.occupied[which / 64] |= 1 << (which % 64);
        } else {
            links.link(list.tail).next = key;
        }
        list.tail = key;
    }

    /// Takes `key` out of its list, if it is in one.
    pub(crate) fn cancel(&mut self, links: &mut impl Links, key: u32) {
        let link = std::mem::take(links.link(key));
        if link.list == IDLE {
            return;
        }
        self.armed -= 1;
        let which = usize::from(link.list);
        let list = &mut self.lists[which];
        match link.previous {
            NONE => {
                list.head = link.next;
                if link.next != NONE {
                    // The head's own moment is close behind the one that leaves.
                    list.wakes = list.wakes.nearest(links.link(link.next).wakes);
                }
            }
            previous => links.link(previous).next = link.next,
        }
        match link.next {
            NONE => list.tail = link.previous,
            next => links.link(next).previous = link.previous,
        }
        if list.head == NONE {
            self.occupied[which / 64] &= !(1 << (which % 64));
        }
    }

    /// How many are armed.
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    /// Takes out one timer whose time has come.
    pub(crate) fn expired(&mut self, links: &mut impl Links, now: Tick) -> Option<u32> {
        let which = self.occupied().find(|&which| self.lists[which].wakes <= now)?;
        let key = self.lists[which].head;
        self.cancel(links, key);
        Some(key)
    }

    /// When the earliest timer wakes.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.occupied().map(|which| self.lists[which].wakes).min()
    }

    fn occupied(&self) -> impl Iterator<Item = usize> {
        self.occupied.iter().enumerate().flat_map(|(word, &bits)| {
            std::iter::successors((bits != 0).then_some(bits), |bits| {
                let rest = bits & (bits - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |bits| word * 64 + bits.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::{Random, Seed};
    use std::collections::BTreeMap;

    impl Links for Vec<Link> {
        fn link(&mut self, key: u32) -> &mut Link {
            &mut self[key as usize]
        }
    }

    #[test]
    fn a_configured_duration_wakes_once_and_on_time() {
        let mut links = vec![Link::default(); 2];
        let mut timers = Timers::new(&[25_007]);
        timers.arm(&mut links, 0, Tick(5), Tick(25_012));
        assert_eq!(timers.next(), Some(Tick(25_012)));
        assert_eq!(timers.expired(&mut links, Tick(25_011)), None);
        assert_eq!(timers.expired(&mut links, Tick(25_012)), Some(0));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn no_timer_is_ever_late_lost_or_out_of_place() {
        let mut random = Random::new(Seed(1, 2));
        let mut links = vec![Link::default(); 64];
        let mut timers = Timers::new(&[1_000, 25_000]);
        let mut due: BTreeMap<u32, Tick> = BTreeMap::new();
        let mut now = Tick(u64::from(u32::MAX) - 200_000);
        for _ in 0..20_000 {
            let key = (random.bits() % 64) as u32;
            match random.bits() % 4 {
                0 => {
                    timers.cancel(&mut links, key);
                    due.remove(&key);
                }
                1 | 2 => {
                    let at = now + [1_000, 25_000, random.bits() % 90_000][(random.bits() % 3) as usize];
                    timers.arm(&mut links, key, now, at);
                    due.insert(key, at.max(now + 1));
                }
                _ => {
                    let earliest = due.values().min().copied();
                    if let (Some(wakes), Some(due)) = (timers.next(), earliest) {
                        assert!(wakes <= due);
                    }
                    assert_eq!(timers.next().is_some(), earliest.is_some());
                    let goal = now + random.bits() % 5_000;
                    while let Some(wakes) = timers.next().filter(|&wakes| wakes <= goal) {
                        now = wakes;
                        while let Some(key) = timers.expired(&mut links, now) {
                            let at = due[&key];
                            assert!(at >= now, "{key} is {} ms late", now.since(at));
                            if at == now {
                                due.remove(&key);
                            } else {
                                timers.arm(&mut links, key, now, at);
                            }
                        }
                    }
                    now = goal;
                }
            }
        }
    }
}
