//! Bayeux requests are answered, and connects held.
//!
//! A response holds the replies to one request, in order, and events. A connect that came alone is held until its session has
//! news, and the reply to it brings them.
//!
//! **Events ride on responses**, to connects and to anything else, on one connection at a time (`riding`), so that what a
//! client gets is in order. A WebSocket is in order by itself: there they come when they are there, unless the client
//! acknowledges what it gets. So they do on an event stream, as long as there is one.

use super::bayeux_passes::not_by_script;
use super::collect::Tally;
use super::fragments::Wanted;
use super::session::Session;
use super::{Engine, reasons};
use crate::base::time::Now;
use crate::conn::{Exchange, Flags, State};
use crate::protocol::bayeux::{Ack, Advice, ConnectionType, Fault, Reply};
use crate::transport::{self, Farewell, Setting};

impl Engine {
    /// All replies are there: a connect alone is held if there is nothing to tell, anything else is answered.
    pub(super) fn answer_exchange(&mut self, now: Now, index: u32) {
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
                self.note_places_lost(now, slot);
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
        self.slots.turn(index, State::Bayeux);
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
        let Some(slot) = self.slots[index].session().filter(|&slot| self.session_has_news(slot)) else {
            self.slots[index].flags.set(Flags::CATCHING_UP, false);
            return false;
        };
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
            let events = self.take_events(now, slot);
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
            self.note_places_lost(now, slot);
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
        // Since it was asked, something may have been subscribed to that scripts do not show.
        if !self.may_be_told_by_script(index, slot) {
            reply.fault = Some(not_by_script());
            return events;
        }
        if self.may_tell(now, index, slot) && !self.is_streamed(slot) {
            events = self.take_events(now, slot);
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
            self.close_socket(now, index, Farewell::Stopping);
        }
    }

    /// Answers the connect that is held for a session, if one is, without events.
    pub(super) fn answer_held(&mut self, now: Now, slot: u32, change: impl FnOnce(Reply) -> Reply) {
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
    pub(super) fn take_events(&mut self, now: Now, slot: u32) -> Vec<u8> {
        let Session { subscriptions, stamps, .. } = &mut self.sessions[slot];
        // Each channel has its share, so that a busy one never keeps the others waiting.
        let bytes_max = (self.limits.batch_bytes / subscriptions.len().max(1)).max(1);
        let (mut events, mut tally, mut skips) = (Vec::new(), Tally::default(), Vec::new());
        for subscription in subscriptions {
            let channel = &self.hub[subscription.channel];
            let next = channel.history.next();
            if subscription.has_news(next) {
                let (key, from) = (subscription.channel, subscription.position);
                let (epoch, lag_max) = (channel.epoch, self.limits.slow_lag);
                let wanted = Wanted { channel: key, epoch, from, next, bytes_max, lag_max, stamped: *stamps };
                let fragment = self.fragments.of(wanted, channel);
                events.extend_from_slice(&fragment.json);
                subscription.position = fragment.to;
                tally = tally.plus(fragment.tally);
                if fragment.tally.skipped > 0 {
                    skips.push((key, from));
                }
            }
        }
        self.count(tally);
        for (key, from) in skips {
            self.note_session_skip(now, slot, key, from);
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
        for (reply, fault) in replies.iter().filter_map(|reply| Some((reply, reply.fault.as_ref()?))) {
            self.count_refusal(reasons::of_bayeux(fault.code));
            self.note_fault(now, index, reply, fault);
        }
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
