//! New options for a server that runs.
//!
//! Whatever can be wrong is found before the first reactor hears of it, so a reload that fails leaves everything as it was.

use super::mailbox::Rare;
use super::server::Server;
use crate::base::config::{Config, Opt};
use crate::base::error::Error;
use crossbeam_channel::bounded;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

impl Server {
    /// Goes on with the options of `wanted`, without touching a connection: new requests meet the new rules. All of them
    /// hold when this returns. Returns the options that were to change and last until a restart, which keep their values.
    ///
    /// Waits for the reactors, each of which takes this between two turns. [`Error::Config`]: nothing has changed, and there
    /// is a line for each fault. [`Error::Closed`]: the server is stopping.
    pub fn reload(&self, mut wanted: Config) -> Result<Vec<&'static Opt>, Error> {
        wanted.check()?;
        if !self.is_hosted() {
            wanted.check_hostless()?;
        }
        let mut running = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        for option in &self.lent {
            wanted.keep(option, &running);
        }
        let (config, kept) = running.reloaded(wanted);
        // What cannot change has to fit what does.
        config.check()?;
        // Whatever the options name that is read from files is read here: once for all reactors, before they are told.
        let config = Arc::new(config);
        if !self.is_running() {
            return Err(Error::Closed);
        }
        let (done, all_done) = bounded(0);
        for mailbox in &self.shared.mailboxes {
            mailbox.order(Rare::Reload { config: config.clone(), done: done.clone() })?;
        }
        drop(done);
        // Nothing is ever sent: each reactor drops its end when it goes on with the new options.
        let _ = all_done.recv();
        self.shared.message_bytes_max.store(config.body_bytes_max, Ordering::Relaxed);
        self.shared.drain_timeout_ms.store(config.drain_timeout_ms, Ordering::Release);
        *running = config;
        Ok(kept)
    }
}
