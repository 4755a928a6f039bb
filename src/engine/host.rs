//! What the host program hears of this shard, and is asked.
//!
//! **Judged subscriptions.** Before a reader joins anything or is answered a byte, the host is asked about each of
//! its channels that it judges; the request waits, and what the client sends behind it stays unread. One denial
//! refuses it; it goes on once all are allowed. A question that cannot be put, or is not answered in time, is
//! answered by the option `judge_default`. Its number is never used again, so an answer that comes too late, or
//! twice, is an answer to nothing.
//!
//! **The host's channels.** What a client publishes there becomes an event, whole, or is refused: it is never kept
//! in a channel. Whoever comes by a private listener is the application itself, and publishes to subscribers.
//!
//! **Events.** Each is told when it has happened, in this shard's order: one `Unsubscribed` for each `Subscribed` of a
//! connection, and nothing of a connection behind its `Gone`. All of that is exact but for what found no room.
//!
//! Invariant: a question is open if and only if a live connection waits for it.

use super::deadlines::NEVER_MS;
use super::{Engine, EventPort};
use crate::base::config::Config;
use crate::base::door::Address;
use crate::base::error::Reject;
use crate::base::event::{Event, Wanted};
use crate::base::id::Token;
use crate::base::name::Name;
use crate::base::payload::{Message, Parts};
use crate::base::random::{Seed, keyed_hash};
use crate::base::time::{Now, Tick};
use crate::channel::{Holder, Subscriber};
use crate::conn::{Flags, Hold, Judged, More, Speaker, State, Subscription, Then, UNKNOWN, not_granted};
use crate::protocol::plain::{self, Publish, reply};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bits of a question's number, or a client's, below its shard's.
const SHARD_SHIFT: u32 = 48;

/// What a shard knows of the host program.
#[derive(Debug)]
pub(super) struct Host {
    /// Where events go in; `None` without a host program.
    port: Option<EventPort>,
    wanted: Wanted,
    /// What becomes of a subscription that the host does not answer.
    allows: bool,
    timeout_ms: u64,
    /// So many questions may be open at once.
    questions_max: usize,
    /// By number, which is also the order of their deadlines.
    questions: BTreeMap<u64, Question>,
    last_question: u64,
    /// Where the tenants of the slots come from, as far as the host may want to know.
    addresses: Vec<Option<Address>>,
    /// Something was told since the reactor last rang.
    rings: bool,
    /// Events that found no room, since that was last noted.
    unheard: u64,
}

/// One question that the host has yet to answer.
#[derive(Clone, Copy, Debug)]
struct Question {
    token: Token,
    until: Tick,
}

impl Host {
    pub(super) fn new(config: &Config, shard: u16, seed: Seed) -> Host {
        // Another server of this process begins elsewhere, so that an answer meant for the one finds nothing in the other.
        let first = keyed_hash(seed, b"questions") & u64::from(u32::MAX);
        Host {
            port: None,
            wanted: Wanted::parse(&config.events).expect("the options were checked"),
            allows: config.judge_default == "allow",
            timeout_ms: config.judge_timeout_ms,
            questions_max: usize::try_from(config.events_max).unwrap_or(usize::MAX),
            questions: BTreeMap::new(),
            last_question: u64::from(shard) << SHARD_SHIFT | first,
            addresses: Vec::new(),
            rings: false,
            unheard: 0,
        }
    }

    /// What an operator may change while it runs. No open question waits longer than a new one, so the oldest stays the next
    /// that is overdue.
    pub(super) fn reload(&mut self, now: Tick, config: &Config) {
        self.allows = config.judge_default == "allow";
        self.timeout_ms = config.judge_timeout_ms;
        for question in self.questions.values_mut() {
            question.until = question.until.min(now + self.timeout_ms);
        }
    }

    /// A slot has a new tenant.
    pub(super) fn opened(&mut self, token: Token) {
        if let Some(address) = self.addresses.get_mut(token.index as usize) {
            *address = None;
        }
    }

