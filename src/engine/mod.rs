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
//! The order to read: `receive` (bytes to requests), `hold` (readers come and go), `publish` (a home keeps a
//! message), `deliver` (readers are brought up to date), `framed` (who publishes without being answered), `peers`
//! (what shards say to each other), `host` (what the program around the server hears and is asked), `session` (what
//! outlives a Bayeux client's connections), `bayeux`, `bayeux_answer`, `bayeux_publish`, `bayeux_socket` and
//! `bayeux_stream` (its requests), `fragments` (its events), `riding` (which responses bring them), `browsers` (how many
//! connects of one are held), `watch` (subscriptions with a star), `moving` (who goes to another shard), `deadlines`. What an
//! operator sees is in `metrics`, `reasons`, `samples`, `incidents` and `access_log`.

mod access_log;
mod acks;
mod bayeux;
mod bayeux_answer;
mod bayeux_publish;
mod bayeux_socket;
mod bayeux_stream;
mod browsers;
mod calendar;
mod deadlines;
mod deliver;
mod events;
mod fragments;
mod framed;
mod hold;
mod host;
mod incidents;
mod input;
mod looks;
mod metrics;
mod moving;
mod output;
mod peer;
mod peers;
mod publish;
mod reasons;
mod receive;
mod riding;
mod samples;
mod session;
mod socket;
mod watch;

pub use crate::base::door::Door;
pub use crate::conn::WAYS;
pub use crate::protocol::plain::VERDICTS;
pub use access_log::{Finished, LogFeed, LogPort, access_log};
pub use events::{EventFeed, EventPort, events};
pub use input::Input;
pub use moving::Luggage;
pub use output::Output;
pub use peer::{Answer, Asker, ChannelInfo, PeerMessage};
pub use reasons::{OTHER, REASONS_MAX, Reasons};
pub use samples::{Busy, STATS};

use crate::base::config::Config;
use crate::base::error::Reject;
use crate::base::histogram::Histogram;
use crate::base::id::Token;
use crate::base::pattern::Patterns;
use crate::base::random::{Random, Seed, keyed_hash};
use crate::base::time::{Now, Tick};
use crate::channel::{Holder, Hub, Keep, Role, Subscriber};
use crate::conn::{self, Flags, Origins, Policy, Slots, State};
use crate::http;
use crate::protocol::plain::Preflight;
use crate::protocol::plain::reply::{self, Dress};
use crate::timer::Timers;
use crate::transport::websocket::Workspace;
use crate::transport::{self, Tools};
use access_log::AccessLog;
use browsers::Browsers;
use calendar::Calendar;
use deadlines::Durations;
use deliver::{Frames, Wave};
use fragments::Fragments;
use framed::{Refusals, Stalled};
use host::Host;
use incidents::Incidents;
use looks::Looks;
use peers::Peers;
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
    calendar: Calendar,
    host: Host,
    draining: bool,
    counters: Counters,
    reasons: Reasons,
    /// How many messages behind readers were when their sockets, which had been full, could take bytes again.
    lag: Histogram,
    incidents: Incidents,
    samples: Samples,
    access_log: Option<Box<AccessLog>>,
}

/// What the engine has done since it was made; each only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections taken in.
    pub opened: u64,
    /// Messages kept by this shard as a home.
    pub published: u64,
    /// Messages framed to readers of this shard, counted for each reader.
    pub delivered: u64,
    /// Readers told that they have missed something.
    pub gaps: u64,
    /// How many messages they have missed, as far as that is known: nobody knows it of a former epoch.
    pub missed: u64,
    /// Bytes that came by sockets.
    pub received_bytes: u64,
    /// Bytes that sockets took.
    pub sent_bytes: u64,
    /// Requests refused.
    pub refused: u64,
    /// Messages published in this process that could not be kept, since there were too many channels.
    pub unkept: u64,
    /// What clients found to work, in the order of [`VERDICTS`].
    pub verdicts: [u64; VERDICTS.len()],
}

/// The bounds that are counts and bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    http: http::Limits,
    channels: usize,
    subscriptions: usize,
    star_channels: usize,
    keep: Keep,
    budget: usize,
    batch_bytes: usize,
    slice: usize,
    backlog: usize,
}

