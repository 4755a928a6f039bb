//! What a reader makes of the news of a stream.

use super::decode::News;
use super::memory::Memory;
use super::model::{Model, Place, Seen};
use super::slow::Gap;
use super::way::{Transport, Way};
use super::wire::Event;
use serde_json::Value;

impl Memory {
    /// A piece of news of a stream.
    pub fn learn(&mut self, model: &mut Model, way: &Way, news: &News) {
        match news {
            News::Event(event) => self.hear(model, way, event),
            News::Json(json) => self.hear_json(model, way, json),
            News::Plain { media_type: Some(media_type), bytes } if way.transport == Transport::Replace => {
                self.see_part(model, media_type, bytes);
            }
            News::Plain { media_type, bytes } => self.hear_plain(model, media_type.as_deref(), bytes),
            News::Picture(rows) => self.see_picture(model, way.picture, rows),
            News::Ping(_) | News::Close => {}
        }
    }

    /// An event of a stream.
    fn hear(&mut self, model: &mut Model, way: &Way, event: &Event) {
        if event.id.is_empty() {
            assert!(event.data.is_none(), "an event without a cursor");
            return;
        }
        let places = Place::parse_all(&event.id);
        assert_eq!(places.len(), self.channels.len());
        let moved = event.data.as_ref().map(|data| match event.name.as_str() {
            // A channel that was dropped is a gap whose count nobody knows, up to its new beginning.
            "gap" | "end" => {
                let notice: Value = serde_json::from_str(data).expect("a notice is JSON");
                self.hear_gap(model, &notice, |at| places[at].clone())
            }
            name => self.hear_message(model, way, name, data, &places),
        });
        for (at, place) in places.iter().enumerate().filter(|(at, _)| Some(*at) != moved) {
            self.stays(model, at, place, way.earliest);
        }
        self.cursor = Some(event.id.clone());
    }

    fn hear_message(&mut self, model: &mut Model, way: &Way, name: &str, data: &str, places: &[Place]) -> usize {
        if way.envelope {
            let envelope: Value = serde_json::from_str(data).expect("an envelope is JSON");
            let at = self.take_envelope(model, &envelope, way.earliest);
            assert_eq!(envelope["id"], places[at].to_string().as_str());
            assert_eq!(envelope.get("event").map_or("", |event| event.as_str().expect("text")), name);
            return at;
        }
        let channel = model.channel_of(Seen::Line(data));
        let at = self.index_of(model, &model.channels[channel]);
        self.advance(model, at, &places[at], way.earliest);
        model.saw(self.channels[at], &places[at], Seen::Line(data), name);
        at
    }

    /// A notice about a channel, which leads it to that channel's one of `places`.
    fn hear_gap(&mut self, model: &mut Model, notice: &Value, places: impl Fn(usize) -> Place) -> usize {
        let at = self.index_of(model, notice["channel"].as_str().expect("a channel"));
        let (Gap { missed, skipped }, place) = (Gap::read(notice), places(at));
        if let Some(seen) = &self.seen[at] {
            let counted = (seen.epoch == place.epoch).then(|| place.offset.wrapping_sub(seen.offset));
            assert_eq!(missed, counted, "missed between {seen} and {place}");
        }
        self.skip(model, at, &place, skipped);
        at
    }

    /// An envelope, or a notice. A client makes its cursor from the greeting's and each channel's newest id.
    fn hear_json(&mut self, model: &mut Model, way: &Way, json: &Value) {
        let id = || json["id"].as_str().map(Place::parse).expect("an id");
        if let Some(greeting) = json.get("cursor") {
            return self.greeted(model, way.earliest, greeting.as_str());
        }
        if json.get("heartbeat").is_some() || json.get("close").is_some() {
            return;
        }
        let (at, place) = match json.get("gap").or(json.get("end")) {
            Some(notice) => (self.hear_gap(model, notice, |_| id()), id()),
            None => (self.take_envelope(model, json, way.earliest), id()),
        };
        let bare = way.raw || way.transport == Transport::Parts;
        self.cursor = Some(if bare { self.all_seen() } else { self.moved_cursor(at, &place) });
    }

    /// It is told where it is, in all its channels; `None` if it has yet to be told of a place that is lost.
    pub fn greeted(&mut self, model: &mut Model, earliest: bool, cursor: Option<&str>) {
        let Some(cursor) = cursor else {
            assert!(self.cursor.is_some(), "a place is lost that nobody had");
            self.cursor = Some(self.all_seen());
            return;
        };
        let places = Place::parse_all(cursor);
        assert_eq!(places.len(), self.channels.len());
        for (at, place) in places.iter().enumerate() {
            self.stays(model, at, place, earliest);
        }
        self.cursor = Some(cursor.to_owned());
    }

    /// Published bytes and nothing else: the reader counts.
    fn hear_plain(&mut self, model: &mut Model, media_type: Option<&str>, bytes: &[u8]) {
        let channel = model.channel_of(Seen::Raw(bytes));
        let at = self.index_of(model, &model.channels[channel]);
        let place = self.seen[at].as_ref().expect("who counts knows where it began").plus(1);
        model.saw_bare(channel, &place, Seen::Raw(bytes), media_type);
        self.seen[at] = Some(place);
        self.got += 1;
        self.cursor = Some(self.all_seen());
    }

    fn take_envelope(&mut self, model: &mut Model, envelope: &Value, earliest: bool) -> usize {
        let at = self.index_of(model, envelope["channel"].as_str().expect("a channel"));
        let place = Place::parse(envelope["id"].as_str().expect("an id"));
        let event = envelope.get("event").map_or("", |event| event.as_str().expect("text"));
        if let Some(seen) = self.seen[at].as_ref().filter(|seen| seen.epoch == place.epoch) {
            let between = place.offset.wrapping_sub(seen.offset + 1);
            assert_eq!(envelope["conflated"].as_u64().unwrap_or(0), between, "left out between {seen} and {place}");
        }
        self.advance(model, at, &place, earliest);
        model.saw(self.channels[at], &place, Seen::Envelope(envelope), event);
        at
    }
}
