//! What can be wrong with the options that say who may do what.

use super::Config;
use crate::base::pattern::Patterns;

/// The word for what strangers may read where the operator says nothing of it.
const AUTO: &str = "auto";

impl Config {
    /// What is wrong with those that name channels, or know some words alone.
    pub(super) fn misread_access_options(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(what) = Patterns::parse(self.strangers_read().unwrap_or_default()) {
            faults.push(format!("--anonymous-subscribe: {what} (write /chat/rome, /chat/*, /chat/** or auto)"));
        }
        if let Err(what) = Patterns::parse(&self.anonymous_publish) {
            faults.push(format!("--anonymous-publish: {what} (write /chat/rome, /chat/* or /chat/**)"));
        }
        if !matches!(&*self.token_expiry, "required" | "optional") {
            faults.push(format!("--token-expiry: {:?} is neither required nor optional", self.token_expiry));
        }
        faults
    }

    /// What strangers may read, by the option `anonymous_subscribe`; `None`: what the listener's address calls for.
    pub(crate) fn strangers_read(&self) -> Option<&str> {
        (self.anonymous_subscribe != AUTO).then_some(&*self.anonymous_subscribe)
    }
}
