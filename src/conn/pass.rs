//! What a held connection may, beyond what its door allows everybody, and until when.

use super::Proof;
use crate::base::error::Reject;
use crate::base::time::{Now, Tick};

/// What was proven when a connection was taken, or since.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) proof: Proof,
    /// When whatever is held by it ends; `None` for never.
    pub(crate) until: Option<Tick>,
}

impl Pass {
    /// A pass for what is proven now, and for so long after that has ended.
    pub(crate) fn new(proof: Proof, now: Now, grace_ms: u64) -> Pass {
        // The grace begins at the end, whenever a pass is made: who makes one anew in its midst gains nothing.
        let left = |expires: u64| expires.saturating_add(grace_ms).saturating_sub(now.unix_ms);
        let until = proof.grant.expires_unix_ms.map(|expires| now.tick + left(expires));
        Pass { proof, until }
    }

    /// How long what was proven still lasts; `None` for ever.
    pub(crate) fn expires_in(&self, now: Now) -> Option<u64> {
        self.proof.grant.expires_unix_ms.map(|expires| expires.saturating_sub(now.unix_ms))
    }

    /// Whether `proof` is of the same user, and so may take its place.
    pub(crate) fn is_of(&self, proof: &Proof) -> Result<(), Reject> {
        match self.proof.grant.user == proof.grant.user && self.proof.grant.kind == proof.grant.kind {
            true => Ok(()),
            false => Err(Reject::new(403, "forbidden", "the token is of another user")),
        }
    }

    /// Whether what is held by it has to end.
    pub(crate) fn is_over(&self, now: Tick) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}
