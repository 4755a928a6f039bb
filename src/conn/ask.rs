//! What a request asks of its connection: to hold a reader in a transport's way, or what a protocol says.
//!
//! Here a transport and a protocol are paired; neither knows the other.

use super::bayeux::{Call, PREFLIGHT};
use super::origins::Origins;
use super::pages::{is_own_page, may_read_scripts, own_page, share, stays_at_home, welcome};
use super::proof::Proof;
use super::who;
use crate::access::{Access, Grant, Kind};
use crate::base::cursor::Since;
use crate::base::door::{Address, Door};
use crate::base::error::Reject;
use crate::base::name::{Name, is_internal};
use crate::base::pattern::{Pattern, Patterns};
use crate::base::presence::Presence;
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
    /// To be told what another site's page may do.
    Preflight(Preflight),
    /// To take what a client publishes, as far as it may.
    Publish(Publish, Speaker),
    /// To go on with what is held elsewhere under this name, by what this request proves.
    Renew(String, Proof),
    /// To perform the messages of a Bayeux client.
    Bayeux(Box<Call>),
    /// To be told who is here.
    RollCall(RollCall),
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
    /// What it may.
    pub(crate) proof: Proof,
}

/// Somebody who asks who is on a channel.
#[derive(Debug)]
pub(crate) struct RollCall {
    pub(crate) channel: Name,
    /// Behind whom the list begins.
    pub(crate) after: Option<String>,
    /// Who it is, if the host program is asked about it.
    pub(crate) who: Option<Arc<str>>,
    /// What it may.
    pub(crate) proof: Proof,
}

/// A client that publishes.
#[derive(Debug)]
pub(crate) struct Speaker {
    /// Who it is, where there are channels of the host program.
    pub(crate) who: Option<Arc<str>>,
    /// Whether it may publish to others than the host program,
    pub(crate) gate: Result<(), Reject>,
    /// and where.
    pub(crate) proof: Proof,
}

/// A WebSocket to be.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) upgrade: Upgrade,
    /// Whether its client may publish, as far as its grant goes.
    pub(crate) may_publish: bool,
    /// It gives back what it is sent, and does nothing else.
    pub(crate) echo: bool,
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
    /// Channels of which it is told who is here.
    pub(crate) presence: Presence,
    /// The name of the cookie that a token is taken from; empty for none.
    pub(crate) token_cookie: String,
    /// Channels that scripts may show to whoever brings a token.
    pub(crate) jsonp_channels: Patterns,
}

/// What is known where a request comes in.
pub(crate) struct Surroundings<'a> {
    pub(crate) door: Door,
    pub(crate) address: Option<Address>,
    pub(crate) unix_ms: u64,
    /// For how long no token is looked at that is not known to be good; 0 if all are.
    pub(crate) bad_wait_ms: u64,
    pub(crate) policy: &'a Policy,
    pub(crate) access: &'a mut Access,
    /// To be told: who asks, if something good was shown for that.
    pub(crate) user: Option<Arc<str>>,
}

impl Surroundings<'_> {
    /// The only origins whose pages may read what is asked here; `None` if all may. By a private listener everything can be
    /// read, so that is for its own pages alone.
    pub(super) fn only(&self) -> Option<&[String]> {
        if self.door.is_public() { self.policy.origins.only() } else { Some(&[]) }
    }

    /// Whoever comes by a private listener is the application itself, so no page of another site may have a browser come there.
    pub(super) fn keep_pages_out(&self, request: &Request<'_, '_>) -> Result<(), Reject> {
        if self.door.is_public() { Ok(()) } else { plain::may_publish(request, self.door) }
    }

    /// Whether credentials are for this server to judge. Where it knows no key, they may be the host program's.
    pub(super) fn reads_credentials(&self) -> bool {
        self.access.knows_credentials() || !(self.policy.hosted || self.policy.asks_who())
    }
}

