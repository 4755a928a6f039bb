//! Answers to bytes: what home shards say, pages, preflights.

use super::command::{FRAMES_UPGRADE, Page, Preflight};
use super::demo::{self, Demo};
use super::file::{Asked, File};
use super::members::Roster;
use super::script::{self, Script};
use crate::base::error::Reject;
use crate::base::id::MessageId;
use crate::base::incident::Incident;
use crate::http::{Sharing, response};
use std::sync::LazyLock;

/// The start page, whole.
const START: &str = include_str!("start.html");
/// The start page runs what it brings along and talks to its own server, nothing else.
const START_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                            img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same where the server has demonstrations: it is written with their links, which are hidden without them.
static START_OF_DEMOS: LazyLock<String> = LazyLock::new(|| START.replacen("<nav hidden>", "<nav>", 1));

/// One channel by every transport.
const TRANSPORTS: &str = include_str!("transports.html");
/// Frames and scripts of its own server beside that. The pictures may come from it by its other loopback name,
/// because a browser's connections to one host are few.
const TRANSPORTS_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; \
                                 connect-src 'self'; frame-src 'self'; \
                                 img-src 'self' data: http://localhost:* http://127.0.0.1:*; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The server's numbers as they change.
const DASHBOARD: &str = include_str!("dashboard.html");
/// It runs what it brings along, and reads its own server.
const DASHBOARD_POLICY: &str = START_POLICY;

/// The answer behind which a connection is a framed stream.
pub(crate) fn frames_follow(out: &mut Vec<u8>, date: &str) {
    response::start(out, 101);
    response::date(out, date);
    response::field(out, "Upgrade", FRAMES_UPGRADE);
    response::field(out, "Connection", "Upgrade");
    response::end(out);
}

/// How a response is to be dressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dress<'a> {
    pub(crate) date: &'a str,
    /// The request was `HEAD`.
    pub(crate) head_only: bool,
    /// The connection ends with this response.
    pub(crate) last: bool,
    /// An HTTP/1.0 client must be told that the connection goes on.
    pub(crate) http10: bool,
    /// Which pages may read it, if it is a refusal or shared.
    pub(crate) sharing: Sharing<'a>,
    /// It is for pages of other origins too.
    pub(crate) shared: bool,
}

/// What an inspected channel looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Messages in the history.
    pub depth: u64,
    /// What they weigh in memory.
    pub bytes: u64,
    /// Subscribers on all shards.
    pub subscribers: u64,
    /// The newest message, or the place before the first.
    pub head: MessageId,
}

/// What a channel's home says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Kept, under this id, with so many subscribers to hear it.
    Published {
        /// The message's id.
        id: MessageId,
        /// Subscribers on all shards.
        subscribers: u64,
    },
    /// The channel looks like this.
    Info(ChannelInfo),
    /// The channel was dropped.
    Deleted,
    /// These are here.
    Roster(Box<Roster>),
    /// Another token was taken, which holds for so long; for ever, if that is not said.
    Renewed {
        /// In milliseconds.
        expires_in_ms: Option<u64>,
    },
    /// Another token was not taken, and nothing has changed.
    NotRenewed(Box<Reject>),
    /// What one shard knows of what happened lately; the newest first of each sort.
    Recalled(Vec<Incident>),
    /// There is no such channel.
    Unknown,
    /// There are as many channels as there may be: nothing was kept.
    Refused,
    /// A successor takes over, and has what was kept before: nothing was kept.
    Stopping,
}

impl Answer {
    /// Why nothing was done, if that is the answer.
    pub(crate) fn refusal(&self) -> Option<Reject> {
        match self {
            Answer::NotRenewed(reject) => Some((**reject).clone()),
            Answer::Unknown => Some(Reject::new(404, "no_channel", "there is no such channel")),
            Answer::Refused => Some(too_many_channels()),
            Answer::Stopping => Some(stopping()),
            Answer::Published { .. }
            | Answer::Info(_)
            | Answer::Deleted
            | Answer::Roster(_)
            | Answer::Renewed { .. }
            | Answer::Recalled(_) => None,
        }
    }
}

