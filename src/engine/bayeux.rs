//! Bayeux requests are performed.
//!
//! The messages of a request are performed in order, and their replies stand in that order in one response, which is sent
//! when the last of them is there (`bayeux_answer`). A subscription is answered when the channel's home knows of it, a
//! publish when the home has kept it.

use super::bayeux_passes::expired_fault;
use super::{Engine, PeerMessage};
use crate::base::id::Token;
use crate::base::name::is_internal;
use crate::base::time::{Now, Tick};
use crate::conn::{Call, Cargo, Connecting, Exchange, Flags, Judged, Proof, State, Then, bayeux_way};
use crate::protocol::bayeux::{Ack, Advice, Browser, Client, ConnectionType, Fault, Incoming, Reply, Topic, What};
use crate::protocol::plain::reply;
use std::sync::Arc;

/// How long a client is told to wait that finds no room for its session.
const FULL_INTERVAL_MS: u64 = 5_000;

/// What became of a message.
pub(super) enum Outcome {
    /// This is its reply.
    Done(Reply),
    /// This will be, once so many home shards have answered.
    Waits(Reply, u32),
    /// The host program is asked first; what comes behind waits too.
    Judged,
}

impl Engine {
    /// A Bayeux request is here, whole.
    pub(super) fn called(&mut self, now: Now, index: u32, call: Call, body: &[u8]) {
        if self.draining {
            return self.refuse(now, index, &reply::stopping(), true);
        }
        if let Some(client) = call.stream {
            return self.open_stream(now, index, client, call);
        }
        let messages = match call.messages(body, now.unix_ms) {
            Ok(messages) => messages,
            Err(reject) => return self.refuse(now, index, &reject, false),
        };
        if let Some(shard) = self.elsewhere(&messages, call.jar.browser) {
            return self.move_to(now, index, shard, Cargo::Call { call, body: body.to_vec() });
        }
        self.take_look(index, &call, &messages);
        let connection = &mut self.slots[index];
        connection.flags.set(Flags::MAY_PUBLISH, call.may_publish);
        connection.rest().exchange = Some(Box::new(Exchange::new(messages, call.who, Some(call.jar), Some(call.proof))));
        self.perform_messages(now, index);
    }

    /// A connection is to be answered as a request with these messages wants it.
    pub(super) fn take_look(&mut self, index: u32, call: &Call, messages: &[Incoming]) {
        let look = self.looks.take(&call.look).expect("only pictures are refused");
        let connection = &mut self.slots[index];
        connection.look = look;
        connection.variant = call.variant(messages).last(connection.flags.has(Flags::LAST));
        let transport = connection.variant.transport();
        self.log_transport(index, bayeux_way(transport));
    }

    /// The other shard where the session lies that these messages speak of; or where those of a browser do that shakes hands.
    pub(super) fn elsewhere(&self, messages: &[Incoming], browser: Option<Browser>) -> Option<u16> {
        let shard = |message: &Incoming| match (&message.what, &message.client) {
            (What::Handshake { .. }, _) => browser.map(|browser| browser.shard),
            (_, Client::Known(client)) => Some(client.shard),
            (_, Client::Nobody | Client::Stranger) => None,
        };
        messages.iter().find_map(shard).filter(|&shard| shard != self.shard && shard < self.shards)
    }

    /// Performs what is left of a request's messages, and answers it once all replies are there.
    pub(super) fn perform_messages(&mut self, now: Now, index: u32) {
        while let Some(message) = self.next_message(index) {
            let outcome = self.perform_message(now, index, message);
            let Some(exchange) = self.exchange(index) else { return };
            match outcome {
                Outcome::Done(reply) => exchange.add(reply, 0),
                Outcome::Waits(reply, waiting) => exchange.add(reply, waiting),
                Outcome::Judged => {
                    exchange.judged = true;
                    return self.wait_for_replies(now, index, State::Judged, super::deadlines::NEVER_MS);
                }
            }
        }
        match self.exchange(index).map(|exchange| exchange.missing) {
            None => {}
            Some(0) => self.answer_exchange(now, index),
            Some(_) => {
                let exchange = self.exchange(index).filter(|exchange| exchange.connecting.is_none());
                let session = exchange.and_then(|exchange| exchange.speaks_for);
                self.expect_riders(now, index, session);
                self.wait_for_replies(now, index, State::Asking, self.durations.stall);
            }
        }
    }

    /// A WebSocket goes on to be one while it waits.
    fn wait_for_replies(&mut self, now: Now, index: u32, state: State, ms: u64) {
        if !self.is_socket(index) {
            self.slots.turn(index, state);
            self.end_state_after(now.tick, index, ms);
        }
    }

