//! What is wrong between options that are right on their own: one that does not fit another, and words that mean nothing.
//!
//! Looks at a [`Config`] as a whole, and at no option's bounds.

use super::{Config, KIB, Kind, value};
use crate::base::client::Networks;
use crate::base::error::Error;
use crate::base::event::Wanted;
use crate::base::pattern::Patterns;

/// What a message may weigh beside its body: names, type, event, header.
const LABELS_BYTES: u64 = 4 * KIB;

impl Config {
    /// What is wrong between values that are right on their own.
    pub(super) fn misfits(&self) -> Vec<String> {
        let size = |bytes| Kind::Bytes.show(bytes);
        let (line, head) = (self.line_bytes_max, self.head_bytes_max);
        let (body, history, budget) = (self.body_bytes_max, self.history_bytes, self.history_budget);
        let mut faults = Vec::new();
        if line > head {
            faults.push(format!(
                "--line-bytes-max: {} is more than --head-bytes-max, which is {} and includes the line",
                size(line),
                size(head)
            ));
        }
        if body.saturating_add(LABELS_BYTES) > history {
            faults.push(format!(
                "--body-bytes-max: a message of {} and {} for its names does not fit --history-bytes, which is {}",
                size(body),
                size(LABELS_BYTES),
                size(history)
            ));
        }
        if history > budget {
            faults.push(format!(
                "--history-bytes: {} for one channel is more than --history-budget, which is {} for all",
                size(history),
                size(budget)
            ));
        }
        if !self.control_mode.bytes().all(|digit| matches!(digit, b'0'..=b'7')) {
            let mode = &self.control_mode;
            faults.push(format!("--control-mode: {mode:?} is not an octal number of three digits (write 600; 000 to 777)"));
        }
        faults.extend(self.repeated_address());
        let bad = |origin: &&str| !is_origin(origin);
        if !matches!(&*self.origin, "" | "*")
            && let Some(bad) = self.origin.split(',').find(bad)
        {
            faults.push(format!("--origin: {bad:?} is not an origin (write https://example.org, or * for any)"));
        }
        if let Err(what) = Networks::parse(&self.trusted_proxies) {
            faults.push(format!("--trusted-proxies: {what} (write 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32)"));
        }
        faults.extend(self.misread_host_options());
        faults.extend(self.misread_access_options());
        faults
    }

    /// What is wrong with the options that name channels, or speak of a host program.
    fn misread_host_options(&self) -> Vec<String> {
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

    /// Whether the command shows demonstrations. A program that links Encke has none.
    pub fn shows_demos(&self) -> bool {
        self.demo == "on" || self.demo == "loopback" && self.listen.iter().all(|address| value::is_loopback(address))
    }

    /// The rights of the control socket's file.
    pub fn control_rights(&self) -> u32 {
        u32::from_str_radix(&self.control_mode, 8).unwrap_or(0o600) & 0o777
    }

    /// An address that two listeners would take from each other.
    fn repeated_address(&self) -> Option<String> {
        let all: Vec<&String> = self.listen.iter().chain(&self.private).filter(|address| !address.ends_with(":0")).collect();
        let repeated = all.iter().enumerate().find(|(at, address)| all[..*at].contains(address))?.1;
        let both = self.listen.contains(repeated) && self.private.contains(repeated);
        let name = if both || self.private.contains(repeated) { "private" } else { "listen" };
        Some(format!("--{name}: {repeated} is taken twice{}", if both { ", by --listen too" } else { "" }))
    }
}

/// `scheme://host` or `scheme://host:port`, without a path.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        let word = |text: &str, more: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        word(scheme, b"+-.") && word(host, b"-._:[]")
    })
}
