//! One frame: its head read, its bytes unmasked, and the server's own frames written (RFC 6455 section 5).
//!
//! ```text
//! frame = FIN RSV1 RSV2 RSV3 opcode(4)    the first byte
//!         MASK length(7)                  length 126: 2 more bytes of it, 127: 8 more
//!         [ masking-key(4 bytes) ]        in every frame of a client, in none of a server
//!         payload
//! ```
//! Owns the refusals that need no look at other frames. Never keeps a byte.
//!
//! Invariant: what is written depends on nothing but the arguments, so a frame can be shared by all its receivers.

use super::Fault;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH_IN_16_BITS: u8 = 126;
const LENGTH_IN_64_BITS: u8 = 127;

/// Two bytes, eight of length, four of masking key.
pub(super) const HEAD_BYTES_MAX: usize = 14;
/// The longest payload of a close, ping or pong frame.
pub(super) const CONTROL_BYTES_MAX: usize = 125;
const CODE_BYTES: usize = 2;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn parse(bits: u8) -> Option<Opcode> {
        match bits {
            0 => Some(Opcode::Continuation),
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            _ => None,
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// What the head of a client's frame says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Whether no fragment follows.
    pub(super) last: bool,
    /// Whether RSV1 is set, which means so where it may be.
    pub(super) compressed: bool,
    pub(super) opcode: Opcode,
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
}

impl Head {
    /// Reads the head that `bytes` begin with, and says how long it is. `Ok(None)`: not yet whole, but no fault so far.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
        let &[first, ref rest @ ..] = bytes else { return Ok(None) };
        let (last, compressed) = (first & FIN != 0, first & RSV1 != 0);
        let opcode = Opcode::parse(first & OPCODE).ok_or_else(|| Fault::protocol("a frame has a reserved opcode"))?;
        if first & RSV2_RSV3 != 0 {
            return Err(Fault::protocol("a frame has a reserved bit set"));
        }
        if opcode.is_control() && !last {
            return Err(Fault::protocol("a control frame is fragmented"));
        }

        let &[second, ref rest @ ..] = rest else { return Ok(None) };
        let short = second & !MASKED;
        if second & MASKED == 0 {
            return Err(Fault::protocol("a client's frame is not masked"));
        }
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Fault::protocol("a control frame is longer than 125 bytes"));
        }

        let Some((length, rest)) = read_length(short, rest)? else { return Ok(None) };
        let Some((&mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some((Head { last, compressed, opcode, length, mask }, bytes.len() - rest.len())))
    }
}

/// The length, and what follows it. It must come in the fewest bytes that hold it.
fn read_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, Fault> {
    let read = match short {
        LENGTH_IN_16_BITS => bytes.split_first_chunk().map(|(&field, rest)| (u64::from(u16::from_be_bytes(field)), 126, rest)),
        LENGTH_IN_64_BITS => bytes.split_first_chunk().map(|(&field, rest)| (u64::from_be_bytes(field), 0x1_0000, rest)),
        _ => Some((u64::from(short), 0, bytes)),
    };
    match read {
        None => Ok(None),
        Some((length, ..)) if length >> 63 != 0 => Err(Fault::protocol("a length has its highest bit set")),
        Some((length, least, _)) if length < least => Err(Fault::protocol("a length takes more bytes than it needs")),
        Some((length, _, rest)) => Ok(Some((length, rest))),
    }
}

/// Appends what `masked` says under `mask`.
pub(super) fn append_unmasked(out: &mut Vec<u8>, masked: &[u8], mask: [u8; 4]) {
    let start = out.len();
    out.extend_from_slice(masked);
    unmask(&mut out[start..], mask);
}

/// Eight bytes at a time, then the rest.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// Writes a whole message, or a control frame, in one frame. `compressed`: `payload` is what a
/// [`Deflater`](super::Deflater) made of a message.
pub(crate) fn write(out: &mut Vec<u8>, opcode: Opcode, compressed: bool, payload: &[u8]) {
    debug_assert!(!opcode.is_control() || payload.len() <= CONTROL_BYTES_MAX && !compressed, "control frames are short");
    out.push(FIN | if compressed { RSV1 } else { 0 } | opcode as u8);
    match payload.len() {
        length @ 0..126 => out.push(length as u8),
        length @ 126..0x1_0000 => {
            out.push(LENGTH_IN_16_BITS);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(LENGTH_IN_64_BITS);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Asks whether the peer is there. `payload` is at most 125 bytes long.
pub(crate) fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, Opcode::Ping, false, payload);
}

/// Answers a ping with its payload.
pub(crate) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, Opcode::Pong, false, payload);
}

