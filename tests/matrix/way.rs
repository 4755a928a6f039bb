//! The ways of being held, as a server names them itself, and what becomes of somebody who tries one.

use super::house::{House, ORIGIN};

/// A way of being held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// `GET /sub/…` by this name, with this beside it.
    Get { name: String, more: &'static str },
    /// The same, but for a header `Accept`.
    Accept(&'static str),
    /// A WebSocket that is opened at the channel.
    SocketOf,
    /// A WebSocket whose client wishes for the channel.
    Socket,
    /// A Bayeux client of this connection type.
    Bayeux(String),
}

/// What somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The path of the first channel; further ones.
    pub channel: String,
    pub more: Vec<String>,
    /// Beside the query: `&token=…`.
    pub query: String,
    /// Whole header fields.
    pub fields: String,
    /// What a Bayeux client shakes hands with.
    pub ext: String,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `read`, `silent`, or how it was refused: `403 forbidden`, `said forbidden`, `bayeux 403`.
    pub verdict: String,
    /// All that was received.
    pub bytes: String,
    /// The connection where news would come.
    pub reader: usize,
}

/// What is published where somebody may read.
pub const MARK: &str = "what-is-said-there";

impl Way {
    /// All that this server has.
    pub fn all() -> Vec<Way> {
        let mut house = House::new(&[]);
        let client = house.open();
        let told = house.send(client, "GET /sub/public/x?transport=telegraph HTTP/1.1\r\nHost: example.org\r\n\r\n");
        let (_, names) = told.split_once("the transports are ").expect("a server that names its transports");
        let names = names.split('"').next().expect("the end of a text").split(", ");
        let mut ways: Vec<Way> = Vec::new();
        for name in names {
            let more: &[&str] = match name {
                "websocket" => {
                    ways.extend([Way::SocketOf, Way::Socket]);
                    continue;
                }
                "jsonp" | "jsonp-poll" => &["&callback=f"],
                "long-poll" | "poll" => &["", "&raw=1"],
                "multipart" => &["", "&mixed=1"],
                "sse" => &["", "&envelope=json"],
                "gif" => &["&width=32&height=32"],
                _ => &[""],
            };
            ways.extend(more.iter().map(|more| Way::Get { name: name.to_string(), more }));
        }
        ways.extend(
            ["text/event-stream", "application/x-dom-event-stream", "application/x-ndjson", "multipart/x-mixed-replace"]
                .map(Way::Accept),
        );
        let client = house.open();
        let told = post(&mut house, client, "", &Wish::default(), &handshake("x", ""));
        let (_, types) = told.split_once("\"supportedConnectionTypes\":[").expect("a server that names its connection types");
        let types = types.split(']').next().expect("the end of a list").split(',');
        ways.extend(types.map(|name| Way::Bayeux(name.trim_matches('"').to_string())));
        ways
    }

    /// What it is counted as while it is held (`encke_connections`).
    pub fn counted_as(&self) -> &str {
        match self {
            Way::Get { name, .. } => match &**name {
                "jsonp-poll" => "jsonp",
                "x-dom-event-stream" => "sse",
                "htmlfile" => "iframe",
                name => name,
            },
            Way::Accept(_) => "sse",
            Way::SocketOf | Way::Socket => "websocket",
            Way::Bayeux(name) => match &**name {
                "websocket" => "bayeux-websocket",
                "eventsource" => "bayeux-eventsource",
                "long-polling" | "cross-origin-long-polling" => "bayeux-long-polling",
                "callback-polling" => "bayeux-callback-polling",
                "iframe" => "bayeux-iframe",
                name => name,
            },
        }
    }

    /// Whether any page could read what comes, as a script.
    pub fn is_script(&self) -> bool {
        match self {
            Way::Get { name, .. } => name.starts_with("jsonp"),
            Way::Bayeux(name) => name == "callback-polling",
            _ => false,
        }
    }

    /// Whether its pages say whose they are, and so are refused where a cookie is not enough. Of the others a browser shows the
    /// answer to no page of another site.
    pub fn is_guarded(&self) -> bool {
        self.is_script() || matches!(self, Way::SocketOf | Way::Socket | Way::Bayeux(_))
    }

    /// Whether it answers at once, whatever there is.
    pub fn is_immediate(&self) -> bool {
        matches!(self, Way::Get { name, .. } if matches!(&**name, "poll" | "pull" | "jsonp-poll"))
    }

