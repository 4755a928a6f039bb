//! WebSockets: what their clients say, and what they are answered. What they are told of their channels goes
//! the way of all readers (`deliver`).
//!
//! A client's wishes are fulfilled one after the other: while one waits for other shards, what the client says
//! next is left unread.

use super::{Answer, Asker, Engine, PeerMessage, reasons};
use crate::base::error::Reject;
use crate::base::name::{Name, is_internal};
use crate::base::payload::Message;
use crate::base::time::Now;
use crate::channel::Subscriber;
use crate::conn::{Asking, Flags, More, State};
use crate::protocol::plain::feed::{self, What, Wish};
use crate::protocol::plain::{Manner, reply};
use crate::transport::Transport;
use crate::transport::websocket::{self, Event, Fault, Inbound, NORMAL, Opcode, Rules, Workspace};
use std::sync::Arc;

/// Bytes of answers collected before a client has to take some of them.
const OUT_BYTES_MAX: usize = 64 << 10;

impl Engine {
    pub(super) fn is_socket(&self, index: u32) -> bool {
        let connection = &self.slots[index];
        matches!(connection.state, State::Parked | State::Bayeux) && connection.variant.transport() == Transport::WebSocket
    }

    /// Bytes came on a WebSocket, or what came before may be gone on with.
    pub(super) fn heard_socket(&mut self, now: Now, index: u32, fresh: &[u8]) {
        let rest = self.slots[index].rest();
        let mut kept = std::mem::take(&mut rest.inbox);
        let mut inbound: Box<Inbound> = rest.inbound.take().unwrap_or_default();
        if !kept.is_empty() {
            kept.extend_from_slice(fresh);
        }
        let mut input = if kept.is_empty() { fresh } else { &kept };
        let rules = Rules {
            deflate: self.looks.get(self.slots[index].look).deflate.is_some(),
            message_bytes_max: usize::try_from(self.limits.http.body_bytes).unwrap_or(usize::MAX),
        };
        let mut workspace: Workspace = std::mem::take(&mut self.workspace);
        while self.is_socket(index) && self.takes_wishes(index) {
            match inbound.receive(&mut input, &rules, &mut workspace) {
                Ok(Some(event)) => self.socket_event(now, index, event),
                Ok(None) => break,
                Err(fault) => self.hang_up(now, index, &fault),
            }
        }
        self.workspace = workspace;
        let unread = input.to_vec();
        // What is not read here may be read on another shard.
        let open = self.is_socket(index) || self.slots[index].state == State::Moving;
        let connection = &mut self.slots[index];
        if open && !(inbound.is_idle() && unread.is_empty()) {
            let rest = connection.rest();
            rest.inbox = unread;
            rest.inbound = (!inbound.is_idle()).then_some(inbound);
        }
        connection.tidy();
        self.hear(index);
    }

    /// Whether the client's next wish may be heard: the last is fulfilled, and answers do not pile up.
    fn takes_wishes(&self, index: u32) -> bool {
        let rest = &self.slots[index].rest;
        rest.as_ref().is_none_or(|rest| {
            let waits = rest.joining.is_some() || rest.asking.is_some() || rest.judged.is_some() || rest.exchange.is_some();
            !waits && rest.out.len() < OUT_BYTES_MAX
        })
    }

    fn socket_event(&mut self, now: Now, index: u32, event: Event<'_>) {
        let echo = self.slots[index].flags.has(Flags::ECHO);
        let bayeux = self.slots[index].state == State::Bayeux;
        match event {
            Event::Text(text) if bayeux => self.heard_messages(now, index, text),
            Event::Binary(_) if bayeux => {
                let fault = Fault { code: websocket::UNSUPPORTED, detail: "messages are JSON, in text".into() };
                self.hang_up(now, index, &fault);
            }
            Event::Text(text) if echo => self.echo(now, index, Opcode::Text, text.as_bytes()),
            Event::Binary(bytes) if echo => self.echo(now, index, Opcode::Binary, bytes),
            Event::Text(text) => match feed::parse(text, now.unix_ms) {
                Ok(wish) => self.fulfil(now, index, wish),
                Err((reference, reject)) => self.say_refused(now, index, &reject, &reference),
            },
            Event::Binary(_) => {
                let reject = Reject::new(400, "bad_command", "what a client says is JSON, in messages of text");
                self.say_refused(now, index, &reject, "");
            }
            Event::Ping(payload) => {
                websocket::pong(self.slots[index].out(), payload);
                self.enqueue(index);
            }
            Event::Pong => {}
            Event::Close { code, .. } => {
                websocket::close(self.slots[index].out(), code.map(|_| NORMAL), "");
                self.leave(now, index);
                self.hold_answered(now, index);
            }
        }
    }

