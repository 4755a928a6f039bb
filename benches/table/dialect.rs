//! What each server is asked, and where its answers hide what a client needs: requests in, texts out, no socket.

use crate::Outcome;
use crate::answers::{self, Answer};
use crate::bayeux;
use crate::side::Kind;

/// How the receivers are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Sse,
    Stream,
    Iframe,
    WebSocket,
    LongPoll,
    /// Long-polling as CometD's client does.
    Bayeux,
}

const UPGRADE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Transport {
    /// How a server's clients are really held: the floor knows one way only.
    pub fn at(self, kind: Kind) -> Transport {
        if kind == Kind::Floor { Transport::Sse } else { self }
    }

    /// Whether each batch is an answer of its own, which is followed by the next request.
    pub fn asks_again(self) -> bool {
        matches!(self, Transport::LongPoll | Transport::Bayeux)
    }

    /// Whether a client shakes hands and subscribes before it asks to be held.
    pub fn is_introduced(self, kind: Kind) -> bool {
        self == Transport::Bayeux || kind == Kind::Faye
    }

    /// What asks to be held. A cursor is what [`cursor`] found, or a Bayeux client's id.
    pub fn request(self, kind: Kind, channel: u32, cursor: Option<&str>) -> String {
        match (kind, self) {
            (_, Transport::Bayeux) => cursor.map(bayeux::connect).unwrap_or_default(),
            (Kind::Faye, _) => {
                let client = cursor.unwrap_or_default();
                format!("GET /bayeux/{client} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            }
            (Kind::Nchan, _) => {
                let how = match self {
                    Transport::WebSocket => UPGRADE.into(),
                    Transport::LongPoll => cursor.unwrap_or_default().into(),
                    _ => "Accept: text/event-stream\r\n".to_string(),
                };
                format!("GET /sub/bench{channel} HTTP/1.1\r\nHost: localhost\r\n{how}\r\n")
            }
            (Kind::Floor | Kind::Encke, _) => {
                let name = match self {
                    Transport::Stream => "stream",
                    Transport::Iframe => "iframe",
                    Transport::WebSocket => "websocket",
                    Transport::LongPoll => "long-poll",
                    Transport::Sse | Transport::Bayeux => "sse",
                };
                let since = cursor.map_or(String::new(), |cursor| format!("&since={}", percent_encoded(cursor)));
                let upgrade = if self == Transport::WebSocket { UPGRADE } else { "" };
                format!("GET /sub/bench{channel}?transport={name}{since} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n")
            }
        }
    }
}

/// Where a long poll's client goes on: for nchan, the very headers that say so.
pub fn cursor(kind: Kind, answer: &Answer<'_>) -> Outcome<String> {
    if kind == Kind::Nchan {
        let text = |name| answers::value(answer.head, name).map(String::from_utf8_lossy);
        let (Some(time), Some(tag)) = (text(b"last-modified:"), text(b"etag:")) else {
            return Err("a long poll's answer has no Last-Modified and Etag".into());
        };
        return Ok(format!("If-Modified-Since: {time}\r\nIf-None-Match: {tag}\r\n"));
    }
    let batch = std::str::from_utf8(answer.body)?;
    let cursor = batch.split_once("\"cursor\":\"").and_then(|(_, rest)| rest.split_once('"'));
    cursor.map(|(cursor, _)| cursor.to_owned()).ok_or_else(|| "a long poll's answer has no cursor".into())
}

/// One request to publish. `body` holds nothing that JSON would escape.
pub fn publish(kind: Kind, channel: u32, body: &[u8]) -> Vec<u8> {
    if kind == Kind::Faye {
        let data = String::from_utf8_lossy(body);
        return bayeux::request("", &format!(r#"[{{"channel":"/bench{channel}","data":"{data}"}}]"#)).into_bytes();
    }
    let len = body.len();
    let head = format!(
        "POST /pub/bench{channel} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Whether a request to publish was answered as it should be.
pub fn check_published(kind: Kind, answer: &Answer<'_>) -> Outcome<()> {
    let good = match kind {
        Kind::Floor | Kind::Encke => answer.status == 200,
        // Created or, with nobody there, accepted.
        Kind::Nchan => matches!(answer.status, 201 | 202),
        Kind::Faye => answer.status == 200 && bayeux::check(answer.body).is_ok(),
    };
    let why = String::from_utf8_lossy(answer.body);
    if good { Ok(()) } else { Err(format!("publishing was answered with {}: {why}", answer.status).into()) }
}

/// What asks how many subscribers a channel has, where that can be asked.
pub fn inspect(kind: Kind, channel: u32) -> Option<String> {
    match kind {
        Kind::Encke => Some(format!("GET /channels/bench{channel} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        Kind::Nchan => Some(format!("GET /pub/bench{channel} HTTP/1.1\r\nHost: localhost\r\nAccept: text/json\r\n\r\n")),
        Kind::Floor | Kind::Faye => None,
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
