//! How others reach a reactor: two bounded queues and a waker.
//!
//! A [`Mailbox`] is the side that everybody may push into; the reactor alone holds its [`Inbox`]. One queue
//! is for the mail of this process (what it publishes and answers), one for what other reactors send. Neither push ever blocks, a
//! full queue gives back what it was offered, and nothing that was taken is lost while the reactor lives.
//!
//! **The wake protocol.** A wake-up is a system call and costs the sender fifty times the push, so it is
//! made only for a reactor that sleeps, and by one sender only. Each queue has a bell that is *armed* or
//! *silent*.
//! ```text
//! sender    push; fence; if armed: silence the bell, and whoever found it armed wakes the reactor
//! reactor   before it sleeps: arm; fence; look into the queue; if there is something: silence, go round
//!           when it is up:    silence; then empty the queue
//! ```
//! No message is left lying before a sleeping reactor. Of the two fences one comes first. If the sender's,
//! the reactor's look sees the push. If the reactor's, the sender sees the bell armed, or silenced after
//! that by someone who wakes the reactor, or by the reactor that is up and will look.
//!
//! **Ticking.** A reactor faster than its publishers would sleep after every message and have every publish
//! pay for a wake. Above [`RINGS_MAX`] rings in [`RINGS_WINDOW_MS`] it therefore leaves the publishers' bell
//! silent, looks each [`TICK`], and sleeps properly once a whole tick brought nothing. A thin stream of
//! messages is so delivered at once, a thick one within a tick. The bell of the other reactors never ticks:
//! they ring at most once a turn, and a delivery between cores must not wait.

use super::porter::{Seat, Visitor};
use super::reload::News;
use super::succession::Heirloom;
use crate::base::error::Error;
use crate::base::payload::Message;
use crate::base::time::Tick;
use crate::engine::{Bequest, Luggage, PeerMessage};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};
use mio::Waker;
use socket2::Socket;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

/// How often a reactor looks while it ticks.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// More rings than this in one window are a thick stream: a thousand a second.
const RINGS_MAX: u32 = 100;
const RINGS_WINDOW_MS: u64 = 100;

/// What this process sends a reactor.
#[derive(Debug)]
pub(super) enum Mail {
    /// A message whose channel is at home there.
    Message(Message),
    /// Anything else.
    Rare(Box<Rare>),
}

/// Mail that need not be small.
#[derive(Debug)]
pub(super) enum Rare {
    /// The host program's answer to a question that was asked there.
    Verdict { question: u64, allow: bool },
    /// New options to go on with; the other end of `done` is told by its drop.
    Reload { news: News, done: Sender<()> },
    /// Copies of its listening sockets are wanted.
    Sockets { to: Sender<io::Result<Vec<Heirloom>>> },
    /// It is to keep nothing more, and accept nobody; what its shard has kept is wanted.
    Freeze { to: Sender<Vec<Bequest>> },
    /// It is to go on after that.
    Thaw,
    /// To be dropped once everything before it is taken: whoever holds the other end is told by that.
    Barrier(Sender<()>),
}

const _: () = assert!(size_of::<Mail>() == size_of::<Message>(), "what is rare costs a message nothing");

/// Messages taken out at once.
pub(super) const RUN_MAX: usize = 64;

/// Why a run of messages is no longer.
#[derive(Debug)]
pub(super) enum End {
    /// There is no more mail.
    Empty,
    /// It is as long as a run may be.
    Full,
    /// Something else comes next.
    Rare(Box<Rare>),
}

/// What one reactor sends another.
#[derive(Debug)]
pub(super) enum Parcel {
    /// Their engines' business.
    Peer(PeerMessage),
    /// A connection that was accepted for the other.
    Visitor(Visitor),
    /// A connection that goes to the other with a request.
    Guest { socket: Socket, seat: Option<Seat>, luggage: Box<Luggage> },
}

/// Makes a mailbox with room for `capacity` pieces of mail and as many parcels, and the inbox behind it.
/// `waker` wakes the inbox's reactor.
pub(super) fn mailbox(capacity: usize, waker: Waker) -> (Mailbox, Inbox) {
    let (mail_in, mail) = bounded(capacity);
    let (parcel_in, parcels) = bounded(capacity);
    let bells = Arc::new(Bells { publishers: Bell::silent(), peers: Bell::silent(), waker });
    let inbox =
        Inbox { mail, run: Vec::with_capacity(RUN_MAX), parcels, bells: bells.clone(), armed: false, pace: Pace::default() };
    (Mailbox { mail: mail_in, parcels: parcel_in, bells }, inbox)
}

