//! The file of keys that tokens and names are signed with: a JSON Web Key Set (RFC 7517).
//!
//! ```text
//! { "keys": [ { "kty": "oct", "alg": "HS256", "kid": "2026-11", "k": "…" },
//!             { "kty": "RSA", "alg": "RS256", "kid": "login",   "n": "…", "e": "AQAB" },
//!             { "kty": "EC",  "alg": "ES256", "crv": "P-256",   "x": "…", "y": "…" },
//!             { "kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": "…" } ] }
//! ```
//! `alg` must stand there, and is all that this key is ever used for. `kid` is what tokens may name it by, and no two keys
//! share one. `use` is `sig` if it is there. A private key (`d`) is refused: a server that checks has no use for it. Anything
//! else in a key is passed over.
//!
//! To rotate: add the new key and reload, sign with it, and take the old one away when its last token has expired.

use super::signature::{Algorithm, Key};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// How many keys a file may hold: a token that names none is tried with all of its algorithm.
const KEYS_MAX: usize = 16;
const KID_BYTES_MAX: usize = 255;

/// A key, and what tokens call it.
#[derive(Clone, Debug)]
pub(super) struct TokenKey {
    pub(super) kid: Option<Box<str>>,
    pub(super) key: Key,
}

#[derive(Deserialize)]
struct KeySet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

/// Reads the keys of a file, or says in which line there is what that is wrong. It says nothing of what keys consist of.
pub(super) fn read(text: &str) -> Result<Vec<TokenKey>, String> {
    let set: KeySet<'_> = serde_json::from_str(text).map_err(|error| in_line(error.line(), what_json(&error)))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("it holds {} keys, and at most {KEYS_MAX} are allowed", set.keys.len()));
    }
    let mut keys: Vec<TokenKey> = Vec::with_capacity(set.keys.len());
    for (index, raw) in set.keys.iter().enumerate() {
        let line = line_of(text, raw.get());
        let fault = |what: &str| in_line(line, &format!("key {}: {what}", index + 1));
        let jwk: Jwk = serde_json::from_str(raw.get()).map_err(|error| match error.is_data() {
            true => fault("each of its members stands there once and is a text, and kty is one of them"),
            false => fault(what_json(&error)),
        })?;
        let key = read_key(&jwk).map_err(|what| fault(&what))?;
        if key.kid.is_some() && keys.iter().any(|other| other.kid == key.kid) {
            return Err(fault("kid: a key before it has the same"));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn read_key(jwk: &Jwk) -> Result<TokenKey, String> {
    if jwk.d.is_some() {
        return Err("d: this is a private key, and must stay with whoever signs (take d, p, q, dp, dq and qi away)".into());
    }
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return Err("use: it is not for signatures (sig)".into());
    }
    let kid = jwk.kid.as_deref().map(Box::from);
    if kid.as_deref().is_some_and(|kid: &str| !(1..=KID_BYTES_MAX).contains(&kid.len())) {
        return Err(format!("kid: it has 1 to {KID_BYTES_MAX} bytes"));
    }
    let Some(alg) = &jwk.alg else {
        return Err("alg: it is missing (HS256, RS256, ES256 or EdDSA)".into());
    };
    let Some(algorithm) = Algorithm::named(alg) else {
        return Err(format!("alg: {alg:?} is none of HS256, RS256, ES256, EdDSA"));
    };
    let (kty, crv) = match algorithm {
        Algorithm::Hs256 => ("oct", None),
        Algorithm::Rs256 => ("RSA", None),
        Algorithm::Es256 => ("EC", Some("P-256")),
        Algorithm::EdDsa => ("OKP", Some("Ed25519")),
    };
    if jwk.kty != kty {
        return Err(format!("kty: it is {:?}, and {alg} is for {kty:?} alone", jwk.kty));
    }
    if crv.is_some() && jwk.crv.as_deref() != crv {
        return Err(format!("crv: for {alg} it must be {:?}", crv.unwrap_or_default()));
    }
    let key = match algorithm {
        Algorithm::Hs256 => Key::secret(&bytes("k", jwk.k.as_deref())?),
        Algorithm::Rs256 => Key::rsa(&bytes("n", jwk.n.as_deref())?, &bytes("e", jwk.e.as_deref())?),
        Algorithm::Es256 => Key::p256(&bytes("x", jwk.x.as_deref())?, &bytes("y", jwk.y.as_deref())?),
        Algorithm::EdDsa => Key::ed25519(&bytes("x", jwk.x.as_deref())?),
    };
    Ok(TokenKey { kid, key: key? })
}

fn bytes(name: &str, text: Option<&str>) -> Result<Vec<u8>, String> {
    let text = text.ok_or_else(|| format!("{name}: it is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("{name}: it is not base64url without padding"))
}

fn in_line(line: usize, what: &str) -> String {
    format!("line {line}: {what}")
}

/// What is wrong with JSON; what serde says of it might quote a secret.
fn what_json(error: &serde_json::Error) -> &'static str {
    match error.is_data() {
        true => "it is no key set ({\"keys\":[…]})",
        false => "it is no JSON",
    }
}

/// The line that `part`, a piece of `text`, begins in.
fn line_of(text: &str, part: &str) -> usize {
    let before = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    text.bytes().take(before).filter(|&byte| byte == b'\n').count() + 1
}
