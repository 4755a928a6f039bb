//! Readers are brought up to date: the middle of the house.
//!
//! A **wave** goes over a channel's subscribers and gives each what lies between its position and the end of
//! the ring. The bytes for that are framed once for each transport variant and position, and lent to one
//! connection after the other: a reader whose socket takes them at once costs one send, and no allocation, no
//! count and no copy. Only for a socket that takes part of them does the connection hold on to the frame.
//! Whoever is not ready is passed by; its position stays, and it is brought up to date when it is.
//!
//! Waves take turns: each goes a few steps, and a turn has so many steps in all, so that a channel with a
//! million subscribers delays another channel's message by a few sends.

use super::Engine;
use super::collect::{Collection, Tally};
use crate::base::cursor::Cursor;
use crate::base::id::{Epoch, MessageId};
use crate::base::payload::Message;
use crate::base::time::{Now, Tick};
use crate::channel::{Channel, Subscriber, Waving};
use crate::conn::{ENDED, Flags, LOST, State};
use crate::transport::{self, Batch, Farewell, Held, Opening, Setting, Tools, Variant};
use std::sync::Arc;

/// Steps a wave takes before the next one has its go.
const STEPS_A_GO: u32 = 32;
/// Frames remembered. A broadcast needs one a variant and look; readers that catch up together share one too.
const FRAMES: usize = 32;

/// News on its way over a channel's subscribers, from the last to the first: those who leave on the way
/// are replaced by the last, who has been reached.
#[derive(Debug)]
pub(super) struct Wave {
    channel: u32,
    left: usize,
    go: u32,
}

/// A batch framed for all readers of one channel in one variant that stand at the same position.
#[derive(Debug)]
struct Frame {
    wanted: Wanted,
    to: u64,
    tally: Tally,
    bytes: Arc<[u8]>,
}

/// All that the bytes of a frame depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    channel: u32,
    from: u64,
    /// The end of the ring: what was framed before a message came lacks that message.
    next: u64,
    variant: Variant,
    look: u32,
    epoch: Epoch,
    /// A response says the date.
    second: u64,
}

/// The frames in use.
#[derive(Debug, Default)]
pub(super) struct Frames {
    recent: Vec<Frame>,
    oldest: usize,
    lent: usize,
}

impl Frames {
    /// Lends the frame that `wanted` describes, if it is among them.
    fn find(&mut self, wanted: &Wanted) -> bool {
        let fits = |frame: &Frame| frame.wanted == *wanted;
        if self.recent.get(self.lent).is_some_and(fits) {
            return true;
        }
        let found = self.recent.iter().position(fits);
        self.lent = found.unwrap_or(self.lent);
        found.is_some()
    }

    fn add(&mut self, frame: Frame) {
        if self.recent.len() < FRAMES {
            self.lent = self.recent.len();
            self.recent.push(frame);
        } else {
            self.lent = self.oldest;
            self.recent[self.oldest] = frame;
            self.oldest = (self.oldest + 1) % FRAMES;
        }
    }
}

/// When the client of a server that is succeeded comes back: there is somebody already.
const BACK_AT_ONCE_MS: u64 = 50;

impl Engine {
    /// What is to be written to this socket now, in order. Valid right after [`super::Output::Write`].
    pub fn outgoing(&self, token: crate::base::id::Token) -> [&[u8]; 2] {
        let Some(index) = self.slots.live(token) else { return [&[], &[]] };
        let connection = &self.slots[index];
        if connection.flags.has(Flags::LENT) {
            return [&self.frames.recent[self.frames.lent].bytes, &[]];
        }
        connection.rest.as_ref().map_or([&[], &[]], |rest| rest.unsent())
    }

    /// A channel has news: a wave will bring it to its subscribers on this shard.
    pub(super) fn start_wave(&mut self, key: u32) {
        let channel = &mut self.hub[key];
        match channel.waving {
            Waving::No if !channel.subscribers.is_empty() => {
                channel.waving = Waving::InLine;
                self.waves.push_back(Wave { channel: key, left: channel.subscribers.len(), go: STEPS_A_GO });
            }
            Waving::UnderWay => channel.waving = Waving::Again,
            Waving::No | Waving::InLine | Waving::Again => {}
        }
    }

