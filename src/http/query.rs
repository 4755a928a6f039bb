//! Percent-decoding of paths, and the pairs of a query or of a posted form.
//!
//! Never normalises: a path is decoded as it stands, dots and double slashes included, and whoever names
//! resources by it decides what a name may be.
//!
//! Invariant: what comes out is UTF-8 without a NUL, or it is a refusal; text that needs no decoding is lent back.

use crate::base::error::Reject;
use memchr::{memchr, memchr3};
use std::borrow::Cow;

/// How many pairs are read.
const PAIRS_MAX: usize = 256;

/// A name and its value, decoded.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Undoes percent-encoding as in a path, where `+` is itself.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, Reject> {
    decode(text, false)
}

/// The pairs of `a=1&b=2`, where `+` is a space. A name without `=` has an empty value;
/// nothing between two `&` is no pair.
pub fn pairs(query: &str) -> impl Iterator<Item = Result<Pair<'_>, Reject>> {
    // Most queries have nothing to decode, which is found out once for all pieces.
    let is_plain = is_plain(query);
    let mut rest = Some(query);
    let pieces = std::iter::from_fn(move || {
        let (piece, behind) = cut(rest?, b'&');
        rest = behind;
        Some(piece)
    });
    pieces.filter(|piece| !piece.is_empty()).take(PAIRS_MAX + 1).enumerate().map(move |(index, piece)| {
        if index == PAIRS_MAX {
            return Err(Reject::new(400, "too_many_pairs", format!("the query has more than {PAIRS_MAX} pairs")));
        }
        let (name, value) = cut(piece, b'=');
        let value = value.unwrap_or_default();
        if is_plain { Ok((name.into(), value.into())) } else { Ok((decode(name, true)?, decode(value, true)?)) }
    })
}

/// What is before the first of these bytes, which is ASCII, and what is behind it.
fn cut(text: &str, byte: u8) -> (&str, Option<&str>) {
    match memchr(byte, text.as_bytes()) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// Whether decoding would change nothing, and refuse nothing.
fn is_plain(text: &str) -> bool {
    memchr3(b'%', b'+', 0, text.as_bytes()).is_none()
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, Reject> {
    if is_plain(text) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => escaped(bytes.next(), bytes.next())
                .ok_or_else(|| bad_encoding("a percent sign is not followed by two hexadecimal digits"))?,
            b'+' if plus_is_space => b' ',
            _ => byte,
        };
        if byte == 0 {
            return Err(bad_encoding("a decoded text has a NUL in it"));
        }
        decoded.push(byte);
    }
    match String::from_utf8(decoded) {
        Ok(decoded) => Ok(Cow::Owned(decoded)),
        Err(_) => Err(bad_encoding("a decoded text is not UTF-8")),
    }
}

/// The byte that `%` and these two digits stand for.
fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

fn bad_encoding(detail: &'static str) -> Reject {
    Reject::new(400, "bad_encoding", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_pairs(query: &str) -> Result<Vec<Pair<'_>>, Reject> {
        pairs(query).collect()
    }

    #[test]
    fn a_path_is_decoded_once_and_keeps_its_plus_signs() {
        for (text, decoded) in [
            ("", ""),
            ("/chat/rome", "/chat/rome"),
            ("/a%20b", "/a b"),
            ("/a+b", "/a+b"),
            ("/%c3%A9%E2%82%ac", "/é€"),
            ("/é", "/é"),
            ("/%2525", "/%25"),
            ("/..%2f../", "/../../"),
            ("%41", "A"),
        ] {
            assert_eq!(percent_decode(text).as_deref(), Ok(decoded), "{text:?}");
        }
    }

    #[test]
    fn what_decodes_to_no_text_is_refused() {
        for text in
            ["%", "/%4", "/%4g", "/%g4", "/%+1", "/%é", "/%%41", "/%00", "/\0", "/%ff", "/%c3", "/%c3x", "/%ed%a0%80", "/%c0%af"]
        {
            let outcome = percent_decode(text).map_err(|refusal| (refusal.status, refusal.code));
            assert_eq!(outcome, Err((400, "bad_encoding")), "{text:?}");
            assert!(all_pairs(&format!("a={text}")).is_err(), "{text:?}");
            assert!(all_pairs(&format!("{text}=a")).is_err(), "{text:?}");
        }
    }

    #[test]
    fn text_without_escapes_is_not_copied() {
        assert!(matches!(percent_decode("/chat/rome"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn a_query_falls_into_pairs() {
        for (query, expected) in [
            ("", &[][..]),
            ("&&", &[]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("a", &[("a", "")]),
            ("a=", &[("a", "")]),
            ("=1", &[("", "1")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a+b=c+d&e=%2b", &[("a b", "c d"), ("e", "+")]),
            ("%26=%3d&a=1&a=2", &[("&", "="), ("a", "1"), ("a", "2")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(name, value)| (Cow::from(name), Cow::from(value))).collect();
            assert_eq!(all_pairs(query), Ok(expected), "{query:?}");
        }
    }

    #[test]
    fn pairs_are_read_up_to_their_bound() {
        assert_eq!(all_pairs(&"a&".repeat(256)).map(|pairs| pairs.len()), Ok(256));
        assert_eq!(all_pairs(&"a&".repeat(257)).map_err(|refusal| refusal.code), Err("too_many_pairs"));
        assert_eq!(pairs(&"a&".repeat(1000)).count(), 257, "the refusal is the last item");
    }
}
