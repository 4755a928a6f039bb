//! One shard: all its connections, channels and deadlines, without a socket, a clock or a thread.
//!
//! **The contract.** Whoever drives an engine does three things, over and over. It tells what happened with
//! [`Engine::handle`], as often as things happened. It then says [`Engine::begin_turn`] and takes
//! [`Engine::poll_output`] until `None`, doing each output before it takes the next; and for each other shard
//! whose mailbox has room, [`Engine::poll_peer`]. It then sleeps until something happens or
//! [`Engine::next_deadline`] has come; not at all while [`Engine::busy`].
//!
//! **The ring is the queue.** Nothing is queued for a reader: it has a position, and gets what lies between
//! that and the end of its channel's history when its socket can take it.
//!
//! The order to read: `receive` (bytes to requests), `hold` (readers come and go), `passes` (what they may, and until
//! when), `publish` (a home keeps a message), `deliver` (readers are brought up to date), `collect` (what they are told),
//! `pace` (who is too slow), `framed` (who publishes without being answered), `peers` (what shards say to each other),
//! `host` (what the program around the server hears and is asked), `session` (what outlives a Bayeux client's
//! connections), `bayeux`, `bayeux_passes`, `bayeux_answer`, `bayeux_publish`, `bayeux_socket` and `bayeux_stream` (its
//! requests), `fragments` (its events), `riding` (which responses bring them), `browsers` (how many connects of one are
//! held), `watch` (subscriptions with a star), `attendance` and `presence` (who is here), `door` (who is not let in),
//! `meter` (how fast clients publish), `places` (how many readers they have), `moving` (who goes to another shard),
//! `deadlines`, `rules` (what options mean here), `reload` (what an operator changes while it runs), `drain` (the end),
//! `bequest` (what is left to a successor). What an operator sees is in `counters`, `metrics`, `reasons`, `samples`,
//! `incidents` and `access_log`.

mod access_log;
mod acks;
mod attendance;
mod bayeux;
mod bayeux_answer;
mod bayeux_passes;
mod bayeux_publish;
mod bayeux_socket;
mod bayeux_stream;
mod bequest;
mod browsers;
mod calendar;
mod collect;
mod counters;
mod deadlines;
mod deliver;
mod door;
mod drain;
mod events;
mod fragments;
mod framed;
mod hold;
mod host;
mod incidents;
mod input;
mod looks;
mod meter;
mod metrics;
mod moving;
mod output;
mod pace;
mod passes;
mod peer;
mod peers;
mod places;
mod presence;
mod publish;
mod reasons;
mod receive;
mod reload;
mod riding;
mod rules;
mod samples;
mod session;
mod socket;
mod watch;

pub use crate::base::door::Door;
pub use crate::conn::WAYS;
pub use crate::protocol::plain::VERDICTS;
pub use access_log::{Finished, LogFeed, LogPort, access_log};
pub use bequest::Bequest;
pub use counters::Counters;
pub use door::TurnedAway;
pub use drain::Ending;
pub use events::{EventFeed, EventPort, events};
pub use input::Input;
pub use meter::Rates;
pub use moving::Luggage;
pub use output::Output;
pub use peer::{Answer, Asker, ChannelInfo, PeerMessage, Present, Roster};
pub use places::{Crowded, Landlord};
pub use reasons::{OTHER, REASONS_MAX, Reasons};
pub use samples::{Busy, STATS};

use crate::access::{Access, Keyring};
use crate::base::config::Config;
use crate::base::error::Reject;
use crate::base::histogram::Histogram;
use crate::base::id::Token;
use crate::base::payload::Message;
use crate::base::presence::home_name;
use crate::base::random::{Random, Seed, keyed_hash};
use crate::base::time::{Now, Tick};
use crate::channel::{Holder, Hub, Role, Rolls, Subscriber};
use crate::conn::{self, Flags, Policy, Slots, State};
use crate::protocol::plain::Preflight;
use crate::protocol::plain::reply::{self, Dress};
use crate::timer::Timers;
use crate::transport::Tools;
use crate::transport::websocket::Workspace;
use access_log::AccessLog;
use attendance::Attendance;
use browsers::Browsers;
use calendar::Calendar;
use deadlines::Durations;
use deliver::{Frames, Wave};
use drain::GRACE_MS;
use fragments::Fragments;
use framed::{Refusals, Stalled};
use host::Host;
use incidents::Incidents;
use looks::Looks;
use meter::Meter;
use peers::Peers;
use rules::{Limits, policies, policy, size};
use samples::Samples;
use session::Sessions;
use std::collections::VecDeque;
use std::sync::Arc;
use watch::Watches;

