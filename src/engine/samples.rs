//! The server's own numbers, once a second, on a channel of its own: `/encke/stats`.
//!
//! The home of that channel orders a sample from its reactor while somebody listens, and asks the other shards which of
//! their channels are the busiest. It waits for their answers, though not for long. While nobody listens, no deadline is
//! armed and nothing is counted.
//!
//! **The busiest.** A shard counts what it keeps, as a home, for a bounded number of channels. One that finds no place takes
//! that of the quietest, and its weight: so whatever is truly busy is among them, and no count tells too much.

use super::{Engine, Output, PeerMessage};
use crate::base::payload::{Message, Parts};
use crate::base::time::{Now, Tick};
use crate::channel::Role;
use serde::Serialize;
use std::sync::Arc;

/// The channel. Names below its first segment are for private listeners (`Name::is_internal`).
pub const STATS: &str = "/encke/stats";

/// From one sample to the next.
const PERIOD_MS: u64 = 1_000;
/// How long other shards may take to answer; who is later is told of in the next sample.
const ANSWER_MS: u64 = 100;
/// Nobody has asked for so long: nobody will.
const PATIENCE_MS: u64 = 5 * PERIOD_MS;
/// Channels that are counted at once on one shard.
const COUNTED_MAX: usize = 64;
/// Channels that are told, of one shard and of all.
const TOLD_MAX: usize = 10;

/// A busy channel, and what happened there since the last sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Busy {
    /// Its name.
    #[serde(serialize_with = "text")]
    pub channel: Arc<str>,
    /// Messages kept.
    pub messages: u64,
    /// The same times those who listened, on all shards.
    pub deliveries: u64,
    /// What it took its place with.
    #[serde(skip)]
    floor: u64,
}

impl Busy {
    fn weight(&self) -> u64 {
        self.floor.saturating_add(self.messages).saturating_add(self.deliveries)
    }
}

fn text<S: serde::Serializer>(channel: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(channel)
}

/// What one shard has to do with samples.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// At home: when the next one is due, while somebody listens.
    due: Option<Tick>,
    /// At home: by when it is made, whoever has yet to answer, and how many have.
    waits: Option<(Tick, u16)>,
    /// When somebody last asked which channels are busy; nobody does at present.
    asked: Option<Tick>,
    counted: Vec<Busy>,
    /// At home: what the others told.
    told: Vec<Busy>,
}

impl Samples {
    /// When something is to be done.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.waits.map(|(until, _)| until).or(self.due)
    }

    fn count(&mut self, channel: &Arc<str>, messages: u64, audience: u64) {
        // A name is one allocation as long as its channel lives.
        let place = self.counted.iter().position(|one| Arc::ptr_eq(&one.channel, channel)).unwrap_or_else(|| self.place(channel));
        let one = &mut self.counted[place];
        one.messages += messages;
        one.deliveries = one.deliveries.saturating_add(messages.saturating_mul(audience));
    }

    /// A place for a channel that has none.
    fn place(&mut self, channel: &Arc<str>) -> usize {
        let new = |floor| Busy { channel: channel.clone(), messages: 0, deliveries: 0, floor };
        if self.counted.len() < COUNTED_MAX {
            self.counted.push(new(0));
            return self.counted.len() - 1;
        }
        let quietest = self.counted.iter().enumerate().min_by_key(|(_, one)| one.weight()).map_or(0, |(place, _)| place);
        self.counted[quietest] = new(self.counted[quietest].weight());
        quietest
    }

    /// Takes the busiest, and counts anew.
    fn take(&mut self) -> Vec<Busy> {
        busiest(std::mem::take(&mut self.counted))
    }
}

fn busiest(mut all: Vec<Busy>) -> Vec<Busy> {
    all.sort_by_key(|one| std::cmp::Reverse(one.messages.saturating_add(one.deliveries)));
    all.truncate(TOLD_MAX);
    all
}

impl Engine {
    /// A channel's audience has grown: if it is the one of samples, they begin.
    pub(super) fn begin_samples(&mut self, now: Tick, key: u32) {
        let channel = &self.hub[key];
        if self.samples.due.is_none() && channel.role == Role::Home && *channel.name == *STATS && channel.audience() > 0 {
            self.samples.due = Some(now);
        }
    }

