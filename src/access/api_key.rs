//! Keys of applications, which publish through a public listener or from elsewhere.
//!
//! ```text
//! file    = *( line "\n" )
//! line    = [ "#" comment ] | name 1*blank digest 1*blank pattern *( "," pattern )
//! name    = 1*64( letter | digit | "-" | "_" | "." | "@" )
//! digest  = "sha256:" 64 hexadecimal digits        of the key, as it is sent
//! ```
//! A key may publish to the channels of its patterns, and inspect and drop them; it may subscribe to none. The file holds
//! digests alone, so whoever reads it can do nothing with it: a key made by `encke key` is 32 random bytes, which nobody finds
//! by trying. A name may stand there twice, so that an application can be given a new key before the old one goes.

use super::grant::{Grant, Kind, Scope};
use crate::base::pattern::Patterns;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// How many keys a file may hold: each is compared with what is shown.
const KEYS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 64;
/// What is longer is no key.
const KEY_BYTES_MAX: usize = 256;

/// A key of an application.
#[derive(Clone, Debug)]
pub(super) struct ApiKey {
    digest: [u8; 32],
    grant: Arc<Grant>,
}

/// Reads the keys of a file, or says in which line there is what that is wrong.
pub(super) fn read(text: &str) -> Result<Vec<ApiKey>, String> {
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if keys.len() == KEYS_MAX {
            return Err(format!("line {}: at most {KEYS_MAX} keys are allowed", index + 1));
        }
        keys.push(read_line(line).map_err(|what| format!("line {}: {what}", index + 1))?);
    }
    Ok(keys)
}

fn read_line(line: &str) -> Result<ApiKey, String> {
    let mut parts = line.split_ascii_whitespace();
    let (Some(name), Some(digest), Some(patterns), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("it is not NAME sha256:DIGEST PATTERN,… (encke key makes such lines)".into());
    };
    check_name(name)?;
    // What stands there in place of a digest may be the key itself: it is not repeated.
    let digest =
        digest.strip_prefix("sha256:").and_then(from_hex).ok_or("its digest is not sha256: and 64 hexadecimal digits")?;
    let patterns = Patterns::parse(patterns)?;
    let grant = Grant::new(Kind::Key, Some(name.into()), Scope::none(), Scope::Some(patterns));
    Ok(ApiKey { digest, grant: Arc::new(grant) })
}

/// Whether an application can be called so.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) {
        true => Ok(()),
        false => Err(format!("{name:?} is no name (1 to {NAME_BYTES_MAX} letters, digits and -_.@)")),
    }
}

/// What the holder of `key` may. Each key is compared, in constant time, whether one before it fits or not.
pub(super) fn find<'a>(keys: &'a [ApiKey], key: &str) -> Option<&'a Arc<Grant>> {
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    let digest: [u8; 32] = Sha256::digest(key).into();
    let (mut found, mut place) = (Choice::from(0), 0u32);
    for (index, own) in (0u32..).zip(keys) {
        let same = own.digest.ct_eq(&digest);
        place.conditional_assign(&index, same);
        found |= same;
    }
    keys.get(place as usize).filter(|_| bool::from(found)).map(|own| &own.grant)
}

/// What the holder of a key may by `keys` that was given `grant` by the `former` ones.
pub(super) fn find_again<'a>(former: &[ApiKey], grant: &Arc<Grant>, keys: &'a [ApiKey]) -> Option<&'a Arc<Grant>> {
    let known = former.iter().find(|key| Arc::ptr_eq(&key.grant, grant))?;
    keys.iter().find(|key| key.digest == known.digest).map(|key| &key.grant)
}

/// The line of the file for an application called `name` that shows `key`, or what is wrong with name or patterns.
pub fn line(name: &str, key: &str, patterns: &str) -> Result<String, String> {
    let mut line = format!("{name} sha256:");
    for byte in Sha256::digest(key) {
        let _ = write!(line, "{byte:02x}");
    }
    line = format!("{line} {patterns}");
    read_line(&line)?;
    Ok(line)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    if text.len() != bytes.len() * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s one | sha256sum`
    const ONE: &str = "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

    #[test]
    fn a_line_is_what_the_documents_say() {
        assert_eq!(line("shop", "one", "/a,/b/*"), Ok(format!("shop {ONE} /a,/b/*")));
        assert!(line("no name", "one", "/a").is_err());
        assert!(line("shop", "one", "nowhere").is_err());
    }

    #[test]
    fn what_is_no_line_is_told_with_its_number() {
        for (bad, expected) in [
            ("shop", "it is not NAME sha256:DIGEST PATTERN,…"),
            (&format!("shop {ONE}"), "it is not NAME sha256:DIGEST PATTERN,…"),
            (&format!("shop {ONE} /a /b"), "it is not NAME sha256:DIGEST PATTERN,…"),
            ("shop one /a", "its digest is not sha256:"),
            ("shop sha256:7692 /a", "its digest is not sha256:"),
            (&format!("shop {}g /a", &ONE[..ONE.len() - 1]), "its digest is not sha256:"),
            (&format!("shöp {ONE} /a"), "\"shöp\" is no name"),
            (&format!("{} {ONE} /a", "n".repeat(65)), "is no name"),
            (&format!("shop {ONE} a"), "\"a\" is no pattern, "),
        ] {
            let error = read(&format!("# first\n{bad}\n")).unwrap_err();
            assert!(error.starts_with("line 2: ") && error.contains(expected), "{bad}: {error}");
        }
        let many = format!("shop {ONE} /a\n").repeat(KEYS_MAX);
        assert_eq!(read(&many).unwrap().len(), KEYS_MAX);
        assert_eq!(read(&format!("{many}shop {ONE} /a")).unwrap_err(), "line 1001: at most 1000 keys are allowed");
    }

    #[test]
    fn an_application_can_have_two_keys_at_once() {
        let text = ["one", "two"].map(|key| line("shop", key, &format!("/{key}")).unwrap()).join("\n");
        let keys = read(&text).unwrap();
        for key in ["one", "two"] {
            let grant = find(&keys, key).unwrap();
            assert_eq!(grant.user.as_deref(), Some("shop"));
            assert!(grant.may_publish(&format!("/{key}")), "{key}");
        }
        assert!(!find(&keys, "one").unwrap().may_publish("/two"));
    }

    #[test]
    fn a_key_may_publish_and_manage_where_its_line_says() {
        let text = format!(
            "# the shop\n\n  {}\r\n{}",
            line("shop", "one", "/shop/**,/news").unwrap(),
            line("ops@x", "two", "/**").unwrap()
        );
        let keys = read(&text).unwrap();
        let shop = find(&keys, "one").unwrap();
        assert_eq!((shop.kind, shop.user.as_deref(), shop.expires_unix_ms), (Kind::Key, Some("shop"), None));
        for (channel, expected) in [("/shop/1", true), ("/news", true), ("/other", false), ("/shop", false)] {
            assert_eq!(shop.may_publish(channel), expected, "{channel}");
            assert_eq!(shop.may_manage(channel), expected, "{channel}");
            assert!(!shop.may_subscribe(channel), "{channel}");
        }
        assert_eq!(find(&keys, "two").unwrap().user.as_deref(), Some("ops@x"));
        for other in ["", "three", "One", "one ", &"1".repeat(KEY_BYTES_MAX + 1)] {
            assert!(find(&keys, other).is_none(), "{other:?}");
        }
        assert!(find(&[], "one").is_none());
    }
}
