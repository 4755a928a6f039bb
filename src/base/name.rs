//! Channel names.
//!
//! ```text
//! name    = 1*( "/" segment )            at most 255 bytes of UTF-8
//! segment = 1*character                  not "." or "..", not "*" or "**"
//! character = any but "/", control characters, and the line and paragraph separators
//! ```
//! Dots would be lost to path normalisation on the way here, and stars are how patterns are written.

use super::error::Reject;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A channel's name: cannot be illegal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// What the names of the server's own channels begin with.
const INTERNAL: &str = "/encke/";

/// Whether a channel is the server's own, as that of its numbers is. Whoever may inspect reads those, the server alone writes
/// them, and no pattern stands for them.
pub(crate) fn is_internal(channel: &str) -> bool {
    channel.starts_with(INTERNAL)
}

impl Name {
    /// Takes `text` as a name, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Name, Reject> {
        Name::check(text)?;
        Ok(Name(text.into()))
    }

    /// Says what is wrong with `text` as a name.
    pub fn check(text: &str) -> Result<(), Reject> {
        let refuse = |detail: &'static str| Err(Reject::new(400, "bad_channel", detail));
        let Some(segments) = text.strip_prefix('/') else {
            return refuse("a channel name begins with a slash");
        };
        if text.len() > NAME_BYTES_MAX {
            return refuse("a channel name is at most 255 bytes long");
        }
        if is_plain(segments.as_bytes()) {
            return Ok(());
        }
        for segment in segments.split('/') {
            match segment {
                "" => return refuse("a channel name has no empty segment, and no slash at its end"),
                "." | ".." => return refuse("a channel name has no segment of dots alone"),
                "*" | "**" => return refuse("a star is a pattern, not a channel name"),
                _ => {}
            }
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return refuse("a channel name has no control characters or line breaks");
        }
        Ok(())
    }

    /// The shared text itself.
    pub(crate) fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

/// Whether these segments are of letters, digits and a few signs alone, as most are: then there is no more to check.
fn is_plain(segments: &[u8]) -> bool {
    let (mut before, mut bad) = (SLASH, 0);
    for &byte in segments {
        let sort = SORTS[usize::from(byte)];
        // Anything else, or a slash behind another.
        bad |= sort & (before | OTHER);
        before = sort;
    }
    (bad | before & SLASH) == 0
}

const SLASH: u8 = 1;
const OTHER: u8 = 2;

/// What sort of byte each is; 0 for letters, digits, `-` and `_`.
const SORTS: [u8; 256] = {
    let mut sorts = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_') {
            sorts[byte] = 0;
        }
        byte += 1;
    }
    sorts[b'/' as usize] = SLASH;
    sorts
};

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_kept() {
        for good in ["/a", "/chat/rome", "/café/ü", "/a b/c", "/...", "/a*", "/***", &format!("/{}", "x".repeat(254))] {
            assert!(Name::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "a", "/", "//", "/a/", "/a//b", "/a/../b", "/.", "/*", "/a/**", "/a\0", "/a\n", "/\u{2028}", "/\u{85}"] {
            assert_eq!(Name::parse(bad).unwrap_err().status, 400, "{bad:?}");
        }
        assert!(Name::parse(&format!("/{}", "x".repeat(255))).is_err());
    }
}
