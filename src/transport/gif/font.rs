//! Characters to dots: the X11 font 9x15, which is in the public domain and has Latin, Greek, Cyrillic, Hebrew,
//! Arabic, Thai, Georgian, box drawing, arrows, mathematics and more, 4,775 characters in all.
//!
//! Owns which characters take a place, which are drawn over the one before, and which are not seen at all.
//! Arabic letters are not joined, and nothing is reordered: a text from right to left stands in the order of
//! its characters.

use embedded_graphics::geometry::Point;
use embedded_graphics::image::GetPixel;
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics_unicodefonts::mono_9x15_atlas;
use std::sync::LazyLock;

/// How many dots wide a character is; the space to the next is part of it.
pub(super) const WIDTH: u16 = 9;

/// How many dots high.
pub(super) const HEIGHT: u16 = 15;

/// How many glyphs stand side by side in the font's image.
const GLYPHS_A_ROW: usize = 16;

/// The font's image, and the index that finds a character in it without walking through a list of ranges. It is
/// made once and never changes.
static FONT: LazyLock<MonoFont<'static>> = LazyLock::new(mono_9x15_atlas);

/// A character's rows of dots from the top; a row's leftmost dot is bit 8.
pub(super) type Glyph = [u16; HEIGHT as usize];

/// Stands for a character that the font lacks: a box as high as a capital.
const BOX: Glyph = {
    const LINE: u16 = 0b0_1111_1110;
    const SIDES: u16 = 0b0_1000_0010;
    [0, 0, LINE, SIDES, SIDES, SIDES, SIDES, SIDES, SIDES, SIDES, SIDES, LINE, 0, 0, 0]
};

/// What a character does to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Takes a place and leaves it empty; a row may end there.
    Blank,
    /// Takes a place and is drawn on it.
    Letter,
    /// Is drawn over the place before.
    Mark,
    /// Only tells others how to look.
    Hidden,
}

/// What `c` does to the text. Marks that the font lacks are letters, so that something is seen of them.
pub(super) fn sort(c: char) -> Sort {
    match c {
        '!'..='~' => Sort::Letter,
        _ if c.is_whitespace() || c.is_control() => Sort::Blank,
        // Zero-width spaces and joiners, directions, invisible operators, variants of the character before.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => Sort::Hidden,
        '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => Sort::Hidden,
        // Diacritics of Latin, Greek and Cyrillic; points of Hebrew and Arabic; vowels and tones of Thai and Lao.
        '\u{300}'..='\u{34f}' | '\u{360}'..='\u{36f}' | '\u{483}'..='\u{486}' | '\u{488}'..='\u{489}' => Sort::Mark,
        '\u{5b0}'..='\u{5b9}' | '\u{5bb}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}' => Sort::Mark,
        '\u{64b}'..='\u{652}' | '\u{654}'..='\u{655}' => Sort::Mark,
        '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' => Sort::Mark,
        '\u{eb1}' | '\u{eb4}'..='\u{eb9}' | '\u{ebb}'..='\u{ebc}' | '\u{ec8}'..='\u{ecd}' => Sort::Mark,
        '\u{20d0}'..='\u{20ea}' | '\u{fe20}'..='\u{fe23}' => Sort::Mark,
        _ => Sort::Letter,
    }
}

/// The dots of `c`.
pub(super) fn glyph(c: char) -> Glyph {
    // The index knows no control characters, and answers zero, where the space is, for what the font lacks.
    if sort(c) == Sort::Blank {
        return Glyph::default();
    }
    match FONT.glyph_mapping.index(c) {
        0 => BOX,
        place => dots_at(place),
    }
}

/// The dots of the glyph at `place` of the image.
fn dots_at(place: usize) -> Glyph {
    let (left, top) = (place % GLYPHS_A_ROW * usize::from(WIDTH), place / GLYPHS_A_ROW * usize::from(HEIGHT));
    let is_on = |x, y| FONT.image.pixel(Point::new(x as i32, y as i32)) == Some(BinaryColor::On);
    std::array::from_fn(|y| {
        let dots = left..left + usize::from(WIDTH);
        dots.fold(0, |row, x| row << 1 | u16::from(is_on(x, top + y)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_a_looks_like_one() {
        let rows = [
            ".........",
            ".........",
            "....#....",
            "...#.#...",
            "..#...#..",
            ".#.....#.",
            ".#.....#.",
            ".#.....#.",
            ".#######.",
            ".#.....#.",
            ".#.....#.",
            ".#.....#.",
            ".........",
            ".........",
            ".........",
        ];
        let drawn = glyph('A').map(|row| format!("{row:09b}").replace('0', ".").replace('1', "#"));
        assert_eq!(drawn, rows);
    }

    #[test]
    fn every_alphabet_the_font_claims_is_there_and_distinct() {
        let characters = "Aaéßøŋ€“”…ΑβγΩЖщяאבגدذกขაბ─│┌┼█░→∑√♥✓⣿\u{301}\u{5b4}\u{fffd}";
        let glyphs: std::collections::HashSet<Glyph> = characters.chars().map(glyph).collect();
        assert_eq!(glyphs.len(), characters.chars().count() - 1, "the Greek capital alpha is drawn as the Latin A");
        assert!(!glyphs.contains(&BOX) && !glyphs.contains(&Glyph::default()));
    }

    #[test]
    fn what_the_font_lacks_is_a_box() {
        for c in ['中', 'あ', '😀', 'अ', '\u{94d}', '\u{f8ff}', '\u{10ffff}'] {
            assert_eq!((sort(c), glyph(c)), (Sort::Letter, BOX), "{c:?}");
        }
    }

    #[test]
    fn what_is_no_letter_takes_a_place_or_none() {
        for c in
            ['\0', '\t', '\n', '\r', '\u{1b}', ' ', '\u{7f}', '\u{85}', '\u{a0}', '\u{2003}', '\u{2028}', '\u{2029}', '\u{3000}']
        {
            assert_eq!((sort(c), glyph(c)), (Sort::Blank, Glyph::default()), "{c:?}");
        }
        for c in ['\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{fe0f}', '\u{feff}'] {
            assert_eq!(sort(c), Sort::Hidden, "{c:?}");
        }
    }

    #[test]
    fn every_character_has_a_glyph_and_every_mark_one_in_the_font() {
        for c in '\0'..=char::MAX {
            let glyph = glyph(c);
            assert!(glyph.iter().all(|row| row >> WIDTH == 0), "{c:?}");
            assert!(sort(c) != Sort::Mark || glyph != BOX, "{c:?}");
        }
    }
}
