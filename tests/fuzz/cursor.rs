//! A cursor that is read is written as the same cursor.

use crate::dice::Dice;
use encke::base::cursor::{Cursor, Since};

pub fn run(input: &[u8], _: &mut Dice) {
    if let Some(cursor) = Cursor::parse(input) {
        let written = cursor.to_string();
        assert_eq!(Cursor::parse(written.as_bytes()).as_ref(), Some(&cursor), "{written}");
        assert_eq!(Since::from_header(input), Since::Cursor(cursor));
    }
}
