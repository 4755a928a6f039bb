//! Who is here: what the home of a channel makes of what shards tell it, says of it, and answers.
//!
//! A user **joins** with its first connection, on whichever shard, and **leaves** once when it has had none for a grace:
//! whoever connects anew, or polls again, was never away. Each of both is a message on the channel's sibling and an event for
//! the host program, in that order for each user, and never one without the other before it.
//!
//! The list that is answered and the sibling's messages are of one shard. So the cursor that goes with a list lies
//! exactly behind the messages that the list is made of: whoever reads on from there misses nothing and hears nothing twice.
//!
//! There are bounds, in one channel and in all. A user who finds no room, be it for one more channel, is counted and not
//! told of; as soon as something changes in the channel and there is room, it joins.
//!
//! While a shard is frozen nobody joins or leaves there: its successor has the roll, and what was said.
//!
//! Invariant: a member has connections, or its grace counts.

use super::{Answer, Engine, PeerMessage};
use crate::base::error::Reject;
use crate::base::event::Event;
use crate::base::id::MessageId;
use crate::base::name::is_internal;
use crate::base::payload::{Message, Parts};
use crate::base::presence::{home_name, sibling};
use crate::base::time::{Now, Tick};
use crate::conn::{Flags, Judged, RollCall, State, Then};
use crate::protocol::plain::members::{Present, Roster, notice};
use crate::protocol::plain::{Manner, reply};
use crate::timer::Link;
use std::sync::Arc;

impl Engine {
    /// How many users this shard tells of, as the home of their channels.
    pub fn members(&self) -> usize {
        self.rolls.listed()
    }

    /// On `shard`, `user` has so many readers of a channel whose home is here; it had some, if there are none.
    pub(super) fn counted(&mut self, now: Now, channel: &Arc<str>, shard: u16, user: Option<Arc<str>>, connections: u32) {
        let Some(user) = user else { return self.rolls.count_anonymous(channel, shard, connections) };
        let known = self.rolls.find(channel, &user);
        let key = known.unwrap_or_else(|| self.rolls.enter(now.unix_ms, channel, user));
        self.rolls[key].connections.set(shard, connections);
        let listed = self.rolls[key].is_listed() || self.join_member(now, key);
        match (listed, self.rolls[key].connections.sum() > 0) {
            (true, true) => self.roll_timers.cancel(&mut self.rolls, key),
            (true, false) => {
                let at = now.tick + self.durations.presence_grace;
                self.rolls[key].ends_at = at.low();
                self.roll_timers.arm(&mut self.rolls, key, now.tick, at);
            }
            (false, true) => {}
            (false, false) => _ = self.rolls.remove(key),
        }
        self.join_others(now, channel);
    }

    /// Ends the grace of members who were away for so long, at most so many.
    pub(super) fn end_graces(&mut self, now: Now, count: usize) {
        for _ in 0..count {
            let Some(key) = self.roll_timers.expired(&mut self.rolls, now.tick) else { break };
            let mut at = now.tick.nearest(self.rolls[key].ends_at);
            if self.frozen && at <= now.tick {
                at = now.tick + self.durations.presence_grace;
                self.rolls[key].ends_at = at.low();
            }
            if at > now.tick {
                self.roll_timers.arm(&mut self.rolls, key, now.tick, at);
                continue;
            }
            let member = self.rolls.remove(key);
            self.counters.leaves += 1;
            self.announce(now, &member.channel, "leave", &member.user);
            self.tell_presence(Event::left, &member.channel, &member.user);
            self.join_others(now, &member.channel);
        }
    }

    /// A member that is not told of joins, if there is room for it. Says whether it did.
    fn join_member(&mut self, now: Now, key: u32) -> bool {
        let (channel, user) = (self.rolls[key].channel.clone(), self.rolls[key].user.clone());
        if self.frozen || self.has_no_room_in(&channel) || !self.announce(now, &channel, "join", &user) {
            return false;
        }
        self.rolls.list(key);
        self.counters.joins += 1;
        self.tell_presence(Event::joined, &channel, &user);
        true
    }

    /// Those of a channel who found no room join, as far as there is some.
    fn join_others(&mut self, now: Now, channel: &str) {
        while let Some(key) = self.rolls.next_unlisted(channel) {
            if !self.join_member(now, key) {
                break;
            }
        }
    }

