//! The wake protocol, with reactors by hand.

use super::*;
use crate::base::payload::Parts;
use mio::{Events, Poll, Token};
use std::sync::atomic::AtomicUsize;
use std::thread;

fn message(data: &[u8]) -> Message {
    let parts = Parts { channel: "/a", content_type: "", event: "", data, unix_ms: 0 };
    Message::new(&parts).expect("good parts")
}

/// Takes out all messages, where nothing else is sent.
fn messages(inbox: &mut Inbox, now: Tick) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let (run, end) = inbox.mail(now);
        all.append(run);
        match end {
            End::Empty => return all,
            End::Full => {}
            End::Rare(rare) => panic!("{rare:?}"),
        }
    }
}

fn numbered(sender: u32, number: u32) -> Message {
    message(&[sender.to_le_bytes(), number.to_le_bytes()].concat())
}

fn numbers(message: &Message) -> (u32, u32) {
    let word = |at: usize| u32::from_le_bytes(message.data()[at..at + 4].try_into().expect("four bytes"));
    (word(0), word(4))
}

fn reactor(capacity: usize) -> (Mailbox, Inbox, Poll) {
    let poll = Poll::new().expect("a poll");
    let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
    let (mailbox, inbox) = mailbox(capacity, waker, false).expect("queues");
    (mailbox, inbox, poll)
}

fn is_woken(poll: &mut Poll) -> bool {
    let mut events = Events::with_capacity(4);
    poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
    !events.is_empty()
}

#[test]
fn a_full_mailbox_says_so_and_keeps_what_it_took() {
    let (mailbox, mut inbox, _poll) = reactor(2);
    assert!(mailbox.publish(message(b"1")).is_ok());
    assert!(mailbox.publish(message(b"2")).is_ok());
    assert!(matches!(mailbox.publish(message(b"3")), Err(Error::Full)));
    let taken: Vec<Vec<u8>> = messages(&mut inbox, Tick(0)).iter().map(|message| message.data().to_vec()).collect();
    assert_eq!(taken, [b"1", b"2"]);
    assert!(mailbox.publish(message(b"4")).is_ok());
    assert_eq!(messages(&mut inbox, Tick(0)).len(), 1);
    assert!(messages(&mut inbox, Tick(0)).is_empty());
}

#[test]
fn a_verdict_comes_in_the_order_of_the_mail() {
    let (mailbox, mut inbox, _poll) = reactor(2);
    mailbox.publish(message(b"1")).expect("room");
    mailbox.post(Mail::Rare(Box::new(Rare::Verdict { question: 7, allow: true }))).expect("room");
    assert!(matches!(mailbox.post(Mail::Rare(Box::new(Rare::Verdict { question: 8, allow: false }))), Err(Error::Full)));
    let (run, End::Rare(rare)) = inbox.mail(Tick(0)) else { panic!("the verdict") };
    assert_eq!(run.drain(..).count(), 1);
    assert!(matches!(*rare, Rare::Verdict { question: 7, allow: true }));
}

#[test]
fn a_full_mailbox_gives_a_parcel_back() {
    let (mailbox, mut inbox, _poll) = reactor(1);
    let detach = |name: &str| PeerMessage::Detach { name: name.into(), shard: 0 };
    assert!(mailbox.has_room());
    assert!(mailbox.hand(detach("/a")).is_ok());
    assert!(!mailbox.has_room());
    let Err(PeerMessage::Detach { name, .. }) = mailbox.hand(detach("/b")) else {
        panic!("the mailbox is full");
    };
    assert_eq!(&*name, "/b");
    assert!(matches!(inbox.parcel(), Some(PeerMessage::Detach { name, .. }) if &*name == "/a"));
}

#[test]
fn a_mailbox_without_its_reactor_is_closed() {
    let (mailbox, inbox, _poll) = reactor(1);
    drop(inbox);
    assert!(matches!(mailbox.publish(message(b"1")), Err(Error::Closed)));
    assert!(mailbox.hand(PeerMessage::Detach { name: "/a".into(), shard: 0 }).is_ok());
}

#[test]
fn only_a_sleeper_is_woken_and_only_once() {
    let (mailbox, mut inbox, mut poll) = reactor(8);
    mailbox.publish(message(b"up")).expect("room");
    assert!(!is_woken(&mut poll), "the reactor is up");
    assert_eq!(inbox.settle(Tick(0)), Some(Duration::ZERO), "there is a message");
    assert_eq!(messages(&mut inbox, Tick(0)).len(), 1);
    assert_eq!(inbox.settle(Tick(0)), None);
    mailbox.publish(message(b"first")).expect("room");
    assert!(is_woken(&mut poll));
    mailbox.publish(message(b"second")).expect("room");
    assert!(!is_woken(&mut poll), "the first has woken it");
    mailbox.knock();
    assert!(is_woken(&mut poll), "the peers have a bell of their own");
}

