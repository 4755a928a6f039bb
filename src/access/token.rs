//! Tokens: JSON Web Tokens (RFC 7519) in the compact form of RFC 7515.
//!
//! ```text
//! token  = header "." claims "." signature     each base64url without padding, at most 4096 bytes in all
//! header = { "alg": …, "kid": … }               the rest means nothing, but "crit" must not be there
//! ```
//! A key decides what `alg` can be: each has one (see `key_set`), and a token whose `alg` no key has is refused. A token with a
//! `kid` is held against that key alone; one without it against each key of its `alg`. What it says is read when its
//! signature was found to be good, and not before (see `claims`).

use super::claims::{self, Rules};
use super::grant::Grant;
use super::key_set::TokenKey;
use super::signature::Algorithm;
use crate::base::error::Reject;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A head of a request has room for it beside all else.
const TOKEN_BYTES_MAX: usize = 4_096;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// What the holder of `token` may at this time.
pub(super) fn read(token: &str, keys: &[TokenKey], rules: &Rules, unix_ms: u64) -> Result<Grant, Reject> {
    if keys.is_empty() {
        return Err(bad("there are no keys that tokens are signed with (token_keys)"));
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(bad("a token has at most 4096 bytes"));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or_else(|| bad(FORM))?;
    let (header, payload) = signed.split_once('.').ok_or_else(|| bad(FORM))?;
    let (header, payload, signature) = (part(header)?, part(payload)?, part(signature)?);
    let header: Header = serde_json::from_slice(&header).map_err(|_| bad("its header is no JSON object with a text alg"))?;
    if header.crit.is_some() {
        return Err(bad("crit: its header asks for what is not known here"));
    }
    check(&header, keys, signed.as_bytes(), &signature)?;
    claims::read(&payload, rules, unix_ms)
}

/// Whether one of the keys that `header` may mean has made the signature.
fn check(header: &Header, keys: &[TokenKey], signed: &[u8], signature: &[u8]) -> Result<(), Reject> {
    let algorithm = Algorithm::named(&header.alg).ok_or_else(|| bad("alg: it is none of HS256, RS256, ES256, EdDSA"))?;
    let named = |key: &&TokenKey| header.kid.is_none() || key.kid.as_deref() == header.kid.as_deref();
    let fits = |key: &&TokenKey| key.key.algorithm() == algorithm;
    if !keys.iter().any(|key| named(&key)) {
        return Err(bad("kid: there is no such key"));
    }
    let mut fitting = keys.iter().filter(named).filter(fits).peekable();
    if fitting.peek().is_none() {
        return Err(bad("alg: there is no key for it, or the one that kid names is for another"));
    }
    match fitting.any(|key| key.key.verifies(signed, signature)) {
        true => Ok(()),
        false => Err(bad("its signature is not by a key that is known here")),
    }
}

/// A token with these claims, a JSON object, by `key`; only a shared secret can make one.
pub(super) fn sign(key: &TokenKey, claims: &str) -> Option<String> {
    let kid = key.kid.as_deref().map_or(String::new(), |kid| format!(",\"kid\":{}", serde_json::Value::from(kid)));
    let header = format!("{{\"alg\":\"HS256\",\"typ\":\"JWT\"{kid}}}");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.key.sign(signed.as_bytes())?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

const FORM: &str = "it is not three texts of base64url without padding, parted by dots";

fn part(text: &str) -> Result<Vec<u8>, Reject> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| bad(FORM))
}

fn bad(detail: &'static str) -> Reject {
    Reject::new(401, "bad_token", detail)
}