    /// The next subscriber that a wave reaches.
    pub(super) fn step_wave(&mut self, now: Tick) -> Option<Subscriber> {
        loop {
            let wave = self.waves.front_mut()?;
            let channel = &mut self.hub[wave.channel];
            if channel.waving == Waving::InLine {
                channel.waving = Waving::UnderWay;
                wave.left = channel.subscribers.len();
            }
            wave.left = wave.left.min(channel.subscribers.len());
            if wave.left == 0 && channel.waving == Waving::Again && !channel.subscribers.is_empty() {
                channel.waving = Waving::UnderWay;
                wave.left = channel.subscribers.len();
                self.waves.rotate_left(1);
                continue;
            }
            if wave.left == 0 {
                channel.waving = Waving::No;
                let (key, keep) = (wave.channel, self.limits.keep);
                self.waves.pop_front();
                self.hub.change_history(key, |history| history.trim(now, &keep));
                continue;
            }
            wave.left -= 1;
            let reached = channel.subscribers[wave.left];
            wave.go -= 1;
            if wave.go == 0 {
                wave.go = STEPS_A_GO;
                self.waves.rotate_left(1);
            }
            return Some(reached);
        }
    }

    /// Finds what there is to write for a connection; `false` if nothing, or if its socket is full.
    pub(super) fn attend(&mut self, now: Now, index: u32) -> bool {
        let connection = &self.slots[index];
        if connection.flags.has(Flags::BLOCKED) {
            return false;
        }
        if connection.has_unsent() {
            return true;
        }
        match connection.state {
            State::Parked => self.has_news(index) && self.bring_up_to_date(now, index),
            State::Bayeux => self.bring_to_session(now, index),
            State::Moving => {
                self.depart(index);
                false
            }
            // A response may end without a last byte, as a stream of HTTP/1.0 does.
            State::Closing => {
                self.finish(now, index);
                false
            }
            _ => false,
        }
    }

    /// Whether a held connection has something to be told.
    pub(super) fn has_news(&self, index: u32) -> bool {
        let subscriptions = self.slots[index].subscriptions();
        subscriptions.iter().any(|subscription| subscription.has_news(self.hub[subscription.channel].history.next()))
    }

    fn bring_up_to_date(&mut self, now: Now, index: u32) -> bool {
        match self.slots[index].subscriptions().len() {
            1 => self.lend_frame(now, index),
            _ => self.write_batch(now, index),
        }
        // Who was ahead of its shard is so no more: what the next batch follows is framed here.
        self.slots[index].variant = self.slots[index].variant.ahead(false);
        if !self.slots[index].variant.transport().is_stream() {
            self.leave(now, index);
            self.hold_answered(now, index);
        }
        // A transport may pass over a notice without a word.
        self.slots[index].has_unsent()
    }

    /// One subscription: its frame is everybody's who stands where it stands.
    fn lend_frame(&mut self, now: Now, index: u32) {
        let connection = &mut self.slots[index];
        let (variant, look) = (connection.variant, connection.look);
        let [subscription] = connection.subscriptions_mut() else { return };
        let channel = &self.hub[subscription.channel];
        let wanted = Wanted {
            channel: subscription.channel,
            from: subscription.position,
            next: channel.history.next(),
            variant,
            look,
            epoch: channel.epoch,
            second: now.unix_ms / 1000,
        };
        if !self.frames.find(&wanted) {
            let setting = self.calendar.setting(now, self.looks.get(wanted.look), self.durations.retry);
            let room = (self.limits.batch_bytes, self.limits.slow_lag);
            self.frames.add(frame(wanted, channel, room, &setting, &mut self.tools));
        }
        let frame = &self.frames.recent[self.frames.lent];
        subscription.position = frame.to;
        connection.flags.set(Flags::LENT, !frame.bytes.is_empty());
        let tally = frame.tally;
        self.count(tally);
        if tally.gaps > 0 {
            self.note_gap(now, index, wanted.channel, wanted.from, tally.skipped > 0);
        }
    }

