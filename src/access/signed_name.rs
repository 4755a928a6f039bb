//! Signed names: an application's template puts one into a page, and whoever has the page may subscribe to that channel.
//!
//! ```text
//! signed name = name "." signature            each base64url without padding, at most 1024 bytes in all
//! name        = channel-or-pattern "\n" expiry                        before it was encoded
//! expiry      = seconds since 1970 in digits, or nothing at all where the option token_expiry allows it
//! signature   = HMAC-SHA256 of the encoded name, with a key of alg HS256 (before it was encoded)
//! ```
//! In the languages of templates, `key` being the secret's bytes (what `k` of the key set decodes to):
//!
//! ```text
//! Python  b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
//!         name = b64(f"{channel}\n{int(time.time()) + 3600}".encode())
//!         signed = name + "." + b64(hmac.digest(key, name.encode(), "sha256"))
//!
//! PHP     $b64 = fn($b) => rtrim(strtr(base64_encode($b), "+/", "-_"), "=");
//!         $name = $b64($channel . "\n" . (time() + 3600));
//!         $signed = $name . "." . $b64(hash_hmac("sha256", $name, $key, true));
//!
//! Ruby    b64 = ->(b) { Base64.urlsafe_encode64(b, padding: false) }
//!         name = b64.("#{channel}\n#{Time.now.to_i + 3600}")
//!         signed = name + "." + b64.(OpenSSL::HMAC.digest("SHA256", key, name))
//! ```
//! The same key may sign tokens: what is signed of a token has a dot in it, and what is signed of a name has none, so that
//! neither is ever taken for the other.

use super::claims::Rules;
use super::grant::{Grant, Kind, Scope};
use super::key_set::TokenKey;
use super::signature::Algorithm;
use crate::base::error::Reject;
use crate::base::pattern::{Pattern, Patterns};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A channel's name has 255 bytes.
const SIGNED_BYTES_MAX: usize = 1_024;
/// The digits of a second before the year 10000.
const EXPIRY_DIGITS_MAX: usize = 12;

/// What whoever shows `signed` may at this time.
pub(super) fn read(signed: &str, keys: &[TokenKey], rules: &Rules, unix_ms: u64) -> Result<Grant, Reject> {
    if signed.len() > SIGNED_BYTES_MAX {
        return Err(bad("a signed name has at most 1024 bytes"));
    }
    let (name, signature) = signed.split_once('.').ok_or_else(|| bad(FORM))?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| bad(FORM))?;
    let mut secrets = keys.iter().filter(|key| key.key.algorithm() == Algorithm::Hs256).peekable();
    if secrets.peek().is_none() {
        return Err(bad("there are no keys of HS256 that names are signed with (token_keys)"));
    }
    if !secrets.any(|key| key.key.verifies(name.as_bytes(), &signature)) {
        return Err(bad("its signature is not by a key that is known here"));
    }
    let name = URL_SAFE_NO_PAD.decode(name).ok().and_then(|name| String::from_utf8(name).ok()).ok_or_else(|| bad(FORM))?;
    let (channel, expiry) = name.split_once('\n').ok_or_else(|| bad("it has no line that says when it expires"))?;
    let end = rules.end(moment(expiry)?, "bad_name")?;
    if end.is_some_and(|end| end <= unix_ms) {
        return Err(Reject::new(401, "token_expired", "the signed name has expired"));
    }
    let pattern = Pattern::parse(channel).map_err(|_| bad("what it names is no channel and no pattern"))?;
    Ok(Grant::new(Kind::SignedName, None, Scope::Some(Patterns::of(vec![pattern])), Scope::none()).until(end))
}

/// The signed name of a channel or pattern by `key`, good for as long; only a shared secret can make one.
pub(super) fn sign(key: &TokenKey, channel: &str, expires_unix_s: Option<u64>) -> Option<String> {
    let expiry = expires_unix_s.map_or(String::new(), |seconds| seconds.to_string());
    let name = URL_SAFE_NO_PAD.encode(format!("{channel}\n{expiry}"));
    let signature = key.key.sign(name.as_bytes())?;
    Some(format!("{name}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Seconds as milliseconds; none, if nothing stands there.
fn moment(expiry: &str) -> Result<Option<u64>, Reject> {
    if expiry.is_empty() {
        return Ok(None);
    }
    let digits = expiry.len() <= EXPIRY_DIGITS_MAX && expiry.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<u64> = if digits { expiry.parse().ok() } else { None };
    seconds.map(|seconds| Some(seconds * 1_000)).ok_or_else(|| bad("when it expires is not a number of seconds since 1970"))
}

const FORM: &str = "it is not two texts of base64url without padding, parted by a dot";

fn bad(detail: &'static str) -> Reject {
    Reject::new(401, "bad_name", detail)
}
