//! The numbers of all reactors together, as `/encke/stats` tells them once a second: counts since the start, so that whoever
//! misses a sample can tell what happened meanwhile from the next.
//!
//! ```text
//! {"unix_ms":…, "uptime_ms":…, "version":"…", "reactors":2,
//!  "stats":{"connections":…, …}           the numbers of `encke_stats`, by the same names
//!  "held":{"sse":…, …}                    connections by transport
//!  "refusals":{"forbidden":…, …}          by code
//!  "lag":{"counts":[…], "sum":…}          messages behind; bucket n counts up to 2^n, the last what is beyond
//!  "turn":{"counts":[…], "sum":…}         microseconds, in the same way
//!  "mailbox":{"process":…, "reactors":…}  what waits
//!  "resident_bytes":…, "cpu_ticks":…, "open_descriptors":…, "max_descriptors":…      null where they are not known
//!  "busiest":[{"channel":…, "messages":…, "deliveries":…}, …]}                        since the last sample
//! ```

use super::metrics::{sum, together};
use super::process::Process;
use super::server::Shared;
use super::tally::{Stats, Tally, refusals};
use crate::base::histogram::Histogram;
use crate::engine::WAYS;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Sample<'a> {
    unix_ms: u64,
    uptime_ms: u64,
    version: &'a str,
    reactors: usize,
    stats: BTreeMap<&'a str, u64>,
    held: BTreeMap<&'a str, u64>,
    refusals: BTreeMap<&'a str, u64>,
    lag: Counts,
    turn: Counts,
    mailbox: Mailbox,
    resident_bytes: Option<u64>,
    cpu_ticks: Option<u64>,
    open_descriptors: Option<u64>,
    max_descriptors: Option<u64>,
}

#[derive(Serialize)]
struct Counts {
    counts: Vec<u64>,
    sum: u64,
}

impl From<Histogram> for Counts {
    fn from(histogram: Histogram) -> Counts {
        Counts { counts: histogram.counts.to_vec(), sum: histogram.sum }
    }
}

#[derive(Serialize)]
struct Mailbox {
    process: usize,
    reactors: usize,
}

/// All but the busiest channels: the fields of an object, without its braces.
pub(super) fn fields(shared: &Shared, unix_ms: u64) -> String {
    let tallies = &shared.tallies[..];
    let stats = tallies.iter().map(Tally::read).fold(Stats::default(), Stats::plus);
    let depths = shared.mailboxes.iter().map(|mailbox| mailbox.depths());
    let (process, reactors) = depths.fold((0, 0), |(mail, parcels), (more, others)| (mail + more, parcels + others));
    let system = Process::read(&shared.tables);
    let sample = Sample {
        unix_ms,
        uptime_ms: shared.uptime_ms(),
        version: env!("CARGO_PKG_VERSION"),
        reactors: tallies.len(),
        stats: stats.entries().collect(),
        held: WAYS.iter().enumerate().map(|(place, way)| (*way, sum(tallies, |tally| tally.way(place)))).collect(),
        refusals: refusals(tallies),
        lag: together(tallies, Tally::lag).into(),
        turn: together(tallies, Tally::turns).into(),
        mailbox: Mailbox { process, reactors },
        resident_bytes: system.resident_bytes,
        cpu_ticks: system.cpu_ticks,
        open_descriptors: system.open_descriptors,
        max_descriptors: system.max_descriptors,
    };
    let json = serde_json::to_string(&sample).expect("numbers make JSON");
    json[1..json.len() - 1].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_an_object() {
        let shared = Shared::for_tests(2);
        shared.tallies[1].turned(3);
        let json = format!("{{{}}}", fields(&shared, 7));
        let sample: serde_json::Value = serde_json::from_str(&json).expect("an object");
        assert_eq!((&sample["unix_ms"], &sample["reactors"]), (&7.into(), &2.into()));
        assert_eq!((&sample["turn"]["counts"][2], &sample["turn"]["sum"]), (&1.into(), &3.into()));
        assert_eq!(sample["held"].as_object().map(|held| held.len()), Some(WAYS.len()));
    }
}
