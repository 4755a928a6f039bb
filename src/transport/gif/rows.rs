//! Lines of any length to rows that fit the picture: broken after a blank where there is one, anywhere where
//! there is none.
//!
//! Invariants:
//! - A row has at most as many places as there are columns, the ellipsis of a cut row included.
//! - What is read is bounded by the picture: of each row a few characters a place, of all lines the last.

use super::font::{self, Sort};

/// How many characters of a row are read for each of its places: two marks a letter are many, and somebody sends
/// thousands.
const CHARACTERS_A_PLACE: usize = 3;

/// A stretch of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) text: &'a str,
    /// There was no room for the rest of the line: an ellipsis says so.
    pub(super) is_cut: bool,
}

/// The last rows of `lines`, the newest at the end. A line too long for all rows shows its beginning.
pub(super) fn last_rows<'a>(lines: &[&'a str], columns: usize, rows_max: usize) -> Vec<Row<'a>> {
    let mut upward = Vec::with_capacity(2 * rows_max);
    for line in lines.iter().rev() {
        if upward.len() >= rows_max {
            break;
        }
        upward.extend(broken(line, columns, rows_max).into_iter().rev());
    }
    upward.truncate(rows_max);
    upward.reverse();
    upward
}

/// The rows of one line, `rows_max` at most.
fn broken(mut line: &str, columns: usize, rows_max: usize) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    loop {
        let (text, rest) = split_row(line, columns);
        if rest.is_empty() {
            rows.push(Row { text, is_cut: false });
            return rows;
        }
        if rows.len() + 1 == rows_max {
            rows.push(Row { text: split_at_place(text, columns - 1).0, is_cut: true });
            return rows;
        }
        rows.push(Row { text, is_cut: false });
        line = rest;
    }
}

/// The first row of `text`, and what is left for the next, without the blanks between them.
fn split_row(text: &str, columns: usize) -> (&str, &str) {
    let (near, far) = split_at_character(text, columns * CHARACTERS_A_PLACE);
    let (row, after) = split_at_place(near, columns);
    let is_blank = |c| font::sort(c) == Sort::Blank;
    if after.is_empty() || after.starts_with(is_blank) {
        let rest_len = after.trim_start_matches(is_blank).len() + far.len();
        return (row, text.split_at(text.len() - rest_len).1);
    }
    let words = row.trim_end_matches(|c| !is_blank(c));
    // Indentation alone makes no row.
    let end = if words.trim_start_matches(is_blank).is_empty() { row.len() } else { words.len() };
    text.split_at(end)
}

/// The first `places` of `text` with the marks on them, and the rest.
fn split_at_place(text: &str, places: usize) -> (&str, &str) {
    let takes_place = |c| matches!(font::sort(c), Sort::Blank | Sort::Letter);
    let mut starts = text.char_indices().filter(|&(_, c)| takes_place(c));
    text.split_at(starts.nth(places).map_or(text.len(), |(at, _)| at))
}

/// The first `count` characters of `text`, and the rest.
fn split_at_character(text: &str, count: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(count).map_or(text.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as text, the ellipsis included.
    fn shown(lines: &[&str], columns: usize, rows_max: usize) -> Vec<String> {
        let ellipsis = |row: &Row<'_>| if row.is_cut { "…" } else { "" };
        last_rows(lines, columns, rows_max).iter().map(|row| format!("{}{}", row.text, ellipsis(row))).collect()
    }

    #[test]
    fn the_last_rows_stay() {
        for (lines, rows_max, expected) in [
            (&[][..], 2, &[][..]),
            (&["a"], 2, &["a"]),
            (&["a", "b", "c"], 2, &["b", "c"]),
            (&["a", "", "c"], 2, &["", "c"]),
            (&["a", "one two three", "c"], 3, &["two ", "three", "c"]),
            (&["one two three", "four five"], 3, &["three", "four ", "five"]),
        ] {
            assert_eq!(shown(lines, 5, rows_max), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_long_line_is_broken() {
        for (line, expected) in [
            ("", &[""][..]),
            ("12345", &["12345"]),
            ("12345\r\n", &["12345"]),
            ("12345   ", &["12345"]),
            ("123456", &["12345", "6"]),
            ("123 56", &["123 ", "56"]),
            ("123\t\n56", &["123\t\n", "56"]),
            ("1234 6", &["1234 ", "6"]),
            ("12345 7", &["12345", "7"]),
            ("12 45 78", &["12 45", "78"]),
            ("   456", &["   45", "6"]),
            ("a bcdefghi", &["a ", "bcdef", "ghi"]),
            ("中中中中中中", &["中中中中中", "中"]),
            ("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", &["e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"]),
            ("\u{301}\u{200b}12345", &["\u{301}\u{200b}12345"]),
            ("      ", &["     "]),
        ] {
            assert_eq!(shown(&[line], 5, 9), expected, "{line:?}");
        }
    }

    #[test]
    fn a_line_too_long_for_all_rows_shows_its_beginning() {
        for (line, rows_max, expected) in [
            ("1234567890", 2, &["12345", "67890"][..]),
            ("12345678901", 2, &["12345", "6789…"]),
            ("one two three", 1, &["one …"]),
            ("one two three", 2, &["one ", "two …"]),
            (&format!("a{}", "\u{301}".repeat(1_000)), 1, &[&format!("a{}…", "\u{301}".repeat(14))]),
        ] {
            assert_eq!(shown(&[line], 5, rows_max), expected, "{line:?}");
        }
        assert_eq!(shown(&["12"], 1, 1), ["…"]);
    }

    #[test]
    fn no_row_is_longer_than_the_picture_is_wide() {
        let mut random = crate::base::random::Random::new(crate::base::random::Seed(1, 1));
        for _ in 0..2_000 {
            let characters = ['a', 'é', ' ', '\t', '\u{301}', '\u{200b}', '中'];
            let line: String = (0..random.bits() % 60).map(|_| characters[(random.bits() % 7) as usize]).collect();
            let (columns, rows_max) = ((random.bits() % 7) as usize + 1, (random.bits() % 5) as usize + 1);
            let rows = last_rows(&[&line, &line], columns, rows_max);
            assert!((1..=rows_max).contains(&rows.len()));
            for row in rows {
                let places = row.text.chars().filter(|&c| matches!(font::sort(c), Sort::Blank | Sort::Letter)).count();
                assert!(places + usize::from(row.is_cut) <= columns, "{line:?} {row:?}");
                assert!(row.text.chars().count() <= columns * CHARACTERS_A_PLACE, "{line:?} {row:?}");
            }
        }
    }
}
