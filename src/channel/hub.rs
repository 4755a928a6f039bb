//! The table of one shard's channels: found by name, kept in a slab; of those that hold a history at home, the
//! least recently used is known.

use super::history::History;
use super::slow::{Policies, Slow};
use crate::base::id::Epoch;
use crate::base::random::{Seed, keyed_hash};
use crate::base::time::Tick;
use crate::timer::{Link, Links};
use hashbrown::HashTable;
use slab::Slab;
use std::sync::Arc;

const NONE: u32 = u32::MAX;

/// What this shard is to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Offsets are given here.
    Home,
    /// The home was asked for a snapshot that has not come: nothing is known of the channel yet.
    Waiting,
    /// A copy that follows its home.
    Mirror,
}

/// Whether a wave is bringing this channel's news to its subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waving {
    No,
    /// It has not reached anybody yet, so it will carry whatever is kept until then.
    InLine,
    /// It has reached some.
    UnderWay,
    /// Messages came after it had reached some: it will go round once more.
    Again,
}

/// What a home knows of one mirror of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) shard: u16,
    pub(crate) subscribers: u32,
    /// The last offset sent there: like any reader, a mirror has a position, not a queue.
    pub(crate) sent: u64,
    /// Whether it is in line for what it was not sent for want of room.
    pub(crate) behind: bool,
}

/// Who holds a position in a channel: a connection or a session, by its slot. One word, since lists of them are long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscriber(u32);

/// The same, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Connection(u32),
    Session(u32),
}

/// Marks a session. There are fewer slots of either kind than this.
const SESSION: u32 = 1 << 31;

impl Subscriber {
    pub(crate) fn connection(slot: u32) -> Subscriber {
        debug_assert!(slot < SESSION, "slot {slot} is none");
        Subscriber(slot)
    }

    pub(crate) fn session(slot: u32) -> Subscriber {
        debug_assert!(slot < SESSION, "slot {slot} is none");
        Subscriber(slot | SESSION)
    }

    pub(crate) fn holder(self) -> Holder {
        match self.0 & SESSION {
            0 => Holder::Connection(self.0),
            _ => Holder::Session(self.0 & !SESSION),
        }
    }
}

/// A channel on this shard.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: Epoch,
    pub(crate) history: History,
    /// Who holds a position in it, in no order. Each knows its place here.
    pub(crate) subscribers: Vec<Subscriber>,
    /// Only at home: who mirrors it. Boxed, since most channels have no mirror.
    #[allow(clippy::box_collection)]
    mirrors: Option<Box<Vec<Mirror>>>,
    pub(crate) timer: Link,
    used: u32,
    older: u32,
    newer: u32,
    pub(crate) role: Role,
    pub(crate) waving: Waving,
    /// What becomes of readers who fall behind.
    pub(crate) slow: Slow,
    /// At a mirror: whether the home is still to be told the number of subscribers.
    pub(crate) recount: bool,
    /// Whether it stands in the order by use.
    listed: bool,
}

/// A channel of one's own must fit the budget of TARGETS.md: 320 bytes with connection, name and tables.
const _: () = assert!(size_of::<Channel>() <= 120);

impl Channel {
    /// Who mirrors it.
    pub(crate) fn mirrors(&self) -> &[Mirror] {
        self.mirrors.as_ref().map_or(&[], |mirrors| mirrors)
    }

    pub(crate) fn mirrors_mut(&mut self) -> &mut [Mirror] {
        self.mirrors.as_mut().map_or(&mut [], |mirrors| mirrors)
    }

    /// Adds a mirror, or starts it anew.
    pub(crate) fn add_mirror(&mut self, mirror: Mirror) {
        self.remove_mirror(mirror.shard);
        self.mirrors.get_or_insert_default().push(mirror);
    }

    pub(crate) fn remove_mirror(&mut self, shard: u16) {
        if let Some(mirrors) = &mut self.mirrors {
            mirrors.retain(|mirror| mirror.shard != shard);
            if mirrors.is_empty() {
                self.mirrors = None;
            }
        }
    }

    /// Subscribers on all shards, as far as the home has heard.
    pub(crate) fn audience(&self) -> u64 {
        self.subscribers.len() as u64 + self.mirrors().iter().map(|mirror| u64::from(mirror.subscribers)).sum::<u64>()
    }

