//! Subscriptions with a star: to all channels that a pattern stands for, those to come included.
//!
//! A session that **watches** a pattern is an ordinary subscriber of each channel that the pattern stands for. So that it
//! is one of every such channel, each home is told which shards watch what: it has their mirrors of a channel from the
//! moment the channel is made, before its first message. What lies below `/service` and `/meta` is nobody's.
//!
//! Patterns are found by what they are written like, since only few can stand for a channel: a new channel costs a look for
//! each of its segments, however many patterns are watched.

use super::{Asker, Engine, PeerMessage};
use crate::base::name::is_internal;
use crate::base::pattern::{Pattern, stars_of};
use crate::base::time::{Now, Tick};
use crate::channel::{Role, Subscriber};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who watches a pattern.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Sessions here, by slot.
    sessions: BTreeSet<u32>,
    /// Other shards, as far as channels are concerned whose home is here.
    shards: Vec<u16>,
}

/// By pattern.
pub(super) type Watches = BTreeMap<Arc<str>, Watch>;

/// What a session watches.
#[derive(Debug, Default)]
pub(super) struct Watching {
    patterns: Vec<Arc<str>>,
    /// The channels that it is subscribed to by their names too.
    named: Vec<u32>,
}

/// Those that no star stands for.
fn is_reserved(channel: &str) -> bool {
    channel.starts_with("/service/") || channel.starts_with("/meta/") || is_internal(channel)
}

impl Engine {
    /// How many subscriptions a session has: names and patterns.
    pub(super) fn wishes(&self, slot: u32) -> usize {
        let session = &self.sessions[slot];
        session.watching.as_ref().map_or(session.subscriptions.len(), |watching| watching.named.len() + watching.patterns.len())
    }

    /// Whether a session has subscribed to a channel by its name.
    pub(super) fn is_named(&self, slot: u32, key: u32) -> bool {
        let session = &self.sessions[slot];
        match &session.watching {
            Some(watching) => watching.named.contains(&key),
            None => session.subscriptions.iter().any(|one| one.channel == key),
        }
    }

    /// A session subscribes to a channel by its name.
    pub(super) fn name(&mut self, slot: u32, key: u32) {
        if let Some(watching) = &mut self.sessions[slot].watching
            && !watching.named.contains(&key)
        {
            watching.named.push(key);
        }
    }

    /// Whether a session watches a pattern.
    pub(super) fn is_watching(&self, slot: u32, pattern: &str) -> bool {
        let watching = self.sessions[slot].watching.as_ref();
        watching.is_some_and(|watching| watching.patterns.iter().any(|known| **known == *pattern))
    }

    /// What a session watches.
    pub(super) fn patterns_of(&self, slot: u32) -> &[Arc<str>] {
        self.sessions[slot].watching.as_ref().map_or(&[], |watching| &watching.patterns)
    }

    /// A session watches a pattern from here on. Returns how many homes have yet to know; `asker` waits for them.
    pub(super) fn watch(&mut self, now: Tick, slot: u32, pattern: &Arc<str>, asker: Asker) -> u32 {
        let session = &mut self.sessions[slot];
        let named = session.subscriptions.iter().map(|one| one.channel);
        let watching =
            session.watching.get_or_insert_with(|| Box::new(Watching { patterns: Vec::new(), named: named.collect() }));
        if !watching.patterns.contains(pattern) {
            watching.patterns.push(pattern.clone());
        }
        self.watches.entry(pattern.clone()).or_default().sessions.insert(slot);
        for key in self.matching(pattern) {
            self.subscribe_watcher(now, slot, key);
        }
        for home in (0..self.shards).filter(|&home| home != self.shard) {
            self.peers.post(home, PeerMessage::Watch { pattern: pattern.clone(), asker });
        }
        u32::from(self.shards) - 1
    }

    /// A session watches a pattern no more; what it was subscribed to by that alone, it leaves.
    pub(super) fn unwatch(&mut self, now: Tick, slot: u32, pattern: &str) {
        let Some(watching) = &mut self.sessions[slot].watching else { return };
        let Some(place) = watching.patterns.iter().position(|known| **known == *pattern) else { return };
        watching.patterns.swap_remove(place);
        self.stop_watching(slot, pattern);
        for key in self.matching(pattern) {
            self.leave_unwanted(now, slot, key);
        }
    }

    /// A session is not subscribed to a channel by its name any more.
    pub(super) fn unname(&mut self, now: Tick, slot: u32, key: u32) {
        if let Some(watching) = &mut self.sessions[slot].watching {
            watching.named.retain(|named| *named != key);
        }
        self.leave_unwanted(now, slot, key);
    }

    /// Takes a session that ends out of all that it watches.
    pub(super) fn watch_nothing(&mut self, slot: u32) {
        let watching = self.sessions[slot].watching.take();
        for pattern in watching.into_iter().flat_map(|watching| watching.patterns) {
            self.stop_watching(slot, &pattern);
        }
    }

    fn stop_watching(&mut self, slot: u32, pattern: &str) {
        let Some(watch) = self.watches.get_mut(pattern) else { return };
        watch.sessions.remove(&slot);
        if !watch.sessions.is_empty() {
            return;
        }
        if watch.shards.is_empty() {
            self.watches.remove(pattern);
        }
        for home in (0..self.shards).filter(|&home| home != self.shard) {
            self.peers.post(home, PeerMessage::Unwatch { pattern: pattern.into(), shard: self.shard });
        }
    }

