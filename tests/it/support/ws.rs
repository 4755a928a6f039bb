//! A WebSocket's client, blocking, with a framing of its own (RFC 6455, RFC 7692): as strict with the server as it
//! lets a test be sloppy.

use super::wire::Wire;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde_json::Value;
use socket2::Socket;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// First bytes of frames: the last or only one of a message, and one that others follow.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
pub const TEXT_BEGINS: u8 = 0x01;
pub const GOES_ON: u8 = 0x00;
pub const ENDS: u8 = 0x80;
/// Beside one of them: the message is compressed.
pub const COMPRESSED: u8 = 0x40;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
pub const HANDSHAKE: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// To the key above, as in RFC 6455 section 1.3.
const PROOF: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
/// What an encoder ends a flush with and a message leaves out.
const FLUSH: [u8; 4] = [0, 0, 0xff, 0xff];

/// The connection.
pub struct Ws {
    socket: Socket,
    unread: Vec<u8>,
    /// Messages that came compressed.
    pub compressed: u64,
}

/// What the server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Its code; 0 if it has none.
    Close(u16, String),
}

impl Ws {
    /// One at `target`, accepted.
    pub fn open(address: SocketAddr, target: &str) -> Ws {
        Ws::with(Wire::connect(address), target, "", b"")
    }

    /// One over `wire`, with `fields` in its request and `frames` right behind it.
    pub fn with(wire: Wire, target: &str, fields: &str, frames: &[u8]) -> Ws {
        let mut ws = Ws { socket: wire.writer(), unread: Vec::new(), compressed: 0 };
        let request = format!("GET {target} HTTP/1.1\r\n{HANDSHAKE}{fields}\r\n");
        ws.send(&[request.as_bytes(), frames].concat());
        let end = loop {
            match memchr::memmem::find(&ws.unread, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(ws.read(), "an end before an answer: {:?}", String::from_utf8_lossy(&ws.unread)),
            }
        };
        let head = String::from_utf8(ws.unread.drain(..end).collect()).expect("a head");
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(PROOF), "{head}");
        assert_eq!(head.contains("permessage-deflate"), fields.contains("permessage-deflate"), "{head}");
        ws
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("a peer that reads");
    }

    /// Sends one message of text.
    pub fn say(&mut self, text: impl AsRef<str>) {
        self.send(&frame(TEXT, text.as_ref().as_bytes()));
    }

    /// Says something and gives the answer, whatever is told of channels before it.
    pub fn ask(&mut self, text: impl AsRef<str>) -> Value {
        self.say(text);
        loop {
            let heard = self.json();
            if heard.get("channel").is_none() {
                return heard;
            }
        }
    }

    /// The next message, which is JSON.
    pub fn json(&mut self) -> Value {
        match self.next() {
            Heard::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("no text but {other:?}"),
        }
    }

    /// The next message or control frame, whole: the server fragments nothing and masks nothing.
    pub fn next(&mut self) -> Heard {
        self.next_or_end().expect("no end")
    }

    /// The next one; `None` at the end of the connection, which comes after a whole frame.
    pub fn next_or_end(&mut self) -> Option<Heard> {
        let (first, payload) = loop {
            if let Some((first, payload, length)) = read_frame(&self.unread) {
                let frame = (first, payload.to_vec());
                self.unread.drain(..length);
                break frame;
            }
            if !self.read() {
                assert!(self.unread.is_empty(), "a frame was cut off");
                return None;
            }
        };
        let (payload, compressed) = match first & COMPRESSED {
            0 => (payload, false),
            _ => (inflate(payload), true),
        };
        self.compressed += u64::from(compressed);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Some(match (first & !COMPRESSED, compressed) {
            (TEXT, _) => Heard::Text(text(&payload)),
            (BINARY, _) => Heard::Binary(payload),
            (CLOSE, false) => match &*payload {
                [] => Heard::Close(0, String::new()),
                [high, low, reason @ ..] => Heard::Close(u16::from_be_bytes([*high, *low]), text(reason)),
                other => panic!("half a close code: {other:?}"),
            },
            (PING, false) => Heard::Ping(payload),
            (PONG, false) => Heard::Pong(payload),
            (other, _) => panic!("a frame begins with {other:#04x}"),
        })
    }

    /// The server's close frame and its end of the connection come next; gives the code.
    pub fn closed(&mut self) -> u16 {
        let heard = self.next();
        let Heard::Close(code, _) = heard else { panic!("no close but {heard:?}") };
        assert_eq!(self.next_or_end(), None);
        code
    }

    /// Ends the connection by a reset.
    pub fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).expect("an open socket");
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.socket.read(&mut buffer) {
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

/// A client's frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The payload of a compressed message.
pub fn deflate(message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(message.len() + 64);
    let outcome = Compress::new(Compression::default(), false).compress_vec(message, &mut payload, FlushCompress::Sync);
    assert!(matches!(outcome, Ok(Status::Ok)), "{outcome:?}");
    payload.strip_suffix(&FLUSH).expect("a flush").to_vec()
}

fn inflate(mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend(FLUSH);
    let (mut stream, mut message) = (Decompress::new(false), Vec::new());
    while stream.total_in() < payload.len() as u64 {
        message.reserve(4096);
        let rest = &payload[stream.total_in() as usize..];
        stream.decompress_vec(rest, &mut message, FlushDecompress::Sync).expect("a compressed message");
    }
    message
}

/// The first byte and the payload of the server's frame that `bytes` begin with, and how long it is.
pub fn read_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[first, short], rest) = bytes.split_first_chunk()?;
    assert!(short < 0x80, "the server masks");
    let (length, rest) = match short {
        126 => rest.split_first_chunk().map(|(&field, rest)| (u64::from(u16::from_be_bytes(field)), rest))?,
        127 => rest.split_first_chunk().map(|(&field, rest)| (u64::from_be_bytes(field), rest))?,
        short => (u64::from(short), rest),
    };
    let payload = rest.get(..length as usize)?;
    Some((first, payload, bytes.len() - rest.len() + payload.len()))
}
