//! What a reader has seen, as a text that any transport takes back.
//!
//! ```text
//! cursor = place *( "." place )        a place a channel, in any order
//! place  = epoch "-" offset            everything up to and with this offset was seen
//! ```
//! A place finds its channel by the part of the epoch that follows from the channel's name.

use super::error::Reject;
use super::id::{Epoch, MessageId};
use std::fmt;

/// The most places in one cursor.
pub const PLACES_MAX: usize = 256;

/// A place in each of some channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// In the order of the subscription that made it.
    pub places: Vec<MessageId>,
}

impl Cursor {
    /// Reads a cursor; `None` if it is none of ours.
    pub fn parse(text: &[u8]) -> Option<Cursor> {
        let places: Option<Vec<MessageId>> =
            text.split(|&byte| byte == b'.').take(PLACES_MAX + 1).map(MessageId::parse).collect();
        places.filter(|places| places.len() <= PLACES_MAX).map(|places| Cursor { places })
    }

    /// Writes it to the end of `out`: every stream begins with one.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (i, place) in self.places.iter().enumerate() {
            if i > 0 {
                out.push(b'.');
            }
            place.write(out);
        }
    }

    /// What it says of the channel `name` whose incarnation is now `epoch`.
    pub fn of(&self, name: &str, epoch: Epoch) -> Seen {
        if let Some(place) = self.places.iter().find(|place| place.epoch == epoch) {
            return Seen::UpTo(place.offset);
        }
        match self.places.iter().any(|place| place.epoch.is_of(name)) {
            true => Seen::Formerly,
            false => Seen::Nothing,
        }
    }
}

/// What a cursor says of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Everything up to and with this offset.
    UpTo(u64),
    /// Something of a former incarnation: the place is lost.
    Formerly,
    /// The cursor does not speak of this channel.
    Nothing,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, place) in self.places.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{place}")?;
        }
        Ok(())
    }
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the next message.
    Now,
    /// With the oldest message there is.
    Earliest,
    /// Behind what was seen.
    Cursor(Cursor),
    /// With so many messages before the end, as far as they are there.
    Last(u64),
    /// With the first message that is younger than this second, counted from 1970.
    Second(u64),
    /// The reader holds a cursor that is none of ours: it has seen something, nobody knows what.
    Lost,
}

impl Since {
    /// Reads the text of `since=`.
    pub fn parse(text: &str) -> Result<Since, Reject> {
        match text {
            "now" => Ok(Since::Now),
            "earliest" => Ok(Since::Earliest),
            _ => match Cursor::parse(text.as_bytes()) {
                Some(cursor) => Ok(Since::Cursor(cursor)),
                None => Err(Reject::new(400, "bad_cursor", "since is a cursor, \"earliest\" or \"now\"")),
            },
        }
    }

    /// Reads a header in which a client gives back what it was given. It may have been given by another
    /// server, and a refusal would end an `EventSource` for good: then its place is lost, and it is told so.
    pub fn from_header(value: &[u8]) -> Since {
        Cursor::parse(value).map_or(Since::Lost, Since::Cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, random: u64, offset: u64) -> MessageId {
        MessageId { epoch: Epoch::new(name, random), offset }
    }

    #[test]
    fn a_cursor_finds_each_channel_whatever_the_order() {
        let cursor = Cursor { places: vec![place("/a", 1, 5), place("/b", 2, 9)] };
        let read = Cursor::parse(cursor.to_string().as_bytes()).unwrap();
        assert_eq!(read, cursor);
        let mut written = Vec::new();
        cursor.write(&mut written);
        assert_eq!(written, cursor.to_string().as_bytes());
        assert_eq!(read.of("/b", Epoch::new("/b", 2)), Seen::UpTo(9));
        assert_eq!(read.of("/a", Epoch::new("/a", 7)), Seen::Formerly);
        assert_eq!(read.of("/c", Epoch::new("/c", 1)), Seen::Nothing);
    }

    #[test]
    fn what_is_no_cursor_is_refused_in_a_query_and_lost_in_a_header() {
        for bad in ["", ".", "x", "1-2", &format!("{}.", place("/a", 1, 1))] {
            assert!(Since::parse(bad).is_err(), "{bad:?}");
            assert_eq!(Since::from_header(bad.as_bytes()), Since::Lost);
        }
        let long = vec![place("/a", 1, 1).to_string(); PLACES_MAX + 1].join(".");
        assert!(Since::parse(&long).is_err());
    }
}
