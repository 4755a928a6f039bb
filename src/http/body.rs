//! Takes the chunks off a chunked body (RFC 9112 section 7.1).
//!
//! Owns a few words of state, so that the bytes may come cut anywhere. Never holds data: it goes to the caller's
//! vector. Extensions and trailers are read past; nothing here has a use for them.
//!
//! Invariant: the vector never grows past the bound, and is not grown on a size's word alone.

use super::request::body_too_long;
use crate::base::error::Reject;

/// More would not fit the 64 bits of a size.
const SIZE_DIGITS_MAX: u8 = 16;

/// What all extensions and trailers of one body may come to.
const ASIDE_BYTES_MAX: u16 = 4096;

/// A decoder for one body.
///
/// ```text
/// chunked-body = *chunk last-chunk trailer-section CRLF
/// chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
/// last-chunk   = 1*("0") [ chunk-ext ] CRLF
/// ```
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// Of the chunk's data: how much there is, then how much is still to come.
    size: u64,
    digits: u8,
    aside: u16,
}

/// Named for what is expected next.
///
/// ```text
///           ┌──────────── DataLf ◄─ DataCr ◄─ Data
///           ▼                                  ▲ size > 0
///   ──►   Size ──► Blank ──► Extension ──► SizeLf
///           └───────────────────────────────►  ▼ size = 0
///                       ┌─ TrailerLf ─► TrailerStart ─► EndLf ─► Done
///                       └── Trailer ◄────────┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

impl Chunked {
    /// Takes what it can of `input`: `Ok((consumed, done))`. Data is appended to `out`, which holds this body alone
    /// and is the same in every call. Once done, it consumes nothing: what follows is the next request.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, body_bytes: u64) -> Result<(usize, bool), Reject> {
        let mut rest = input;
        while self.state != State::Done {
            rest = match (self.state, rest) {
                (_, []) => return Ok((input.len(), false)),
                (State::Data, _) => self.take_data(rest, out),
                (_, [byte, later @ ..]) => {
                    self.state = self.step(*byte)?;
                    later
                }
            };
            if self.state == State::Data && self.size > body_bytes.saturating_sub(out.len() as u64) {
                return Err(body_too_long(body_bytes));
            }
        }
        Ok((input.len() - rest.len(), true))
    }

    /// Moves data; returns what follows it.
    fn take_data<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let count = usize::try_from(self.size).map_or(input.len(), |size| size.min(input.len()));
        let (data, later) = input.split_at(count);
        out.extend_from_slice(data);
        self.size -= count as u64;
        if self.size == 0 {
            self.state = State::DataCr;
        }
        later
    }

    /// Reads one byte of all that is not data.
    fn step(&mut self, byte: u8) -> Result<State, Reject> {
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.size_digit(byte),
            (State::Size, _) if self.digits == 0 => Err(bad_chunk("a chunk does not begin with its size in hexadecimal digits")),
            (State::Size | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size | State::Blank, b' ' | b'\t') => self.aside(State::Blank),
            (State::Size | State::Blank, b';') => self.aside(State::Extension),
            (State::Size | State::Blank, _) => {
                Err(bad_chunk("a chunk's size is followed by neither an extension nor a line end"))
            }

            (State::SizeLf, b'\n') => Ok(self.end_size()),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::DataCr | State::DataLf, _) => Err(bad_chunk("a chunk's data does not end where its size says")),

            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, b' ' | b'\t') => Err(bad_chunk("a trailer line begins with a space or a tab")),
            (State::Trailer, b'\r') => self.aside(State::TrailerLf),
            (State::TrailerLf, b'\n') => self.aside(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),

            (State::SizeLf | State::TrailerLf | State::EndLf, _) => {
                Err(bad_chunk("a carriage return stands without its line feed"))
            }
            (State::Extension | State::Trailer | State::TrailerStart, 0..=8 | 10..=31 | 127) => {
                Err(bad_chunk("a control byte stands in a chunk's extension or a trailer"))
            }
            (State::Extension, _) => self.aside(State::Extension),
            (State::Trailer | State::TrailerStart, _) => self.aside(State::Trailer),
            (State::Data | State::Done, _) => Ok(self.state),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, Reject> {
        if self.digits == SIZE_DIGITS_MAX {
            return Err(bad_chunk("a chunk's size has more than 16 digits"));
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(char::from(byte).to_digit(16).unwrap_or(0));
        Ok(State::Size)
    }

    /// The size is known; what is left of `digits` is for the next chunk.
    fn end_size(&mut self) -> State {
        self.digits = 0;
        if self.size == 0 { State::TrailerStart } else { State::Data }
    }

    /// Counts a byte of an extension or a trailer on the way to `next`.
    fn aside(&mut self, next: State) -> Result<State, Reject> {
        if self.aside == ASIDE_BYTES_MAX {
            return Err(bad_chunk("the extensions and trailers of a body are longer than 4096 bytes"));
        }
        self.aside += 1;
        Ok(next)
    }
}

