//! What a server that is succeeded leaves to the process that goes on: its channels, with all that they hold.
//!
//! From the moment that a shard has **frozen** its channels it keeps no message and drops no channel, so what its successor
//! has is all that anybody was told is taken. Readers go on reading. Should the successor fail, the shard goes on as if
//! nothing had been.
//!
//! **Who is present** goes over with the sibling on which it was told: whoever comes to the successor in time was never away,
//! and whoever does not leaves there, once. A frozen shard says of nobody that they joined or left.

use super::Engine;
use crate::base::id::MessageId;
use crate::base::payload::Message;
use crate::base::time::Now;
use crate::channel::{History, Role};
use std::sync::Arc;

/// One channel, as its home knows it.
#[derive(Clone, Debug)]
pub struct Bequest {
    /// Its name.
    pub name: Arc<str>,
    /// Its epoch, and the offset of the first of its messages, or of the next that will come.
    pub first: MessageId,
    /// Oldest first, each with how long it has been kept, in milliseconds.
    pub messages: Vec<(u64, Message)>,
    /// If it is a sibling: who is present where it tells of, each with when that was, in milliseconds since 1970.
    pub members: Vec<(u64, Arc<str>)>,
}

impl Engine {
    /// Keeps nothing more, and gives all that is kept. Only pointers are copied.
    pub fn freeze(&mut self, now: Now) -> Vec<Bequest> {
        self.make_siblings(now.tick);
        self.frozen = true;
        let homes = self.hub.keys().filter(|&key| self.hub[key].role == Role::Home);
        let bequest = |key: u32| {
            let channel = &self.hub[key];
            let kept = channel.history.ages(now.tick).map(|(age, message)| (age, message.clone()));
            let first = MessageId { epoch: channel.epoch, offset: channel.history.first() };
            let members = self.members_told_on(&channel.name);
            Bequest { name: channel.name.clone(), first, messages: kept.collect(), members }
        };
        homes.map(bequest).collect()
    }

    /// Whether nothing more is kept.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Goes on as before.
    pub fn thaw(&mut self, now: Now) {
        self.frozen = false;
        self.join_everywhere(now);
    }

    /// Is as frozen from the start, until it is thawed: what it inherits is its predecessor's, which may yet go on instead.
    pub fn wait(&mut self) {
        self.frozen = true;
    }

