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
enum Pattern {
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

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them stands for the channel of this full name.
    pub fn matches(&self, channel: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(channel))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, String> {
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

    fn matches(&self, channel: &str) -> bool {
        match self {
            Pattern::Name(name) => **name == *channel,
            Pattern::OneMore(before) => channel.strip_prefix(&**before).is_some_and(|rest| !rest.contains('/')),
            Pattern::AnyMore(before) => channel.starts_with(&**before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