/// The side to push into, from any thread.
#[derive(Debug)]
pub(super) struct Mailbox {
    mail: Sender<Mail>,
    parcels: Sender<Parcel>,
    bells: Arc<Bells>,
}

impl Mailbox {
    /// Offers a message published in this process: [`Error::Full`] or [`Error::Closed`] if it was not taken.
    pub(super) fn publish(&self, message: Message) -> Result<(), Error> {
        self.post(Mail::Message(message))
    }

    /// Offers mail of this process, under the same terms.
    pub(super) fn post(&self, mail: Mail) -> Result<(), Error> {
        self.offer(mail)?;
        self.ring();
        Ok(())
    }

    /// The same without a ring: [`Mailbox::ring`] follows the last of several.
    pub(super) fn offer(&self, mail: Mail) -> Result<(), Error> {
        self.mail.try_send(mail).map_err(|error| match error {
            TrySendError::Full(_) => Error::Full,
            TrySendError::Disconnected(_) => Error::Closed,
        })
    }

    /// Wakes the reactor, if it sleeps, for the mail offered to it.
    pub(super) fn ring(&self) {
        self.bells.ring(&self.bells.publishers);
    }

    /// Has the reactor do something, behind all that was published before; waits for room as long as it lives.
    pub(super) fn order(&self, order: Rare) -> Result<(), Error> {
        self.mail.send(Mail::Rare(Box::new(order))).map_err(|_| Error::Closed)?;
        self.ring();
        Ok(())
    }

    /// Puts a barrier behind all that was published before; waits for room until `deadline`.
    pub(super) fn bar(&self, barrier: Sender<()>, deadline: Instant) -> Result<(), Error> {
        let mail = Mail::Rare(Box::new(Rare::Barrier(barrier)));
        self.mail.send_deadline(mail, deadline).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => Error::TimedOut,
            SendTimeoutError::Disconnected(_) => Error::Closed,
        })?;
        self.ring();
        Ok(())
    }

    /// Offers a parcel, without a ring: [`Mailbox::knock`] follows the last of several. A full mailbox gives
    /// it back; one whose reactor has ended swallows it.
    pub(super) fn hand(&self, parcel: Parcel) -> Result<(), Parcel> {
        match self.parcels.try_send(parcel) {
            Err(TrySendError::Full(parcel)) => Err(parcel),
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// How many pieces of mail wait, and how many parcels.
    pub(super) fn depths(&self) -> (usize, usize) {
        (self.mail.len(), self.parcels.len())
    }

    /// Whether a parcel would probably be taken.
    pub(super) fn has_room(&self) -> bool {
        !self.parcels.is_full()
    }

    /// Wakes the reactor, if it sleeps, for the parcels handed to it.
    pub(super) fn knock(&self) {
        self.bells.ring(&self.bells.peers);
    }

    /// Wakes the reactor whatever it does.
    pub(super) fn wake(&self) {
        self.bells.wake();
    }
}

/// The reactor's side.
#[derive(Debug)]
pub(super) struct Inbox {
    mail: Receiver<Mail>,
    /// Messages on their way out.
    run: Vec<Message>,
    parcels: Receiver<Parcel>,
    bells: Arc<Bells>,
    /// Whether the publishers' bell was armed when the reactor went to sleep.
    armed: bool,
    pace: Pace,
}

impl Inbox {
    /// The next messages of this process, to be taken out, and what ended their run.
    pub(super) fn mail(&mut self, now: Tick) -> (&mut Vec<Message>, End) {
        debug_assert!(self.run.is_empty(), "the last run was taken out");
        let end = loop {
            if self.run.len() == RUN_MAX {
                break End::Full;
            }
            match self.mail.try_recv() {
                Ok(Mail::Message(message)) => self.run.push(message),
                Ok(Mail::Rare(rare)) => break End::Rare(rare),
                Err(_) => break End::Empty,
            }
        };
        if !(self.run.is_empty() && matches!(end, End::Empty)) {
            self.pace.last_mail = now;
        }
        (&mut self.run, end)
    }

    /// The next parcel from another reactor.
    pub(super) fn parcel(&mut self) -> Option<Parcel> {
        self.parcels.try_recv().ok()
    }

    /// To be called when there is nothing else to do. Says how long the reactor may sleep for its mail's
    /// sake: not at all, for a tick, or (`None`) until it is woken.
    pub(super) fn settle(&mut self, now: Tick) -> Option<Duration> {
        let ticking = self.pace.ticks(now);
        self.bells.peers.arm();
        if !ticking {
            self.bells.publishers.arm();
            self.armed = true;
        }
        fence(Ordering::SeqCst);
        if self.mail.is_empty() && self.parcels.is_empty() {
            return ticking.then_some(TICK);
        }
        self.rise(now);
        Some(Duration::ZERO)
    }

    /// To be called when the reactor is up again: nobody needs to ring from here on.
    pub(super) fn rise(&mut self, now: Tick) {
        self.bells.peers.silence();
        if std::mem::take(&mut self.armed) && self.bells.publishers.silence() == Found::Silent {
            self.pace.rang(now);
        }
    }
}

/// How often publishers had to ring, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window: Tick,
    rings: u32,
    ticking: bool,
    pub(super) last_mail: Tick,
}

