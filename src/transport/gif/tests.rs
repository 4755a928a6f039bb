//! What is written here is read by a decoder that knows nothing of it, and compared with what another encoder writes.

use super::*;
use crate::base::random::{Random, Seed};
use gif::{ColorOutput, DecodeOptions, DisposalMethod, Encoder, Frame};

/// A small picture: 4 columns of 2 rows, margins of 8.
fn small() -> Look {
    Look { width: 52, height: 48, foreground: [10, 20, 30], background: [200, 210, 220], ..Look::default() }
}

/// The pixels of all frames that are whole in `bytes`, and whether the stream came to its end.
fn decode(look: &Look, bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(bytes).expect("the head is whole");
    assert_eq!((decoder.width(), decoder.height()), (look.width, look.height));
    assert_eq!(decoder.global_palette(), Some(&[look.background, look.foreground].concat()[..]));
    assert_eq!(decoder.bg_color(), Some(0));
    let mut frames = Vec::new();
    loop {
        match decoder.read_next_frame() {
            Ok(Some(frame)) => {
                assert_eq!((frame.left, frame.top, frame.width, frame.height), (0, 0, look.width, look.height));
                assert_eq!((frame.delay, frame.dispose), (DELAY, DisposalMethod::Keep));
                assert_eq!((frame.transparent, frame.interlaced, frame.needs_user_input), (None, false, false));
                frames.push(frame.buffer.to_vec());
            }
            Ok(None) => return (frames, true),
            Err(_) => return (frames, false),
        }
    }
}

/// The pixels of the one frame that shows `lines`.
fn pixels(look: &Look, lines: &[&str]) -> Vec<u8> {
    let mut stream = Vec::new();
    head(&mut stream, look);
    frame(&mut stream, look, lines);
    tail(&mut stream);
    let (mut frames, _) = decode(look, &stream);
    assert_eq!(frames.len(), 2, "the blank one and the one with the lines");
    frames.swap_remove(1)
}

/// What stands `column` characters from the left and `up` rows above the lowest, as rows of dots.
fn glyph_at(look: &Look, pixels: &[u8], column: u16, up: u16) -> font::Glyph {
    let scale = look.scale;
    let left = look.left() + column * look.column_pitch();
    let top = look.height - look.bottom() - up * look.row_pitch() - font::HEIGHT * scale;
    std::array::from_fn(|y| {
        (0..font::WIDTH).fold(0, |row, x| {
            let (x, y) = (usize::from(left + x * scale), usize::from(top + y as u16 * scale));
            row << 1 | u16::from(pixels[y * usize::from(look.width) + x])
        })
    })
}

#[test]
fn a_stream_cut_after_any_frame_shows_all_frames_before() {
    let look = small();
    let mut stream = Vec::new();
    head(&mut stream, &look);
    let mut whole = vec![stream.len()];
    for lines in [&["one"][..], &["one", "two"], &["one", "two", "three"]] {
        frame(&mut stream, &look, lines);
        whole.push(stream.len());
    }
    for (frames, &len) in whole.iter().enumerate() {
        let (shown, ended) = decode(&look, &stream[..len]);
        assert_eq!((shown.len(), ended), (frames + 1, false));
    }
    tail(&mut stream);
    let (shown, ended) = decode(&look, &stream);
    assert!(ended);
    assert_eq!(shown[0], vec![0; 52 * 48], "the first is blank");
    assert_eq!(shown[1..], [&["one"][..], &["one", "two"], &["two", "three"]].map(|lines| pixels(&look, lines)));
}

#[test]
fn a_stream_cut_anywhere_shows_the_frames_that_are_whole() {
    let look = small();
    let mut stream = Vec::new();
    head(&mut stream, &look);
    let head_len = stream.len();
    frame(&mut stream, &look, &["one"]);
    for len in head_len..stream.len() {
        assert_eq!(decode(&look, &stream[..len]).0[0], vec![0; 52 * 48], "{len}");
    }
}

