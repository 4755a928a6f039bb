//! What somebody sees who looks at the `gif` transport: whole frames, and the text on them.
//!
//! The stream's blocks are told apart here, strictly; pixels are the `gif` crate's to decode; and letters are known by
//! what `embedded-graphics` draws with the font. Each dot of a frame must be part of a letter.

use embedded_graphics::geometry::Point;
use embedded_graphics::mock_display::MockDisplay;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::text::{Baseline, Text};
use embedded_graphics::{Drawable, geometry::OriginDimensions};
use embedded_graphics_unicodefonts::mono_9x15_atlas;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A letter's place, and the space between two rows.
const LETTER: (usize, usize) = (9, 15);
const LEADING: usize = 2;
/// Between the text and the left and the lower edge.
const MARGIN: usize = 8;
/// Header, screen, and a table of two colours.
const HEAD_BYTES: usize = 6 + 7 + 6;
/// Says that there was no room for the rest of a line.
const ELLIPSIS: char = '…';

type Glyph = [u16; LETTER.1];

/// The frames of one picture, in whatever pieces they come.
pub struct Frames {
    size: (u16, u16),
    /// What every frame is decoded with; empty until it is here.
    head: Vec<u8>,
    bytes: Vec<u8>,
    blank: bool,
    over: bool,
}

impl Frames {
    pub fn new(size: (u16, u16)) -> Frames {
        Frames { size, head: Vec::new(), bytes: Vec::new(), blank: false, over: false }
    }

    /// The rows of each frame that is whole, but for the blank one that every picture begins with.
    pub fn take(&mut self, piece: &[u8]) -> Vec<Vec<String>> {
        self.bytes.extend(piece);
        if self.head.is_empty() {
            if self.bytes.len() < HEAD_BYTES {
                return Vec::new();
            }
            self.head = self.bytes.drain(..HEAD_BYTES).collect();
            let size = [self.size.0.to_le_bytes(), self.size.1.to_le_bytes()].concat();
            assert!(self.head.starts_with(&[b"GIF89a", &size[..], &[0b1111_0000, 0, 0]].concat()), "{:02x?}", self.head);
        }
        let mut frames = Vec::new();
        while let Some(length) = self.block() {
            let block: Vec<u8> = self.bytes.drain(..length).collect();
            assert!(!self.over, "bytes behind the trailer");
            match block[..] {
                [b';'] => self.over = true,
                // A comment.
                [b'!', 0xfe, ..] => {}
                _ => frames.extend(self.frame(&block)),
            }
        }
        frames
    }

    /// How long the next block is, if it is whole: a comment, the trailer, or a frame with what controls it.
    fn block(&self) -> Option<usize> {
        let bytes = &self.bytes;
        match *bytes.first()? {
            b';' => Some(1),
            b'!' if *bytes.get(1)? == 0xfe => sub_blocks(bytes, 2),
            b'!' => {
                assert_eq!(*bytes.get(1)?, 0xf9, "an extension that no picture of text needs");
                let image = sub_blocks(bytes, 2)?;
                let descriptor = bytes.get(image..image + 10)?;
                assert!(descriptor[0] == b',' && descriptor[9] == 0, "what is controlled is an image without colours of its own");
                sub_blocks(bytes, image + 11)
            }
            other => panic!("a block begins with {other:#04x}"),
        }
    }

    fn frame(&mut self, block: &[u8]) -> Option<Vec<String>> {
        let picture = [&self.head[..], block, b";"].concat();
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::Indexed);
        let mut decoder = options.read_info(&picture[..]).expect("a picture");
        let frame = decoder.read_next_frame().expect("a valid frame").expect("a frame");
        assert_eq!((frame.left, frame.top, (frame.width, frame.height)), (0, 0, self.size), "a frame covers everything");
        let rows = read(&frame.buffer, usize::from(self.size.0));
        assert!(decoder.read_next_frame().expect("a trailer").is_none());
        if std::mem::replace(&mut self.blank, true) {
            return Some(rows);
        }
        assert!(rows.iter().all(String::is_empty), "the first frame is blank: {rows:?}");
        None
    }
}

/// Where the sub-blocks end that begin at `at`.
fn sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}