impl Pace {
    pub(super) fn rang(&mut self, now: Tick) {
        if now.since(self.window) >= RINGS_WINDOW_MS {
            self.window = now;
            self.rings = 0;
        }
        self.rings += 1;
        if self.rings > RINGS_MAX {
            self.ticking = true;
            self.last_mail = now;
        }
    }

    /// Whether to look again in a tick. Ends once more than a tick has passed without a message.
    pub(super) fn ticks(&mut self, now: Tick) -> bool {
        self.ticking &= Duration::from_millis(now.since(self.last_mail)) <= TICK;
        self.ticking
    }
}

#[derive(Debug)]
struct Bells {
    publishers: Bell,
    peers: Bell,
    waker: Waker,
}

impl Bells {
    fn ring(&self, bell: &Bell) {
        fence(Ordering::SeqCst);
        if bell.is_armed() && bell.silence() == Found::Armed {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("a reactor cannot be woken: {error}");
        }
    }
}

/// `true` is silent: the reactor is up, or someone is waking it.
#[derive(Debug)]
struct Bell(AtomicBool);

/// What [`Bell::silence`] found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Armed,
    Silent,
}

impl Bell {
    fn silent() -> Bell {
        Bell(AtomicBool::new(true))
    }

    fn arm(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_armed(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    fn silence(&self) -> Found {
        if self.0.swap(true, Ordering::SeqCst) { Found::Silent } else { Found::Armed }
    }
}

/// A mailbox whose reactor has ended, and with it the poll that it would wake.
#[cfg(test)]
pub(super) fn deserted() -> Mailbox {
    let poll = mio::Poll::new().expect("a poll");
    mailbox(1, Waker::new(poll.registry(), mio::Token(0)).expect("a waker")).0
}

#[cfg(test)]
mod tests {
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
        let (mailbox, inbox) = mailbox(capacity, waker);
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
        let detach = |name: &str| Parcel::Peer(PeerMessage::Detach { name: name.into(), shard: 0 });
        assert!(mailbox.has_room());
        assert!(mailbox.hand(detach("/a")).is_ok());
        assert!(!mailbox.has_room());
        let Err(Parcel::Peer(PeerMessage::Detach { name, .. })) = mailbox.hand(detach("/b")) else {
            panic!("the mailbox is full");
        };
        assert_eq!(&*name, "/b");
        assert!(matches!(inbox.parcel(), Some(Parcel::Peer(PeerMessage::Detach { name, .. })) if &*name == "/a"));
    }

    #[test]
    fn a_mailbox_without_its_reactor_is_closed() {
        let (mailbox, inbox, _poll) = reactor(1);
        drop(inbox);
        assert!(matches!(mailbox.publish(message(b"1")), Err(Error::Closed)));
        assert!(mailbox.hand(Parcel::Peer(PeerMessage::Detach { name: "/a".into(), shard: 0 })).is_ok());
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
}
