//! Channel patterns: which channels an option speaks of.
//!
//! ```text
//! patterns = pattern *( "," pattern )
//! pattern  = name             that channel
//!          | [ name ] "/*"    those with exactly one segment more
//!          | [ name ] "/**"   those with one segment more, or several
//! ```
//! A star stands alone in the last segment, which no channel's name can have: a pattern is never mistaken for a
//! name. To match is to compare once with each pattern, so a name costs what it is long.

use super::name::Name;

/// One pattern. Those with a star are kept up to and with the slash before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Name(Box<str>),
    OneMore(Box<str>),
    AnyMore(Box<str>),
}

/// Some patterns; those of an empty text match nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Reads patterns parted by commas, or says which is none and why.
    pub fn parse(text: &str) -> Result<Patterns, String> {
        if text.is_empty() {
            return Ok(Patterns::default());
        }
        text.split(',').map(|pattern| Pattern::parse(pattern.trim())).collect::<Result<_, _>>().map(Patterns)
    }

    /// Those that were read one by one.
    pub(crate) fn of(patterns: Vec<Pattern>) -> Patterns {
        Patterns(patterns)
    }

    /// The one channel that they stand for, if they name one and no more.
    pub(crate) fn only_name(&self) -> Option<&str> {
        match &*self.0 {
            [Pattern::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them stands for a channel that `pattern` stands for too.
    pub(crate) fn overlap(&self, pattern: &Pattern) -> bool {
        self.0.iter().any(|own| own.overlaps(pattern))
    }

    /// Whether one of them stands for every channel that `pattern` stands for.
    pub(crate) fn cover(&self, pattern: &Pattern) -> bool {
        self.0.iter().any(|own| own.covers(pattern))
    }

    /// Whether one of them stands for the channel of this full name.
    pub fn matches(&self, channel: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(channel))
    }
}

impl Pattern {
    /// Reads one pattern, or says why it is none.
    pub(crate) fn parse(text: &str) -> Result<Pattern, String> {
        let (kept, pattern): (&str, fn(Box<str>) -> Pattern) = match text.rsplit_once('/') {
            Some((_, "*")) => (&text[..text.len() - 1], Pattern::OneMore),
            Some((_, "**")) => (&text[..text.len() - 2], Pattern::AnyMore),
            _ => (text, Pattern::Name),
        };
        // What stands before the star's slash is a name, or nothing at all.
        let name = if kept.len() < text.len() { &kept[..kept.len() - 1] } else { kept };
        if kept.len() == text.len() || !name.is_empty() {
            Name::check(name).map_err(|reject| format!("{text:?} is no pattern, {}", reject.detail))?;
        }
        Ok(pattern(kept.into()))
    }

    /// Whether there can be a channel that both stand for.
    fn overlaps(&self, other: &Pattern) -> bool {
        match (self, other) {
            (Pattern::Name(name), pattern) | (pattern, Pattern::Name(name)) => pattern.matches(name),
            (Pattern::OneMore(before), Pattern::OneMore(same)) => before == same,
            // What is one segment longer lies below, as does what it is longer than.
            (Pattern::OneMore(one), Pattern::AnyMore(any)) | (Pattern::AnyMore(any), Pattern::OneMore(one)) => {
                one.starts_with(&**any)
            }
            (Pattern::AnyMore(one), Pattern::AnyMore(other)) => one.starts_with(&**other) || other.starts_with(&**one),
        }
    }

    /// Whether it stands for every channel that `other` stands for.
    fn covers(&self, other: &Pattern) -> bool {
        match (self, other) {
            (pattern, Pattern::Name(name)) => pattern.matches(name),
            (Pattern::OneMore(own), Pattern::OneMore(other)) => own == other,
            (Pattern::AnyMore(own), Pattern::OneMore(other) | Pattern::AnyMore(other)) => other.starts_with(&**own),
            (Pattern::Name(_) | Pattern::OneMore(_), _) => false,
        }
    }

    /// Whether it stands for the channel of this full name.
    pub(crate) fn matches(&self, channel: &str) -> bool {
        match self {
            Pattern::Name(name) => **name == *channel,
            Pattern::OneMore(before) => channel.strip_prefix(&**before).is_some_and(|rest| !rest.contains('/')),
            Pattern::AnyMore(before) => channel.starts_with(&**before),
        }
    }
}

/// All patterns with a star that stand for the channel of this full name.
pub(crate) fn stars_of(channel: &str) -> impl Iterator<Item = String> {
    let one = channel.rfind('/').map(|slash| format!("{}*", &channel[..=slash]));
    one.into_iter().chain(channel.match_indices('/').map(|(slash, _)| format!("{}**", &channel[..=slash])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stars_of_a_channel_are_the_patterns_that_stand_for_it() {
        for (channel, stars) in
            [("/a", &["/*", "/**"][..]), ("/a/b", &["/a/*", "/**", "/a/**"]), ("/a/b/c", &["/a/b/*", "/**", "/a/**", "/a/b/**"])]
        {
            assert_eq!(stars_of(channel).collect::<Vec<_>>(), stars);
            assert!(stars_of(channel).all(|star| Patterns::parse(&star).unwrap().matches(channel)));
        }
    }

    #[test]
    fn patterns_overlap_if_one_channel_can_be_both() {
        for (own, other, expected) in [
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/a/b", "/a/*", true),
            ("/a/b/c", "/a/*", false),
            ("/a/b/c", "/**", true),
            ("/a/*", "/a/*", true),
            ("/a/*", "/b/*", false),
            ("/a/*", "/*", false),
            ("/a/*", "/a/**", true),
            ("/a/*", "/**", true),
            ("/a/*", "/a/b/**", false),
            ("/a/b/*", "/a/**", true),
            ("/a/**", "/a/b/**", true),
            ("/a/**", "/ab/**", false),
            ("/x,/a/**", "/a/b/c/**", true),
        ] {
            for (own, other) in [(own, other)].into_iter().chain((!own.contains(',')).then_some((other, own))) {
                let pattern = Pattern::parse(other).unwrap();
                assert_eq!(Patterns::parse(own).unwrap().overlap(&pattern), expected, "{own} and {other}");
            }
        }
    }

    #[test]
    fn a_pattern_covers_what_stands_for_no_other_channel_than_it() {
        for (own, other, expected) in [
            ("/a", "/a", true),
            ("/a", "/*", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/*", true),
            ("/a/*", "/a/**", false),
            ("/a/*", "/a/b/*", false),
            ("/a/**", "/a/*", true),
            ("/a/**", "/a/b/**", true),
            ("/a/b/**", "/a/**", false),
            ("/a/**", "/a", false),
            ("/a/**", "/ab/*", false),
            ("/**", "/a/**", true),
            ("/b,/a/**", "/a/*", true),
        ] {
            let pattern = Pattern::parse(other).unwrap();
            assert_eq!(Patterns::parse(own).unwrap().cover(&pattern), expected, "{own} and {other}");
        }
    }

    #[test]
    fn a_pattern_stands_for_its_channels_and_no_others() {
        for (patterns, channels, others) in [
            ("", &[][..], &["/a", "/"][..]),
            ("/a", &["/a"], &["/a/b", "/ab", "/A", "/b/a"]),
            ("/a/*", &["/a/b", "/a/b*", "/a/ü"], &["/a", "/ab", "/a/b/c", "/b/a", "/x/a/b"]),
            ("/a/**", &["/a/b", "/a/b/c", "/a/b/c/d"], &["/a", "/ab", "/ab/c", "/x/a/b"]),
            ("/*", &["/a", "/b"], &["/a/b"]),
            ("/**", &["/a", "/a/b", "/a/b/c"], &[]),
            ("/a/b/*", &["/a/b/c"], &["/a/b", "/a/c/d", "/a/b/c/d"]),
            ("/a*", &["/a*"], &["/a", "/ab"]),
            ("/a,/b/*, /c/**", &["/a", "/b/x", "/c/x/y"], &["/a/x", "/b", "/b/x/y", "/c"]),
        ] {
            let read = Patterns::parse(patterns).unwrap();
            for channel in channels {
                assert!(read.matches(channel), "{patterns:?} and {channel:?}");
            }
            for other in others {
                assert!(!read.matches(other), "{patterns:?} and {other:?}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for bad in ["a", "/", "*", "**", "a/*", "/a//*", "/*/a", "/**/a", "/a/", "/a/*/", "/./*", "/a,", ",/a", "/a,,/b", "//**"]
        {
            let error = Patterns::parse(bad).unwrap_err();
            assert!(error.contains(" is no pattern, "), "{bad:?}: {error}");
        }
        assert!(Patterns::parse("/good,bad").unwrap_err().starts_with("\"bad\" "));
    }
}
