//! What can be wrong with the options that name channels, or speak of a host program.

use super::Config;
use crate::base::error::Error;
use crate::base::event::Wanted;
use crate::base::pattern::Patterns;

impl Config {
    /// What is wrong with them.
    pub(super) fn misread_host_options(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, patterns) in [
            ("judge", &self.judge),
            ("host-channels", &self.host_channels),
            ("bayeux-publish", &self.bayeux_publish),
            ("presence", &self.presence),
            ("jsonp-channels", &self.jsonp_channels),
            ("slow-conflate", &self.slow_conflate),
            ("slow-latest", &self.slow_latest),
            ("slow-disconnect", &self.slow_disconnect),
        ] {
            if let Err(what) = Patterns::parse(patterns) {
                faults.push(format!("--{name}: {what} (write /chat/rome, /chat/* or /chat/**)"));
            }
        }
        // RFC 6265 section 4.1.1: a token.
        let is_separator = |byte| matches!(byte, b'=' | b';' | b',' | b'"' | b'\\');
        if self.token_cookie.bytes().any(is_separator) {
            faults.push(format!("--token-cookie: {:?} is no name of a cookie (write encke_token)", self.token_cookie));
        }
        if !matches!(&*self.judge_default, "deny" | "allow") {
            faults.push(format!("--judge-default: {:?} is neither deny nor allow", self.judge_default));
        }
        if !matches!(&*self.demo, "" | "on" | "loopback") {
            faults.push(format!("--demo: {:?} is none of on, off, loopback", self.demo));
        }
        if let Err(bad) = Wanted::parse(&self.events) {
            faults.push(format!("--events: {bad:?} is none of subscribed, unsubscribed, gone, presence, log"));
        }
        faults
    }

    /// Whether it can be served without a host program; the error has a line for each option that speaks to one. What is judged
    /// at a URL needs none.
    pub fn check_hostless(&self) -> Result<(), Error> {
        let options = [("judge", &self.judge), ("host-channels", &self.host_channels), ("events", &self.events)];
        let set = options.into_iter().filter(|(name, text)| !text.is_empty() && (*name != "judge" || self.judge_url.is_empty()));
        let faults: Vec<String> = set
            .map(|(name, text)| {
                format!("--{name}: {text:?} needs a program that links Encke and answers; this server has none (off)")
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(Error::Config(faults.join("\n"))) }
    }
}
