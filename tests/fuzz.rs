//! Bytes in, bytes out: what the server reads, damaged at random. Each target is one small file in `fuzz`, which takes
//! some bytes and panics if what becomes of them is not as it must be.
//!
//! Inputs are made from what clients send in the transcripts and from the table of refusals; a seed decides how each is
//! damaged. Nothing is learned from one for the next: a run is the same on every machine.
//!
//! A failure names its seed: `ENCKE_SEED=17 cargo test --test fuzz -- bayeux` runs that one again.
//! `ENCKE_FUZZ_SECONDS=300` goes on for so long with each target; without it, so many inputs as take some seconds.

mod fuzz {
    pub mod bayeux;
    pub mod chunked;
    pub mod control;
    pub mod corpus;
    pub mod cursor;
    pub mod damage;
    pub mod engine;
    pub mod frame;
    pub mod head;
    pub mod query;
    pub mod stage;
    pub mod token;
    pub mod websocket;
}
#[path = "sim/dice.rs"]
#[allow(dead_code, reason = "the simulation rolls in more ways")]
mod dice;
#[path = "common/notation.rs"]
#[allow(dead_code, reason = "only senders' half of it is needed here")]
mod notation;

use dice::Dice;
use fuzz::{bayeux, chunked, control, corpus, cursor, damage, engine, frame, head, query, token, websocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Gives `inputs` damaged inputs to a target, or as many as there is time for.
fn campaign(target: &str, inputs: u64, corpus: &[Vec<u8>], run: impl Fn(&[u8], &mut Dice)) {
    assert!(!corpus.is_empty(), "nothing to begin with");
    let one = |seed: u64| {
        let mut dice = Dice::new(seed);
        let input = damage::damaged(corpus, &mut dice);
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&input, &mut dice)));
        assert!(outcome.is_ok(), "ENCKE_SEED={seed} cargo test --test fuzz -- {target}: {}", input.escape_ascii());
    };
    if let Some(seed) = number("ENCKE_SEED") {
        return one(seed);
    }
    let until = number("ENCKE_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let goes_on = |seed: &u64| until.map_or(*seed < inputs, |until| Instant::now() < until);
    let count = (0..).take_while(goes_on).map(one).count();
    println!("{target}: {count} inputs out of {}", corpus.len());
}

#[test]
fn bayeux_requests() {
    campaign("bayeux_requests", 6_000, &corpus::bayeux(), bayeux::run);
}

#[test]
fn connections() {
    campaign("connections", 6_000, &corpus::streams(), engine::run);
}

#[test]
fn heads() {
    campaign("heads", 20_000, &corpus::streams(), head::run);
}

#[test]
fn chunked_bodies() {
    campaign("chunked_bodies", 20_000, &corpus::chunked(), chunked::run);
}

#[test]
fn queries() {
    campaign("queries", 20_000, &corpus::targets(), query::run);
}

#[test]
fn cursors() {
    campaign("cursors", 20_000, &corpus::cursors(), cursor::run);
}

#[test]
fn frames() {
    campaign("frames", 20_000, &corpus::frames(), frame::run);
}

#[test]
fn websockets() {
    campaign("websockets", 4_000, &corpus::sockets(), websocket::run);
}

#[test]
fn framed_streams() {
    campaign("framed_streams", 4_000, &corpus::controls(), control::run);
}

#[test]
fn tokens() {
    campaign("tokens", 10_000, &corpus::claims(), token::run);
}

#[test]
fn key_files() {
    campaign("key_files", 5_000, &corpus::key_files(), token::run_files);
}