    /// Where a slot's tenant comes from, if that is known.
    pub(super) fn address(&self, index: u32) -> Option<Address> {
        self.addresses.get(index as usize).copied().flatten()
    }

    /// Whether the reactor is to ring.
    pub(super) fn take_ring(&mut self) -> bool {
        std::mem::take(&mut self.rings)
    }

    /// When the oldest question is overdue.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.questions.first_key_value().map(|(_, question)| question.until)
    }

    fn overdue(&self, now: Tick) -> Option<u64> {
        let (&number, question) = self.questions.first_key_value()?;
        (question.until <= now).then_some(number)
    }

    fn tell(&mut self, event: Event) -> bool {
        self.rings |= self.port.is_some();
        let Some(port) = &self.port else { return false };
        let told = port.tell(event);
        self.unheard += u64::from(!told);
        told
    }

    /// How many events found no room since this was last asked.
    pub(super) fn take_unheard(&mut self) -> u64 {
        std::mem::take(&mut self.unheard)
    }

    /// Asks whether a client may subscribe; `None` if that cannot be asked.
    fn ask(&mut self, now: Tick, token: Token, client: u64, channel: &Arc<str>, who: &Arc<str>) -> Option<u64> {
        if self.questions.len() >= self.questions_max {
            self.rings = true;
            self.port.as_ref()?.miss();
            return None;
        }
        self.last_question += 1;
        let number = self.last_question;
        if !self.tell(Event::subscribe(client, number, channel.clone(), who.clone())) {
            return None;
        }
        self.questions.insert(number, Question { token, until: now + self.timeout_ms });
        Some(number)
    }

    fn forget(&mut self, questions: &[u64]) {
        for number in questions {
            self.questions.remove(number);
        }
    }

    /// The channels among those that a connection is about to hold a position in, if the host wants to hear of them.
    pub(super) fn subscribed_to(&self, subscriptions: &[Subscription]) -> Vec<u32> {
        if !self.wanted.subscribed {
            return Vec::new();
        }
        let new = subscriptions.iter().filter(|subscription| subscription.position == UNKNOWN);
        new.map(|subscription| subscription.channel).collect()
    }
}

impl Engine {
    /// The host program hears of this shard through `port`, and is asked.
    pub fn set_host(&mut self, port: EventPort) {
        self.host.port = Some(port);
        self.policy.hosted = true;
    }

    /// If demonstrations are `shown`, `port` hears what their pages ask for; and questions are put there. Whoever listens is no
    /// host program: it offers no services.
    pub fn set_demo(&mut self, port: EventPort, shown: bool) {
        self.host.port = Some(port);
        self.policy.demo = shown;
    }

    /// The shard that asked `question`.
    pub fn asker_of(question: u64) -> u16 {
        (question >> SHARD_SHIFT) as u16
    }

    /// Whether the host program may want to know where connections come from, or the access log says so.
    pub fn wants_addresses(&self) -> bool {
        self.policy.asks_who() || self.meter.counts() || self.access_log.is_some()
    }

    /// A connection that was just opened comes from `address`.
    pub fn came_from(&mut self, token: Token, address: Address) {
        let index = token.index as usize;
        if index >= self.host.addresses.len() {
            self.host.addresses.resize(index + 1, None);
        }
        self.host.addresses[index] = Some(address);
    }

    /// What the host knows a connection by: no other has that number until four billion have come and gone.
    pub(super) fn client(&self, index: u32) -> u64 {
        let Token { index, generation } = self.slots.token(index);
        u64::from(self.shard) << SHARD_SHIFT | u64::from(generation) << 16 | u64::from(index & 0xffff)
    }

