//! SIGINT and SIGTERM: the first asks for an end, a second is one.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A watch for the first signal.
pub struct Watch(Signals);

impl Watch {
    /// Watches from now on. After the first signal, a further one ends the process with 128 and its number.
    pub fn start() -> Result<Watch, String> {
        let asked = Arc::new(AtomicBool::new(false));
        let watch = || {
            for signal in [SIGINT, SIGTERM] {
                // In this order: the first signal finds the flag down, and then raises it.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
                flag::register(signal, Arc::clone(&asked))?;
            }
            Signals::new([SIGINT, SIGTERM])
        };
        watch().map(Watch).map_err(|error: std::io::Error| format!("cannot watch for signals: {error}"))
    }

    /// Waits for the first signal.
    pub fn wait(&mut self) {
        let _ = self.0.forever().next();
    }
}
