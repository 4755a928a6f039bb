//! Payloads made smaller, and back (RFC 7692 section 7.2).
//!
//! A shard has one [`Deflater`] and one [`Inflater`], each empty until it is first used. Every message stands for
//! itself: nothing of one is remembered for the next, be it the same connection's.
//!
//! Invariant: an inflated message never takes more memory than its bound, whatever its payload claims.

use super::extension::{Deflate, WINDOW_BITS_MAX, WINDOW_BITS_MIN};
use super::{Fault, empty};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// How a flush ends: an empty stored block, whose length and its complement are left out of the payload.
const FLUSH: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// What a payload is read with behind it: the end of the flush that its sender left out, and a last block that is empty.
/// Only whoever stands at the end of a block sees a last block there, so a payload that was cut off shows.
const TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// The first piece of memory for an inflated message.
const PIECE_BYTES: usize = 4096;

/// One for each size of window.
const STREAMS: usize = (WINDOW_BITS_MAX - WINDOW_BITS_MIN + 1) as usize;

/// The longest payload that a compressor worth the name makes of a message which cannot shrink. zlib's own bound, for
/// the smallest windows and least memory; with the largest it comes to a few bytes.
pub(super) fn payload_bytes_max(message_bytes: usize) -> usize {
    message_bytes.saturating_add(message_bytes / 8 + message_bytes / 64 + 64)
}

/// Compresses messages, each for itself.
#[derive(Debug, Default)]
pub(crate) struct Deflater {
    /// By the size of the window; a quarter of a megabyte for the largest, made when one is first asked for.
    streams: [Option<Compress>; STREAMS],
    payload: Vec<u8>,
}

impl Deflater {
    /// The payload of a compressed frame that holds all of `message`.
    pub(crate) fn deflate(&mut self, message: &[u8], deflate: Deflate) -> &[u8] {
        let bits = deflate.window_bits();
        let stream = self.streams[usize::from(bits - WINDOW_BITS_MIN)]
            .get_or_insert_with(|| Compress::new_with_window_bits(Compression::default(), false, bits));
        stream.reset();
        empty(&mut self.payload);
        let mut rest = message;
        loop {
            // Once is enough; only to be sure, room that is used up is not taken for an end.
            self.payload.reserve(payload_bytes_max(rest.len()));
            let before = stream.total_in();
            let compressed = stream.compress_vec(rest, &mut self.payload, FlushCompress::Sync);
            compressed.expect("a stream that was never finished takes any bytes");
            rest = &rest[(stream.total_in() - before) as usize..];
            if self.payload.len() < self.payload.capacity() {
                break;
            }
        }
        debug_assert!(rest.is_empty() && self.payload.ends_with(FLUSH), "room that is left means that all is written");
        self.payload.truncate(self.payload.len().saturating_sub(FLUSH.len()));
        &self.payload
    }
}

/// Inflates messages, each for itself.
#[derive(Debug, Default)]
pub(super) struct Inflater {
    stream: Option<Decompress>,
    message: Vec<u8>,
}

impl Inflater {
    /// The message in `payload`, which is put together from all its frames, and is used up.
    pub(super) fn inflate(&mut self, payload: &mut Vec<u8>, message_bytes_max: usize) -> Result<&[u8], Fault> {
        empty(&mut self.message);
        if payload.is_empty() {
            // An encoder that is flushed with nothing to flush writes nothing.
            return Ok(&self.message);
        }
        payload.extend_from_slice(TAIL);
        let stream = self.stream.get_or_insert_with(|| Decompress::new(false));
        stream.reset(false);
        let mut rest = &payload[..];
        loop {
            if self.message.len() == self.message.capacity() {
                grow(&mut self.message, message_bytes_max);
            }
            let before = stream.total_in();
            let status = stream.decompress_vec(rest, &mut self.message, FlushDecompress::None);
            let status = status.map_err(|_| Fault::invalid("a compressed message is broken"))?;
            rest = rest.get((stream.total_in() - before) as usize..).unwrap_or_default();
            if self.message.len() > message_bytes_max {
                return Err(Fault::too_big(message_bytes_max));
            }
            match status {
                Status::StreamEnd if rest.is_empty() => return Ok(&self.message),
                // A sender may mark any block as the last; the message goes on behind it (RFC 7692 section 7.2.3.4).
                Status::StreamEnd => stream.reset(false),
                Status::Ok | Status::BufError if self.message.len() == self.message.capacity() => {}
                Status::Ok | Status::BufError => return Err(Fault::invalid("a compressed message is cut off")),
            }
        }
    }
}

/// Doubles the room, up to one byte over the bound: that byte tells a message that is too long.
fn grow(message: &mut Vec<u8>, message_bytes_max: usize) {
    let room = message_bytes_max.saturating_add(1).saturating_sub(message.len());
    message.reserve_exact(message.len().max(PIECE_BYTES).min(room));
}

#[cfg(test)]
mod tests {
    use super::super::extension::negotiate;
    use super::*;

    fn agreed(bits: u8) -> Deflate {
        negotiate(&format!("permessage-deflate; server_max_window_bits={bits}")).expect("zlib can")
    }

    fn inflated(payload: &[u8], message_bytes_max: usize) -> Result<Vec<u8>, Fault> {
        Inflater::default().inflate(&mut payload.to_vec(), message_bytes_max).map(<[u8]>::to_vec)
    }

