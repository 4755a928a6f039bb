//! What a request asks of its connection: to hold a reader in a transport's way, or what a protocol says.
//!
//! Here a transport and a protocol are paired; neither knows the other.

use super::bayeux::{Call, PREFLIGHT};
use super::who;
use crate::base::cursor::Since;
use crate::base::door::{Address, Door};
use crate::base::error::Reject;
use crate::base::name::{Name, is_internal};
use crate::base::pattern::Patterns;
use crate::http::{Method, Request, query};
use crate::protocol::bayeux;
use crate::protocol::plain::{self, Command, Manner, Preflight, Publish};
use crate::transport::websocket::{self, Upgrade};
use crate::transport::{Look, Transport, Variant, gif};
use std::sync::Arc;

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To be held, or answered with what there is.
    Hold(Hold),
    /// To be told what another site's page may do; the origin that asks, as in [`Look::origin`].
    Preflight(Preflight, u16),
    /// To take what a client publishes, if it is for the host program.
    Publish(Publish, Speaker),
    /// To perform the messages of a Bayeux client.
    Bayeux(Box<Call>),
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
    /// Who it is, if the host program is asked about it, or may be once it is a WebSocket.
    pub(crate) who: Option<Arc<str>>,
}

/// A client that publishes.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) who: Arc<str>,
    /// Whether it may publish to others than the host program.
    pub(crate) may_publish: Result<(), Reject>,
    /// The origin whose page it is, as in [`Look::origin`].
    pub(crate) origin: u16,
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
    /// Whether an operator named them, so that their pages may send credentials along.
    pub(crate) fn are_named(&self) -> bool {
        matches!(self, Origins::Named(_))
    }

    /// The only ones whose pages may read; `None` if all may.
    pub(super) fn only(&self) -> Option<&[String]> {
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
    /// Whether there are demonstrations.
    pub(crate) demo: bool,
    /// Channels whose subscriptions the host program decides.
    pub(crate) judge: Patterns,
    /// Channels where clients publish to the host program.
    pub(crate) host_channels: Patterns,
    /// Channels where Bayeux clients may publish whatever they came by.
    pub(crate) bayeux_publish: Patterns,
    /// Whether there is a host program.
    pub(crate) hosted: bool,
}

impl Policy {
    /// Whether a host program may want to know who a client is.
    pub(crate) fn asks_who(&self) -> bool {
        !self.judge.is_empty() || !self.host_channels.is_empty()
    }
}

impl Ask {
    /// Reads a request that came in by `door` from `address`.
    pub(crate) fn read(request: &Request<'_, '_>, door: Door, address: Option<Address>, policy: &Policy) -> Result<Ask, Reject> {
        if bayeux::is_path(request.path) {
            return match request.method {
                Method::Options => Ok(Ask::Preflight(PREFLIGHT, asking_origin(request, policy.origins.only()))),
                _ => Call::read(request, door, address, policy).map(|call| Ask::Bayeux(Box::new(call))),
            };
        }
        if let Some(ask) = Ask::of_host(request, door, address, policy)? {
            return Ok(ask);
        }
        let ask = Ask::of_server(request, door, policy)?;
        Ok(match ask {
            Ask::Hold(hold) => Ask::Hold(hold.known(request, address, policy)),
            ask => ask,
        })
    }

    /// A publish that is for the host program, or may be by what its body says; or a page's question whether it may.
    fn of_host(request: &Request<'_, '_>, door: Door, address: Option<Address>, policy: &Policy) -> Result<Option<Ask>, Reject> {
        if policy.host_channels.is_empty() || !door.is_public() {
            return Ok(None);
        }
        let Some(channel) = plain::published_channel(request)? else { return Ok(None) };
        let of_host = channel.as_ref().is_none_or(|name| policy.host_channels.matches(name));
        let origin = asking_origin(request, policy.origins.only());
        if request.method == Method::Options {
            return Ok(of_host.then(|| Ask::Preflight(plain::preflight_of_publish(), origin)));
        }
        let publish = plain::ungated_publish(request, channel)?;
        if !of_host && publish.manner != Manner::Batch {
            return Ok(None);
        }
        welcome(request, &policy.origins)?;
        let who = who::describe(request, address, "post");
        let speaker = Speaker { who, may_publish: plain::may_publish(request, door), origin };
        Ok(Some(Ask::Publish(publish, speaker)))
    }

