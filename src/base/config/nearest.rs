//! What somebody probably meant who wrote a name that there is not.

/// Which of `words` was probably meant by `typed`: the one fewest edits away, if that is not most of it.
pub fn nearest<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (edits, word) = words.map(|word| (edits(typed, word), word)).min()?;
    (edits * 2 < word.len().max(2)).then_some(word)
}

/// How many letters must be added, dropped or replaced to turn `from` into `to` (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (at, other) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}
