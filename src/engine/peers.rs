//! What shards say to each other, and the boxes in which it waits for room in their mailboxes.
//!
//! A home does not queue messages for a mirror without end: past a bound it notes that the mirror is behind,
//! and sends on from the mirror's position, out of the ring, when there is room. A mirror that falls off the
//! ring has a gap, as any reader would; its own readers see it and are told. Everything else that waits here
//! is bounded by what it speaks for: an answer a question, a count a channel.

use super::{Asker, Engine, PeerMessage};
use crate::base::id::{Epoch, MessageId};
use crate::base::payload::Message;
use crate::base::time::Now;
use crate::channel::{History, Holder, LetGo, Mirror, Role};
use std::collections::VecDeque;
use std::sync::Arc;

/// The boxes toward all shards.
pub(super) struct Peers {
    boxes: Vec<Outbox>,
    /// Mirrors here whose number of subscribers has changed.
    recounts: Vec<Arc<str>>,
}

#[derive(Default)]
struct Outbox {
    posted: VecDeque<PeerMessage>,
    /// Channels whose mirror over there is behind.
    behind: VecDeque<Arc<str>>,
}

impl Peers {
    pub(super) fn new(shards: u16) -> Peers {
        Peers { boxes: (0..shards).map(|_| Outbox::default()).collect(), recounts: Vec::new() }
    }

    /// Puts a message into the box toward `shard`.
    pub(super) fn post(&mut self, shard: u16, message: PeerMessage) {
        if let Some(outbox) = self.boxes.get_mut(usize::from(shard)) {
            outbox.posted.push_back(message);
        }
    }

    /// How many messages wait in the box toward `shard`.
    pub(super) fn posted(&self, shard: u16) -> usize {
        self.boxes.get(usize::from(shard)).map_or(0, |outbox| outbox.posted.len())
    }

    /// Asks `home` for a snapshot of a channel, and for all that follows.
    pub(super) fn attach(&mut self, home: u16, shard: u16, name: &Arc<str>) {
        self.post(home, PeerMessage::Attach { name: name.clone(), shard });
    }
}

impl Engine {
    /// The next message for another shard, to be taken only when that shard's mailbox has room.
    pub fn poll_peer(&mut self, shard: u16) -> Option<PeerMessage> {
        let outbox = self.peers.boxes.get_mut(usize::from(shard))?;
        if let Some(message) = outbox.posted.pop_front() {
            return Some(message);
        }
        while let Some(name) = self.peers.boxes[usize::from(shard)].behind.front().cloned() {
            let next = self.next_for_mirror(&name, shard);
            if next.is_some() {
                return next;
            }
            self.peers.boxes[usize::from(shard)].behind.pop_front();
        }
        None
    }

    /// Gives back a message that found the mailbox full after all; it stays first in line.
    pub fn unpoll_peer(&mut self, shard: u16, message: PeerMessage) {
        if let Some(outbox) = self.peers.boxes.get_mut(usize::from(shard)) {
            outbox.posted.push_front(message);
        }
    }

    /// Whether something waits for room in another shard's mailbox.
    pub fn has_mail(&self) -> bool {
        !self.peers.recounts.is_empty()
            || self.attendance.has_news()
            || self.peers.boxes.iter().any(|outbox| !outbox.posted.is_empty() || !outbox.behind.is_empty())
    }

    /// The message after the last one sent to the mirror on `shard`; `None` if it has them all.
    fn next_for_mirror(&mut self, name: &str, shard: u16) -> Option<PeerMessage> {
        let key = self.hub.find(name)?;
        let channel = &mut self.hub[key];
        let (epoch, end) = (channel.epoch, channel.history.next());
        let position = channel.mirrors().iter().find(|mirror| mirror.shard == shard)?.sent + 1;
        let next = channel.history.from(position).next().map(|(offset, message)| (offset, message.clone()));
        let mirror = channel.mirrors_mut().iter_mut().find(|mirror| mirror.shard == shard)?;
        match next {
            Some((offset, message)) => {
                mirror.sent = offset;
                Some(PeerMessage::Forward { id: MessageId { epoch, offset }, message })
            }
            // What it was to get is gone meanwhile: it must know, for its readers to be told.
            None if position < end => {
                mirror.sent = end - 1;
                Some(PeerMessage::Trim { name: name.into(), first: MessageId { epoch, offset: end } })
            }
            None => {
                mirror.behind = false;
                None
            }
        }
    }

    /// The channel's newest message goes to its mirrors, or they are noted as behind.
    pub(super) fn forward(&mut self, key: u32) {
        if self.hub[key].mirrors().is_empty() {
            return;
        }
        let channel = &mut self.hub[key];
        let (epoch, offset) = (channel.epoch, channel.history.next() - 1);
        let Some((_, message)) = channel.history.from(offset).next() else { return };
        let (message, name) = (message.clone(), channel.name.clone());
        for mirror in channel.mirrors_mut() {
            let Some(outbox) = self.peers.boxes.get_mut(usize::from(mirror.shard)) else { continue };
            if mirror.behind {
                continue;
            }
            if outbox.posted.len() < self.limits.backlog {
                mirror.sent = offset;
                outbox.posted.push_back(PeerMessage::Forward { id: MessageId { epoch, offset }, message: message.clone() });
            } else {
                mirror.behind = true;
                outbox.behind.push_back(name.clone());
            }
        }
    }