    /// This shard is the home of these channels, and is asked before anything else happens. What does not fit its bounds is
    /// let go, the oldest first; a channel that there is no room for is not made, and its readers will be told of a gap.
    pub fn inherit(&mut self, now: Now, bequests: Vec<Bequest>) {
        for Bequest { name, first, messages, members } in bequests {
            if self.hub.len() >= self.limits.channels || self.hub.find(&name).is_some() {
                log::warn!("channel {name} was not taken over: there are too many (channels_max)");
                continue;
            }
            let key = self.hub.insert(now.tick, name.clone(), first.epoch, Role::Home);
            let keep = self.limits.keep;
            self.hub.change_history(key, |history| {
                *history = History::new(first.offset);
                for (age, message) in messages {
                    history.append(now.tick - age, message, &keep);
                }
                history.trim(now.tick, &keep);
            });
            self.hub.touch(key, now.tick);
            self.keep_to_budget();
            self.schedule_channel(now.tick, key);
            self.expect_members(now, &name, members);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::payload::Parts;
    use crate::base::random::Seed;
    use crate::base::time::Tick;
    use crate::engine::{Answer, Input};

    fn at(tick: u64) -> Now {
        Now { tick: Tick(tick), unix_ms: 784_111_777_000 }
    }

    fn publish(engine: &mut Engine, now: u64, text: &str) {
        let parts = Parts { channel: "/a", content_type: "", event: "", data: text.as_bytes(), unix_ms: 5 };
        let mut messages = vec![Message::new(&parts).expect("a message")];
        engine.handle(at(now), Input::Publish(&mut messages));
    }

    fn depth(engine: &Engine) -> (u64, u64) {
        match engine.describe("/a") {
            Answer::Info(info) => (info.depth, info.head.offset),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_successor_goes_on_where_its_predecessor_froze() {
        let config = Config { history_age_ms: 1_000, history_messages: 3, ..Config::default() };
        let mut old = Engine::new(&config, 0, 1, Seed(1, 2));
        for text in ["1", "2", "3", "4"] {
            publish(&mut old, 100, text);
        }
        publish(&mut old, 700, "5");
        let estate = old.freeze(at(900));
        publish(&mut old, 900, "too late");
        assert_eq!((depth(&old), old.counters().unkept), ((3, 5), 1));

        // Another process, whose clock shows something else, and which is another shard of the server.
        let mut new = Engine::new(&config, 0, 1, Seed(3, 4));
        new.inherit(at(50_000), estate);
        new.check_invariants();
        assert_eq!(depth(&new), (3, 5));
        let (Answer::Info(before), Answer::Info(after)) = (old.describe("/a"), new.describe("/a")) else {
            panic!("both know it")
        };
        assert_eq!(before.head, after.head, "the epoch is the same");
        // What is kept goes on ageing.
        new.handle(at(50_199), Input::Time);
        assert_eq!(depth(&new), (3, 5));
        new.handle(at(50_200), Input::Time);
        assert_eq!(depth(&new), (1, 5));
        publish(&mut new, 50_300, "6");
        assert_eq!(depth(&new), (2, 6));
        new.wait();
        publish(&mut new, 50_400, "too early");
        assert_eq!((depth(&new), new.counters().unkept), ((2, 6), 1));

        old.thaw(at(940));
        publish(&mut old, 950, "it goes on");
        assert_eq!(depth(&old).1, 6);
    }

    /// On the shard of a server that tells who is in all channels, somebody has so many readers of `/a`.
    fn count(engine: &mut Engine, now: u64, user: &str, connections: u32) {
        engine.handle(at(now), Input::Time);
        engine.counted(at(now), &"/a".into(), 0, Some(user.into()), connections);
        engine.check_invariants();
    }

    /// What was said of who is in `/a`, and who is there.
    fn told(engine: &mut Engine, now: u64) -> (String, String) {
        let key = engine.hub.find("/presence/a").expect("the sibling");
        let said = engine.hub[key].history.from(0).map(|(_, message)| String::from_utf8_lossy(message.data()).into_owned());
        let said = said.collect::<Vec<_>>().join(" ");
        let Answer::Roster(roster) = engine.roster(at(now), "/a", None) else { panic!("no list") };
        let members = roster.members.iter().map(|member| format!("{}*{}", member.user, member.connections));
        (said, members.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn whoever_comes_to_the_successor_was_never_away_and_whoever_does_not_leaves_there_once() {
        let presence = Config { presence: "/**".into(), presence_grace_ms: 1_000, drain_timeout_ms: 500, ..Config::default() };
        let mut old = Engine::new(&presence, 0, 1, Seed(1, 2));
        ["ann", "bob"].into_iter().for_each(|user| count(&mut old, 100, user, 1));
        let estate = old.freeze(at(200));
        // Their connections end here, and others come late: what is said of that is not said here.
        count(&mut old, 300, "ann", 0);
        count(&mut old, 300, "cem", 1);
        old.handle(at(5_000), Input::Time);
        let both = r#"{"join":"ann"} {"join":"bob"}"#;
        assert_eq!(told(&mut old, 5_000), (both.into(), "ann*0 bob*1".into()));

        let mut new = Engine::new(&presence, 0, 1, Seed(3, 4));
        new.inherit(at(90_000), estate);
        assert_eq!(told(&mut new, 90_000), (both.into(), "ann*0 bob*0".into()));
        count(&mut new, 91_000, "ann", 1);
        assert_eq!(told(&mut new, 91_000), (both.into(), "ann*1 bob*0".into()));
        new.handle(at(91_500), Input::Time);
        assert_eq!(told(&mut new, 91_500), (format!(r#"{both} {{"leave":"bob"}}"#), "ann*1".into()));
        assert_eq!((new.members(), new.counters().joins, new.counters().leaves), (1, 2, 1));

        // Should nobody take over, all of it is said.
        old.thaw(at(5_100));
        old.handle(at(6_100), Input::Time);
        old.check_invariants();
        let all = format!(r#"{both} {{"join":"cem"}} {{"leave":"ann"}}"#);
        assert_eq!(told(&mut old, 6_100), (all, "bob*1 cem*1".into()));
    }

    #[test]
    fn members_for_whom_a_successor_has_no_room_leave_there() {
        let config = |most| Config { presence: "/**".into(), presence_channel_members: most, ..Config::default() };
        let mut old = Engine::new(&config(2), 0, 1, Seed(1, 2));
        ["ann", "bob"].into_iter().for_each(|user| count(&mut old, 100, user, 1));
        let estate = old.freeze(at(200));
        let mut new = Engine::new(&config(1), 0, 1, Seed(1, 2));
        new.inherit(at(200), estate);
        new.check_invariants();
        let said = r#"{"join":"ann"} {"join":"bob"} {"leave":"bob"}"#;
        assert_eq!(told(&mut new, 200), (said.into(), "ann*0".into()));
    }

    #[test]
    fn what_does_not_fit_is_let_go() {
        let mut old = Engine::new(&Config::default(), 0, 1, Seed(1, 2));
        for text in ["1", "2", "3"] {
            publish(&mut old, 100, text);
        }
        let estate = old.freeze(at(100));
        let smaller = Config { history_messages: 2, ..Config::default() };
        let mut new = Engine::new(&smaller, 0, 1, Seed(1, 2));
        new.inherit(at(100), [estate.clone(), estate].concat());
        new.check_invariants();
        assert_eq!((depth(&new), new.channels()), ((2, 3), 1));
    }
}
