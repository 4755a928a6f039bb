//! Readers come, are held, and go.

use super::{Engine, PeerMessage};
use crate::base::cursor::{Cursor, Seen, Since};
use crate::base::error::Reject;
use crate::base::id::Epoch;
use crate::base::name::Name;
use crate::base::time::{Now, Tick};
use crate::channel::{Channel, Role, Subscriber};
use crate::conn::{ENDED, Flags, Hold, LOST, State, Subscription, UNKNOWN};
use crate::protocol::plain::reply;
use crate::transport;
use crate::transport::websocket;
use std::sync::Arc;

impl Engine {
    /// A reader wants to be held.
    pub(super) fn hold(&mut self, now: Now, index: u32, hold: &Hold) {
        let place = match self.take_place(index, hold.proof.grant.user.as_ref()) {
            Ok(place) => place,
            Err(reject) => return self.refuse(now, index, &reject, false),
        };
        let last = self.slots[index].flags.has(Flags::LAST);
        self.slots[index].variant = hold.variant.last(last);
        self.log_transport(index, hold.variant.transport().name());
        let Some(look) = self.looks.take(&hold.look) else {
            let detail = "as many pictures of different looks are drawn as there may be: take the size and colours of another";
            return self.refuse(now, index, &Reject::new(503, "too_many_looks", detail), false);
        };
        self.slots[index].look = look;
        if self.slots[index].flags.has(Flags::HEAD_ONLY) {
            let connection = &mut self.slots[index];
            let variant = connection.variant;
            let setting = self.calendar.setting(now, &hold.look, self.durations.retry);
            transport::head_only(connection.out(), variant, &setting);
            self.leave(now, index);
            return self.answered(now, index);
        }
        if !self.has_room_for(&hold.channels) {
            self.leave(now, index);
            return self.refuse_hold(now, index, hold, &reply::too_many_channels());
        }
        self.keep_pass(now, index, &hold.proof);
        self.slots.turn(index, State::Joining);
        if place.is_some() {
            self.slots[index].rest().place = place;
        }
        let waiting = hold.channels.iter().map(|name| self.join(now, index, name, &hold.since)).sum();
        // Not before: what cannot be held is refused by HTTP.
        if let Some(socket) = &hold.socket {
            let connection = &mut self.slots[index];
            connection.flags.set(Flags::MAY_PUBLISH, socket.may_publish);
            connection.flags.set(Flags::ECHO, socket.echo);
            if hold.who.is_some() {
                connection.rest().who.clone_from(&hold.who);
            }
            websocket::accept(connection.out(), &socket.upgrade, self.calendar.date(now));
        }
        if waiting == 0 {
            return self.joined(now, index, &hold.since);
        }
        self.slots[index].rest().joining = Some((hold.since.clone(), waiting));
        self.end_state_after(now.tick, index, self.durations.stall);
    }

    /// A reader is not held.
    pub(super) fn refuse_hold(&mut self, now: Now, index: u32, hold: &Hold, reject: &Reject) {
        let channels: Vec<Arc<str>> = hold.channels.iter().map(|name| name.shared().clone()).collect();
        self.refuse_for(now, index, reject, false, &channels);
    }

    /// Whether those of these channels that are unknown here could be made. Looked at before the first is joined: who
    /// is refused must not be half subscribed, nor be sent answers that a later wish would take for its own.
    pub(super) fn has_room_for(&self, channels: &[Name]) -> bool {
        let unknown = channels.iter().filter(|name| self.hub.find(name).is_none()).count();
        self.hub.len() + unknown <= self.limits.channels
    }

    /// Makes a connection a subscriber of the channel `name`, unless it is one; there is room for it. Returns for how
    /// many answers of other shards it has to wait.
    ///
    /// A cursor of another epoch than a mirror's may be of a newer one, which is on its way here: the home's
    /// answer to any question comes behind it.
    pub(super) fn join(&mut self, now: Now, index: u32, name: &Name, since: &Since) -> u32 {
        let key = self.channel_to_read(now.tick, name);
        if self.slots[index].subscriptions().iter().any(|subscription| subscription.channel == key) {
            return 0;
        }
        self.subscribe(now.tick, index, key);
        let channel = &self.hub[key];
        if channel.role == Role::Waiting {
            return 1;
        }
        if !may_be_ahead(since, channel) {
            return 0;
        }
        let home = Engine::home_of(self.seed, self.shards, name);
        let asker = self.asker(index, 0);
        self.peers.post(home, PeerMessage::Inspect { name: name.shared().clone(), asker });
        1
    }

