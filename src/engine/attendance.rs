//! Which of this shard's readers are here, and as whom: what it tells the homes of their channels.
//!
//! A reader is here from the moment it subscribes until it leaves, whatever holds it: a stream, a poll, a WebSocket, a
//! Bayeux session. A home is told of each user how many there are, never that one came or went: so what is told late stands
//! for all that happened before, whatever the order, and a user who came and went at once is told of with none.
//!
//! A home on this shard hears of it before the turn is over. What homes elsewhere are yet to hear waits here while their
//! boxes are full: once for each user, and beyond a bound only of users that they know of.
//!
//! Nothing is kept of channels that have no presence. Invariant: whoever is here subscribes to the channel.

use super::{Engine, PeerMessage};
use crate::base::time::Now;
use crate::channel::{Holder, Subscriber};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A user; `None` for all who are nobody in particular.
type User = Option<Arc<str>>;

/// The readers of this shard in all channels that have presence.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    channels: BTreeMap<Arc<str>, Readers>,
    /// Whose number has changed in channels that are at home here, in the order in which it did.
    here: Vec<(Arc<str>, User)>,
    /// The same of channels that are at home elsewhere.
    elsewhere: BTreeSet<(Arc<str>, User)>,
}

/// Those in one channel.
#[derive(Debug, Default)]
struct Readers {
    users: BTreeMap<Subscriber, User>,
    counts: BTreeMap<User, Count>,
}

/// How many of a user's readers there are, and how many the home knows of.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    now: u32,
    told: u32,
}

impl Attendance {
    /// Whether homes elsewhere are to hear of somebody.
    pub(super) fn has_news(&self) -> bool {
        !self.elsewhere.is_empty()
    }

    /// How many readers of `user` there are in `channel`, which its home is told now.
    fn take_count(&mut self, channel: &str, user: &User) -> u32 {
        let Some(readers) = self.channels.get_mut(channel) else { return 0 };
        let Some(count) = readers.counts.get_mut(user) else { return 0 };
        count.told = count.now;
        let now = count.now;
        if now == 0 {
            readers.counts.remove(user);
        }
        if readers.counts.is_empty() {
            self.channels.remove(channel);
        }
        now
    }
}

impl Engine {
    /// A reader has subscribed to a channel.
    pub(super) fn sign_in(&mut self, subscriber: Subscriber, key: u32) {
        if !self.policy.presence.tells_of(&self.hub[key].name) {
            return;
        }
        let (channel, user) = (&self.hub[key].name, self.user_of(subscriber));
        let readers = self.attendance.channels.entry(channel.clone()).or_default();
        readers.counts.entry(user.clone()).or_default().now += 1;
        let before = readers.users.insert(subscriber, user.clone());
        debug_assert!(before.is_none(), "{subscriber:?} subscribes twice");
        self.note_attendance(key, user);
    }

    /// As whom a reader is here.
    fn user_of(&self, subscriber: Subscriber) -> User {
        let pass = match subscriber.holder() {
            Holder::Connection(index) => self.pass(index),
            Holder::Session(slot) => self.sessions[slot].pass(),
        };
        pass?.proof.grant.user.clone()
    }

    /// A reader leaves a channel.
    pub(super) fn sign_out(&mut self, subscriber: Subscriber, key: u32) {
        if self.attendance.channels.is_empty() {
            return;
        }
        let Some(readers) = self.attendance.channels.get_mut(&*self.hub[key].name) else { return };
        let Some(user) = readers.users.remove(&subscriber) else { return };
        if let Some(count) = readers.counts.get_mut(&user) {
            count.now -= 1;
        }
        self.note_attendance(key, user);
    }

    /// The number of a user's readers in a channel has changed.
    fn note_attendance(&mut self, key: u32, user: User) {
        let channel = self.hub[key].name.clone();
        if Engine::home_of(self.seed, self.shards, &channel) == self.shard {
            return self.attendance.here.push((channel, user));
        }
        let count = self.attendance.channels.get(&channel).and_then(|readers| readers.counts.get(&user));
        let (elsewhere, place) = (&mut self.attendance.elsewhere, (channel, user));
        if count.is_some_and(|count| count.now + count.told > 0) || elsewhere.len() < self.limits.backlog {
            elsewhere.insert(place);
            return;
        }
        // Nobody has heard of it, and nobody will.
        elsewhere.remove(&place);
        self.attendance.take_count(&place.0, &place.1);
    }

    /// Homes on this shard hear who is here.
    pub(super) fn tell_own_homes(&mut self, now: Now) {
        if self.attendance.here.is_empty() {
            return;
        }
        for (channel, user) in std::mem::take(&mut self.attendance.here) {
            let connections = self.attendance.take_count(&channel, &user);
            self.counted(now, &channel, self.shard, user, connections);
        }
    }

    /// Homes elsewhere hear who is here, as far as there is room.
    pub(super) fn tell_other_homes(&mut self) {
        let is_full = |home: u16| self.peers.posted(home) >= self.limits.backlog;
        if self.attendance.elsewhere.is_empty() || (0..self.shards).all(|home| home == self.shard || is_full(home)) {
            return;
        }
        for (channel, user) in std::mem::take(&mut self.attendance.elsewhere) {
            let home = Engine::home_of(self.seed, self.shards, &channel);
            if self.peers.posted(home) >= self.limits.backlog {
                self.attendance.elsewhere.insert((channel, user));
                continue;
            }
            let connections = self.attendance.take_count(&channel, &user);
            self.peers.post(home, PeerMessage::Present { name: channel, shard: self.shard, user, connections });
        }
    }

    /// Panics unless all who are here subscribe, are counted, and are known to their homes or about to be.
    pub(super) fn check_attendance(&self) {
        for (channel, readers) in &self.attendance.channels {
            let mut counts: BTreeMap<&User, u32> = BTreeMap::new();
            for (subscriber, user) in &readers.users {
                let key = self.hub.find(channel).expect("a channel with readers is known");
                assert!(self.hub[key].subscribers.contains(subscriber), "{subscriber:?} is in {channel}");
                *counts.entry(user).or_default() += 1;
            }
            for (user, count) in &readers.counts {
                assert_eq!(count.now, counts.remove(user).unwrap_or(0), "{user:?} in {channel}");
                let place = (channel.clone(), user.clone());
                let to_be_told = self.attendance.elsewhere.contains(&place) || self.attendance.here.contains(&place);
                assert!(to_be_told || count.now == count.told && count.now > 0, "{user:?} in {channel} is known");
            }
            assert!(counts.is_empty(), "{counts:?} in {channel} are not counted");
        }
    }
}