/// How many letters a row has room for, and how many rows there are.
fn places((width, height): (usize, usize)) -> (usize, usize) {
    ((width - 2 * MARGIN) / LETTER.0, (height - 2 * MARGIN + LEADING) / (LETTER.1 + LEADING))
}

/// The rows of text, the lowest last, without blanks at their ends.
fn read(pixels: &[u8], width: usize) -> Vec<String> {
    let height = pixels.len() / width;
    let (columns, rows) = places((width, height));
    let mut dots = 0;
    let mut row = |up: usize| {
        let top = height - MARGIN - LETTER.1 - up * (LETTER.1 + LEADING);
        let letter = |column: usize| {
            let left = MARGIN + column * LETTER.0;
            let line = |y: usize| (0..LETTER.0).fold(0, |line, x| line << 1 | u16::from(pixels[(top + y) * width + left + x]));
            let glyph: Glyph = std::array::from_fn(line);
            dots += glyph.iter().map(|line| line.count_ones() as usize).sum::<usize>();
            *alphabet().get(&glyph).unwrap_or_else(|| panic!("no letter: {glyph:03x?}"))
        };
        (0..columns).map(letter).collect::<String>().trim_end().to_owned()
    };
    let rows = (0..rows).rev().map(&mut row).collect();
    assert_eq!(dots, pixels.iter().filter(|&&pixel| pixel == 1).count(), "dots beside the text");
    rows
}

/// The letters that are published, by what they look like.
fn alphabet() -> &'static HashMap<Glyph, char> {
    static ALPHABET: OnceLock<HashMap<Glyph, char>> = OnceLock::new();
    ALPHABET.get_or_init(|| {
        let letters: Vec<char> = (' '..='~').chain(['ü', ELLIPSIS]).collect();
        let alphabet: HashMap<Glyph, char> = letters.iter().map(|&letter| (glyph(letter), letter)).collect();
        assert_eq!(alphabet.len(), letters.len(), "no two letters look the same");
        alphabet
    })
}

fn glyph(letter: char) -> Glyph {
    let font = mono_9x15_atlas();
    let mut display = MockDisplay::new();
    let style = MonoTextStyle::new(&font, BinaryColor::On);
    Text::with_baseline(&letter.to_string(), Point::zero(), style, Baseline::Top).draw(&mut display).expect("room for a letter");
    assert!(display.size().width as usize >= LETTER.0);
    let dot = |x: usize, y: usize| u16::from(display.get_pixel(Point::new(x as i32, y as i32)) == Some(BinaryColor::On));
    std::array::from_fn(|y| (0..LETTER.0).fold(0, |line, x| line << 1 | dot(x, y)))
}

/// The rows that `text` takes in a picture of this size, as [`Frames::take`] gives them.
pub fn layout(text: &str, (width, height): (u16, u16)) -> Vec<String> {
    let (columns, rows) = places((width.into(), height.into()));
    text.lines().flat_map(|line| broken(line, columns, rows)).collect()
}

/// A line is broken behind a blank, or anywhere where none is; only as much of it is shown as fits the picture.
fn broken(line: &str, columns: usize, rows_max: usize) -> Vec<String> {
    let blank = |letter: &char| letter.is_whitespace();
    let text = |letters: &[char]| letters.iter().collect::<String>().trim_end().to_owned();
    let letters: Vec<char> = line.chars().collect();
    let (mut rows, mut rest) = (Vec::new(), &letters[..]);
    loop {
        let (row, behind) = rest.split_at(columns.min(rest.len()));
        let word = row.iter().rposition(blank).filter(|&at| row[..at].iter().any(|letter| !blank(letter)));
        let end = match (behind.first(), word) {
            (Some(next), Some(at)) if !blank(next) => at + 1,
            _ => row.len(),
        };
        let blanks = if end == row.len() { behind.iter().take_while(|letter| blank(letter)).count() } else { 0 };
        let (row, behind) = (&row[..end], &rest[end + blanks..]);
        if behind.is_empty() {
            rows.push(text(row));
            return rows;
        }
        if rows.len() + 1 == rows_max {
            rows.push(text(&row[..row.len().min(columns - 1)]) + "…");
            return rows;
        }
        rows.push(text(row));
        rest = behind;
    }
}