    /// The channel called `name` as this shard knows it: its home, or a mirror that is asked for if need be.
    pub(super) fn channel_to_read(&mut self, now: Tick, name: &Name) -> u32 {
        if let Some(key) = self.hub.find(name) {
            return key;
        }
        debug_assert!(self.hub.len() < self.limits.channels, "room was looked for");
        let home = Engine::home_of(self.seed, self.shards, name);
        if home == self.shard {
            return self.make_channel(now, name.shared().clone());
        }
        let nothing_known = Epoch::new(name, 0);
        self.peers.attach(home, self.shard, name.shared());
        self.hub.insert(now, name.shared().clone(), nothing_known, Role::Waiting)
    }

    /// Makes a channel whose home is here.
    pub(super) fn make_channel(&mut self, now: Tick, name: Arc<str>) -> u32 {
        let epoch = Epoch::new(&name, self.random.bits());
        let key = self.hub.insert(now, name, epoch, Role::Home);
        self.welcome(now, key);
        key
    }

    fn subscribe(&mut self, now: Tick, index: u32, key: u32) {
        self.arrived(index);
        let channel = &mut self.hub[key];
        let subscription = Subscription { channel: key, place: channel.subscribers.len() as u32, position: UNKNOWN };
        channel.subscribers.push(Subscriber::connection(index));
        self.slots[index].add_subscription(subscription);
        self.hub.touch(key, now);
        self.recount(key);
        self.sign_in(Subscriber::connection(index), key);
        self.begin_samples(now, key);
    }

    /// One thing less that a reader waits for before it can be held.
    pub(super) fn came_closer(&mut self, now: Now, index: u32) {
        let Some(rest) = &mut self.slots[index].rest else { return };
        let Some((_, waiting)) = &mut rest.joining else { return };
        *waiting -= 1;
        if *waiting == 0
            && let Some((since, _)) = rest.joining.take()
        {
            self.joined(now, index, &since);
        }
    }

    /// All of a reader's channels are known here: it gets its positions and is held, or answered.
    pub(super) fn joined(&mut self, now: Now, index: u32, since: &Since) {
        let connection = &mut self.slots[index];
        if let Some(rest) = &mut connection.rest {
            rest.joining = None;
        }
        // What a batch has room for, each channel its share of it.
        let share = self.limits.batch_bytes / connection.subscriptions().len().max(1);
        let hub = &self.hub;
        let unknown = |subscription: &&mut Subscription| subscription.position == UNKNOWN;
        let known = |subscription: &Subscription| speaks_of(since, &hub[subscription.channel]);
        let new = connection.subscriptions().iter().filter(|subscription| subscription.position == UNKNOWN);
        let foreign = !new.into_iter().any(known);
        let told = self.host.subscribed_to(connection.subscriptions());
        connection.flags.set(Flags::NOTED, connection.flags.has(Flags::NOTED) || !connection.subscriptions().is_empty());
        let mut lost = false;
        for subscription in connection.subscriptions_mut().iter_mut().filter(unknown) {
            let channel = &hub[subscription.channel];
            subscription.position = if foreign { LOST } else { position(since, channel, share) };
            lost |= subscription.position == LOST;
        }
        let state = connection.state;
        self.tell_subscribed(index, &told);
        self.note_start(index);
        if state == State::Parked {
            // A WebSocket's client has wished for more channels.
            self.say_subscribed(now, index);
            return self.heard_socket(now, index, &[]);
        }
        self.slots.turn(index, State::Parked);
        let transport = self.slots[index].variant.transport();
        if transport.is_stream() {
            self.write_opening(now, index, lost);
        }
        if self.slots[index].variant.is_immediate() {
            return self.answer_hold(now, index);
        }
        self.end_hold_later(now.tick, index);
        self.slots[index].tidy();
        if self.slots[index].has_unsent() || self.has_news(index) {
            self.enqueue(index);
        }
    }

    /// The hold ends by itself: a stream is closed, anything else is answered with what there is.
    pub(super) fn end_hold(&mut self, now: Now, index: u32) {
        let connection = &mut self.slots[index];
        if self.draining || connection.flags.has(Flags::TOO_SLOW) {
            connection.flags.set(Flags::LAST, true);
            connection.variant = connection.variant.last(true);
        }
        if connection.state == State::Joining {
            return self.close(now, index);
        }
        if !connection.variant.transport().is_stream() {
            return self.answer_hold(now, index);
        }
        self.write_farewell(now, index);
        self.leave(now, index);
        self.hold_answered(now, index);
    }

