//! How others reach a reactor: bounded queues and a waker.
//!
//! A [`Mailbox`] is the side that everybody may push into; the reactor alone holds its [`Inbox`]. One queue
//! is for the mail of this process (what it publishes and answers), one for what other reactors send, and one for the connections
//! that come from those (`ferry`). No push ever blocks, a full queue gives back what it was offered, and nothing that was taken is
//! lost while the reactor lives.
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

use super::ferry::{Ferry, Landing, ferry};
use super::porter::Seat;
use super::reload::News;
use super::waker::Waker;
use crate::base::door::Door;
use crate::base::error::Error;
use crate::base::payload::Message;
use crate::base::time::Tick;
use crate::engine::{Bequest, Luggage, PeerMessage};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
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
    /// Copies of its listening sockets are to go to the harbour; then it is to say how many those are.
    Sockets { done: Sender<io::Result<usize>> },
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

/// Connections on their way to one reactor.
const PASSENGERS_MAX: usize = 1_024;

/// What comes along with a connection that one reactor sends another.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) seat: Option<Seat>,
    pub(super) errand: Errand,
}

/// Why it comes.
#[derive(Debug)]
pub(super) enum Errand {
    /// It was accepted for this reactor.
    Visit { door: Door, address: Option<SocketAddr> },
    /// It goes there with a request.
    Move(Box<Luggage>),
}

/// Makes a mailbox with room for `capacity` pieces of mail, and as many from other reactors, and the inbox behind it. `waker` wakes the inbox's reactor, which has a `private` descriptor table, or not.
pub(super) fn mailbox(capacity: usize, waker: Waker, private: bool) -> io::Result<(Mailbox, Inbox)> {
    let (mail_in, mail) = bounded(capacity);
    let (parcel_in, parcels) = bounded(capacity);
    let (ferry, landing) = ferry(PASSENGERS_MAX, private)?;
    let bells = Arc::new(Bells { publishers: Bell::silent(), peers: Bell::silent(), waker });
    let run = Vec::with_capacity(RUN_MAX);
    let inbox = Inbox { mail, run, parcels, landing, bells: bells.clone(), armed: false, pace: Pace::default() };
    Ok((Mailbox { mail: mail_in, parcels: parcel_in, ferry, bells }, inbox))
}

/// The side to push into, from any thread.
#[derive(Debug)]
pub(super) struct Mailbox {
    mail: Sender<Mail>,
    parcels: Sender<PeerMessage>,
    ferry: Ferry<Ticket>,
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

    /// Offers another shard's parcel, without a ring: [`Mailbox::knock`] follows the last of several. A full mailbox gives
    /// it back; one whose reactor has ended swallows it.
    pub(super) fn hand(&self, parcel: PeerMessage) -> Result<(), PeerMessage> {
        match self.parcels.try_send(parcel) {
            Err(TrySendError::Full(parcel)) => Err(parcel),
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// Offers a connection, under the same terms.
    pub(super) fn board(&self, socket: Socket, ticket: Ticket) -> Result<(), (Socket, Ticket)> {
        self.ferry.board(socket, ticket)
    }

    /// How many pieces of mail wait, and how many parcels and connections.
    pub(super) fn depths(&self) -> (usize, usize) {
        (self.mail.len(), self.parcels.len() + self.ferry.len())
    }

    /// What a private descriptor table keeps of it.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        [self.bells.waker.descriptor(), self.ferry.descriptor()].into_iter().flatten()
    }

    /// Whether a parcel would probably be taken.
    pub(super) fn has_room(&self) -> bool {
        !self.parcels.is_full()
    }

    /// Wakes the reactor, if it sleeps, for what other reactors sent it.
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
    parcels: Receiver<PeerMessage>,
    landing: Landing<Ticket>,
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

    /// The next parcel from another shard.
    pub(super) fn parcel(&mut self) -> Option<PeerMessage> {
        self.parcels.try_recv().ok()
    }

    /// The next connection from another reactor.
    pub(super) fn arrival(&mut self) -> Option<(Socket, Ticket)> {
        self.landing.next()
    }

    /// What its reactor's private table keeps of it, and no other's.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.landing.descriptor()
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
        if self.mail.is_empty() && self.parcels.is_empty() && self.landing.is_empty() {
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
    mailbox(1, Waker::new(poll.registry(), mio::Token(0)).expect("a waker"), false).expect("queues").0
}

#[cfg(test)]
mod tests;
