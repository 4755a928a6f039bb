//! Bayeux sessions: what outlives a client's connections.
//!
//! A session is a subscriber like a connection is: it holds positions, and no message. While its client is away, messages
//! lie in the rings, and what it has not got lies between its positions and their ends. A session whose place was let go,
//! or whose patterns stand for more channels than it may have, is **over**: its client is told with the next connect
//! that it is unknown, and shakes hands again.
//!
//! A connection **carries** a session while it holds the session's connect, and knows it; a session knows who carries
//! it. A WebSocket goes on to carry it between two connects; an event stream beside it never does. A session whose
//! connect nobody holds ends by itself after `bayeux_max_interval`.

use super::Engine;
use super::acks::Acks;
use super::collect::skips;
use super::riding::UnderWay;
use super::watch::Watching;
use crate::base::client::Place;
use crate::base::id::Token;
use crate::base::time::{Now, Tick};
use crate::channel::{Holder, Role, Subscriber};
use crate::conn::{ENDED, LOST, Pass, State, Subscription, UNKNOWN};
use crate::protocol::bayeux::{ClientId, Reply, Timesync};
use crate::timer::{Link, Links};
use slab::Slab;
use std::num::NonZeroU128;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    secret: u128,
    /// Which tenant of its slot.
    generation: u32,
    timer: Link,
    /// When it ends unless its connect is held before (low half of a tick).
    ends_at: u32,
    /// The host program has heard of it, or could have: it is told of the end.
    pub(super) noted: bool,
    /// Its patterns stand for more channels than it may have: it is over.
    pub(super) overrun: bool,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) carrier: Option<Token>,
    /// The id of the connect that the carrier holds, as JSON.
    pub(super) connect: Option<Box<str>>,
    /// The browser that it was opened from, where those are told apart.
    pub(super) browser: Option<NonZeroU128>,
    /// Its client was told that others of its browser are held.
    pub(super) crowded: bool,
    pub(super) under_way: UnderWay,
    /// For a client that subscribes with stars.
    pub(super) watching: Option<Box<Watching>>,
    /// For a client that acknowledges what it gets.
    pub(super) acks: Option<Box<Acks>>,
    /// When its client last sent something other than a connect (low half of a tick).
    pub(super) heard_at: u32,
    /// Its client puts timestamps on its messages, and finds them on what it gets.
    pub(super) stamps: bool,
    /// What few sessions have.
    pub(super) extras: Option<Box<Extras>>,
}

/// What few sessions have.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The event stream that it is told by.
    pub(super) stream: Option<Token>,
    /// What the reply to the held connect says of time.
    pub(super) timesync: Option<Timesync>,
    /// What its client has shown.
    pub(super) pass: Option<Pass>,
    /// Its client's place, where those behind proxies are counted.
    pub(super) place: Option<Place>,
}

impl Session {
    pub(super) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// What its client has shown, if it has.
    pub(super) fn pass(&self) -> Option<&Pass> {
        self.extras.as_ref()?.pass.as_ref()
    }

    /// The event stream that it is told by.
    pub(super) fn stream(&self) -> Option<Token> {
        self.extras.as_ref().and_then(|extras| extras.stream)
    }
}

/// A parked session with one subscription must fit 512 bytes: this, four places for subscriptions, an id, and what its
/// channel's list, the slab and the table of browsers add.
const _: () = assert!(size_of::<Session>() <= 176);

/// All sessions of one shard.
#[derive(Debug)]
pub(super) struct Sessions {
    slab: Slab<Session>,
    max: usize,
    generation: u32,
}

impl Links for Sessions {
    fn link(&mut self, key: u32) -> &mut Link {
        &mut self[key].timer
    }
}