    pub(super) fn exchange(&mut self, index: u32) -> Option<&mut Exchange> {
        self.slots[index].rest.as_mut()?.exchange.as_deref_mut()
    }

    fn next_message(&mut self, index: u32) -> Option<Incoming> {
        self.exchange(index)?.messages.pop_front()
    }

    fn perform_message(&mut self, now: Now, index: u32, message: Incoming) -> Outcome {
        let Incoming { client, token, what, mut reply } = message;
        let session = match (&what, &client) {
            // Whoever wants nothing of a session need not have one.
            (What::Nothing | What::Handshake { .. }, _) | (What::Publish(_) | What::Serve(_), Client::Nobody) => None,
            _ => match self.session_of(&client) {
                Ok(slot) => Some(slot),
                Err(fault) => {
                    reply.advice = Some(Advice::Handshake { interval_ms: 0 });
                    return Outcome::Done(reply.failed(fault));
                }
            },
        };
        let proof = match self.show_papers(now, index, session, token.as_deref()) {
            Ok(proof) => proof,
            Err((fault, advice)) => return Outcome::Done(Reply { advice, ..reply.failed(fault) }),
        };
        if matches!(what, What::Publish(_) | What::Serve(_)) && proof.grant.is_over(now.unix_ms) {
            return Outcome::Done(reply.failed(expired_fault()));
        }
        if let Some(slot) = session.filter(|_| !matches!(what, What::Connect { .. })) {
            self.sessions[slot].heard_at = now.tick.low();
        }
        let token = session.map(|slot| self.sessions.token(slot));
        if let Some(exchange) = self.exchange(index) {
            exchange.speaks_for = exchange.speaks_for.or(token);
        }
        match (what, session) {
            (What::Handshake { acknowledges }, _) => Outcome::Done(self.shake_hands(now, index, &proof, acknowledges, reply)),
            (What::Publish(message), session) => self.publish_message(now, index, session, &proof, message, reply),
            (What::Serve(message), session) => Outcome::Done(self.serve(now, index, session, message, reply)),
            (What::Nothing, _) | (_, None) => Outcome::Done(reply),
            (what, Some(slot)) => {
                reply.client_id = Some(self.client_id(slot));
                match what {
                    What::Connect { .. } if self.is_inactive(now.tick, slot) => {
                        Outcome::Done(self.disconnect(now, slot, Reply { advice: Some(Advice::None), ..reply }))
                    }
                    What::Connect { by, timeout_ms, acknowledged } => {
                        if by != ConnectionType::EventSource {
                            // Whoever comes another way has left its stream, or soon will.
                            self.end_stream(now, slot);
                        }
                        let reply = self.connect(now, index, slot, timeout_ms, reply);
                        self.acknowledged(slot, acknowledged);
                        Outcome::Done(reply)
                    }
                    What::Disconnect => Outcome::Done(self.disconnect(now, slot, reply)),
                    What::Subscribe(topics) => self.subscribe_topics(now, index, slot, &topics, reply),
                    What::Unsubscribe(topics) => Outcome::Done(self.unsubscribe_topics(now, slot, &topics, reply)),
                    What::Nothing | What::Handshake { .. } | What::Publish(_) | What::Serve(_) => Outcome::Done(reply),
                }
            }
        }
    }

    fn session_of(&self, client: &Client) -> Result<u32, Fault> {
        match client {
            Client::Nobody => Err(Fault::new(401, "No client id")),
            Client::Stranger => Err(Fault::unknown_client("")),
            Client::Known(id) if id.shard != self.shard => Err(Fault::unknown_client(&id.to_string())),
            Client::Known(id) => self.sessions.find(*id).ok_or_else(|| Fault::unknown_client(&id.to_string())),
        }
    }

    fn retry(&self) -> Advice {
        self.advise_retry(None, self.durations.bayeux_interval)
    }

    pub(super) fn advise_retry(&self, multiple_clients: Option<bool>, interval_ms: u64) -> Advice {
        Advice::Retry { interval_ms, timeout_ms: self.durations.bayeux, multiple_clients }
    }