/// One answer as a response, if it is no refusal.
pub(crate) fn answer(out: &mut Vec<u8>, dress: &Dress<'_>, answer: &Answer) {
    match answer {
        Answer::Published { id, subscribers } => published(out, dress, *id, *subscribers),
        Answer::Info(channel) => info(out, dress, channel),
        Answer::Roster(roster) => json(out, dress, roster.json().as_bytes()),
        Answer::Deleted => json(out, dress, b"{\"deleted\":true}"),
        Answer::Renewed { expires_in_ms } => json(out, dress, renewed(*expires_in_ms).as_bytes()),
        Answer::Recalled(_) => incidents(out, dress, &[Some(answer.clone())]),
        Answer::NotRenewed(_) | Answer::Unknown | Answer::Refused | Answer::Stopping => {
            unreachable!("what was refused is answered as a refusal")
        }
    }
}

/// For how long the token holds that was taken.
pub(super) fn renewed(expires_in_ms: Option<u64>) -> String {
    format!("{{\"expires_in\":{}}}", expires_in_ms.map_or("null".into(), |ms| ms.to_string()))
}

/// What all shards know of what happened lately, the newest first.
pub(crate) fn incidents(out: &mut Vec<u8>, dress: &Dress<'_>, answers: &[Option<Answer>]) {
    let recalled = |answer: &Option<Answer>| match answer {
        Some(Answer::Recalled(incidents)) => incidents.clone(),
        _ => Vec::new(),
    };
    let mut all: Vec<Incident> = answers.iter().flat_map(recalled).collect();
    all.sort_by_key(|incident| std::cmp::Reverse(incident.unix_ms));
    let told = serde_json::to_string(&all).expect("incidents make JSON");
    json(out, dress, format!("{{\"incidents\":{told}}}").as_bytes());
}

/// The refusal of one more channel.
pub(crate) fn too_many_channels() -> Reject {
    Reject::new(503, "too_many_channels", "there are as many channels as there may be (channels_max)")
}

/// A whole batch's answers, in the order of its lines. What could not be kept stands as `null`, and makes
/// the response a 503: the lines that were kept are known by their ids.
pub(crate) fn batch_answer(out: &mut Vec<u8>, dress: &Dress<'_>, answers: &[Option<Answer>]) {
    let mut body = Vec::with_capacity(LINE_BYTES * answers.len());
    body.extend_from_slice(b"{\"messages\":[");
    for (place, answer) in answers.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        match answer {
            Some(Answer::Published { id, subscribers }) => line(&mut body, *id, *subscribers),
            _ => body.extend_from_slice(b"null"),
        }
    }
    body.extend_from_slice(b"]}");
    let whole = answers.iter().all(|answer| matches!(answer, Some(Answer::Published { .. })));
    json_with_status(out, dress, if whole { 200 } else { 503 }, &body);
}

/// What was published is the host program's now.
pub(crate) fn taken(out: &mut Vec<u8>, dress: &Dress<'_>) {
    response::start(out, 202);
    dress.sharing.write(out);
    response::field(out, "Content-Type", "application/json");
    response::fixed(out, "Cache-Control: no-store");
    finish(out, dress, b"{\"taken\":true}");
}

/// The refusal of whoever asks for the server's own channels by another way than the private listener.
pub(crate) fn internal() -> Reject {
    Reject::new(403, "forbidden", "channels below /encke are the server's own, and read on the private listener")
}

/// The refusal of what the host program has no room for.
pub(crate) fn host_is_busy() -> Reject {
    Reject::new(503, "busy", "the application is behind and nothing was taken, try again shortly (events_max)")
}

/// The refusal of a subscription that the host program does not allow, or nobody did.
pub(crate) fn not_allowed() -> Reject {
    Reject::new(403, "forbidden", "the application does not let this client subscribe")
}

