//! One reactor: the turn that it repeats until it is told to stop.
//!
//! A turn polls, then tells the engine everything that happened (connections, bytes, mail, time), then does
//! what the engine asks (writes, closes), then carries what it has for other shards. Only then may it sleep.
//!
//! **The edge-triggered rule.** The poll reports that a socket became ready, once. So whoever stops using a
//! socket before it would block must come back without an event:
//! - Reading ends when the socket would block; after [`READS_MAX`] reads it goes on in the next turn. A short
//!   read counts as would-block, which saves a call for every request, unless the event said that the
//!   peer's end is behind the bytes, or there is no event to go by: then the socket is marked thorough.
//! - A socket whose bytes the engine does not want yet is read again when the engine says so, thoroughly.
//! - A short or refused write marks the socket full: then, and only then, is a writable event news.
//! - A listener that was ready stays ready until it has nothing to accept.
//!
//! A turn takes no lock, allocates nothing for a delivery, and every loop in it is bounded: here for reads,
//! accepts and mail, by the engine's slice for writes.

use super::clock::{Clock, Stopwatch};
use super::listener::Listener;
use super::mailbox::{End, Errand, Inbox, RUN_MAX, Rare, Ticket};
use super::metrics;
use super::outfit::Outfit;
use super::porter::{self, Farewells, Seat, Visitor};
use super::reload::News;
use super::reserve::Reserve;
use super::sample;
use super::server::{Attendance, Shared};
use super::socket::{self, Mark, Sockets};
use super::vital;
use crate::base::door::Door;
use crate::base::id::Token;
use crate::base::time::{Now, Tick};
use crate::engine::{Ending, Engine, Input, Luggage, Output, TurnedAway};
use crossbeam_channel::Sender;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use socket2::Socket;
use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// The one receive buffer of a reactor.
const BUFFER_BYTES: usize = 64 << 10;

/// Reads a connection gets in a turn.
const READS_MAX: usize = 4;

/// Connections a listener accepts in a turn.
const ACCEPTS_MAX: usize = 64;

/// Pieces of mail, and as many parcels and connections, taken from the inbox in a turn.
const MAIL_MAX: usize = 4096;

/// Events taken from one poll; a poll that fills them doubles them.
const EVENTS_MIN: usize = 1024;
const EVENTS_MAX: usize = 16 << 10;

/// When to offer a full mailbox its messages again.
const RETRY: Duration = Duration::from_millis(1);

/// The generation that no connection has: such tokens are the reactor's own, a listener's index or this.
const RESERVED: u32 = u32::MAX;
pub(super) const WAKER: Token = Token { index: u32::MAX, generation: RESERVED };

const _: () = assert!(usize::BITS == 64, "an event's token holds a slot and its generation");

pub(super) fn event_token(token: Token) -> mio::Token {
    mio::Token(token.to_u64() as usize)
}

/// What events of a reactor's listener carry.
pub(super) fn listener_token(index: usize) -> mio::Token {
    event_token(Token { index: index as u32, generation: RESERVED })
}

/// A reactor's state between turns.
pub(super) struct Turn {
    shard: usize,
    engine: Engine,
    poll: Poll,
    clock: Clock,
    listeners: Vec<Listener>,
    sockets: Sockets,
    /// Those that were not let in and are yet to be closed.
    farewells: Farewells,
    /// Sockets to be read in the next pass, each marked [`Mark::Due`].
    due: Vec<Token>,
    /// Connections on their way to other reactors, which have no room for them yet. No more than there were here.
    departing: VecDeque<(usize, Socket, Ticket)>,
    buffer: Box<[u8]>,
    inbox: Inbox,
    /// For the moment when there are no descriptors.
    reserve: Arc<Reserve>,
    shared: Arc<Shared>,
    /// Whose turn it is to get a connection that is dealt out.
    deal: usize,
    stage: Stage,
    /// Dropped at the end of the turn that came upon them.
    barriers: Vec<Sender<()>>,
    /// Given back once this reactor has no connection left to drain.
    attendance: Option<Attendance>,
}

/// ```text
/// Serving --told to stop--> Draining --every reactor is empty, or too late--> the end
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    Draining { until: Tick },
}