    /// Those of all channels do, as far as there is room.
    pub(super) fn join_everywhere(&mut self, now: Now) {
        let channels: Vec<Arc<str>> = self.rolls.channels().cloned().collect();
        channels.iter().for_each(|channel| self.join_others(now, channel));
    }

    /// Each channel with members has its sibling, as far as there is room for more channels.
    pub(super) fn make_siblings(&mut self, now: Tick) {
        let told = |channel: &&Arc<str>| self.rolls.listed_in(channel) > 0;
        let channels: Vec<Arc<str>> = self.rolls.channels().filter(told).cloned().collect();
        channels.iter().for_each(|channel| _ = self.sibling(now, channel));
    }

    /// The members who are told of on the channel `name`, each with when it came.
    pub(super) fn members_told_on(&self, name: &str) -> Vec<(u64, Arc<str>)> {
        if !self.policy.presence.owns(name) {
            return Vec::new();
        }
        let listed = self.rolls.listed_after(home_name(name), None);
        listed.map(|member| (member.since_unix_ms, member.user.clone())).collect()
    }

    /// These members were told of on a sibling that was taken over, and have until the predecessor has seen all its readers
    /// off, and the grace besides, to come here. Those for whom there is no room leave.
    pub(super) fn expect_members(&mut self, now: Now, sibling: &str, members: Vec<(u64, Arc<str>)>) {
        let channel: Arc<str> = home_name(sibling).into();
        if !self.policy.presence.tells_of(&channel) {
            return;
        }
        let at = now.tick + self.durations.presence_grace.saturating_add(self.durations.drain);
        for (since_unix_ms, user) in members {
            if self.has_no_room_in(&channel) {
                self.announce(now, &channel, "leave", &user);
                continue;
            }
            let key = self.rolls.enter(since_unix_ms, &channel, user);
            self.rolls.list(key);
            self.counters.joins += 1;
            self.rolls[key].ends_at = at.low();
            self.roll_timers.arm(&mut self.rolls, key, now.tick, at);
        }
    }

    /// Whether there are as many members as there may be, in a channel or in all.
    fn has_no_room_in(&self, channel: &str) -> bool {
        self.rolls.listed_in(channel) >= self.limits.channel_members || self.rolls.listed() >= self.limits.members
    }

    /// Says on the sibling of `channel` what `user` did; `false` if there are too many channels for that.
    fn announce(&mut self, now: Now, channel: &str, word: &str, user: &str) -> bool {
        let Some(key) = self.sibling(now.tick, channel) else { return false };
        let (data, sibling) = (notice(word, user), self.hub[key].name.clone());
        let parts =
            Parts { channel: &sibling, content_type: "application/json", event: "", data: data.as_bytes(), unix_ms: now.unix_ms };
        self.append(now, key, Message::new(&parts).expect("a notice is a message"));
        self.appended(now, key);
        true
    }

    /// The sibling of a channel whose home is here, made if there is none; `None` if there are too many channels for that.
    fn sibling(&mut self, now: Tick, channel: &str) -> Option<u32> {
        let name = sibling(channel);
        let known = self.hub.find(&name);
        if known.is_none() && self.hub.len() >= self.limits.channels {
            return None;
        }
        let key = known.unwrap_or_else(|| self.make_channel(now, name.into()));
        self.schedule_channel(now, key);
        Some(key)
    }

    /// Panics unless each member is here, or on its way out, and no more are told of than there may be.
    pub(super) fn check_presence(&self) {
        self.rolls.check_invariants(|timer: &Link| timer.wakes_at(Tick(0)).is_some());
        assert!(self.rolls.listed() <= self.limits.members);
        let told = self.counters.joins - self.counters.leaves;
        assert_eq!(self.rolls.listed() as u64, told, "whoever joined is here or has left");
    }
}

