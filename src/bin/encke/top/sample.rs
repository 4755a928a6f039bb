//! The server's numbers, and what two samples of them say of the time between.

use encke::base::histogram::{BUCKETS, Histogram};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};

/// How much of the past is remembered.
const REMEMBERED: usize = 512;

/// One sample, as `/encke/stats` tells it. What a later server adds is passed over.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Sample {
    pub uptime_ms: u64,
    pub version: String,
    pub reactors: u64,
    pub stats: BTreeMap<String, u64>,
    pub held: BTreeMap<String, u64>,
    pub refusals: BTreeMap<String, u64>,
    pub lag: Counts,
    pub turn: Counts,
    pub mailbox: BTreeMap<String, u64>,
    pub resident_bytes: Option<u64>,
    pub cpu_ticks: Option<u64>,
    pub open_descriptors: Option<u64>,
    pub max_descriptors: Option<u64>,
    pub busiest: Vec<Busy>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Counts {
    counts: Vec<u64>,
    sum: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Busy {
    pub channel: String,
    pub messages: u64,
    pub deliveries: u64,
}

impl Sample {
    /// A number by its name; 0 if the server has none of that name.
    pub fn stat(&self, name: &str) -> u64 {
        self.stats.get(name).copied().unwrap_or(0)
    }
}

impl Counts {
    fn since(&self, before: &Counts) -> Histogram {
        let read = |from: &Counts| {
            let mut counts = [0; BUCKETS];
            counts.iter_mut().zip(&from.counts).for_each(|(count, told)| *count = *told);
            Histogram { counts, sum: from.sum }
        };
        read(self).since(&read(before))
    }
}

/// What happened between two samples, a second's worth.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub published: f64,
    pub delivered: f64,
    pub sent_bytes: f64,
    pub received_bytes: f64,
    pub gaps: f64,
    pub refused: f64,
    /// Percents of one processor.
    pub cpu: Option<f64>,
    /// Messages behind, of readers that had been blocked.
    pub lag: Histogram,
    /// Microseconds.
    pub turn: Histogram,
}

/// The newest sample, and what is known of the time before.
#[derive(Debug, Default)]
pub struct View {
    pub newest: Option<Sample>,
    rates: Option<Rates>,
    /// Deliveries a second, the newest last.
    pub delivered: VecDeque<f64>,
}

impl View {
    /// What happened in the last second, once that is known.
    pub fn rates(&self) -> Option<&Rates> {
        self.rates.as_ref()
    }

    pub fn take(&mut self, sample: Sample) {
        // A server that was started anew counts from zero.
        let before = self.newest.take().filter(|before| before.uptime_ms < sample.uptime_ms);
        self.rates = before.map(|before| rates(&before, &sample));
        if let Some(rates) = &self.rates {
            self.delivered.push_back(rates.delivered);
        }
        if self.delivered.len() > REMEMBERED {
            self.delivered.pop_front();
        }
        self.newest = Some(sample);
    }
}

fn rates(before: &Sample, after: &Sample) -> Rates {
    let seconds = (after.uptime_ms - before.uptime_ms) as f64 / 1_000.0;
    let a_second = |more: u64| more as f64 / seconds;
    let rate = |name| a_second(after.stat(name).saturating_sub(before.stat(name)));
    Rates {
        published: rate("published"),
        delivered: rate("delivered"),
        sent_bytes: rate("sent_bytes"),
        received_bytes: rate("received_bytes"),
        gaps: rate("gaps"),
        refused: rate("refused"),
        // A tick is a hundredth of a second.
        cpu: before.cpu_ticks.zip(after.cpu_ticks).map(|(before, after)| a_second(after.saturating_sub(before))),
        lag: after.lag.since(&before.lag),
        turn: after.turn.since(&before.turn),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A sample of a server that is so old and has delivered so much.
    pub fn sample(uptime_ms: u64, delivered: u64) -> Sample {
        let json = format!(
            "{{\"unix_ms\":1,\"uptime_ms\":{uptime_ms},\"version\":\"0.1.0\",\"reactors\":2,\
             \"stats\":{{\"connections\":12345,\"delivered\":{delivered},\"published\":{},\"refused\":7,\"sent_bytes\":{}}},\
             \"held\":{{\"sse\":12000,\"websocket\":345,\"idle\":0}},\"refusals\":{{\"forbidden\":7,\"other\":0}},\
             \"lag\":{{\"counts\":[0,0,0,{}],\"sum\":0}},\"turn\":{{\"counts\":[0,0,0,0,0,0,0,{uptime_ms}],\"sum\":9}},\
             \"mailbox\":{{\"process\":1,\"reactors\":2}},\"resident_bytes\":104857600,\"cpu_ticks\":{},\
             \"open_descriptors\":12400,\"max_descriptors\":1048576,\"later\":true,\
             \"busiest\":[{{\"channel\":\"/a/channel\",\"messages\":10,\"deliveries\":120000}}]}}",
            delivered / 1_000,
            delivered * 100,
            uptime_ms / 1_000,
            uptime_ms / 20,
        );
        serde_json::from_str(&json).expect("a sample")
    }

    #[test]
    fn rates_are_of_the_time_between_two_samples() {
        let mut view = View::default();
        view.take(sample(10_000, 0));
        assert!(view.rates().is_none());
        view.take(sample(12_000, 240_000));
        let rates = view.rates().expect("two samples");
        assert_eq!((rates.delivered, rates.published, rates.cpu), (120_000.0, 120.0, Some(50.0)));
        assert_eq!((rates.lag.percentile(99), rates.turn.percentile(50)), (8, 128));
    }

    #[test]
    fn a_server_that_was_started_anew_has_no_rates_yet() {
        let mut view = View::default();
        view.take(sample(10_000, 500));
        view.take(sample(1_000, 10));
        assert!(view.rates().is_none() && view.delivered.is_empty());
        view.take(sample(2_000, 20));
        assert_eq!(view.rates().map(|rates| rates.delivered), Some(10.0));
    }
}