impl Turn {
    /// A reactor that drives `engine`, with the reserve of its descriptor table.
    pub(super) fn new(outfit: Outfit, engine: Engine, clock: Clock, reserve: Arc<Reserve>, attendance: Attendance) -> Turn {
        let Outfit { shard, poll, listeners, inbox } = outfit;
        Turn {
            shard,
            engine,
            poll,
            clock,
            listeners,
            sockets: Sockets::default(),
            farewells: Farewells::default(),
            due: Vec::new(),
            departing: VecDeque::new(),
            buffer: vec![0; BUFFER_BYTES].into(),
            inbox,
            reserve,
            shared: attendance.shared().clone(),
            deal: shard,
            stage: Stage::Serving,
            barriers: Vec::new(),
            attendance: Some(attendance),
        }
    }

    /// Turns until the server has stopped.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MIN);
        let mut timeout = Some(Duration::ZERO);
        loop {
            let now = self.poll(&mut events, timeout)?;
            let awake = Stopwatch::start();
            self.accept(now);
            self.read(now);
            self.mail(now);
            self.time(now);
            self.drain(now);
            self.write(now);
            self.peers();
            self.shared.tallies[self.shard].write(&self.engine);
            // Not before: what was taken is counted, and is with the sockets of this shard and in the mailboxes of the others.
            self.barriers.clear();
            if self.is_over(now) {
                return Ok(());
            }
            timeout = self.timeout(now);
            self.shared.tallies[self.shard].turned(awake.microseconds());
            if self.shared.is_crowded && timeout == Some(Duration::ZERO) {
                // A core that others have too is lent to them, or each of a channel's reactors would keep the next waiting for
                // as long as the system lets it: milliseconds, where a turn is one.
                thread::yield_now();
            }
        }
    }

    /// Sleeps until something happens, and notes what.
    fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<Now> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = self.clock.now();
        self.inbox.rise(now.tick);
        let mut count = 0;
        for event in events.iter() {
            count += 1;
            self.note(now, event);
        }
        if count == events.capacity() && count < EVENTS_MAX {
            *events = Events::with_capacity(count * 2);
        }
        Ok(now)
    }

    fn note(&mut self, now: Now, event: &Event) {
        let token = Token::from_u64(event.token().0 as u64);
        if token.generation == RESERVED {
            // The waker has no listener: being up is all that it asks for.
            if let Some(listener) = self.listeners.get_mut(token.index as usize) {
                listener.rouse();
            }
            return;
        }
        if event.is_read_closed() {
            self.sockets.set(token, Mark::Closed);
        }
        let over = event.is_error() || event.is_read_closed();
        if over {
            self.sockets.set(token, Mark::Thorough);
        }
        if over || event.is_readable() {
            self.read_soon(token);
        }
        if (over || event.is_writable()) && self.sockets.take(token, Mark::Full) {
            self.engine.handle(now, Input::Writable { token });
        }
    }

    fn read_soon(&mut self, token: Token) {
        if self.sockets.set(token, Mark::Due) {
            self.due.push(token);
        }
    }

    /// Sees those off that were not let in, and takes in new connections. While the shard is frozen these are left to a
    /// successor.
    fn accept(&mut self, now: Now) {
        self.farewells.end(now.tick, &mut self.buffer);
        if self.engine.is_frozen() {
            return;
        }
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_MAX {
                let Some(visitor) = self.listeners[index].accept(now.tick, &self.reserve) else { break };
                self.welcome(now, visitor, self.listeners[index].deals);
            }
        }
        if self.reserve.is_out() {
            self.reserve.take_back();
        }
    }

    /// A connection was accepted: it is let in, here or at another reactor, or not.
    fn welcome(&mut self, now: Now, mut visitor: Visitor, deals: bool) {
        if self.reserve.is_out() {
            self.turn_away(now, visitor, TurnedAway::NoDescriptor);
            return self.reserve.take_back();
        }
        match self.shared.porter.admit(now.tick, &mut visitor) {
            Err(why) => self.turn_away(now, visitor, why),
            Ok(()) if deals => self.deal(now, visitor),
            Ok(()) => self.open(now, visitor),
        }
    }

    /// Tells somebody why there is no place, and closes the connection. Publishers that write frames read no such answer.
    fn turn_away(&mut self, now: Now, visitor: Visitor, why: TurnedAway) {
        let Visitor { socket, door, .. } = visitor;
        let answer = self.engine.refuse_entry(now, why);
        match (door, why) {
            (Door::Control, _) => {}
            (_, TurnedAway::NoDescriptor) => porter::say_and_close(socket, &answer, &mut self.buffer),
            _ => self.farewells.say(now.tick, socket, &answer, &mut self.buffer),
        }
    }

    /// Gives a connection to the reactor whose turn it is; keeps it if that one's mailbox is full.
    fn deal(&mut self, now: Now, visitor: Visitor) {
        let shard = self.deal;
        self.deal = (shard + 1) % self.shared.mailboxes.len();
        if shard == self.shard {
            return self.open(now, visitor);
        }
        let Visitor { socket, door, address, seat } = visitor;
        let mailbox = &self.shared.mailboxes[shard];
        match mailbox.board(socket, Ticket { seat, errand: Errand::Visit { door, address } }) {
            Ok(()) => mailbox.knock(),
            Err((socket, ticket)) => self.receive_guest(now, socket, ticket),
        }
    }

    /// A connection was sent by another reactor, or could not be sent to one.
    fn receive_guest(&mut self, now: Now, socket: Socket, Ticket { seat, errand }: Ticket) {
        match errand {
            Errand::Visit { door, address } => self.open(now, Visitor { socket, door, address, seat }),
            Errand::Move(luggage) => self.take_in(now, socket, seat, *luggage),
        }
    }

    /// Takes a connection in, if there is room for it.
    fn open(&mut self, now: Now, visitor: Visitor) {
        let Some(token) = self.engine.open(now, visitor.door) else { return self.turn_away(now, visitor, TurnedAway::Full) };
        if self.engine.wants_addresses()
            && let Some(address) = visitor.address
        {
            self.engine.came_from(token, address);
        }
        self.watch(now, visitor.socket, visitor.seat, token);
    }

    /// Tells where those come from who are there already.
    fn tell_addresses(&mut self) {
        for token in self.engine.tokens() {
            let socket = self.sockets.find(token);
            let address = socket.and_then(|socket| socket.peer_addr().ok()).and_then(|address| address.as_socket());
            if let Some(address) = address {
                self.engine.came_from(token, address);
            }
        }
    }

    /// Takes in a connection that comes with a request from another reactor; without room for it, closes it.
    fn take_in(&mut self, now: Now, socket: Socket, seat: Option<Seat>, luggage: Luggage) {
        if let Some(token) = self.engine.arrive(now, luggage) {
            self.watch(now, socket, seat, token);
        }
    }

    fn watch(&mut self, now: Now, socket: Socket, seat: Option<Seat>, token: Token) {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), event_token(token), both) {
            Ok(()) => self.sockets.insert(token, socket, seat),
            Err(error) => {
                log::debug!("a connection cannot be watched: {error}");
                self.engine.handle(now, Input::Failed { token });
            }
        }
    }

    /// Reads every socket that is due. Those that become due meanwhile have the next turn.
    fn read(&mut self, now: Now) {
        let count = self.due.len();
        for index in 0..count {
            self.receive(now, self.due[index]);
        }
        self.due.drain(..count);
    }

    fn receive(&mut self, now: Now, token: Token) {
        self.sockets.take(token, Mark::Due);
        for _ in 0..READS_MAX {
            let Some(socket) = self.sockets.find(token) else { return };
            if !self.engine.wants_read(token) {
                if self.sockets.has(token, Mark::Closed) {
                    self.engine.handle(now, Input::HungUp { token });
                }
                return;
            }
            match socket::receive(socket, &mut self.buffer) {
                Ok(0) => return self.ended(now, token),
                Ok(count) => {
                    self.engine.handle(now, Input::Bytes { token, bytes: &self.buffer[..count] });
                    if count < self.buffer.len() && !self.sockets.has(token, Mark::Thorough) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.sockets.take(token, Mark::Thorough);
                    return;
                }
                Err(error) => return self.failed(now, token, &error),
            }
        }
        self.sockets.set(token, Mark::Thorough);
        self.read_soon(token);
    }

    /// The peer's end is told once, however often it is read.
    fn ended(&mut self, now: Now, token: Token) {
        if self.sockets.set(token, Mark::Ended) {
            self.engine.handle(now, Input::Eof { token });
        }
    }

    /// The connection is over, by an error of its socket.
    fn failed(&mut self, now: Now, token: Token, error: &io::Error) {
        if let Some(socket) = self.sockets.find(token) {
            vital::log_evidence(socket, error);
            vital::count(self.engine.counters_mut(), error);
        }
        self.sockets.close(token);
        self.engine.handle(now, Input::Failed { token });
    }

    /// Empties the inbox, up to a bound.
    fn mail(&mut self, now: Now) {
        for _ in 0..MAIL_MAX {
            let Some(parcel) = self.inbox.parcel() else { break };
            self.engine.handle(now, Input::Peer(parcel));
        }
        for _ in 0..MAIL_MAX {
            let Some((socket, ticket)) = self.inbox.arrival() else { break };
            self.receive_guest(now, socket, ticket);
        }
        for _ in 0..MAIL_MAX / RUN_MAX {
            let (run, end) = self.inbox.mail(now.tick);
            if !run.is_empty() {
                self.engine.handle(now, Input::Publish(run));
            }
            match end {
                End::Empty => break,
                End::Full => {}
                End::Rare(rare) => self.open_rare(now, *rare),
            }
        }
    }

    fn open_rare(&mut self, now: Now, rare: Rare) {
        match rare {
            Rare::Verdict { question, allow } => self.engine.handle(now, Input::Verdict { question, allow }),
            Rare::Barrier(barrier) => self.barriers.push(barrier),
            Rare::Reload { news: News { config, keyring, rates }, done } => {
                let knew_addresses = self.engine.wants_addresses();
                self.engine.reload(now, &config);
                self.engine.set_access(&config, keyring);
                self.engine.share_rates(rates);
                if self.engine.wants_addresses() && !knew_addresses {
                    self.tell_addresses();
                }
                drop(done);
            }
            // Whoever asked may have given up: then nobody takes the answer.
            Rare::Sockets { done } => {
                let mut heirlooms = self.listeners.iter().map(Listener::heirloom);
                let sent = heirlooms.try_for_each(|(socket, place)| self.shared.harbour.board_copy(socket, place));
                _ = done.send(sent.map(|()| self.listeners.len()));
            }
            Rare::Freeze { to } => _ = to.send(self.engine.freeze(now)),
            Rare::Thaw => self.engine.thaw(now),
        }
    }

    /// Tells the engine that a deadline has come.
    fn time(&mut self, now: Now) {
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= now.tick) {
            self.engine.handle(now, Input::Time);
        }
    }

    /// Does what the engine asks.
    fn write(&mut self, now: Now) {
        self.engine.begin_turn();
        while let Some(output) = self.engine.poll_output(now) {
            match output {
                Output::Write(token) => self.send(now, token),
                Output::Read(token) => {
                    self.sockets.set(token, Mark::Thorough);
                    self.read_soon(token);
                }
                Output::Shutdown(token) => self.shutdown(token),
                Output::Close(token) => self.sockets.close(token),
                Output::Move { token, shard } => self.depart(token, shard),
                Output::Metrics(token) => {
                    // What this turn did is not in its tally yet.
                    self.shared.tallies[self.shard].write(&self.engine);
                    let text = metrics::text(&self.shared);
                    self.engine.handle(now, Input::Metrics { token, text: &text });
                }
                Output::Sample => {
                    self.shared.tallies[self.shard].write(&self.engine);
                    let fields = sample::fields(&self.shared, now.unix_ms);
                    self.engine.handle(now, Input::Sample { fields: &fields });
                }
                Output::Ring => self.shared.ring(),
            }
        }
    }

    fn send(&mut self, now: Now, token: Token) {
        let Some(socket) = self.sockets.find(token) else { return self.engine.handle(now, Input::Failed { token }) };
        let slices = self.engine.outgoing(token);
        let offered = slices[0].len() + slices[1].len();
        match socket::send(socket, slices) {
            Ok(count) => {
                if count < offered {
                    self.sockets.set(token, Mark::Full);
                }
                self.engine.handle(now, Input::Wrote { token, count });
            }
            Err(_) if self.engine.hears_out(token) => {
                // It has gone without its answers; what it sent before that may still be unread.
                self.engine.handle(now, Input::Wrote { token, count: offered });
                self.sockets.set(token, Mark::Thorough);
                self.read_soon(token);
            }
            Err(error) => self.failed(now, token, &error),
        }
    }

    /// A connection goes to another reactor, as soon as that one's mailbox has room.
    fn depart(&mut self, token: Token, shard: u16) {
        let (Some(luggage), Some((socket, seat))) = (self.engine.luggage(), self.sockets.give(token)) else { return };
        if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd())) {
            log::debug!("a connection cannot be given away: {error}");
            return;
        }
        let ticket = Ticket { seat, errand: Errand::Move(Box::new(luggage)) };
        self.departing.push_back((usize::from(shard), socket, ticket));
    }

    /// Sends those on their way who go to other reactors, as far as there is room.
    fn see_off(&mut self) {
        for _ in 0..self.departing.len() {
            let Some((shard, socket, ticket)) = self.departing.pop_front() else { return };
            let Some(mailbox) = self.shared.mailboxes.get(shard) else { continue };
            match mailbox.board(socket, ticket) {
                Ok(()) => mailbox.knock(),
                Err((socket, ticket)) => self.departing.push_back((shard, socket, ticket)),
            }
        }
    }

    /// A peer that has gone cannot be told of the end; reading will find that out.
    fn shutdown(&self, token: Token) {
        if let Some(socket) = self.sockets.find(token) {
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    /// Carries what the engine has for other shards, as far as their mailboxes have room.
    fn peers(&mut self) {
        self.see_off();
        for shard in 0..self.shared.mailboxes.len() {
            if shard != self.shard {
                self.carry(shard);
            }
        }
    }

    /// Carries what there is for one shard and wakes it once.
    fn carry(&mut self, shard: usize) {
        let mailbox = &self.shared.mailboxes[shard];
        let number = shard as u16;
        let mut handed = false;
        while mailbox.has_room() {
            let Some(message) = self.engine.poll_peer(number) else { break };
            match mailbox.hand(message) {
                Ok(()) => handed = true,
                Err(message) => self.engine.unpoll_peer(number, message),
            }
        }
        if handed {
            mailbox.knock();
        }
    }

    /// Once the server stops: no new connections, and the engine sees the others off.
    fn drain(&mut self, now: Now) {
        if self.stage == Stage::Serving && self.shared.is_stopping() {
            let timeout_ms = self.shared.drain_timeout_ms.load(Ordering::Acquire);
            let succeeded = self.shared.succeeded.load(Ordering::Acquire);
            self.stage = Stage::Draining { until: now.tick + timeout_ms };
            for listener in self.listeners.drain(..) {
                listener.close(self.poll.registry(), succeeded);
            }
            self.engine.see_off(now, Ending { within_ms: timeout_ms / 4 * 3, succeeded });
        }
    }

    /// Whether this was the last turn. A reactor without connections stays up while another still has some:
    /// their answers may have to come from here.
    fn is_over(&mut self, now: Now) -> bool {
        let Stage::Draining { until } = self.stage else { return false };
        let connections = self.engine.connections() + self.departing.len();
        if connections == 0 {
            self.attendance = None;
        } else if now.tick >= until {
            log::info!("{connections} connections were cut off");
        }
        (connections == 0 && self.shared.is_drained()) || now.tick >= until
    }

    /// How long the next poll may sleep; `None` is until something happens.
    fn timeout(&mut self, now: Now) -> Option<Duration> {
        if self.engine.busy() || !self.due.is_empty() {
            return Some(Duration::ZERO);
        }
        let engine = self.engine.next_deadline();
        let accept = self.listeners.iter().filter_map(Listener::due).filter(|_| !self.engine.is_frozen()).min();
        let drain = match self.stage {
            Stage::Serving => None,
            Stage::Draining { until } => Some(until),
        };
        let deadline = [engine, accept, self.farewells.due(), drain].into_iter().flatten().min();
        let sleep = deadline.map(|deadline| Duration::from_millis(deadline.since(now.tick)));
        if sleep == Some(Duration::ZERO) {
            return sleep;
        }
        let mail = self.inbox.settle(now.tick);
        let retry = (self.engine.has_mail() || !self.departing.is_empty()).then_some(RETRY);
        [sleep, mail, retry].into_iter().flatten().min()
    }
}
