//! What a reader makes of a whole response: a batch, one message under its own type, a page, or nothing new.

use super::decode;
use super::memory::Memory;
use super::model::{Model, Place, Seen};
use super::way::{self, CALLBACK, Transport, Way};
use super::wire::Head;
use serde_json::Value;

/// How many messages of a channel a page shows.
const PAGE_MESSAGES: usize = 100;

impl Memory {
    /// A response that brings what there is, or says that there is nothing.
    pub fn answered(&mut self, model: &mut Model, way: &Way, head: &Head, body: &[u8]) {
        match head.status {
            200 if way.transport == Transport::Pull => self.look(model, body),
            200 | 204 | 304 if way.raw => self.take_raw(model, way, head, body),
            304 => self.take_unchanged(way, head),
            200 => self.take_json(model, way, head, body),
            status => panic!("reader {} was answered {status}: {:?}", self.number, String::from_utf8_lossy(body)),
        }
    }

    /// A page shows the last messages, and nothing of what is gone.
    fn look(&mut self, model: &Model, body: &[u8]) {
        let items = decode::page(body);
        for (at, &channel) in self.channels.iter().enumerate() {
            let here = |(name, _): &&(String, _)| self.index_of(model, name) == at;
            let texts: Vec<Option<String>> = items.iter().filter(here).map(|(_, text)| text.clone()).collect();
            assert!(texts.len() <= PAGE_MESSAGES);
            model.shown(channel, &texts);
        }
        self.got += items.len() as u64;
    }

    /// A batch as JSON.
    fn take_json(&mut self, model: &mut Model, way: &Way, head: &Head, body: &[u8]) {
        let script = way.transport == Transport::Jsonp;
        let json = if script { decode::jsonp(body, CALLBACK) } else { body };
        let batch: Value = serde_json::from_slice(json).expect("a batch is JSON");
        let cursor = batch["cursor"].as_str().expect("a cursor").to_owned();
        assert_eq!(head.field("ETag"), (!script).then(|| format!("\"{cursor}\"")).as_deref());
        let messages = batch["messages"].as_array().expect("messages");
        let mut gap = batch["gap"].as_bool().expect("whether there is a gap");
        if model.leaves_out() {
            self.pass_gaps(model, &batch);
            gap = false;
        }
        self.take_batch(model, &cursor, gap, messages.len(), way.earliest, |at, model, reader| {
            let envelope = &messages[at];
            let channel = reader.index_of(model, envelope["channel"].as_str().expect("a channel"));
            (channel, Place::parse(envelope["id"].as_str().expect("an id")))
        });
        for envelope in messages {
            let channel = self.index_of(model, envelope["channel"].as_str().expect("a channel"));
            let place = Place::parse(envelope["id"].as_str().expect("an id"));
            let event = envelope.get("event").map_or("", |event| event.as_str().expect("text"));
            model.saw(self.channels[channel], &place, Seen::Envelope(envelope), event);
        }
    }

    /// One message, or none, under its own type.
    fn take_raw(&mut self, model: &mut Model, way: &Way, head: &Head, body: &[u8]) {
        let cursor = head.field("ETag").expect("a tag").trim_matches('"').to_owned();
        let gap = head.field("Encke-Gap").is_some();
        let places = Place::parse_all(&cursor);
        let Some(channel) = head.field("Encke-Channel") else {
            assert!(body.is_empty() && head.status != 200);
            return self.take_batch(model, &cursor, gap, 0, way.earliest, |_, _, _| unreachable!("no messages"));
        };
        let at = self.index_of(model, &way::decode(channel));
        let event = way::decode(head.field("Encke-Event").unwrap_or(""));
        if let (Some(missed), [only], Some(seen)) = (head.field("Encke-Gap"), &places[..], &self.seen[0]) {
            let counted = only.offset.wrapping_sub(seen.offset + 1);
            let counted = if only.epoch == seen.epoch { counted.to_string() } else { "unknown".into() };
            assert_eq!(missed, counted, "missed between {seen} and {only}");
        }
        self.take_batch(model, &cursor, gap, 1, way.earliest, |_, _, _| (at, places[at].clone()));
        model.saw(self.channels[at], &places[at], Seen::Raw(body), &event);
    }

    fn take_unchanged(&mut self, way: &Way, head: &Head) {
        assert!(way.conditional && self.cursor.is_some(), "304 to who did not ask for it");
        let cursor = head.field("ETag").expect("a tag").trim_matches('"');
        for (place, seen) in Place::parse_all(cursor).iter().zip(&mut self.seen) {
            assert!(seen.as_ref().is_none_or(|seen| seen == place), "304 moved the cursor to {cursor}");
            *seen = Some(place.clone());
        }
        self.cursor = Some(cursor.to_owned());
    }

    /// Some messages came at once, in order within each channel, and `cursor` is where that leads.
    fn take_batch(
        &mut self,
        model: &mut Model,
        cursor: &str,
        gap: bool,
        count: usize,
        earliest: bool,
        message: impl Fn(usize, &Model, &Memory) -> (usize, Place),
    ) {
        let places = Place::parse_all(cursor);
        assert_eq!(places.len(), self.channels.len());
        let messages: Vec<(usize, Place)> = (0..count).map(|which| message(which, model, self)).collect();
        let mut gaps = 0;
        for (at, end) in places.iter().enumerate() {
            let mut of_channel = messages.iter().filter(|(channel, _)| *channel == at).map(|(_, place)| place).peekable();
            if let Some(first) = of_channel.peek() {
                self.leaves_out(model, at, first);
            }
            let start = match of_channel.peek() {
                Some(first) => Place { offset: first.offset - 1, ..(*first).clone() },
                None => end.clone(),
            };
            match &self.seen[at] {
                Some(seen) if *seen != start => {
                    assert!(gap, "reader {} goes from {seen} to {start} without being told", self.number);
                    gaps += 1;
                    self.skip(model, at, &start, false);
                }
                Some(_) => {}
                None => {
                    // Whether it missed anything it cannot know.
                    gaps += usize::from(gap);
                    self.stays(model, at, &start, earliest && !gap);
                }
            }
            for place in of_channel {
                self.advance(model, at, place, earliest);
            }
            assert_eq!(self.seen[at].as_ref(), Some(end), "the cursor is not where the messages end");
        }
        assert!(gaps > 0 || !gap, "reader {} is told of a gap at {cursor} and there is none", self.number);
        self.cursor = Some(cursor.to_owned());
    }
}