    /// When it was last published to, subscribed to or left.
    pub(crate) fn used(&self, now: Tick) -> Tick {
        now.nearest(self.used)
    }
}

/// The channels of one shard.
#[derive(Debug)]
pub(crate) struct Hub {
    seed: Seed,
    policies: Policies,
    channels: Slab<Channel>,
    by_name: HashTable<u32>,
    oldest: u32,
    newest: u32,
    /// What all histories weigh of channels whose home is here.
    pub(crate) bytes: usize,
}

impl Links for Hub {
    fn link(&mut self, key: u32) -> &mut Link {
        &mut self[key].timer
    }
}

impl std::ops::Index<u32> for Hub {
    type Output = Channel;
    fn index(&self, key: u32) -> &Channel {
        &self.channels[key as usize]
    }
}

impl std::ops::IndexMut<u32> for Hub {
    fn index_mut(&mut self, key: u32) -> &mut Channel {
        &mut self.channels[key as usize]
    }
}

impl Hub {
    /// An empty table; `seed` keys the hash of names, which strangers choose.
    pub(crate) fn new(seed: Seed) -> Hub {
        let (channels, by_name) = (Slab::new(), HashTable::new());
        Hub { seed, policies: Policies::default(), channels, by_name, oldest: NONE, newest: NONE, bytes: 0 }
    }

    /// From here on channels have these policies, those that are there included.
    pub(crate) fn govern(&mut self, policies: Policies) {
        for (_, channel) in &mut self.channels {
            channel.slow = policies.of(&channel.name);
        }
        self.policies = policies;
    }

    /// Whether there can be channels that end slow readers.
    pub(crate) fn ends_slow(&self) -> bool {
        !self.policies.disconnect.is_empty()
    }