/// The refusal of whoever would be held while the server stops.
pub(crate) fn stopping() -> Reject {
    Reject::new(503, "stopping", "the server is stopping, come back soon")
}

/// What most publishers are answered: its length is known before it is written, so that it is written where it goes.
fn published(out: &mut Vec<u8>, dress: &Dress<'_>, id: MessageId, subscribers: u64) {
    let length = LINE[0].len() + id.text_len() + LINE[1].len() + response::digits(subscribers) + LINE[2].len();
    out.reserve(PUBLISHED_BYTES);
    json_head(out, dress, 200, length);
    if !dress.head_only {
        line(out, id, subscribers);
    }
}

/// More than an answer to a publisher takes, mostly.
const PUBLISHED_BYTES: usize = 320;

/// What stands around an id and a number of subscribers.
const LINE: [&str; 3] = ["{\"id\":\"", "\",\"subscribers\":", "}"];
/// With an id and a number of any length.
const LINE_BYTES: usize = 96;

fn line(out: &mut Vec<u8>, id: MessageId, subscribers: u64) {
    out.extend_from_slice(LINE[0].as_bytes());
    id.write(out);
    out.extend_from_slice(LINE[1].as_bytes());
    response::decimal(out, subscribers);
    out.extend_from_slice(LINE[2].as_bytes());
}

fn info(out: &mut Vec<u8>, dress: &Dress<'_>, info: &ChannelInfo) {
    let ChannelInfo { depth, bytes, subscribers, head } = info;
    let body = format!("{{\"depth\":{depth},\"bytes\":{bytes},\"subscribers\":{subscribers},\"head\":\"{head}\"}}");
    json(out, dress, body.as_bytes());
}

/// A request was refused.
pub(crate) fn refused(out: &mut Vec<u8>, dress: &Dress<'_>, reject: &Reject) {
    response::refusal(out, reject, dress.date, dress.sharing, dress.head_only, dress.last);
}

/// One of the pages.
pub(crate) fn page(out: &mut Vec<u8>, dress: &Dress<'_>, page: Page) {
    match page {
        Page::Health => json(out, dress, b"{\"status\":\"ok\"}"),
        Page::Start => html(out, dress, START, START_POLICY),
        Page::Dashboard => html(out, dress, DASHBOARD, DASHBOARD_POLICY),
        Page::Transports => html(out, dress, TRANSPORTS, TRANSPORTS_POLICY),
    }
}

/// The client for browsers, or that whoever asks has it. Pages of any site may load it.
pub(crate) fn script(out: &mut Vec<u8>, dress: &Dress<'_>, script: Script) {
    begin_file(out, script.file(), script.asked);
    response::field(out, "Cache-Control", script::CACHING);
    response::field(out, "Access-Control-Allow-Origin", "*");
    end_file(out, dress, script.file(), script.asked, "text/javascript; charset=utf-8");
}

/// A file of the demonstrations, or that whoever asks has it.
pub(crate) fn demo(out: &mut Vec<u8>, dress: &Dress<'_>, demo: Demo) {
    begin_file(out, demo.file(), demo.asked);
    response::fixed(out, "Cache-Control: no-cache");
    response::field(out, "Content-Security-Policy", demo::POLICY);
    end_file(out, dress, demo.file(), demo.asked, demo.media_type());
}

/// The start page with the demonstrations linked.
pub(crate) fn start_of_demos(out: &mut Vec<u8>, dress: &Dress<'_>) {
    html(out, dress, &START_OF_DEMOS, START_POLICY);
}

/// What a form said is published; an empty one is shown, so that loading that page anew says nothing twice.
pub(crate) fn back_to_form(out: &mut Vec<u8>, dress: &Dress<'_>) {
    response::start(out, 303);
    response::field(out, "Location", demo::FORM);
    response::fixed(out, "Cache-Control: no-store");
    finish(out, dress, b"");
}

