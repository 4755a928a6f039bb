//! As much of a text as is kept where strangers could make it long.

/// Leaves no more than so many bytes of a text, and a sign where it was longer.
pub(crate) fn shorten(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_is_cut_between_two_characters() {
        for (text, bytes_max, kept) in
            [("", 0, ""), ("abc", 3, "abc"), ("abcd", 3, "abc…"), ("aéé", 4, "aé…"), ("éé", 1, "…"), ("a", 0, "…")]
        {
            let mut text = text.to_owned();
            shorten(&mut text, bytes_max);
            assert_eq!(text, kept);
        }
    }
}