    /// Whether it shows one channel only.
    pub fn shows_one_channel(&self) -> bool {
        match self {
            Way::Get { name, .. } => matches!(&**name, "multipart" | "gif"),
            Way::Accept(accept) => accept.starts_with("multipart"),
            _ => false,
        }
    }

    /// Somebody tries to read what is there and what comes.
    pub fn read(&self, house: &mut House, wish: &Wish) -> Outcome {
        let outcome = self.hold(house, wish, "earliest");
        let Outcome { verdict, mut bytes, reader } = outcome;
        if verdict != "silent" {
            return Outcome { verdict, bytes, reader };
        }
        // Bayeux clients are told of nothing that was before them.
        let known = house.world.clients[reader].received.len();
        house.publish(&decoded(&wish.channel), MARK);
        bytes += &house.received(reader, known);
        // The server's own picture is no text.
        let seen = bytes.contains(MARK) || bytes.contains("image/gif");
        Outcome { verdict: if seen { "read".into() } else { "silent".into() }, bytes, reader }
    }

    /// Somebody is held, or answered with what there is `since` then.
    pub fn hold(&self, house: &mut House, wish: &Wish, since: &str) -> Outcome {
        let reader = house.open();
        let more: String = wish.more.iter().map(|channel| format!("&channel={channel}")).collect();
        let rest = format!("{}{more}&since={since}", wish.query);
        let (channel, fields) = (&wish.channel, fields(wish));
        let mut bytes = String::new();
        let verdict = match self {
            Way::Get { name, more } => {
                bytes += &house.send(reader, &format!("GET /sub{channel}?transport={name}{more}{rest} HTTP/1.1\r\n{fields}\r\n"));
                plain(&bytes)
            }
            Way::Accept(accept) => {
                let accept = format!("Accept: {accept}\r\n");
                bytes += &house.send(reader, &format!("GET /sub{channel}?x=1{rest} HTTP/1.1\r\n{fields}{accept}\r\n"));
                plain(&bytes)
            }
            Way::SocketOf => {
                bytes += &house.send(reader, &format!("GET /sub{channel}?x=1{rest} HTTP/1.1\r\n{fields}{UPGRADE}\r\n"));
                plain(&bytes)
            }
            Way::Socket => {
                bytes += &house.send(reader, &format!("GET /ws?x=1{rest} HTTP/1.1\r\n{fields}{UPGRADE}\r\n"));
                match plain(&bytes) {
                    verdict if verdict == "silent" => {
                        let channels = list(wish);
                        bytes += &house.say(reader, &format!(r#"{{"subscribe":[{channels}],"since":"{since}"}}"#));
                        said(&bytes)
                    }
                    verdict => verdict,
                }
            }
            Way::Bayeux(by) => return bayeux(house, by, wish, reader),
        };
        Outcome { verdict, bytes, reader }
    }
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The fields of each request: of a page that may act, unless the wish says whose page it is.
fn fields(wish: &Wish) -> String {
    match wish.fields.contains("Origin: ") || wish.fields.contains("Referer: ") {
        true => format!("Host: example.org\r\n{}", wish.fields),
        false => format!("Host: example.org\r\nOrigin: {ORIGIN}\r\nReferer: {ORIGIN}/page\r\n{}", wish.fields),
    }
}

fn list(wish: &Wish) -> String {
    let all: Vec<String> = [&wish.channel].into_iter().chain(&wish.more).map(|name| format!("\"{}\"", decoded(name))).collect();
    all.join(",")
}

/// A channel's name, of which a path says the same in other letters.
fn decoded(path: &str) -> String {
    path.replace("%62", "b")
}

/// How an answer by HTTP looks: refused, or `read`, or nothing that was published yet.
fn plain(bytes: &str) -> String {
    let status = bytes.split(' ').nth(1).unwrap_or("no");
    match status {
        "200" | "101" if bytes.contains(MARK) || bytes.contains("image/gif") => "read".into(),
        "200" | "101" | "no" => "silent".into(),
        _ => format!("{status} {}", member(bytes, "error").unwrap_or_default()),
    }
}

/// How an answer by WebSocket looks.
pub fn said(bytes: &str) -> String {
    match member(bytes, "error") {
        Some(error) => format!("said {error}"),
        None if bytes.contains(MARK) => "read".into(),
        None => "silent".into(),
    }
}

/// The text that a JSON member of this name has.
pub fn member(bytes: &str, name: &str) -> Option<String> {
    let (_, rest) = bytes.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next().map(str::to_string)
}

fn handshake(by: &str, ext: &str) -> String {
    format!(
        r#"[{{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["{by}"],"id":"1"{}}}]"#,
        if ext.is_empty() { String::new() } else { format!(r#","ext":{{"token":"{ext}"}}"#) }
    )
}

/// A Bayeux client does all that it takes.
fn bayeux(house: &mut House, by: &str, wish: &Wish, reader: usize) -> Outcome {
    let mut bytes = String::new();
    let outcome = |verdict: &str, bytes: &str| Outcome { verdict: verdict.into(), bytes: bytes.into(), reader };
    if by == "websocket" {
        bytes += &house.send(reader, &format!("GET /bayeux?x=1{} HTTP/1.1\r\n{}{UPGRADE}\r\n", wish.query, fields(wish)));
        if plain(&bytes) != "silent" {
            return outcome(&plain(&bytes), &bytes);
        }
    }
    bytes += &tell(house, reader, by, wish, &handshake(by, &wish.ext));
    let verdict = answered(&bytes);
    let (true, Some(id)) = (verdict == "silent", member(&bytes, "clientId")) else { return outcome(&verdict, &bytes) };
    let channels = list(wish);
    let subscribe = format!(r#"[{{"channel":"/meta/subscribe","clientId":"{id}","id":"2","subscription":[{channels}]}}]"#);
    bytes += &tell(house, reader, by, wish, &subscribe);
    let verdict = answered(&bytes);
    if verdict != "silent" {
        return outcome(&verdict, &bytes);
    }
    if by == "eventsource" {
        let fields = format!("{}Accept: text/event-stream\r\n", fields(wish));
        bytes += &house.send(reader, &format!("GET /bayeux/{id}?x=1{} HTTP/1.1\r\n{fields}\r\n", wish.query));
    } else {
        // The advice has a client wait that came just now; this one is told of news at once.
        let connect = format!(r#"[{{"channel":"/meta/connect","clientId":"{id}","id":"3","connectionType":"{by}"}}]"#);
        bytes += &tell(house, reader, by, wish, &connect);
    }
    outcome(&answered(&bytes), &bytes)
}

/// A Bayeux client sends messages in the way of its connection type.
pub fn tell(house: &mut House, client: usize, by: &str, wish: &Wish, messages: &str) -> String {
    let messages = &house.show(messages);
    match by {
        "websocket" => house.say(client, messages),
        "callback-polling" => {
            let message: String = messages.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let fields = fields(wish);
            house.send(client, &format!("GET /bayeux?message={message}&jsonp=f{} HTTP/1.1\r\n{fields}\r\n", wish.query))
        }
        "iframe" => {
            let form = format!("message={messages}");
            send_post(house, client, "application/x-www-form-urlencoded", "&transport=iframe", wish, &form)
        }
        _ => post(house, client, "", wish, messages),
    }
}

fn post(house: &mut House, client: usize, query: &str, wish: &Wish, messages: &str) -> String {
    send_post(house, client, "application/json", query, wish, messages)
}

fn send_post(house: &mut House, client: usize, content_type: &str, query: &str, wish: &Wish, body: &str) -> String {
    let (query, fields) = (format!("{query}{}", wish.query), fields(wish));
    let length = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
    house.send(client, &format!("POST /bayeux?x=1{query} HTTP/1.1\r\n{fields}{length}\r\n{body}"))
}

/// How the answer to a Bayeux request looks, the last of those that came.
pub fn answered(bytes: &str) -> String {
    let last = bytes.rfind("HTTP/1.1 ").map_or(bytes, |at| &bytes[at..]);
    let status = last.strip_prefix("HTTP/1.1 ").map_or("200", |rest| &rest[..3]);
    if !matches!(status, "200" | "101") {
        return format!("{status} {}", member(last, "error").unwrap_or_default());
    }
    match member(last, "error") {
        Some(error) if error.starts_with("401") => format!("bayeux {}", error.replace("::", " ")),
        Some(error) => format!("bayeux {}", &error[..3]),
        None if last.contains(MARK) => "read".into(),
        None => "silent".into(),
    }
}
