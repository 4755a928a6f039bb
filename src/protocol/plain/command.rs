//! A request's head to what it asks for. Decided before a body is read, so that a refusal costs no body.
//!
//! ```text
//! GET  /sub/<channel>     subscribe           GET    /channels/<channel>  inspect
//! POST /pub/<channel>     publish             DELETE /channels/<channel>  drop
//! GET  / /transports /healthz  pages          OPTIONS anything            CORS preflight
//! GET  /encke.js /encke.classic.js  the client  GET  /metrics            numbers, for Prometheus
//! GET  /presence/<channel>  who is here, in part: ?after=<user>
//! GET  /why/<channel> /why?client= /why?session=  what was lost or refused lately, and why
//! GET  /dashboard         a page with the server's numbers as they change
//! GET  /probe             say hello as a stream does, or take a verdict that a client came to
//! POST /token?session=    bring another token for a connection that is held
//! GET  /frames, Upgrade: encke1  a framed stream of messages, as on the control socket
//! ```

use super::demo::Demo;
use super::gate;
use super::script::Script;
use super::verdict::Verdict;
use crate::base::door::Door;
use crate::base::error::Reject;
use crate::base::incident::About;
use crate::base::name::Name;
use crate::http::{Body, Method, Request, Version, query};
use memchr::memchr;
use std::sync::Arc;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Hold or answer a reader; which channels beside this one, from where and how, the query says.
    Subscribe(Option<Name>),
    /// Take a WebSocket that is subscribed to nothing yet.
    Socket,
    /// Say hello as a stream does, and no more.
    Probe,
    /// Count what a client found to work.
    Verdict(Verdict),
    /// Tell the numbers of all shards.
    Metrics,
    /// Tell what happened lately to a channel or a client.
    Why(About),
    /// Hand out the client for browsers.
    Script(Script),
    /// Hand out a file of the demonstrations.
    Demo(Demo),
    /// Tell whoever works for the demonstrations that a page asks for this job.
    AskForJob(&'static str),
    /// Show the start page with the demonstrations linked.
    StartOfDemos,
    /// Become a framed stream.
    Frames,
    /// Keep the body as a message, or each of its lines.
    Publish(Publish),
    /// Describe a channel.
    Inspect(Name),
    /// Drop a channel.
    Delete(Name),
    /// Tell who is on a channel: those whose names come behind this one.
    Members(Name, Option<String>),
    /// Show a page.
    Page(Page),
}

/// What is needed beside the body to make messages of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    /// From the path; a batch may name a channel on each line instead.
    pub(crate) channel: Option<Name>,
    pub(crate) content_type: String,
    pub(crate) event: String,
    pub(crate) manner: Manner,
}

/// What a body holds, which also decides how its publisher is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The message.
    Message,
    /// Newline-delimited JSON, a message a line.
    Batch,
    /// The fields of a form in a page without script, which is led back to the form.
    Form,
}

/// What `OPTIONS` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preflight {
    /// The methods that this resource takes.
    pub(crate) allow: &'static str,
    /// Whether pages of other sites may use them.
    pub(crate) open: bool,
}

/// Pages that are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Start,
    Transports,
    Health,
    Dashboard,
}

/// What the protocol of framed streams is called in `Upgrade`.
pub(crate) const FRAMES_UPGRADE: &str = "encke1";

/// The media type of a batch.
const BATCH_TYPE: &str = "application/x-ndjson";

/// The methods of the resources, as `Allow` lists them.
pub(super) const READ: &str = "GET, HEAD, OPTIONS";
pub(super) const PUBLISH: &str = "POST, OPTIONS";
const FRAMES: &str = "GET, OPTIONS";
const INSPECT: &str = "GET, HEAD, DELETE, OPTIONS";

/// Whether a request is about publishing, and if so to which channel; a batch need not name one.
pub(crate) fn published_channel(request: &Request<'_, '_>) -> Result<Option<Option<Name>>, Reject> {
    match split(request.path) {
        ("pub", rest) => channel(rest).map(Some),
        _ => Ok(None),
    }
}

/// Reads a publish to `channel` without asking whether it may be.
pub(crate) fn ungated_publish(request: &Request<'_, '_>, channel: Option<Name>) -> Result<Publish, Reject> {
    allow(request, &[Method::Post], PUBLISH)?;
    publish(request, channel)
}

