//! What is decoded is text without a NUL, and what is text already is lent back.

use crate::dice::Dice;
use encke::http::query;

pub fn run(input: &[u8], _: &mut Dice) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(decoded) = query::percent_decode(text) {
        assert!(!decoded.contains('\0'), "{decoded:?}");
        assert!(text.contains('%') || decoded == text, "{text:?} became {decoded:?}");
    }
    for (name, value) in query::pairs(text).map_while(Result::ok) {
        assert!(!name.contains('\0') && !value.contains('\0'), "{name:?} {value:?}");
    }
}