    fn shake_hands(&mut self, now: Now, index: u32, proof: &Proof, acknowledges: bool, mut reply: Reply) -> Reply {
        let place = match self.take_place(index, proof.grant.user.as_ref()) {
            Ok(place) => place,
            Err(reject) => {
                reply.advice = Some(Advice::Handshake { interval_ms: FULL_INTERVAL_MS });
                return reply.failed(Fault::new(429, reject.detail));
            }
        };
        let jar = self.exchange(index).and_then(|exchange| exchange.jar);
        let (browser, cookie) = self.meet_browser(jar);
        match self.open_session(now, browser.map(|browser| browser.secret)) {
            Some(slot) => {
                if let Some(exchange) = self.exchange(index) {
                    exchange.cookie = cookie;
                }
                if acknowledges {
                    self.sessions[slot].acks = Some(Box::default());
                    reply.ack = Some(Ack::Agreed);
                }
                if place.is_some() {
                    self.sessions[slot].extras().place = place;
                }
                self.sessions[slot].stamps = reply.stamped;
                self.give_session_pass(now, slot, proof);
                if self.is_socket(index) {
                    // It speaks for one user.
                    self.keep_pass(now, index, proof);
                }
                reply.client_id = Some(self.client_id(slot));
                reply.advice = Some(self.retry());
                reply
            }
            None => {
                reply.advice = Some(Advice::Handshake { interval_ms: FULL_INTERVAL_MS });
                reply.failed(Fault::new(503, "There are as many sessions as there may be (bayeux_sessions_max)"))
            }
        }
    }

    /// A client is here for what its session has to be told. Of two connects the older one ends.
    fn connect(&mut self, now: Now, index: u32, slot: u32, timeout_ms: Option<u64>, mut reply: Reply) -> Reply {
        self.answer_held(now, slot, |reply| reply.failed(Fault::new(409, "A newer connect took this one's place")));
        let session = self.sessions.token(slot);
        self.connects_anew(slot);
        self.await_connect(now.tick, slot);
        let longest = self.durations.bayeux;
        let connecting = Connecting { session, timeout_ms: timeout_ms.map_or(longest, |wished| wished.min(longest)) };
        if let Some(exchange) = self.exchange(index) {
            exchange.connecting = Some(connecting);
        }
        // Who speaks of advice wants to hear of it.
        reply.advice = timeout_ms.map(|_| self.retry());
        reply
    }

    /// Whether its client has sent nothing but connects for longer than it may.
    fn is_inactive(&self, now: Tick, slot: u32) -> bool {
        let inactivity = self.durations.inactivity;
        inactivity > 0 && now > now.nearest(self.sessions[slot].heard_at) + inactivity
    }

    fn disconnect(&mut self, now: Now, slot: u32, reply: Reply) -> Reply {
        self.answer_held(now, slot, |reply| Reply { advice: Some(Advice::None), ..reply });
        self.end_session(now, slot);
        reply
    }

    fn subscribe_topics(&mut self, now: Now, index: u32, slot: u32, topics: &[Topic], reply: Reply) -> Outcome {
        let mut new: Vec<Topic> = Vec::new();
        for topic in topics {
            let known = match topic {
                Topic::Channel(name) => self.hub.find(name).is_some_and(|key| self.is_named(slot, key)),
                Topic::Stars(pattern) => self.is_watching(slot, pattern),
                Topic::Service => true,
            };
            if !known && !new.contains(topic) {
                new.push(topic.clone());
            }
        }
        if new.iter().any(|topic| matches!(topic, Topic::Channel(name) if is_internal(name))) {
            return Outcome::Done(reply.failed(internal()));
        }
        if self.wishes(slot) + new.len() > self.limits.subscriptions {
            let detail = format!("A client has at most {} channels (subscriptions_max)", self.limits.subscriptions);
            return Outcome::Done(reply.failed(Fault::new(403, detail)));
        }
        if let Some(fault) = new.iter().find_map(|topic| self.objection(now, index, slot, topic)) {
            return Outcome::Done(reply.failed(fault));
        }
        let judged: Vec<Arc<str>> = new.iter().filter_map(|topic| self.judged_topic(topic)).collect();
        let who = self.known_as(index, Some(slot));
        if !judged.is_empty() {
            self.sessions[slot].noted = true;
        }
        let client = self.client_of_session(slot);
        match self.put_questions(now.tick, index, client, &judged, who.as_ref()) {
            None => Outcome::Done(reply.failed(denied())),
            Some(open) if open.is_empty() => self.join_topics(now, index, slot, &new, reply),
            Some(open) => {
                let then = Then::Subscribe { session: self.sessions.token(slot), topics: new, reply };
                self.slots[index].rest().judged = Some(Box::new(Judged { open, then }));
                Outcome::Judged
            }
        }
    }

