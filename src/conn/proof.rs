//! What a request shows to prove who sends it, and what that lets it do.
//!
//! ```text
//! Authorization: Bearer <token>        ?token=<token>              where no header can be set
//! Authorization: Encke-Key <key>       ?stream=<signed name>       the key of an application; a channel from a template
//! Cookie: <token_cookie>=<token>                                   if nothing of the above is shown
//! ```
//! What is shown must be good: nobody is a stranger who showed something. Of two things none is taken, but of a cookie and
//! something else the latter. A browser adds a cookie to whatever any page has it send, so that by a cookie alone only some
//! may be done ([`Proof::by_cookie`]).
//!
//! Whoever comes by a private listener is the application itself, whatever it shows.

use super::ask::Surroundings;
use crate::access::{Access, Grant, Kind};
use crate::base::error::Reject;
use crate::http::{Request, query};
use std::borrow::Cow;
use std::sync::Arc;

/// What a request proves.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) grant: Arc<Grant>,
    /// By a token that the browser added on its own.
    pub(crate) by_cookie: bool,
}

/// Something that was shown.
enum Shown<'a> {
    Token(Cow<'a, str>),
    Cookie(&'a str),
    Key(&'a str),
    Name(Cow<'a, str>),
}

/// The first words of paths where it matters who asks.
const ROOMS: [&str; 6] = ["sub", "ws", "pub", "channels", "presence", "token"];

impl Proof {
    /// What `request` proves.
    pub(super) fn read(request: &Request<'_, '_>, around: &mut Surroundings<'_>) -> Result<Proof, Reject> {
        let shown = match around.door.is_public() && asks_for_more(request.path) && around.reads_credentials() {
            true => Shown::find(request, &around.policy.token_cookie)?,
            false => None,
        };
        let (access, unix_ms) = (&mut *around.access, around.unix_ms);
        match &shown {
            Some(Shown::Token(token)) if around.bad_wait_ms > 0 => look_no_more(access, token, unix_ms)?,
            Some(Shown::Cookie(token)) if around.bad_wait_ms > 0 => look_no_more(access, token, unix_ms)?,
            Some(Shown::Name(_)) if around.bad_wait_ms > 0 => return Err(too_many_bad()),
            _ => {}
        }
        let by_cookie = matches!(shown, Some(Shown::Cookie(_)));
        let grant = match shown {
            None => access.of_door(around.door).clone(),
            Some(Shown::Token(token)) => access.of_token(&token, unix_ms)?,
            Some(Shown::Cookie(token)) => access.of_token(token, unix_ms)?,
            Some(Shown::Key(key)) => access.of_key(key)?,
            Some(Shown::Name(name)) => access.of_signed_name(&name, unix_ms)?,
        };
        Ok(Proof { grant, by_cookie })
    }

    /// What such a grant lets do, however it was shown.
    pub(crate) fn of(grant: &Arc<Grant>) -> Proof {
        Proof { grant: grant.clone(), by_cookie: false }
    }

    /// What a token proves that came in a message; for so long only those are taken that were seen before.
    pub(crate) fn of_token(access: &mut Access, token: &str, unix_ms: u64, bad_wait_ms: u64) -> Result<Proof, Reject> {
        if bad_wait_ms > 0 {
            look_no_more(access, token, unix_ms)?;
        }
        Ok(Proof { grant: access.of_token(token, unix_ms)?, by_cookie: false })
    }

    /// Whether anything was shown.
    pub(crate) fn is_shown(&self) -> bool {
        !matches!(self.grant.kind, Kind::Stranger | Kind::Application)
    }
}

/// The code of a refusal of what nobody looked at.
pub(crate) const TOO_MANY_BAD: &str = "too_many_bad_tokens";

/// Too much that came from there was no good: what is not known to be good is refused unseen.
fn look_no_more(access: &mut Access, token: &str, unix_ms: u64) -> Result<(), Reject> {
    if access.remembers(token, unix_ms) { Ok(()) } else { Err(too_many_bad()) }
}

fn too_many_bad() -> Reject {
    Reject::new(
        429,
        TOO_MANY_BAD,
        "too many tokens from this address were no good: others are not looked at for now (bad_token_rate)",
    )
}

/// Stands for what is no text. It is no token either, and no key: whoever shows it is refused.
const UNREADABLE: &str = "?";

fn asks_for_more(path: &str) -> bool {
    let room = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
    ROOMS.contains(&room) || crate::protocol::bayeux::is_path(path)
}

impl<'a> Shown<'a> {
    fn find(request: &Request<'_, 'a>, cookie: &str) -> Result<Option<Shown<'a>>, Reject> {
        let mut found = None;
        let mut add = |shown| match found.replace(shown) {
            None => Ok(()),
            Some(_) => Err(two()),
        };
        for value in request.headers("Authorization") {
            let value = value.trim_ascii();
            let (scheme, rest) = value.split_at(value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len()));
            let rest = std::str::from_utf8(rest.trim_ascii()).unwrap_or(UNREADABLE);
            // Other schemes are for whoever stands before this server.
            if scheme.eq_ignore_ascii_case(b"Bearer") {
                add(Shown::Token(rest.into()))?;
            } else if scheme.eq_ignore_ascii_case(b"Encke-Key") {
                add(Shown::Key(rest))?;
            }
        }
        for pair in query::pairs(request.query) {
            match pair? {
                (name, token) if name == "token" => add(Shown::Token(token))?,
                (name, signed) if name == "stream" => add(Shown::Name(signed))?,
                _ => {}
            }
        }
        if found.is_none() && !cookie.is_empty() {
            found = token_of_cookie(request, cookie)?.map(Shown::Cookie);
        }
        Ok(found)
    }
}

/// The token in the cookie called `name`. A site next door can add a cookie of that name, so that two which differ are none.
fn token_of_cookie<'a>(request: &Request<'_, 'a>, name: &str) -> Result<Option<&'a str>, Reject> {
    let mut found = None;
    for pair in request.headers("Cookie").flat_map(|cookies| cookies.split(|&byte| byte == b';')) {
        let Some(value) = pair.trim_ascii().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) else {
            continue;
        };
        let value = std::str::from_utf8(value).unwrap_or(UNREADABLE).trim_matches('"');
        // Emptied by its page: there was one.
        if !value.is_empty() && found.replace(value).is_some_and(|other| other != value) {
            return Err(two());
        }
    }
    Ok(found)
}

fn two() -> Reject {
    Reject::new(400, "two_credentials", "show one token, one key or one signed name, and in one place")
}
