//! UTF-8 that arrives in pieces, checked as far as it is there.
//!
//! Never keeps bytes: they lie with the message, and what is known of them is one number.

use super::Fault;

/// Goes on checking `bytes`, of which the first `checked` are known to be whole characters. Behind them may stay
/// the up to three bytes of a character that is not whole yet. What no further byte can mend is a fault at once.
pub(super) fn advance(bytes: &[u8], checked: &mut usize) -> Result<(), Fault> {
    let fresh = bytes.get(*checked..).unwrap_or_default();
    match std::str::from_utf8(fresh) {
        Ok(text) => *checked += text.len(),
        Err(error) if error.error_len().is_none() => *checked += error.valid_up_to(),
        Err(_) => return Err(invalid()),
    }
    Ok(())
}

/// The whole of `bytes` as text.
pub(super) fn whole(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| invalid())
}

fn invalid() -> Fault {
    Fault::invalid("the text is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of `bytes` come one by one before one of them is refused.
    fn refused_after(bytes: &[u8]) -> Option<usize> {
        let mut checked = 0;
        (1..=bytes.len()).find(|&length| {
            let verdict = advance(&bytes[..length], &mut checked);
            assert!(verdict.is_err() || length - checked <= 3, "only an unfinished character waits");
            verdict.is_err()
        })
    }

    #[test]
    fn text_is_taken_however_it_is_cut() {
        for text in ["", "a", "κόσμε", "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}", "\0"] {
            assert_eq!(refused_after(text.as_bytes()), None, "{text:?}");
            assert_eq!(whole(text.as_bytes()), Ok(text));
        }
    }

    #[test]
    fn the_first_byte_that_cannot_be_mended_is_refused() {
        for (bytes, at) in [
            (&b"\x80"[..], 1),
            (b"\xbf", 1),
            (b"\xc0", 1),
            (b"\xc1\xbf", 1),
            (b"\xc2a", 2),
            (b"\xe0\x9f\xbf", 2),
            (b"\xe1\x80a", 3),
            (b"\xed\xa0\x80", 2),
            (b"\xed\xbf\xbf", 2),
            (b"\xf0\x8f\xbf\xbf", 2),
            (b"\xf1\x80\x80a", 4),
            (b"\xf4\x90\x80\x80", 2),
            (b"\xf5", 1),
            (b"\xf8\x88\x80\x80\x80", 1),
            (b"\xfe", 1),
            (b"\xff", 1),
            (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", 13),
        ] {
            assert_eq!(refused_after(bytes), Some(at), "{}", bytes.escape_ascii());
            assert_eq!(whole(bytes), Err(invalid()));
        }
    }

    #[test]
    fn a_character_cut_off_is_not_whole() {
        for bytes in [&b"\xc2"[..], b"\xe2\x82", b"\xf0\x9f\x98", b"abc\xf0"] {
            assert_eq!(refused_after(bytes), None, "{}", bytes.escape_ascii());
            assert_eq!(whole(bytes), Err(invalid()), "{}", bytes.escape_ascii());
        }
    }
}
