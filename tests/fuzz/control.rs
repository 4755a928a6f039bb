//! A framed stream is heard the same however it is cut: its flushes are answered in whole frames, and nothing else is said.

use super::stage::{Stage, pieces};
use crate::dice::Dice;
use encke::base::frame::{self, Flushed, Frame};
use encke::engine::Door;

/// More than any answer to a flush.
const ANSWER_BYTES: u64 = 4_096;

pub fn run(input: &[u8], dice: &mut Dice) {
    assert_eq!(answer(&[input]), answer(&pieces(input, 64, dice)), "whole and in pieces");
}

/// What the server says to a stream of `pieces` behind the preface.
fn answer(pieces: &[&[u8]]) -> Vec<u8> {
    let mut stage = Stage::new();
    let token = stage.open(Door::Control);
    stage.tell(token, frame::PREFACE);
    stage.answer(token, pieces, check_frames)
}

/// Answers to flushes, each as it must be, and nothing else.
fn check_frames(mut bytes: &[u8]) {
    while let Some((answer, length)) = frame::read(bytes, ANSWER_BYTES).expect("the server's frames are good") {
        let Frame::Control { data, .. } = answer else { panic!("a message came back") };
        let Flushed { refused, first, .. } = Flushed::read(data).expect("an answer to a flush");
        assert_eq!(refused > 0, !first.is_empty(), "{refused} refused: {}", first.escape_ascii());
        if !first.is_empty() {
            serde_json::from_slice::<serde_json::Value>(first).expect("JSON");
        }
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "half a frame: {}", bytes.escape_ascii());
}
