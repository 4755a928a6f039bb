//! Who is here: the users in the channels whose home is on this shard.
//!
//! A **member** is a user in a channel, however many connections it has there, on whichever shards. It is **listed** if
//! there was room for it. One that is not is only counted, and is forgotten with its last connection; one that is
//! stays for a while, which its timer counts. Those who are nobody in particular are a number.
//!
//! Invariants: a member stands in one of the two lists of its channel, under its name; one that is not listed has a
//! connection. A channel without anybody has no roll.

use crate::timer::{Link, Links};
use slab::Slab;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// So many connections on each shard that has some.
#[derive(Debug, Default)]
pub(crate) struct Counts(Vec<(u16, u32)>);

/// A user in a channel.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) channel: Arc<str>,
    pub(crate) user: Arc<str>,
    /// When it came, in milliseconds since 1970.
    pub(crate) since_unix_ms: u64,
    pub(crate) connections: Counts,
    listed: bool,
    timer: Link,
    /// When it is told that it left, unless it comes back before (low half of a tick).
    pub(crate) ends_at: u32,
}

/// Everybody in one channel.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    listed: BTreeMap<Arc<str>, u32>,
    unlisted: BTreeMap<Arc<str>, u32>,
    anonymous: Counts,
}

/// The rolls of all channels.
#[derive(Debug, Default)]
pub(crate) struct Rolls {
    members: Slab<Member>,
    channels: BTreeMap<Arc<str>, Roll>,
    listed: usize,
}

impl Counts {
    pub(crate) fn set(&mut self, shard: u16, count: u32) {
        self.0.retain(|(known, _)| *known != shard);
        if count > 0 {
            self.0.push((shard, count));
        }
    }

    /// On all shards together.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|(_, count)| u64::from(*count)).sum()
    }
}

impl Member {
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }
}

impl Links for Rolls {
    fn link(&mut self, key: u32) -> &mut Link {
        &mut self[key].timer
    }
}

impl std::ops::Index<u32> for Rolls {
    type Output = Member;
    fn index(&self, key: u32) -> &Member {
        &self.members[key as usize]
    }
}

impl std::ops::IndexMut<u32> for Rolls {
    fn index_mut(&mut self, key: u32) -> &mut Member {
        &mut self.members[key as usize]
    }
}

