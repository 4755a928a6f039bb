//! What signals ask for. SIGINT and SIGTERM: the first asks for an end, a second is one. SIGHUP asks for the options to be
//! read anew, SIGUSR2 for a successor.

pub use signal_hook::consts::{SIGHUP, SIGUSR2};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Stop,
    Reload,
    Succeed,
    /// No signal does: the server has ended of its own.
    GiveUp,
}

/// How many may wait.
const ASKS_MAX: usize = 16;

/// A watch for signals.
pub struct Watch {
    asks: Receiver<Ask>,
    ask: SyncSender<Ask>,
}

impl Watch {
    /// Watches from now on, for requests to end and for `more`. After the first that asks for an end, a further one ends the
    /// process with 128 and its number.
    pub fn start(more: &[i32]) -> Result<Watch, String> {
        let asked = Arc::new(AtomicBool::new(false));
        let register = || {
            for signal in [SIGINT, SIGTERM] {
                // In this order: the first signal finds the flag down, and then raises it.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
                flag::register(signal, Arc::clone(&asked))?;
            }
            Signals::new([SIGINT, SIGTERM].iter().chain(more))
        };
        let watch = || {
            let mut signals = register()?;
            // What comes while these wait comes once of each sort, as signals do.
            let (ask, asks) = sync_channel(ASKS_MAX);
            let watch = Watch { asks, ask: ask.clone() };
            let body = move || signals.forever().map(meaning).all(|meant| ask.send(meant).is_ok());
            thread::Builder::new().name("signals".into()).spawn(body)?;
            Ok(watch)
        };
        watch().map_err(|error: std::io::Error| format!("cannot watch for signals: {error}"))
    }

    /// What the next signal asks for.
    pub fn wait(&self) -> Ask {
        self.asks.recv().unwrap_or(Ask::Stop)
    }

    /// The same; `None` if none comes within `limit`.
    pub fn next(&self, limit: Duration) -> Option<Ask> {
        self.asks.recv_timeout(limit).ok()
    }

    /// Asks as a signal would, from another thread.
    pub fn asker(&self) -> SyncSender<Ask> {
        self.ask.clone()
    }
}

fn meaning(signal: i32) -> Ask {
    match signal {
        SIGHUP => Ask::Reload,
        SIGUSR2 => Ask::Succeed,
        _ => Ask::Stop,
    }
}