    /// The host program said what it thinks of a subscription; the rest of its request goes on.
    pub(super) fn subscription_judged(
        &mut self,
        now: Now,
        index: u32,
        session: Token,
        topics: &[Topic],
        reply: Reply,
        allow: bool,
    ) {
        let outcome = match self.sessions.live(session) {
            None => Outcome::Done(Reply {
                advice: Some(Advice::Handshake { interval_ms: 0 }),
                ..reply.failed(Fault::unknown_client(""))
            }),
            Some(_) if !allow => Outcome::Done(reply.failed(denied())),
            Some(slot) => self.join_topics(now, index, slot, topics, reply),
        };
        let Some(exchange) = self.exchange(index) else { return };
        exchange.judged = false;
        match outcome {
            Outcome::Done(reply) => exchange.add(reply, 0),
            Outcome::Waits(reply, waiting) => exchange.add(reply, waiting),
            Outcome::Judged => unreachable!("nobody is asked twice"),
        }
        self.perform_messages(now, index);
        self.heard_more(now, index);
    }

    /// What the host program is to decide of a topic, if anything.
    fn judged_topic(&self, topic: &Topic) -> Option<Arc<str>> {
        match topic {
            Topic::Channel(name) => self.policy.judges(name).then(|| self.ruled_by(name.shared())),
            Topic::Stars(stars) => {
                let pattern = self.policy.rule_of_stars(stars)?;
                self.policy.judge.overlap(&pattern).then(|| self.ruled_by(stars))
            }
            Topic::Service => None,
        }
    }

    /// Nobody objects: a session subscribes to these, to all of them or to none.
    fn join_topics(&mut self, now: Now, index: u32, slot: u32, topics: &[Topic], reply: Reply) -> Outcome {
        let unknown = |topic: &&Topic| matches!(topic, Topic::Channel(name) if self.hub.find(name).is_none());
        if self.hub.len() + topics.iter().filter(unknown).count() > self.limits.channels {
            return Outcome::Done(reply.failed(too_many_channels()));
        }
        let fits = |topic: &Topic| !matches!(topic, Topic::Stars(pattern) if !self.may_watch(slot, pattern));
        if !topics.iter().all(fits) {
            let detail = format!("A client has at most {} channels by stars (bayeux_channels_max)", self.limits.star_channels);
            return Outcome::Done(reply.failed(Fault::new(403, detail)));
        }
        let place = self.exchange(index).map_or(0, |exchange| exchange.replies.len());
        let asker = self.asker(index, place);
        let mut waiting = 0;
        for topic in topics {
            match topic {
                Topic::Channel(name) => {
                    let key = self.channel_to_read(now.tick, name);
                    self.name(slot, key);
                    let subscribed = self.sessions[slot].subscriptions.iter().any(|one| one.channel == key);
                    if !subscribed && self.subscribe_session(now.tick, slot, key) {
                        // The home's answer to any question comes behind what it knows of the channel.
                        let home = Engine::home_of(self.seed, self.shards, name);
                        self.peers.post(home, PeerMessage::Inspect { name: name.shared().clone(), asker });
                        waiting += 1;
                    }
                }
                Topic::Stars(pattern) => waiting += self.watch(now.tick, slot, pattern, asker),
                Topic::Service => {}
            }
        }
        Outcome::Waits(reply, waiting)
    }

    fn unsubscribe_topics(&mut self, now: Now, slot: u32, topics: &[Topic], reply: Reply) -> Reply {
        for topic in topics {
            match topic {
                Topic::Channel(name) => {
                    if let Some(key) = self.hub.find(name) {
                        self.unname(now.tick, slot, key);
                    }
                }
                Topic::Stars(pattern) => self.unwatch(now.tick, slot, pattern),
                Topic::Service => {}
            }
        }
        reply
    }

    /// A home answered one of the questions of a request.
    pub(super) fn exchange_answered(&mut self, now: Now, index: u32, question: u32, refused: bool) {
        let Some(exchange) = self.exchange(index) else { return };
        let news = exchange.answered(question, |reply| {
            if refused {
                reply.fault = Some(too_many_channels());
            }
        });
        // While the host program is asked, there are messages to be performed still.
        if news && exchange.missing == 0 && !exchange.judged {
            self.answer_exchange(now, index);
            self.heard_more(now, index);
        }
    }

    /// What a client sent while it was waiting may be read.
    pub(super) fn heard_more(&mut self, now: Now, index: u32) {
        match self.is_socket(index) {
            true if self.slots[index].rest.as_ref().is_some_and(|rest| !rest.inbox.is_empty()) => {
                self.heard_socket(now, index, &[]);
            }
            true => {}
            false => self.resume_reading(now, index),
        }
    }
}

/// Bayeux clients have no business in the server's own channels, by whichever door they come.
fn internal() -> Fault {
    Fault::new(403, reply::internal().detail)
}

fn denied() -> Fault {
    Fault::new(403, reply::not_allowed().detail)
}

pub(super) fn too_many_channels() -> Fault {
    Fault::new(503, reply::too_many_channels().detail)
}
