//! Tokens that were found to be good, so that a client which comes back with every long poll pays no signature each time.
//!
//! A token is looked up by a keyed hash, and then compared whole. A hash alone would have to be a strong one, which costs more
//! than to compare some hundred bytes; and since nobody knows the key, nobody can have his guess compared with the token of
//! another and learn from the time how much of it was right.
//!
//! Invariants: only what a key has signed is in here, so a stranger cannot push anything out. There are at most as many tokens
//! as places; each set keeps those that were shown last. Whoever looks one up checks that it is not over.

use super::grant::Grant;
use crate::base::random::{Seed, keyed_hash};
use std::sync::Arc;

/// How many sets there are, and how many tokens each has room for: 8192 of them.
const SETS: usize = 2_048;
const WAYS: usize = 4;
/// A longer token is checked each time, so that a shard remembers 16 MiB of them at most.
const TOKEN_BYTES_MAX: usize = 2_048;

#[derive(Debug)]
struct Entry {
    hash: u64,
    token: Box<str>,
    grant: Arc<Grant>,
}

/// Those of one shard.
#[derive(Debug)]
pub(super) struct Memory {
    seed: Seed,
    /// Empty until the first token comes. In each set the one that was shown last stands first.
    sets: Vec<Vec<Entry>>,
}

impl Memory {
    pub(super) fn new(seed: Seed) -> Memory {
        Memory { seed, sets: Vec::new() }
    }

    /// What was found of `token`, unless that is over.
    pub(super) fn recall(&mut self, token: &str, unix_ms: u64) -> Option<Arc<Grant>> {
        let hash = keyed_hash(self.seed, token.as_bytes());
        let set = self.sets.get_mut(hash as usize % SETS)?;
        let at = set.iter().position(|entry| entry.hash == hash && *entry.token == *token)?;
        if set[at].grant.is_over(unix_ms) {
            set.remove(at);
            return None;
        }
        set[..=at].rotate_right(1);
        Some(set[0].grant.clone())
    }

    /// `token` is good, for this.
    pub(super) fn keep(&mut self, token: &str, grant: Arc<Grant>) {
        if token.len() > TOKEN_BYTES_MAX {
            return;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Vec::new);
        }
        let hash = keyed_hash(self.seed, token.as_bytes());
        let set = &mut self.sets[hash as usize % SETS];
        set.truncate(WAYS - 1);
        set.insert(0, Entry { hash, token: token.into(), grant });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(unix_ms: u64) -> Arc<Grant> {
        Arc::new(Grant::everything().until(Some(unix_ms)))
    }

    #[test]
    fn what_was_kept_is_recalled_until_it_is_over() {
        let mut memory = Memory::new(Seed(1, 2));
        assert_eq!(memory.recall("one", 0), None);
        let grant = until(10);
        memory.keep("one", grant.clone());
        assert!(Arc::ptr_eq(&memory.recall("one", 9).unwrap(), &grant));
        for other in ["", "on", "one ", "One"] {
            assert_eq!(memory.recall(other, 9), None, "{other:?}");
        }
        assert_eq!(memory.recall("one", 10), None);
        assert_eq!(memory.recall("one", 9), None, "it was forgotten");
    }

    #[test]
    fn a_full_set_forgets_what_was_not_shown_for_longest() {
        let mut memory = Memory::new(Seed(1, 2));
        let set_of = |token: &str| keyed_hash(Seed(1, 2), token.as_bytes()) as usize % SETS;
        let tokens: Vec<String> =
            (0..).map(|number: u32| number.to_string()).filter(|token| set_of(token) == 7).take(5).collect();
        for token in &tokens[..4] {
            memory.keep(token, until(10));
        }
        assert!(memory.recall(&tokens[0], 0).is_some());
        memory.keep(&tokens[4], until(10));
        let kept: Vec<bool> = tokens.iter().map(|token| memory.recall(token, 0).is_some()).collect();
        assert_eq!(kept, [true, false, true, true, true]);
        assert!(memory.sets.iter().all(|set| set.len() <= WAYS));
    }

    #[test]
    fn a_long_token_is_not_kept() {
        let mut memory = Memory::new(Seed(1, 2));
        for (len, kept) in [(TOKEN_BYTES_MAX, true), (TOKEN_BYTES_MAX + 1, false)] {
            let token = "x".repeat(len);
            memory.keep(&token, until(10));
            assert_eq!(memory.recall(&token, 0).is_some(), kept, "{len}");
        }
    }
}