/// Says that nothing more will be sent, and why; as an answer, with the peer's own code. Without a code there is
/// no room for a reason. A reason too long is cut behind a whole character.
pub(crate) fn close(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else { return write(out, Opcode::Close, false, &[]) };
    let mut end = reason.len().min(CONTROL_BYTES_MAX - CODE_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason[..end];
    write(out, Opcode::Close, false, &[&code.to_be_bytes(), reason.as_bytes()].concat());
}

/// What a close frame says: nothing, or a code and a reason that may be empty.
pub(super) fn read_close(payload: &[u8]) -> Result<(Option<u16>, &str), Fault> {
    match payload {
        [] => Ok((None, "")),
        [_] => Err(Fault::protocol("a close frame has half a code")),
        &[high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            if !may_be_sent(code) {
                return Err(Fault::protocol("a close frame has a code that is not to be sent"));
            }
            Ok((Some(code), super::utf8::whole(reason)?))
        }
    }
}

/// RFC 6455 section 7.4 and the registry it founded. 1004 is reserved; 1005, 1006 and 1015 tell of what
/// happened without a close frame.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn every_length_takes_the_bytes_it_needs() {
        for (length, head) in [
            (0, &b"\x81\x00"[..]),
            (1, b"\x81\x01"),
            (125, b"\x81\x7d"),
            (126, b"\x81\x7e\x00\x7e"),
            (127, b"\x81\x7e\x00\x7f"),
            (65535, b"\x81\x7e\xff\xff"),
            (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        ] {
            let payload = vec![b'*'; length];
            assert_eq!(written(|out| write(out, Opcode::Text, false, &payload)), [head, &payload].concat());
        }
    }

    #[test]
    fn frames_are_written_as_in_the_rfc() {
        assert_eq!(written(|out| write(out, Opcode::Text, false, b"Hello")), b"\x81\x05Hello");
        assert_eq!(written(|out| write(out, Opcode::Text, true, b"\xf2\x48")), b"\xc1\x02\xf2\x48");
        assert_eq!(written(|out| write(out, Opcode::Binary, false, b"\0")), b"\x82\x01\0");
        assert_eq!(written(|out| ping(out, b"Hello")), b"\x89\x05Hello");
        assert_eq!(written(|out| pong(out, b"Hello")), b"\x8a\x05Hello");
        assert_eq!(written(|out| close(out, Some(1000), "bye")), b"\x88\x05\x03\xe8bye");
        assert_eq!(written(|out| close(out, None, "bye")), b"\x88\x00");
    }

    #[test]
    fn a_reason_is_cut_behind_a_whole_character() {
        let reason = format!("{}é", "x".repeat(122));
        let frame = written(|out| close(out, Some(1000), &reason));
        assert_eq!(frame, [b"\x88\x7c\x03\xe8", &[b'x'; 122][..]].concat());
        assert_eq!(written(|out| close(out, Some(1000), &"x".repeat(124))).len(), 2 + 125);
    }

    #[test]
    fn a_mask_taken_twice_is_none() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).collect();
            let by_byte: Vec<u8> = plain.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut out = b"kept".to_vec();
            append_unmasked(&mut out, &by_byte, mask);
            assert_eq!(out, [b"kept", &plain[..]].concat());
        }
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let mask = [1, 2, 3, 4];
        for (bytes, length) in [
            (&b"\xc1\x80\x01\x02\x03\x04"[..], 0),
            (b"\xc1\xfd\x01\x02\x03\x04", 125),
            (b"\xc1\xfe\x00\x7e\x01\x02\x03\x04", 126),
            (b"\xc1\xfe\xff\xff\x01\x02\x03\x04", 0xffff),
            (b"\xc1\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04", 0x1_0000),
            (b"\xc1\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", u64::MAX >> 1),
        ] {
            let head = Head { last: true, compressed: true, opcode: Opcode::Text, length, mask };
            for cut in 0..bytes.len() {
                assert_eq!(Head::parse(&bytes[..cut]), Ok(None), "{}", bytes.escape_ascii());
            }
            assert_eq!(Head::parse(&[bytes, b"more"].concat()), Ok(Some((head, bytes.len()))));
        }
    }

    #[test]
    fn codes_that_tell_of_no_close_frame_are_in_none() {
        let refused: Vec<u16> = (0..=u16::MAX).filter(|&code| !may_be_sent(code)).collect();
        let expected: Vec<u16> = (0..1000).chain([1004, 1005, 1006]).chain(1015..3000).chain(5000..=u16::MAX).collect();
        assert_eq!(refused, expected);
    }
}