    /// It may be time for a sample.
    pub(super) fn sample_if_due(&mut self, now: Now) {
        if self.samples.waits.is_some_and(|(until, _)| until <= now.tick) {
            self.order_sample();
        }
        if self.samples.due.is_none_or(|due| due > now.tick) {
            return;
        }
        let listened_to = self.hub.find(STATS).is_some_and(|key| self.hub[key].audience() > 0);
        self.samples.due = listened_to.then(|| now.tick + PERIOD_MS);
        if !listened_to {
            return;
        }
        self.samples.asked = Some(now.tick);
        if self.shards == 1 {
            return self.order_sample();
        }
        self.samples.waits = Some((now.tick + ANSWER_MS, self.shards - 1));
        for shard in (0..self.shards).filter(|&shard| shard != self.shard) {
            self.peers.post(shard, PeerMessage::Busiest { shard: self.shard });
        }
    }

    fn order_sample(&mut self) {
        self.samples.waits = None;
        self.orders.push_back(Output::Sample);
    }

    /// Here are the numbers that were ordered, as the fields of a JSON object without its braces.
    pub(super) fn publish_sample(&mut self, now: Now, fields: &str) {
        let mut all = std::mem::take(&mut self.samples.told);
        all.append(&mut self.samples.take());
        let busiest = serde_json::to_string(&busiest(all)).expect("channels make JSON");
        let json = format!("{{{fields},\"busiest\":{busiest}}}");
        let parts =
            Parts { channel: STATS, content_type: "application/json", event: "", data: json.as_bytes(), unix_ms: now.unix_ms };
        match Message::new(&parts) {
            // Without room for the channel nobody listens to it.
            Ok(message) => drop(self.keep(now, message)),
            Err(error) => log::error!("a sample is no message: {error}"),
        }
    }

    /// The home of the samples wants to know what is busy here.
    pub(super) fn tell_busiest(&mut self, now: Tick, shard: u16) {
        self.samples.asked = Some(now);
        let channels = self.samples.take();
        self.peers.post(shard, PeerMessage::Busy { channels });
    }

    /// Another shard says what is busy there.
    pub(super) fn told_busiest(&mut self, mut channels: Vec<Busy>) {
        self.samples.told.append(&mut channels);
        self.samples.told = busiest(std::mem::take(&mut self.samples.told));
        if let Some((_, missing)) = &mut self.samples.waits {
            *missing = missing.saturating_sub(1);
            if *missing == 0 {
                self.order_sample();
            }
        }
    }

    /// Messages were kept here: they are counted while somebody wants to know.
    pub(super) fn count_busy(&mut self, now: Tick, key: u32, messages: u64) {
        let Some(asked) = self.samples.asked else { return };
        if now.since(asked) > PATIENCE_MS {
            self.samples.asked = None;
            self.samples.counted = Vec::new();
            return;
        }
        let channel = &self.hub[key];
        let (name, audience) = (channel.name.clone(), channel.audience());
        self.samples.count(&name, messages, audience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_truly_busy_is_told_among_any_number_of_others() {
        let mut samples = Samples::default();
        let names: Vec<Arc<str>> = (0..1_000).map(|number| format!("/quiet/{number}").into()).collect();
        let (loud, heard): (Arc<str>, Arc<str>) = ("/loud".into(), "/heard".into());
        for name in &names {
            samples.count(name, 1, 0);
            samples.count(&loud, 40, 0);
            samples.count(&heard, 1, 100);
        }
        assert_eq!(samples.counted.len(), COUNTED_MAX);
        let told = samples.take();
        assert_eq!((told.len(), &*told[0].channel, told[0].deliveries), (TOLD_MAX, "/heard", 100_000));
        assert_eq!((&*told[1].channel, told[1].messages), ("/loud", 40_000));
        assert!(told[2..].iter().all(|one| one.messages == 1), "no count tells too much");
        assert!(samples.counted.is_empty());
    }
}
