//! The jobs behind the demonstrations: prices, pictures and a bar that fills, for as long as somebody looks.
//!
//! A page that shows one asks the server for it, and asks again while it is looked at; a job whose last question is a while
//! ago ends. Without a job the thread sleeps on the descriptor of the server's events, and costs nothing.

mod comet;
mod prices;

use comet::Comet;
use encke::{Error, Parts, Publisher};
use prices::Prices;
use std::time::{Duration, Instant};

/// How long prices and pictures go on after they were asked for. Pages ask three times in that time.
const LEASE: Duration = Duration::from_secs(30);
/// A job that is more behind than this, because the machine slept, does not make up for it.
const BEHIND_MAX: Duration = Duration::from_millis(500);

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Prices,
    Comet,
    Progress,
}

/// A job, which is under way while it has a next step.
struct Job {
    kind: Kind,
    /// What pages call it.
    name: &'static str,
    pace: Duration,
    next: Option<Instant>,
    until: Instant,
}

impl Job {
    fn new(kind: Kind, name: &'static str, steps_per_second: u32) -> Job {
        Job { kind, name, pace: Duration::from_secs(1) / steps_per_second, next: None, until: Instant::now() }
    }

    /// Somebody wants it: it begins, or goes on for longer.
    fn ask(&mut self, now: Instant) {
        self.until = now + LEASE;
        self.next.get_or_insert(now);
    }

    /// Whether a step is due; the next one is then set.
    fn is_due(&mut self, now: Instant) -> bool {
        let Some(due) = self.next.filter(|due| *due <= now) else { return false };
        let next = if now - due > BEHIND_MAX { now } else { due } + self.pace;
        self.next = Some(next).filter(|next| *next < self.until);
        true
    }
}

/// All of them.
pub struct Workshop {
    publisher: Publisher,
    jobs: [Job; 3],
    prices: Prices,
    comet: Comet,
    /// How far the bar is filled.
    percent: u32,
}

impl Workshop {
    /// Nobody looks at any yet.
    pub fn new(publisher: Publisher) -> Workshop {
        let jobs = [
            Job::new(Kind::Prices, "ticker", 50),
            Job::new(Kind::Comet, "pictures", 5),
            Job::new(Kind::Progress, "progress", 20),
        ];
        Workshop { publisher, jobs, prices: Prices::default(), comet: Comet::default(), percent: 0 }
    }

    /// A page asks for the job of this name.
    pub fn asked(&mut self, name: &[u8], now: Instant) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.name.as_bytes() == name) {
            job.ask(now);
        }
    }

    /// When a step is due; never, while nobody looks.
    pub fn next(&self) -> Option<Instant> {
        self.jobs.iter().filter_map(|job| job.next).min()
    }

    /// Does the steps that are due. What the server has no room for at the moment is left out.
    pub fn work(&mut self, now: Instant) -> Result<(), Error> {
        let due: Vec<Kind> = self.jobs.iter_mut().filter_map(|job| job.is_due(now).then_some(job.kind)).collect();
        due.into_iter().try_for_each(|kind| match kind {
            Kind::Prices => {
                let tick = self.prices.tick();
                self.publish("/demo/ticker", "application/json", tick.as_bytes())
            }
            Kind::Comet => {
                let picture = self.comet.picture();
                self.publish("/demo/comet", "image/png", &picture)
            }
            Kind::Progress => self.progress(),
        })
    }

    /// One step of the bar. The job ends when it is full, and not when nobody asks any more.
    fn progress(&mut self) -> Result<(), Error> {
        self.percent += 1;
        let line = format!("{{\"percent\":{}}}", self.percent);
        if self.percent == 100 {
            self.percent = 0;
            self.jobs.iter_mut().filter(|job| job.kind == Kind::Progress).for_each(|job| job.next = None);
        }
        self.publish("/demo/progress", "application/json", line.as_bytes())
    }

    fn publish(&self, channel: &str, content_type: &str, data: &[u8]) -> Result<(), Error> {
        match self.publisher.publish_with(&Parts { channel, content_type, event: "", data, unix_ms: 0 }) {
            Err(Error::Full) => Ok(()),
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_keeps_its_pace_and_ends_when_nobody_asks() {
        let mut job = Job::new(Kind::Prices, "ticker", 50);
        let begun = Instant::now();
        assert!(!job.is_due(begun), "nobody has asked");
        job.ask(begun);
        let mut now = begun;
        for step in 1..=5 {
            assert!(job.is_due(now) && !job.is_due(now), "step {step}");
            now = begun + job.pace * step;
        }
        let later = begun + Duration::from_secs(20);
        assert!(job.is_due(later) && !job.is_due(later), "what was slept through is not made up for");
        job.ask(later);
        assert!(job.is_due(later + LEASE - Duration::from_millis(1)));
        assert_eq!(job.next, None);
    }
}
