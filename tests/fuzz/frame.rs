//! A frame of a program that publishes is the same whatever lies behind it, and is never read before it is whole.

use crate::dice::Dice;
use encke::base::frame;

const DATA_BYTES: u64 = 4_096;

pub fn run(input: &[u8], dice: &mut Dice) {
    let mut rest = input;
    while let Ok(Some((frame, len))) = frame::read(rest, DATA_BYTES) {
        assert!((frame::HEAD_BYTES..=rest.len()).contains(&len), "a frame of {len} bytes");
        assert_eq!(frame::read(&rest[..len], DATA_BYTES), Ok(Some((frame, len))));
        assert_eq!(frame::read(&rest[..dice.below(len)], DATA_BYTES).ok().flatten(), None);
        rest = &rest[len..];
    }
}
