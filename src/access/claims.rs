//! What a token says, once its signature was found to be good.
//!
//! ```text
//! { "sub": "ann",                            who it is; may be missing
//!   "exp": 1767225600,                       when it expires, in seconds since 1970
//!   "nbf": 1767222000,                       from when on it is good; may be missing
//!   "iss": "https://login.example",          must be the option token_issuer, if that is set
//!   "aud": "push" | ["push", …],             must have the option token_audience, if that is set; else must be missing
//!   "encke": { "subscribe": [pattern, …],    either may be missing
//!              "publish":   [pattern, …] } }
//! ```
//! A pattern is written as everywhere: a channel's name, `/a/*` or `/a/**`. The token lets its holder do what stands there, and
//! nothing else: what strangers may is not added. Other claims mean nothing here.

use super::LEEWAY_MS;
use super::grant::{Grant, Kind, Scope};
use crate::base::config::Config;
use crate::base::error::Reject;
use crate::base::pattern::{Pattern, Patterns};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How many patterns a token may have for subscribing, and as many for publishing.
const PATTERNS_MAX: usize = 64;
const USER_BYTES_MAX: usize = 255;
/// The last second of the year 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// What the operator asks of tokens, beside a signature.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    expiry_is_required: bool,
    audience: Box<str>,
    issuer: Box<str>,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Rules {
        Rules {
            expiry_is_required: config.token_expiry != "optional",
            audience: config.token_audience.as_str().into(),
            issuer: config.token_issuer.as_str().into(),
        }
    }

    /// When what says that it `expires` then is really over; `code` is for what does not say it and must.
    pub(super) fn end(&self, expires_unix_ms: Option<u64>, code: &'static str) -> Result<Option<u64>, Reject> {
        match expires_unix_ms {
            None if self.expiry_is_required => Err(Reject::new(401, code, "exp: it does not say when it expires (token_expiry)")),
            expires => Ok(expires.map(|expires| expires.saturating_add(LEEWAY_MS))),
        }
    }
}

/// Each claim as it stands there, so that one that is wrong can be named, and none can stand there twice.
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    sub: Option<&'a RawValue>,
    #[serde(borrow)]
    exp: Option<&'a RawValue>,
    #[serde(borrow)]
    nbf: Option<&'a RawValue>,
    #[serde(borrow)]
    iss: Option<&'a RawValue>,
    #[serde(borrow)]
    aud: Option<&'a RawValue>,
    #[serde(borrow)]
    encke: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Some(Vec<String>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Channels {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
}

/// What the holder of a token with these claims may at this time.
pub(super) fn read(payload: &[u8], rules: &Rules, unix_ms: u64) -> Result<Grant, Reject> {
    let text = std::str::from_utf8(payload).map_err(|_| bad("its claims are not UTF-8"))?;
    let claims: Claims<'_> =
        serde_json::from_str(text).map_err(|_| bad("its claims are no JSON object that has each of them once"))?;
    let expires = moment(claims.exp, "exp: it is not a number of seconds since 1970")?;
    let end = rules.end(expires, "bad_token")?;
    if end.is_some_and(|end| end <= unix_ms) {
        return Err(Reject::new(401, "token_expired", "exp: the token has expired"));
    }
    let begins = moment(claims.nbf, "nbf: it is not a number of seconds since 1970")?;
    if begins.is_some_and(|begins| begins > unix_ms.saturating_add(LEEWAY_MS)) {
        return Err(bad("nbf: the token is not good yet"));
    }
    check_issuer(claims.iss, rules)?;
    check_audience(claims.aud, rules)?;
    let user: Option<String> = read_as(claims.sub, "sub: it is not a text")?;
    if user.as_deref().is_some_and(|user| !is_name(user)) {
        return Err(bad("sub: it has 1 to 255 bytes, and no control characters"));
    }
    let channels = "encke: it is not {\"subscribe\":[pattern,…],\"publish\":[pattern,…]}";
    let channels: Channels = read_as(claims.encke, channels)?.unwrap_or_default();
    let subscribe = patterns(&channels.subscribe, "encke.subscribe: it has at most 64 texts, each a channel or a pattern")?;
    let publish = patterns(&channels.publish, "encke.publish: it has at most 64 texts, each a channel or a pattern")?;
    Ok(Grant::new(Kind::Token, user.map(Into::into), subscribe, publish).until(end))
}

fn check_issuer(issuer: Option<&RawValue>, rules: &Rules) -> Result<(), Reject> {
    let issuer: Option<String> = read_as(issuer, "iss: it is not a text")?;
    match rules.issuer.is_empty() || issuer.as_deref() == Some(&*rules.issuer) {
        true => Ok(()),
        false => Err(bad("iss: the token is by somebody else (token_issuer)")),
    }
}

/// A token for somebody else is none for us, even if we do not say who we are (RFC 7519, 4.1.3).
fn check_audience(audience: Option<&RawValue>, rules: &Rules) -> Result<(), Reject> {
    let names = match read_as(audience, "aud: it is neither a text nor some")? {
        None if rules.audience.is_empty() => return Ok(()),
        None => Vec::new(),
        Some(Audience::One(name)) => vec![name],
        Some(Audience::Some(names)) => names,
    };
    match !rules.audience.is_empty() && names.iter().any(|name| **name == *rules.audience) {
        true => Ok(()),
        false => Err(bad("aud: the token is for somebody else (token_audience)")),
    }
}

/// A claim's value; `null` counts as none.
fn read_as<'a, T: Deserialize<'a>>(claim: Option<&'a RawValue>, wrong: &'static str) -> Result<Option<T>, Reject> {
    claim.map_or(Ok(None), |claim| serde_json::from_str(claim.get()).map_err(|_| bad(wrong)))
}

/// Seconds, perhaps with a fraction, as milliseconds.
fn moment(claim: Option<&RawValue>, wrong: &'static str) -> Result<Option<u64>, Reject> {
    let Some(seconds) = read_as::<f64>(claim, wrong)? else { return Ok(None) };
    match (0.0..=SECONDS_MAX).contains(&seconds) {
        true => Ok(Some((seconds * 1_000.0) as u64)),
        false => Err(bad(wrong)),
    }
}

fn is_name(user: &str) -> bool {
    (1..=USER_BYTES_MAX).contains(&user.len()) && !user.chars().any(char::is_control)
}

fn patterns(texts: &[String], wrong: &'static str) -> Result<Scope, Reject> {
    if texts.len() > PATTERNS_MAX {
        return Err(bad(wrong));
    }
    let patterns: Result<Vec<Pattern>, String> = texts.iter().map(|text| Pattern::parse(text)).collect();
    patterns.map(|patterns| Scope::Some(Patterns::of(patterns))).map_err(|_| bad(wrong))
}

fn bad(detail: &'static str) -> Reject {
    Reject::new(401, "bad_token", detail)
}
