//! Who may do what: what an operator allows everybody, and what keys, tokens and signed names prove.
//!
//! It judges texts and names. It never meets a connection, opens no file and reads no clock: whoever has a request brings
//! what stands in it, and the time.
//!
//! Whoever asks for something is given a [`Grant`] first, so that all who come later look at one thing alone. A token or a
//! key that is not good is refused, and never counted as none.
//!
//! Read in this order: `grant`; `key_set` and `api_key`, the two files, which make a [`Keyring`]; `signature`, where the
//! mathematics is; `token` and `claims`; `signed_name`; `memory`, which remembers good tokens.

mod api_key;
mod claims;
mod grant;
mod key_set;
mod keyring;
mod memory;
mod signature;
mod signed_name;
#[cfg(test)]
mod tests;
mod token;

pub use api_key::line as api_key_line;
pub use grant::{Grant, Kind};
pub use keyring::Keyring;

use crate::base::config::Config;
use crate::base::door::Door;
use crate::base::error::Reject;
use crate::base::pattern::Patterns;
use claims::Rules;
use grant::Scope;
use memory::Memory;
use std::sync::Arc;

/// How far the clock of whoever signs may be off: so much later does a token expire, and so much earlier may it be used.
pub(crate) const LEEWAY_MS: u64 = 5_000;

/// What one shard knows of it.
#[derive(Debug)]
pub struct Access {
    /// Whoever comes by a private listener or the control socket is the application itself.
    application: Arc<Grant>,
    /// Whoever shows nothing, on an address that others can reach, and on loopback.
    stranger: Arc<Grant>,
    neighbour: Arc<Grant>,
    keyring: Arc<Keyring>,
    rules: Rules,
    /// What this keyring has found to be good.
    memory: Memory,
}

impl Access {
    /// What `config`, which was checked, and the keys say.
    pub fn new(config: &Config, keyring: Arc<Keyring>) -> Access {
        let patterns = |text: &str| Patterns::parse(text).expect("the options were checked");
        let (stranger, neighbour) = match (config.strangers_read(), config.shows_demos()) {
            (Some(named), _) => (Scope::Some(patterns(named)), Scope::Some(patterns(named))),
            (None, false) => (Scope::Some(patterns("/public/**")), Scope::All),
            (None, true) => (Scope::Some(patterns("/public/**,/demo/**")), Scope::All),
        };
        // On loopback, the protocol decides which requests come from somebody who is at this machine.
        let publish = Scope::Some(patterns(&config.anonymous_publish));
        Access {
            application: Arc::new(Grant::everything()),
            stranger: Arc::new(Grant::new(Kind::Stranger, None, stranger, publish)),
            neighbour: Arc::new(Grant::new(Kind::Stranger, None, neighbour, Scope::All)),
            rules: Rules::new(config),
            memory: Memory::new(keyring.seed),
            keyring,
        }
    }

    /// What somebody may who came in by `door` and shows nothing.
    pub fn of_door(&self, door: Door) -> &Arc<Grant> {
        match door {
            Door::Public => &self.stranger,
            Door::PublicLoopback => &self.neighbour,
            Door::Private | Door::PrivateLoopback | Door::Control => &self.application,
        }
    }

    /// Whether anything that is shown could be good.
    pub(crate) fn knows_credentials(&self) -> bool {
        !self.keyring.tokens.is_empty() || !self.keyring.applications.is_empty()
    }

    /// What a token proves at this time: 401 `token_expired` if it was good, 401 `bad_token` if it is not.
    pub fn of_token(&mut self, token: &str, unix_ms: u64) -> Result<Arc<Grant>, Reject> {
        if let Some(grant) = self.memory.recall(token, unix_ms) {
            return Ok(grant);
        }
        let grant = Arc::new(token::read(token, &self.keyring.tokens, &self.rules, unix_ms)?);
        self.memory.keep(token, grant.clone());
        Ok(grant)
    }

    /// Whether a token was found to be good before, and still is.
    pub(crate) fn remembers(&mut self, token: &str, unix_ms: u64) -> bool {
        self.memory.recall(token, unix_ms).is_some()
    }

    /// What a key of an application proves: 401 `bad_key` if it is none.
    pub fn of_key(&self, key: &str) -> Result<Arc<Grant>, Reject> {
        if self.keyring.applications.is_empty() {
            return Err(Reject::new(401, "bad_key", "there are no keys of applications (api_keys)"));
        }
        let grant = api_key::find(&self.keyring.applications, key).cloned();
        grant.ok_or_else(|| Reject::new(401, "bad_key", "there is no such key of an application"))
    }

    /// What the key proves now that was shown for `grant` when the `former` ones were good: nothing, if it is none any more.
    pub(crate) fn of_key_again(&self, grant: &Arc<Grant>, former: &Access) -> Arc<Grant> {
        let again = api_key::find_again(&former.keyring.applications, grant, &self.keyring.applications);
        again.cloned().unwrap_or_else(|| Arc::new(Grant::clone(grant).until(Some(0))))
    }

    /// What a signed name proves at this time, as pages are given one by the application's templates: 401 `token_expired` if it
    /// was good, 401 `bad_name` if it is not.
    pub fn of_signed_name(&self, signed: &str, unix_ms: u64) -> Result<Arc<Grant>, Reject> {
        signed_name::read(signed, &self.keyring.tokens, &self.rules, unix_ms).map(Arc::new)
    }
}
