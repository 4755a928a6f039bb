//! What a Bayeux client has got of one channel, and how that is held against the model.
//!
//! Events say nothing of their places. Who has got some in a row knows all their places as soon as it knows one of them:
//! the model knows it from the publisher or from another reader, or everything is at rest and the last one is the head's.
//! From then on each event has its place before it comes.

use super::model::{Model, Place};

/// One channel's events, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// The place before the first of the events in a row.
    before: Option<Place>,
    records: Vec<usize>,
    /// The last place before the row: nothing of it may come again.
    past: Option<Place>,
}

impl Book {
    /// The place of the last event, if it is known.
    pub fn place(&self) -> Option<Place> {
        self.before.as_ref().map(|before| before.plus(self.records.len() as u64))
    }

    /// An event came.
    pub fn enter(&mut self, model: &mut Model, channel: usize, record: usize) {
        self.records.push(record);
        if let Some(place) = self.place() {
            return model.saw_record(channel, &place, record);
        }
        if let Some(place) = model.place_of(record).cloned() {
            self.ends_at(model, channel, &place);
        }
    }

    /// Something may have been lost here: a row ends, and another begins somewhere behind it.
    pub fn tear(&mut self) {
        let past = self.place().or(self.past.take());
        *self = Book { before: None, records: Vec::new(), past };
    }

    /// All is at rest, and `head` is the channel's last place. A row that is `torn` may lack some before it.
    pub fn comes_to(&mut self, model: &mut Model, channel: usize, head: &Place, torn: bool) {
        match self.place() {
            Some(place) if place == *head => {}
            Some(place) => {
                assert!(torn, "a Bayeux client has come to {place} in channel {channel}, whose head is {head}");
                self.tear();
                self.ends_at(model, channel, head);
            }
            None => self.ends_at(model, channel, head),
        }
    }

    fn ends_at(&mut self, model: &mut Model, channel: usize, last: &Place) {
        let count = self.records.len() as u64;
        assert!(count <= last.offset, "{count} events came up to {last}");
        let before = Place { offset: last.offset - count, ..last.clone() };
        if let Some(past) = self.past.take().filter(|past| past.epoch == before.epoch) {
            assert!(past.offset <= before.offset, "events behind {before} came after {past}");
        }
        for (at, &record) in self.records.iter().enumerate() {
            model.saw_record(channel, &before.plus(1 + at as u64), record);
        }
        self.before = Some(before);
    }
}
