//! An endless animated GIF whose every frame shows the last lines of a channel: a live feed for pages where no
//! script, no frame and no plug-in is allowed.
//!
//! ```text
//! stream  = head *frame [ trailer ]
//! head    = "GIF89a" width height table-flags 00 00 2*colour frame      that frame is blank
//! frame   = 21 f9 04 04 delay 00 00                                     graphic control: leave the frame in place
//!           2c 0000 0000 width height 00                                image descriptor: all of the canvas
//!           02 1*( length 1*255byte ) 00                                code size, LZW codes in sub-blocks
//! trailer = 3b
//! ```
//! A browser paints each frame as it arrives, so a frame needs no bytes after it to become visible.
//!
//! Each function writes its part from its arguments alone, so a frame is written once for all who look at a
//! channel in the same [`Look`]. That is also why the encoder of the `gif` crate is not used: it owns a stream
//! from its header to the trailer that it writes when dropped, and has no way to write a frame alone. In the tests
//! that crate is the judge: a frame has the very bytes it would write, and its decoder reads them back.
//!
//! Never meets a message, and never fails: whatever the text is, it is drawn.
//!
//! Invariants:
//! - Every frame covers the whole canvas: a stream may begin with any of them and skip any of them.
//! - The work for a frame is bounded by the look, however long the lines are.

mod canvas;
pub(super) mod feed;
mod font;
mod look;
mod lzw;
mod rows;

pub(crate) use look::Look;

use canvas::Canvas;

/// How long a frame stays before the next *may* be shown, in hundredths of a second. Less than two is taken for
/// "not said" and becomes a tenth of a second in browsers; more would hold back what comes close behind.
const DELAY: u16 = 2;

/// The longest sub-block.
const BLOCK_BYTES_MAX: usize = 255;

/// The first bytes of a stream: what it looks like, and a blank frame so that the image is there at once.
pub(crate) fn head(out: &mut Vec<u8>, look: &Look) {
    // There is a table for all frames (1), of eight bits a primary (111), not sorted (0), of 2^(0+1) colours (000).
    const TABLE_FLAGS: u8 = 0b1111_0000;
    out.extend_from_slice(b"GIF89a");
    size(out, look);
    out.extend_from_slice(&[TABLE_FLAGS, canvas::BACKGROUND, 0]);
    out.extend_from_slice(&look.background);
    out.extend_from_slice(&look.foreground);
    frame(out, look, &[]);
}

/// One frame: the last of `lines` that fit, the newest at the bottom.
pub(crate) fn frame(out: &mut Vec<u8>, look: &Look, lines: &[&str]) {
    let mut canvas = Canvas::blank(look);
    let rows = rows::last_rows(lines, look.columns(), look.rows());
    for (row, up) in rows.iter().rev().zip(0..) {
        canvas.draw(row, up);
    }
    image(out, look, canvas.pixels());
}

/// The end of a stream.
pub(crate) fn tail(out: &mut Vec<u8>) {
    out.push(b';');
}

fn image(out: &mut Vec<u8>, look: &Look, pixels: &[u8]) {
    const LEAVE_IN_PLACE: u8 = 1 << 2;
    let [delay_low, delay_high] = DELAY.to_le_bytes();
    out.extend_from_slice(&[b'!', 0xf9, 4, LEAVE_IN_PLACE, delay_low, delay_high, 0, 0]);
    out.extend_from_slice(&[b',', 0, 0, 0, 0]);
    size(out, look);
    out.extend_from_slice(&[0, lzw::CODE_SIZE]);
    for block in lzw::encode(pixels).chunks(BLOCK_BYTES_MAX) {
        out.push(block.len() as u8);
        out.extend_from_slice(block);
    }
    out.push(0);
}

fn size(out: &mut Vec<u8>, look: &Look) {
    out.extend_from_slice(&look.width.to_le_bytes());
    out.extend_from_slice(&look.height.to_le_bytes());
}

#[cfg(test)]
mod tests;
