//! Options that change while a server runs, and those that cannot.

use super::{Config, OPTIONS, Opt};

impl Config {
    /// What a server that runs with `self` goes on with when it is to have `wanted`: all of that, but for the options
    /// that are marked to last until a restart. Those that were to change and cannot are named.
    pub fn reloaded(&self, mut wanted: Config) -> (Config, Vec<&'static Opt>) {
        let mut kept = Vec::new();
        for opt in OPTIONS.iter().filter(|opt| opt.until_restart) {
            if opt.show(self) != opt.show(&wanted) {
                (opt.copy)(&mut wanted, self);
                kept.push(opt);
            }
        }
        (wanted, kept)
    }

    /// The option of this key has the value that it has in `other`.
    pub(crate) fn keep(&mut self, key: &str, other: &Config) {
        if let Some(opt) = OPTIONS.iter().find(|opt| opt.key == key) {
            (opt.copy)(self, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_change_is_kept_and_named() {
        let running = Config { reactors: 2, heartbeat_ms: 1_000, ..Config::default() };
        let wanted = Config { reactors: 0, control: Some("/run/x".into()), heartbeat_ms: 0, ..Config::default() };
        let (config, kept) = running.reloaded(wanted);
        assert_eq!((config.reactors, config.control, config.heartbeat_ms), (2, None, 0));
        assert_eq!(kept.iter().map(|opt| opt.key).collect::<Vec<_>>(), ["control", "reactors"]);
        assert!(running.reloaded(running.clone()).1.is_empty());
    }

    #[test]
    fn the_mark_is_shown_in_the_help() {
        let help = super::super::help();
        let shown = help.lines().filter(|line| line.ends_with("; not reloaded]")).count();
        assert_eq!(shown, OPTIONS.iter().filter(|opt| opt.until_restart).count());
        assert!(shown > 0);
    }
}