    /// Answers a held reader with what there is, if only that there is nothing.
    fn answer_hold(&mut self, now: Now, index: u32) {
        self.write_batch(now, index);
        self.leave(now, index);
        self.hold_answered(now, index);
    }

    /// The response that held a reader is complete.
    pub(super) fn hold_answered(&mut self, now: Now, index: u32) {
        let connection = &mut self.slots[index];
        if connection.variant.ends_connection() {
            connection.flags.set(Flags::LAST, true);
        }
        self.answered(now, index);
    }

    /// Takes a connection out of all its channels, its look from it, and all that it was waiting for there.
    pub(super) fn leave(&mut self, now: Now, index: u32) {
        self.looks.release(std::mem::take(&mut self.slots[index].look));
        self.forget_wishes(index);
        self.put_down(now.tick, index);
        while let Some(subscription) = self.slots[index].pop_subscription() {
            self.unsubscribe(now.tick, Subscriber::connection(index), subscription);
        }
    }

    /// What a connection asked for beside the news comes too late: its response is over.
    fn forget_wishes(&mut self, index: u32) {
        self.forget_questions(index);
        if let Some(rest) = &mut self.slots[index].rest {
            (rest.joining, rest.wished, rest.asking, rest.who, rest.place) = (None, None, None, None, None);
            rest.pass = None;
            rest.exchange = None;
        }
    }

    pub(super) fn unsubscribe(&mut self, now: Tick, subscriber: Subscriber, subscription: Subscription) {
        self.tell_unsubscribed(subscriber, &subscription);
        let Subscription { channel: key, place, .. } = subscription;
        self.sign_out(subscriber, key);
        let subscribers = &mut self.hub[key].subscribers;
        subscribers.swap_remove(place as usize);
        if let Some(&moved) = subscribers.get(place as usize) {
            let mut subscriptions = self.positions_of(moved).iter_mut();
            let moved = subscriptions.find(|subscription| subscription.channel == key);
            moved.expect("a subscriber holds a subscription").place = place;
        } else if subscribers.is_empty() {
            self.hub.touch(key, now);
            self.schedule_channel(now, key);
        }
        self.recount(key);
    }
}

/// Whether `since` may be of a newer epoch than this shard has heard of.
fn may_be_ahead(since: &Since, channel: &Channel) -> bool {
    let Since::Cursor(cursor) = since else { return false };
    channel.role != Role::Home && cursor.of(&channel.name, channel.epoch) == Seen::Formerly
}

/// Whether `since` says anything about `channel`, or is of a kind that fits any.
fn speaks_of(since: &Since, channel: &Channel) -> bool {
    match since {
        Since::Cursor(cursor) => cursor.of(&channel.name, channel.epoch) != Seen::Nothing,
        Since::Now | Since::Earliest | Since::Last(_) | Since::Second(_) => true,
        Since::Lost => false,
    }
}

/// The offset that a reader which comes `since` wants next; [`LOST`] if its place is. `bytes` bounds how far
/// back the last messages lie.
fn position(since: &Since, channel: &Channel, bytes: usize) -> u64 {
    let (first, next) = (channel.history.first(), channel.history.next());
    match since {
        Since::Now => next,
        Since::Earliest => first,
        Since::Last(messages) => channel.history.last(*messages, bytes),
        Since::Lost => LOST,
        Since::Second(second) => {
            let younger = channel.history.from(first).find(|(_, message)| message.unix_ms() / 1000 > *second);
            match younger {
                // Those before it are gone, and may have been as young.
                Some((offset, _)) if offset == first && first > 1 => LOST,
                Some((offset, _)) => offset,
                None => next,
            }
        }
        Since::Cursor(cursor) => seen(cursor, channel, next),
    }
}

fn seen(cursor: &Cursor, channel: &Channel, next: u64) -> u64 {
    match cursor.of(&channel.name, channel.epoch) {
        Seen::UpTo(offset) if offset < next => offset + 1,
        // Given out where the channel had come further: this mirror will.
        Seen::UpTo(offset) if channel.role == Role::Mirror => offset.min(ENDED - 2) + 1,
        // Of a message that is yet to come: not a cursor that we gave out.
        Seen::UpTo(_) | Seen::Formerly => LOST,
        Seen::Nothing => next,
    }
}