impl Engine {
    /// Somebody asks who is here, which the host program may have to allow.
    pub(super) fn call_roll(&mut self, now: Now, index: u32, call: RollCall) {
        if !self.policy.presence.tells_of(&call.channel) {
            let detail = "it is not told who is on this channel (presence)";
            return self.refuse(now, index, &Reject::new(404, "no_presence", detail), false);
        }
        self.slots[index].flags.set(Flags::SHARED, true);
        let channels = std::slice::from_ref(&call.channel);
        if let Err(reject) = self.may_read(&call.proof.grant, channels) {
            return self.refuse(now, index, &reject, false);
        }
        let judged = self.judged(channels);
        let client = self.note_if(index, !judged.is_empty());
        match self.put_questions(now.tick, index, client, &judged, call.who.as_ref()) {
            None => self.refuse(now, index, &reply::not_allowed(), false),
            Some(open) if open.is_empty() => self.ask_roll(now, index, &call),
            Some(open) => {
                self.slots[index].rest().judged = Some(Box::new(Judged { open, then: Then::RollCall(call) }));
                self.slots.turn(index, State::Judged);
                self.end_state_after(now.tick, index, super::deadlines::NEVER_MS);
            }
        }
    }

    /// Nobody objects.
    pub(super) fn ask_roll(&mut self, now: Now, index: u32, call: &RollCall) {
        let RollCall { channel, after, .. } = call;
        let home = Engine::home_of(self.seed, self.shards, channel);
        let answer = (home == self.shard).then(|| self.roster(now, channel, after.as_deref()));
        if answer.is_none() {
            let asker = self.asker(index, 0);
            self.peers.post(home, PeerMessage::RollCall { name: channel.shared().clone(), after: after.clone(), asker });
        }
        self.await_answers(now, index, vec![answer], Manner::Message);
    }

    /// Who is on a channel whose home is here, by name: those behind `after`, as many as a batch may weigh.
    pub(super) fn roster(&mut self, now: Now, channel: &str, after: Option<&str>) -> Answer {
        self.tell_own_homes(now);
        let Some(key) = self.sibling(now.tick, channel) else { return Answer::Refused };
        let cursor = MessageId { epoch: self.hub[key].epoch, offset: self.hub[key].history.next() - 1 };
        let mut rest = self.rolls.listed_after(channel, after).peekable();
        let (mut members, mut bytes) = (Vec::new(), 0);
        while let Some(member) = rest.next_if(|_| bytes < self.limits.batch_bytes) {
            let present =
                Present { user: member.user.clone(), connections: member.connections.sum(), since_unix_ms: member.since_unix_ms };
            bytes += present.weight();
            members.push(present);
        }
        let more = rest.next().is_some();
        let (unlisted, anonymous) = (self.rolls.unlisted_in(channel) as u64, self.rolls.anonymous_in(channel));
        Answer::Roster(Box::new(Roster { channel: channel.into(), cursor, members, more, unlisted, anonymous }))
    }

