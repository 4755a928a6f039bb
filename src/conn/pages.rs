//! Whose page asks, and whether it may read or act. Browsers keep answers from pages of other sites, unless they are told that
//! these may read; but they let any page open a WebSocket, post, load a script or show a frame, and add cookies to all of that.
//! So where a browser guards nothing, the page is judged here.

use super::ask::{Policy, Surroundings};
use super::origins::Origins;
use crate::base::error::Reject;
use crate::http::{Method, Request};
use crate::protocol::plain;
use crate::transport::{Look, Transport};

/// A browser adds cookies to what any page has it send. What acts must come from a page that says whose it is: of this server, or
/// of an origin that an operator named.
pub(super) fn own_page(request: &Request<'_, '_>, policy: &Policy) -> Result<(), Reject> {
    let named = match &policy.origins {
        Origins::Named(named) => {
            request.header("Origin").is_some_and(|origin| named.iter().any(|named| named.as_bytes() == origin))
        }
        Origins::None | Origins::All => false,
    };
    if named || request.header("Origin").is_some() && plain::is_same_site(request) {
        return Ok(());
    }
    Err(Reject::new(403, "forbidden", "a cookie counts for pages of this server and of origins that are named (origin)"))
}

/// Whether a page that gets to see what comes, or to act, is of this server or of an origin that an operator named; or it is no
/// page. A host program hears of no others' cookies: browsers add those to whatever any page has them send.
pub(super) fn is_own_page(request: &Request<'_, '_>, transport: Transport, look: &Look, around: &Surroundings<'_>) -> bool {
    let acts = request.method == Method::Post || transport == Transport::WebSocket;
    match transport {
        // Scripts and frames show what they are sent to the page around them, and do not say whose that is.
        Transport::Jsonp => may_read_scripts(request, Some(around.only().unwrap_or_default())).is_ok(),
        _ if acts => request.header("Origin").is_none() || own_page(request, around.policy).is_ok(),
        Transport::Iframe => stays_at_home(look, around.policy).is_ok(),
        // What is read in other ways no browser shows to a page of another site, if cookies went along.
        _ => true,
    }
}

/// Browsers let any page open a WebSocket anywhere, and post without asking first: so there it is judged whose page
/// that is.
pub(super) fn welcome(request: &Request<'_, '_>, origins: &Origins) -> Result<(), Reject> {
    let Some(origin) = request.header("Origin") else { return Ok(()) };
    let welcome = match origins {
        Origins::All => true,
        Origins::None => plain::is_same_site(request),
        Origins::Named(named) => named.iter().any(|named| named.as_bytes() == origin) || plain::is_same_site(request),
    };
    if welcome { Ok(()) } else { Err(Reject::new(403, "forbidden", "pages of this origin may not read here (origin)")) }
}

/// Which of the named origins asks, and whether the page that a frame shall post to is one of them.
pub(super) fn share(request: &Request<'_, '_>, look: &mut Look, origins: Option<&[String]>) -> Result<(), Reject> {
    look.origin = asking_origin(request, origins);
    if look.target.is_empty() || origins.is_none_or(|origins| origins.contains(&look.target)) {
        return Ok(());
    }
    Err(Reject::new(403, "forbidden", "target is none of the origins that may read here (origin)"))
}

/// A frame shows what it was sent to the page that it names, whoever put it there.
pub(super) fn stays_at_home(look: &Look, policy: &Policy) -> Result<(), Reject> {
    let named = matches!(&policy.origins, Origins::Named(named) if named.contains(&look.target));
    if look.domain.is_empty() && (look.target.is_empty() || named) {
        return Ok(());
    }
    Err(Reject::new(
        403,
        "forbidden",
        "by a cookie a frame posts to this server's own pages and to origins that are named (origin)",
    ))
}

/// A script tag names no `Origin`, and no field of the answer keeps its page from reading what comes: only its
/// `Referer` can say whose page that is. Whoever sends none is let in where all are.
pub(super) fn may_read_scripts(request: &Request<'_, '_>, origins: Option<&[String]>) -> Result<(), Reject> {
    let Some(origins) = origins else { return Ok(()) };
    let referer = request.header("Referer").and_then(|referer| std::str::from_utf8(referer).ok()).unwrap_or_default();
    let (scheme, rest) = referer.split_once("://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let named = origins.iter().any(|origin| origin.split_once("://") == Some((scheme, host)));
    if !host.is_empty() && (named || request.host().is_some_and(|own| own.eq_ignore_ascii_case(host))) {
        return Ok(());
    }
    Err(Reject::new(403, "forbidden", "scripts are for pages of the origins that may read here (origin)"))
}

/// Which of the named origins asks, counted from 1; 0 for none of them.
pub(crate) fn asking_origin(request: &Request<'_, '_>, origins: Option<&[String]>) -> u16 {
    let origin = request.header("Origin").unwrap_or_default();
    let place = origins.unwrap_or_default().iter().position(|named| named.as_bytes() == origin);
    place.map_or(0, |place| place as u16 + 1)
}
