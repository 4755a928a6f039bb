//! How many connections each client has, exact over all reactors.
//!
//! A seat is taken when a connection comes and given up by being dropped, wherever the connection has gone by then. The table
//! is in stripes with a lock each, held for one look-up: two of them in a connection's life, none for a message.
//!
//! Invariant: the table has an entry for whoever has a seat, with their number, and for nobody else.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More than there are reactors that meet in one at once.
const STRIPES: usize = 64;

/// The seats of all clients.
#[derive(Debug)]
pub(super) struct Seats<K> {
    most: u64,
    hasher: RandomState,
    stripes: Vec<Mutex<HashMap<K, u64>>>,
}

/// One seat.
#[derive(Debug)]
pub(super) struct Seat<K: Hash + Eq> {
    seats: Arc<Seats<K>>,
    client: K,
}

impl<K: Hash + Eq + Clone> Seats<K> {
    /// At `most` so many for each; `None` without a limit, which is 0.
    pub(super) fn new(most: u64) -> Option<Arc<Seats<K>>> {
        let stripes = || (0..STRIPES).map(|_| Mutex::default()).collect();
        (most > 0).then(|| Arc::new(Seats { most, hasher: RandomState::new(), stripes: stripes() }))
    }

    /// A seat for `client`; `None` if it has as many as it may.
    pub(super) fn take(self: &Arc<Self>, client: &K) -> Option<Seat<K>> {
        let mut stripe = self.stripe(client);
        match stripe.get_mut(client) {
            Some(taken) if *taken >= self.most => return None,
            Some(taken) => *taken += 1,
            None => _ = stripe.insert(client.clone(), 1),
        }
        Some(Seat { seats: self.clone(), client: client.clone() })
    }
}

impl<K: Hash + Eq> Seats<K> {
    fn stripe(&self, client: &K) -> MutexGuard<'_, HashMap<K, u64>> {
        let hash = self.hasher.hash_one(client);
        self.stripes[hash as usize % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut stripe = self.seats.stripe(&self.client);
        let Some(taken) = stripe.get_mut(&self.client) else { return };
        *taken -= 1;
        if *taken == 0 {
            stripe.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_client_has_so_many_and_another_has_its_own() {
        let seats = Seats::new(2).expect("a limit");
        let first = seats.take(&"a").expect("room");
        let _second = seats.take(&"a").expect("room");
        assert!(seats.take(&"a").is_none());
        assert!(seats.take(&"b").is_some());
        drop(first);
        assert!(seats.take(&"a").is_some());
        assert!(Seats::<u8>::new(0).is_none());
    }

    #[test]
    fn whoever_has_no_seat_is_not_remembered() {
        let seats = Seats::new(1).expect("a limit");
        drop((0..1_000).map(|client| seats.take(&client)).collect::<Vec<_>>());
        assert_eq!(seats.stripes.iter().map(|stripe| stripe.lock().expect("whole").len()).sum::<usize>(), 0);
    }

    #[test]
    fn many_at_once_never_have_more_than_they_may() {
        let seats = Seats::new(3).expect("a limit");
        let taken: usize = thread::scope(|scope| {
            let take = || (0..1_000).filter_map(|_| seats.take(&7)).map(std::mem::forget).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 3);
    }
}
