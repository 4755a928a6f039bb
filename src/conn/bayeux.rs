//! A Bayeux request: what its head tells, how far its messages have been performed, and where it goes.

use super::Jar;
use super::ask::{Surroundings, gate, needs_upgrade};
use super::pages::{asking_origin, is_own_page, may_read_scripts, own_page, share, welcome};
use super::proof::Proof;
use super::who;
use crate::base::error::Reject;
use crate::base::id::Token;
use crate::http::{Method, Request, query};
use crate::protocol::bayeux::{self, ClientId, ConnectionType, Incoming, Reply, What};
use crate::protocol::plain::Preflight;
use crate::transport::websocket::{self, Upgrade};
use crate::transport::{Look, Transport, Variant};
use std::collections::VecDeque;
use std::sync::Arc;

/// The function that is called where none is named.
const CALLBACK: &str = "jsonpcallback";

/// The most tokens that the messages of one request bring.
const TOKENS_MAX: usize = 8;

/// The methods taken, as `Allow` lists them.
const METHODS: &str = "GET, POST, OPTIONS";

/// What is answered to a page that asks what it may do here.
pub(super) const PREFLIGHT: Preflight = Preflight { allow: METHODS, open: true };

/// A Bayeux request, but for its body.
#[derive(Debug)]
pub(crate) struct Call {
    /// The messages of a `GET`, which has no body.
    queried: Vec<String>,
    content: Content,
    /// It shall be the event stream of this client.
    pub(crate) stream: Option<ClientId>,
    /// It shall be a WebSocket.
    pub(crate) upgrade: Option<Upgrade>,
    /// How it is answered, if its messages say nothing else.
    variant: Variant,
    pub(crate) look: Look,
    /// Whether it may publish, as far as its grant goes.
    pub(crate) may_publish: bool,
    /// Who asks, for a host program that may be asked or told.
    pub(crate) who: Option<Arc<str>>,
    pub(crate) jar: Jar,
    /// What its head proves.
    pub(crate) proof: Proof,
}

impl Call {
    /// Reads the head of a request that proves this much.
    pub(super) fn read(request: &Request<'_, '_>, around: &Surroundings<'_>, proof: Proof) -> Result<Call, Reject> {
        let Surroundings { door, address, policy, .. } = around;
        around.keep_pages_out(request)?;
        let only = around.only();
        let mut call = Call {
            queried: Vec::new(),
            content: Content::Json,
            stream: None,
            upgrade: None,
            variant: Variant::default(),
            look: Look { origin: asking_origin(request, only), ..Look::default() },
            may_publish: gate(request, *door, &proof).is_ok(),
            who: None,
            jar: Jar::read(request),
            proof,
        };
        // An event stream says nothing, and no page of another site can read it.
        if call.proof.by_cookie && !(request.method == Method::Get && is_event_stream(request)) {
            own_page(request, policy)?;
        }
        match request.method {
            Method::Post => {
                welcome(request, &policy.origins)?;
                call.content = Content::of(request.header("Content-Type").unwrap_or_default());
                call.read_query(request.query, false)?;
                share(request, &mut call.look, only)?;
            }
            Method::Get if request.header("Upgrade").is_some() => {
                let upgrade = websocket::upgrade(request)?.ok_or_else(needs_upgrade)?;
                welcome(request, &policy.origins)?;
                call.look = Look { deflate: upgrade.deflate, ..Look::default() };
                call.variant = Variant::socket();
                call.upgrade = Some(upgrade);
            }
            Method::Get if is_event_stream(request) => {
                call.stream = Some(bayeux::client_of_path(request.path).ok_or_else(unknown_client)?);
                call.variant = Variant::sse();
            }
            Method::Get => {
                may_read_scripts(request, only)?;
                call.variant = Variant::jsonp();
                call.read_query(request.query, true)?;
                share(request, &mut call.look, only)?;
            }
            _ => return Err(Reject::method(METHODS)),
        }
        call.variant = call.variant.version(request.version);
        let transport = call.variant.transport();
        let own = is_own_page(request, transport, &call.look, around);
        let knows = policy.asks_who() || policy.hosted;
        call.who = knows.then(|| who::describe(request, *address, transport.name(), None, own));
        Ok(call)
    }

    /// `?message=…&jsonp=callback`, as a script tag asks; a function that is not named has the specification's name. Or
    /// `?transport=iframe`, with what a document in a frame is told beside. Only a `GET` has `messages` there.
    fn read_query(&mut self, query: &str, messages: bool) -> Result<(), Reject> {
        let mut jsonp = None;
        for pair in query::pairs(query) {
            let (name, value) = pair?;
            match &*name {
                "message" if messages => self.queried.push(value.into_owned()),
                "jsonp" if messages => jsonp = Some(value.into_owned()),
                "transport" if value == "iframe" => self.variant = Variant::iframe(),
                "callback" | "target" | "domain" => _ = self.look.set(&name, &value)?,
                _ => {}
            }
        }
        if !messages {
            return Ok(());
        }
        if self.queried.is_empty() {
            return Err(Reject::new(400, "bad_messages", "a GET carries messages: ?message=…"));
        }
        if self.variant.transport() == Transport::Jsonp {
            self.look.set("callback", jsonp.as_deref().unwrap_or(CALLBACK))?;
        }
        Ok(())
    }

