//! Several sides measured in alternation, so that whatever the machine does meanwhile it does to all.
//!
//! Each side's clients live in a thread with a descriptor table of its own, and only one thread is at work at a time.
//! Each side's first round warms up and is not kept. A peer takes part in some of the rounds, and one that fails, or is not
//! installed, is left out with its reason; if the floor or Encke fails, the row does.

use crate::side::{Kind, Side};
use crate::{Outcome, os, peers};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A peer's rounds: at most so many, spread over all. Some are slow.
const PEER_ROUNDS_MAX: usize = 10;

/// Who is measured, the floor first, and how Encke is started.
pub struct Players {
    pub kinds: Vec<Kind>,
    pub options: &'static [&'static str],
}

/// What came of one side.
pub struct Taken<T> {
    pub kind: Kind,
    /// By the numbers of their rounds.
    pub samples: Vec<(usize, T)>,
    /// Why there are no more.
    pub missing: Option<String>,
}

/// Starts all sides, sets each up, runs `rounds` rounds in turns, and gives back the samples of each.
pub fn in_turns<S, T: Send>(
    players: &Players,
    rounds: usize,
    setup: impl Fn(&Side) -> Outcome<S> + Sync,
    round: impl Fn(&Side, &mut S) -> Outcome<T> + Sync,
) -> Outcome<Vec<Taken<T>>> {
    let mut taken: Vec<Taken<T>> = Vec::new();
    // Children live as long as the thread that starts them: this one.
    let mut sides = Vec::new();
    for &kind in &players.kinds {
        let side = match peers::missing(kind) {
            Some(missing) => Err(missing.into()),
            None => Side::start(kind, players.options),
        };
        let missing = match &side {
            Err(reason) if kind.is_peer() => Some(reason.to_string()),
            _ => None,
        };
        taken.push(Taken { kind, samples: Vec::new(), missing });
        sides.push(if kind.is_peer() { side.ok() } else { Some(side?) });
    }
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        for (place, side) in sides.iter().enumerate().filter_map(|(place, side)| Some((place, side.as_ref()?))) {
            let (go, gone) = channel();
            let (done, samples) = channel();
            let (setup, round) = (&setup, &round);
            scope.spawn(move || {
                if let Err(error) = run(side, &gone, &done, setup, round) {
                    // If nobody waits any more, another lane has failed already.
                    let _ = done.send(Err(error.to_string()));
                }
            });
            lanes.push(Lane { place, go, samples });
        }
        // Peers are set up first: some are slow, and an idle publisher's connection is not kept for ever.
        for lane in lanes.iter().rev() {
            lane.step(&mut taken[lane.place], None)?;
        }
        for number in 0..=rounds {
            let count = lanes.len();
            // Who goes first changes too.
            for turn in 0..count {
                let lane = &lanes[(number + turn) % count];
                let taken = &mut taken[lane.place];
                if taken.missing.is_none() && (!taken.kind.is_peer() || number % rounds.div_ceil(PEER_ROUNDS_MAX) == 0) {
                    lane.step(taken, Some(number))?;
                }
            }
        }
        Ok(taken)
    })
}

struct Lane<T> {
    /// Which of the sides.
    place: usize,
    go: Sender<()>,
    samples: Receiver<Result<Option<T>, String>>,
}

impl<T> Lane<T> {
    /// One step of this lane: its setup, or a round, whose sample is kept unless it is the first.
    fn step(&self, taken: &mut Taken<T>, round: Option<usize>) -> Outcome<()> {
        // If it is gone, the next line says why.
        let _ = self.go.send(());
        match self.samples.recv().map_err(|_| "a client thread panicked")? {
            Ok(sample) => {
                taken.samples.extend(sample.zip(round).filter(|(_, round)| *round > 0).map(|(sample, round)| (round, sample)))
            }
            Err(reason) if taken.kind.is_peer() => taken.missing = Some(reason),
            Err(reason) => return Err(format!("{:?}: {reason}", taken.kind).into()),
        }
        Ok(())
    }
}

fn run<S, T>(
    side: &Side,
    go: &Receiver<()>,
    done: &Sender<Result<Option<T>, String>>,
    setup: &impl Fn(&Side) -> Outcome<S>,
    round: &impl Fn(&Side, &mut S) -> Outcome<T>,
) -> Outcome<()> {
    os::own_descriptors()?;
    go.recv()?;
    let mut state = setup(side)?;
    done.send(Ok(None)).map_err(|_| "nobody waits")?;
    while go.recv().is_ok() {
        let sample = round(side, &mut state)?;
        done.send(Ok(Some(sample))).map_err(|_| "nobody waits")?;
    }
    Ok(())
}

/// One figure of each side, by the numbers of its rounds.
pub struct Figures {
    pub kind: Kind,
    pub values: Vec<(usize, f64)>,
    pub missing: Option<String>,
}

/// One figure out of what was taken.
pub fn figures<T>(taken: &[Taken<T>], figure: impl Fn(&T) -> f64) -> Vec<Figures> {
    let of = |side: &Taken<T>| Figures {
        kind: side.kind,
        values: side.samples.iter().map(|(round, sample)| (*round, figure(sample))).collect(),
        missing: side.missing.clone(),
    };
    taken.iter().map(of).collect()
}