/// Reads an inspection without asking whether it may be; `None` if it is something else.
pub(crate) fn inspection(request: &Request<'_, '_>) -> Result<Option<(Name, Command)>, Reject> {
    match split(request.path) {
        ("channels", rest) => {
            allow(request, &[Method::Get, Method::Head, Method::Delete], INSPECT)?;
            inspect(request, rest).map(Some)
        }
        _ => Ok(None),
    }
}

/// The connection that another token is brought for, as its client was told; `None` if a request is about something else.
pub(crate) fn renewed_session(request: &Request<'_, '_>) -> Result<Option<String>, Reject> {
    if request.path != "/token" {
        return Ok(None);
    }
    allow(request, &[Method::Post], PUBLISH)?;
    for pair in query::pairs(request.query) {
        let (name, value) = pair?;
        if name == "session" {
            return Ok(Some(value.into_owned()));
        }
    }
    Err(Reject::new(400, "bad_query", "say what it is for: /token?session=, as Encke-Session said"))
}

/// What a page may do that is of another site than this server.
pub(crate) fn preflight_of(request: &Request<'_, '_>) -> Preflight {
    preflight(split(request.path).0)
}

/// What is answered to a page of another site that may publish.
pub(crate) fn preflight_of_publish() -> Preflight {
    Preflight { open: true, ..preflight("pub") }
}

/// Reads a request that came in by `door`, and is no page's question what it may do.
pub(crate) fn parse(request: &Request<'_, '_>, door: Door) -> Result<Command, Reject> {
    let (room, rest) = split(request.path);
    match room {
        "sub" => {
            allow(request, &[Method::Get, Method::Head], READ)?;
            Ok(Command::Subscribe(channel(rest)?))
        }
        "pub" => {
            allow(request, &[Method::Post], PUBLISH)?;
            gate::publish(request, door)?;
            publish(request, channel(rest)?).map(Command::Publish)
        }
        "channels" => {
            allow(request, &[Method::Get, Method::Head, Method::Delete], INSPECT)?;
            gate::inspect(request, door)?;
            inspect(request, rest).map(|(_, command)| command)
        }
        "presence" => {
            allow(request, &[Method::Get, Method::Head], READ)?;
            let name = channel(rest)?.ok_or_else(|| Reject::new(404, "not_found", "name a channel: /presence/<channel>"))?;
            Ok(Command::Members(name, after(request)?))
        }
        "ws" if rest.is_empty() => {
            allow(request, &[Method::Get], "GET, OPTIONS")?;
            Ok(Command::Socket)
        }
        "probe" if rest.is_empty() => {
            allow(request, &[Method::Get, Method::Head], READ)?;
            probe(request)
        }
        "metrics" if rest.is_empty() => {
            allow(request, &[Method::Get, Method::Head], READ)?;
            gate::inspect(request, door)?;
            Ok(Command::Metrics)
        }
        "dashboard" if rest.is_empty() => {
            gate::inspect(request, door)?;
            page(request, Page::Dashboard)
        }
        "why" => {
            allow(request, &[Method::Get, Method::Head], READ)?;
            gate::inspect(request, door)?;
            why(request, channel(rest)?).map(Command::Why)
        }
        "encke.js" if rest.is_empty() => script(request, Script::module),
        "encke.classic.js" if rest.is_empty() => script(request, Script::classic),
        "frames" if rest.is_empty() => {
            allow(request, &[Method::Get], FRAMES)?;
            gate::frames(request, door)?;
            frames(request)
        }
        "" if rest.is_empty() || rest == "/" => page(request, Page::Start),
        "transports" if rest.is_empty() => page(request, Page::Transports),
        "healthz" if rest.is_empty() => page(request, Page::Health),
        _ => Err(Reject::new(
            404,
            "not_found",
            "there is /sub/<channel>, /ws, /bayeux, /pub/<channel>, /token, /channels/<channel>, /presence/<channel>, /frames, \
             /transports, /encke.js, /metrics, /dashboard, /why, /healthz and /",
        )),
    }
}

/// A channel, and what is to be done with it.
fn inspect(request: &Request<'_, '_>, rest: &str) -> Result<(Name, Command), Reject> {
    let name = channel(rest)?.ok_or_else(|| Reject::new(404, "not_found", "name a channel: /channels/<channel>"))?;
    let command = if request.method == Method::Delete { Command::Delete(name.clone()) } else { Command::Inspect(name.clone()) };
    Ok((name, command))
}

