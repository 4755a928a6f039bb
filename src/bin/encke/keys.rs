//! `encke key` and `encke token`: what an operator hands to applications, and tokens for trying things out.

use crate::arguments::{Command, plain, text};
use crate::help;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use encke::access::{Keyring, api_key_line};
use encke::base::config::Kind;
use encke::base::pattern::Patterns;
use encke::base::random::Seed;
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Read;
use std::time::SystemTime;

/// As long as a digest that cannot be found by trying.
const KEY_BYTES: usize = 32;
const EXPIRES_MS: u64 = 3_600_000;

/// An application to make a key for.
#[derive(Debug)]
pub struct Key {
    name: String,
    patterns: String,
}

/// What to sign.
#[derive(Debug, Default)]
pub struct Token {
    keys: String,
    kid: Option<String>,
    user: Option<String>,
    subscribe: Option<String>,
    publish: Option<String>,
    audience: Option<String>,
    issuer: Option<String>,
    /// The channel of a signed name; without it, a token.
    name: Option<String>,
    expires_ms: u64,
}

/// The arguments of `encke key`.
pub fn parse_key(mut parser: Parser) -> Result<Command, String> {
    let (mut name, mut patterns) = (None, None);
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help::key())),
            Arg::Value(value) if name.is_none() => name = Some(value.string().map_err(plain)?),
            Arg::Value(value) if patterns.is_none() => patterns = Some(value.string().map_err(plain)?),
            other => return Err(plain(other.unexpected())),
        }
    }
    match (name, patterns) {
        (Some(name), Some(patterns)) => Ok(Command::Key(Key { name, patterns })),
        _ => Err("key: for whom, and which channels? (encke key NAME PATTERNS)".into()),
    }
}

/// The arguments of `encke token`.
pub fn parse_token(mut parser: Parser) -> Result<Command, String> {
    let (mut token, mut keys) = (Token { expires_ms: EXPIRES_MS, ..Token::default() }, None);
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help::token())),
            Arg::Long("keys") => keys = Some(text(&mut parser)?),
            Arg::Long("kid") => token.kid = Some(text(&mut parser)?),
            Arg::Long("user") => token.user = Some(text(&mut parser)?),
            Arg::Long("subscribe") => token.subscribe = Some(patterns("subscribe", text(&mut parser)?)?),
            Arg::Long("publish") => token.publish = Some(patterns("publish", text(&mut parser)?)?),
            Arg::Long("audience") => token.audience = Some(text(&mut parser)?),
            Arg::Long("issuer") => token.issuer = Some(text(&mut parser)?),
            Arg::Long("name") => token.name = Some(patterns("name", text(&mut parser)?)?),
            Arg::Long("expires") => token.expires_ms = duration(&text(&mut parser)?)?,
            other => return Err(plain(other.unexpected())),
        }
    }
    token.keys = keys.ok_or("token: signed with what? (encke token --keys FILE)")?;
    let says_more = [&token.user, &token.subscribe, &token.publish, &token.audience, &token.issuer].iter().any(|it| it.is_some());
    if token.name.is_some() && says_more {
        return Err("token: --name is for reading one channel or pattern, and says nothing else but --expires".into());
    }
    Ok(Command::Token(token))
}

fn patterns(option: &str, text: String) -> Result<String, String> {
    Patterns::parse(&text).map(|_| text).map_err(|what| format!("--{option}: {what}"))
}

fn duration(text: &str) -> Result<u64, String> {
    Kind::Duration.read(text).ok_or_else(|| format!("--expires: {text:?} is not a duration (write 90s, 5m, 1h, 1d)"))
}

/// A new key of an application, and its line in the server's file.
pub fn make(key: &Key) -> Result<String, String> {
    let mut random = [0; KEY_BYTES];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    read.map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let secret = format!("ek_{}", URL_SAFE_NO_PAD.encode(random));
    let line = api_key_line(&key.name, &secret, &key.patterns)?;
    Ok(format!("# The key, for the application alone:\n{secret}\n# Its line in the file of --api-keys:\n{line}\n"))
}