impl Policy {
    /// Whether what is published to a channel, or with none to those that the lines name, may be for the host program.
    fn may_be_of_host(&self, channel: Option<&Name>) -> bool {
        !self.host_channels.is_empty() && channel.is_none_or(|name| self.host_channels.matches(name))
    }

    /// Whether a host program may want to know who a client is.
    pub(crate) fn asks_who(&self) -> bool {
        !self.judge.is_empty() || !self.host_channels.is_empty()
    }

    /// Whether the host program decides who may read a channel.
    pub(crate) fn judges(&self, channel: &str) -> bool {
        self.judge.matches(self.presence.ruled_by(channel))
    }

    /// Whether `grant` lets somebody read a channel, or the host program decides that.
    pub(crate) fn allows(&self, grant: &Grant, channel: &str) -> bool {
        grant.may_subscribe(self.presence.ruled_by(channel)) || self.judges(channel)
    }

    /// Whether scripts may show a channel to whoever brings a token.
    pub(crate) fn shows_in_scripts(&self, channel: &str) -> bool {
        self.jsonp_channels.matches(self.presence.ruled_by(channel))
    }

    /// The pattern that decides who may watch the channels of another.
    pub(crate) fn rule_of_stars(&self, stars: &str) -> Option<Pattern> {
        Pattern::parse(self.presence.ruled_by(stars)).ok()
    }
}

impl Ask {
    /// Reads a request.
    pub(crate) fn read(request: &Request<'_, '_>, around: &mut Surroundings<'_>) -> Result<Ask, Reject> {
        if request.method == Method::Options {
            return Ask::of_page(request, around);
        }
        let proof = Proof::read(request, around)?;
        around.user.clone_from(&proof.grant.user);
        if bayeux::is_path(request.path) {
            return Call::read(request, around, proof).map(|call| Ask::Bayeux(Box::new(call)));
        }
        if let Some(session) = plain::renewed_session(request)? {
            welcome(request, &around.policy.origins)?;
            if proof.by_cookie {
                own_page(request, around.policy)?;
            }
            return match proof.is_shown() {
                true => Ok(Ask::Renew(session, proof)),
                false => Err(Reject::new(401, "no_token", "bring the other token, as with any request")),
            };
        }
        if let Some(ask) = Ask::of_client(request, around, &proof)? {
            return Ok(ask);
        }
        Ask::of_server(request, around, proof)
    }

    /// A page's question what it may do here.
    fn of_page(request: &Request<'_, '_>, around: &Surroundings<'_>) -> Result<Ask, Reject> {
        let Surroundings { door, policy, access, .. } = around;
        let preflight = match plain::published_channel(request)? {
            _ if bayeux::is_path(request.path) => PREFLIGHT,
            Some(_) if door.is_public() && access.knows_credentials() => plain::preflight_of_publish(),
            Some(channel) if door.is_public() && policy.may_be_of_host(channel.as_ref()) => plain::preflight_of_publish(),
            _ => plain::preflight_of(request),
        };
        Ok(Ask::Preflight(preflight))
    }