/// Only whoever may use the private listener publishes without being answered.
fn frames(request: &Request<'_, '_>) -> Result<Command, Reject> {
    let asks = request.version == Version::Http11 && request.lists("upgrade", FRAMES_UPGRADE);
    if !asks || !request.lists("connection", "upgrade") || request.body != Body::None {
        let detail = "this is a framed stream: ask with Upgrade: encke1 and Connection: Upgrade";
        return Err(Reject::upgrade(FRAMES_UPGRADE, "upgrade_required", detail));
    }
    Ok(Command::Frames)
}

/// Behind whom a list begins; what else the query says is the page's own.
fn after(request: &Request<'_, '_>) -> Result<Option<String>, Reject> {
    for pair in query::pairs(request.query) {
        let (name, value) = pair?;
        if name == "after" {
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

/// What somebody wants to know the reasons of. A channel goes over a client, and a client over a session.
fn why(request: &Request<'_, '_>, channel: Option<Name>) -> Result<About, Reject> {
    let mut about = channel.map(|name| About::Channel(name.shared().clone()));
    for pair in query::pairs(request.query) {
        let (name, value) = pair?;
        let asked = match &*name {
            "client" => {
                let number =
                    value.parse().map_err(|_| Reject::new(400, "bad_query", "client is the number that a host program knows"));
                Some(About::Client(number?))
            }
            "session" => Some(About::Session((&*value).into())),
            _ => None,
        };
        about = about.or(asked);
    }
    Ok(about.unwrap_or(About::All))
}

/// The channel that a request is about, by its path alone, if it is about one.
pub(crate) fn subject(path: &str) -> Option<Arc<str>> {
    let (room, rest) = split(path);
    let channels = matches!(room, "sub" | "pub" | "channels");
    channels.then(|| channel(rest).ok().flatten().map(|name| name.shared().clone())).flatten()
}

/// Whoever tells its verdict asks for nothing else.
fn probe(request: &Request<'_, '_>) -> Result<Command, Reject> {
    for pair in query::pairs(request.query) {
        let (name, value) = pair?;
        if name == "verdict" {
            return Verdict::parse(&value).map(Command::Verdict);
        }
    }
    Ok(Command::Probe)
}

fn script(request: &Request<'_, '_>, read: fn(&Request<'_, '_>) -> Script) -> Result<Command, Reject> {
    allow(request, &[Method::Get, Method::Head], READ)?;
    Ok(Command::Script(read(request)))
}

fn preflight(room: &str) -> Preflight {
    match room {
        "metrics" | "why" | "dashboard" => Preflight { allow: READ, open: false },
        "frames" => Preflight { allow: FRAMES, open: false },
        "pub" => Preflight { allow: PUBLISH, open: false },
        "token" => Preflight { allow: PUBLISH, open: true },
        "channels" => Preflight { allow: INSPECT, open: false },
        _ => Preflight { allow: READ, open: true },
    }
}

/// `/sub/a/b` to `sub` and `/a/b`; both may be empty.
fn split(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_at(memchr(b'/', path.as_bytes()).unwrap_or(path.len()))
}

fn channel(encoded: &str) -> Result<Option<Name>, Reject> {
    match encoded {
        "" | "/" => Ok(None),
        _ => Name::parse(&query::percent_decode(encoded)?).map(Some),
    }
}

pub(super) fn allow(request: &Request<'_, '_>, methods: &[Method], list: &'static str) -> Result<(), Reject> {
    if methods.contains(&request.method) { Ok(()) } else { Err(Reject::method(list)) }
}

fn page(request: &Request<'_, '_>, page: Page) -> Result<Command, Reject> {
    allow(request, &[Method::Get, Method::Head], READ)?;
    Ok(Command::Page(page))
}

fn publish(request: &Request<'_, '_>, channel: Option<Name>) -> Result<Publish, Reject> {
    let text = |name| match request.header(name).map(std::str::from_utf8) {
        None => Ok(String::new()),
        Some(Ok(value)) => Ok(value.trim().to_owned()),
        Some(Err(_)) => Err(Reject::new(400, "bad_header", format!("{name} is not UTF-8"))),
    };
    let content_type = text("Content-Type")?;
    let event = query::percent_decode(&text("Encke-Event")?)?.into_owned();
    let essence = content_type.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let batch = essence.eq_ignore_ascii_case(BATCH_TYPE.as_bytes());
    if channel.is_none() && !batch {
        return Err(Reject::new(404, "not_found", format!("name a channel, /pub/<channel>, or send a batch as {BATCH_TYPE}")));
    }
    let manner = if batch { Manner::Batch } else { Manner::Message };
    Ok(Publish { channel, content_type, event, manner })
}