/// A token or a signed name, on a line.
pub fn sign(token: &Token) -> Result<String, String> {
    let path = &token.keys;
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    // Nothing is remembered here, so nothing is hashed.
    let mut keyring = Keyring::new(Seed(0, 0));
    keyring.set_token_keys(&text).map_err(|what| format!("{path}: {what}"))?;
    let now = SystemTime::UNIX_EPOCH.elapsed().map_err(|error| format!("the clock is before 1970: {error}"))?;
    let expires = now.as_secs().saturating_add(token.expires_ms / 1_000);
    let signed = match &token.name {
        Some(channel) => keyring.sign_name(token.kid.as_deref(), channel, Some(expires)),
        None => keyring.sign_token(token.kid.as_deref(), &claims(token, expires)),
    };
    let wanted = token.kid.as_deref().map_or(String::new(), |kid| format!(" called {kid:?}"));
    signed.map(|signed| signed + "\n").ok_or_else(|| format!("{path}: there is no key of HS256{wanted} that could sign"))
}

fn claims(token: &Token, expires: u64) -> String {
    let mut claims = Map::new();
    for (name, text) in [("sub", &token.user), ("aud", &token.audience), ("iss", &token.issuer)] {
        claims.extend(text.as_deref().map(|text| (name.into(), Value::from(text))));
    }
    claims.insert("exp".into(), expires.into());
    let list = |patterns: &Option<String>| -> Vec<Value> {
        let parts = patterns.as_deref().unwrap_or_default().split(',').map(str::trim);
        parts.filter(|part| !part.is_empty()).map(Value::from).collect()
    };
    claims.insert("encke".into(), json!({ "subscribe": list(&token.subscribe), "publish": list(&token.publish) }));
    Value::from(claims).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::Scratch;
    use encke::Config;
    use encke::access::Access;
    use std::sync::Arc;

    fn unix_ms() -> u64 {
        SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
    }

    #[test]
    fn a_key_is_good_by_its_line_and_no_two_are_the_same() {
        let key = Key { name: "shop".into(), patterns: "/shop/**".into() };
        let [first, second] = [make(&key).unwrap(), make(&key).unwrap()];
        assert_ne!(first, second);
        let lines: Vec<&str> = first.lines().collect();
        let mut keyring = Keyring::new(Seed(1, 2));
        keyring.set_api_keys(lines[3]).unwrap();
        let access = Access::new(&Config::default(), Arc::new(keyring));
        assert!(access.of_key(lines[1]).unwrap().may_publish("/shop/a"));
        assert!(access.of_key(second.lines().nth(1).unwrap()).is_err());
        assert!(make(&Key { name: "the shop".into(), patterns: "/a".into() }).is_err());
    }

    #[test]
    fn what_is_signed_is_good_by_the_same_file() {
        let text = include_str!("../../../tests/tokens/keys.json");
        let file = Scratch::new(text);
        let mut keyring = Keyring::new(Seed(1, 2));
        keyring.set_token_keys(text).unwrap();
        let mut access = Access::new(&Config::default(), Arc::new(keyring));
        let some = |text: &str| Some(text.to_owned());
        let plain = Token { keys: file.path().into(), expires_ms: EXPIRES_MS, ..Token::default() };
        let token = Token { user: some("ann"), subscribe: some("/a/*, /b"), publish: some("/c"), ..plain };
        let grant = access.of_token(sign(&token).unwrap().trim_end(), unix_ms()).unwrap();
        assert_eq!(grant.user.as_deref(), Some("ann"));
        assert!(grant.may_subscribe("/a/x") && grant.may_subscribe("/b") && grant.may_publish("/c"));
        let name = Token { name: some("/a/b"), keys: file.path().into(), expires_ms: EXPIRES_MS, ..Token::default() };
        let grant = access.of_signed_name(sign(&name).unwrap().trim_end(), unix_ms()).unwrap();
        assert_eq!(grant.signed_channel(), Some("/a/b"));
        let error = sign(&Token { kid: some("rs"), ..name }).unwrap_err();
        assert!(error.ends_with("there is no key of HS256 called \"rs\" that could sign"), "{error}");
        let error = sign(&Token { keys: "/nowhere".into(), ..Token::default() }).unwrap_err();
        assert!(error.starts_with("cannot read /nowhere: "), "{error}");
    }
}
