//! The numbers of all reactors together, as Prometheus reads them.
//!
//! ```text
//! # HELP encke_published_total Messages kept.
//! # TYPE encke_published_total counter
//! encke_published_total 12
//! ```
//! Plain numbers come from the table of `tally`; those that are told apart by labels follow, then what is no reactor's own.

use super::process::Process;
use super::server::Shared;
use super::tally::{Kind, Stats, TABLE, Tally, refusals};
use crate::base::histogram::{Histogram, bound};
use crate::engine::{VERDICTS, WAYS};
use std::fmt::{Display, Write};

/// The whole text.
pub(super) fn text(shared: &Shared) -> String {
    let tallies = &shared.tallies[..];
    let mut page = Page { text: String::with_capacity(16 << 10) };
    let stats = tallies.iter().map(Tally::read).fold(Stats::default(), Stats::plus);
    for ((name, kind, help), (_, value)) in TABLE.iter().zip(stats.entries()) {
        match kind {
            Kind::Gauge => page.gauge(&format!("encke_{name}"), help, value),
            Kind::Counter => page.counter(&format!("encke_{name}_total"), help, value),
        }
    }
    let name = "encke_clients_verdict_total";
    page.head(name, "counter", "Clients that found this transport to work, with so much padding behind each event.");
    for (place, (_, transport, padding)) in VERDICTS.iter().enumerate() {
        let labels = format!("{{transport=\"{transport}\",padding=\"{padding}\"}}");
        page.line(name, &labels, sum(tallies, |tally| tally.verdict(place)));
    }
    let name = "encke_connections_held";
    page.head(name, "gauge", "Connections open now, by how they are held; one that waits for a request is idle.");
    for (place, way) in WAYS.iter().enumerate() {
        page.line(name, &format!("{{transport=\"{way}\"}}"), sum(tallies, |tally| tally.way(place)));
    }
    let name = "encke_refusals_total";
    page.head(name, "counter", "Requests, messages and frames refused, by the code that the client was told.");
    for (code, count) in refusals(tallies) {
        page.line(name, &format!("{{code=\"{code}\"}}"), count);
    }
    page.histogram(
        "encke_lag_messages",
        "How many messages behind a reader was when its socket, which had been full, could take bytes again.",
        &together(tallies, Tally::lag),
        |messages| messages.to_string(),
    );
    page.histogram(
        "encke_turn_seconds",
        "How long a turn of a reactor took, without its sleep.",
        &together(tallies, Tally::turns),
        seconds,
    );
    page.mailboxes(shared);
    page.process(&Process::read(&shared.tables));
    page.gauge("encke_reactors", "Reactors, each of which is a thread.", shared.mailboxes.len());
    page.gauge("encke_uptime_seconds", "Seconds since the server was started.", millis(shared.uptime_ms()));
    let name = "encke_build_info";
    page.head(name, "gauge", "Which version this is; the number means nothing.");
    page.line(name, concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
    page.text
}

/// One number of all reactors.
pub(super) fn sum(tallies: &[Tally], read: impl Fn(&Tally) -> u64) -> u64 {
    tallies.iter().map(read).sum()
}

/// One histogram of all reactors.
pub(super) fn together(tallies: &[Tally], read: impl Fn(&Tally) -> Histogram) -> Histogram {
    tallies.iter().map(read).fold(Histogram::default(), |all, one| all.plus(&one))
}

/// Microseconds as Prometheus counts time.
fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

fn millis(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

/// The text as it grows.
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", help.trim()));
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        self.write(format_args!("{name}{labels} {value}\n"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.line(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.line(name, "", value);
    }

    /// Each bucket counts what is in those before it too.
    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram, show: fn(u64) -> String) {
        self.head(name, "histogram", help);
        let mut count = 0;
        for (bucket, more) in histogram.counts.iter().enumerate() {
            count += more;
            let bound = bound(bucket).map_or_else(|| "+Inf".into(), show);
            self.write(format_args!("{name}_bucket{{le=\"{bound}\"}} {count}\n"));
        }
        self.write(format_args!("{name}_sum {}\n{name}_count {count}\n", show(histogram.sum)));
    }

    fn mailboxes(&mut self, shared: &Shared) {
        let depths = shared.mailboxes.iter().map(|mailbox| mailbox.depths());
        let (mail, parcels) = depths.fold((0, 0), |(mail, parcels), (more, others)| (mail + more, parcels + others));
        let name = "encke_mailbox_depth";
        self.head(name, "gauge", "What waits for reactors now: messages of this process, and what reactors send each other.");
        self.line(name, "{from=\"process\"}", mail);
        self.line(name, "{from=\"reactors\"}", parcels);
    }

    /// Under the names that every program tells them by.
    fn process(&mut self, process: &Process) {
        if let Some(bytes) = process.resident_bytes {
            self.gauge("process_resident_memory_bytes", "Memory of this process that is not swapped out.", bytes);
        }
        if let Some(ticks) = process.cpu_ticks {
            let name = "process_cpu_seconds_total";
            self.counter(name, "Time that this process spent on processors.", format_args!("{}.{:02}", ticks / 100, ticks % 100));
        }
        if let Some(open) = process.open_descriptors {
            self.gauge("process_open_fds", "Descriptors that this process has open, in all its tables.", open);
        }
        if let Some(max) = process.max_descriptors {
            self.gauge("process_max_fds", "Descriptors that this process may have open, in all its tables.", max);
        }
    }

    fn write(&mut self, args: std::fmt::Arguments<'_>) {
        self.text.write_fmt(args).expect("memory takes all text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap, HashSet};

    /// `name{label="value",…}` to both; panics at what breaks the grammar.
    fn series(text: &str) -> (&str, Vec<(&str, &str)>) {
        let (name, labels) = text.split_once('{').unwrap_or((text, "}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{text}");
        let inside = labels.strip_suffix('}').unwrap_or_else(|| panic!("{text} has no end"));
        let pair = |pair| {
            let (name, value): (&str, &str) = str::split_once(pair, '=').unwrap_or_else(|| panic!("{text}"));
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = value.unwrap_or_else(|| panic!("{text} has a value without quotes"));
            assert!(!value.contains(['"', '\\', '\n', ',']), "{text} needs no escapes");
            (name, value)
        };
        (name, inside.split(',').filter(|inside| !inside.is_empty()).map(pair).collect())
    }

    /// Each family is announced once and told in one piece, names and units are as Prometheus has them, and the buckets of
    /// histograms only ever rise.
    fn check(text: &str) -> BTreeMap<String, f64> {
        assert!(text.ends_with('\n'));
        let (mut numbers, mut kinds, mut family) = (BTreeMap::new(), HashMap::new(), "");
        let mut helped = HashSet::new();
        let mut last_bucket = 0.0;
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a sentence");
                assert!(helped.insert(name) && help.ends_with(|end: char| end == '.' || end.is_alphanumeric()), "{line}");
                (family, last_bucket) = (name, 0.0);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a kind");
                assert!(name == family && kinds.insert(name, kind).is_none(), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            } else {
                let (written, value) = line.rsplit_once(' ').expect("a value");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line} has no number"));
                let (name, labels) = series(written);
                let histogram = kinds.get(family) == Some(&"histogram");
                let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} stands in {family}"));
                assert!(if histogram { matches!(suffix, "_bucket" | "_sum" | "_count") } else { suffix.is_empty() }, "{line}");
                if suffix == "_bucket" {
                    assert!(labels.len() == 1 && labels[0].0 == "le" && value >= last_bucket, "{line}");
                    assert!(labels[0].1 == "+Inf" || labels[0].1.parse::<f64>().is_ok(), "{line}");
                    last_bucket = value;
                }
                assert!(suffix != "_count" || value == last_bucket, "{line}");
                assert!(numbers.insert(written.to_string(), value).is_none(), "{line} stands twice");
            }
        }
        numbers
    }

    #[test]
    fn the_page_keeps_to_the_grammar_and_adds_up_all_reactors() {
        let shared = Shared::for_tests(2);
        shared.tallies[0].turned(3);
        shared.tallies[1].turned(1_500_000);
        let numbers = check(&text(&shared));
        assert_eq!(numbers["encke_turn_seconds_count"], 2.0);
        assert_eq!(numbers["encke_turn_seconds_sum"], 1.500003);
        assert_eq!(numbers["encke_turn_seconds_bucket{le=\"0.000002\"}"], 0.0);
        assert_eq!(numbers["encke_turn_seconds_bucket{le=\"0.000004\"}"], 1.0);
        assert_eq!(numbers["encke_turn_seconds_bucket{le=\"2.097152\"}"], 2.0);
        assert_eq!(numbers["encke_reactors"], 2.0);
        for name in ["encke_connections_held{transport=\"bayeux-eventsource\"}", "encke_refusals_total{code=\"other\"}"] {
            assert_eq!(numbers[name], 0.0, "{name}");
        }
    }
}
