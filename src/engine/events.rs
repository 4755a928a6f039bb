//! The queue between the shards and the host program: bounded, and exact about what found no room.
//!
//! Shards push at their ports, the host takes at the one feed; neither ever waits. Places are counted here and not
//! by the queue, so that several can be taken at once or none, and so that the queue has memory only for what waits
//! in it. Who sleeps at the other end, and how it is woken, is the reactor's concern.
//!
//! What clients publish is bounded in bytes besides, or a few thousand strangers could fill the memory of a host that is busy.
//!
//! Invariants: a place is taken before its event is pushed, and given back after its event was taken. An event is
//! either taken once or counted as missed once; the count is told before any later event.

use crate::base::event::Event;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of what clients published that may wait; one batch always fits where none does.
const BYTES_MAX: usize = 64 << 20;

/// Makes a queue for at most `places` events.
pub fn events(places: u64) -> (EventPort, EventFeed) {
    let (push, take) = unbounded();
    let places = usize::try_from(places).unwrap_or(usize::MAX);
    let tally = Arc::new(Tally { places, taken: AtomicUsize::new(0), bytes: AtomicUsize::new(0), missed: AtomicU64::new(0) });
    (EventPort { push, tally: tally.clone() }, EventFeed { take, tally })
}

#[derive(Debug)]
struct Tally {
    places: usize,
    taken: AtomicUsize,
    bytes: AtomicUsize,
    missed: AtomicU64,
}

/// Where events go in; one for each shard, and for whoever else has something to tell.
#[derive(Clone, Debug)]
pub struct EventPort {
    push: Sender<Event>,
    tally: Arc<Tally>,
}

impl EventPort {
    /// Tells an event, or counts it as missed. Says whether it was told.
    pub fn tell(&self, event: Event) -> bool {
        let told = self.take_places(1, event.bytes()) && self.push.send(event).is_ok();
        if !told {
            self.miss();
        }
        told
    }

    /// Counts an event as missed that is not even made.
    pub fn miss(&self) {
        self.tally.missed.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells all of these events or none. Those that were not told are the caller's to speak for.
    pub fn offer(&self, events: Vec<Event>) -> bool {
        let bytes = events.iter().map(Event::bytes).sum();
        self.take_places(events.len(), bytes) && events.into_iter().all(|event| self.push.send(event).is_ok())
    }

    /// Tells the one event for which there is always room: that the server fails.
    pub fn tell_failure(&self, event: Event) {
        self.tally.taken.fetch_add(1, Ordering::AcqRel);
        // Without a feed there is nobody to tell it to.
        let _ = self.push.send(event);
    }

    fn take_places(&self, count: usize, bytes: usize) -> bool {
        let take = |from: &AtomicUsize, fits: &dyn Fn(usize) -> Option<usize>| {
            from.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
        };
        let tally = &self.tally;
        if !take(&tally.taken, &|taken| taken.checked_add(count).filter(|&sum| sum <= tally.places)) {
            return false;
        }
        // An event that keeps nothing of a client's is told however much of that waits.
        let fits = take(&tally.bytes, &|held| held.checked_add(bytes).filter(|&sum| held == 0 || bytes == 0 || sum <= BYTES_MAX));
        if !fits {
            tally.taken.fetch_sub(count, Ordering::AcqRel);
        }
        fits
    }
}

/// Where the host takes them out, from any thread.
#[derive(Debug)]
pub struct EventFeed {
    take: Receiver<Event>,
    tally: Arc<Tally>,
}

impl EventFeed {
    /// The next event; before it, once, how many were missed since that was last told.
    pub fn next(&self) -> Option<Event> {
        if self.tally.missed.load(Ordering::Acquire) > 0 {
            let missed = self.tally.missed.swap(0, Ordering::AcqRel);
            if missed > 0 {
                return Some(Event::overflow(missed));
            }
        }
        let event = self.take.try_recv().ok()?;
        self.tally.taken.fetch_sub(1, Ordering::AcqRel);
        self.tally.bytes.fetch_sub(event.bytes(), Ordering::AcqRel);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::event::EventKind;
    use crate::base::payload::{Message, Parts};

    fn text(event: &Event) -> String {
        String::from_utf8_lossy(event.data()).into_owned()
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_before_the_next() {
        let (port, feed) = events(2);
        assert!(port.tell(Event::log("1")) && port.tell(Event::log("2")));
        assert!(!port.tell(Event::log("3")) && !port.tell(Event::log("4")));
        let overflow = feed.next().unwrap();
        assert_eq!((overflow.kind, text(&overflow)), (EventKind::Overflow, "2".to_string()));
        assert_eq!(text(&feed.next().unwrap()), "1");
        assert!(port.tell(Event::log("5")), "a place is free again");
        assert!(!port.tell(Event::log("6")));
        assert_eq!(text(&feed.next().unwrap()), "1", "one more was missed");
        assert_eq!(text(&feed.next().unwrap()), "2");
        assert_eq!(text(&feed.next().unwrap()), "5");
        assert!(feed.next().is_none());
    }

    #[test]
    fn several_are_offered_whole_or_not_at_all_and_nobody_misses_them() {
        let (port, feed) = events(3);
        assert!(port.tell(Event::log("1")));
        assert!(!port.offer(["a", "b", "c"].map(Event::log).into()));
        assert!(port.offer(["a", "b"].map(Event::log).into()));
        assert!(port.offer(vec![]), "nothing fits always");
        let all: Vec<String> = std::iter::from_fn(|| feed.next()).map(|event| text(&event)).collect();
        assert_eq!(all, ["1", "a", "b"]);
    }

    #[test]
    fn what_clients_published_is_bounded_in_bytes() {
        let message = |len: usize| {
            let data = vec![0; len];
            let parts = Parts { channel: "/a", content_type: "", event: "", data: &data, unix_ms: 0 };
            Message::new(&parts).unwrap()
        };
        let published = |message: &Message| Event::publish(1, message.clone(), "{}".into());
        let (port, feed) = events(1_000);
        let half = message(BYTES_MAX / 2 - 2);
        assert!(port.tell(published(&half)) && port.tell(published(&half)));
        assert!(!port.offer(vec![published(&message(0))]), "there is no byte left");
        assert!(port.tell(Event::gone(1)), "which needs none");
        assert_eq!(feed.next().unwrap().kind, EventKind::Publish);
        assert!(port.offer(vec![published(&half)]), "what was taken is free again");
        while feed.next().is_some() {}
        let large = message(BYTES_MAX + 1);
        assert!(port.tell(published(&large)), "one fits always");
        assert!(!port.offer(vec![published(&large)]));
    }

    #[test]
    fn a_failure_is_told_whatever_waits() {
        let (port, feed) = events(1);
        assert!(port.tell(Event::log("1")));
        port.tell_failure(Event::failed("why"));
        assert!(!port.tell(Event::log("2")));
        let kinds: Vec<EventKind> = std::iter::from_fn(|| feed.next()).map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Overflow, EventKind::Log, EventKind::Failed]);
        assert!(port.tell(Event::log("3")));
    }

    #[test]
    fn nothing_is_told_where_nobody_listens() {
        let (port, feed) = events(1);
        drop(feed);
        assert!(!port.tell(Event::log("1")));
    }
}