    /// The client broke the protocol: it is told how, and nothing more is read from it.
    pub(super) fn hang_up(&mut self, now: Now, index: u32, fault: &Fault) {
        log::debug!("closed a WebSocket with {}: {}", fault.code, fault.detail);
        let reject = Reject::new(400, reasons::of_websocket(fault.code), fault.detail.clone());
        self.count_refusal(reject.code);
        self.note_refusal(now, index, &reject, &[]);
        websocket::close(self.slots[index].out(), Some(fault.code), &fault.detail);
        self.leave(now, index);
        self.hold_answered(now, index);
    }

    /// Whether a channel is the server's own, and this connection came by no door to them. Of whoever holds a socket it is
    /// known only from what it may publish that its request came from no other site's page.
    fn is_closed(&self, index: u32, channel: &str) -> bool {
        let connection = &self.slots[index];
        let stranger = connection.door.is_public() || self.is_socket(index) && !connection.flags.has(Flags::MAY_PUBLISH);
        stranger && is_internal(channel)
    }

    fn fulfil(&mut self, now: Now, index: u32, wish: Wish) {
        let Wish { reference, what } = wish;
        match what {
            What::Subscribe { channels, since } => self.wish_for(now, index, More { channels, since, reference }),
            What::Unsubscribe { channels } => {
                for name in &channels {
                    if let Some(key) = self.hub.find(name)
                        && let Some(subscription) = self.slots[index].take_subscription(key)
                    {
                        self.unsubscribe(now.tick, Subscriber::connection(index), subscription);
                    }
                }
                self.say_json(now, index, &feed::unsubscribed(&channels, &reference));
            }
            What::Renew(token) => {
                let outcome = self.look_at(now, index, &token).and_then(|proof| match self.pass(index) {
                    None if self.slots[index].door.is_public() => self.log_in(now, index, &proof),
                    _ => self.renew(now, index, &proof),
                });
                match outcome {
                    Ok(expires_in_ms) => self.say_json(now, index, &feed::renewed(expires_in_ms, &reference)),
                    Err(reject) => self.say_refused(now, index, &reject, &reference),
                }
            }
            What::Ping => self.say_json(now, index, &feed::pong(&reference)),
            What::Publish(message) => self.publish_said(now, index, message, reference),
        }
    }

    /// A client wishes for more channels; the host program is asked first about those that it judges.
    fn wish_for(&mut self, now: Now, index: u32, more: More) {
        let held = self.slots[index].subscriptions();
        let is_held = |name: &Name| self.hub.find(name).is_some_and(|key| held.iter().any(|one| one.channel == key));
        let new: Vec<Name> = more.channels.iter().filter(|name| !is_held(name)).cloned().collect();
        if held.len() + new.len() > self.limits.subscriptions {
            let detail = format!("a connection has at most {} channels (subscriptions_max)", self.limits.subscriptions);
            return self.say_refused_more(now, index, &Reject::new(400, "too_many_channels", detail), &more);
        }
        if new.iter().any(|name| self.is_closed(index, name)) {
            return self.say_refused_more(now, index, &reply::internal(), &more);
        }
        self.admit_more(now, index, &new, more);
    }

    /// Nobody objects to these channels.
    pub(super) fn subscribe_more(&mut self, now: Now, index: u32, more: More) {
        let More { channels, since, reference } = more;
        if !self.has_room_for(&channels) {
            return self.say_refused(now, index, &reply::too_many_channels(), &reference);
        }
        let waiting = channels.iter().map(|name| self.join(now, index, name, &since)).sum();
        self.slots[index].rest().wished = Some((channels, reference));
        if waiting == 0 {
            return self.joined(now, index, &since);
        }
        self.slots[index].rest().joining = Some((since, waiting));
    }

