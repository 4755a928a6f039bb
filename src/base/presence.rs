//! Of which channels it is told who is here, and what the channel is called on which that is told.
//!
//! ```text
//! sibling = "/presence" name        who comes to /chat/rome and leaves is told on /presence/chat/rome
//! ```
//! A sibling is at home where its channel is, so that who is here and what was said of it are known in one place, at one
//! moment. Where presence is told of at all, every name of that form is the server's own: clients cannot publish there,
//! and may read there what they may read without the first segment.

use super::name::{NAME_BYTES_MAX, is_internal};
use super::pattern::Patterns;
use super::payload::Message;

/// What siblings are called before their channel's own name.
const ROOM: &str = "/presence";

/// The channels of which it is told who is here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence(Patterns);

impl Presence {
    pub(crate) fn new(channels: Patterns) -> Presence {
        Presence(channels)
    }

    /// Whether it is told who is on the channel of this full name. It is not told of siblings and of the server's own, nor where
    /// a sibling's name would be too long.
    pub(crate) fn tells_of(&self, channel: &str) -> bool {
        let is_anybodys = attended(channel).is_none() && !is_internal(channel);
        self.is_on() && self.0.matches(channel) && is_anybodys && ROOM.len() + channel.len() <= NAME_BYTES_MAX
    }

    /// Whether nobody but the server publishes to the channel of this full name.
    pub(crate) fn owns(&self, channel: &str) -> bool {
        self.is_on() && attended(channel).is_some()
    }

    /// The same for a message's channel, which is looked at only where there is presence.
    pub(crate) fn owns_channel_of(&self, message: &Message) -> bool {
        self.is_on() && self.owns(message.channel())
    }

    /// The channel, or the pattern, that decides who may read `name`, which is one too: for siblings it is what they tell of.
    pub(crate) fn ruled_by<'a>(&self, name: &'a str) -> &'a str {
        if self.is_on() { attended(name).unwrap_or(name) } else { name }
    }

    fn is_on(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The name of the sibling of `channel`.
pub(crate) fn sibling(channel: &str) -> String {
    format!("{ROOM}{channel}")
}

/// The name by which a channel's home is found: siblings go by what they tell of.
pub(crate) fn home_name(channel: &str) -> &str {
    attended(channel).unwrap_or(channel)
}

/// What `name` is the sibling of, if its form is that of one.
fn attended(name: &str) -> Option<&str> {
    name.strip_prefix(ROOM).filter(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(patterns: &str) -> Presence {
        Presence::new(Patterns::parse(patterns).unwrap())
    }

    #[test]
    fn it_is_told_who_is_on_the_named_channels_but_not_on_their_siblings() {
        let long = format!("/{}", "x".repeat(245));
        let longer = format!("{long}x");
        for (patterns, channel, told) in [
            ("", "/a", false),
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/**", "/a/b", true),
            ("/**", "/presence", true),
            ("/**", "/encke/stats", false),
            ("/**", "/presences/a", true),
            ("/**", "/presence/a", false),
            ("/presence/**", "/presence/a", false),
            ("/**", &long, true),
            ("/**", &longer, false),
        ] {
            assert_eq!(presence(patterns).tells_of(channel), told, "{patterns} and {channel}");
            assert!(!told || super::super::name::Name::parse(&sibling(channel)).is_ok());
        }
    }

    #[test]
    fn a_sibling_is_owned_and_ruled_by_its_channel_where_presence_is_told() {
        for (name, base) in
            [("/presence/a/b", Some("/a/b")), ("/presence/a/**", Some("/a/**")), ("/presence", None), ("/a", None)]
        {
            assert_eq!(presence("/x").owns(name), base.is_some(), "{name}");
            assert_eq!(presence("/x").ruled_by(name), base.unwrap_or(name));
            assert!(!presence("").owns(name));
            assert_eq!(presence("").ruled_by(name), name);
            assert_eq!(home_name(name), base.unwrap_or(name));
        }
        assert_eq!(home_name(&sibling("/a/b")), "/a/b");
    }
}