    /// A mirror's subscribers have changed: its home will be told before the turn is over.
    pub(super) fn recount(&mut self, key: u32) {
        let channel = &mut self.hub[key];
        if channel.role != Role::Home && !channel.recount {
            channel.recount = true;
            self.peers.recounts.push(channel.name.clone());
        }
    }

    pub(super) fn tell_counts(&mut self) {
        for name in std::mem::take(&mut self.peers.recounts) {
            let Some(key) = self.hub.find(&name) else { continue };
            let home = Engine::home_of(self.seed, self.shards, &name);
            if self.peers.posted(home) >= self.limits.backlog {
                self.peers.recounts.push(name);
                continue;
            }
            let channel = &mut self.hub[key];
            channel.recount = false;
            let subscribers = channel.subscribers.len() as u32;
            self.peers.post(home, PeerMessage::Count { name, shard: self.shard, subscribers });
        }
    }

    /// The budget made this home let go of messages that its mirrors would still hold. A mirror whose box is
    /// full holds them a little longer.
    pub(super) fn tell_trimmed(&mut self, key: u32) {
        let channel = &self.hub[key];
        let first = MessageId { epoch: channel.epoch, offset: channel.history.first() };
        for mirror in channel.mirrors() {
            if self.peers.posted(mirror.shard) >= self.limits.backlog {
                continue;
            }
            self.peers.post(mirror.shard, PeerMessage::Trim { name: channel.name.clone(), first });
        }
    }

    /// This home's channel began anew.
    pub(super) fn tell_epoch(&mut self, key: u32) {
        let channel = &mut self.hub[key];
        let (name, epoch) = (channel.name.clone(), channel.epoch);
        for mirror in channel.mirrors_mut() {
            mirror.sent = 0;
            let snapshot =
                PeerMessage::Snapshot { name: name.clone(), epoch, head: 0, messages: Vec::new(), let_go: LetGo::Nothing };
            self.peers.post(mirror.shard, snapshot);
        }
    }

    /// Forgets a channel that nobody holds; `false` if a wave of it has yet to come to its end.
    pub(super) fn forget_channel(&mut self, key: u32) -> bool {
        let channel = &self.hub[key];
        if channel.waving != crate::channel::Waving::No {
            return false;
        }
        if channel.role != Role::Home {
            let name = channel.name.clone();
            let home = Engine::home_of(self.seed, self.shards, &name);
            self.peers.post(home, PeerMessage::Detach { name, shard: self.shard });
        }
        self.channel_timers.cancel(&mut self.hub, key);
        self.hub.remove(key);
        true
    }

    /// Another shard says something.
    pub(super) fn heard(&mut self, now: Now, message: PeerMessage) {
        match message {
            PeerMessage::Attach { name, shard } => self.attached(now, name, shard),
            PeerMessage::Detach { name, shard } => self.detached(now, &name, shard),
            PeerMessage::Count { name, shard, subscribers } => {
                let Some(key) = self.hub.find(&name) else { return };
                let mut mirrors = self.hub[key].mirrors_mut().iter_mut();
                if let Some(mirror) = mirrors.find(|mirror| mirror.shard == shard) {
                    mirror.subscribers = subscribers;
                }
                self.begin_samples(now.tick, key);
            }
            PeerMessage::Present { name, shard, user, connections } => self.counted(now, &name, shard, user, connections),
            PeerMessage::RollCall { name, after, asker } => {
                let answer = self.roster(now, &name, after.as_deref());
                self.answer(asker, answer);
            }
            PeerMessage::Publish { message, asker } => {
                let answer = self.keep(now, message).unwrap_or(self.not_kept());
                self.answer(asker, answer);
            }
            PeerMessage::Take { message, asker } => self.take_for(now, message, asker),
            PeerMessage::Barrier { asker } => {
                let refused = self.refusals.take(asker);
                self.peers.post(asker.shard, PeerMessage::Passed { asker, refused });
            }
            PeerMessage::Passed { asker, refused } => self.barrier_passed(now, asker, refused),
            PeerMessage::Inspect { name, asker } => {
                let answer = self.describe(&name);
                self.answer(asker, answer);
            }
            PeerMessage::Renew { renewal, asker } => {
                let answer = self.renewed(now, renewal.token, &renewal.proof);
                self.answer(asker, answer);
            }
            PeerMessage::Delete { name, asker } => {
                let answer = self.drop_channel(now, &name);
                self.answer(asker, answer);
            }
            PeerMessage::Busiest { shard } => self.tell_busiest(now.tick, shard),
            PeerMessage::Busy { channels } => self.told_busiest(channels),
            PeerMessage::Recall { about, asker } => {
                let answer = self.recall(&about);
                self.answer(asker, answer);
            }
            PeerMessage::Watch { pattern, asker } => self.watched_by(now, pattern, asker),
            PeerMessage::Watched { asker } => {
                if let Some(index) = self.slots.live(asker.token) {
                    self.exchange_answered(now, index, asker.question, false);
                }
            }
            PeerMessage::Unwatch { pattern, shard } => self.unwatched_by(&pattern, shard),
            PeerMessage::Snapshot { name, epoch, head, messages, let_go } => {
                let first = head + 1 - (messages.len() as u64).min(head);
                self.mirrored(now, name, epoch, History::after(first, let_go), messages);
            }
            PeerMessage::Forward { id, message } => self.forwarded(now, id, message),
            PeerMessage::Trim { name, first } => {
                let Some(key) = self.hub.find(&name) else { return };
                let channel = &mut self.hub[key];
                if channel.role == Role::Mirror && channel.epoch == first.epoch {
                    channel.history.skip_to(first.offset, LetGo::Budget);
                    self.start_wave(key);
                }
            }
            PeerMessage::Answer { asker, answer } => self.answer_came(now, asker, answer),
        }
    }

