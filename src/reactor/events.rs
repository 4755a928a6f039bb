//! What the host program polls: the queue of events, and a descriptor that is readable while events wait.
//!
//! The descriptor is one end of a pair of sockets, which every system and every event loop knows. The host never
//! reads it; [`Events::next`] does that when the queue is empty. To ring is a system call, so it is made only for a
//! host that has found the queue empty since the last ring.
//! ```text
//! teller   push; fence; if `rung` was not set: set it, and send one byte
//! host     take; if there was nothing: receive the bytes, clear `rung`, fence, take again;
//!          if there was something after all: ring, for there may be more
//! ```
//! No event lies before a host that sleeps. Whoever receives a byte takes afterwards, so what was pushed before that
//! byte was sent is seen. Who finds `rung` set and sends nothing leaves its event to the one who will clear it: that
//! one either takes after the push, or clears before the push and would not have been found so. A host that takes
//! one event for each poll is served as well: the descriptor stays readable until the queue was found empty.

use super::socket::{self, SEND_FLAGS};
use crate::base::event::Event;
use crate::engine::{EventFeed, EventPort, events};
use socket2::SockRef;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Makes the queue for at most `places` events: the side that tells, and the host's.
pub(super) fn outbox(places: u64) -> io::Result<(Outbox, Events)> {
    let (near, far) = UnixStream::pair()?;
    socket::quiet(SockRef::from(&near))?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let bell = Arc::new(Bell { near, far, rung: AtomicBool::new(false) });
    let (port, feed) = events(places);
    Ok((Outbox { port, bell: bell.clone() }, Events { feed, bell }))
}

/// The side that tells: reactors, and whoever else has something to tell the host.
#[derive(Clone, Debug)]
pub struct Outbox {
    port: EventPort,
    bell: Arc<Bell>,
}

impl Outbox {
    /// Tells the host an event from any thread, without ever blocking. What finds no room is counted, and the host
    /// will be told how many those were. Says whether there was room.
    pub fn push(&self, event: Event) -> bool {
        let told = self.port.tell(event);
        self.bell.ring();
        told
    }

    /// The port of an engine, which asks for its rings itself.
    pub(super) fn port(&self) -> EventPort {
        self.port.clone()
    }

    /// What a private descriptor table keeps of it.
    pub(super) fn descriptors(&self) -> [RawFd; 2] {
        [self.bell.near.as_raw_fd(), self.bell.far.as_raw_fd()]
    }

    /// Sees to it that the host comes and takes.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Tells the host that the server fails.
    pub(super) fn push_failure(&self, why: &str) {
        self.port.tell_failure(Event::failed(why));
        self.bell.ring();
    }
}

/// The host's side, for any of its threads. It does not keep the server running.
#[derive(Debug)]
pub struct Events {
    feed: EventFeed,
    bell: Arc<Bell>,
}

impl Events {
    /// The next event, if there is one. Never blocks.
    pub fn next(&self) -> Option<Event> {
        if let Some(event) = self.feed.next() {
            return Some(event);
        }
        self.bell.hush();
        let event = self.feed.next()?;
        self.bell.ring();
        Some(event)
    }

    /// The host is to take no more. From here on the descriptor polls readable for good, so that whoever sleeps on it
    /// comes and learns that.
    pub fn close(&self) {
        self.bell.close();
    }
}

impl AsFd for Events {
    /// What polls readable while events wait and after [`Events::close`], and never otherwise for longer than until
    /// [`Events::next`] has found none. Not to be read or written.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.far.as_fd()
    }
}