    /// How many channels there are.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    /// The channel called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.find_bytes(name.as_bytes())
    }

    /// The channel whose name is these bytes. Messages come in runs to one channel, so the last used is looked at first.
    pub(crate) fn find_bytes(&self, name: &[u8]) -> Option<u32> {
        let is = |key: u32| self[key].name.as_bytes() == name;
        if self.newest != NONE && is(self.newest) {
            return Some(self.newest);
        }
        let hash = keyed_hash(self.seed, name);
        self.by_name.find(hash, |&key| is(key)).copied()
    }

    /// Makes a channel that does not exist yet; it begins with no history.
    pub(crate) fn insert(&mut self, now: Tick, name: Arc<str>, epoch: Epoch, role: Role) -> u32 {
        debug_assert!(self.find(&name).is_none(), "{name} exists");
        let (seed, hash) = (self.seed, keyed_hash(self.seed, name.as_bytes()));
        let channel = Channel {
            slow: self.policies.of(&name),
            name,
            epoch,
            role,
            history: History::new(1),
            subscribers: Vec::new(),
            mirrors: None,
            timer: Link::default(),
            used: now.low(),
            older: NONE,
            newer: NONE,
            waving: Waving::No,
            recount: false,
            listed: false,
        };
        let key = self.channels.insert(channel) as u32;
        let channels = &self.channels;
        self.by_name.insert_unique(hash, key, |&key| keyed_hash(seed, channels[key as usize].name.as_bytes()));
        key
    }

    /// Forgets a channel, whose timer is not armed and which nobody holds.
    pub(crate) fn remove(&mut self, key: u32) {
        self.unlist(key);
        let channel = self.channels.remove(key as usize);
        debug_assert!(channel.subscribers.is_empty(), "{} has subscribers", channel.name);
        let hash = keyed_hash(self.seed, channel.name.as_bytes());
        if channel.role == Role::Home {
            self.bytes -= channel.history.bytes();
        }
        if let Ok(entry) = self.by_name.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
    }

    /// Marks a channel as used now, and as the last of the listed.
    pub(crate) fn touch(&mut self, key: u32, now: Tick) {
        self[key].used = now.low();
        if self[key].listed && self.newest != key {
            self.unlist(key);
            self.list(key);
        }
    }

    /// Changes a channel's history, and keeps the sum and the order by use right.
    pub(crate) fn change_history<T>(&mut self, key: u32, change: impl FnOnce(&mut History) -> T) -> T {
        let channel = &mut self[key];
        let before = channel.history.bytes();
        let result = change(&mut channel.history);
        let after = channel.history.bytes();
        if channel.role != Role::Home {
            return result;
        }
        let (listed, holds) = (channel.listed, channel.history.len() > 0);
        self.bytes = self.bytes - before + after;
        match (listed, holds) {
            (false, true) => self.list(key),
            (true, false) => self.unlist(key),
            _ => {}
        }
        result
    }

    /// Of the channels that hold a history at home, the one that was not used for longest.
    pub(crate) fn least_recently_used(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Whether `key` is the last of those.
    pub(crate) fn is_most_recently_used(&self, key: u32) -> bool {
        self.newest == key
    }

    fn list(&mut self, key: u32) {
        self[key].listed = true;
        let older = std::mem::replace(&mut self.newest, key);
        (self[key].older, self[key].newer) = (older, NONE);
        match older {
            NONE => self.oldest = key,
            older => self[older].newer = key,
        }
    }

    fn unlist(&mut self, key: u32) {
        if !std::mem::take(&mut self[key].listed) {
            return;
        }
        let (older, newer) = (self[key].older, self[key].newer);
        match older {
            NONE => self.oldest = newer,
            older => self[older].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self[newer].older = older,
        }
    }

    /// Every channel's key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u32> {
        self.channels.iter().map(|(key, _)| key as u32)
    }

    /// Panics unless all that must hold does.
    pub(crate) fn check_invariants(&self) {
        let known = |key: u32| (key != NONE).then_some(key);
        let listed: Vec<u32> = std::iter::successors(known(self.oldest), |&key| known(self[key].newer)).collect();
        let holds = |key: &u32| self[*key].role == Role::Home && self[*key].history.len() > 0;
        assert_eq!(listed.len(), self.keys().filter(holds).count());
        assert!(listed.iter().all(holds));
        let home = |key: &u32| self[*key].role == Role::Home;
        let bytes: usize = self.keys().filter(home).map(|key| self[key].history.bytes()).sum();
        assert_eq!(bytes, self.bytes);
        for key in self.keys() {
            assert_eq!(self.find(&self[key].name), Some(key));
            self[key].history.check_invariants();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Keep, LetGo};
    use super::*;
    use crate::base::pattern::Patterns;
    use crate::base::payload::{Message, Parts};

    #[test]
    fn channels_are_found_by_name_and_those_with_a_history_ordered_by_use() {
        let keep = Keep { messages: 9, bytes: 9_999, age_ms: 0, conflated: None };
        let mut hub = Hub::new(Seed(3, 4));
        let make = |hub: &mut Hub, name: &'static str| hub.insert(Tick(1), name.into(), Epoch::new(name, 1), Role::Home);
        let say = |hub: &mut Hub, key: u32| {
            let parts = Parts { channel: &hub[key].name.clone(), content_type: "", event: "", data: b"x", unix_ms: 0 };
            hub.change_history(key, |history| history.append(Tick(1), Message::new(&parts).unwrap(), &keep));
        };
        let keys = ["/a", "/b", "/c"].map(|name| make(&mut hub, name));
        assert_eq!(hub.least_recently_used(), None);
        for key in keys {
            say(&mut hub, key);
            hub.check_invariants();
        }
        assert_eq!(hub.least_recently_used(), Some(keys[0]));
        hub.touch(keys[0], Tick(2));
        assert_eq!(hub.least_recently_used(), Some(keys[1]));
        hub.change_history(keys[1], |history| history.drop_oldest(LetGo::Budget));
        assert_eq!(hub.least_recently_used(), Some(keys[2]));
        assert_eq!(hub[keys[0]].slow, Slow::Resume);
        hub.govern(Policies { latest: Patterns::parse("/a").unwrap(), ..Policies::default() });
        assert_eq!(keys.map(|key| hub[key].slow), [Slow::Latest, Slow::Resume, Slow::Resume]);
        hub.remove(keys[2]);
        assert_eq!(hub.least_recently_used(), Some(keys[0]));
        assert_eq!(hub.find("/c"), None);
        assert_eq!(hub.find("/b"), Some(keys[1]));
        hub.check_invariants();
    }
}
