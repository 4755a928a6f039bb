//! What a request asks of its connection: to hold a reader in a transport's way, or what a protocol says.
//!
//! Here a transport and a protocol are paired; neither knows the other.

use crate::base::cursor::Since;
use crate::base::door::Door;
use crate::base::error::Reject;
use crate::base::name::Name;
use crate::http::{Method, Request, query};
use crate::protocol::plain::{self, Command};
use crate::transport::{Transport, Variant};

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To be held, or answered with what there is.
    Hold(Hold),
    /// Anything else.
    Command(Command),
}

/// A reader to be held.
#[derive(Debug)]
pub(crate) struct Hold {
    /// At least one; none twice.
    pub(crate) channels: Vec<Name>,
    pub(crate) since: Since,
    pub(crate) variant: Variant,
}

impl Ask {
    /// Reads a request that came in by `door`; at most `subscriptions_max` channels are taken.
    pub(crate) fn read(request: &Request<'_, '_>, door: Door, subscriptions_max: usize) -> Result<Ask, Reject> {
        match plain::parse(request, door)? {
            Command::Subscribe(first) => Hold::read(request, first, subscriptions_max).map(Ask::Hold),
            command => Ok(Ask::Command(command)),
        }
    }
}

impl Hold {
    fn read(request: &Request<'_, '_>, first: Option<Name>, subscriptions_max: usize) -> Result<Hold, Reject> {
        let mut channels: Vec<Name> = first.into_iter().collect();
        let (mut named, mut since, mut last_event_id) = (None, None, None);
        let (mut raw, mut envelope) = (false, false);
        for pair in query::pairs(request.query) {
            let (name, value) = pair?;
            match &*name {
                "channel" => channels.push(Name::parse(&value)?),
                "transport" => named = Some(transport(&value)?),
                "since" => since = Some(Since::parse(&value)?),
                "last_event_id" | "lastEventId" if !value.is_empty() => {
                    last_event_id = Some(Since::from_header(value.as_bytes()))
                }
                "raw" => raw = flag("raw", &value)?,
                "envelope" => envelope = json(&value)?,
                // Unknown names are left to the page: many add one to get around a cache.
                _ => {}
            }
        }
        let mut seen = std::collections::HashSet::new();
        channels.retain(|name| seen.insert(name.clone()));
        match channels.len() {
            0 => return Err(Reject::new(404, "not_found", "name a channel: /sub/<channel>, or ?channel=")),
            n if n > subscriptions_max => {
                let detail = format!("{n} channels are more than {subscriptions_max} (subscriptions_max)");
                return Err(Reject::new(400, "too_many_channels", detail));
            }
            _ => {}
        }
        let transport = named.map_or_else(|| accepted(request), Ok)?;
        let returned = returned(request, transport, raw);
        let conditional = request.header("If-None-Match").is_some();
        let default = if transport == Transport::Poll { Since::Earliest } else { Since::Now };
        Ok(Hold {
            channels,
            since: returned.or(last_event_id).or(since).unwrap_or(default),
            variant: Variant::new(transport, request.version).raw(raw).envelope(envelope).conditional(conditional),
        })
    }
}

/// What the client was given with the last response and gives back in a header. It is newer than anything in
/// the query, which an `EventSource` or a cache repeats as it was.
fn returned(request: &Request<'_, '_>, transport: Transport, raw: bool) -> Option<Since> {
    if transport.is_stream() {
        return request.header("Last-Event-ID").filter(|id| !id.is_empty()).map(Since::from_header);
    }
    if let Some(tags) = request.header("If-None-Match") {
        return tag(tags).map(Since::from_header);
    }
    let modified = request.header("If-Modified-Since").filter(|_| raw)?;
    let moment = httpdate::parse_http_date(std::str::from_utf8(modified).ok()?).ok()?;
    Some(Since::Second(moment.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()))
}

/// The first tag of `"a"`, `W/"a"`, `"a", "b"`; none in `*`.
fn tag(tags: &[u8]) -> Option<&[u8]> {
    let start = tags.iter().position(|&byte| byte == b'"')? + 1;
    let len = tags[start..].iter().position(|&byte| byte == b'"')?;
    Some(&tags[start..start + len])
}

fn transport(name: &str) -> Result<Transport, Reject> {
    let none = || Reject::new(406, "not_acceptable", format!("the transports are {}", Transport::names()));
    Transport::named(name).ok_or_else(none)
}

fn accepted(request: &Request<'_, '_>) -> Result<Transport, Reject> {
    let accept = request.header("Accept").unwrap_or_default().to_ascii_lowercase();
    let event_stream = memchr::memmem::find(&accept, b"text/event-stream").is_some();
    debug_assert!(matches!(request.method, Method::Get | Method::Head));
    Ok(if event_stream { Transport::Sse } else { Transport::LongPoll })
}

fn flag(name: &str, value: &str) -> Result<bool, Reject> {
    match value {
        "1" | "true" | "" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Reject::new(400, "bad_query", format!("{name} is 0 or 1"))),
    }
}

fn json(value: &str) -> Result<bool, Reject> {
    match value {
        "json" => Ok(true),
        "none" => Ok(false),
        _ => Err(Reject::new(400, "bad_query", "envelope is json or none")),
    }
}
