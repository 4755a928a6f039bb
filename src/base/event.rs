//! What a host program hears of its server and is asked by it, as plain data.
//!
//! Nothing here is a copy of what somebody published: an event holds the message itself, the channel's shared
//! name, the shared description of who asked.

use super::payload::Message;
use std::sync::Arc;

/// What an event tells. The numbers are those of the C ABI, and are never used for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// A client wants to subscribe to a channel: answer the question.
    Subscribe = 1,
    /// A client published to a channel of the host.
    Publish = 2,
    /// A client holds a position in a channel.
    Subscribed = 3,
    /// It does so no more; comes once for each [`EventKind::Subscribed`].
    Unsubscribed = 4,
    /// The connection of a client that the host could have heard of has closed.
    Gone = 5,
    /// A line of the log.
    Log = 6,
    /// There was no room for so many events.
    Overflow = 7,
    /// A reactor failed, and the server stops.
    Failed = 8,
    /// A user is present in a channel now.
    Joined = 9,
    /// The user has left it; comes once for each [`EventKind::Joined`].
    Left = 10,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it tells.
    pub kind: EventKind,
    /// Which connection it is about; 0 for none.
    pub client: u64,
    /// What the answer has to name; 0 if nothing is asked.
    pub question: u64,
    /// Who asks or publishes, as JSON.
    request: Option<Arc<str>>,
    subject: Subject,
}

/// What an event is about.
#[derive(Clone, Debug)]
enum Subject {
    Client,
    Channel(Arc<str>),
    Message(Message),
    /// A channel, and a user there.
    User(Arc<str>, Arc<str>),
    Text(Box<str>),
}

impl Event {
    fn new(kind: EventKind, client: u64, subject: Subject) -> Event {
        Event { kind, client, question: 0, request: None, subject }
    }

    /// The client whose `request` this is asks to subscribe.
    pub fn subscribe(client: u64, question: u64, channel: Arc<str>, request: Arc<str>) -> Event {
        let event = Event::new(EventKind::Subscribe, client, Subject::Channel(channel));
        Event { question, request: Some(request), ..event }
    }

    /// The client whose `request` this is published.
    pub fn publish(client: u64, message: Message, request: Arc<str>) -> Event {
        Event { request: Some(request), ..Event::new(EventKind::Publish, client, Subject::Message(message)) }
    }

    /// The client has a position in the channel.
    pub fn subscribed(client: u64, channel: Arc<str>) -> Event {
        Event::new(EventKind::Subscribed, client, Subject::Channel(channel))
    }

    /// The client has left the channel.
    pub fn unsubscribed(client: u64, channel: Arc<str>) -> Event {
        Event::new(EventKind::Unsubscribed, client, Subject::Channel(channel))
    }

    /// The client's connection has closed.
    pub fn gone(client: u64) -> Event {
        Event::new(EventKind::Gone, client, Subject::Client)
    }

    /// A line of the log.
    pub fn log(line: &str) -> Event {
        Event::new(EventKind::Log, 0, Subject::Text(line.into()))
    }

    /// There was no room for `missed` events.
    pub fn overflow(missed: u64) -> Event {
        Event::new(EventKind::Overflow, 0, Subject::Text(missed.to_string().into()))
    }

    /// A reactor failed; `why` is for people.
    pub fn failed(why: &str) -> Event {
        Event::new(EventKind::Failed, 0, Subject::Text(why.into()))
    }

    /// The user is present in the channel now.
    pub fn joined(channel: Arc<str>, user: Arc<str>) -> Event {
        Event::new(EventKind::Joined, 0, Subject::User(channel, user))
    }

    /// The user is not present there any more.
    pub fn left(channel: Arc<str>, user: Arc<str>) -> Event {
        Event::new(EventKind::Left, 0, Subject::User(channel, user))
    }

    /// The channel it is about; empty for none.
    pub fn channel(&self) -> &str {
        match &self.subject {
            Subject::Channel(channel) | Subject::User(channel, _) => channel,
            Subject::Message(message) => message.channel(),
            Subject::Client | Subject::Text(_) => "",
        }
    }

