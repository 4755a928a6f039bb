//! What a client may choose about its picture, and what follows from it: where the rows of text stand.
//!
//! Invariant: a [`Look`] is within the bounds, and has room for at least one column and one row, the first
//! pixels of them at least.

use super::font;
use crate::base::error::Reject;
use std::ops::RangeInclusive;

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

const WIDTHS: RangeInclusive<u16> = 16..=1024;
const HEIGHTS: RangeInclusive<u16> = 16..=768;
const SCALES: RangeInclusive<u16> = 1..=4;

/// Between the text and the edge of the picture, where there is room for it, before scaling.
const MARGIN: u16 = 8;

/// Between two rows, before scaling.
const LEADING: u16 = 2;

/// How much of a refused value is repeated to the client.
const VALUE_SHOWN_MAX: usize = 32;

/// A picture's size and colours. Two clients with equal looks get equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look {
    /// In pixels.
    pub(super) width: u16,
    /// In pixels.
    pub(super) height: u16,
    /// How many pixels wide and high a dot of the font is.
    pub(super) scale: u16,
    pub(super) foreground: Colour,
    pub(super) background: Colour,
}

impl Default for Look {
    fn default() -> Look {
        Look { width: 480, height: 160, scale: 1, foreground: [0x1c, 0x1e, 0x21], background: [0xff; 3] }
    }
}

impl Look {
    /// Reads `width`, `height`, `scale`, `color` and `background` from the pairs of a query; other names are not
    /// meant for it. What is not said stays as it is by default, what is said twice is as said last.
    pub(crate) fn from_query<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Look, Reject> {
        let mut look = Look::default();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            match name {
                "width" => look.width = number(name, value, WIDTHS)?,
                "height" => look.height = number(name, value, HEIGHTS)?,
                "scale" => look.scale = number(name, value, SCALES)?,
                "color" => look.foreground = colour(name, value)?,
                "background" => look.background = colour(name, value)?,
                _ => {}
            }
        }
        Ok(look)
    }

    /// How many characters stand side by side.
    pub(super) fn columns(&self) -> usize {
        usize::from((self.width - 2 * self.left()) / self.column_pitch()).max(1)
    }

    /// How many rows stand one above the other: the lowest needs no leading below it.
    pub(super) fn rows(&self) -> usize {
        let (height, leading) = (self.height - 2 * self.bottom(), LEADING * self.scale);
        usize::from((height + leading) / self.row_pitch()).max(1)
    }

    /// From the left edge to the text.
    pub(super) fn left(&self) -> u16 {
        self.margin(self.width, font::WIDTH)
    }

    /// From the text to the bottom edge.
    pub(super) fn bottom(&self) -> u16 {
        self.margin(self.height, font::HEIGHT)
    }

    /// From a character to the next.
    pub(super) fn column_pitch(&self) -> u16 {
        font::WIDTH * self.scale
    }

    /// From a row to the next.
    pub(super) fn row_pitch(&self) -> u16 {
        (font::HEIGHT + LEADING) * self.scale
    }

    /// A margin on both sides of `length`; a picture too small for it has one character in its middle.
    fn margin(&self, length: u16, character: u16) -> u16 {
        let left_over = length.saturating_sub(character * self.scale);
        (MARGIN * self.scale).min(left_over / 2)
    }
}

fn number(name: &str, value: &str, bounds: RangeInclusive<u16>) -> Result<u16, Reject> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits && bounds.contains(&number) => Ok(number),
        _ => Err(refusal(name, value, format_args!("a number from {} to {}", bounds.start(), bounds.end()))),
    }
}

fn colour(name: &str, value: &str) -> Result<Colour, Reject> {
    let refusal = || refusal(name, value, format_args!("a colour as rrggbb, six hexadecimal digits from 000000 to ffffff"));
    if value.len() != 6 || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refusal());
    }
    let [_, red, green, blue] = u32::from_str_radix(value, 16).map_err(|_| refusal())?.to_be_bytes();
    Ok([red, green, blue])
}

fn refusal(name: &str, value: &str, expected: std::fmt::Arguments<'_>) -> Reject {
    Reject::new(400, "bad_query", format!("{name}={value:.VALUE_SHOWN_MAX$} is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pairs: &[(&str, &str)]) -> Result<Look, Reject> {
        Look::from_query(pairs.iter().copied())
    }

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        assert_eq!(look(&[("channel", "/a"), ("Width", "0"), ("", "")]), Ok(Look::default()));
        let said =
            [("width", "1024"), ("height", "16"), ("scale", "1"), ("scale", "4"), ("color", "Ff8000"), ("background", "000000")];
        let expected = Look { width: 1024, height: 16, scale: 4, foreground: [255, 128, 0], background: [0, 0, 0] };
        assert_eq!(look(&said), Ok(expected));
    }

    #[test]
    fn a_refusal_names_parameter_value_and_bound() {
        let number = |low, high| format!("is not a number from {low} to {high}");
        let (widths, heights, scales) = (number(16, 1024), number(16, 768), number(1, 4));
        let colours = "is not a colour as rrggbb, six hexadecimal digits from 000000 to ffffff".to_owned();
        for (name, value, bound) in [
            ("width", "", &widths),
            ("width", "15", &widths),
            ("width", "1025", &widths),
            ("width", "-480", &widths),
            ("width", "+480", &widths),
            ("width", " 480", &widths),
            ("width", "480px", &widths),
            ("width", "4.8e2", &widths),
            ("width", "٤٨٠", &widths),
            ("width", "66016", &widths),
            ("height", "15", &heights),
            ("height", "769", &heights),
            ("scale", "0", &scales),
            ("scale", "5", &scales),
            ("scale", "1.5", &scales),
            ("color", "", &colours),
            ("color", "red", &colours),
            ("color", "#ff000", &colours),
            ("color", "+ff000", &colours),
            ("color", "0xff00", &colours),
            ("color", "ééé", &colours),
            ("background", "fffffg", &colours),
            ("background", "1234567", &colours),
        ] {
            let refused = look(&[(name, value)]).unwrap_err();
            assert_eq!((refused.status, refused.code), (400, "bad_query"), "{name}={value}");
            assert_eq!(refused.detail, format!("{name}={value} {bound}"));
        }
    }

    #[test]
    fn a_refusal_repeats_only_the_beginning_of_a_long_value() {
        let detail = look(&[("width", &"é".repeat(8_000))]).unwrap_err().detail;
        assert_eq!(detail, format!("width={} is not a number from 16 to 1024", "é".repeat(32)));
    }

    #[test]
    fn the_text_stays_within_its_margins_wherever_one_character_fits() {
        for scale in SCALES {
            for (width, height) in WIDTHS.zip(HEIGHTS).chain([(1024, 16), (16, 768), (1024, 768)]) {
                let look = Look { width, height, scale, ..Look::default() };
                let (columns, rows) = (look.columns() as u16, look.rows() as u16);
                assert!(columns >= 1 && rows >= 1, "{look:?}");
                if width >= font::WIDTH * scale {
                    assert!(2 * look.left() + columns * look.column_pitch() <= width, "{look:?}");
                }
                if height >= font::HEIGHT * scale {
                    assert!(2 * look.bottom() + rows * look.row_pitch() - LEADING * scale <= height, "{look:?}");
                }
            }
        }
    }
}