    /// The same for a session. The highest bit of the generation tells it from connections.
    pub(super) fn client_of_session(&self, slot: u32) -> u64 {
        let Token { generation, .. } = self.sessions.token(slot);
        u64::from(self.shard) << SHARD_SHIFT | u64::from(generation | 1 << 31) << 16 | u64::from(slot & 0xffff)
    }

    /// The host hears of this connection, or could: it will be told of its end.
    pub(super) fn note(&mut self, index: u32) {
        self.slots[index].flags.set(Flags::NOTED, true);
    }
}

impl Engine {
    /// A reader wants to be held, which the host may have to allow.
    pub(super) fn admit(&mut self, now: Now, index: u32, hold: Hold) {
        if let Err(reject) = self.may_be_held(index, &hold) {
            return self.refuse(now, index, &reject, false);
        }
        let judged = self.judged(&hold.channels);
        let client = self.note_if(index, !judged.is_empty());
        match self.put_questions(now.tick, index, client, &judged, hold.who.as_ref()) {
            None => self.refuse_hold(now, index, &hold, &reply::not_allowed()),
            Some(open) if open.is_empty() => self.hold(now, index, &hold),
            Some(open) => {
                self.slots[index].rest().judged = Some(Box::new(Judged { open, then: Then::Hold(hold) }));
                self.slots.turn(index, State::Judged);
                self.end_state_after(now.tick, index, NEVER_MS);
            }
        }
    }

    /// A WebSocket's client wishes for more channels, some of them `new` to it, which the host may have to allow.
    pub(super) fn admit_more(&mut self, now: Now, index: u32, new: &[Name], more: More) {
        if let Err(reject) = self.may_have_more(now, index, new) {
            return self.say_refused_more(now, index, &reject, &more);
        }
        let judged = self.judged(new);
        let who = self.slots[index].rest.as_ref().and_then(|rest| rest.who.clone());
        let client = self.note_if(index, !judged.is_empty());
        match self.put_questions(now.tick, index, client, &judged, who.as_ref()) {
            None => self.say_refused_more(now, index, &reply::not_allowed(), &more),
            Some(open) if open.is_empty() => self.subscribe_more(now, index, more),
            Some(open) => self.slots[index].rest().judged = Some(Box::new(Judged { open, then: Then::More(more) })),
        }
    }

    /// What the host knows a connection by, which it will be told the end of if it is asked about it.
    pub(super) fn note_if(&mut self, index: u32, asked: bool) -> u64 {
        if asked {
            self.note(index);
        }
        self.client(index)
    }

    /// What the host is asked about to learn whether these channels may be read.
    pub(super) fn judged(&self, channels: &[Name]) -> Vec<Arc<str>> {
        channels.iter().filter(|name| self.policy.judges(name)).map(|name| self.ruled_by(name.shared())).collect()
    }

    /// The channel, or the pattern, that decides who may read `name`, which is one too.
    pub(super) fn ruled_by(&self, name: &Arc<str>) -> Arc<str> {
        match self.policy.presence.ruled_by(name) {
            rule if rule.len() == name.len() => name.clone(),
            rule => rule.into(),
        }
    }

    /// Asks the host about each of these channels for `client`, whose request waits on a connection. Returns the questions that are open; `None` if it is decided
    /// already, and denied.
    pub(super) fn put_questions(
        &mut self,
        now: Tick,
        index: u32,
        client: u64,
        channels: &[Arc<str>],
        who: Option<&Arc<str>>,
    ) -> Option<Vec<u64>> {
        let mut open = Vec::with_capacity(channels.len());
        let token = self.slots.token(index);
        for channel in channels {
            match who.and_then(|who| self.host.ask(now, token, client, channel, who)) {
                Some(question) => open.push(question),
                None if self.host.allows => {}
                None => {
                    self.host.forget(&open);
                    return None;
                }
            }
        }
        Some(open)
    }

