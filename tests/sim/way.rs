//! How a reader asks to be held: by which transport, in which of its ways, and the request for it.

use super::decode::{Decoder, Separator};
use super::dice::Dice;
use super::memory::Memory;
use super::model::Model;
use super::socket;
use super::wire::{Events, Head};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Sse,
    /// Event streams as they were at first.
    Dom,
    Stream,
    Iframe,
    /// `multipart/mixed`.
    Parts,
    /// `multipart/x-mixed-replace`.
    Replace,
    /// A picture of the last lines.
    Gif,
    WebSocket,
    LongPoll,
    Jsonp,
    Poll,
    /// A page; it shows things, and its reader stays where it was.
    Pull,
}

/// All of them, by their names in a request; both kinds of `multipart` have one name there.
pub const TRANSPORTS: [(Transport, &str); 12] = [
    (Transport::Sse, "sse"),
    (Transport::Dom, "x-dom-event-stream"),
    (Transport::Stream, "stream"),
    (Transport::Iframe, "iframe"),
    (Transport::Parts, "multipart"),
    (Transport::Replace, "multipart"),
    (Transport::Gif, "gif"),
    (Transport::WebSocket, "websocket"),
    (Transport::LongPoll, "long-poll"),
    (Transport::Jsonp, "jsonp"),
    (Transport::Poll, "poll"),
    (Transport::Pull, "pull"),
];
/// Those before this one hold their readers.
const HOLDING: usize = 10;
/// The chance, in a hundred, that a reader which can do without a cursor does so: few can.
const MUTE: usize = 25;
/// The function that scripts call.
pub const CALLBACK: &str = "parent.encke_1";
/// The sizes of pictures: wide enough for what tells messages apart, and of two, four and seven rows.
const PICTURES: [(u16, u16); 3] = [(256, 50), (256, 84), (288, 135)];

impl Transport {
    pub fn streams(self) -> bool {
        use Transport::{Dom, Gif, Iframe, Parts, Replace, Sse, Stream, WebSocket};
        matches!(self, Sse | Dom | Stream | Iframe | Parts | Replace | Gif | WebSocket)
    }

    /// Whether it carries no cursor, so that its reader must know where it begins.
    fn is_mute(self) -> bool {
        matches!(self, Transport::Parts | Transport::Replace | Transport::Gif)
    }

    /// Whether what it shows does not say what its reader has missed.
    pub fn shows(self) -> bool {
        matches!(self, Transport::Replace | Transport::Gif)
    }

    fn name(self) -> &'static str {
        TRANSPORTS.iter().find(|(transport, _)| *transport == self).expect("all have a name").1
    }
}

/// How a reader asks to be held.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub transport: Transport,
    pub envelope: bool,
    pub raw: bool,
    pub http10: bool,
    pub conditional: bool,
    pub separator: Separator,
    pub padding: usize,
    /// The reader came without a cursor and wants all there is.
    pub earliest: bool,
    /// A WebSocket that is subscribed to nothing at first.
    pub empty: bool,
    /// A WebSocket whose messages may be compressed.
    pub deflate: bool,
    /// The size of a picture.
    pub picture: (u16, u16),
}

impl Way {
    /// A way in which what `memory` knows is enough. With `held`, only one that ends with being held.
    pub fn pick(memory: &Memory, model: &Model, held: bool, dice: &mut Dice) -> Way {
        let (mut transport, _) = dice.pick(if held { &TRANSPORTS[..HOLDING] } else { &TRANSPORTS });
        let counts = memory.channels.len() == 1 && memory.cursor.is_some();
        let knows = counts && memory.knows_its_message(model);
        if model.leaves_out() && (transport.is_mute() || transport == Transport::Pull) {
            // Who counts, or looks, cannot tell what was left out from what was lost.
            transport = Transport::Stream;
        } else if knows && !model.leaves_out() && dice.percent(MUTE) {
            transport = dice.pick(&[Transport::Parts, Transport::Replace, Transport::Gif]);
        } else if transport.is_mute() && !(knows || counts && !transport.shows()) {
            transport = Transport::Stream;
        }
        let raw = match transport {
            Transport::Stream | Transport::WebSocket => memory.cursor.is_some() && dice.percent(30),
            Transport::Jsonp | Transport::Pull => false,
            _ => dice.percent(30),
        };
        let raw = raw && !model.leaves_out();
        let separator = dice.pick(&[Separator::Line, Separator::Length, Separator::Text("\u{1e}"), Separator::Text("--\n")]);
        let socket = transport == Transport::WebSocket;
        Way {
            transport,
            envelope: dice.percent(50),
            raw,
            http10: !socket && dice.percent(10),
            conditional: dice.percent(50),
            separator: if raw { Separator::Length } else { separator },
            padding: if raw { 0 } else { dice.pick(&[0, 0, 40, 300]) },
            earliest: memory.cursor.is_none() && (dice.percent(50) || transport == Transport::Poll),
            empty: socket && !raw && dice.percent(50),
            deflate: socket && dice.percent(50),
            picture: dice.pick(&PICTURES),
        }
    }