    /// The channels that a client wished for are known.
    pub(super) fn say_subscribed(&mut self, now: Now, index: u32) {
        let wished = self.slots[index].rest.as_mut().and_then(|rest| rest.wished.take());
        if let Some((channels, reference)) = wished {
            let cursor = self.cursor(index).to_string();
            self.say_json(now, index, &feed::subscribed(&channels, &cursor, &reference));
        }
    }

    fn publish_said(&mut self, now: Now, index: u32, message: Message, reference: String) {
        if let Err(reject) = self.still_holds(now, index) {
            return self.say_refused(now, index, &reject, &reference);
        }
        let for_host = self.is_for_host(index, &message);
        let channel = message.channel();
        if !for_host && let Err(reject) = self.is_owned(&message).map_or_else(|| self.may_say(index, channel), Err) {
            return self.say_refused_for(now, index, &reject, &reference, &[channel.into()]);
        }
        if let Err(reject) = self.pay_for(now, index, std::slice::from_ref(&message)) {
            return self.scold(now, index, &reject, &reference);
        }
        self.forgive(index);
        if for_host {
            return match self.give_to_host(index, vec![message], None) {
                true => self.say_json(now, index, &feed::taken(&reference)),
                false => self.say_refused(now, index, &reply::host_is_busy(), &reference),
            };
        }
        let home = self.home_of_message(&message);
        if home == self.shard {
            let answer = self.keep(now, message).unwrap_or(self.not_kept());
            return self.say_answer(now, index, &answer, &reference);
        }
        if self.peers.posted(home) >= self.limits.backlog {
            let reject =
                Reject::new(503, "busy", "a mailbox is full and nothing was taken, try again shortly (mailbox_messages)");
            return self.say_refused(now, index, &reject, &reference);
        }
        let asker = Asker { shard: self.shard, token: self.slots.token(index), question: 0 };
        self.peers.post(home, PeerMessage::Publish { message, asker });
        self.slots[index].rest().asking = Some(Asking { answers: vec![None], missing: 1, manner: Manner::Message, reference });
    }

    /// The home of what a client published answered.
    pub(super) fn say_answered(&mut self, now: Now, index: u32, asking: &Asking) {
        if let [Some(answer)] = &asking.answers[..] {
            self.say_answer(now, index, answer, &asking.reference);
        }
        self.heard_socket(now, index, &[]);
    }

    fn say_answer(&mut self, now: Now, index: u32, answer: &Answer, reference: &str) {
        match answer {
            Answer::Published { id, subscribers } => self.say_json(now, index, &feed::published(*id, *subscribers, reference)),
            other => self.say_refused(now, index, &other.refusal().unwrap_or_else(reply::too_many_channels), reference),
        }
    }

    pub(super) fn say_refused(&mut self, now: Now, index: u32, reject: &Reject, reference: &str) {
        self.say_refused_for(now, index, reject, reference, &[]);
    }

    /// The same for a wish for more channels.
    pub(super) fn say_refused_more(&mut self, now: Now, index: u32, reject: &Reject, more: &More) {
        let channels: Vec<Arc<str>> = more.channels.iter().map(|name| name.shared().clone()).collect();
        self.say_refused_for(now, index, reject, &more.reference, &channels);
    }

    /// The same for what is about these channels.
    fn say_refused_for(&mut self, now: Now, index: u32, reject: &Reject, reference: &str, channels: &[Arc<str>]) {
        self.count_refusal(reject.code);
        self.note_refusal(now, index, reject, channels);
        self.say_json(now, index, &feed::refused(reject, reference));
    }

    fn say_json(&mut self, now: Now, index: u32, json: &str) {
        let connection = &mut self.slots[index];
        let setting = self.calendar.setting(now, self.looks.get(connection.look), self.durations.retry);
        websocket::feed::say(connection.out(), Opcode::Text, json.as_bytes(), &setting, &mut self.tools);
        self.enqueue(index);
    }

    fn echo(&mut self, now: Now, index: u32, opcode: Opcode, payload: &[u8]) {
        let connection = &mut self.slots[index];
        let setting = self.calendar.setting(now, self.looks.get(connection.look), self.durations.retry);
        websocket::feed::echo(connection.out(), opcode, payload, &setting, &mut self.tools);
        self.enqueue(index);
    }
}