    /// The host answered, or nobody did in time.
    pub(super) fn verdict(&mut self, now: Now, question: u64, allow: bool) {
        let Some(Question { token, .. }) = self.host.questions.remove(&question) else { return };
        let Some(index) = self.slots.live(token) else { return };
        let Some(rest) = &mut self.slots[index].rest else { return };
        let Some(mut judged) = rest.judged.take() else { return };
        judged.open.retain(|&open| open != question);
        if allow && !judged.open.is_empty() {
            rest.judged = Some(judged);
            return;
        }
        self.host.forget(&judged.open);
        match (judged.then, allow) {
            (Then::Hold(hold), true) => self.hold(now, index, &hold),
            (Then::Hold(hold), false) => self.refuse_hold(now, index, &hold, &reply::not_allowed()),
            (Then::More(more), true) => self.subscribe_more(now, index, more),
            (Then::RollCall(call), true) => self.ask_roll(now, index, &call),
            (Then::RollCall(_), false) => self.refuse(now, index, &reply::not_allowed(), false),
            (Then::Subscribe { session, topics, reply }, allow) => {
                self.subscription_judged(now, index, session, &topics, reply, allow);
            }
            (Then::More(more), false) => self.say_refused_more(now, index, &reply::not_allowed(), &more),
        }
    }

    /// Answers questions that were open for too long, at most so many.
    pub(super) fn judge_overdue(&mut self, now: Now, count: usize) {
        for _ in 0..count {
            let Some(question) = self.host.overdue(now.tick) else { break };
            self.verdict(now, question, self.host.allows);
        }
    }

    /// A connection waits for the host no more.
    pub(super) fn forget_questions(&mut self, index: u32) {
        let judged = self.slots[index].rest.as_mut().and_then(|rest| rest.judged.take());
        if let Some(judged) = judged {
            self.host.forget(&judged.open);
        }
    }

    /// Panics unless questions and those who wait for them belong together.
    pub(super) fn check_questions(&self) {
        let waiting = self.slots.indices().filter_map(|index| Some((index, self.slots[index].rest.as_ref()?.judged.as_ref()?)));
        let mut count = 0;
        for (index, judged) in waiting {
            assert!(!judged.open.is_empty(), "slot {index} waits for nothing");
            for question in &judged.open {
                assert_eq!(self.host.questions.get(question).map(|question| question.token), Some(self.slots.token(index)));
            }
            count += judged.open.len();
        }
        assert_eq!(count, self.host.questions.len(), "each open question has somebody who waits");
    }
}

impl Engine {
    /// A client publishes on a public listener: to the host, or else as anybody would.
    pub(super) fn publish_of_client(&mut self, now: Now, index: u32, publish: &Publish, speaker: &Speaker, body: &[u8]) {
        let messages = match plain::messages(publish, body, now.unix_ms) {
            Ok(messages) => messages,
            Err(reject) => return self.refuse(now, index, &reject, false),
        };
        self.slots[index].flags.set(Flags::SHARED, self.access.knows_credentials());
        let of_host = messages.iter().filter(|message| self.is_for_host(index, message)).count();
        if of_host == 0 {
            let grant = &speaker.proof.grant;
            let refused = messages.iter().find(|message| !grant.may_publish(message.channel()));
            let allowed = match (speaker.gate.clone(), refused) {
                (Ok(()), Some(message)) => Err(not_granted(message.channel())),
                (gate, _) => gate,
            };
            return match allowed.and_then(|()| self.pay_for(now, index, &messages)) {
                Ok(()) => self.publish_messages(now, index, messages, publish.manner),
                Err(reject) => self.refuse(now, index, &reject, false),
            };
        }
        if of_host < messages.len() {
            let detail = "a batch is for the application or for subscribers, and its lines name channels of both (host_channels)";
            return self.refuse(now, index, &Reject::new(400, "bad_batch", detail), false);
        }
        if let Err(reject) = self.pay_for(now, index, &messages) {
            return self.refuse(now, index, &reject, false);
        }
        if !self.give_to_host(index, messages, speaker.who.as_ref()) {
            return self.refuse(now, index, &reply::host_is_busy(), false);
        }
        self.reply(now, index, reply::taken);
    }