    /// The request of a reader that knows what `memory` does.
    pub fn request(&self, memory: &Memory, model: &Model, dice: &mut Dice) -> String {
        let names: Vec<String> = memory.channels.iter().map(|&channel| encode(&model.channels[channel])).collect();
        let mut query: Vec<String> = names[1..].iter().map(|name| format!("channel={name}")).collect();
        let mut fields = self.choice(&mut query, dice);
        match self.separator {
            Separator::Line => {}
            Separator::Length => query.push("separator=length".into()),
            Separator::Text(text) => query.push(format!("separator={}", encode(text))),
        }
        if self.padding > 0 {
            query.push(format!("padding={0}&preamble={0}", self.padding));
        }
        if self.envelope {
            query.push("envelope=json".into());
        }
        if self.raw {
            query.push("raw=1".into());
        }
        match &memory.cursor {
            _ if self.transport == Transport::Pull => {}
            None => query.push(format!("since={}", if self.earliest { "earliest" } else { "now" })),
            Some(cursor) if self.transport.streams() && dice.percent(50) => {
                fields += &format!("Last-Event-ID: {cursor}\r\n");
            }
            Some(cursor) if !self.transport.streams() && self.conditional => {
                fields += &format!("If-None-Match: \"{cursor}\"\r\n");
            }
            Some(cursor) => query.push(format!("since={cursor}")),
        }
        let version = if self.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        if self.http10 && dice.percent(50) {
            fields += "Connection: keep-alive\r\n";
        } else if !self.http10 && self.transport != Transport::WebSocket && dice.percent(10) {
            fields += "Connection: close\r\n";
        }
        let target = if self.empty { "/ws".to_owned() } else { format!("/sub{}?{}", names[0], query.join("&")) };
        format!("GET {target} {version}\r\nHost: localhost\r\n{fields}\r\n")
    }

    /// What picks the transport, and what it must be told; gives fields, and adds to the query.
    fn choice(&self, query: &mut Vec<String>, dice: &mut Dice) -> String {
        let accepts = match self.transport {
            Transport::Sse => "Accept: text/event-stream\r\n",
            Transport::Stream => "Accept: application/x-ndjson\r\n",
            Transport::Parts => "Accept: multipart/mixed\r\n",
            Transport::Replace => "Accept: multipart/x-mixed-replace\r\n",
            _ => "",
        };
        match self.transport {
            Transport::Parts => query.push("mixed=1".into()),
            Transport::Jsonp => query.push(format!("callback={CALLBACK}")),
            Transport::Gif => query.push(format!("width={}&height={}", self.picture.0, self.picture.1)),
            _ => {}
        }
        match self.transport {
            Transport::WebSocket => return socket::handshake(self.deflate),
            Transport::LongPoll if dice.percent(50) => {}
            _ if !accepts.is_empty() && dice.percent(50) => return accepts.to_owned(),
            transport => query.push(format!("transport={}", transport.name())),
        }
        String::new()
    }

    /// What takes the body apart that follows `head`.
    pub fn decoder(&self, head: &Head) -> Decoder {
        let media_type = || head.field("Content-Type").expect("a type");
        match (self.transport, head.status) {
            (Transport::WebSocket, 101) => {
                socket::check_handshake(head, self.deflate);
                Decoder::socket(self.raw, self.deflate)
            }
            (_, 101) => panic!("nobody asked for another protocol: {head:?}"),
            (_, status) if status != 200 => Decoder::Nothing,
            (Transport::Sse, _) => Decoder::Sse(Events::new(false)),
            (Transport::Dom, _) => Decoder::Sse(Events::new(true)),
            (Transport::Stream, _) => Decoder::stream(self.separator, self.raw),
            (Transport::Iframe, _) => Decoder::iframe(),
            (Transport::Parts, _) => Decoder::parts(media_type(), "multipart/mixed"),
            (Transport::Replace, _) => Decoder::parts(media_type(), "multipart/x-mixed-replace"),
            (Transport::Gif, _) => Decoder::gif(media_type(), self.picture),
            (Transport::WebSocket | Transport::LongPoll | Transport::Jsonp | Transport::Poll | Transport::Pull, _) => {
                Decoder::Nothing
            }
        }
    }
}

/// Percent-encodes all but letters, digits and slashes.
pub fn encode(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'/' | b'0'..=b'9' | b'a'..=b'z' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().map(encode).collect()
}

/// What was percent-encoded.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("digits").to_owned();
                u8::from_str_radix(&digits, 16).expect("digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("text")
}