/// One shard's whole state.
pub struct Engine {
    shard: u16,
    shards: u16,
    seed: Seed,
    random: Random,
    limits: Limits,
    durations: Durations,
    slots: Slots,
    timers: Timers,
    hub: Hub,
    channel_timers: Timers,
    sessions: Sessions,
    session_timers: Timers,
    browsers: Browsers,
    watches: Watches,
    attendance: Attendance,
    rolls: Rolls,
    roll_timers: Timers,
    peers: Peers,
    /// What goes along with the sockets of the orders to move.
    leaving: VecDeque<Luggage>,
    /// Orders to the reactor that carry no bytes, before all else.
    orders: VecDeque<Output>,
    /// Connections that have something to be written, in the order they got it; each once.
    line: VecDeque<Token>,
    /// How many of the line may still go in this turn, and how many steps of waves.
    line_left: usize,
    slice_left: usize,
    waves: VecDeque<Wave>,
    frames: Frames,
    fragments: Fragments,
    /// Framed streams that wait for room.
    stalled: Stalled,
    /// What this home refused framed streams of other shards.
    refusals: Refusals,
    looks: Looks,
    tools: Tools,
    workspace: Workspace,
    policy: Policy,
    access: Access,
    calendar: Calendar,
    host: Host,
    meter: Meter,
    draining: bool,
    /// While it drains: another process goes on in this one's place.
    succeeded: bool,
    /// Nothing more is kept here.
    frozen: bool,
    counters: Counters,
    reasons: Reasons,
    /// How many messages behind readers were when their sockets, which had been full, could take bytes again.
    lag: Histogram,
    incidents: Incidents,
    samples: Samples,
    access_log: Option<Box<AccessLog>>,
}

impl Engine {
    /// Shard `shard` of `shards`, all of which are given the same `seed` and `config`. Counts and bytes that
    /// bound the process are divided among the shards.
    pub fn new(config: &Config, shard: u16, shards: u16, seed: Seed) -> Engine {
        let limits = Limits::new(config, shards);
        let durations = Durations::new(config);
        let mut hub = Hub::new(seed);
        hub.govern(policies(config));
        Engine {
            shard,
            shards,
            seed,
            random: Random::new(Seed(seed.0 ^ u64::from(shard) << 32, !seed.1)),
            slots: Slots::new(limits.connections),
            timers: Timers::new(&durations.of_connections()),
            hub,
            channel_timers: Timers::new(&durations.of_channels()),
            sessions: Sessions::new(limits.sessions),
            session_timers: Timers::new(&[durations.session]),
            browsers: Browsers::new(size(config.bayeux_browser_connects)),
            watches: Watches::new(),
            attendance: Attendance::default(),
            rolls: Rolls::default(),
            roll_timers: Timers::new(&[durations.presence_grace]),
            peers: Peers::new(shards),
            leaving: VecDeque::new(),
            orders: VecDeque::new(),
            line: VecDeque::new(),
            line_left: 0,
            slice_left: 0,
            waves: VecDeque::new(),
            frames: Frames::default(),
            fragments: Fragments::default(),
            stalled: Stalled::default(),
            refusals: Refusals::default(),
            looks: Looks::new(),
            tools: Tools::default(),
            workspace: Workspace::default(),
            policy: policy(config),
            access: Access::new(config, Arc::new(Keyring::new(seed))),
            calendar: Calendar::new(config, seed),
            host: Host::new(config, shard, seed),
            meter: Meter::new(Rates::new(config, seed)),
            draining: false,
            succeeded: false,
            frozen: false,
            counters: Counters::default(),
            reasons: Reasons::default(),
            lag: Histogram::default(),
            incidents: Incidents::default(),
            samples: Samples::default(),
            access_log: None,
            limits,
            durations,
        }
    }

    /// From now on, keys and tokens are good by `keyring`, and strangers may what `config` says. Without this there is no key.
    pub fn set_access(&mut self, config: &Config, keyring: Arc<Keyring>) {
        let former = std::mem::replace(&mut self.access, Access::new(config, keyring));
        self.look_at_keys(&former);
    }

    /// The home shard of a channel.
    pub fn home_of(seed: Seed, shards: u16, channel: &str) -> u16 {
        if shards == 1 {
            return 0;
        }
        (keyed_hash(seed, home_name(channel).as_bytes()) % u64::from(shards)) as u16
    }

    /// The same of a message's; where there is one shard, nobody has to look at its channel.
    fn home_of_message(&self, message: &Message) -> u16 {
        if self.shards == 1 { self.shard } else { Engine::home_of(self.seed, self.shards, message.channel()) }
    }

    /// Takes a new connection in. `None`: no room, close it.
    pub fn open(&mut self, now: Now, door: Door) -> Option<Token> {
        let token = self.slots.open(now.tick, door)?;
        self.counters.opened += 1;
        self.host.opened(token);
        self.end_state_after(now.tick, token.index, self.durations.head);
        Some(token)
    }