    /// What a client publishes, or an application that shows its key on a public listener.
    fn of_client(request: &Request<'_, '_>, around: &Surroundings<'_>, proof: &Proof) -> Result<Option<Ask>, Reject> {
        let Surroundings { door, address, policy, access, .. } = around;
        if !door.is_public() {
            return Ok(None);
        }
        if proof.grant.kind == Kind::Key
            && let Some((name, command)) = plain::inspection(request)?
        {
            return if proof.grant.may_manage(&name) { Ok(Some(Ask::Command(command))) } else { Err(not_granted(&name)) };
        }
        let Some(channel) = plain::published_channel(request)? else { return Ok(None) };
        let gate = gate(request, *door, proof).map_err(|reject| match access.knows_credentials() {
            true => Reject { detail: format!("{} (or show a token or a key that allows it)", reject.detail).into(), ..reject },
            false => reject,
        });
        let publish = plain::ungated_publish(request, channel);
        // What nobody would take whatever its body says costs no body.
        let may_be_taken = match &publish {
            Ok(Publish { channel: Some(name), manner: Manner::Message | Manner::Form, .. }) => policy.host_channels.matches(name),
            Ok(_) => !policy.host_channels.is_empty(),
            Err(reject) => reject.status == 405,
        };
        if !may_be_taken {
            gate.clone()?;
        }
        let publish = publish?;
        welcome(request, &policy.origins)?;
        if proof.by_cookie {
            own_page(request, policy)?;
        }
        if !may_be_taken
            && publish.manner != Manner::Batch
            && let Some(name) = publish.channel.as_ref().filter(|name| !proof.grant.may_publish(name))
        {
            return Err(not_granted(name));
        }
        let own = is_own_page(request, Transport::LongPoll, &Look::default(), around);
        let who = (!policy.host_channels.is_empty())
            .then(|| who::describe(request, *address, "post", proof.grant.user.as_deref(), own));
        Ok(Some(Ask::Publish(publish, Speaker { who, gate, proof: proof.clone() })))
    }

    fn of_server(request: &Request<'_, '_>, around: &Surroundings<'_>, proof: Proof) -> Result<Ask, Reject> {
        let Surroundings { door, address, policy, .. } = around;
        if !policy.echo.is_empty() && request.path == policy.echo {
            around.keep_pages_out(request)?;
            let socket = socket(request, *door, policy, &proof)?.ok_or_else(needs_upgrade)?;
            return Ok(Ask::Hold(Hold::of_socket(Socket { echo: true, ..socket }, proof)));
        }
        if policy.demo
            && let Some(command) = plain::demonstration(request, *door)?
        {
            return Ok(Ask::Command(command));
        }
        let command = plain::parse(request, *door)?;
        if matches!(command, Command::Subscribe(_) | Command::Socket | Command::Members(..)) {
            around.keep_pages_out(request)?;
        }
        let hold = match command {
            Command::Subscribe(first) => {
                let socket = socket(request, *door, policy, &proof)?;
                let hold = Hold::read(request, first, socket, around, proof)?;
                if hold.channels.iter().any(|name| is_internal(name)) {
                    plain::may_read_internal(request, *door)?;
                }
                hold
            }
            Command::Socket => Hold::of_socket(socket(request, *door, policy, &proof)?.ok_or_else(needs_upgrade)?, proof),
            Command::Probe => Hold::of_probe(request, policy, proof)?,
            Command::Members(channel, after) => {
                let user = proof.grant.user.as_deref();
                let who = policy.judges(&channel).then(|| who::describe(request, *address, "presence", user, true));
                return Ok(Ask::RollCall(RollCall { channel, after, who, proof }));
            }
            command => return Ok(Ask::Command(command)),
        };
        Ok(Ask::Hold(hold.known(request, around)))
    }
}

pub(super) fn needs_upgrade() -> Reject {
    Reject::upgrade("websocket", "upgrade_required", "this is a WebSocket: ask with Upgrade: websocket")
}

/// The WebSocket that a request asks for, if it does.
fn socket(request: &Request<'_, '_>, door: Door, policy: &Policy, proof: &Proof) -> Result<Option<Socket>, Reject> {
    let Some(upgrade) = websocket::upgrade(request)? else { return Ok(None) };
    welcome(request, &policy.origins)?;
    if proof.by_cookie {
        own_page(request, policy)?;
    }
    Ok(Some(Socket { upgrade, may_publish: gate(request, door, proof).is_ok(), echo: false }))
}

/// Whether whoever proves this may publish, as far as its grant goes. Strangers may where they are let on purpose, and
/// where they are at this machine.
pub(super) fn gate(request: &Request<'_, '_>, door: Door, proof: &Proof) -> Result<(), Reject> {
    match door {
        _ if proof.is_shown() => Ok(()),
        Door::Public if proof.grant.may_publish_some() => Ok(()),
        _ => plain::may_publish(request, door),
    }
}

