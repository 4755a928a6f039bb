//! All keys of a server, read once and shared by its shards.

use super::api_key::{self, ApiKey};
use super::key_set::{self, TokenKey};
use super::signature::Algorithm;
use super::{signed_name, token};
use crate::base::random::Seed;

/// Nothing in it changes: new keys are a new keyring.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// What the shards' memories of tokens are hashed with.
    pub(super) seed: Seed,
    pub(super) tokens: Vec<TokenKey>,
    pub(super) applications: Vec<ApiKey>,
}

impl Keyring {
    /// Without a key, nothing is good. The seed is to be one that nobody can guess.
    pub fn new(seed: Seed) -> Keyring {
        Keyring { seed, tokens: Vec::new(), applications: Vec::new() }
    }

    /// Takes the keys of a JSON Web Key Set in place of those that there were, which sign tokens and names. Its grammar stands
    /// in `access/key_set.rs`; an error says in which line there is what that is wrong.
    pub fn set_token_keys(&mut self, text: &str) -> Result<(), String> {
        self.tokens = key_set::read(text)?;
        Ok(())
    }

    /// Takes the keys of applications in place of those that there were. Its grammar stands in `access/api_key.rs`; an error
    /// says in which line there is what that is wrong.
    pub fn set_api_keys(&mut self, text: &str) -> Result<(), String> {
        self.applications = api_key::read(text)?;
        Ok(())
    }

    /// Whether whoever reads the key set can sign with it.
    pub fn has_secrets(&self) -> bool {
        self.secrets().next().is_some()
    }

    /// A token with these claims, a JSON object, signed with the secret called `kid`, or else the first one. `None` without such
    /// a secret: this makes tokens for tests and for trying things out, and other algorithms need a private key.
    pub fn sign_token(&self, kid: Option<&str>, claims: &str) -> Option<String> {
        token::sign(self.secret(kid)?, claims)
    }

    /// The signed name of a channel or pattern, as templates put it into pages; without an end where the option `token_expiry`
    /// allows that.
    pub fn sign_name(&self, kid: Option<&str>, channel: &str, expires_unix_s: Option<u64>) -> Option<String> {
        signed_name::sign(self.secret(kid)?, channel, expires_unix_s)
    }

    fn secret(&self, kid: Option<&str>) -> Option<&TokenKey> {
        self.secrets().find(|key| kid.is_none() || key.kid.as_deref() == kid)
    }

    fn secrets(&self) -> impl Iterator<Item = &TokenKey> {
        self.tokens.iter().filter(|key| key.key.algorithm() == Algorithm::Hs256)
    }
}