    fn answer(&mut self, asker: Asker, answer: super::Answer) {
        self.peers.post(asker.shard, PeerMessage::Answer { asker, answer });
    }

    /// Here is the home: it gets a mirror on `shard`.
    fn attached(&mut self, now: Now, name: Arc<str>, shard: u16) {
        let key = self.hub.find(&name).unwrap_or_else(|| self.make_channel(now.tick, name.clone()));
        self.mirror_on(key, shard);
        self.hub.touch(key, now.tick);
    }

    /// Starts a mirror on `shard` of a channel whose home is here.
    pub(super) fn mirror_on(&mut self, key: u32, shard: u16) {
        let channel = &mut self.hub[key];
        let head = channel.history.next() - 1;
        channel.add_mirror(Mirror { shard, subscribers: 0, sent: head, behind: false });
        let messages = channel.history.from(0).map(|(_, message)| message.clone()).collect();
        let (name, epoch, let_go) = (channel.name.clone(), channel.epoch, channel.history.let_go());
        let snapshot = PeerMessage::Snapshot { name, epoch, head, messages, let_go };
        self.peers.post(shard, snapshot);
    }

    /// Here is the home: it loses a mirror.
    fn detached(&mut self, now: Now, name: &str, shard: u16) {
        let Some(key) = self.hub.find(name) else { return };
        self.hub[key].remove_mirror(shard);
        self.hub.touch(key, now.tick);
        self.schedule_channel(now.tick, key);
    }

    /// Here is a mirror: its home's state came, for the first time or because an epoch began.
    fn mirrored(&mut self, now: Now, name: Arc<str>, epoch: Epoch, mut history: History, messages: Vec<Message>) {
        let key = match self.hub.find(&name) {
            Some(key) => key,
            // Sent because it is watched here.
            None if self.is_watched(&name) => self.hub.insert(now.tick, name, epoch, Role::Waiting),
            None => {
                let home = Engine::home_of(self.seed, self.shards, &name);
                return self.peers.post(home, PeerMessage::Detach { name, shard: self.shard });
            }
        };
        let keep = self.keep_of(key);
        messages.into_iter().for_each(|message| _ = history.append(now.tick, message, &keep));
        match self.hub[key].role {
            Role::Home => return,
            // It left and came back before it was heard: its readers go on from where they are.
            Role::Mirror if self.hub[key].epoch == epoch => {
                self.hub[key].history = history;
                self.schedule_channel(now.tick, key);
                return self.start_wave(key);
            }
            Role::Mirror => return self.begin_epoch(key, epoch, history),
            Role::Waiting => {}
        }
        let channel = &mut self.hub[key];
        (channel.role, channel.epoch, channel.history) = (Role::Mirror, epoch, history);
        self.schedule_channel(now.tick, key);
        for subscriber in self.hub[key].subscribers.clone() {
            match subscriber.holder() {
                Holder::Connection(index) => self.came_closer(now, index),
                Holder::Session(slot) => self.settle_session(slot, key),
            }
        }
        self.welcome(now.tick, key);
    }

    /// Here is a mirror: the home's next message came. One that is not the next follows a gap.
    fn forwarded(&mut self, now: Now, id: MessageId, message: Message) {
        let Some(key) = self.hub.find(message.channel()) else { return };
        let keep = self.bounds_of(key);
        let channel = &mut self.hub[key];
        if channel.role != Role::Mirror || channel.epoch != id.epoch || id.offset < channel.history.next() {
            return;
        }
        if id.offset > channel.history.next() {
            channel.history.skip_to(id.offset, LetGo::Behind);
        }
        channel.history.append(now.tick, message, &keep);
        self.schedule_channel(now.tick, key);
        self.start_wave(key);
    }
}