/// The refusal of what a request's proof does not allow.
pub(crate) fn not_granted(channel: &str) -> Reject {
    Reject::new(403, "forbidden", format!("nothing that was shown allows that on {channel}"))
}

impl Hold {
    /// A socket that is subscribed to nothing yet. One that echoes says nothing of its own: no greeting, no farewell.
    fn of_socket(socket: Socket, proof: Proof) -> Hold {
        let look = Look { deflate: socket.upgrade.deflate, ..Look::default() };
        let variant = Variant::socket().raw(socket.echo);
        Hold { channels: Vec::new(), since: Since::Now, variant, look, socket: Some(socket), who: None, proof }
    }

    /// A stream of nothing but its hello, with the padding that is asked for.
    fn of_probe(request: &Request<'_, '_>, policy: &Policy, proof: Proof) -> Result<Hold, Reject> {
        let mut look = Look::default();
        for pair in query::pairs(request.query) {
            let (name, value) = pair?;
            look.set(&name, &value)?;
        }
        share(request, &mut look, policy.origins.only())?;
        let variant = Variant::stream().version(request.version);
        Ok(Hold { channels: Vec::new(), since: Since::Now, variant, look, socket: None, who: None, proof })
    }

    /// The same, with who it is where the host program is to know.
    fn known(self, request: &Request<'_, '_>, around: &Surroundings<'_>) -> Hold {
        let Surroundings { address, policy, .. } = around;
        let asked = match &self.socket {
            Some(socket) => policy.asks_who() && !socket.echo,
            None => self.channels.iter().any(|name| policy.judges(name)),
        };
        let (transport, user) = (self.variant.transport(), self.proof.grant.user.as_deref());
        let own = || is_own_page(request, transport, &self.look, around);
        let who = asked.then(|| who::describe(request, *address, transport.name(), user, own()));
        Hold { who, ..self }
    }

    fn read(
        request: &Request<'_, '_>,
        first: Option<Name>,
        socket: Option<Socket>,
        around: &Surroundings<'_>,
        proof: Proof,
    ) -> Result<Hold, Reject> {
        let (policy, only) = (around.policy, around.only());
        let pairs = query::pairs(request.query).collect::<Result<Vec<_>, Reject>>()?;
        let mut channels: Vec<Name> = first.into_iter().collect();
        if let Some(signed) = proof.grant.signed_channel() {
            channels.push(Name::parse(signed)?);
        }
        let (mut named, mut since, mut last_event_id) = (None, None, None);
        let (mut raw, mut envelope, mut mixed, mut session) = (false, false, false, false);
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
                "session" => session = flag("session", value)?,
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
        share(request, &mut look, only)?;
        let by_cookie = proof.by_cookie;
        if transport == Transport::Jsonp {
            may_read_scripts(request, if by_cookie { Some(only.unwrap_or_default()) } else { only })?;
        }
        if by_cookie && transport == Transport::Iframe {
            stays_at_home(&look, policy)?;
        }
        let channels = distinct(channels, transport, policy.subscriptions_max)?;
        let returned = returned(request, transport, raw);
        let conditional = request.header("If-None-Match").is_some();
        Ok(Hold {
            channels,
            since: returned.or(last_event_id).or(since).unwrap_or(default_since(transport)),
            variant: variant
                .version(request.version)
                .raw(raw)
                .envelope(envelope)
                .conditional(conditional)
                .mixed(mixed)
                .session(session),
            look,
            socket,
            who: None,
            proof,
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

/// Each channel once, and no more of them than there may be.
fn distinct(mut channels: Vec<Name>, transport: Transport, subscriptions_max: usize) -> Result<Vec<Name>, Reject> {
    if channels.len() > 1 {
        let mut seen = std::collections::HashSet::new();
        channels.retain(|name| seen.insert(name.clone()));
    }
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