fn begin_file(out: &mut Vec<u8>, file: &File, asked: Asked) {
    response::start(out, if asked.is_known() { 304 } else { 200 });
    response::field(out, "ETag", file.tag());
    response::field(out, "Vary", "Accept-Encoding");
}

fn end_file(out: &mut Vec<u8>, dress: &Dress<'_>, file: &File, asked: Asked, media_type: &str) {
    if asked.is_known() {
        common(out, dress);
        return response::end(out);
    }
    response::field(out, "Content-Type", media_type);
    if let Some(coding) = asked.coding() {
        response::field(out, "Content-Encoding", coding);
    }
    finish(out, dress, file.bytes(asked));
}

/// The numbers of all shards, in Prometheus' text format.
pub(crate) fn metrics(out: &mut Vec<u8>, dress: &Dress<'_>, text: &str) {
    response::start(out, 200);
    response::field(out, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    response::fixed(out, "Cache-Control: no-store");
    finish(out, dress, text.as_bytes());
}

/// What a client told is taken note of.
pub(crate) fn counted(out: &mut Vec<u8>, dress: &Dress<'_>) {
    response::start(out, 204);
    response::fixed(out, "Cache-Control: no-store");
    common(out, dress);
    response::end(out);
}

fn html(out: &mut Vec<u8>, dress: &Dress<'_>, text: &str, policy: &str) {
    response::start(out, 200);
    response::field(out, "Content-Type", "text/html; charset=utf-8");
    response::fixed(out, "Cache-Control: no-cache");
    response::field(out, "Content-Security-Policy", policy);
    finish(out, dress, text.as_bytes());
}

/// What a web page of another site may do here: read and subscribe, or nothing.
pub(crate) fn preflight(out: &mut Vec<u8>, dress: &Dress<'_>, preflight: Preflight) {
    response::start(out, 204);
    let sharing = if preflight.open { dress.sharing } else { Sharing::None };
    sharing.write(out);
    if sharing != Sharing::None {
        response::field(out, "Access-Control-Allow-Methods", preflight.allow);
        let headers = "Accept, Authorization, Cache-Control, Content-Type, Encke-Event, If-Modified-Since, If-None-Match, Last-Event-ID, Pragma";
        response::field(out, "Access-Control-Allow-Headers", headers);
        response::field(out, "Access-Control-Max-Age", "600");
    }
    response::field(out, "Allow", preflight.allow);
    common(out, dress);
    response::end(out);
}

fn json(out: &mut Vec<u8>, dress: &Dress<'_>, body: &[u8]) {
    json_with_status(out, dress, 200, body);
}

fn json_with_status(out: &mut Vec<u8>, dress: &Dress<'_>, status: u16, body: &[u8]) {
    json_head(out, dress, status, body.len());
    if !dress.head_only {
        out.extend_from_slice(body);
    }
}

/// All that comes before a body of JSON.
fn json_head(out: &mut Vec<u8>, dress: &Dress<'_>, status: u16, length: usize) {
    response::start(out, status);
    if dress.shared {
        dress.sharing.write_origin(out);
    }
    response::fixed(out, "Content-Type: application/json\r\nCache-Control: no-store");
    finish_head(out, dress, length);
}

fn finish(out: &mut Vec<u8>, dress: &Dress<'_>, body: &[u8]) {
    finish_head(out, dress, body.len());
    if !dress.head_only {
        out.extend_from_slice(body);
    }
}

fn finish_head(out: &mut Vec<u8>, dress: &Dress<'_>, length: usize) {
    response::number(out, "Content-Length", length as u64);
    response::fixed(out, "X-Content-Type-Options: nosniff");
    common(out, dress);
    response::end(out);
}

fn common(out: &mut Vec<u8>, dress: &Dress<'_>) {
    response::date(out, dress.date);
    if dress.last {
        response::fixed(out, "Connection: close");
    } else if dress.http10 {
        response::fixed(out, "Connection: keep-alive");
    }
}
