//! What a Bayeux client knows of its session, and what it makes of the messages that come.

use super::book::Book;
use super::model::{Model, Seen};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A session, as its client knows it.
pub struct Session {
    pub client: Value,
    /// Whether its client acknowledges what it gets, and the number of the last reply to a connect.
    acknowledges: bool,
    batch: u64,
    /// Its channels, once it is subscribed to them.
    pub books: HashMap<usize, Book>,
    pub subscribed: bool,
    /// When the client sent the last request that was answered: the session was alive then.
    pub alive_ms: u64,
    /// Without acknowledgement: a response was lost, and all that is in it.
    pub torn: bool,
}

impl Session {
    pub fn new(client: Value, acknowledges: bool, alive_ms: u64) -> Session {
        let books = HashMap::new();
        Session { client, acknowledges, batch: 0, books, subscribed: false, alive_ms, torn: false }
    }

    /// A connect, which says what came.
    pub fn connect(&self, connection_type: &str) -> Value {
        let mut connect = json!({ "channel": "/meta/connect", "connectionType": connection_type, "clientId": self.client });
        if self.acknowledges {
            connect["ext"] = json!({ "ack": self.batch });
        }
        connect
    }

    /// It is subscribed to these channels from here on.
    pub fn subscribes(&mut self, channels: impl Iterator<Item = usize>) {
        self.books.extend(channels.map(|channel| (channel, Book::default())));
        self.subscribed = true;
    }

    /// The connection is lost on which something was to come.
    pub fn tear(&mut self) {
        if !self.acknowledges {
            self.torn = true;
            self.books.values_mut().for_each(Book::tear);
        }
    }

    /// The reply to a connect, which was successful, and came behind all its events.
    pub fn connected(&mut self, reply: &Value) {
        let batch = reply["ext"]["ack"].as_u64();
        assert_eq!(batch.is_some(), self.acknowledges, "{reply}");
        assert!(batch.is_none_or(|batch| batch > self.batch), "reply {reply} behind number {}", self.batch);
        self.batch = batch.unwrap_or_default();
    }

    /// A message of a channel.
    pub fn event(&mut self, model: &mut Model, event: &Value) {
        let name = event["channel"].as_str().expect("a channel");
        let channel = model.channels.iter().position(|known| known == name).expect("a channel that somebody publishes to");
        let mut envelope = json!({ "data": event["data"] });
        if let Some(encoding) = event["ext"].get("encoding") {
            envelope["encoding"] = encoding.clone();
        }
        let record = model.find(Seen::Envelope(&envelope));
        assert_eq!(model.channel_of(Seen::Envelope(&envelope)), channel, "{event}");
        let torn = self.torn;
        let book = self.books.get_mut(&channel).unwrap_or_else(|| panic!("nobody asked for {event}"));
        if torn {
            book.tear();
        }
        book.enter(model, channel, record);
    }

    /// The server says that there is no such session: the history let go of something that it wanted, a channel began
    /// anew, or its client was away for too long.
    pub fn check_over(&self, model: &Model, max_interval_ms: u64) {
        let expired = self.alive_ms + max_interval_ms <= model.now_ms;
        let lost = |(&channel, book): (&usize, &Book)| match book.place() {
            Some(place) => model.may_begin_anew(channel) || model.may_be_dropped(channel, &place.plus(1)),
            None => true,
        };
        assert!(expired || self.books.iter().any(lost), "a session is over though nothing it wants is lost: {:?}", self.books);
    }
}