    /// A session leaves a channel, unless it has named it or watches it.
    fn leave_unwanted(&mut self, now: Tick, slot: u32, key: u32) {
        let session = &mut self.sessions[slot];
        if let Some(watching) = &session.watching {
            let watched = || stars_of(&self.hub[key].name).any(|star| watching.patterns.iter().any(|known| **known == *star));
            if watching.named.contains(&key) || watched() {
                return;
            }
        }
        let Some(place) = session.subscriptions.iter().position(|one| one.channel == key) else { return };
        let subscription = session.subscriptions.swap_remove(place);
        if let Some(acks) = &mut session.acks {
            acks.end(key);
        }
        self.unsubscribe(now, Subscriber::session(slot), subscription);
    }

    /// The channels known here that a pattern stands for.
    fn matching(&self, pattern: &str) -> Vec<u32> {
        let Ok(pattern) = Pattern::parse(pattern) else { return Vec::new() };
        let stands = |key: &u32| {
            let name = &self.hub[*key].name;
            pattern.matches(name) && !is_reserved(name)
        };
        self.hub.keys().filter(stands).collect()
    }

    /// A session that cannot have one more channel would miss what is said there: it is over instead.
    fn subscribe_watcher(&mut self, now: Tick, slot: u32, key: u32) {
        let subscriptions = &self.sessions[slot].subscriptions;
        if subscriptions.iter().any(|one| one.channel == key) {
            return;
        }
        if subscriptions.len() < self.limits.star_channels {
            self.subscribe_session(now, slot, key);
        } else if !std::mem::replace(&mut self.sessions[slot].overrun, true)
            && let Some(index) = self.sessions[slot].carrier.and_then(|token| self.slots.live(token))
        {
            self.enqueue(index);
        }
    }

    /// Whether a session may have all channels that a pattern stands for, as far as they are known here.
    pub(super) fn may_watch(&self, slot: u32, pattern: &str) -> bool {
        self.sessions[slot].subscriptions.len() + self.matching(pattern).len() <= self.limits.star_channels
    }

    /// A channel is known here from now on: whoever watches it becomes its subscriber.
    pub(super) fn welcome(&mut self, now: Tick, key: u32) {
        if self.watches.is_empty() || is_reserved(&self.hub[key].name) {
            return;
        }
        let name = self.hub[key].name.clone();
        for star in stars_of(&name) {
            let Some(watch) = self.watches.get(&*star) else { continue };
            let sessions = watch.sessions.clone();
            let shards = if self.hub[key].role == Role::Home { watch.shards.clone() } else { Vec::new() };
            sessions.into_iter().for_each(|slot| self.subscribe_watcher(now, slot, key));
            shards.into_iter().for_each(|shard| self.mirror_for_watcher(key, shard));
        }
    }

    /// Whether a session here watches a channel.
    pub(super) fn is_watched(&self, channel: &str) -> bool {
        let watched = |star: String| self.watches.get(&*star).is_some_and(|watch| !watch.sessions.is_empty());
        !self.watches.is_empty() && !is_reserved(channel) && stars_of(channel).any(watched)
    }

    /// Another shard watches a pattern: it gets mirrors of what there is.
    pub(super) fn watched_by(&mut self, now: Now, pattern: Arc<str>, asker: Asker) {
        let watch = self.watches.entry(pattern.clone()).or_default();
        if !watch.shards.contains(&asker.shard) {
            watch.shards.push(asker.shard);
            for key in self.matching(&pattern) {
                if self.hub[key].role == Role::Home {
                    self.mirror_for_watcher(key, asker.shard);
                    self.hub.touch(key, now.tick);
                }
            }
        }
        self.peers.post(asker.shard, PeerMessage::Watched { asker });
    }

    /// A shard that has a mirror knows the channel, and needs no other.
    fn mirror_for_watcher(&mut self, key: u32, shard: u16) {
        if !self.hub[key].mirrors().iter().any(|mirror| mirror.shard == shard) {
            self.mirror_on(key, shard);
        }
    }

    /// Another shard watches a pattern no more.
    pub(super) fn unwatched_by(&mut self, pattern: &str, shard: u16) {
        let Some(watch) = self.watches.get_mut(pattern) else { return };
        watch.shards.retain(|known| *known != shard);
        if watch.shards.is_empty() && watch.sessions.is_empty() {
            self.watches.remove(pattern);
        }
    }

    /// Panics unless each session is watching exactly where it is known to, and subscribed to all that it watches.
    pub(super) fn check_watches(&self) {
        for (pattern, watch) in &self.watches {
            assert!(!watch.sessions.is_empty() || !watch.shards.is_empty(), "somebody watches {pattern}");
            for &slot in &watch.sessions {
                assert!(self.is_watching(slot, pattern));
                for key in self.matching(pattern) {
                    let known = self.hub[key].role != Role::Waiting;
                    let subscribed = self.sessions[slot].subscriptions.iter().any(|one| one.channel == key);
                    assert!(subscribed || !known || self.sessions[slot].overrun, "session {slot} has {}", self.hub[key].name);
                }
            }
        }
    }
}
