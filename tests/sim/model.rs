//! The shadow: every message that was ever handed in, what became of it, and what a reader may be told of it.
//!
//! A message is known by its data, which no two share. Its place is pinned by whoever names it first, the answer to
//! its publisher or a reader that gets it, and everybody after must say the same. Of a publish whose answer was lost
//! nothing is known until a reader sees it; where that leaves room for doubt, the model gives way.

use super::slow::{self, Policy};
use super::weather::Weather;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encke::base::payload::{Message, Parts};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// A message's id, or how far a reader has come in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub epoch: String,
    pub offset: u64,
}

impl Place {
    /// `count` messages further.
    pub fn plus(&self, count: u64) -> Place {
        Place { offset: self.offset + count, ..self.clone() }
    }

    pub fn parse(text: &str) -> Place {
        let (epoch, offset) = text.split_once('-').unwrap_or_else(|| panic!("no id: {text:?}"));
        Place { epoch: epoch.to_owned(), offset: offset.parse().unwrap_or_else(|_| panic!("no id: {text:?}")) }
    }

    /// A cursor's places, in the order of the subscription.
    pub fn parse_all(cursor: &str) -> Vec<Place> {
        cursor.split('.').map(Place::parse).collect()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// Handed in; no answer yet, or none any more.
    Unknown,
    /// Taken, but its place was not told.
    Kept,
    At(Place),
    Refused,
}

/// One message that was handed in.
struct Record {
    channel: usize,
    data: Data,
    sent_ms: u64,
    fate: Fate,
    /// Who published it: what one publisher sends on one connection stays in order. `None`: this process.
    source: Option<usize>,
}

/// What to publish, in all the forms that readers get it in.
#[derive(Clone, Debug)]
pub struct Data {
    pub bytes: Vec<u8>,
    pub content_type: String,
    pub event: String,
}

/// A message as a reader got it.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// The body of a raw response.
    Raw(&'a [u8]),
    /// The data of a stream's event.
    Line(&'a str),
    /// The envelope.
    Envelope(&'a Value),
    /// The text on a page.
    Page(&'a str),
}

pub struct Model {
    pub channels: Vec<String>,
    records: Vec<Record>,
    by_form: HashMap<Vec<u8>, usize>,
    at: HashMap<Place, usize>,
    /// Of each epoch: its channel, and the last offset known.
    epochs: HashMap<String, (usize, u64)>,
    /// Of each channel: messages whose place is not known; what all its messages weigh.
    open: Vec<u64>,
    weights: Vec<u64>,
    deletes: Vec<u64>,
    history_messages: u64,
    history_bytes: u64,
    history_age_ms: u64,
    budget: u64,
    linger_ms: u64,
    pub heartbeat_ms: u64,
    /// What becomes of readers who fall behind, of each channel; and how far they may.
    pub policies: Vec<Policy>,
    pub lag_max: u64,
    /// How long the run has gone.
    pub now_ms: u64,
}

impl Model {
    pub fn new(weather: &Weather) -> Model {
        let config = &weather.config;
        let channels = weather.channels.len();
        Model {
            channels: weather.channels.clone(),
            records: Vec::new(),
            by_form: HashMap::new(),
            at: HashMap::new(),
            epochs: HashMap::new(),
            open: vec![0; channels],
            weights: vec![0; channels],
            deletes: vec![0; channels],
            history_messages: config.history_messages,
            history_bytes: config.history_bytes,
            history_age_ms: config.history_age_ms,
            budget: config.history_budget / u64::from(weather.shards),
            linger_ms: config.channel_linger_ms,
            heartbeat_ms: config.heartbeat_ms,
            policies: slow::policies(weather),
            lag_max: config.slow_lag,
            now_ms: 0,
        }
    }

    /// How many messages were handed in so far.
    pub fn count(&self) -> usize {
        self.records.len()
    }

    // What publishers say.

    /// A message is handed in.
    pub fn sent(&mut self, channel: usize, data: &Data, source: Option<usize>) -> usize {
        let record = self.records.len();
        for form in forms(data) {
            let other = self.by_form.insert(form, record);
            assert!(other.is_none_or(|other| other == record), "two messages look the same");
        }
        let name = &self.channels[channel];
        let message = Message::new(&Parts {
            channel: name,
            content_type: &data.content_type,
            event: &data.event,
            data: &data.bytes,
            unix_ms: 0,
        });
        self.weights[channel] += message.expect("a message").weight() as u64;
        self.open[channel] += 1;
        self.records.push(Record { channel, data: data.clone(), sent_ms: self.now_ms, fate: Fate::Unknown, source });
        record
    }

    /// It was taken, under this id.
    pub fn answered(&mut self, record: usize, place: Place) {
        self.pin(record, &place);
    }

    /// It was taken.
    pub fn kept(&mut self, record: usize) {
        assert_eq!(self.records[record].fate, Fate::Unknown);
        self.records[record].fate = Fate::Kept;
    }

    /// It was refused: nobody may ever see it.
    pub fn refused(&mut self, record: usize) {
        let fate = std::mem::replace(&mut self.records[record].fate, Fate::Refused);
        assert_eq!(fate, Fate::Unknown, "message {record} was refused and kept");
        self.open[self.records[record].channel] -= 1;
    }

    /// Somebody asked for a channel to be dropped.
    pub fn deleted(&mut self, channel: usize) {
        self.deletes[channel] += 1;
    }

    // What readers say.

    /// A reader got a message of `channel`.
    pub fn saw(&mut self, channel: usize, place: &Place, seen: Seen<'_>, event: &str) {
        let record = self.find(seen);
        assert_eq!(self.records[record].data.event, event, "the event of message {record} at {place}");
        self.saw_bare(channel, place, seen, None);
    }

    /// A reader got a message of `channel` without its event, perhaps under its type.
    pub fn saw_bare(&mut self, channel: usize, place: &Place, seen: Seen<'_>, media_type: Option<&str>) {
        let record = self.find(seen);
        let published = self.media_type(record);
        assert_eq!(media_type.unwrap_or(published), published, "the type of message {record} at {place}");
        self.saw_record(channel, place, record);
    }

    /// A reader knows that this message of `channel` is at `place`.
    pub fn saw_record(&mut self, channel: usize, place: &Place, record: usize) {
        assert_eq!(self.records[record].channel, channel, "message {record} at {place} is on another channel");
        self.pin(record, place);
    }

    /// A page shows these texts of `channel`, the newest first; what is no text is there without one.
    pub fn shown(&self, channel: usize, texts: &[Option<String>]) {
        let mut newest: Option<(usize, &Place)> = None;
        for (at, text) in texts.iter().enumerate() {
            let Some(text) = text else { continue };
            let record = &self.records[self.find(Seen::Page(text))];
            assert_eq!(record.channel, channel, "{text:?} is on another channel");
            assert_ne!(record.fate, Fate::Refused, "{text:?} was refused and is shown");
            let Fate::At(place) = &record.fate else { continue };
            let (first, above) = *newest.get_or_insert((at, place));
            let expected = Place { offset: above.offset - (at - first) as u64, ..above.clone() };
            assert_eq!(*place, expected, "{text:?} is shown {} below {above}", at - first);
        }
    }

    /// The channel on which something was published.
    pub fn channel_of(&self, seen: Seen<'_>) -> usize {
        self.records[self.find(seen)].channel
    }

    /// The type that a message is told to be of.
    pub fn media_type(&self, record: usize) -> &str {
        let published = &self.records[record].data.content_type;
        if published.is_empty() { "text/plain; charset=utf-8" } else { published }
    }

    /// What a picture shows of a message of `channel`.
    pub fn text(&self, channel: usize, record: usize) -> String {
        let Record { channel: on, data: Data { bytes, content_type, .. }, .. } =
            self.records.get(record).unwrap_or_else(|| panic!("nobody published message {record}"));
        assert_eq!(*on, channel, "message {record} is on another channel");
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("[{} bytes {content_type}]", bytes.len()),
        }
    }

    /// The event name of a message.
    pub fn event(&self, record: usize) -> &str {
        &self.records[record].data.event
    }

    /// Whether a message of this event name may have come behind `place`.
    pub fn may_be_followed(&self, channel: usize, event: &str, place: &Place) -> bool {
        let behind = |record: &Record| match &record.fate {
            Fate::At(other) => other.epoch == place.epoch && other.offset > place.offset,
            Fate::Unknown | Fate::Kept => true,
            Fate::Refused => false,
        };
        let same = |record: &&Record| record.channel == channel && record.data.event == event;
        self.records.iter().filter(same).any(behind)
    }

    /// Where a message is, as far as anybody was told.
    pub fn place_of(&self, record: usize) -> Option<&Place> {
        match &self.records[record].fate {
            Fate::At(place) => Some(place),
            _ => None,
        }
    }

    /// The message at `place`, as far as anybody was told.
    pub fn record_at(&self, place: &Place) -> Option<usize> {
        self.at.get(place).copied()
    }

    /// The message that these bytes are.
    pub fn find(&self, seen: Seen<'_>) -> usize {
        let key = match seen {
            Seen::Raw(bytes) => form("raw", bytes),
            Seen::Line(text) => form("line", text.as_bytes()),
            Seen::Envelope(envelope) => envelope_form(envelope),
            Seen::Page(text) => form("page", text.as_bytes()),
        };
        *self.by_form.get(&key).unwrap_or_else(|| panic!("nobody published this: {seen:?}"))
    }

    fn pin(&mut self, record: usize, place: &Place) {
        let channel = self.records[record].channel;
        let other = *self.at.entry(place.clone()).or_insert(record);
        assert_eq!(other, record, "two messages at {place}");
        match &self.records[record].fate {
            Fate::Unknown | Fate::Kept => self.open[channel] -= 1,
            Fate::At(before) => return assert_eq!(before, place, "message {record} is in two places"),
            Fate::Refused => panic!("message {record} was refused and is at {place}"),
        }
        self.records[record].fate = Fate::At(place.clone());
        self.knows(channel, place);
    }

    /// An epoch is one channel's, and there is a reason for each.
    pub fn knows(&mut self, channel: usize, place: &Place) {
        let (owner, head) = self.epochs.entry(place.epoch.clone()).or_insert((channel, 0));
        assert_eq!(*owner, channel, "{place} is of another channel");
        *head = place.offset.max(*head);
        let epochs = self.epochs.values().filter(|(owner, _)| *owner == channel).count() as u64;
        if self.now_ms < self.linger_ms {
            assert!(epochs <= 1 + self.deletes[channel], "{} began anew though nobody dropped it", self.channels[channel]);
        }
    }

    /// Panics if the history surely still holds the message at `place`.
    pub fn must_be_droppable(&self, channel: usize, place: &Place) {
        assert!(self.may_be_dropped(channel, place), "{place} was given up though no bound asked for it");
    }

    /// Whether the history may no longer hold the message at `place`.
    pub fn may_be_dropped(&self, channel: usize, place: &Place) -> bool {
        let head = self.epochs.get(&place.epoch).map_or(0, |(_, head)| *head) + self.open[channel];
        let count = place.offset + self.history_messages <= head;
        let bytes = self.weights[channel] > self.history_bytes;
        let budget = self.weights.iter().sum::<u64>() > self.budget;
        let sent_ms = self.at.get(place).map_or(0, |&record| self.records[record].sent_ms);
        let age = sent_ms + self.history_age_ms <= self.now_ms;
        count || bytes || budget || age
    }

    /// Whether `channel` may have been dropped, or forgotten, and begun anew.
    pub fn may_begin_anew(&self, channel: usize) -> bool {
        self.deletes[channel] > 0 || self.now_ms >= self.linger_ms
    }

    // In the end.

    /// `head` is where `channel` has come to: every message that was taken has its place, in order.
    pub fn check_head(&mut self, channel: usize, head: &Place) {
        self.knows(channel, head);
        let (_, last) = self.epochs[&head.epoch];
        assert_eq!(last, head.offset, "a message is beyond the head {head}");
        let of_channel = |record: &&Record| record.channel == channel;
        let here = |record: &&Record| matches!(&record.fate, Fate::At(place) if place.epoch == head.epoch);
        let known = self.records.iter().filter(of_channel).filter(here).count() as u64;
        assert!(known <= head.offset && head.offset <= known + self.open[channel], "{known} messages are known before {head}");
    }

    /// What one publisher sent in order is in order.
    pub fn check_order(&self) {
        let mut last: HashMap<(Option<usize>, usize, &str), u64> = HashMap::new();
        for record in &self.records {
            let Fate::At(place) = &record.fate else { continue };
            let last = last.entry((record.source, record.channel, &place.epoch)).or_default();
            assert!(*last < place.offset, "{place} came before what was published earlier");
            *last = place.offset;
        }
    }

    /// How many messages were surely taken, and how many more may have been.
    pub fn taken(&self) -> (u64, u64) {
        let count = |wanted: fn(&Fate) -> bool| self.records.iter().filter(|record| wanted(&record.fate)).count() as u64;
        (count(|fate| matches!(fate, Fate::Kept | Fate::At(_))), count(|fate| *fate == Fate::Unknown))
    }
}

fn form(kind: &str, bytes: &[u8]) -> Vec<u8> {
    [kind.as_bytes(), b" ", bytes].concat()
}

/// All the looks of one message.
fn forms(data: &Data) -> Vec<Vec<u8>> {
    let base64 = || STANDARD.encode(&data.bytes);
    let text = std::str::from_utf8(&data.bytes);
    let (line, envelope) = match (&*data.content_type, text) {
        ("application/json", Ok(text)) => (text.to_owned(), (serde_json::from_str(text).expect("JSON"), "")),
        (_, Ok(text)) => (text.replace("\r\n", "\n").replace('\r', "\n"), (Value::from(text), "")),
        (_, Err(_)) => (base64(), (Value::from(base64()), "base64")),
    };
    let (value, encoding) = envelope;
    // A page shows CR, LF and CR LF as what they all are, the end of a line.
    let page = text.ok().map(|text| form("page", text.replace("\r\n", "\n").replace('\r', "\n").as_bytes()));
    let others = [form("raw", &data.bytes), form("line", line.as_bytes()), form(encoding, value.to_string().as_bytes())];
    others.into_iter().chain(page).collect()
}

fn envelope_form(envelope: &Value) -> Vec<u8> {
    let encoding = envelope.get("encoding").map_or("", |encoding| encoding.as_str().expect("text"));
    form(encoding, envelope["data"].to_string().as_bytes())
}
