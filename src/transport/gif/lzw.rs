//! The LZW of GIF for pictures of two colours.
//!
//! With two colours the dictionary is one array of pairs, so that a pixel costs one look-up: 2 ms for the largest
//! picture full of text, and for any other of its size. A coder for 256 symbols takes 6 ms for the same picture,
//! 10 ms for a bad one, and writes as many bytes.
//!
//! ```text
//! codes = CLEAR 1*( sequence-code / CLEAR ) END     each as wide as the dictionary needs, the low bits first
//! ```

/// What a decoder is told: codes for four symbols, the least that the format knows; two are never used.
pub(super) const CODE_SIZE: u8 = 2;

/// Forget the dictionary.
const CLEAR: u16 = 1 << CODE_SIZE;

/// No more codes.
const END: u16 = CLEAR + 1;

/// The first code that stands for a sequence, and so the length of a dictionary without any.
const FIRST: u16 = END + 1;

/// How wide the first codes are, and how wide they may become.
const WIDTH_MIN: u32 = CODE_SIZE as u32 + 1;
const WIDTH_MAX: u32 = 12;

/// The sequences met so far.
struct Dictionary {
    /// The code of a sequence and one more pixel, by the sequence's code and the pixel; zero if not met.
    longer: [[u16; 2]; 1 << WIDTH_MAX],
    /// The next code to be given.
    next: u16,
}

impl Dictionary {
    fn new() -> Dictionary {
        Dictionary { longer: [[0; 2]; 1 << WIDTH_MAX], next: FIRST }
    }

    /// The code of `sequence` and then `pixel`, if they were met together.
    fn longer(&self, sequence: u16, pixel: u8) -> Option<u16> {
        let code = self.longer[usize::from(sequence)][usize::from(pixel)];
        (code != 0).then_some(code)
    }

    fn is_full(&self) -> bool {
        self.next == 1 << WIDTH_MAX
    }

    fn add(&mut self, sequence: u16, pixel: u8) {
        self.longer[usize::from(sequence)][usize::from(pixel)] = self.next;
        self.next += 1;
    }
}

/// Codes put together to bytes.
struct Bits {
    bytes: Vec<u8>,
    /// Those not yet a byte, fewer than eight.
    pending: u32,
    pending_len: u32,
    /// How many bits the next code has.
    width: u32,
}

impl Bits {
    fn put(&mut self, code: u16) {
        self.pending |= u32::from(code) << self.pending_len;
        self.pending_len += self.width;
        while self.pending_len >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_len -= 8;
        }
    }

    /// The next code is as wide as a decoder expects that has met all sequences before `next`.
    fn widen_for(&mut self, next: u16) {
        if self.width < WIDTH_MAX && next == 1 << self.width {
            self.width += 1;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.pending_len > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

/// The codes for `pixels`, each of which is zero or one.
pub(super) fn encode(pixels: &[u8]) -> Vec<u8> {
    let mut bits = Bits { bytes: Vec::new(), pending: 0, pending_len: 0, width: WIDTH_MIN };
    let mut dictionary = Dictionary::new();
    bits.put(CLEAR);
    if let Some((&first, rest)) = pixels.split_first() {
        let mut sequence = u16::from(first);
        for &pixel in rest {
            if let Some(longer) = dictionary.longer(sequence, pixel) {
                sequence = longer;
                continue;
            }
            bits.put(sequence);
            bits.widen_for(dictionary.next);
            if dictionary.is_full() {
                bits.put(CLEAR);
                bits.width = WIDTH_MIN;
                dictionary = Dictionary::new();
            } else {
                dictionary.add(sequence, pixel);
            }
            sequence = u16::from(pixel);
        }
        bits.put(sequence);
        bits.widen_for(dictionary.next);
    }
    bits.put(END);
    bits.finish()
}
