//! Who may do what: what an operator allows everybody, and what keys and tokens prove.
//!
//! It judges texts and names. It never meets a connection, opens no file and reads no clock: whoever has a request brings
//! what stands in it, and the time.
//!
//! Whoever asks for something is given a [`Grant`] first, so that all who come later look at one thing alone. A token or a
//! key that is not good is refused, and never counted as none.

mod grant;

use grant::Scope;
pub use grant::{Grant, Kind};

use crate::base::config::Config;
use crate::base::door::Door;
use crate::base::error::Reject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one shard knows of it.
#[derive(Debug)]
pub(crate) struct Access {
    /// Whoever comes by a private listener or the control socket is the application itself.
    application: Arc<Grant>,
    /// Whoever shows nothing, on an address that others can reach, and on loopback.
    stranger: Arc<Grant>,
    neighbour: Arc<Grant>,
    /// By what is shown for them.
    tests: BTreeMap<String, Arc<Grant>>,
}

impl Access {
    /// What `config`, which was checked, says.
    pub(crate) fn new(_config: &Config) -> Access {
        Access {
            application: Arc::new(Grant::everything()),
            stranger: Arc::new(Grant::new(Kind::Stranger, None, Scope::All, Scope::none())),
            neighbour: Arc::new(Grant::new(Kind::Stranger, None, Scope::All, Scope::All)),
            tests: BTreeMap::new(),
        }
    }

    pub(crate) fn knows_credentials(&self) -> bool {
        !self.tests.is_empty()
    }

    pub(crate) fn add(&mut self, shown: &str, kind: Kind, user: &str, subscribe: &str, publish: &str, expires: Option<u64>) {
        use crate::base::pattern::Patterns;
        let scope = |text| Scope::Some(Patterns::parse(text).unwrap());
        let user = (!user.is_empty()).then(|| user.into());
        let grant = Grant::new(kind, user, scope(subscribe), scope(publish)).until(expires);
        if shown == "stranger" {
            self.stranger = Arc::new(grant);
        } else {
            self.tests.insert(shown.into(), Arc::new(grant));
        }
    }

    fn find(&self, shown: &str, unix_ms: u64) -> Option<Result<Arc<Grant>, Reject>> {
        let grant = self.tests.get(shown)?;
        Some(if grant.is_over(unix_ms) {
            Err(Reject::new(401, "token_expired", "the token has expired"))
        } else {
            Ok(grant.clone())
        })
    }

    /// What somebody may who came in by `door` and shows nothing.
    pub(crate) fn of_door(&self, door: Door) -> &Arc<Grant> {
        match door {
            Door::Public => &self.stranger,
            Door::PublicLoopback => &self.neighbour,
            Door::Private | Door::PrivateLoopback | Door::Control => &self.application,
        }
    }

    /// What a token proves at this time.
    pub(crate) fn of_token(&mut self, token: &str, unix_ms: u64) -> Result<Arc<Grant>, Reject> {
        if let Some(found) = self.find(token, unix_ms) {
            return found;
        }
        Err(Reject::new(401, "bad_token", "there are no keys that tokens are signed with (token_keys)"))
    }

    /// What a key of an application proves.
    pub(crate) fn of_key(&self, key: &str) -> Result<Arc<Grant>, Reject> {
        if let Some(found) = self.find(key, 0) {
            return found;
        }
        Err(Reject::new(401, "bad_key", "there are no keys of applications (api_keys)"))
    }

    /// The channel that a signed name stands for, as pages are given one by the application's templates.
    pub(crate) fn of_signed_name(&self, signed: &str, unix_ms: u64) -> Result<Arc<Grant>, Reject> {
        if let Some(found) = self.find(signed, unix_ms) {
            return found;
        }
        Err(Reject::new(401, "bad_name", "there are no keys that names are signed with (token_keys)"))
    }
}
