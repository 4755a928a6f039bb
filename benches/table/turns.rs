//! Two sides measured in alternation, so that whatever the machine does meanwhile it does to both.
//!
//! Each side's clients live in a thread with a descriptor table of its own, and only one thread is at work at a time.
//! Each side's first round warms up and is not kept.

use crate::side::{Kind, Side};
use crate::{Outcome, Setting, os};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Starts both sides, sets each up, runs `rounds` rounds in turns, and gives back the samples: floor first, then Encke.
pub fn in_turns<S, T: Send>(
    setting: &Setting,
    rounds: usize,
    setup: impl Fn(&Side) -> Outcome<S> + Sync,
    round: impl Fn(&Side, &mut S) -> Outcome<T> + Sync,
) -> Outcome<[Vec<T>; 2]> {
    // Children live as long as the thread that starts them: this one.
    let sides = [Side::start(Kind::Floor)?, Side::start(setting.opponent)?];
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        for side in &sides {
            let (go, gone) = channel();
            let (done, samples) = channel();
            let (setup, round) = (&setup, &round);
            scope.spawn(move || {
                if let Err(error) = run(side, &gone, &done, setup, round) {
                    // If nobody waits any more, the other lane has failed already.
                    let _ = done.send(Err(format!("{:?}: {error}", side.kind)));
                }
            });
            let lane = Lane { go, samples };
            lane.step()?;
            lanes.push(lane);
        }
        let mut samples = [Vec::new(), Vec::new()];
        for number in 0..=rounds {
            // Who goes first changes too.
            for lane in [number % 2, 1 - number % 2] {
                let sample = lanes[lane].step()?;
                samples[lane].extend(sample.filter(|_| number > 0));
            }
        }
        Ok(samples)
    })
}

struct Lane<T> {
    go: Sender<()>,
    samples: Receiver<Result<Option<T>, String>>,
}

impl<T> Lane<T> {
    /// One step of this lane: its setup at first (which has no sample), a round from then on.
    fn step(&self) -> Outcome<Option<T>> {
        // If it is gone, the next line says why.
        let _ = self.go.send(());
        Ok(self.samples.recv().map_err(|_| "a client thread panicked")??)
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