#[derive(Debug)]
struct Bell {
    near: UnixStream,
    far: UnixStream,
    /// Somebody has rung and the host has not come to look since.
    rung: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        fence(Ordering::SeqCst);
        if !self.rung.swap(true, Ordering::SeqCst) {
            // A full socket is as readable as one with a byte, and no other failure leaves a host to be woken.
            let _ = SockRef::from(&self.near).send_with_flags(&[0], SEND_FLAGS);
        }
    }

    fn hush(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.far).read(&mut bytes), Ok(count) if count == bytes.len()) {}
        self.rung.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The end of a stream is readable however often it is read: no other thread can take it from the one that sleeps.
    fn close(&self) {
        // It fails if there is nothing left to end.
        let _ = self.near.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::event::EventKind;
    use mio::unix::SourceFd;
    use mio::{Interest, Poll, Token};
    use std::os::fd::AsRawFd;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Duration;

    /// So many polls in vain are no chance: twenty seconds, if nothing is ever readable.
    const SILENT_MAX: u32 = 400;

    /// Whether the descriptor is readable by then. A new poll each time: it is asked about a state, not a change.
    fn is_readable(events: &Events, timeout: Duration) -> bool {
        let mut poll = Poll::new().expect("a poll");
        let fd = events.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).expect("a poll");
        let mut happened = mio::Events::with_capacity(4);
        poll.poll(&mut happened, Some(timeout)).expect("a poll");
        !happened.is_empty()
    }

    fn number(event: &Event) -> usize {
        std::str::from_utf8(event.data()).expect("text").parse().expect("a number")
    }

    #[test]
    fn the_descriptor_is_readable_while_events_wait_and_not_after() {
        let (outbox, events) = outbox(8).expect("a pair");
        assert!(!is_readable(&events, Duration::ZERO) && events.next().is_none());
        for round in 0..3 {
            for line in ["1", "2", "3"] {
                assert!(outbox.push(Event::log(line)));
            }
            for line in 1..=3 {
                assert!(is_readable(&events, Duration::ZERO), "round {round}, before {line}");
                assert_eq!(events.next().map(|event| number(&event)), Some(line));
            }
            assert!(events.next().is_none());
            assert!(!is_readable(&events, Duration::ZERO), "round {round}");
        }
    }

    #[test]
    fn the_host_is_rung_once_until_it_has_come() {
        let (outbox, events) = outbox(1_000).expect("a pair");
        for _ in 0..1_000 {
            assert!(outbox.push(Event::log("")));
        }
        let mut bytes = [0; 16];
        assert_eq!((&events.bell.far).read(&mut bytes).expect("a byte"), 1);
    }

    #[test]
    fn what_was_missed_wakes_a_host_that_had_taken_everything_else() {
        let (outbox, events) = outbox(1).expect("a pair");
        assert!(outbox.push(Event::log("1")) && !outbox.push(Event::log("2")));
        assert_eq!(events.next().map(|event| event.kind), Some(EventKind::Overflow));
        assert_eq!(events.next().map(|event| event.kind), Some(EventKind::Log));
        assert!(events.next().is_none());
        outbox.push_failure("why");
        assert!(is_readable(&events, Duration::ZERO));
        assert_eq!(events.next().map(|event| event.kind), Some(EventKind::Failed));
    }

    #[test]
    fn after_the_end_the_descriptor_stays_readable_whoever_looks() {
        let (outbox, events) = outbox(1).expect("a pair");
        events.close();
        for _ in 0..3 {
            assert!(is_readable(&events, Duration::ZERO));
            assert!(events.next().is_none());
        }
        assert!(outbox.push(Event::log("1")), "a reactor that still runs is not hurt");
        assert!(is_readable(&events, Duration::ZERO));
    }

    #[test]
    fn nobody_is_hurt_by_a_host_that_has_gone() {
        let (outbox, events) = outbox(1).expect("a pair");
        drop(events);
        assert!(!outbox.push(Event::log("1")));
    }

    /// Takes as a host would, `each` events for a poll at most, until `count` are taken by all hosts together.
    /// Panics once the descriptor has long been silent although there is more to come.
    fn host(events: &Events, each: usize, count: usize, taken: &AtomicUsize, mut met: impl FnMut(&Event)) {
        let (mut silent, mut known) = (0, 0);
        while taken.load(Ordering::SeqCst) < count {
            if is_readable(events, Duration::from_millis(50)) {
                for event in (0..each).map_while(|_| events.next()) {
                    met(&event);
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            }
            let all = taken.load(Ordering::SeqCst);
            silent = if all == known { silent + 1 } else { 0 };
            known = all;
            assert!(silent < SILENT_MAX, "asleep with {all} of {count} taken");
        }
    }

    #[test]
    fn no_event_is_left_before_a_host_that_sleeps() {
        const COUNT: usize = 3_000;
        for each in [1, 2, usize::MAX] {
            let (outbox, events) = outbox(8).expect("a pair");
            let taken = AtomicUsize::new(0);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for line in 0..COUNT {
                        assert!(outbox.push(Event::log(&line.to_string())));
                        // Each push meets the host on its way to sleep.
                        while taken.load(Ordering::SeqCst) <= line {
                            thread::yield_now();
                        }
                    }
                });
                let mut next = 0;
                host(&events, each, COUNT, &taken, |event| {
                    assert_eq!(number(event), next);
                    next += 1;
                });
            });
            assert!(events.next().is_none());
        }
    }

    #[test]
    fn several_threads_tell_and_several_take_and_each_event_is_met_once() {
        const TELLERS: usize = 3;
        const EACH: usize = 3_000;
        let (outbox, events) = outbox((TELLERS * EACH) as u64).expect("a pair");
        let taken = AtomicUsize::new(0);
        let met: Vec<AtomicUsize> = (0..TELLERS * EACH).map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            for teller in 0..TELLERS {
                let outbox = outbox.clone();
                scope.spawn(move || {
                    for line in 0..EACH {
                        assert!(outbox.push(Event::log(&(teller * EACH + line).to_string())));
                    }
                });
            }
            for each in [1, usize::MAX] {
                let (events, taken, met) = (&events, &taken, &met);
                scope.spawn(move || {
                    host(events, each, TELLERS * EACH, taken, |event| {
                        met[number(event)].fetch_add(1, Ordering::Relaxed);
                    });
                });
            }
        });
        assert!(met.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    }
}