    fn of_server(request: &Request<'_, '_>, door: Door, policy: &Policy) -> Result<Ask, Reject> {
        if !policy.echo.is_empty() && request.path == policy.echo {
            let socket = socket(request, door, policy)?.ok_or_else(needs_upgrade)?;
            return Ok(Ask::Hold(Hold::of_socket(Socket { echo: true, ..socket })));
        }
        if policy.demo
            && let Some(command) = plain::demonstration(request, door)?
        {
            return Ok(Ask::Command(command));
        }
        match plain::parse(request, door)? {
            Command::Subscribe(first) => {
                let socket = socket(request, door, policy)?;
                let hold = Hold::read(request, first, socket, policy)?;
                if hold.channels.iter().any(|name| is_internal(name)) {
                    plain::may_read_internal(request, door)?;
                }
                Ok(Ask::Hold(hold))
            }
            Command::Socket => {
                let socket = socket(request, door, policy)?.ok_or_else(needs_upgrade)?;
                Ok(Ask::Hold(Hold::of_socket(socket)))
            }
            Command::Probe => Hold::of_probe(request, policy).map(Ask::Hold),
            Command::Preflight(preflight) => Ok(Ask::Preflight(preflight, asking_origin(request, policy.origins.only()))),
            command => Ok(Ask::Command(command)),
        }
    }
}

pub(super) fn needs_upgrade() -> Reject {
    Reject::upgrade("websocket", "upgrade_required", "this is a WebSocket: ask with Upgrade: websocket")
}

/// The WebSocket that a request asks for, if it does.
fn socket(request: &Request<'_, '_>, door: Door, policy: &Policy) -> Result<Option<Socket>, Reject> {
    let Some(upgrade) = websocket::upgrade(request)? else { return Ok(None) };
    welcome(request, &policy.origins)?;
    Ok(Some(Socket { upgrade, may_publish: plain::may_publish(request, door).is_ok(), echo: false }))
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

impl Hold {
    /// A socket that is subscribed to nothing yet. One that echoes says nothing of its own: no greeting, no farewell.
    fn of_socket(socket: Socket) -> Hold {
        let look = Look { deflate: socket.upgrade.deflate, ..Look::default() };
        let variant = Variant::socket().raw(socket.echo);
        Hold { channels: Vec::new(), since: Since::Now, variant, look, socket: Some(socket), who: None }
    }

    /// A stream of nothing but its hello, with the padding that is asked for.
    fn of_probe(request: &Request<'_, '_>, policy: &Policy) -> Result<Hold, Reject> {
        let mut look = Look::default();
        for pair in query::pairs(request.query) {
            let (name, value) = pair?;
            look.set(&name, &value)?;
        }
        share(request, &mut look, policy.origins.only())?;
        let variant = Variant::stream().version(request.version);
        Ok(Hold { channels: Vec::new(), since: Since::Now, variant, look, socket: None, who: None })
    }

    /// The same, with who it is where the host program is to know.
    fn known(self, request: &Request<'_, '_>, address: Option<Address>, policy: &Policy) -> Hold {
        let asked = match &self.socket {
            Some(socket) => policy.asks_who() && !socket.echo,
            None => self.channels.iter().any(|name| policy.judge.matches(name)),
        };
        let who = asked.then(|| who::describe(request, address, self.variant.transport().name()));
        Hold { who, ..self }
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
            who: None,
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
pub(super) fn share(request: &Request<'_, '_>, look: &mut Look, origins: Option<&[String]>) -> Result<(), Reject> {
    look.origin = asking_origin(request, origins);
    if look.target.is_empty() || origins.is_none_or(|origins| origins.contains(&look.target)) {
        return Ok(());
    }
    Err(Reject::new(403, "forbidden", "target is none of the origins that may read here (origin)"))
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
pub(super) fn asking_origin(request: &Request<'_, '_>, origins: Option<&[String]>) -> u16 {
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
