//! A body in chunks is the same however it is cut, and never longer than it may be.

use crate::dice::Dice;
use encke::http::Chunked;

const BODY_BYTES: u64 = 4_096;

pub fn run(input: &[u8], dice: &mut Dice) {
    let mut body = Vec::new();
    let whole = Chunked::default().decode(input, &mut body, BODY_BYTES);
    let (mut decoder, mut pieces, mut used) = (Chunked::default(), Vec::new(), 0);
    let by_and_by = loop {
        let end = (used + dice.within(1..=32)).min(input.len());
        match decoder.decode(&input[used..end], &mut pieces, BODY_BYTES) {
            Ok((count, done)) if done || end == input.len() => break Ok((used + count, done)),
            Ok((count, _)) => used += count,
            Err(reject) => break Err(reject),
        }
    };
    assert!(body.len() as u64 <= BODY_BYTES);
    match (whole, by_and_by) {
        (Ok(whole), Ok(by_and_by)) => assert_eq!((whole, body), (by_and_by, pieces)),
        (Err(whole), Err(by_and_by)) => assert_eq!(whole.code, by_and_by.code),
        other => panic!("whole and in pieces: {other:?}"),
    }
}
