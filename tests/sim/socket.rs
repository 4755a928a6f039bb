//! A WebSocket's client: its handshake, its frames both ways (RFC 6455), and compression (RFC 7692).
//!
//! As strict with the server as the standards let a client be, and as wayward as they let it: what it says comes in
//! several frames, with pings between them, compressed or not.

use super::dice::Dice;
use super::wire::Head;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
/// What an encoder ends a flush with and a message leaves out.
const FLUSH: [u8; 4] = [0, 0, 0xff, 0xff];
/// In a ping of this client's.
const PING_DATA: &[u8] = b"are you there";

/// The fields of a request for a WebSocket, with the key from the example of RFC 6455, section 1.3.
pub fn handshake(deflate: bool) -> String {
    let extension = if deflate { "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" } else { "" };
    format!(
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extension}"
    )
}

/// Panics unless `head` accepts what [`handshake`] asks for.
pub fn check_handshake(head: &Head, deflate: bool) {
    assert_eq!(head.field("Upgrade"), Some("websocket"));
    assert_eq!(head.field("Connection"), Some("Upgrade"));
    assert_eq!(head.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(head.field("Sec-WebSocket-Extensions"), deflate.then_some(agreed));
}

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// A message of which not all frames are here.
struct Message {
    opcode: u8,
    compressed: bool,
    data: Vec<u8>,
}

/// The server's frames, in whatever pieces they come.
pub struct Frames {
    deflate: bool,
    bytes: Vec<u8>,
    begun: Option<Message>,
    closed: bool,
}

impl Frames {
    pub fn new(deflate: bool) -> Frames {
        Frames { deflate, bytes: Vec::new(), begun: None, closed: false }
    }

    pub fn take(&mut self, piece: &[u8]) -> Vec<Said> {
        self.bytes.extend(piece);
        let mut said = Vec::new();
        while let Some((first, data)) = next_frame(&mut self.bytes) {
            said.extend(self.frame(first, data));
        }
        assert!(!self.closed || self.bytes.is_empty(), "bytes behind a close frame");
        said
    }

    fn frame(&mut self, first: u8, data: Vec<u8>) -> Option<Said> {
        assert!(!self.closed, "a frame behind a close frame");
        let (last, compressed, opcode) = (first & FINAL != 0, first & COMPRESSED != 0, first & 0x0f);
        assert_eq!(first & 0x30, 0, "a reserved bit");
        assert!(!compressed || self.deflate && matches!(opcode, TEXT | BINARY), "compressed: {first:#04x}");
        assert!(opcode < CLOSE || last && data.len() <= 125, "a control frame is short and whole");
        match opcode {
            PING => return Some(Said::Ping(data)),
            PONG => {
                assert_eq!(data, PING_DATA, "a pong gives back what the ping said");
                return Some(Said::Pong);
            }
            CLOSE => {
                let code = data.first_chunk().map(|code| u16::from_be_bytes(*code));
                assert!(matches!(code, Some(1000 | 1001 | 1013)), "closed with {code:?}");
                self.closed = true;
                return Some(Said::Close);
            }
            CONTINUATION => self.begun.as_mut().expect("a message was begun").data.extend(data),
            TEXT | BINARY => {
                let before = self.begun.replace(Message { opcode, compressed, data });
                assert!(before.is_none(), "a message inside another one");
            }
            _ => panic!("opcode {opcode}"),
        }
        let Message { opcode, compressed, data } = self.begun.take_if(|_| last)?;
        let data = if compressed { inflate(data) } else { data };
        Some(match opcode {
            TEXT => Said::Text(String::from_utf8(data).expect("text is UTF-8")),
            _ => Said::Binary(data),
        })
    }
}

/// The first byte and the payload of the server's next frame, if it is here.
fn next_frame(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let &[first, short, ..] = &bytes[..] else { return None };
    assert!(short < 0x80, "a server masks nothing");
    let digits = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let digits = bytes.get(2..2 + digits)?;
    let head = 2 + digits.len();
    let length = match short {
        126 | 127 => digits.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        short => usize::from(short),
    };
    let least = [0, 126, 0x1_0000][usize::from(short.saturating_sub(125))];
    assert!(length >= least, "a length of {length} in {} bytes", digits.len());
    let data = bytes.get(head..head + length)?.to_vec();
    bytes.drain(..head + length);
    Some((first, data))
}

/// A message of text as a client may send it.
pub fn text(text: &str, deflate: bool, dice: &mut Dice) -> Vec<u8> {
    let compressed = deflate && dice.percent(50);
    let payload = if compressed { deflated(text.as_bytes()) } else { text.as_bytes().to_vec() };
    let mut bytes = Vec::new();
    let mut first = TEXT | if compressed { COMPRESSED } else { 0 };
    let mut rest = &payload[..];
    while dice.percent(30) {
        let (piece, behind) = rest.split_at(dice.below(rest.len() + 1));
        frame(&mut bytes, first, piece, dice);
        (first, rest) = (CONTINUATION, behind);
        if dice.percent(30) {
            frame(&mut bytes, FINAL | PING, PING_DATA, dice);
        }
    }
    frame(&mut bytes, FINAL | first, rest, dice);
    bytes
}

/// The answer to a ping.
pub fn pong(data: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, FINAL | PONG, data, dice);
    bytes
}

/// This is the end.
pub fn close(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, FINAL | CLOSE, &1000_u16.to_be_bytes(), dice);
    bytes
}

fn frame(bytes: &mut Vec<u8>, first: u8, payload: &[u8], dice: &mut Dice) {
    bytes.push(first);
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).expect("a wish is short").to_be_bytes());
        }
    }
    let mask = (dice.bits() as u32).to_be_bytes();
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(2 * message.len() + 64);
    let mut stream = Compress::new(Compression::default(), false);
    stream.compress_vec(message, &mut payload, FlushCompress::Sync).expect("memory takes it");
    payload.strip_suffix(&FLUSH).expect("a flush").to_vec()
}

fn inflate(mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend(FLUSH);
    let (mut stream, mut message) = (Decompress::new(false), Vec::new());
    while stream.total_in() < payload.len() as u64 || message.len() == message.capacity() {
        message.reserve(4_096);
        let rest = &payload[stream.total_in() as usize..];
        stream.decompress_vec(rest, &mut message, FlushDecompress::Sync).expect("a compressed message");
    }
    message
}
