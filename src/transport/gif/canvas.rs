//! The picture before it is encoded: a byte a pixel, and rows of text drawn on it.
//!
//! Invariant: a pixel is one of the two colours, and what would lie beyond an edge is not drawn.

use super::font::{self, Glyph, Sort};
use super::look::Look;
use super::rows::Row;

/// The places of the two colours in the colour table.
pub(super) const BACKGROUND: u8 = 0;
const FOREGROUND: u8 = 1;

/// Follows what there was no room for.
const ELLIPSIS: char = '…';

/// A picture in the making.
pub(super) struct Canvas<'a> {
    look: &'a Look,
    pixels: Vec<u8>,
}

impl<'a> Canvas<'a> {
    /// A picture of nothing.
    pub(super) fn blank(look: &'a Look) -> Canvas<'a> {
        Canvas { look, pixels: vec![BACKGROUND; usize::from(look.width) * usize::from(look.height)] }
    }

    /// All pixels, from left to right, from the top down.
    pub(super) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Draws `row` as the one that is `up` rows above the lowest.
    pub(super) fn draw(&mut self, row: &Row<'_>, up: u16) {
        let below = self.look.bottom() + up * self.look.row_pitch();
        let top = self.look.height.saturating_sub(below + font::HEIGHT * self.look.scale);
        let (start, pitch) = (self.look.left(), self.look.column_pitch());
        let mut left = start;
        for c in row.text.chars().chain(row.is_cut.then_some(ELLIPSIS)) {
            match font::sort(c) {
                Sort::Blank => left += pitch,
                Sort::Letter => {
                    self.stamp(&font::glyph(c), left, top);
                    left += pitch;
                }
                Sort::Mark => self.stamp(&font::glyph(c), left.saturating_sub(pitch).max(start), top),
                Sort::Hidden => {}
            }
        }
    }

    /// Draws the dots of `glyph`, and leaves what is between them as it is.
    fn stamp(&mut self, glyph: &Glyph, left: u16, top: u16) {
        for (row, y) in glyph.iter().zip((top..).step_by(self.look.scale.into())) {
            for dot in (0..font::WIDTH).filter(|dot| row >> (font::WIDTH - 1 - dot) & 1 == 1) {
                self.dot(left + dot * self.look.scale, y);
            }
        }
    }

    /// Fills the square of one dot.
    fn dot(&mut self, left: u16, top: u16) {
        let Look { width, height, scale, .. } = *self.look;
        for y in top..height.min(top + scale) {
            let line = usize::from(y) * usize::from(width);
            let dots = line + usize::from(left)..line + usize::from(width.min(left + scale));
            if let Some(pixels) = self.pixels.get_mut(dots) {
                pixels.fill(FOREGROUND);
            }
        }
    }
}
