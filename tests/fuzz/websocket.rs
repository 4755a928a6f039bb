//! What comes behind a handshake is answered the same however it is cut, in whole frames, and with a close frame last.

use super::stage::{Stage, pieces};
use crate::dice::Dice;
use encke::engine::Door;

const UPGRADE: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

const FIN: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const CLOSE: u8 = 8;

pub fn run(input: &[u8], dice: &mut Dice) {
    let target = dice.pick(&["/ws", "/sub/a", "/sub/a?raw=1"]);
    let deflate = dice.pick(&["", DEFLATE]);
    let head = format!("GET {target} HTTP/1.1\r\n{UPGRADE}{deflate}\r\n");
    assert_eq!(answer(&head, &[input]), answer(&head, &pieces(input, 32, dice)), "whole and in pieces");
}

/// What the server says behind its handshake to a client that sends `pieces`.
fn answer(head: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stage = Stage::new();
    let token = stage.open(Door::PublicLoopback);
    stage.tell(token, head.as_bytes());
    assert!(stage.take(token).starts_with(b"HTTP/1.1 101 "));
    stage.answer(token, pieces, check_frames)
}

/// Whole frames as a server writes them: in one piece, unmasked, and nothing behind a close.
fn check_frames(mut bytes: &[u8]) {
    while let &[first, length, ref rest @ ..] = bytes {
        assert!(first & FIN != 0 && length < 0x80, "a frame begins with {first:#04x} {length:#04x}");
        assert!(matches!(first & !FIN & !COMPRESSED, 1 | 2 | 8 | 9 | 10), "a frame begins with {first:#04x}");
        let (length, rest) = match length {
            126 => rest.split_first_chunk().map(|(&length, rest)| (usize::from(u16::from_be_bytes(length)), rest)),
            127 => rest.split_first_chunk().map(|(&length, rest)| (u64::from_be_bytes(length) as usize, rest)),
            length => Some((usize::from(length), rest)),
        }
        .expect("a length is whole");
        bytes = rest.get(length..).expect("a frame is whole");
        assert!(first & !FIN != CLOSE || bytes.is_empty(), "something follows a close: {}", bytes.escape_ascii());
    }
    assert!(bytes.is_empty(), "half a frame: {}", bytes.escape_ascii());
}
