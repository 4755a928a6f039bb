//! What a request asks of its connection: to hold a reader in a transport's way, or what a protocol says.
//!
//! Here a transport and a protocol are paired; neither knows the other.

use crate::base::cursor::Since;
use crate::base::door::Door;
use crate::base::error::Reject;
use crate::base::name::Name;
use crate::http::{Request, query};
use crate::protocol::plain::{self, Command, Preflight};
use crate::transport::websocket::{self, Upgrade};
use crate::transport::{Look, Transport, Variant, gif};

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To be held, or answered with what there is.
    Hold(Hold),
    /// To be told what another site's page may do; the origin that asks, as in [`Look::origin`].
    Preflight(Preflight, u16),
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
    pub(crate) look: Look,
    /// For a WebSocket: what was agreed.
    pub(crate) socket: Option<Socket>,
}

/// A WebSocket to be.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) upgrade: Upgrade,
    /// Whether its client may publish.
    pub(crate) may_publish: bool,
    /// It gives back what it is sent, and does nothing else.
    pub(crate) echo: bool,
}

/// Whose pages may read.
#[derive(Clone, Debug)]
pub(crate) enum Origins {
    /// This server's own.
    None,
    All,
    /// These, beside this server's own.
    Named(Vec<String>),
}

impl Origins {
    /// The only ones whose pages may read; `None` if all may.
    fn only(&self) -> Option<&[String]> {
        match self {
            Origins::Named(named) => Some(named),
            Origins::None => Some(&[]),
            Origins::All => None,
        }
    }
}

/// What an operator set that decides about requests.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) subscriptions_max: usize,
    pub(crate) origins: Origins,
    /// The path of a WebSocket that echoes; empty for none.
    pub(crate) echo: String,
}

impl Ask {
    /// Reads a request that came in by `door`.
    pub(crate) fn read(request: &Request<'_, '_>, door: Door, policy: &Policy) -> Result<Ask, Reject> {
        if !policy.echo.is_empty() && request.path == policy.echo {
            let socket = socket(request, door, policy)?.ok_or_else(needs_upgrade)?;
            return Ok(Ask::Hold(Hold::of_socket(Socket { echo: true, ..socket })));
        }
        match plain::parse(request, door)? {
            Command::Subscribe(first) => {
                let socket = socket(request, door, policy)?;
                Hold::read(request, first, socket, policy).map(Ask::Hold)
            }
            Command::Socket => {
                let socket = socket(request, door, policy)?.ok_or_else(needs_upgrade)?;
                Ok(Ask::Hold(Hold::of_socket(socket)))
            }
            Command::Preflight(preflight) => Ok(Ask::Preflight(preflight, asking_origin(request, policy.origins.only()))),
            command => Ok(Ask::Command(command)),
        }
    }
}

fn needs_upgrade() -> Reject {
    Reject::new(426, "upgrade_required", "this is a WebSocket: ask with Upgrade: websocket")
}

/// The WebSocket that a request asks for, if it does. Browsers let any page open one anywhere, so here it is
/// judged whose page that is.
fn socket(request: &Request<'_, '_>, door: Door, policy: &Policy) -> Result<Option<Socket>, Reject> {
    let Some(upgrade) = websocket::upgrade(request)? else { return Ok(None) };
    if let Some(origin) = request.header("Origin") {
        let welcome = match &policy.origins {
            Origins::All => true,
            Origins::None => plain::is_same_site(request),
            Origins::Named(named) => named.iter().any(|named| named.as_bytes() == origin) || plain::is_same_site(request),
        };
        if !welcome {
            return Err(Reject::new(403, "forbidden", "pages of this origin may not read here (origin)"));
        }
    }
    Ok(Some(Socket { upgrade, may_publish: plain::may_publish(request, door), echo: false }))
}

impl Hold {
    /// A socket that is subscribed to nothing yet. One that echoes says nothing of its own: no greeting, no farewell.
    fn of_socket(socket: Socket) -> Hold {
        let look = Look { deflate: socket.upgrade.deflate, ..Look::default() };
        let variant = Variant::socket().raw(socket.echo);
        Hold { channels: Vec::new(), since: Since::Now, variant, look, socket: Some(socket) }
    }

