//! A Bayeux request is answered with an array of messages or refused, on each transport, and disturbs nobody else.

use super::corpus::CLIENT;
use super::stage::{Stage, post};
use crate::dice::Dice;
use encke::engine::Door;
use serde_json::Value;

const UPGRADE: &[u8] =
    b"GET /bayeux HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub fn run(input: &[u8], dice: &mut Dice) {
    let mut stage = Stage::new();
    let (token, client) = stage.session("/c");
    let input = speaking_for(input, &client);
    match dice.below(3) {
        0 => {
            let socket = stage.open(Door::Public);
            stage.tell(socket, UPGRADE);
            let accepted = stage.take(socket);
            assert!(accepted.starts_with(b"HTTP/1.1 101 "));
            let mut frame = vec![0x81, 0xfe];
            frame.extend((input.len() as u16).to_be_bytes());
            frame.extend([0; 4]);
            stage.tell(socket, &[&frame, &input[..]].concat());
        }
        kind => {
            let content_type = if kind == 1 { "application/json" } else { "text/plain" };
            stage.tell(token, &post("/bayeux", content_type, &input));
            check_answer(&stage.take(token));
        }
    }
    for _ in 0..dice.below(4) {
        stage.pass(10_000);
    }
    check_answer(&stage.take(token));
    stage.check();
}

/// The input of the session that is there.
fn speaking_for(input: &[u8], client: &str) -> Vec<u8> {
    let mut input = input.to_vec();
    while let Some(at) = input.windows(CLIENT.len()).position(|window| window == CLIENT.as_bytes()) {
        input.splice(at..at + CLIENT.len(), client.bytes());
    }
    input
}

/// Nothing yet, or all that one response must be.
fn check_answer(answer: &[u8]) {
    if answer.is_empty() {
        return;
    }
    let text = std::str::from_utf8(answer).expect("an answer is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let value: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
    match head.split(' ').nth(1) {
        Some("200") => {
            let messages = value.as_array().expect("an array of messages");
            assert!(
                messages.iter().all(|message| message.get("successful").is_some() || message.get("data").is_some()),
                "{text}"
            );
        }
        Some("400" | "413") => assert!(value.get("error").is_some(), "{text}"),
        _ => panic!("answered {text}"),
    }
}