#[test]
fn a_sleeper_is_let_lie_until_the_last_of_several_is_offered() {
    let (mailbox, mut inbox, mut poll) = reactor(8);
    assert_eq!(inbox.settle(Tick(0)), None);
    for _ in 0..2 {
        mailbox.offer(Mail::Message(message(b""))).expect("room");
    }
    assert!(!is_woken(&mut poll), "nobody rang");
    mailbox.ring();
    assert!(is_woken(&mut poll));
    assert_eq!(messages(&mut inbox, Tick(0)).len(), 2);
}

#[test]
fn a_thick_stream_ticks_until_a_whole_tick_is_empty() {
    let (mailbox, mut inbox, mut poll) = reactor(8);
    for _ in 0..=RINGS_MAX {
        assert_eq!(inbox.settle(Tick(5)), None);
        mailbox.publish(message(b"")).expect("room");
        assert!(is_woken(&mut poll));
        inbox.rise(Tick(5));
        assert_eq!(messages(&mut inbox, Tick(5)).len(), 1);
    }
    assert_eq!(inbox.settle(Tick(6)), Some(TICK));
    mailbox.publish(message(b"")).expect("room");
    assert!(!is_woken(&mut poll), "it looks by itself");
    mailbox.knock();
    assert!(is_woken(&mut poll), "a peer need not wait for the tick");
    inbox.rise(Tick(7));
    assert_eq!(messages(&mut inbox, Tick(7)).len(), 1);
    assert_eq!(inbox.settle(Tick(8)), Some(TICK));
    assert_eq!(inbox.settle(Tick(9)), None);
}

#[test]
fn a_thin_stream_never_ticks() {
    let (mailbox, mut inbox, mut poll) = reactor(8);
    for ms in 0..u64::from(RINGS_MAX) * 10 {
        assert_eq!(inbox.settle(Tick(ms)), None, "at {ms} ms");
        mailbox.publish(message(b"")).expect("room");
        assert!(is_woken(&mut poll), "at {ms} ms");
        inbox.rise(Tick(ms));
        assert_eq!(messages(&mut inbox, Tick(ms)).len(), 1);
    }
}

/// Takes `count` messages as a reactor would, sleeping whenever it may. `pace_ms` is what a turn adds to
/// its clock. Panics when it sleeps while a message waits.
fn consume(inbox: &mut Inbox, poll: &mut Poll, count: usize, pace_ms: u64, mut each: impl FnMut(&Message)) {
    let mut events = Events::with_capacity(4);
    let mut now = Tick(0);
    let mut taken = 0;
    while taken < count {
        let timeout = inbox.settle(now);
        poll.poll(&mut events, timeout.or(Some(Duration::from_secs(20)))).expect("a poll");
        assert!(timeout.is_some() || !events.is_empty(), "asleep with {taken} of {count} taken");
        now = now + pace_ms;
        inbox.rise(now);
        for message in messages(inbox, now) {
            taken += 1;
            each(&message);
        }
    }
}

/// The sender waits for each message to be taken: the next push meets the reactor on its way to sleep.
fn one_by_one(count: u32, pace_ms: u64) {
    let (mailbox, mut inbox, mut poll) = reactor(8);
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..count {
                mailbox.publish(numbered(0, number)).expect("room");
                while taken.load(Ordering::Acquire) <= number as usize {
                    thread::yield_now();
                }
            }
        });
        consume(&mut inbox, &mut poll, count as usize, pace_ms, |message| {
            assert_eq!(numbers(message).1 as usize, taken.load(Ordering::Relaxed));
            taken.fetch_add(1, Ordering::Release);
        });
    });
    assert!(messages(&mut inbox, Tick(0)).is_empty());
}

#[test]
fn no_message_is_left_before_a_sleeper() {
    one_by_one(30_000, RINGS_WINDOW_MS);
}

#[test]
fn no_message_is_left_before_a_sleeper_that_begins_and_ends_to_tick() {
    one_by_one(1_000, TICK.as_millis() as u64);
}

#[test]
fn several_senders_lose_nothing_and_keep_their_order() {
    const SENDERS: u32 = 3;
    const EACH: u32 = 20_000;
    let (mailbox, mut inbox, mut poll) = reactor(64);
    let mut next = [0; SENDERS as usize];
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let mailbox = &mailbox;
            scope.spawn(move || {
                for number in 0..EACH {
                    while let Err(error) = mailbox.publish(numbered(sender, number)) {
                        assert!(matches!(error, Error::Full), "{error}");
                        thread::yield_now();
                    }
                }
            });
        }
        consume(&mut inbox, &mut poll, (SENDERS * EACH) as usize, RINGS_WINDOW_MS, |message| {
            let (sender, number) = numbers(message);
            assert_eq!(number, next[sender as usize]);
            next[sender as usize] += 1;
        });
    });
}
