//! What clients send and must get, in virtual time, against engines without a socket.
//!
//! Each file in `transcripts` is acted out as it stands, and what clients get must be what it tells, to the byte.
//! Then it is acted out again and again in other manners: what is sent arrives cut, sockets take little, the steady
//! clock wraps. None of that may change what clients get. `UPDATE=1 cargo test --test transcripts` has the files
//! tell what clients get now: read the difference as what it is, a change of what every client sees.

mod common;
mod matrix;

use common::notation::{self, Epochs};
use common::transcript::{Step, Transcript};
use common::world::{Cut, Manner, World};
use encke::Config;
use encke::engine::Door;
use std::fmt::Write as _;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// Every transcript, by name.
fn transcripts() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder()).expect("the transcripts are there");
    let mut transcripts: Vec<(String, String)> = entries
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a transcript is text"))
        })
        .collect();
    transcripts.sort();
    assert!(!transcripts.is_empty());
    transcripts
}

#[test]
fn every_transcript_holds() {
    let mut faults = String::new();
    for (name, text) in transcripts() {
        let told = Transcript::parse(&name, &text).told();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(folder().join(&name).with_extension("txt"), told).expect("the transcripts can be written");
        } else if told != text {
            faults += &first_difference(&name, &text, &told);
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn how_what_is_sent_is_cut_never_matters() {
    for (name, text) in transcripts() {
        let transcript = Transcript::parse(&name, &text);
        if !transcript.may_be_cut {
            continue;
        }
        let whole = transcript.steps(Manner::default());
        let cuts = transcript.cuts();
        let places = cuts.iter().enumerate().flat_map(|(send, places)| places.iter().map(move |&at| Cut::Once { send, at }));
        for cut in places.chain([Cut::Everywhere]) {
            let steps = transcript.steps(Manner { cut, ..Manner::default() });
            compare(&name, &format!("{cut:?}"), &whole, &steps);
        }
    }
}

#[test]
fn how_little_a_socket_takes_never_matters() {
    for (name, text) in transcripts() {
        let transcript = Transcript::parse(&name, &text);
        let whole = transcript.steps(Manner::default());
        for gulp in [1, 7] {
            let steps = transcript.steps(Manner { gulp: Some(gulp), ..Manner::default() });
            compare(&name, &format!("sockets that take {gulp}"), &whole, &steps);
        }
    }
}

/// Slots keep the low half of a moment; it must not matter when that half begins anew.
#[test]
fn when_the_clock_wraps_never_matters() {
    for (name, text) in transcripts() {
        let transcript = Transcript::parse(&name, &text);
        let whole = transcript.steps(Manner::default());
        for before in [1, 3_000, 30_000] {
            let start = (1 << 32) - before;
            let steps = transcript.steps(Manner { start, ..Manner::default() });
            compare(&name, &format!("a clock that wraps after {before} ms"), &whole, &steps);
        }
    }
}

/// The table of refusals: whatever is refused with a close leaves what follows unread, however it is cut.
#[test]
fn what_is_malformed_is_refused_and_what_follows_is_not_read() {
    let config = refusing_config();
    for line in include_str!("refusals.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (verdict, bytes) = line.split_once(" | ").expect("a row is a verdict and bytes");
        let mut bytes = notation::unescape(bytes, &Epochs::default());
        let length = bytes.len();
        bytes.extend_from_slice(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        let expected = match verdict.strip_suffix(" open") {
            Some(refusal) => format!("{refusal} 200 open"),
            None => verdict.to_string(),
        };
        let cuts = (1..length.min(600)).map(|at| Cut::Once { send: 0, at });
        for cut in cuts.chain([Cut::Nowhere, Cut::Everywhere]) {
            assert_eq!(verdict_on(&config, cut, &bytes), expected, "{line} with {cut:?}");
        }
    }
}

/// The bounds that the table of refusals is written for.
fn refusing_config() -> Config {
    let mut config = Config::default();
    let bounds = [("line_bytes_max", "256"), ("head_bytes_max", "512"), ("headers_max", "8"), ("body_bytes_max", "20")];
    for (name, value) in [("connections_max", "1")].into_iter().chain(bounds) {
        config.set(name, value).expect("the options are right");
    }
    config
}

/// All statuses and codes that a client gets for `bytes`, and what becomes of its connection.
fn verdict_on(config: &Config, cut: Cut, bytes: &[u8]) -> String {
    let mut world = World::new(config, 1, Manner { cut, ..Manner::default() });
    world.open("a", Door::Private, 0);
    world.send(0, bytes);
    let client = &world.clients[0];
    let text = String::from_utf8_lossy(&client.received);
    let mut words = Vec::new();
    for answer in text.split("HTTP/1.1 ").filter(|answer| answer.starts_with(|first: char| first.is_ascii_digit())) {
        words.push(answer.split(' ').next().unwrap_or_default());
        words.extend(answer.split_once("{\"error\":\"").and_then(|(_, rest)| rest.split('"').next()));
    }
    words.push(if client.shut { "close" } else { "open" });
    words.join(" ")
}

/// Panics unless clients have received the same after each act.
fn compare(name: &str, manner: &str, whole: &[Step], other: &[Step]) {
    for (whole, other) in whole.iter().zip(other) {
        for (expected, got) in whole.clients.iter().zip(&other.clients) {
            assert!(
                expected.means(got),
                "{name}.txt line {} with {manner}: {} has received\n{}\n(end {}, close {}) instead of\n{}\n(end {}, close {})",
                whole.line,
                got.name,
                got.stream.escape_ascii(),
                got.shut,
                got.closed,
                expected.stream.escape_ascii(),
                expected.shut,
                expected.closed,
            );
        }
    }
}

/// Where two texts part, with a little of what stands before.
fn first_difference(name: &str, expected: &str, got: &str) -> String {
    let (expected, got): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let same = expected.iter().zip(&got).take_while(|(expected, got)| expected == got).count();
    let mut text = format!("{name}.txt line {}:\n", same + 1);
    for line in &got[same.saturating_sub(3)..same] {
        let _ = writeln!(text, "    {line}");
    }
    for (sign, lines) in [("  - ", &expected), ("  + ", &got)] {
        for line in lines.iter().skip(same).take(8) {
            let _ = writeln!(text, "{sign}{line}");
        }
    }
    text
}
