//! What a reader knows: its channels, how far it has come in each, and the cursor it was given.
//!
//! The cursor is what the server gave; what the reader has truly got is noted apart from that, so that a cursor which
//! runs ahead of its reader is found out. Every move is checked here: the next message, a gap that was told, or nothing.

use super::model::{Model, Place};
use super::shown::Shown;
use super::slow::LeftOut;

pub struct Memory {
    /// Whose it is.
    pub number: usize,
    /// In the order of the subscription, as the model numbers them.
    pub channels: Vec<usize>,
    /// How far it has come in each; `None` until it is told where it is.
    pub seen: Vec<Option<Place>>,
    /// What it will resume from.
    pub cursor: Option<String>,
    /// Channels that it left while it was held, and how far it had come in them.
    pub left: Vec<(usize, Option<Place>)>,
    /// What it was shown by the one who does not say where that is.
    pub shown: Shown,
    /// How many messages it has got.
    pub got: u64,
    /// What it was not told since later messages tell more, and which has yet to be checked.
    pub left_out: Vec<LeftOut>,
}

impl Memory {
    pub fn new(number: usize, channels: Vec<usize>) -> Memory {
        let seen = vec![None; channels.len()];
        let (left, left_out) = (Vec::new(), Vec::new());
        Memory { number, channels, seen, cursor: None, left, shown: Shown::default(), got: 0, left_out }
    }

    /// How far it has come in `channel`, if it was told.
    pub fn place(&self, channel: usize) -> Option<&Place> {
        let at = self.channels.iter().position(|known| *known == channel)?;
        self.seen[at].as_ref()
    }

    /// Whether it can tell the message that it got last from the next.
    pub fn knows_its_message(&self, model: &Model) -> bool {
        let known = |seen: &Option<Place>| seen.as_ref().is_some_and(|seen| seen.offset == 0 || model.record_at(seen).is_some());
        self.cursor.is_some() && self.seen.iter().all(known)
    }

    /// The next message of a channel is at `place`.
    pub fn advance(&mut self, model: &mut Model, at: usize, place: &Place, earliest: bool) {
        self.leaves_out(model, at, place);
        match &self.seen[at] {
            Some(seen) => assert_eq!(*place, seen.plus(1), "reader {} gets this after {seen}", self.number),
            None => self.stays(model, at, &Place { offset: place.offset - 1, ..place.clone() }, earliest),
        }
        self.seen[at] = Some(place.clone());
        self.got += 1;
    }

    /// It was told that it is at `place`, and that it missed what lies between; perhaps since it was too far behind.
    pub fn skip(&mut self, model: &mut Model, at: usize, place: &Place, skipped: bool) {
        let channel = self.channels[at];
        if let Some(seen) = &self.seen[at] {
            assert!(seen.epoch != place.epoch || seen.offset < place.offset, "a gap leads from {seen} to {place}");
        }
        if skipped {
            model.must_be_too_far(channel, self.seen[at].as_ref(), place);
        } else if place.offset > 0 {
            model.must_be_droppable(channel, place);
        }
        model.knows(channel, place);
        self.seen[at] = Some(place.clone());
    }

    /// It was told that it is at `place` where nothing has happened.
    pub fn stays(&mut self, model: &mut Model, at: usize, place: &Place, earliest: bool) {
        match &self.seen[at] {
            Some(seen) if seen == place => {}
            // Its place is lost; what comes next from this channel must say so.
            Some(seen) if place.offset == 0 && seen.epoch != place.epoch => {}
            Some(seen) => panic!("reader {} moves from {seen} to {place} without being told anything", self.number),
            None => {
                // Where some are left out, the first that is told need not be the oldest that there is.
                if earliest && place.offset > 0 && !model.leaves_out() {
                    model.must_be_droppable(self.channels[at], place);
                }
                self.seen[at] = Some(place.clone());
            }
        }
    }

    /// The cursor with another place for one channel.
    pub fn moved_cursor(&self, at: usize, place: &Place) -> String {
        let mut places = Place::parse_all(self.cursor.as_ref().expect("a greeting came first"));
        places[at] = place.clone();
        join(places.iter())
    }

    /// A cursor of all that it has truly got.
    pub fn all_seen(&self) -> String {
        join(self.seen.iter().map(|seen| seen.as_ref().expect("it had a cursor")))
    }

    /// The one of its channels that is called `name`.
    pub fn index_of(&self, model: &Model, name: &str) -> usize {
        let found = self.channels.iter().position(|&channel| model.channels[channel] == name);
        found.unwrap_or_else(|| panic!("reader {} has not subscribed to {name:?}", self.number))
    }

    /// It takes up a channel that it had left, where it was in it or wherever it will be told.
    pub fn take_up(&mut self, channel: usize, seen: Option<Place>) {
        self.left.retain(|(left, _)| *left != channel);
        self.channels.push(channel);
        self.seen.push(seen);
    }

    /// It leaves a channel, and remembers where it was.
    pub fn leave(&mut self, at: usize) {
        self.left.push((self.channels.remove(at), self.seen.remove(at)));
        self.cursor = Some(self.all_seen());
    }
}

fn join<'a>(places: impl Iterator<Item = &'a Place>) -> String {
    places.map(Place::to_string).collect::<Vec<_>>().join(".")
}