    /// How the answer to these messages goes out: a form with a connect by iframe was posted into one.
    pub(crate) fn variant(&self, messages: &[Incoming]) -> Variant {
        let by_frame = |message: &Incoming| matches!(message.what, What::Connect { by: ConnectionType::Iframe, .. });
        let framed = !matches!(self.content, Content::Json) && messages.iter().any(by_frame);
        if framed { self.variant.over(Transport::Iframe) } else { self.variant }
    }

    /// Reads the messages, in order.
    pub(crate) fn messages(&self, body: &[u8], unix_ms: u64) -> Result<Vec<Incoming>, Reject> {
        let formed;
        let requests = match self.content.is_form(body) {
            true => {
                formed = bayeux::form(body)?;
                &formed
            }
            false => &self.queried,
        };
        if requests.is_empty() {
            return bayeux::read(body, unix_ms);
        }
        let mut messages = Vec::new();
        for request in requests {
            messages.extend(bayeux::read(request.as_bytes(), unix_ms)?);
        }
        Ok(messages)
    }
}

/// Whether an `EventSource` asks.
fn is_event_stream(request: &Request<'_, '_>) -> bool {
    let accept = request.header("Accept").unwrap_or_default();
    Variant::accepted(accept).transport() == Transport::Sse
}

/// An `EventSource` that is answered so gives up, and its client learns the rest from the connect that it posts.
pub(crate) fn unknown_client() -> Reject {
    Reject::new(404, "unknown_client", "there is no such client, any more or ever: it shakes hands again")
}

/// What a body is said to be.
#[derive(Clone, Copy, Debug)]
enum Content {
    Json,
    Form,
    Other,
}

impl Content {
    fn of(content_type: &[u8]) -> Content {
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("application/json") || is("text/json") => Content::Json,
            () if is("application/x-www-form-urlencoded") => Content::Form,
            () => Content::Other,
        }
    }

    /// Some clients post forms under the name of plain text, and no JSON begins like a form.
    fn is_form(self, body: &[u8]) -> bool {
        match self {
            Content::Json => false,
            Content::Form => true,
            Content::Other => body.starts_with(b"message="),
        }
    }
}

/// The messages of one request on their way to being answered, in order and all at once.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Those that are yet to be performed.
    pub(crate) messages: VecDeque<Incoming>,
    /// The replies to the others.
    pub(crate) replies: Vec<Pending>,
    /// How many replies wait for other shards.
    pub(crate) missing: usize,
    /// A connect was among them.
    pub(crate) connecting: Option<Connecting>,
    pub(crate) who: Option<Arc<str>>,
    /// `None` on a WebSocket, where no cookie can be set.
    pub(crate) jar: Option<Jar>,
    /// A cookie to be set with the response.
    pub(crate) cookie: Option<String>,
    /// The first session that it speaks for.
    pub(crate) speaks_for: Option<Token>,
    /// The host program is asked about one of them; those behind wait.
    pub(crate) judged: bool,
    /// What the request's head proves; `None` on a WebSocket, whose own head did.
    pub(crate) proof: Option<Proof>,
    /// How many tokens its messages have brought.
    tokens: usize,
}

/// A reply, and how many answers of home shards it waits for.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) reply: Reply,
    pub(crate) waiting: u32,
}

/// A connect: events come with its reply, if not before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connecting {
    pub(crate) session: Token,
    /// How long it may be held.
    pub(crate) timeout_ms: u64,
}

/// What a client asked for who is on the way to another shard.
#[derive(Debug)]
pub(crate) enum Cargo {
    Call {
        call: Call,
        body: Vec<u8>,
    },
    /// On a WebSocket, whose look this is.
    Text {
        text: String,
        look: Look,
        who: Option<Arc<str>>,
        proof: Option<Proof>,
    },
}

impl Exchange {
    pub(crate) fn new(messages: Vec<Incoming>, who: Option<Arc<str>>, jar: Option<Jar>, proof: Option<Proof>) -> Exchange {
        Exchange {
            messages: bayeux::heard(messages).into(),
            replies: Vec::new(),
            missing: 0,
            connecting: None,
            who,
            jar,
            cookie: None,
            speaks_for: None,
            judged: false,
            proof,
            tokens: 0,
        }
    }

    /// Whether a message may bring one more token: to look at each costs time.
    pub(crate) fn takes_token(&mut self) -> bool {
        self.tokens += 1;
        self.tokens <= TOKENS_MAX
    }

    /// Adds the next reply, which waits for so many answers.
    pub(crate) fn add(&mut self, reply: Reply, waiting: u32) {
        self.missing += usize::from(waiting > 0);
        self.replies.push(Pending { reply, waiting });
    }

    /// A home answered one of the questions that reply `place` waits for; says whether that was news.
    pub(crate) fn answered(&mut self, place: u32, fail: impl FnOnce(&mut Reply)) -> bool {
        let Some(pending) = self.replies.get_mut(place as usize).filter(|pending| pending.waiting > 0) else { return false };
        pending.waiting -= 1;
        self.missing -= usize::from(pending.waiting == 0);
        fail(&mut pending.reply);
        true
    }
}

/// A request on its way to another shard.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) shard: u16,
    pub(crate) cargo: Cargo,
}