    fn read(request: &Request<'_, '_>, first: Option<Name>, socket: Option<Socket>, policy: &Policy) -> Result<Hold, Reject> {
        let pairs = query::pairs(request.query).collect::<Result<Vec<_>, Reject>>()?;
        let mut channels: Vec<Name> = first.into_iter().collect();
        let (mut named, mut since, mut last_event_id) = (None, None, None);
        let (mut raw, mut envelope, mut mixed) = (false, false, false);
        let mut look = Look::default();
        for (name, value) in &pairs {
            match &**name {
                "channel" => channels.push(Name::parse(value)?),
                // Whoever asks for a socket has chosen.
                "transport" if socket.is_none() => named = Some(transport(value)?),
                "transport" => {}
                "since" => since = Some(Since::parse(value)?),
                "last_event_id" | "lastEventId" if !value.is_empty() => {
                    last_event_id = Some(Since::from_header(value.as_bytes()))
                }
                "raw" => raw = flag("raw", value)?,
                "mixed" => mixed = flag("mixed", value)?,
                "envelope" => envelope = json(value)?,
                // Unknown names are left to the page: many add one to get around a cache.
                _ => drop(look.set(name, value)?),
            }
        }
        let accepted = || Variant::accepted(request.header("Accept").unwrap_or_default());
        let variant = match &socket {
            Some(socket) => {
                look.deflate = socket.upgrade.deflate;
                Variant::socket()
            }
            None => named.unwrap_or_else(accepted),
        };
        let transport = variant.transport();
        if transport == Transport::Gif {
            look.gif = Some(gif::Look::from_query(pairs.iter().map(|(name, value)| (&**name, &**value)))?);
        }
        if transport == Transport::Jsonp && look.callback.is_empty() {
            return Err(Reject::new(400, "bad_callback", "jsonp needs the name of a function: callback="));
        }
        share(request, &mut look, policy.origins.only())?;
        if transport == Transport::Jsonp {
            may_read_scripts(request, policy.origins.only())?;
        }
        let channels = distinct(channels, transport, policy.subscriptions_max)?;
        let returned = returned(request, transport, raw);
        let conditional = request.header("If-None-Match").is_some();
        Ok(Hold {
            channels,
            since: returned.or(last_event_id).or(since).unwrap_or(default_since(transport)),
            variant: variant.version(request.version).raw(raw).envelope(envelope).conditional(conditional).mixed(mixed),
            look,
            socket,
        })
    }
}

/// How many messages a page shows that is loaded anew now and then.
const PAGE_MESSAGES: u64 = 100;

fn default_since(transport: Transport) -> Since {
    match transport {
        Transport::Poll => Since::Earliest,
        Transport::Pull => Since::Last(PAGE_MESSAGES),
        _ => Since::Now,
    }
}

/// Which of the named origins asks, and whether the page that a frame shall post to is one of them.
fn share(request: &Request<'_, '_>, look: &mut Look, origins: Option<&[String]>) -> Result<(), Reject> {
    look.origin = asking_origin(request, origins);
    if look.target.is_empty() || origins.is_none_or(|origins| origins.contains(&look.target)) {
        return Ok(());
    }
    Err(Reject::new(403, "forbidden", "target is none of the origins that may read here (origin)"))
}

/// A script tag names no `Origin`, and no field of the answer keeps its page from reading what comes: only its
/// `Referer` can say whose page that is. Whoever sends none is let in where all are.
fn may_read_scripts(request: &Request<'_, '_>, origins: Option<&[String]>) -> Result<(), Reject> {
    let Some(origins) = origins else { return Ok(()) };
    let referer = request.header("Referer").and_then(|referer| std::str::from_utf8(referer).ok()).unwrap_or_default();
    let (scheme, rest) = referer.split_once("://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let named = origins.iter().any(|origin| origin.split_once("://") == Some((scheme, host)));
    if !host.is_empty() && (named || request.host().is_some_and(|own| own.eq_ignore_ascii_case(host))) {
        return Ok(());
    }
    Err(Reject::new(403, "forbidden", "jsonp is for pages of the origins that may read here (origin)"))
}

/// Which of the named origins asks, counted from 1; 0 for none of them.
fn asking_origin(request: &Request<'_, '_>, origins: Option<&[String]>) -> u16 {
    let origin = request.header("Origin").unwrap_or_default();
    let place = origins.unwrap_or_default().iter().position(|named| named.as_bytes() == origin);
    place.map_or(0, |place| place as u16 + 1)
}

/// Each channel once, and no more of them than there may be.
fn distinct(mut channels: Vec<Name>, transport: Transport, subscriptions_max: usize) -> Result<Vec<Name>, Reject> {
    let mut seen = std::collections::HashSet::new();
    channels.retain(|name| seen.insert(name.clone()));
    match channels.len() {
        0 => Err(Reject::new(404, "not_found", "name a channel: /sub/<channel>, or ?channel=")),
        n if n > subscriptions_max => {
            let detail = format!("{n} channels are more than {subscriptions_max} (subscriptions_max)");
            Err(Reject::new(400, "too_many_channels", detail))
        }
        n if n > 1 && transport.shows_one_channel() => {
            Err(Reject::new(400, "too_many_channels", "multipart and gif show one channel"))
        }
        _ => Ok(channels),
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

fn transport(name: &str) -> Result<Variant, Reject> {
    if name == "websocket" {
        return Err(needs_upgrade());
    }
    let none = || Reject::new(406, "not_acceptable", format!("the transports are {}, websocket", Variant::names()));
    Variant::named(name).ok_or_else(none)
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
