//! The end of a head is found in the same place, and what is wrong is told the same, however the bytes come.

use crate::dice::Dice;
use encke::http::{Limits, request};

const LIMITS: Limits = Limits { line_bytes: 256, head_bytes: 1_024, headers: 16, body_bytes: 1_024 };

pub fn run(input: &[u8], dice: &mut Dice) {
    let whole = request::find_head(input, &mut 0, &LIMITS);
    let (mut scanned, mut len) = (0, 0);
    let by_and_by = loop {
        len = (len + dice.within(1..=64)).min(input.len());
        match request::find_head(&input[..len], &mut scanned, &LIMITS) {
            Ok(None) if len < input.len() => {}
            found => break found,
        }
    };
    assert_eq!(whole.as_ref().ok(), by_and_by.as_ref().ok(), "in pieces");
    let Ok(Some(len)) = whole else { return };
    let mut room = request::room();
    if let Ok(request) = request::parse(&input[..len], &LIMITS, &mut room) {
        assert!(request.path.starts_with('/') || request.path == "*", "{:?}", request.path);
        assert!(!request.path.contains('\0'), "{:?}", request.path);
    }
}