    /// What was published, or who joined or left, or the text of a line, a count, a failure.
    pub fn data(&self) -> &[u8] {
        match &self.subject {
            Subject::Message(message) => message.data(),
            Subject::User(_, user) => user.as_bytes(),
            Subject::Text(text) => text.as_bytes(),
            Subject::Client | Subject::Channel(_) => &[],
        }
    }

    /// The media type of what was published; empty if unknown.
    pub fn content_type(&self) -> &str {
        self.message().map_or("", Message::content_type)
    }

    /// What was published.
    pub fn message(&self) -> Option<&Message> {
        match &self.subject {
            Subject::Message(message) => Some(message),
            Subject::Client | Subject::Channel(_) | Subject::User(..) | Subject::Text(_) => None,
        }
    }

    /// The bytes of a client's that it alone keeps: what was published, and who says so.
    pub fn bytes(&self) -> usize {
        self.message().map_or(0, |message| message.data().len() + self.request().len())
    }

    /// Who asks or publishes, as JSON; empty where the host was told before or nobody does.
    pub fn request(&self) -> &str {
        self.request.as_deref().unwrap_or_default()
    }
}

/// Which events a host wants beside those that it cannot do without: the option `events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// [`EventKind::Subscribed`].
    pub subscribed: bool,
    /// [`EventKind::Unsubscribed`].
    pub unsubscribed: bool,
    /// [`EventKind::Gone`].
    pub gone: bool,
    /// [`EventKind::Joined`] and [`EventKind::Left`].
    pub presence: bool,
    /// [`EventKind::Log`].
    pub log: bool,
}

impl Wanted {
    /// Reads names parted by commas; `Err` is the one that is none.
    pub fn parse(text: &str) -> Result<Wanted, &str> {
        let mut wanted = Wanted::default();
        for name in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            match name {
                "subscribed" => wanted.subscribed = true,
                "unsubscribed" => wanted.unsubscribed = true,
                "gone" => wanted.gone = true,
                "presence" => wanted.presence = true,
                "log" => wanted.log = true,
                _ => return Err(name),
            }
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::payload::Parts;

    #[test]
    fn an_event_says_what_it_is_about_and_nothing_else() {
        let parts = Parts { channel: "/a", content_type: "text/plain", event: "", data: b"hi", unix_ms: 0 };
        let message = Message::new(&parts).unwrap();
        for (event, kind, channel, data, request) in [
            (Event::subscribe(1, 2, "/a".into(), "{}".into()), EventKind::Subscribe, "/a", "", "{}"),
            (Event::publish(1, message, "{}".into()), EventKind::Publish, "/a", "hi", "{}"),
            (Event::subscribed(1, "/a".into()), EventKind::Subscribed, "/a", "", ""),
            (Event::unsubscribed(1, "/a".into()), EventKind::Unsubscribed, "/a", "", ""),
            (Event::gone(1), EventKind::Gone, "", "", ""),
            (Event::log("a line"), EventKind::Log, "", "a line", ""),
            (Event::overflow(7), EventKind::Overflow, "", "7", ""),
            (Event::failed("why"), EventKind::Failed, "", "why", ""),
            (Event::joined("/a".into(), "ann".into()), EventKind::Joined, "/a", "ann", ""),
            (Event::left("/a".into(), "ann".into()), EventKind::Left, "/a", "ann", ""),
        ] {
            let got = (event.kind, event.channel(), event.data(), event.request());
            assert_eq!(got, (kind, channel, data.as_bytes(), request));
            assert_eq!(event.question != 0, kind == EventKind::Subscribe);
            assert_eq!(event.client != 0, (kind as u32) < EventKind::Log as u32);
            assert_eq!(event.content_type(), if kind == EventKind::Publish { "text/plain" } else { "" });
        }
    }

    #[test]
    fn the_wanted_events_are_named() {
        assert_eq!(Wanted::parse(""), Ok(Wanted::default()));
        let some = Wanted { subscribed: true, gone: true, ..Wanted::default() };
        assert_eq!(Wanted::parse("gone, subscribed,gone"), Ok(some));
        assert_eq!(Wanted::parse("presence"), Ok(Wanted { presence: true, ..Wanted::default() }));
        for (text, bad) in [("all", "all"), ("gone,", ""), ("log,Gone", "Gone")] {
            assert_eq!(Wanted::parse(text), Err(bad));
        }
    }
}