    /// Several subscriptions: nobody else stands at the same positions, so the bytes are its own. Also the
    /// answer that there is nothing to tell.
    pub(super) fn write_batch(&mut self, now: Now, index: u32) {
        let mut cursor = self.cursor(index);
        let connection = &mut self.slots[index];
        let (variant, look) = (connection.variant, connection.look);
        let earlier = match connection.subscriptions() {
            [one] => earlier(&self.hub[one.channel], one.position, variant),
            _ => Vec::new(),
        };
        let mut gone = Vec::new();
        // Each channel has its share, so that a busy one never keeps the others waiting.
        let share = (self.limits.batch_bytes / connection.subscriptions().len().max(1)).max(1);
        let mut collection =
            Collection { messages_left: variant.messages_max(), lag_max: self.limits.slow_lag, ..Collection::default() };
        for (place, subscription) in connection.subscriptions_mut().iter_mut().enumerate() {
            collection.bytes_left = share;
            let (from, before) = (subscription.position, collection.tally);
            subscription.position = collection.add(place, &self.hub[subscription.channel], from);
            if collection.tally.gaps > before.gaps {
                gone.push((subscription.channel, from, collection.tally.skipped > before.skipped));
            }
        }
        let batch = Batch { items: &collection.items, cursor: &mut cursor, earlier: &earlier };
        let setting = self.calendar.setting(now, self.looks.get(look), self.durations.retry);
        transport::batch(connection.out(), variant, batch, &setting, &mut self.tools);
        let tally = collection.tally;
        self.count(tally);
        for (key, from, skipped) in gone {
            self.note_gap(now, index, key, from, skipped);
        }
    }

    /// A stream begins: its head and greeting. A reader with a `lost` place is given no cursor that would hide
    /// from it, if it were cut off, what it is about to be told.
    pub(super) fn write_opening(&mut self, now: Now, index: u32, lost: bool) {
        let cursor = self.cursor(index);
        let connection = &mut self.slots[index];
        if let [one] = connection.subscriptions() {
            let ahead = one.position > self.hub[one.channel].history.next();
            connection.variant = connection.variant.ahead(ahead);
        }
        let (variant, look) = (connection.variant, connection.look);
        let earlier = match connection.subscriptions() {
            [one] => earlier(&self.hub[one.channel], one.position, variant),
            _ => Vec::new(),
        };
        // Who is subscribed to nothing yet is nowhere, and could not come back by an empty cursor.
        let somewhere = !lost && !connection.subscriptions().is_empty();
        let opening = Opening { cursor: somewhere.then_some(&cursor), earlier: &earlier };
        let retry = self.random.jitter(self.durations.retry, self.durations.jitter_percent);
        let held = self.held_name(now, index);
        let setting = self.calendar.setting(now, self.looks.get(look), retry);
        let held = held.as_ref().map(|(session, expires_in_ms)| Held { session, expires_in_ms: *expires_in_ms });
        let setting = Setting { held, ..setting };
        let connection = &mut self.slots[index];
        transport::open(connection.out(), variant, &opening, &setting);
        connection.variant = variant.session(false);
    }

    /// A silent stream's heart beats.
    pub(super) fn write_heartbeat(&mut self, now: Now, index: u32) {
        let connection = &mut self.slots[index];
        let (variant, look) = (connection.variant, connection.look);
        let earlier = match connection.subscriptions() {
            [one] => earlier(&self.hub[one.channel], one.position, variant),
            _ => Vec::new(),
        };
        let setting = self.calendar.setting(now, self.looks.get(look), self.durations.retry);
        // As behind a batch: whatever came before is part of what is framed here.
        connection.variant = variant.ahead(earlier.is_empty() && variant.is_ahead());
        transport::keep_alive(connection.out(), variant, &earlier, &setting);
    }

    /// Why a stream ends.
    fn farewell(&self, now: Now, index: u32) -> Farewell {
        let expired = || self.pass_until(index).is_some_and(|until| until <= now.tick);
        match () {
            () if self.slots[index].flags.has(Flags::TOO_SLOW) => Farewell::TooSlow,
            () if self.draining => Farewell::Stopping,
            () if expired() => Farewell::Expired,
            () => Farewell::LifeSpan,
        }
    }

    /// A stream ends.
    pub(super) fn write_farewell(&mut self, now: Now, index: u32) {
        let connection = &self.slots[index];
        let (variant, look) = (connection.variant, connection.look);
        let farewell = self.farewell(now, index);
        let connection = &mut self.slots[index];
        let retry = if self.succeeded { BACK_AT_ONCE_MS.min(self.durations.retry) } else { self.durations.retry };
        let retry = self.random.jitter(retry, self.durations.jitter_percent);
        let setting = self.calendar.setting(now, self.looks.get(look), retry);
        transport::close(connection.out(), variant, farewell, &setting);
    }