fn bad_chunk(detail: &'static str) -> Reject {
    Reject::new(400, "bad_chunk", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_BYTES: u64 = 64;

    /// Feeds the pieces one after the other; what was put together, and how many bytes that took.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize, bool), Reject> {
        let (mut chunked, mut out, mut total) = (Chunked::default(), Vec::new(), 0);
        for piece in pieces {
            let (consumed, done) = chunked.decode(piece, &mut out, BODY_BYTES)?;
            assert!(out.len() as u64 <= BODY_BYTES);
            total += consumed;
            if done {
                return Ok((out, total, true));
            }
            assert_eq!(consumed, piece.len(), "what is not done takes all it is given");
        }
        Ok((out, total, false))
    }

    /// Whole, byte by byte, and cut in two at each place: all must come to the same.
    fn decode_each_way(bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Reject> {
        let whole = decode([bytes]);
        assert_eq!(decode(bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(decode([first, second]), whole, "cut at {cut}: {}", bytes.escape_ascii());
        }
        whole
    }

    #[test]
    fn chunks_come_together_however_they_are_cut() {
        for (bytes, data) in [
            (&b"0\r\n\r\n"[..], &b""[..]),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"2\r\nhe\r\n03\r\nllo\r\n00\r\n\r\n", b"hello"),
            (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
            (b"0000000000000002\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
            (b"2;a=b;c=\"d e\"\r\nhi\r\n0 \t;x\r\n\r\n", b"hi"),
            (b"2\r\nhi\r\n0\r\nA: b\r\nnot even a field\r\n\r\n", b"hi"),
        ] {
            assert_eq!(decode_each_way(bytes), Ok((data.to_vec(), bytes.len(), true)), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_follows_the_body_is_left_alone() {
        let bytes = b"2\r\nhi\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
        assert_eq!(decode_each_way(bytes), Ok((b"hi".to_vec(), 12, true)));

        let (mut chunked, mut out) = (Chunked::default(), Vec::new());
        assert_eq!(chunked.decode(bytes, &mut out, BODY_BYTES), Ok((12, true)));
        assert_eq!(chunked.decode(b"0\r\n\r\n", &mut out, BODY_BYTES), Ok((0, true)));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b";a\r\n",
            b" 5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\rhello\r\n",
            b"5 \r\nhello\r\n",
            b"5 5\r\n",
            b"5;a\nhello\r\n",
            b"5;a\0\r\n",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\n0\r\n",
            b"5\r\nhello\r0\r\n",
            b"4\r\nhello\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"10000000000000000\r\n",
            b"0\r\n A: b\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\n\n",
            b"0\r\n\rx",
            b"0\r\nA: \x7f\r\n\r\n",
        ] {
            let refusal = decode_each_way(bytes).expect_err(&bytes.escape_ascii().to_string());
            assert_eq!((refusal.status, refusal.code), (400, "bad_chunk"), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_body_fills_its_bound_and_no_more() {
        let most = format!("20\r\n{:032}\r\n20\r\n{:032}\r\n0\r\n\r\n", 0, 0);
        assert_eq!(decode_each_way(most.as_bytes()).map(|(out, ..)| out.len()), Ok(64));

        for bytes in ["41\r\n".to_string(), "ffffffffffffffff\r\n".to_string(), format!("20\r\n{:032}\r\n21\r\n", 0)] {
            assert_eq!(decode_each_way(bytes.as_bytes()), Err(body_too_long(BODY_BYTES)), "{bytes:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_share_one_bound() {
        let body = |extension: usize, trailer: usize| {
            let (extension, trailer) = ("e".repeat(extension), "t".repeat(trailer));
            decode([format!("1;{extension}\r\nx\r\n0\r\n{trailer}\r\n\r\n").as_bytes()]).map(|(out, ..)| out)
        };
        assert_eq!(body(2000, 4096 - 2003), Ok(b"x".to_vec()));
        assert_eq!(body(2000, 4097 - 2003).map_err(|refusal| refusal.status), Err(400));
        assert_eq!(body(4096, 0).map_err(|refusal| refusal.status), Err(400));
    }
}
