//! What can be wrong with the options that say who may do what.

use super::{Config, Kind};
use crate::base::error::Error;
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
        faults.extend(self.misread_judge_url());
        faults
    }

    /// What is wrong with the application's URL, and with what it must fit.
    fn misread_judge_url(&self) -> Option<String> {
        if self.judge_url.is_empty() {
            return None;
        }
        if self.judge.is_empty() {
            return Some("--judge-url: --judge is off, which names the channels that are judged there".into());
        }
        if !self.judge_url.starts_with("http://") {
            return Some(format!("--judge-url: {:?} is no URL (write http://127.0.0.1:3000/may-subscribe)", self.judge_url));
        }
        if self.judge_url_timeout_ms > self.judge_timeout_ms {
            let [own, whole] = [self.judge_url_timeout_ms, self.judge_timeout_ms].map(|ms| Kind::Duration.show(ms));
            return Some(format!("--judge-url-timeout: {own} is longer than --judge-timeout, which is {whole} and includes it"));
        }
        None
    }

    /// Whether the command is to ask an application who may subscribe. A program that links Encke is asked itself.
    pub(crate) fn check_unhooked(&self) -> Result<(), Error> {
        match self.judge_url.is_empty() {
            true => Ok(()),
            false => Err(Error::Config(format!(
                "--judge-url: {:?} is asked by `encke serve` alone; a program that links Encke decides itself (off)",
                self.judge_url
            ))),
        }
    }

    /// What strangers may read, by the option `anonymous_subscribe`; `None`: what the listener's address calls for.
    pub(crate) fn strangers_read(&self) -> Option<&str> {
        (self.anonymous_subscribe != AUTO).then_some(&*self.anonymous_subscribe)
    }
}
