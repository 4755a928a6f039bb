//! The numbers of all reactors together, as Prometheus reads them.
//!
//! ```text
//! # HELP encke_published_total Messages kept.
//! # TYPE encke_published_total counter
//! encke_published_total 12
//! ```
//! Plain numbers come from the table of `tally`; those that are told apart by labels follow.

use super::tally::{Kind, Stats, TABLE, Tally};
use crate::engine::VERDICTS;
use std::fmt::Write;

/// The whole text.
pub(super) fn text(tallies: &[Tally]) -> String {
    let mut out = String::with_capacity(4096);
    let stats = tallies.iter().map(Tally::read).fold(Stats::default(), Stats::plus);
    for ((name, kind, help), (_, value)) in TABLE.iter().zip(stats.entries()) {
        let name = match kind {
            Kind::Gauge => format!("encke_{name}"),
            Kind::Counter => format!("encke_{name}_total"),
        };
        head(&mut out, &name, *kind, help);
        line(&mut out, &name, "", value);
    }
    let name = "encke_clients_verdict_total";
    head(&mut out, name, Kind::Counter, "Clients that found this transport to work, with so much padding behind each event.");
    for (place, (_, transport, padding)) in VERDICTS.iter().enumerate() {
        let labels = format!("{{transport=\"{transport}\",padding=\"{padding}\"}}");
        line(&mut out, name, &labels, tallies.iter().map(|tally| tally.verdict(place)).sum());
    }
    out
}

fn head(out: &mut String, name: &str, kind: Kind, help: &str) {
    let kind = match kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    write(out, format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", help.trim()));
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    write(out, format_args!("{name}{labels} {value}\n"));
}

fn write(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("memory takes all text");
}
