//! Who may publish and inspect, until keys and tokens say more.
//!
//! The private listener and the control socket may; a public listener may only where it is bound to loopback,
//! for the newcomer at the start page. Loopback is no protection from the web pages in that same machine's
//! browser: they can post to it, and with a name of theirs that resolves to 127.0.0.1 they can even read the
//! answer. So there a request must be addressed to a loopback name, must not come from another site's page,
//! and must not have come through a proxy.

use crate::base::door::Door;
use crate::base::error::Reject;
use crate::http::Request;

/// Whether this request may publish.
pub(crate) fn publish(request: &Request<'_, '_>, door: Door) -> Result<(), Reject> {
    match door {
        Door::Public => Err(forbidden("publishing from this address needs the private listener")),
        Door::PublicLoopback => {
            if ["X-Forwarded-For", "Forwarded", "Via"].iter().any(|name| request.header(name).is_some()) {
                return Err(forbidden("a request that came through a proxy publishes on the private listener"));
            }
            local(request)
        }
        Door::PrivateLoopback => local(request),
        Door::Private => same_site(request),
        Door::Control => Ok(()),
    }
}

/// Whether this request may become a stream of messages that nobody answers.
pub(super) fn frames(request: &Request<'_, '_>, door: Door) -> Result<(), Reject> {
    match door {
        Door::Public | Door::PublicLoopback => {
            Err(forbidden("framed streams come by the private listener or the control socket"))
        }
        Door::Private | Door::PrivateLoopback | Door::Control => publish(request, door),
    }
}

/// Whether this request may inspect and drop channels.
pub(super) fn inspect(request: &Request<'_, '_>, door: Door) -> Result<(), Reject> {
    match door {
        Door::Public | Door::PublicLoopback => Err(forbidden("channels are inspected on the private listener")),
        Door::Private | Door::PrivateLoopback | Door::Control => publish(request, door),
    }
}

/// Whether this request may read the server's own channels: as whoever may inspect others.
pub(crate) fn internal(request: &Request<'_, '_>, door: Door) -> Result<(), Reject> {
    if door.is_public() { Err(super::reply::internal()) } else { inspect(request, door) }
}

fn local(request: &Request<'_, '_>) -> Result<(), Reject> {
    match request.host() {
        Some(host) if !is_loopback(host) => Err(forbidden("the Host of this request is no loopback name")),
        _ => same_site(request),
    }
}

fn same_site(request: &Request<'_, '_>) -> Result<(), Reject> {
    if is_same_site(request) { Ok(()) } else { Err(forbidden("the Origin of this request is another site")) }
}

/// Whether a request comes from a page of this server, or from no page: a browser names the site a page came
/// from in `Origin`, programs send none.
pub(crate) fn is_same_site(request: &Request<'_, '_>) -> bool {
    let Some(origin) = request.header("Origin") else { return true };
    let site = origin.strip_prefix(b"http://").or(origin.strip_prefix(b"https://"));
    matches!((site, request.host()), (Some(site), Some(host)) if site.eq_ignore_ascii_case(host.as_bytes()))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => &host[..host.bytes().position(|byte| byte == b':').unwrap_or(host.len())],
    };
    // By far the most usual names first.
    matches!(name, "127.0.0.1" | "localhost")
        || match name.parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost"),
        }
}

fn forbidden(detail: &'static str) -> Reject {
    Reject::new(403, "forbidden", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for yes in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]:8080", "app.localhost:3000"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["example.com", "localhost.evil.com", "127.0.0.1.evil.com:8080", "10.0.0.1", "[::2]", "", "0.0.0.0"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
