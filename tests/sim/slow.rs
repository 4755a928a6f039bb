//! What the shadow knows of policies for slow readers: which channel has which, and what may be left out there.

use super::memory::Memory;
use super::model::{Model, Place};
use super::weather::Weather;
use serde_json::Value;

/// A channel's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Resume,
    Conflate,
    Latest,
    Disconnect,
}

/// How often messages were left out, or skipped, and streams ended.
pub type Slowness = [u64; 3];

/// What a reader was told beside messages: a gap.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    pub missed: Option<u64>,
    /// It was too far behind, and goes on with the newest message.
    pub skipped: bool,
}

impl Gap {
    pub fn read(notice: &Value) -> Gap {
        Gap { missed: notice["missed"].as_u64(), skipped: notice["skipped"] == true }
    }
}

/// Messages that a reader was not told, and where it was: before the first of them, and before the message behind them.
#[derive(Clone, Debug)]
pub struct LeftOut {
    channel: usize,
    before: Place,
    count: u64,
}

/// The policies of these channels, each of which is named by one option at most, or by all.
pub fn policies(weather: &Weather) -> Vec<Policy> {
    let config = &weather.config;
    let named = |list: &str, name: &str| list.split(',').any(|known| known == name || known == "/**");
    let policy = |name: &String| match () {
        () if named(&config.slow_conflate, name) => Policy::Conflate,
        () if named(&config.slow_latest, name) => Policy::Latest,
        () if named(&config.slow_disconnect, name) => Policy::Disconnect,
        () => Policy::Resume,
    };
    weather.channels.iter().map(policy).collect()
}

impl Model {
    /// Whether there is a channel on which a reader that counts would lose its count.
    pub fn leaves_out(&self) -> bool {
        self.policies.iter().any(|policy| matches!(policy, Policy::Conflate | Policy::Latest))
    }

    /// Whether some messages of `channel` may be left out.
    pub fn conflates(&self, channel: usize) -> bool {
        self.policies[channel] == Policy::Conflate
    }

    /// Panics unless one who goes on behind `place` with the newest message was further behind than it may be.
    pub fn must_be_too_far(&self, channel: usize, seen: Option<&Place>, place: &Place) {
        assert_eq!(self.policies[channel], Policy::Latest, "something was skipped up to {place}");
        if let Some(seen) = seen.filter(|seen| seen.epoch == place.epoch) {
            let behind = place.offset + 1 - seen.offset;
            assert!(behind > self.lag_max, "one who was {behind} behind skips from {seen} to {place}");
        }
    }

    /// Panics unless each of these messages was rightly left out: it has an event name, and a later message has the same.
    pub fn check_left_out(&self, left_out: &LeftOut) {
        for further in 1..=left_out.count {
            let place = left_out.before.plus(further);
            // Nobody may ever be told of it.
            let Some(record) = self.record_at(&place) else { continue };
            let event = self.event(record);
            assert!(!event.is_empty(), "{place} was left out and has no event name");
            assert!(
                self.may_be_followed(left_out.channel, event, &place),
                "{place} was left out and nothing has taken its place"
            );
        }
    }
}

impl Memory {
    /// The next message is at `place`, and those between are told by it too, where messages are conflated.
    pub fn leaves_out(&mut self, model: &Model, at: usize, place: &Place) {
        let channel = self.channels[at];
        let Some(seen) = self.seen[at].as_mut().filter(|seen| model.conflates(channel) && seen.epoch == place.epoch) else {
            return;
        };
        if seen.offset + 1 < place.offset {
            let count = place.offset - seen.offset - 1;
            self.left_out.push(LeftOut { channel, before: seen.clone(), count });
            seen.offset += count;
        }
    }

    /// A batch says what was missed in which channels; it goes on behind that.
    pub fn pass_gaps(&mut self, model: &mut Model, batch: &Value) {
        for notice in batch["gaps"].as_array().into_iter().flatten() {
            let at = self.index_of(model, notice["channel"].as_str().expect("a channel"));
            let gap = Gap::read(notice);
            match (self.seen[at].clone(), gap.missed) {
                (Some(seen), Some(missed)) => self.skip(model, at, &seen.plus(missed), gap.skipped),
                // It will be where the batch leads.
                _ => self.seen[at] = None,
            }
        }
    }

    /// All is at rest, so the places of what it has got are known.
    pub fn check_left_out(&mut self, model: &Model) {
        self.left_out.drain(..).for_each(|left_out| model.check_left_out(&left_out));
    }
}
