//! What a server that is succeeded leaves to the process that goes on: its channels, with all that they hold.
//!
//! From the moment that a shard has **frozen** its channels it keeps no message and drops no channel, so what its successor
//! has is all that anybody was told is taken. Readers go on reading. Should the successor fail, the shard goes on as if
//! nothing had been.

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
}

impl Engine {
    /// Keeps nothing more, and gives all that is kept. Only pointers are copied.
    pub fn freeze(&mut self, now: Now) -> Vec<Bequest> {
        self.frozen = true;
        let homes = self.hub.keys().filter(|&key| self.hub[key].role == Role::Home);
        let bequest = |key: u32| {
            let channel = &self.hub[key];
            let kept = channel.history.ages(now.tick).map(|(age, message)| (age, message.clone()));
            let first = MessageId { epoch: channel.epoch, offset: channel.history.first() };
            Bequest { name: channel.name.clone(), first, messages: kept.collect() }
        };
        homes.map(bequest).collect()
    }

    /// Whether nothing more is kept.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Goes on as before.
    pub fn thaw(&mut self) {
        self.frozen = false;
    }

    /// This shard is the home of these channels, and is asked before anything else happens. What does not fit its bounds is
    /// let go, the oldest first; a channel that there is no room for is not made, and its readers will be told of a gap.
    pub fn inherit(&mut self, now: Now, bequests: Vec<Bequest>) {
        for Bequest { name, first, messages } in bequests {
            if self.hub.len() >= self.limits.channels || self.hub.find(&name).is_some() {
                log::warn!("channel {name} was not taken over: there are too many (channels_max)");
                continue;
            }
            let key = self.hub.insert(now.tick, name, first.epoch, Role::Home);
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

        old.thaw();
        publish(&mut old, 950, "it goes on");
        assert_eq!(depth(&old).1, 6);
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