    /// Tells the engine what happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        let live = |slots: &Slots, token| slots.live(token);
        match input {
            Input::Bytes { token, bytes } => {
                self.counters.received_bytes += bytes.len() as u64;
                if let Some(index) = live(&self.slots, token) {
                    self.received(now, index, bytes);
                }
            }
            Input::Eof { token } => {
                if let Some(index) = live(&self.slots, token) {
                    self.ended(now, index);
                }
            }
            Input::HungUp { token } => {
                if let Some(index) = live(&self.slots, token) {
                    self.hung_up(now, index);
                }
            }
            Input::Writable { token } => {
                if let Some(index) = live(&self.slots, token) {
                    if self.slots[index].flags.has(Flags::BLOCKED) {
                        self.lag.observe(self.behind(index));
                    }
                    self.slots[index].flags.set(Flags::BLOCKED, false);
                    self.watch_hold(now.tick, index);
                    self.enqueue(index);
                }
            }
            Input::Wrote { token, count } => {
                self.counters.sent_bytes += count as u64;
                if let Some(index) = live(&self.slots, token) {
                    self.wrote(now, index, count);
                }
            }
            Input::Failed { token } => {
                if let Some(index) = live(&self.slots, token) {
                    self.close(now, index);
                }
            }
            Input::Metrics { token, text } => {
                if let Some(index) = live(&self.slots, token) {
                    self.tell_metrics(now, index, text);
                }
            }
            Input::Sample { fields } => self.publish_sample(now, fields),
            Input::Peer(message) => self.heard(now, message),
            Input::Publish(messages) => self.keep_all(now, messages),
            Input::Verdict { question, allow } => self.verdict(now, question, allow),
            Input::Time => self.passed(now),
        }
    }

    /// Starts a turn: gives everybody in line a go, and fan-out its slice.
    pub fn begin_turn(&mut self) {
        self.line_left = self.line.len();
        self.slice_left = self.limits.slice;
        self.stalled.begin_turn();
        self.tell_counts();
        self.tell_other_homes();
    }

    /// The next thing to do; `None` when there is nothing more in this turn.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        let output = self.next_output(now);
        if output.is_none() {
            self.note_unheard(now);
        }
        output.or_else(|| self.host.take_ring().then_some(Output::Ring))
    }

    fn next_output(&mut self, now: Now) -> Option<Output> {
        loop {
            self.tell_own_homes(now);
            if let Some(order) = self.orders.pop_front() {
                if let Output::Close(token) | Output::Move { token, .. } = order {
                    self.slots.free(token.index);
                }
                return Some(order);
            }
            if self.go_on_stalled(now) {
                continue;
            }
            if self.line_left > 0 {
                self.line_left -= 1;
                let token = self.line.pop_front()?;
                if let Some(index) = self.slots.live(token) {
                    self.slots[index].flags.set(Flags::QUEUED, false);
                    if self.attend(now, index) {
                        return Some(Output::Write(token));
                    }
                }
            } else if self.slice_left > 0 {
                self.slice_left -= 1;
                let reached = self.step_wave(now.tick)?;
                let Some(index) = self.connection_of(reached) else { continue };
                if self.slots[index].flags.has(Flags::BLOCKED) {
                    self.judge_pace(now, index);
                } else if self.attend(now, index) {
                    return Some(Output::Write(self.slots.token(index)));
                }
            } else {
                return None;
            }
        }
    }

    /// The connection by which a subscriber can be told something now.
    fn connection_of(&self, subscriber: Subscriber) -> Option<u32> {
        match subscriber.holder() {
            Holder::Connection(index) => Some(index),
            Holder::Session(slot) => self.teller(slot).map(|token| token.index),
        }
    }

    /// Whether there is work left that did not fit the turn: poll for events without sleeping.
    pub fn busy(&self) -> bool {
        !self.orders.is_empty() || !self.line.is_empty() || !self.waves.is_empty() || self.may_go_on()
    }

    /// When to call `handle(Input::Time)` at the latest.
    pub fn next_deadline(&self) -> Option<Tick> {
        let timers = [self.timers.next(), self.channel_timers.next(), self.session_timers.next(), self.roll_timers.next()];
        timers.into_iter().chain([self.host.next_deadline(), self.samples.next_deadline()]).flatten().min()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// What all connections are called.
    pub fn tokens(&self) -> Vec<Token> {
        self.slots.indices().map(|index| self.slots.token(index)).collect()
    }

    /// How many channels this shard knows, as a home or as a mirror.
    pub fn channels(&self) -> usize {
        self.hub.len()
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// For the reactor to count what only it sees: whom it did not let in, and why a socket failed.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Puts a connection in line to be attended to.
    fn enqueue(&mut self, index: u32) {
        let token = self.slots.token(index);
        let flags = &mut self.slots[index].flags;
        if !flags.has(Flags::QUEUED) {
            flags.set(Flags::QUEUED, true);
            self.line.push_back(token);
        }
    }

    /// Refuses the request under way; with `last`, the connection ends with that.
    fn refuse(&mut self, now: Now, index: u32, reject: &Reject, last: bool) {
        self.refuse_for(now, index, reject, last, &[]);
    }

    /// The same for a request that is about these channels.
    fn refuse_for(&mut self, now: Now, index: u32, reject: &Reject, last: bool, channels: &[Arc<str>]) {
        log::debug!("refused {} {}: {}", reject.status, reject.code, reject.detail);
        // Those who are refused together are not to come back together.
        let spread = (reject.status == 503 && reject.retry_after.is_none()).then(|| self.retry_after(0));
        let reject = &Reject { retry_after: reject.retry_after.or(spread), ..reject.clone() };
        self.count_refusal(reject.code);
        self.note_refusal(now, index, reject, channels);
        self.log_refusal(index, reject.code);
        let flags = &mut self.slots[index].flags;
        flags.set(Flags::LAST, last || flags.has(Flags::LAST) || flags.has(Flags::HTTP10));
        self.reply(now, index, |out, dress| reply::refused(out, dress, reject));
    }

    /// Writes a whole response, after which the connection waits for the next request or closes.
    fn reply(&mut self, now: Now, index: u32, write: impl FnOnce(&mut Vec<u8>, &Dress<'_>)) {
        self.calendar.date(now);
        let connection = &mut self.slots[index];
        let origin = connection.rest().origin;
        let dress = Dress {
            date: &self.calendar.date,
            head_only: connection.flags.has(Flags::HEAD_ONLY),
            last: connection.flags.has(Flags::LAST),
            http10: connection.flags.has(Flags::HTTP10),
            sharing: self.calendar.sharing(origin),
            shared: connection.flags.has(Flags::SHARED),
        };
        write(connection.out(), &dress);
        self.answered(now, index);
    }

    /// Answers what another site's page asks before it asks anything else.
    fn preflight(&mut self, now: Now, index: u32, preflight: Preflight) {
        self.reply(now, index, |out, dress| reply::preflight(out, dress, preflight));
    }

    /// The response under way is complete, though perhaps not yet written.
    fn answered(&mut self, now: Now, index: u32) {
        self.log_answered(now, index);
        self.enqueue(index);
        if self.slots[index].flags.has(Flags::LAST) {
            self.slots.turn(index, State::Closing);
            self.end_state_after(now.tick, index, self.durations.stall);
        } else {
            self.slots.turn(index, State::ExpectHead);
            let idle = if self.succeeded { GRACE_MS } else { self.durations.idle };
            self.end_state_after(now.tick, index, idle);
        }
    }

    /// The connection is gone.
    fn close(&mut self, now: Now, index: u32) {
        self.log_gone(now, index);
        self.leave(now, index);
        self.leave_homes(index);
        self.gone(index, Output::Close);
    }

    /// A connection's slot has no tenant any more, as soon as the reactor has taken this order.
    fn gone(&mut self, index: u32, order: impl FnOnce(Token) -> Output) {
        self.arrived(index);
        self.tell_gone(index);
        self.timers.cancel(&mut self.slots, index);
        self.orders.push_back(order(self.slots.token(index)));
        self.slots.retire(index);
    }
}

impl Engine {
    /// Panics unless all that must hold between two steps does. Walks over everything: for tests.
    pub fn check_invariants(&self) {
        self.hub.check_invariants();
        self.slots.check_ways();
        self.looks.check_invariants(self.slots.indices().map(|index| self.slots[index].look));
        for key in self.hub.keys() {
            for (place, &subscriber) in self.hub[key].subscribers.iter().enumerate() {
                let subscriptions = match subscriber.holder() {
                    Holder::Connection(index) => self.slots[index].subscriptions(),
                    Holder::Session(slot) => &self.sessions[slot].subscriptions,
                };
                let held = subscriptions.iter().any(|s| s.channel == key && s.place as usize == place);
                assert!(held, "{subscriber:?} does not know its place {place} in {}", self.hub[key].name);
            }
        }
        self.check_questions();
        self.check_passes();
        let check = |subscription: &conn::Subscription, subscriber| {
            let channel = &self.hub[subscription.channel];
            assert_eq!(channel.subscribers[subscription.place as usize], subscriber);
            let position = subscription.position;
            let known = position <= channel.history.next() || position == conn::ENDED || position == conn::UNKNOWN;
            assert!(channel.role != Role::Home || known);
        };
        for index in self.slots.indices() {
            self.slots[index].subscriptions().iter().for_each(|one| check(one, Subscriber::connection(index)));
        }
        self.check_sessions(check);
        self.check_watches();
        self.check_attendance();
        self.check_presence();
        self.check_browsers();
    }
}