    /// Bytes that no compressor makes smaller.
    fn noise(length: usize) -> Vec<u8> {
        let mut random = crate::base::random::Random::new(crate::base::random::Seed(3, 1));
        std::iter::repeat_with(|| random.bits().to_le_bytes()).flatten().take(length).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for payload in [
            &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
            b"\x00\x05\x00\xfa\xffHello\x00",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ] {
            assert_eq!(inflated(payload, 5), Ok(b"Hello".to_vec()), "{}", payload.escape_ascii());
        }
        assert_eq!(Deflater::default().deflate(b"Hello", agreed(15)), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    }

    #[test]
    fn an_empty_message_is_one_byte_or_none() {
        assert_eq!(Deflater::default().deflate(b"", agreed(15)), b"\x00");
        assert_eq!(inflated(b"\x00", 0), Ok(vec![]));
        assert_eq!(inflated(b"", 0), Ok(vec![]));
    }

    #[test]
    fn messages_come_back_and_none_knows_of_another() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        let repeated = b"so it goes, ".repeat(20_000);
        for message in [&b""[..], b"a", &repeated[..100], &noise(100), &repeated, &noise(200_000), b"a"] {
            for bits in WINDOW_BITS_MIN..=WINDOW_BITS_MAX {
                let payload = deflater.deflate(message, agreed(bits)).to_vec();
                assert_eq!(payload, Deflater::default().deflate(message, agreed(bits)), "with a fresh one it is the same");
                assert_eq!(inflater.inflate(&mut payload.clone(), message.len()), Ok(message));
                assert!(payload.len() <= payload_bytes_max(message.len()));
            }
        }
    }

    /// What repeats itself further back than the window reaches cannot be said shorter.
    #[test]
    fn no_window_is_larger_than_asked() {
        for bits in WINDOW_BITS_MIN..=WINDOW_BITS_MAX {
            let mut deflater = Deflater::default();
            let size =
                |distance: usize, deflater: &mut Deflater| deflater.deflate(&noise(distance).repeat(2), agreed(bits)).len();
            let (within, beyond) = ((1 << bits) - 300, (1 << bits) + 1);
            assert!(size(within, &mut deflater) < within * 3 / 2, "{bits} bits are used");
            assert!(size(beyond, &mut deflater) > beyond * 2, "{bits} bits are kept");
        }
    }

    #[test]
    fn a_message_fills_its_bound_and_no_more() {
        for length in [1, 100, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 100_000] {
            for message in [vec![0; length], noise(length)] {
                let payload = Deflater::default().deflate(&message, agreed(15)).to_vec();
                assert_eq!(inflated(&payload, length), Ok(message));
                assert_eq!(inflated(&payload, length - 1), Err(Fault::too_big(length - 1)));
            }
        }
    }

    #[test]
    fn a_bomb_takes_no_more_memory_than_its_bound() {
        let bomb = Deflater::default().deflate(&vec![0; 4 << 20], agreed(15)).to_vec();
        assert!(bomb.len() < 1 << 13);
        for bound in [0, 1, 1000, 1 << 20] {
            let mut inflater = Inflater::default();
            assert_eq!(inflater.inflate(&mut bomb.clone(), bound), Err(Fault::too_big(bound)));
            assert!(inflater.message.capacity() <= bound + 1);
            assert_eq!(
                inflater.inflate(&mut b"\xf2\x48\xcd\xc9\xc9\x07\x00".to_vec(), 5),
                Ok(&b"Hello"[..]),
                "all is well again"
            );
        }
    }

    #[test]
    fn a_large_message_leaves_no_large_buffer() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        let mut payload = deflater.deflate(&noise(1 << 20), agreed(15)).to_vec();
        assert!(inflater.inflate(&mut payload, 1 << 20).is_ok());
        let mut payload = deflater.deflate(b"a", agreed(15)).to_vec();
        assert!(inflater.inflate(&mut payload, 1 << 20).is_ok());
        assert!(deflater.payload.capacity() <= super::super::KEPT_BYTES_MAX);
        assert!(inflater.message.capacity() <= super::super::KEPT_BYTES_MAX);
    }

    #[test]
    fn what_is_broken_or_cut_off_is_refused() {
        for payload in [
            &b"\xff\xff\xff"[..],
            b"\x06",
            b"\xf2\x48\xcd\xc9",
            b"\x00\x06\x00\xf9\xffHello",
            b"\x00\xff\xff\x00\x00Hello\x00",
            b"\xf2\x48\xcd\xc9\xc9\x07\x00more",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00",
            b"\x02\x05",
        ] {
            let verdict = inflated(payload, 100).map_err(|fault| fault.code);
            assert_eq!(verdict, Err(1007), "{}", payload.escape_ascii());
        }
    }

    /// Each cut of a good payload is refused, or ends where a block does.
    #[test]
    fn no_cut_makes_another_message() {
        let message = [&b"so it goes, ".repeat(20)[..], &noise(200)].concat();
        let payload = Deflater::default().deflate(&message, agreed(15)).to_vec();
        for cut in 1..payload.len() {
            assert_eq!(inflated(&payload[..cut], 1000).map_err(|fault| fault.code), Err(1007), "cut at {cut}");
        }
    }
}
