//! The looks in use: what clients ask for beside their transport, kept once for all who ask alike.
//!
//! A slot has room for a number only. Numbers are never used again, so a frame that was made for one can never
//! be taken for another's.

use crate::transport::Look;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pictures are drawn by the server, and once for each look: so many looks of them there may be on one shard.
const DRAWN_MAX: usize = 16;

/// The look of those who ask for nothing.
pub(crate) const PLAIN: u32 = 0;

#[derive(Debug)]
pub(super) struct Looks {
    plain: Look,
    by_number: BTreeMap<u32, (Arc<Look>, u32)>,
    by_look: BTreeMap<Arc<Look>, u32>,
    last: u32,
    /// How many of them are pictures'.
    drawn: usize,
}

impl Looks {
    pub(super) fn new() -> Looks {
        Looks { plain: Look::default(), by_number: BTreeMap::new(), by_look: BTreeMap::new(), last: PLAIN, drawn: 0 }
    }

    /// The number of `look`, for one more who asks for it. `None`: there are too many pictures.
    pub(super) fn take(&mut self, look: &Look) -> Option<u32> {
        if *look == self.plain {
            return Some(PLAIN);
        }
        if let Some(&number) = self.by_look.get(look) {
            if let Some((_, holders)) = self.by_number.get_mut(&number) {
                *holders += 1;
            }
            return Some(number);
        }
        if look.is_picture() && self.drawn >= DRAWN_MAX {
            return None;
        }
        self.drawn += usize::from(look.is_picture());
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != PLAIN && !self.by_number.contains_key(&self.last) {
                break;
            }
        }
        let look = Arc::new(look.clone());
        self.by_number.insert(self.last, (look.clone(), 1));
        self.by_look.insert(look, self.last);
        Some(self.last)
    }

    /// One who asked for it is gone.
    pub(super) fn release(&mut self, number: u32) {
        let Some((look, holders)) = self.by_number.get_mut(&number) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.drawn -= usize::from(look.is_picture());
            self.by_look.remove(&**look);
            self.by_number.remove(&number);
        }
    }

    /// The look behind a number.
    pub(super) fn get(&self, number: u32) -> &Look {
        self.by_number.get(&number).map_or(&self.plain, |(look, _)| look)
    }

    /// Panics unless each look is held by exactly as many slots as hold it.
    pub(super) fn check_invariants(&self, held: impl Iterator<Item = u32>) {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        held.filter(|&number| number != PLAIN).for_each(|number| *counts.entry(number).or_default() += 1);
        let known: BTreeMap<u32, u32> = self.by_number.iter().map(|(&number, &(_, holders))| (number, holders)).collect();
        assert_eq!(counts, known);
        assert_eq!(self.by_look.len(), self.by_number.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_kept_once_and_its_number_never_comes_back() {
        let mut looks = Looks::new();
        let padded = Look { padding: 4096, ..Look::default() };
        assert_eq!(looks.take(&Look::default()), Some(PLAIN));
        let first = looks.take(&padded).unwrap();
        assert_eq!(looks.take(&padded), Some(first));
        assert_eq!(looks.get(first), &padded);
        looks.release(first);
        looks.check_invariants([PLAIN, first].into_iter());
        looks.release(first);
        looks.check_invariants([PLAIN].into_iter());
        assert_eq!(looks.get(first), &Look::default());
        assert_ne!(looks.take(&padded), Some(first));
        looks.release(PLAIN);
    }

    #[test]
    fn so_many_pictures_are_drawn_and_no_more() {
        let mut looks = Looks::new();
        let picture = |width: usize| {
            let gif = crate::transport::gif::Look::from_query([("width", (width + 16).to_string())]).unwrap();
            Look { gif: Some(gif), ..Look::default() }
        };
        let taken: Vec<u32> = (0..DRAWN_MAX).map(|width| looks.take(&picture(width)).unwrap()).collect();
        assert_eq!(looks.take(&picture(DRAWN_MAX)), None);
        assert_eq!(looks.take(&picture(3)), Some(taken[3]));
        looks.release(taken[0]);
        assert!(looks.take(&picture(DRAWN_MAX)).is_some());
    }
}