    /// Why nobody but the server may publish a message, if that is so.
    pub(super) fn is_owned(&self, message: &Message) -> Option<Reject> {
        if is_internal(message.channel()) {
            return Some(reply::internal());
        }
        let detail = "the server alone says here who is present (presence)";
        self.policy.presence.owns_channel_of(message).then(|| Reject::new(403, "forbidden", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::random::Seed;
    use crate::engine::Input;

    /// A shard that tells who is on all channels, whose bounds are these.
    fn engine(options: &[(&str, &str)]) -> Engine {
        let mut config = Config::default();
        let always = [("presence", "/**"), ("connections_max", "10"), ("presence_grace", "1s")];
        for (name, value) in always.iter().chain(options) {
            config.set(name, value).unwrap();
        }
        Engine::new(&config, 0, 1, Seed(1, 2))
    }

    fn at(ms: u64) -> Now {
        Now { tick: Tick(ms), unix_ms: ms }
    }

    /// What was said on the sibling of `channel`.
    fn said(engine: &Engine, channel: &str) -> Vec<String> {
        let Some(key) = engine.hub.find(&sibling(channel)) else { return Vec::new() };
        let text = |message: &Message| String::from_utf8(message.data().to_vec()).unwrap();
        engine.hub[key].history.from(0).map(|(_, message)| text(message)).collect()
    }

    fn count(engine: &mut Engine, ms: u64, shard: u16, user: &str, connections: u32) {
        engine.handle(at(ms), Input::Time);
        engine.counted(at(ms), &"/a".into(), shard, Some(user.into()), connections);
        engine.check_presence();
    }

    fn listed(engine: &mut Engine, after: Option<&str>) -> (Vec<String>, bool, u64) {
        let Answer::Roster(roster) = engine.roster(at(0), "/a", after) else { panic!("no roster") };
        let names = roster.members.iter().map(|member| format!("{}*{}", member.user, member.connections)).collect();
        (names, roster.more, roster.unlisted)
    }

    #[test]
    fn a_user_joins_once_and_leaves_once_whatever_its_shards_tell_in_whatever_order() {
        let mut engine = engine(&[]);
        for (ms, shard, connections, expected) in [
            (0, 0, 1, 1),
            (10, 1, 1, 2),
            (20, 1, 3, 4),
            // It goes to the other shard, which tells of it before or after the first does.
            (30, 0, 0, 3),
            (40, 1, 0, 0),
            (900, 2, 0, 0),
            (1_899, 0, 2, 2),
            (1_900, 0, 0, 0),
        ] {
            count(&mut engine, ms, shard, "ann", connections);
            assert_eq!(said(&engine, "/a"), [r#"{"join":"ann"}"#], "at {ms}");
            assert_eq!(listed(&mut engine, None).0, [format!("ann*{expected}")]);
        }
        engine.handle(at(2_899), Input::Time);
        assert_eq!(engine.members(), 1);
        engine.handle(at(2_900), Input::Time);
        assert_eq!(said(&engine, "/a"), [r#"{"join":"ann"}"#, r#"{"leave":"ann"}"#]);
        assert_eq!((engine.members(), engine.counters().joins, engine.counters().leaves), (0, 1, 1));
        count(&mut engine, 3_000, 0, "ann", 0);
        assert_eq!(said(&engine, "/a").len(), 3, "a poll that was answered at once was here, and may come again");
        engine.handle(at(4_000), Input::Time);
        assert_eq!(said(&engine, "/a").len(), 4);
        engine.check_invariants();
    }

    #[test]
    fn whoever_finds_no_room_is_counted_and_joins_when_somebody_has_left() {
        for bound in ["presence_channel_members", "presence_members_max"] {
            let mut engine = engine(&[(bound, "1")]);
            for (user, connections) in [("ann", 1), ("bob", 2), ("cem", 1), ("dan", 1), ("dan", 0)] {
                count(&mut engine, 0, 0, user, connections);
            }
            assert_eq!(listed(&mut engine, None), (vec!["ann*1".into()], false, 2), "{bound}");
            count(&mut engine, 10, 0, "ann", 0);
            count(&mut engine, 20, 1, "bob", 1);
            assert_eq!(listed(&mut engine, None), (vec!["ann*0".into()], false, 2), "a place is kept for as long as the grace");
            engine.handle(at(1_010), Input::Time);
            assert_eq!(listed(&mut engine, None), (vec!["bob*3".into()], false, 1));
            assert_eq!(said(&engine, "/a"), [r#"{"join":"ann"}"#, r#"{"leave":"ann"}"#, r#"{"join":"bob"}"#]);
            engine.check_invariants();
        }
    }

    #[test]
    fn nobody_joins_where_it_cannot_be_said() {
        let mut engine = engine(&[("channels_max", "1")]);
        engine.make_channel(Tick(0), "/b".into());
        count(&mut engine, 0, 0, "ann", 1);
        assert_eq!((engine.members(), engine.rolls.unlisted_in("/a")), (0, 1));
        assert_eq!(engine.roster(at(0), "/a", None), Answer::Refused);
        count(&mut engine, 1, 0, "ann", 0);
        engine.check_invariants();
    }

    #[test]
    fn a_list_comes_in_parts_of_what_a_batch_may_weigh() {
        let mut engine = engine(&[("batch_bytes", "1KiB")]);
        let names: Vec<String> = (100..140).map(|number| format!("user{number}*1")).collect();
        for name in &names {
            count(&mut engine, 0, 0, name.strip_suffix("*1").unwrap(), 1);
        }
        let (mut all, mut after, mut parts) = (Vec::new(), None, 0);
        loop {
            let (some, more, _) = listed(&mut engine, after.as_deref());
            all.extend(some);
            (after, parts) = (all.last().map(|name: &String| name.strip_suffix("*1").unwrap().to_owned()), parts + 1);
            if !more {
                break;
            }
        }
        assert_eq!((all, parts), (names, 3));
    }
}