impl Engine {
    /// Shard `shard` of `shards`, all of which are given the same `seed` and `config`. Counts and bytes that
    /// bound the process are divided among the shards.
    pub fn new(config: &Config, shard: u16, shards: u16, seed: Seed) -> Engine {
        let share = |whole: u64| usize::try_from(whole.div_ceil(u64::from(shards))).unwrap_or(usize::MAX);
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let limits = Limits {
            http: http::Limits {
                line_bytes: size(config.line_bytes_max),
                head_bytes: size(config.head_bytes_max),
                headers: size(config.headers_max),
                body_bytes: config.body_bytes_max,
            },
            channels: share(config.channels_max),
            subscriptions: size(config.subscriptions_max),
            star_channels: size(config.bayeux_channels_max),
            keep: Keep {
                messages: size(config.history_messages),
                bytes: size(config.history_bytes),
                age_ms: config.history_age_ms,
            },
            budget: share(config.history_budget),
            batch_bytes: size(config.batch_bytes),
            slice: size(config.fanout_slice),
            backlog: size(config.mailbox_messages),
        };
        let durations = Durations::new(config);
        Engine {
            shard,
            shards,
            seed,
            random: Random::new(Seed(seed.0 ^ u64::from(shard) << 32, !seed.1)),
            slots: Slots::new(share(config.connections_max)),
            timers: Timers::new(&durations.of_connections()),
            hub: Hub::new(seed),
            channel_timers: Timers::new(&durations.of_channels()),
            sessions: Sessions::new(share(config.bayeux_sessions_max)),
            session_timers: Timers::new(&[durations.session]),
            browsers: Browsers::new(size(config.bayeux_browser_connects)),
            watches: Watches::new(),
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
            calendar: Calendar::new(config, seed),
            host: Host::new(config, shard, seed),
            draining: false,
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

    /// The home shard of a channel.
    pub fn home_of(seed: Seed, shards: u16, channel: &str) -> u16 {
        if shards == 1 {
            return 0;
        }
        (keyed_hash(seed, channel.as_bytes()) % u64::from(shards)) as u16
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
                if self.attend(now, index) {
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
        let timers = [self.timers.next(), self.channel_timers.next(), self.session_timers.next()];
        timers.into_iter().chain([self.host.next_deadline(), self.samples.next_deadline()]).flatten().min()
    }

    /// Takes no new requests, ends what is parked, lets answers under way finish.
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        let all: Vec<u32> = self.slots.indices().collect();
        for index in all {
            match self.slots[index].state {
                State::Parked | State::Joining => self.end_hold(now, index),
                State::Judged => {
                    self.leave(now, index);
                    self.refuse(now, index, &reply::stopping(), true);
                }
                // A request may be on its way: its sender must see that nobody took it, and keep what it was answered.
                State::ExpectHead if !self.slots[index].has_unsent() => self.finish(now, index),
                State::Framed => self.drain_framed(now, index),
                State::Bayeux => self.end_connect(now, index),
                _ => self.slots[index].flags.set(Flags::LAST, true),
            }
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// How many channels this shard knows, as a home or as a mirror.
    pub fn channels(&self) -> usize {
        self.hub.len()
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
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
        self.count_refusal(reject.code);
        self.note_refusal(now, index, reject, channels);
        self.log_refusal(index, reject.code);
        let flags = &mut self.slots[index].flags;
        flags.set(Flags::LAST, last || flags.has(Flags::LAST) || flags.has(Flags::HTTP10));
        self.reply(now, index, |out, dress| reply::refused(out, dress, reject));
    }

    /// Writes a whole response, after which the connection waits for the next request or closes.
    fn reply(&mut self, now: Now, index: u32, write: impl FnOnce(&mut Vec<u8>, &Dress<'_>)) {
        let connection = &mut self.slots[index];
        let dress = Dress {
            date: self.calendar.date(now),
            head_only: connection.flags.has(Flags::HEAD_ONLY),
            last: connection.flags.has(Flags::LAST),
            http10: connection.flags.has(Flags::HTTP10),
        };
        write(connection.out(), &dress);
        self.answered(now, index);
    }

    /// Answers what another site's page asks before it asks anything else.
    fn preflight(&mut self, now: Now, index: u32, preflight: Preflight, origin: u16) {
        let mut sharing = Vec::new();
        if preflight.open {
            transport::sharing_fields(&mut sharing, self.calendar.sharing(origin));
        }
        self.reply(now, index, |out, dress| reply::preflight(out, dress, preflight, &sharing));
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
            self.end_state_after(now.tick, index, self.durations.idle);
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

fn policy(config: &Config) -> Policy {
    let origins = match &*config.origin {
        "" => Origins::None,
        "*" => Origins::All,
        named => Origins::Named(named.split(',').map(str::to_owned).collect()),
    };
    let subscriptions_max = usize::try_from(config.subscriptions_max).unwrap_or(usize::MAX);
    let patterns = |text| Patterns::parse(text).expect("the options were checked");
    Policy {
        subscriptions_max,
        origins,
        echo: config.echo.clone(),
        demo: false,
        judge: patterns(&config.judge),
        host_channels: patterns(&config.host_channels),
        bayeux_publish: patterns(&config.bayeux_publish),
        hosted: false,
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
        self.check_browsers();
    }
}
