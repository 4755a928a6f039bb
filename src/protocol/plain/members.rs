//! Who is here, as it is answered and said.
//!
//! ```text
//! {"channel":"/chat/rome","cursor":"…","members":[{"user":"ann","connections":2,"since":784111777000}],
//!  "more":false,"unlisted":0,"anonymous":3}
//! {"join":"ann"}   {"leave":"ann"}     on the sibling
//! ```
//! `since` is when the user came, in milliseconds since 1970. The cursor is of the channel's sibling: what is said there since
//! is said behind this list. With `more`, others follow behind the last member's name (`?after=`); over several such
//! answers the first one's cursor is the one to read on from, because what it says twice changes nothing.
//! `unlisted` are users for whom there was no room, `anonymous` are connections of nobody in particular.

use crate::base::id::MessageId;
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::sync::Arc;

/// What an entry weighs beside its user's name, at most.
const ENTRY_BYTES: usize = 64;

/// One user who is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Present {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub user: Arc<str>,
    /// On all shards together; none while it may be about to come back.
    pub connections: u64,
    /// When it came.
    #[serde(rename = "since")]
    pub since_unix_ms: u64,
}

/// Some of those who are here, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Roster {
    /// Where they are.
    pub channel: Box<str>,
    /// The last message on the channel's sibling that this list is made of.
    #[serde(serialize_with = "as_text")]
    pub cursor: MessageId,
    /// They.
    pub members: Vec<Present>,
    /// Whether others follow.
    pub more: bool,
    /// Users who are counted alone.
    pub unlisted: u64,
    /// Connections of nobody in particular.
    pub anonymous: u64,
}

impl Present {
    /// About how many bytes it takes to tell.
    pub(crate) fn weight(&self) -> usize {
        ENTRY_BYTES + self.user.len()
    }
}

impl Roster {
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers make JSON")
    }
}

fn as_text<S: Serializer>(text: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}

/// What is said of a user: the word is `join` or `leave`.
pub(crate) fn notice(word: &str, user: &str) -> String {
    let user = serde_json::to_string(user).expect("a text makes JSON");
    format!("{{\"{word}\":{user}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::Epoch;

    #[test]
    fn names_are_told_whatever_stands_in_them() {
        assert_eq!(notice("join", "ann"), r#"{"join":"ann"}"#);
        assert_eq!(notice("leave", "a\"\n\u{2028}"), "{\"leave\":\"a\\\"\\n\u{2028}\"}");
    }

    #[test]
    fn a_list_tells_of_each_with_what_is_known() {
        let present = Present { user: "ann".into(), connections: u64::from(u32::MAX), since_unix_ms: 9_999_999_999_999 };
        assert!(serde_json::to_string(&present).unwrap().len() < present.weight());
        let cursor = MessageId { epoch: Epoch::new("/presence/a", 1), offset: 3 };
        let roster = Roster { channel: "/a".into(), cursor, members: vec![present], more: false, unlisted: 1, anonymous: 2 };
        let members = r#""members":[{"user":"ann","connections":4294967295,"since":9999999999999}]"#;
        let json = format!(r#"{{"channel":"/a","cursor":"{cursor}",{members},"more":false,"unlisted":1,"anonymous":2}}"#);
        assert_eq!(roster.json(), json);
    }
}
