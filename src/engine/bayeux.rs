//! Bayeux requests are performed and answered.
//!
//! The messages of a request are performed in order, and their replies stand in that order in one response, which is sent
//! when the last of them is there. A subscription is answered when the channel's home knows of it, a publish when the home
//! has kept it. A connect that came alone is held until its session has news.
//!
//! **Events ride on responses**, to connects and to anything else, on one connection at a time (`riding`), so that what a
//! client gets is in order. A WebSocket is in order by itself: there they come when they are there, unless the client
//! acknowledges what it gets. So they do on an event stream, as long as there is one.

use super::fragments::Wanted;
use super::session::Session;
use super::{Engine, PeerMessage};
use crate::base::id::Token;
use crate::base::pattern::Pattern;
use crate::base::time::{Now, Tick};
use crate::conn::{Call, Cargo, Connecting, Exchange, Flags, Judged, State, Then};
use crate::protocol::bayeux::{Ack, Advice, Browser, Client, ConnectionType, Fault, Incoming, Reply, Topic, What};
use crate::protocol::plain::reply;
use crate::transport::{self, Setting};
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
        connection.rest().exchange = Some(Box::new(Exchange::new(messages, call.who, Some(call.jar))));
        self.perform_messages(now, index);
    }

    /// A connection is to be answered as a request with these messages wants it.
    pub(super) fn take_look(&mut self, index: u32, call: &Call, messages: &[Incoming]) {
        let look = self.looks.take(&call.look).expect("only pictures are refused");
        let connection = &mut self.slots[index];
        connection.look = look;
        connection.variant = call.variant(messages).last(connection.flags.has(Flags::LAST));
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
            self.slots[index].state = state;
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
        let Incoming { client, what, mut reply } = message;
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
        if let Some(slot) = session.filter(|_| !matches!(what, What::Connect { .. })) {
            self.sessions[slot].heard_at = now.tick.low();
        }
        let token = session.map(|slot| self.sessions.token(slot));
        if let Some(exchange) = self.exchange(index) {
            exchange.speaks_for = exchange.speaks_for.or(token);
        }
        match (what, session) {
            (What::Handshake { acknowledges }, _) => Outcome::Done(self.shake_hands(now, index, acknowledges, reply)),
            (What::Publish(message), session) => self.publish_message(now, index, session, message, reply),
            (What::Serve(message), session) => Outcome::Done(self.serve(index, session, message, reply)),
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

    fn shake_hands(&mut self, now: Now, index: u32, acknowledges: bool, mut reply: Reply) -> Reply {
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
                self.sessions[slot].stamps = reply.stamped;
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
        if self.wishes(slot) + new.len() > self.limits.subscriptions {
            let detail = format!("A client has at most {} channels (subscriptions_max)", self.limits.subscriptions);
            return Outcome::Done(reply.failed(Fault::new(403, detail)));
        }
        let judged: Vec<Arc<str>> = new.iter().filter_map(|topic| self.judged_topic(topic)).collect();
        let who = self.exchange(index).and_then(|exchange| exchange.who.clone());
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
            Topic::Channel(name) => self.policy.judge.matches(name).then(|| name.shared().clone()),
            Topic::Stars(stars) => {
                let pattern = Pattern::parse(stars).ok()?;
                self.policy.judge.overlap(&pattern).then(|| stars.clone())
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

    /// All replies are there: a connect alone is held if there is nothing to tell, anything else is answered.
    fn answer_exchange(&mut self, now: Now, index: u32) {
        let Some(exchange) = self.slots[index].rest.as_mut().and_then(|rest| rest.exchange.take()) else { return };
        let Exchange { replies, connecting, speaks_for, cookie, .. } = *exchange;
        let mut replies: Vec<Reply> = replies.into_iter().map(|pending| pending.reply).collect();
        let connecting = connecting.and_then(|connecting| Some((self.sessions.live(connecting.session)?, connecting.timeout_ms)));
        let mut events = Vec::new();
        // A newer connect may have come meanwhile: events are that one's.
        let socket = self.is_socket(index);
        let free = |slot: u32| self.sessions[slot].carrier.is_none_or(|token| token == self.slots.token(index));
        if let Some((slot, timeout_ms)) = connecting.filter(|(slot, _)| free(*slot)) {
            let tells = self.may_tell(now, index, slot);
            let waits = timeout_ms > 0 && (socket || replies.len() == 1) && !(tells && self.connect_has_news(slot));
            let crowded = waits && !socket && self.is_crowded(slot);
            let last = replies.iter().rposition(is_connect);
            if self.session_is_over(slot) {
                self.put_down_session(now, slot);
                self.end_session(now, slot);
                replies.iter_mut().filter(|reply| is_connect(reply)).for_each(tell_over);
            } else if let Some(last) = last.filter(|_| waits && !crowded) {
                let reply = replies.remove(last);
                self.hold_connect(now, index, slot, timeout_ms, reply);
                if replies.is_empty() {
                    return;
                }
            } else if let Some(last) = last {
                if crowded {
                    replies[last].advice = Some(self.turn_away(now, slot));
                }
                events = self.events_for_connect(now, index, slot, &mut replies[last]);
            }
        } else if connecting.is_none() {
            events = self.riding_events(now, index, speaks_for);
        }
        self.respond_with(now, index, &events, &replies, cookie.as_deref());
    }

    /// Whoever carries a session does so no more.
    pub(super) fn put_down_session(&mut self, now: Now, slot: u32) {
        if let Some(index) = self.sessions[slot].carrier.and_then(|token| self.slots.live(token)) {
            self.put_down(now.tick, index);
        }
    }

    fn hold_connect(&mut self, now: Now, index: u32, slot: u32, timeout_ms: u64, reply: Reply) {
        self.slots[index].state = State::Bayeux;
        self.carry(now.tick, index, slot, reply);
        self.end_state_after(now.tick, index, timeout_ms);
        self.slots[index].tidy();
        if self.session_has_news(slot) {
            // They are kept back for now.
            self.enqueue(index);
        }
    }

    /// Tells a session its news, if it has some; says whether there is something to write.
    pub(super) fn bring_to_session(&mut self, now: Now, index: u32) -> bool {
        let Some(slot) = self.slots[index].session().filter(|&slot| self.session_has_news(slot)) else { return false };
        let over = self.session_is_over(slot);
        if !over && !self.may_tell(now, index, slot) {
            let due = self.due(now.tick, index);
            self.wake_by(now.tick, index, due);
            return false;
        }
        let alone = !self.is_socket(index) && !self.is_streamed(slot);
        if alone || self.acknowledges(slot) || over {
            // Between two connects there is none to answer: the next one is.
            let carrier = self.sessions[slot].carrier.map_or(index, |token| token.index);
            self.answer_connect(now, carrier);
        } else if self.teller(slot) == Some(self.slots.token(index)) {
            let events = self.take_events(slot);
            self.told_by_connect(index, slot);
            self.respond(now, index, &events, &[]);
        }
        self.slots[index].has_unsent()
    }

    /// Answers the connect that a connection holds with what there is, if only that there is nothing.
    pub(super) fn answer_connect(&mut self, now: Now, index: u32) {
        let Some(slot) = self.slots[index].session().filter(|&slot| self.sessions[slot].connect.is_some()) else { return };
        let mut reply = self.reply_to_held(slot);
        let mut events = Vec::new();
        self.release_connect(now, index, slot);
        if self.session_is_over(slot) {
            self.put_down(now.tick, index);
            self.end_session(now, slot);
            tell_over(&mut reply);
        } else {
            reply.advice = self.welcome_back(slot);
            events = self.events_for_connect(now, index, slot, &mut reply);
        }
        self.respond(now, index, &events, &[reply]);
    }

    /// Takes the events that come with the reply to a connect, and numbers it for a client that acknowledges.
    fn events_for_connect(&mut self, now: Now, index: u32, slot: u32, reply: &mut Reply) -> Vec<u8> {
        let mut events = Vec::new();
        if self.may_tell(now, index, slot) && !self.is_streamed(slot) {
            events = self.take_events(slot);
        }
        if !events.is_empty() {
            self.told_by_connect(index, slot);
        }
        reply.ack = self.next_batch(slot).map(Ack::Batch);
        events
    }

    /// The connect of a session is answered. A WebSocket goes on to carry the session.
    fn release_connect(&mut self, now: Now, index: u32, slot: u32) {
        if !self.is_socket(index) {
            return self.put_down(now.tick, index);
        }
        self.sessions[slot].connect = None;
        self.await_connect(now.tick, slot);
        self.rest_socket(now, index);
    }

    /// The server stops: whoever is held is answered, and the connection ends with that.
    pub(super) fn end_connect(&mut self, now: Now, index: u32) {
        if self.is_event_stream(index) {
            return self.end_hold(now, index);
        }
        self.slots[index].flags.set(Flags::LAST, true);
        self.answer_connect(now, index);
        if self.is_socket(index) {
            self.close_socket(now, index, "stopping");
        }
    }

    /// Answers the connect that is held for a session, if one is, without events.
    fn answer_held(&mut self, now: Now, slot: u32, change: impl FnOnce(Reply) -> Reply) {
        let Some(token) = self.sessions[slot].carrier else { return };
        let reply = self.sessions[slot].connect.is_some().then(|| change(self.reply_to_held(slot)));
        let index = self.slots.live(token).expect("who carries a session is there");
        self.put_down(now.tick, index);
        if let Some(reply) = reply {
            self.respond(now, index, &[], &[reply]);
        }
        if self.is_socket(index) {
            self.rest_socket(now, index);
        }
    }

    fn reply_to_held(&self, slot: u32) -> Reply {
        let session = &self.sessions[slot];
        Reply {
            channel: CONNECT.into(),
            id: session.connect.clone().unwrap_or_default(),
            client_id: Some(self.client_id(slot)),
            timesync: session.extras.as_ref().and_then(|extras| extras.timesync),
            stamped: session.stamps,
            ..Reply::default()
        }
    }

    /// Whether the reply to a connect has something to tell.
    fn connect_has_news(&self, slot: u32) -> bool {
        !self.is_streamed(slot) && self.session_has_news(slot)
    }

    /// Takes what a session has not got, as far as a response has room; each event is followed by a comma.
    pub(super) fn take_events(&mut self, slot: u32) -> Vec<u8> {
        let Session { subscriptions, stamps, .. } = &mut self.sessions[slot];
        // Each channel has its share, so that a busy one never keeps the others waiting.
        let bytes_max = (self.limits.batch_bytes / subscriptions.len().max(1)).max(1);
        let mut events = Vec::new();
        for subscription in subscriptions {
            let channel = &self.hub[subscription.channel];
            let next = channel.history.next();
            if subscription.has_news(next) {
                let (key, from) = (subscription.channel, subscription.position);
                let wanted = Wanted { channel: key, epoch: channel.epoch, from, next, bytes_max, stamped: *stamps };
                let fragment = self.fragments.of(wanted, channel);
                events.extend_from_slice(&fragment.json);
                subscription.position = fragment.to;
                self.counters.delivered += fragment.messages;
            }
        }
        events
    }

    /// Writes a response that sets no cookie.
    fn respond(&mut self, now: Now, index: u32, events: &[u8], replies: &[Reply]) {
        self.respond_with(now, index, events, replies, None);
    }

    /// Writes the response: replies in order, events before the reply to the connect that they come with, or behind all replies.
    fn respond_with(&mut self, now: Now, index: u32, events: &[u8], replies: &[Reply], cookie: Option<&str>) {
        let mut json = Vec::with_capacity(events.len() + 256 * replies.len() + 2);
        json.push(b'[');
        let connection_types = ConnectionType::offered(self.policy.origins.are_named());
        let last = replies.iter().rposition(is_connect);
        for (place, reply) in replies.iter().enumerate() {
            if place > 0 {
                json.push(b',');
            }
            if Some(place) == last {
                json.extend_from_slice(events);
            }
            reply.write(&mut json, connection_types, now.unix_ms);
        }
        if let (None, Some(events)) = (last, events.strip_suffix(b",")) {
            if !replies.is_empty() {
                json.push(b',');
            }
            json.extend_from_slice(events);
        }
        json.push(b']');
        self.counters.refused += replies.iter().filter(|reply| reply.fault.is_some()).count() as u64;
        let connection = &mut self.slots[index];
        let variant = connection.variant.last(connection.flags.has(Flags::LAST));
        let setting = self.calendar.setting(now, self.looks.get(connection.look), self.durations.retry);
        let setting = Setting { cookie, ..setting };
        transport::answer(connection.out(), variant, &json, &setting, &mut self.tools);
        if self.is_socket(index) || self.is_event_stream(index) {
            return self.enqueue(index);
        }
        self.leave(now, index);
        self.hold_answered(now, index);
    }
}

const CONNECT: &str = "/meta/connect";

fn is_connect(reply: &Reply) -> bool {
    *reply.channel == *CONNECT
}

/// The session of this connect has lost its place.
fn tell_over(reply: &mut Reply) {
    let client = reply.client_id.take().map(|client| client.to_string()).unwrap_or_default();
    reply.fault = Some(Fault::unknown_client(&client));
    reply.advice = Some(Advice::Handshake { interval_ms: 0 });
}

fn denied() -> Fault {
    Fault::new(403, reply::not_allowed().detail)
}

pub(super) fn too_many_channels() -> Fault {
    Fault::new(503, reply::too_many_channels().detail)
}
