//! What a browser is known by, whichever of its pages asks: a cookie that names a shard, and 128 bits that nobody can guess.
//!
//! ```text
//! cookie = "BAYEUX_BROWSER=" shard secret        4 and 32 hexadecimal digits
//! ```
//! All sessions of a browser lie on its shard. Nothing is noted when one is given out: whoever makes up a cookie of this form
//! has a browser of their own, and no more than that.

use super::client_id::number;
use std::fmt;
use std::num::NonZeroU128;

const NAME: &str = "BAYEUX_BROWSER";
/// Digits of each part.
const PARTS: [usize; 2] = [4, 32];

/// A browser's mark.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Browser {
    /// The shard of its sessions.
    pub(crate) shard: u16,
    pub(crate) secret: NonZeroU128,
}

impl Browser {
    /// Finds the cookie among the values of `Cookie` fields; `None` if there is none that could have been given out here.
    pub(crate) fn find<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Option<Browser> {
        fields.find_map(|field| field.split(|&byte| byte == b';').find_map(|pair| Browser::parse(pair.trim_ascii())))
    }

    /// Reads `NAME=value`, in its one spelling.
    fn parse(pair: &[u8]) -> Option<Browser> {
        let (shard, secret) = pair.strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")?.split_at_checked(PARTS[0])?;
        (secret.len() == PARTS[1]).then_some(())?;
        Some(Browser { shard: number(shard)? as u16, secret: NonZeroU128::new(number(secret)?)? })
    }

    /// The value of a `Set-Cookie` field. No script reads it, and no page of another site brings it.
    pub(crate) fn cookie(&self, secure: bool) -> String {
        let Browser { shard, secret } = self;
        let secure = if secure { "; Secure" } else { "" };
        format!("{NAME}={shard:04x}{secret:032x}; Path=/; HttpOnly; SameSite=Lax{secure}")
    }
}

/// A log is no place for a secret.
impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Browser({})", self.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fields: &[&str]) -> Option<Browser> {
        Browser::find(fields.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn a_cookie_reads_back_from_among_others() {
        let browser = Browser { shard: 0xa7, secret: NonZeroU128::new(0x1234).expect("it is not zero") };
        let cookie = browser.cookie(false);
        let (pair, attributes) = cookie.split_once("; ").expect("a pair and attributes");
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(browser.cookie(true), format!("{cookie}; Secure"));
        assert_eq!(found(&[pair]), Some(browser));
        assert_eq!(found(&["a=1", &format!("b=2;{pair} ; BAYEUX_BROWSER=strange")]), Some(browser));
        assert_eq!(found(&[&format!("BAYEUX_BROWSER=strange; {pair}")]), Some(browser));
    }

    #[test]
    fn what_cannot_be_ours_is_nobodys() {
        let long = "0".repeat(35);
        for strange in [
            "",
            "BAYEUX_BROWSER",
            "BAYEUX_BROWSER=",
            "BAYEUX_BROWSER=1",
            &format!("bayeux_browser={long}1"),
            &format!("BAYEUX_BROWSER={long}0"),
            &format!("BAYEUX_BROWSER={long}A"),
            &format!("BAYEUX_BROWSER={long}11"),
            &format!("BAYEUX_BROWSER=+{}1", &long[1..]),
            &format!("BAYEUX_BROWSER=\"{long}1\""),
            &format!("XBAYEUX_BROWSER={long}1"),
        ] {
            assert_eq!(found(&[strange]), None, "{strange:?}");
        }
        assert_eq!(Browser::find([&b"BAYEUX_BROWSER=\xff"[..]].into_iter()), None);
    }
}