impl Rolls {
    /// The channels in which there is somebody.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.channels.keys()
    }

    /// How many members are listed, in all channels.
    pub(crate) fn listed(&self) -> usize {
        self.listed
    }

    /// How many members of `channel` are listed.
    pub(crate) fn listed_in(&self, channel: &str) -> usize {
        self.channels.get(channel).map_or(0, |roll| roll.listed.len())
    }

    /// The listed members of `channel` whose names come behind `after`, by name.
    pub(crate) fn listed_after<'a>(&'a self, channel: &str, after: Option<&'a str>) -> impl Iterator<Item = &'a Member> {
        let from = after.map_or(Unbounded, Excluded);
        let roll = self.channels.get(channel).into_iter();
        roll.flat_map(move |roll| roll.listed.range::<str, _>((from, Unbounded))).map(|(_, &key)| &self[key])
    }

    /// How many members of `channel` are not listed.
    pub(crate) fn unlisted_in(&self, channel: &str) -> usize {
        self.channels.get(channel).map_or(0, |roll| roll.unlisted.len())
    }

    /// Some member of `channel` that is not listed.
    pub(crate) fn next_unlisted(&self, channel: &str) -> Option<u32> {
        self.channels.get(channel)?.unlisted.values().next().copied()
    }

    /// How many connections in `channel` are nobody's in particular.
    pub(crate) fn anonymous_in(&self, channel: &str) -> u64 {
        self.channels.get(channel).map_or(0, |roll| roll.anonymous.sum())
    }

    /// On `shard` so many connections in `channel` are nobody's in particular.
    pub(crate) fn count_anonymous(&mut self, channel: &Arc<str>, shard: u16, connections: u32) {
        self.roll(channel).anonymous.set(shard, connections);
        self.tidy(channel);
    }

    pub(crate) fn find(&self, channel: &str, user: &str) -> Option<u32> {
        let roll = self.channels.get(channel)?;
        roll.listed.get(user).or_else(|| roll.unlisted.get(user)).copied()
    }

    /// A user comes who is no member yet; it is not listed.
    pub(crate) fn enter(&mut self, unix_ms: u64, channel: &Arc<str>, user: Arc<str>) -> u32 {
        let member = Member {
            channel: channel.clone(),
            user: user.clone(),
            since_unix_ms: unix_ms,
            connections: Counts::default(),
            listed: false,
            timer: Link::default(),
            ends_at: 0,
        };
        let key = self.members.insert(member) as u32;
        self.roll(channel).unlisted.insert(user, key);
        key
    }

    /// Lists a member that is not.
    pub(crate) fn list(&mut self, key: u32) {
        let member = &mut self.members[key as usize];
        debug_assert!(!member.listed, "{} is listed in {}", member.user, member.channel);
        member.listed = true;
        let (channel, user) = (member.channel.clone(), member.user.clone());
        let roll = self.roll(&channel);
        roll.unlisted.remove(&user);
        roll.listed.insert(user, key);
        self.listed += 1;
    }

    /// Forgets a member, whose timer is not armed.
    pub(crate) fn remove(&mut self, key: u32) -> Member {
        let member = self.members.remove(key as usize);
        let roll = self.roll(&member.channel);
        let list = if member.listed { &mut roll.listed } else { &mut roll.unlisted };
        list.remove(&member.user);
        self.listed -= usize::from(member.listed);
        self.tidy(&member.channel);
        member
    }

    fn roll(&mut self, channel: &Arc<str>) -> &mut Roll {
        self.channels.entry(channel.clone()).or_default()
    }

    fn tidy(&mut self, channel: &str) {
        let is_empty = |roll: &Roll| roll.listed.is_empty() && roll.unlisted.is_empty() && roll.anonymous.0.is_empty();
        if self.channels.get(channel).is_some_and(is_empty) {
            self.channels.remove(channel);
        }
    }

    /// Panics unless all that must hold does. `is_waiting` says of a timer whether it is armed.
    pub(crate) fn check_invariants(&self, is_waiting: impl Fn(&Link) -> bool) {
        let (mut listed, mut all) = (0, 0);
        for (channel, roll) in &self.channels {
            let lists = [(true, &roll.listed), (false, &roll.unlisted)];
            for (is_listed, user, key) in lists.iter().flat_map(|(is, list)| list.iter().map(|(user, key)| (*is, user, *key))) {
                let member = &self[key];
                assert_eq!((&member.channel, &member.user, member.listed), (channel, user, is_listed));
                let here = member.connections.sum() > 0;
                assert_eq!(is_waiting(&member.timer), !here, "{user} in {channel} is here, or waits to be gone");
                assert!(is_listed || here, "{user} in {channel} is of no use");
            }
            listed += roll.listed.len();
            all += roll.listed.len() + roll.unlisted.len();
            assert!(roll.listed.len() + roll.unlisted.len() > 0 || roll.anonymous.sum() > 0, "{channel} has nobody");
        }
        assert_eq!((listed, all), (self.listed, self.members.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rolls: &Rolls, channel: &str, after: Option<&str>) -> Vec<String> {
        rolls.listed_after(channel, after).map(|member| member.user.to_string()).collect()
    }

    #[test]
    fn a_member_is_one_however_many_connections_it_has() {
        let mut counts = Counts::default();
        for (shard, count, sum) in [(0, 2, 2), (3, 1, 3), (0, 1, 2), (3, 0, 1), (5, 0, 1), (0, 0, 0)] {
            counts.set(shard, count);
            assert_eq!(counts.sum(), sum);
        }
        assert!(counts.0.is_empty(), "a shard without connections takes no room");
    }

    #[test]
    fn members_are_listed_by_name_and_leave_nothing() {
        let mut rolls = Rolls::default();
        let (rome, oslo) = (Arc::from("/rome"), Arc::from("/oslo"));
        let keys = ["cem", "ann", "bob"].map(|user| rolls.enter(7, &rome, user.into()));
        assert_eq!((rolls.unlisted_in("/rome"), rolls.next_unlisted("/rome")), (3, Some(keys[1])));
        keys.into_iter().for_each(|key| rolls.list(key));
        rolls.count_anonymous(&oslo, 1, 4);
        assert_eq!(names(&rolls, "/rome", None), ["ann", "bob", "cem"]);
        assert_eq!(names(&rolls, "/rome", Some("ann")), ["bob", "cem"]);
        assert_eq!(names(&rolls, "/rome", Some("b")), ["bob", "cem"]);
        assert_eq!(names(&rolls, "/rome", Some("cem")), [""; 0]);
        assert_eq!(names(&rolls, "/oslo", None), [""; 0]);
        assert_eq!((rolls.listed(), rolls.listed_in("/rome"), rolls.anonymous_in("/oslo")), (3, 3, 4));
        assert_eq!(rolls.find("/rome", "bob"), Some(keys[2]));
        assert_eq!(rolls.find("/oslo", "bob"), None);
        for key in keys {
            assert_eq!(rolls.remove(key).since_unix_ms, 7);
        }
        rolls.count_anonymous(&oslo, 1, 0);
        rolls.check_invariants(|_| true);
        assert!(rolls.channels.is_empty() && rolls.members.is_empty());
    }
}