impl std::ops::Index<u32> for Sessions {
    type Output = Session;
    fn index(&self, slot: u32) -> &Session {
        &self.slab[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Sessions {
    fn index_mut(&mut self, slot: u32) -> &mut Session {
        &mut self.slab[slot as usize]
    }
}

impl Sessions {
    /// Room for `max` sessions, which is taken as they come.
    pub(super) fn new(max: usize) -> Sessions {
        Sessions { slab: Slab::new(), max, generation: 0 }
    }

    /// Room for `max` sessions from now on. Those beyond it stay.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The slot of the session that `client` opens.
    pub(super) fn find(&self, client: ClientId) -> Option<u32> {
        let session = self.slab.get(client.slot as usize)?;
        (session.secret == client.secret).then_some(client.slot)
    }

    pub(super) fn token(&self, slot: u32) -> Token {
        Token { index: slot, generation: self[slot].generation }
    }

    /// The slot that `token` names, if its tenant is still the same.
    pub(super) fn live(&self, token: Token) -> Option<u32> {
        let session = self.slab.get(token.index as usize)?;
        (session.generation == token.generation).then_some(token.index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slab.iter().map(|(_, session)| session)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slab.iter_mut().map(|(_, session)| session)
    }

    fn open(&mut self, now: Tick, secret: u128, browser: Option<NonZeroU128>) -> Option<u32> {
        if self.slab.len() >= self.max {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let session = Session {
            secret,
            generation: self.generation,
            timer: Link::default(),
            ends_at: now.low(),
            noted: false,
            overrun: false,
            subscriptions: Vec::new(),
            carrier: None,
            connect: None,
            browser,
            crowded: false,
            under_way: UnderWay::Nothing,
            watching: None,
            acks: None,
            heard_at: now.low(),
            stamps: false,
            extras: None,
        };
        Some(self.slab.insert(session) as u32)
    }
}

impl Engine {
    /// How many Bayeux sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Opens a session, which lives until it is not carried for too long; `None`: there are as many as there may be.
    pub(super) fn open_session(&mut self, now: Now, browser: Option<NonZeroU128>) -> Option<u32> {
        let secret = self.random.wide_bits();
        let slot = self.sessions.open(now.tick, secret, browser)?;
        if let Some(browser) = browser {
            self.browsers.enter(browser);
        }
        self.await_connect(now.tick, slot);
        Some(slot)
    }

    /// What its client knows a session by.
    pub(super) fn client_id(&self, slot: u32) -> ClientId {
        ClientId { shard: self.shard, slot, secret: self.sessions[slot].secret }
    }

    /// A session is no longer carried, or has just begun: its client has so much time to connect.
    pub(super) fn await_connect(&mut self, now: Tick, slot: u32) {
        let longer = if self.sessions[slot].crowded { self.durations.browser_interval } else { 0 };
        let at = now + self.durations.session + longer;
        self.sessions[slot].ends_at = at.low();
        self.session_timers.arm(&mut self.sessions, slot, now, at);
    }

    /// A connection carries a session from here on, and holds its connect, to which this will be the reply.
    pub(super) fn carry(&mut self, now: Tick, index: u32, slot: u32, reply: Reply) {
        self.arrived(index);
        if self.slots[index].session() != Some(slot) {
            self.put_down(now, index);
            self.slots[index].carry(slot);
            self.note_start(index);
        }
        self.session_timers.cancel(&mut self.sessions, slot);
        self.sessions[slot].carrier = Some(self.slots.token(index));
        let session = &mut self.sessions[slot];
        session.connect = Some(reply.id);
        if reply.timesync.is_some() || session.extras.is_some() {
            session.extras().timesync = reply.timesync;
        }
        self.count_held(index, slot, true);
    }

    /// A connection carries its session no more, if it carried one.
    pub(super) fn put_down(&mut self, now: Tick, index: u32) {
        let Some(slot) = self.slots[index].put_down() else { return };
        if self.sessions[slot].stream() == Some(self.slots.token(index)) {
            return self.put_down_stream(slot);
        }
        self.sessions[slot].carrier = None;
        if self.sessions[slot].connect.take().is_some() {
            self.count_held(index, slot, false);
            self.await_connect(now, slot);
        }
    }

    /// Ends a session that nobody carries.
    pub(super) fn end_session(&mut self, now: Now, slot: u32) {
        debug_assert!(self.sessions[slot].carrier.is_none(), "session {slot} is carried");
        self.end_stream(now, slot);
        self.watch_nothing(slot);
        while let Some(subscription) = self.sessions[slot].subscriptions.pop() {
            self.unsubscribe(now.tick, Subscriber::session(slot), subscription);
        }
        self.tell_session_gone(slot);
        self.session_timers.cancel(&mut self.sessions, slot);
        if let Some(browser) = self.sessions[slot].browser {
            self.browsers.leave(browser);
        }
        self.sessions.slab.remove(slot as usize);
    }

    /// Ends sessions whose clients were away for too long, at most so many.
    pub(super) fn end_sessions(&mut self, now: Now, count: usize) {
        for _ in 0..count {
            let Some(slot) = self.session_timers.expired(&mut self.sessions, now.tick) else { break };
            let at = now.tick.nearest(self.sessions[slot].ends_at);
            if at > now.tick {
                self.session_timers.arm(&mut self.sessions, slot, now.tick, at);
            } else {
                let detail = "its client did not connect for too long";
                self.note_session_over(now, slot, "bayeux_max_interval", detail);
                // A WebSocket may carry it still, and goes on without.
                self.put_down_session(now, slot);
                self.end_session(now, slot);
            }
        }
    }

    /// Makes a session a subscriber of a channel that is known here or asked for. Says whether its home has yet to answer.
    pub(super) fn subscribe_session(&mut self, now: Tick, slot: u32, key: u32) -> bool {
        let channel = &mut self.hub[key];
        let place = channel.subscribers.len() as u32;
        channel.subscribers.push(Subscriber::session(slot));
        let waits = channel.role == Role::Waiting;
        self.sessions[slot].subscriptions.push(Subscription { channel: key, place, position: UNKNOWN });
        self.hub.touch(key, now);
        self.recount(key);
        self.sign_in(Subscriber::session(slot), key);
        if !waits {
            self.settle_session(slot, key);
        }
        waits
    }

    /// A channel that a session waits for is known: from here on nothing published there passes it by.
    pub(super) fn settle_session(&mut self, slot: u32, key: u32) {
        let next = self.hub[key].history.next();
        let mut subscriptions = self.sessions[slot].subscriptions.iter_mut();
        let waiting = subscriptions.find(|one| one.channel == key && one.position == UNKNOWN);
        if let Some(subscription) = waiting {
            subscription.position = next;
            if let Some(acks) = &mut self.sessions[slot].acks {
                acks.begin(key, next);
            }
            self.tell_session_subscribed(slot, key);
        }
    }

    /// A client acknowledges what came with reply `batch` to a connect; `None`: nothing. What it does not, it gets again.
    pub(super) fn acknowledged(&mut self, slot: u32, batch: Option<u64>) {
        let Session { acks: Some(acks), subscriptions, .. } = &mut self.sessions[slot] else { return };
        acks.acknowledge(batch.unwrap_or(0));
        for subscription in subscriptions {
            // Whose place is lost stays where it is, and is told.
            if let Some(position) = acks.position(subscription.channel)
                && !matches!(subscription.position, LOST | ENDED)
            {
                subscription.position = position;
            }
        }
    }

    /// The number of a reply to a connect, for a client that acknowledges, once its events are taken.
    pub(super) fn next_batch(&mut self, slot: u32) -> Option<u64> {
        let Session { acks, subscriptions, .. } = &mut self.sessions[slot];
        let known = subscriptions.iter().filter(|one| one.position != UNKNOWN);
        Some(acks.as_deref_mut()?.sent(known.map(|one| (one.channel, one.position))))
    }

    /// Whether events wait for the next reply to a connect even where they could be sent at once.
    pub(super) fn acknowledges(&self, slot: u32) -> bool {
        self.sessions[slot].acks.is_some()
    }

    /// Whether a session has something to be told, be it that it is over.
    pub(super) fn session_has_news(&self, slot: u32) -> bool {
        let mut subscriptions = self.sessions[slot].subscriptions.iter();
        self.sessions[slot].overrun
            || subscriptions.any(|subscription| subscription.has_news(self.hub[subscription.channel].history.next()))
    }

    /// Whether a session has lost its place in some channel, or could not get one. Where it goes on with the newest message
    /// anyway it has not.
    pub(super) fn session_is_over(&self, slot: u32) -> bool {
        let session = &self.sessions[slot];
        session.overrun
            || session.subscriptions.iter().any(|subscription| match subscription.position {
                LOST | ENDED => true,
                position => {
                    let channel = &self.hub[subscription.channel];
                    position < channel.history.first() && !skips(channel, position, self.limits.slow_lag)
                }
            })
    }

    /// The positions of whoever subscribes to a channel.
    pub(super) fn positions_of(&mut self, subscriber: Subscriber) -> &mut [Subscription] {
        match subscriber.holder() {
            Holder::Connection(index) => self.slots[index].subscriptions_mut(),
            Holder::Session(slot) => &mut self.sessions[slot].subscriptions,
        }
    }

    /// Panics unless sessions and those who carry them know each other, and each is carried or waits to end.
    pub(super) fn check_sessions(&self, check: impl Fn(&Subscription, Subscriber)) {
        for (slot, session) in &self.sessions.slab {
            let slot = slot as u32;
            if let Some(token) = session.carrier {
                let index = self.slots.live(token).expect("who carries a session is there");
                assert_eq!(self.slots[index].session(), Some(slot));
                assert_eq!(self.slots[index].state, State::Bayeux);
            }
            if let Some(token) = session.stream() {
                let index = self.slots.live(token).expect("a session's event stream is there");
                assert_eq!(self.slots[index].session(), Some(slot));
                assert!(self.is_event_stream(index) && session.carrier != Some(token));
            }
            assert!(session.connect.is_none() || session.carrier.is_some());
            assert_eq!(session.timer.wakes_at(Tick(0)).is_none(), session.connect.is_some(), "session {slot} has a deadline");
            session.subscriptions.iter().for_each(|subscription| check(subscription, Subscriber::session(slot)));
        }
        for index in self.slots.indices() {
            if let Some(slot) = self.slots[index].session() {
                let (session, token) = (&self.sessions[slot], Some(self.slots.token(index)));
                assert!(session.carrier == token || session.stream() == token, "session {slot} does not know {token:?}");
            }
        }
    }
}
