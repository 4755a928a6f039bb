//! What somebody may.

use crate::base::pattern::{Pattern, Patterns};
use std::sync::Arc;

/// What was shown for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Stranger,
    /// A name that the application signed.
    SignedName,
    /// A token.
    Token,
    /// A key of an application.
    Key,
    /// Nothing: whoever comes by a private listener is the application itself.
    Application,
}

/// Made once for whoever asks, and then shared. Nothing in it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What was shown for it.
    pub kind: Kind,
    /// Who it is: the token's `sub`, or the name of a key; nobody knows who shows nothing.
    pub user: Option<Arc<str>>,
    subscribe: Scope,
    publish: Scope,
    /// When it ends, in milliseconds since 1970; never, if that is not said.
    pub expires_unix_ms: Option<u64>,
}

/// Some channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Some(Patterns),
}

impl Grant {
    /// Some channels to read and some to publish to, without an end.
    pub(super) fn new(kind: Kind, user: Option<Arc<str>>, subscribe: Scope, publish: Scope) -> Grant {
        Grant { kind, user, subscribe, publish, expires_unix_ms: None }
    }

    /// For the application itself.
    pub(super) fn everything() -> Grant {
        Grant::new(Kind::Application, None, Scope::All, Scope::All)
    }

    /// The same up to that time.
    pub(super) fn until(self, expires_unix_ms: Option<u64>) -> Grant {
        Grant { expires_unix_ms, ..self }
    }

    /// Whether the channel of this full name may be read.
    pub fn may_subscribe(&self, channel: &str) -> bool {
        self.subscribe.has(channel)
    }

    /// Whether all channels that `pattern` stands for may be read.
    pub(crate) fn may_watch(&self, pattern: &Pattern) -> bool {
        self.subscribe.has_all(pattern)
    }

    /// Whether messages may be published to the channel of this full name.
    pub fn may_publish(&self, channel: &str) -> bool {
        self.publish.has(channel)
    }

    /// Whether there is any channel where messages may be published.
    pub(crate) fn may_publish_some(&self) -> bool {
        !matches!(&self.publish, Scope::Some(patterns) if patterns.is_empty())
    }

    /// Whether the channel of this full name may be inspected and dropped: that is for applications, where they publish.
    pub fn may_manage(&self, channel: &str) -> bool {
        match self.kind {
            Kind::Key | Kind::Application => self.publish.has(channel),
            Kind::Stranger | Kind::SignedName | Kind::Token => false,
        }
    }

    /// The channel that a signed name stands for, if it is for one alone.
    pub fn signed_channel(&self) -> Option<&str> {
        match (self.kind, &self.subscribe) {
            (Kind::SignedName, Scope::Some(patterns)) => patterns.only_name(),
            _ => None,
        }
    }

    /// Whether it has ended.
    pub fn is_over(&self, unix_ms: u64) -> bool {
        self.expires_unix_ms.is_some_and(|expires| expires <= unix_ms)
    }
}

impl Scope {
    pub(super) fn none() -> Scope {
        Scope::Some(Patterns::default())
    }

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