    /// Whether what a connection publishes there goes to the host.
    pub(super) fn is_for_host(&self, index: u32, message: &Message) -> bool {
        self.slots[index].door.is_public() && self.policy.host_channels.matches(message.channel())
    }

    /// Gives the host what a client published, all of it or, without room, nothing. A WebSocket's client is known.
    pub(super) fn give_to_host(&mut self, index: u32, messages: Vec<Message>, who: Option<&Arc<str>>) -> bool {
        let known = || self.slots[index].rest.as_ref().and_then(|rest| rest.who.clone());
        let Some(who) = who.cloned().or_else(known) else { return false };
        let given = self.offer_to_host(self.client(index), messages, &who);
        self.note(index);
        given
    }

    /// Gives the host what `client` published, all of it or, without room, nothing.
    pub(super) fn offer_to_host(&mut self, client: u64, messages: Vec<Message>, who: &Arc<str>) -> bool {
        let Some(port) = self.host.port.as_ref() else { return false };
        let events = messages.into_iter().map(|message| Event::publish(client, message, who.clone())).collect();
        let given = port.offer(events);
        self.host.rings |= given;
        given
    }
}

impl Engine {
    /// A page of the demonstrations asks for a job, which somebody who is busy may miss: the page asks again.
    pub(super) fn ask_for_job(&mut self, now: Now, index: u32, job: &'static str) {
        let parts = Parts { channel: "/demo/ask", content_type: "", event: "", data: job.as_bytes(), unix_ms: now.unix_ms };
        let message = Message::new(&parts).expect("a job's name is a message");
        self.host.tell(Event::publish(self.client(index), message, "{}".into()));
        self.reply(now, index, reply::counted);
    }

    /// A connection holds positions in these channels now.
    pub(super) fn tell_subscribed(&mut self, index: u32, channels: &[u32]) {
        for &key in channels {
            let event = Event::subscribed(self.client(index), self.hub[key].name.clone());
            self.host.tell(event);
        }
    }

    /// A session holds a position in this channel now.
    pub(super) fn tell_session_subscribed(&mut self, slot: u32, key: u32) {
        self.sessions[slot].noted = true;
        if self.host.wanted.subscribed {
            let event = Event::subscribed(self.client_of_session(slot), self.hub[key].name.clone());
            self.host.tell(event);
        }
    }

    /// A session has ended.
    pub(super) fn tell_session_gone(&mut self, slot: u32) {
        if self.host.wanted.gone && self.sessions[slot].noted {
            let event = Event::gone(self.client_of_session(slot));
            self.host.tell(event);
        }
    }

    /// A connection or a session leaves a channel, where it may have held a position.
    pub(super) fn tell_unsubscribed(&mut self, subscriber: Subscriber, subscription: &Subscription) {
        if self.host.wanted.unsubscribed && subscription.position != UNKNOWN {
            let client = match subscriber.holder() {
                Holder::Connection(index) => self.client(index),
                Holder::Session(slot) => self.client_of_session(slot),
            };
            let event = Event::unsubscribed(client, self.hub[subscription.channel].name.clone());
            self.host.tell(event);
        }
    }

    /// A user is present in a channel whose home is here, or is so no more.
    pub(super) fn tell_presence(&mut self, event: fn(Arc<str>, Arc<str>) -> Event, channel: &Arc<str>, user: &Arc<str>) {
        if self.host.wanted.presence {
            self.host.tell(event(channel.clone(), user.clone()));
        }
    }

    /// A connection has closed.
    pub(super) fn tell_gone(&mut self, index: u32) {
        if self.host.wanted.gone && self.slots[index].flags.has(Flags::NOTED) {
            let event = Event::gone(self.client(index));
            self.host.tell(event);
        }
    }
}
