//! New options for a server that runs.
//!
//! Whatever can be wrong is found before the first reactor hears of it, so a reload that fails leaves everything as it was.

use super::keyring;
use super::mailbox::Rare;
use super::server::{Server, shorten_turns};
use crate::access::Keyring;
use crate::base::config::{Config, Opt};
use crate::base::error::Error;
use crate::engine::Rates;
use crossbeam_channel::bounded;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// What a reactor goes on with.
#[derive(Debug)]
pub(super) struct News {
    pub(super) config: Arc<Config>,
    pub(super) keyring: Arc<Keyring>,
    /// What clients have published lately is forgotten with the former ones.
    pub(super) rates: Arc<Rates>,
}

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
        let (mut config, kept) = running.reloaded(wanted);
        shorten_turns(&mut config, self.shared.mailboxes.len());
        // What cannot change has to fit what does.
        config.check()?;
        // What the options name that is read from files is read once for all reactors, before they are told.
        let keyring = keyring::read(&config)?;
        let rates = Arc::new(Rates::new(&config, self.shared.seed));
        let config = Arc::new(config);
        if !self.is_running() {
            return Err(Error::Closed);
        }
        let (done, all_done) = bounded(0);
        for mailbox in &self.shared.mailboxes {
            let news = News { config: config.clone(), keyring: keyring.clone(), rates: rates.clone() };
            mailbox.order(Rare::Reload { news, done: done.clone() })?;
        }
        drop(done);
        // Nothing is ever sent: each reactor drops its end when it goes on with the new options.
        let _ = all_done.recv();
        self.shared.message_bytes_max.store(config.body_bytes_max, Ordering::Relaxed);
        self.shared.judge_allows.store(config.judge_default == "allow", Ordering::Relaxed);
        self.shared.drain_timeout_ms.store(config.drain_timeout_ms, Ordering::Release);
        *running = config;
        Ok(kept)
    }
}