    /// What a connection has been given so far on each of its channels.
    pub(super) fn cursor(&self, index: u32) -> Cursor {
        let place = |subscription: &crate::conn::Subscription| {
            let channel = &self.hub[subscription.channel];
            match subscription.position {
                // To be told that its place is lost: a cursor of a former epoch says so too, should it be cut off before.
                LOST | ENDED => MessageId { epoch: Epoch::new(&channel.name, 0), offset: 0 },
                position => MessageId { epoch: channel.epoch, offset: position - 1 },
            }
        };
        Cursor { places: self.slots[index].subscriptions().iter().map(place).collect() }
    }

    /// The socket took `count` bytes of what was lent for it.
    pub(super) fn wrote(&mut self, now: Now, index: u32, count: usize) {
        self.log_wrote(index, count);
        let connection = &mut self.slots[index];
        if connection.flags.has(Flags::LENT) {
            connection.flags.set(Flags::LENT, false);
            let bytes = &self.frames.recent[self.frames.lent].bytes;
            if count < bytes.len() {
                connection.rest().frame = Some((bytes.clone(), count));
            }
        } else if let Some(rest) = &mut connection.rest {
            rest.sent(count);
        }
        if connection.has_unsent() {
            connection.flags.set(Flags::BLOCKED, true);
            self.watch_stall(now.tick, index);
        } else {
            self.note_written(now.tick, index);
            self.flushed(now, index);
        }
    }

    /// Everything that was to be written is.
    fn flushed(&mut self, now: Now, index: u32) {
        let connection = &self.slots[index];
        if connection.flags.has(Flags::ENDED) && connection.state.is_held() {
            // It hung up before it was held, and has now what it asked for before that.
            return self.close(now, index);
        }
        match self.slots[index].state {
            State::Closing => self.finish(now, index),
            State::ExpectHead | State::ExpectBody => self.resume_reading(now, index),
            State::Parked => {
                self.slots[index].tidy();
                if self.is_socket(index) && self.slots[index].rest.as_ref().is_some_and(|rest| !rest.inbox.is_empty()) {
                    self.heard_socket(now, index, &[]);
                }
                if self.is_socket(index) && self.slots[index].has_unsent() || self.has_news(index) {
                    self.enqueue(index);
                } else {
                    self.slots[index].flags.set(Flags::CATCHING_UP, false);
                }
            }
            State::Framed => self.heard_frames(now, index, &[]),
            State::Bayeux => {
                self.slots[index].tidy();
                self.heard_more(now, index);
                self.enqueue(index);
            }
            State::Moving => self.enqueue(index),
            State::Asking | State::Judged | State::Joining | State::Lingering => {}
        }
    }
}

/// The messages before `position`, as far as this variant looks back; of those that were conflated only what counts, and
/// the last, which was told.
fn earlier(channel: &Channel, position: u64, variant: Variant) -> Vec<&Message> {
    let back = variant.transport().looks_back();
    if back == 0 || position > channel.history.next() {
        return Vec::new();
    }
    let from = position.saturating_sub(back as u64);
    let before = channel.history.from(from).take_while(|(offset, _)| *offset < position);
    let told = before.filter(|(offset, _)| offset + 1 == position || channel.history.counts(*offset));
    told.map(|(_, message)| message).collect()
}

fn frame(
    wanted: Wanted,
    channel: &Channel,
    (bytes_max, lag_max): (usize, u64),
    setting: &Setting<'_>,
    tools: &mut Tools,
) -> Frame {
    let mut collection =
        Collection { bytes_left: bytes_max, messages_left: wanted.variant.messages_max(), lag_max, ..Collection::default() };
    let to = collection.add(0, channel, wanted.from);
    let mut cursor = Cursor { places: vec![MessageId { epoch: wanted.epoch, offset: wanted.from.saturating_sub(1) }] };
    let mut bytes = Vec::with_capacity(bytes_max - collection.bytes_left + 512);
    let earlier = earlier(channel, wanted.from, wanted.variant);
    let batch = Batch { items: &collection.items, cursor: &mut cursor, earlier: &earlier };
    transport::batch(&mut bytes, wanted.variant, batch, setting, tools);
    Frame { wanted, to, tally: collection.tally, bytes: bytes.into() }
}