#[test]
fn a_glyph_stands_where_it_should() {
    for scale in 1..=4 {
        let look = Look { width: 52 * scale, height: 48 * scale, scale, ..Look::default() };
        assert_eq!((look.columns(), look.rows()), (4, 2));
        let pixels = pixels(&look, &["x", "Aé", "b\u{301} Ω"]);
        for (column, up, expected) in [(0, 1, 'A'), (1, 1, 'é'), (2, 1, ' '), (1, 0, ' '), (2, 0, 'Ω'), (3, 0, ' ')] {
            assert_eq!(glyph_at(&look, &pixels, column, up), font::glyph(expected), "{expected:?} scale {scale}");
        }
        let both = std::array::from_fn(|row| font::glyph('b')[row] | font::glyph('\u{301}')[row]);
        assert_eq!(glyph_at(&look, &pixels, 0, 0), both, "a mark is drawn over its letter, scale {scale}");
        let dots = ["A", "é", "Ω"].map(|text| font::glyph(text.chars().next().unwrap())).into_iter().chain([both]);
        let count: u32 = dots.flatten().map(u16::count_ones).sum();
        let area = usize::from(scale * scale);
        assert_eq!(pixels.iter().filter(|&&pixel| pixel == 1).count(), count as usize * area, "a dot is a square");
    }
}

#[test]
fn any_picture_becomes_the_bytes_that_another_encoder_writes() {
    const HEAD_BYTES: usize = 13 + 6;
    let mut random = Random::new(Seed(1, 2));
    // Every width, so that any code may be the last; noise, so that the dictionary fills up, many times in the largest.
    for (width, height) in (16..400).map(|width| (width, 16)).chain([(1024, 768)]) {
        let look = Look { width, height, ..Look::default() };
        let noise: Vec<u8> = (0..usize::from(width) * usize::from(height)).map(|_| (random.bits() & 1) as u8).collect();
        let mut expected = Encoder::new(Vec::new(), width, height, &[0; 6]).unwrap();
        let dispose = DisposalMethod::Keep;
        let frame = Frame { width, height, delay: DELAY, dispose, buffer: noise.as_slice().into(), ..Frame::default() };
        expected.write_frame(&frame).unwrap();
        let mut written = Vec::new();
        image(&mut written, &look, &noise);
        assert!(written == expected.get_ref()[HEAD_BYTES..], "{width}x{height}");
    }
}

#[test]
fn whatever_the_text_is_it_is_drawn() {
    let hostile = [
        "\0\u{1}\u{7f}\u{85}\r\n\t".to_owned(),
        "\u{2028}\u{2029}".to_owned(),
        "x".repeat(100_000),
        " ".repeat(100_000),
        "中".repeat(100_000),
        format!("e{}", "\u{301}".repeat(100_000)),
        "\u{301}".to_owned(),
        "\u{202e}שלום\u{202c} مرحبا".to_owned(),
        "\u{fffd}\u{fffd}\u{fffd}".to_owned(),
        "👩‍👩‍👧‍👦\u{fe0f}\u{10ffff}\u{feff}".to_owned(),
        "<script>alert(1)</script>\u{3b};!".to_owned(),
    ];
    let lines: Vec<&str> = hostile.iter().map(String::as_str).collect();
    let looks = [(16, 16, 1), (16, 16, 4), (17, 768, 3), (1024, 16, 2), (480, 160, 1)];
    for (width, height, scale) in looks {
        let look = Look { width, height, scale, ..Look::default() };
        for end in 0..=lines.len() {
            assert_eq!(pixels(&look, &lines[..end]).len(), usize::from(width) * usize::from(height));
        }
    }
}

#[test]
fn only_the_last_lines_count_and_of_each_the_beginning() {
    let look = Look::default();
    let many = vec!["an old line"; 100_000];
    let mut last = many.clone();
    last.drain(..99_990);
    assert_eq!(pixels(&look, &many), pixels(&look, &last));
    let [long, longer] = [5_000, 100_000].map(|count| "ab ".repeat(count));
    assert_eq!(pixels(&look, &[&long]), pixels(&look, &[&longer]));
}
