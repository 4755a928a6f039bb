//! What somebody may.

use crate::base::pattern::{Pattern, Patterns};
use std::sync::Arc;

/// Made once for whoever asks, and then shared. Nothing in it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who it is: the token's `sub`, or the name of a key; nobody knows who shows nothing.
    pub(crate) user: Option<Arc<str>>,
    subscribe: Scope,
    publish: Scope,
    /// When it ends, in milliseconds since 1970; never, if that is not said.
    pub(crate) expires_unix_ms: Option<u64>,
}

/// Some channels.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Some(Patterns),
}

impl Grant {
    /// For the application itself.
    pub(super) fn everything() -> Grant {
        Grant { user: None, subscribe: Scope::All, publish: Scope::All, expires_unix_ms: None }
    }

    /// Whether the channel of this full name may be read.
    pub(crate) fn may_subscribe(&self, channel: &str) -> bool {
        self.subscribe.has(channel)
    }

    /// Whether all channels that `pattern` stands for may be read.
    pub(crate) fn may_watch(&self, pattern: &Pattern) -> bool {
        self.subscribe.has_all(pattern)
    }

    /// Whether messages may be published to the channel of this full name.
    pub(crate) fn may_publish(&self, channel: &str) -> bool {
        self.publish.has(channel)
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self, unix_ms: u64) -> bool {
        self.expires_unix_ms.is_some_and(|expires| expires <= unix_ms)
    }
}

impl Scope {
    fn has(&self, channel: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Some(patterns) => patterns.matches(channel),
        }
    }

    fn has_all(&self, pattern: &Pattern) -> bool {
        match self {
            Scope::All => true,
            Scope::Some(patterns) => patterns.cover(pattern),
        }
    }
}
