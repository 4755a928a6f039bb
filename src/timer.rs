//! Deadlines by the million: what a timer costs is two links and a moment, wherever its owner keeps them.
//!
//! Timers that wait equally long form a list in the order they were armed, so the head of a list is always
//! its earliest, and arming, cancelling and expiring touch the list's ends and two neighbours at most.
//! A wait that has no list of its own is walked in strides: it goes to the longest list that is not longer,
//! and its owner, woken early, arms it again for what is left. Strides shrink by 32 each time, so a day is
//! walked in six of them, and the durations an operator configured have their own lists: one stride.
//!
//! When an operator changes durations, those get lists too; timers that are armed stay where they are.
//!
//! Told the time, never asks for it. Never allocates between two changes of durations. Does not own the links: they lie
//! in the owners' slots and come along with every call.

use crate::base::time::Tick;

/// "No neighbour" and "no list".
const NONE: u32 = u32::MAX;
const IDLE: u16 = u16::MAX;
/// Lists an octave: the first stride covers all but a 32nd of a wait.
const STEPS: u64 = 32;
/// The longest list; a longer wait is walked in several of these.
const LONGEST_MS: u64 = 1 << 30;
/// Lists for durations that were configured, former ones included whose timers are not over. A duration that finds no
/// place is walked in strides.
const CONFIGURED_MAX: usize = 256;

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

impl List {
    fn new(ms: u64) -> List {
        List { ms, head: NONE, tail: NONE, wakes: Tick(0) }
    }
}

/// All lists of one kind of owner.
#[derive(Debug)]
pub(crate) struct Timers {
    /// First those of the grid, by rising duration, then those that were configured. A list keeps its place as long as it
    /// is not empty, since its timers know it by that.
    lists: Vec<List>,
    /// The lists of the grid.
    grid: usize,
    /// The lists that timers may be armed in: duration and place, by rising duration; the first is 1 ms.
    steps: Vec<(u64, u16)>,
    /// A bit for each list that is not empty,
    occupied: Vec<u64>,
    /// and a bit for each word of those that is not zero: who looks for the next timer looks at no others.
    words: u64,
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
        durations.push(LONGEST_MS);
        let lists: Vec<List> = durations.iter().map(|&ms| List::new(ms)).collect();
        let occupied = vec![0; (lists.len() + CONFIGURED_MAX).div_ceil(64)];
        assert!(occupied.len() <= 64, "a bit for each word fits one word");
        let mut timers = Timers { grid: lists.len(), lists, steps: Vec::new(), occupied, words: 0, armed: 0 };
        timers.change(exact);
        timers
    }

    /// From now on these durations have lists of their own, and no others. What is armed keeps its moment.
    pub(crate) fn change(&mut self, exact: &[u64]) {
        self.steps = self.lists[..self.grid].iter().zip(0..).map(|(list, which)| (list.ms, which)).collect();
        for &ms in exact.iter().filter(|ms| (1..LONGEST_MS).contains(*ms)) {
            if self.steps.iter().all(|step| step.0 != ms)
                && let Some(which) = self.place_for(ms)
            {
                self.steps.push((ms, which as u16));
            }
        }
        self.steps.sort_unstable();
    }

    /// A list for this duration: the one there is, or one that nobody needs any more, or a new one.
    fn place_for(&mut self, ms: u64) -> Option<usize> {
        let configured = self.grid..self.lists.len();
        if let Some(which) = configured.clone().find(|&which| self.lists[which].ms == ms) {
            return Some(which);
        }
        let unused =
            |which: &usize| self.lists[*which].head == NONE && self.steps.iter().all(|step| usize::from(step.1) != *which);
        if let Some(which) = configured.clone().find(unused) {
            self.lists[which] = List::new(ms);
            return Some(which);
        }
        (configured.len() < CONFIGURED_MAX).then(|| {
            self.lists.push(List::new(ms));
            self.lists.len() - 1
        })
    }

    /// Wakes `key` at `at` or earlier, never later (but not before the next millisecond): an owner woken
    /// early arms again. A timer that is armed already moves.
    pub(crate) fn arm(&mut self, links: &mut impl Links, key: u32, now: Tick, at: Tick) {
        self.cancel(links, key);
        self.armed += 1;
        let wait = at.since(now).max(1);
        let which = usize::from(self.steps[self.steps.partition_point(|step| step.0 <= wait) - 1].1);
        let list = &mut self.lists[which];
        let wakes = now + list.ms;
        *links.link(key) = Link { previous: list.tail, next: NONE, wakes: wakes.low(), list: which as u16 };
        if list.head == NONE {
            list.head = key;
            list.wakes = wakes;
            self.occupied[which / 64] |= 1 << (which % 64);
            self.words |= 1 << (which / 64);
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
            if self.occupied[which / 64] == 0 {
                self.words &= !(1 << (which / 64));
            }
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
        ones(self.words).flat_map(|word| ones(self.occupied[word]).map(move |bit| word * 64 + bit))
    }
}

/// The places of a word's ones, from the lowest on.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(place)
    })
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
    fn durations_change_and_what_is_armed_keeps_its_moment() {
        let mut links = vec![Link::default(); 4];
        let mut timers = Timers::new(&[25_007]);
        timers.arm(&mut links, 0, Tick(0), Tick(25_007));
        timers.change(&[31_337]);
        timers.arm(&mut links, 1, Tick(0), Tick(31_337));
        timers.arm(&mut links, 2, Tick(0), Tick(25_007));
        assert!(links[2].wakes < 25_007, "it is walked in strides");
        timers.cancel(&mut links, 2);
        assert_eq!(timers.expired(&mut links, Tick(25_007)), Some(0));
        assert_eq!(timers.expired(&mut links, Tick(31_336)), None);
        assert_eq!(timers.expired(&mut links, Tick(31_337)), Some(1));
    }

    #[test]
    fn lists_that_nobody_needs_are_used_again() {
        let mut links = vec![Link::default(); 1];
        let mut timers = Timers::new(&[]);
        timers.change(&[100_003]);
        timers.arm(&mut links, 0, Tick(0), Tick(100_003));
        let lists = timers.lists.len();
        for ms in 0..10_000 {
            timers.change(&[200_003 + ms, 400_007 + ms]);
        }
        assert_eq!(timers.lists.len(), lists + 2);
        assert_eq!(timers.next(), Some(Tick(100_003)));
        for ms in 0..1_000 {
            // As if each list still held somebody.
            for list in &mut timers.lists {
                list.head = 0;
            }
            timers.change(&[500_009 + ms]);
        }
        assert_eq!(timers.lists.len(), timers.grid + CONFIGURED_MAX);
    }

    #[test]
    fn no_timer_is_ever_late_lost_or_out_of_place() {
        let mut random = Random::new(Seed(1, 2));
        let mut links = vec![Link::default(); 64];
        let mut timers = Timers::new(&[1_000, 25_000]);
        let mut due: BTreeMap<u32, Tick> = BTreeMap::new();
        let mut now = Tick(u64::from(u32::MAX) - 200_000);
        for round in 0..20_000 {
            let key = (random.bits() % 64) as u32;
            if round % 500 == 0 {
                timers.change(&[1_000 + random.bits() % 3, 25_000]);
            }
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
