//! A client that reads: it subscribes by any transport, loses its connection, sleeps, comes back anywhere with its
//! cursor, and knows at any time what it must be told next.
//!
//! Its cursor is what the server gave it; what it has truly got is noted apart from that, so that a cursor which
//! runs ahead of its reader is found out.

use super::decode::{self, Decoder, News, Separator};
use super::dice::Dice;
use super::house::House;
use super::model::{Model, Place, Seen};
use super::wire::{Event, Events, Head, Piece, Responses};
use encke::engine::Door;
use serde_json::Value;

/// The chance, in a hundred, that a reader without a connection makes one when it could.
const CONNECT: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Sse,
    /// Event streams as they were at first.
    Dom,
    Stream,
    Iframe,
    /// `multipart/mixed`.
    Parts,
    LongPoll,
    Jsonp,
    Poll,
    /// A page; it shows things, and its reader stays where it was.
    Pull,
}

const TRANSPORTS: [(Transport, &str); 9] = [
    (Transport::Sse, "sse"),
    (Transport::Dom, "x-dom-event-stream"),
    (Transport::Stream, "stream"),
    (Transport::Iframe, "iframe"),
    (Transport::Parts, "multipart"),
    (Transport::LongPoll, "long-poll"),
    (Transport::Jsonp, "jsonp"),
    (Transport::Poll, "poll"),
    (Transport::Pull, "pull"),
];
/// Those before this one hold their readers.
const HOLDING: usize = 7;
/// The function that scripts call.
const CALLBACK: &str = "parent.encke_1";
/// How many messages of a channel a page shows.
const PAGE_MESSAGES: usize = 100;

impl Transport {
    fn streams(self) -> bool {
        use Transport::{Dom, Iframe, Parts, Sse, Stream};
        matches!(self, Sse | Dom | Stream | Iframe | Parts)
    }

    fn name(self) -> &'static str {
        TRANSPORTS.iter().find(|(transport, _)| *transport == self).expect("all have a name").1
    }
}

/// How a reader asks to be held.
#[derive(Clone, Copy, Debug)]
struct Way {
    transport: Transport,
    envelope: bool,
    raw: bool,
    http10: bool,
    conditional: bool,
    separator: Separator,
    padding: usize,
}

/// A reader's end of a connection.
struct Line {
    socket: usize,
    responses: Responses,
    /// The request that waits for its response, or is being answered.
    asked: Option<Asked>,
}

struct Asked {
    way: Way,
    /// The reader came without a cursor and wants all there is.
    earliest: bool,
    head: Option<Head>,
    body: Vec<u8>,
    decoder: Decoder,
}

/// A client that reads.
pub struct Reader {
    pub number: usize,
    /// In the order of the subscription, as the model numbers them.
    pub channels: Vec<usize>,
    /// How far it has come in each; `None` until it is told where it is.
    seen: Vec<Option<Place>>,
    /// What it will resume from.
    cursor: Option<String>,
    line: Option<Line>,
    /// How often it has asked.
    requests: u64,
    /// Steps for which it neither reads nor asks.
    asleep: usize,
    /// It was last told that there is no room for its channels.
    refused: bool,
    /// It asks for nothing more.
    pub leaving: bool,
}

/// A request of a reader that has not been answered to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub socket: usize,
    /// Which of the reader's requests it is.
    pub request: u64,
    /// Whether it is a stream, and has begun.
    pub stream: bool,
}

/// What a reader may do beside reading.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub losses: usize,
    pub naps: usize,
    pub buffer: (usize, usize),
}

impl Reader {
    pub fn new(number: usize, channels: Vec<usize>) -> Reader {
        let seen = vec![None; channels.len()];
        Reader { number, channels, seen, cursor: None, line: None, requests: 0, asleep: 0, refused: false, leaving: false }
    }

    pub fn is_awake(&self) -> bool {
        self.asleep == 0
    }

    pub fn wake(&mut self) {
        self.asleep = 0;
    }

    /// One thing that a reader may do, as chance will have it.
    pub fn act(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        if self.asleep > 0 {
            self.asleep -= 1;
        } else if dice.percent(habits.naps) {
            self.asleep = dice.within(1..=60);
        } else if self.line.is_some() && dice.percent(habits.losses) {
            self.lose(house, dice);
        } else if self.line.is_none() {
            if dice.percent(CONNECT) {
                self.connect(house, habits, dice);
                self.ask(house, model, false, dice);
            }
        } else {
            let most = dice.pick(&[1, 20, 200, 5_000]);
            self.read(house, model, most);
            if dice.percent(CONNECT) {
                self.ask(house, model, false, dice);
            }
        }
        self.refused = false;
    }

    /// All that it can do now to be up to date, and nothing else.
    pub fn catch_up(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        if self.asleep > 0 {
            return;
        }
        self.read(house, model, usize::MAX);
        if self.leaving || self.refused {
            return;
        }
        if self.line.is_none() {
            self.connect(house, habits, dice);
        }
        self.ask(house, model, true, dice);
    }

    /// Goes away for good.
    pub fn leave(&mut self, house: &mut House) {
        if let Some(line) = self.line.take() {
            house.hang_up(line.socket);
        }
        self.leaving = true;
    }

    /// How it is held now.
    pub fn held(&self) -> Option<Held> {
        let line = self.line.as_ref()?;
        let asked = line.asked.as_ref()?;
        let stream = asked.way.transport.streams() && asked.head.is_some();
        Some(Held { socket: line.socket, request: self.requests, stream })
    }

    /// Panics unless it has come to `head` in `channel`, as far as it has been told where it is.
    pub fn check_up_to_date(&self, channel: usize, head: &Place) {
        let Some(seen) = self.held().and(self.place(channel)) else { return };
        assert_eq!(seen, head, "reader {} has not come to the head of its channel {channel}", self.number);
    }

    /// How far it has come in `channel`, if it was told.
    pub fn place(&self, channel: usize) -> Option<&Place> {
        let at = self.channels.iter().position(|known| *known == channel)?;
        self.seen[at].as_ref()
    }

    // Connections.

    fn connect(&mut self, house: &mut House, habits: &Habits, dice: &mut Dice) {
        let shard = dice.below(usize::from(house.shards())) as u16;
        let (least, most) = habits.buffer;
        let Some(socket) = house.connect(shard, Door::Public, dice.within(least..=most)) else { return };
        house.note(format_args!("reader {} connects to shard {shard} as socket {socket}", self.number));
        self.line = Some(Line { socket, responses: Responses::new(), asked: None });
    }

    fn lose(&mut self, house: &mut House, dice: &mut Dice) {
        let Some(line) = self.line.take() else { return };
        house.note(format_args!("reader {} loses socket {}", self.number, line.socket));
        if dice.percent(50) { house.cut(line.socket) } else { house.hang_up(line.socket) }
    }

    /// Sends a request, unless one waits for its answer. With `held`, only one that ends with being held.
    fn ask(&mut self, house: &mut House, model: &Model, held: bool, dice: &mut Dice) {
        if self.line.as_ref().is_none_or(|line| line.asked.is_some()) {
            return;
        }
        if !held && self.cursor.is_some() && dice.percent(10) {
            self.change_channels(dice);
        }
        let (mut transport, _) = dice.pick(if held { &TRANSPORTS[..HOLDING] } else { &TRANSPORTS });
        // Parts and raw streams carry no cursor: whoever counts them must know where they begin.
        if transport == Transport::Parts && (self.cursor.is_none() || self.channels.len() > 1) {
            transport = Transport::Stream;
        }
        let raw = match transport {
            Transport::Stream => self.cursor.is_some() && dice.percent(30),
            Transport::Jsonp | Transport::Pull => false,
            _ => dice.percent(30),
        };
        let separator = dice.pick(&[Separator::Line, Separator::Length, Separator::Text("\u{1e}"), Separator::Text("--\n")]);
        let way = Way {
            transport,
            envelope: dice.percent(50),
            raw,
            http10: dice.percent(10),
            conditional: dice.percent(50),
            separator: if raw { Separator::Length } else { separator },
            padding: if raw { 0 } else { dice.pick(&[0, 0, 40, 300]) },
        };
        let earliest = self.cursor.is_none() && (dice.percent(50) || way.transport == Transport::Poll);
        let request = self.request(model, way, earliest, dice);
        let Some(line) = &mut self.line else { return };
        self.requests += 1;
        house.note(format_args!("reader {} asks on socket {}: {request:?}", self.number, line.socket));
        house.send(line.socket, request.as_bytes());
        line.asked = Some(Asked { way, earliest, head: None, body: Vec::new(), decoder: Decoder::Nothing });
    }

    /// Drops or takes up a channel, and names them in another order: the cursor speaks for those it has.
    fn change_channels(&mut self, dice: &mut Dice) {
        let mut places: Vec<(usize, Option<Place>)> = self.channels.drain(..).zip(self.seen.drain(..)).collect();
        if places.len() > 1 && dice.percent(50) {
            places.pop();
        }
        dice.shuffle(&mut places);
        (self.channels, self.seen) = places.into_iter().unzip();
    }

    fn request(&self, model: &Model, way: Way, earliest: bool, dice: &mut Dice) -> String {
        let names: Vec<String> = self.channels.iter().map(|&channel| encode(&model.channels[channel])).collect();
        let mut query: Vec<String> = names[1..].iter().map(|name| format!("channel={name}")).collect();
        let mut fields = String::new();
        match way.transport {
            Transport::Sse if dice.percent(50) => fields += "Accept: text/event-stream\r\n",
            Transport::Stream if dice.percent(50) => fields += "Accept: application/x-ndjson\r\n",
            Transport::Parts if dice.percent(50) => fields += "Accept: multipart/mixed\r\n",
            Transport::LongPoll if dice.percent(50) => {}
            transport => query.push(format!("transport={}", transport.name())),
        }
        match way.transport {
            Transport::Parts => query.push("mixed=1".into()),
            Transport::Jsonp => query.push(format!("callback={CALLBACK}")),
            _ => {}
        }
        match way.separator {
            Separator::Line => {}
            Separator::Length => query.push("separator=length".into()),
            Separator::Text(text) => query.push(format!("separator={}", encode(text))),
        }
        if way.padding > 0 {
            query.push(format!("padding={0}&preamble={0}", way.padding));
        }
        if way.envelope {
            query.push("envelope=json".into());
        }
        if way.raw {
            query.push("raw=1".into());
        }
        match &self.cursor {
            _ if way.transport == Transport::Pull => {}
            None => query.push(format!("since={}", if earliest { "earliest" } else { "now" })),
            Some(cursor) if way.transport.streams() && dice.percent(50) => {
                fields += &format!("Last-Event-ID: {cursor}\r\n");
            }
            Some(cursor) if !way.transport.streams() && way.conditional => {
                fields += &format!("If-None-Match: \"{cursor}\"\r\n");
            }
            Some(cursor) => query.push(format!("since={cursor}")),
        }
        let version = if way.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        if way.http10 && dice.percent(50) {
            fields += "Connection: keep-alive\r\n";
        } else if !way.http10 && dice.percent(10) {
            fields += "Connection: close\r\n";
        }
        format!("GET /sub{}?{} {version}\r\nHost: localhost\r\n{fields}\r\n", names[0], query.join("&"))
    }

    // What comes.

    fn read(&mut self, house: &mut House, model: &mut Model, most: usize) {
        let Some(line) = &mut self.line else { return };
        let socket = line.socket;
        if house.broken(socket) {
            self.line = None;
            return;
        }
        let bytes = house.take(socket, most);
        for piece in line.responses.take(&bytes) {
            house.note(format_args!("reader {} gets {}", self.number, show(&piece)));
            self.take(model, house, piece);
        }
        if house.ended(socket)
            && let Some(line) = self.line.take()
        {
            // Nobody cuts an answer off but whoever breaks the connection: a stream that stalled, for one.
            house.note(format_args!("reader {} sees the end of socket {socket}", self.number));
            if line.responses.ended() {
                self.line = Some(line);
                self.take(model, house, Piece::End);
            }
            house.hang_up(socket);
            self.line = None;
        }
    }

    fn take(&mut self, model: &mut Model, house: &mut House, piece: Piece) {
        let Some(line) = &mut self.line else { return };
        let mut asked = line.asked.take().expect("an answer follows a request");
        match piece {
            Piece::Head(head) => {
                asked.decoder = if head.status == 200 { asked.way.decoder(&head) } else { Decoder::Nothing };
                asked.head = Some(head);
                line.asked = Some(asked);
            }
            Piece::Body(bytes) => {
                if asked.streams() {
                    let news = asked.decoder.take(&bytes);
                    news.iter().for_each(|news| self.learn(model, &asked, news));
                } else {
                    asked.body.extend(bytes);
                }
                if let Some(line) = &mut self.line {
                    line.asked = Some(asked);
                }
            }
            Piece::End => {
                let head = asked.head.take().expect("a head comes first");
                self.answered(model, &asked, &head);
                if head.ends_connection() {
                    house.hang_up(line_socket(&self.line));
                    self.line = None;
                }
            }
        }
    }

    /// A whole response is here.
    fn answered(&mut self, model: &mut Model, asked: &Asked, head: &Head) {
        match head.status {
            // What a stream had to say is said.
            200 if asked.way.transport.streams() => {}
            200 if asked.way.transport == Transport::Pull => self.look(model, &asked.body),
            200 | 204 | 304 if asked.way.raw => self.take_raw(model, asked, head),
            304 => self.take_unchanged(asked, head),
            200 => self.take_json(model, asked, head),
            408 => assert!(head.ends_connection()),
            503 => self.refused = true,
            status => panic!("reader {} was answered {status}: {:?}", self.number, String::from_utf8_lossy(&asked.body)),
        }
    }

    /// A piece of news of a stream.
    fn learn(&mut self, model: &mut Model, asked: &Asked, news: &News) {
        match news {
            News::Event(event) => self.hear(model, asked.way, asked.earliest, event),
            News::Json(json) => self.hear_json(model, asked, json),
            News::Plain { media_type, bytes } => self.hear_plain(model, media_type.as_deref(), bytes),
        }
    }

    /// An envelope, or a notice. A client makes its cursor from the greeting's and each channel's newest id.
    fn hear_json(&mut self, model: &mut Model, asked: &Asked, json: &Value) {
        let id = || json["id"].as_str().map(Place::parse).expect("an id");
        if let Some(greeting) = json.get("cursor") {
            return self.greeted(model, asked, greeting.as_str());
        }
        if json.get("heartbeat").is_some() || json.get("close").is_some() {
            return;
        }
        let (at, place) = match json.get("gap").or(json.get("end")) {
            Some(notice) => (self.hear_gap(model, notice, |_| id()), id()),
            None => (self.take_envelope(model, json, asked.earliest), id()),
        };
        let bare = asked.way.raw || asked.way.transport == Transport::Parts;
        self.cursor = Some(if bare { self.all_seen() } else { self.moved_cursor(at, &place) });
    }

    fn greeted(&mut self, model: &mut Model, asked: &Asked, cursor: Option<&str>) {
        let Some(cursor) = cursor else {
            assert!(self.cursor.is_some(), "a place is lost that nobody had");
            self.cursor = Some(self.all_seen());
            return;
        };
        let places = Place::parse_all(cursor);
        assert_eq!(places.len(), self.channels.len());
        for (at, place) in places.iter().enumerate() {
            self.stays(model, at, place, asked.earliest);
        }
        self.cursor = Some(cursor.to_owned());
    }

    /// Published bytes and nothing else: the reader counts.
    fn hear_plain(&mut self, model: &mut Model, media_type: Option<&str>, bytes: &[u8]) {
        let channel = model.channel_of(Seen::Raw(bytes));
        let at = self.index_of(model, &model.channels[channel]);
        let seen = self.seen[at].as_ref().expect("who counts knows where it began");
        let place = Place { offset: seen.offset + 1, ..seen.clone() };
        model.saw_bare(channel, &place, Seen::Raw(bytes), media_type);
        self.seen[at] = Some(place);
        self.cursor = Some(self.all_seen());
    }

    /// The cursor with another place for one channel.
    fn moved_cursor(&self, at: usize, place: &Place) -> String {
        let mut places = Place::parse_all(self.cursor.as_ref().expect("a greeting came first"));
        places[at] = place.clone();
        join(places.iter())
    }

    /// A cursor of all that it has truly got.
    fn all_seen(&self) -> String {
        join(self.seen.iter().map(|seen| seen.as_ref().expect("it had a cursor")))
    }

    /// A page shows the last messages, and nothing of what is gone.
    fn look(&self, model: &Model, body: &[u8]) {
        let items = decode::page(body);
        for (at, &channel) in self.channels.iter().enumerate() {
            let here = |(name, _): &&(String, _)| self.index_of(model, name) == at;
            let texts: Vec<Option<String>> = items.iter().filter(here).map(|(_, text)| text.clone()).collect();
            assert!(texts.len() <= PAGE_MESSAGES);
            model.shown(channel, &texts);
        }
    }

    /// An event of a stream.
    fn hear(&mut self, model: &mut Model, way: Way, earliest: bool, event: &Event) {
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
            name => self.hear_message(model, way, name, data, &places, earliest),
        });
        for (at, place) in places.iter().enumerate().filter(|(at, _)| Some(*at) != moved) {
            self.stays(model, at, place, earliest);
        }
        self.cursor = Some(event.id.clone());
    }

    /// A notice about a channel, which leads it to that channel's one of `places`.
    fn hear_gap(&mut self, model: &mut Model, notice: &Value, places: impl Fn(usize) -> Place) -> usize {
        let at = self.index_of(model, notice["channel"].as_str().expect("a channel"));
        let (missed, place) = (notice["missed"].as_u64(), places(at));
        if let Some(seen) = &self.seen[at] {
            let counted = (seen.epoch == place.epoch).then(|| place.offset.wrapping_sub(seen.offset));
            assert_eq!(missed, counted, "missed between {seen} and {place}");
        }
        self.skip(model, at, &place);
        at
    }

    fn hear_message(&mut self, model: &mut Model, way: Way, name: &str, data: &str, places: &[Place], earliest: bool) -> usize {
        if way.envelope {
            let envelope: Value = serde_json::from_str(data).expect("an envelope is JSON");
            let at = self.take_envelope(model, &envelope, earliest);
            assert_eq!(envelope["id"], places[at].to_string().as_str());
            assert_eq!(envelope.get("event").map_or("", |event| event.as_str().expect("text")), name);
            return at;
        }
        let channel = model.channel_of(Seen::Line(data));
        let at = self.index_of(model, &model.channels[channel]);
        self.advance(model, at, &places[at], earliest);
        model.saw(self.channels[at], &places[at], Seen::Line(data), name);
        at
    }

    /// A batch as JSON.
    fn take_json(&mut self, model: &mut Model, asked: &Asked, head: &Head) {
        let script = asked.way.transport == Transport::Jsonp;
        let json = if script { decode::jsonp(&asked.body, CALLBACK) } else { &asked.body };
        let batch: Value = serde_json::from_slice(json).expect("a batch is JSON");
        let cursor = batch["cursor"].as_str().expect("a cursor").to_owned();
        assert_eq!(head.field("ETag"), (!script).then(|| format!("\"{cursor}\"")).as_deref());
        let messages = batch["messages"].as_array().expect("messages");
        let gap = batch["gap"].as_bool().expect("whether there is a gap");
        self.take_batch(model, &cursor, gap, messages.len(), asked.earliest, |at, model, reader| {
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
    fn take_raw(&mut self, model: &mut Model, asked: &Asked, head: &Head) {
        let cursor = head.field("ETag").expect("a tag").trim_matches('"').to_owned();
        let gap = head.field("Encke-Gap").is_some();
        let places = Place::parse_all(&cursor);
        let Some(channel) = head.field("Encke-Channel") else {
            assert!(asked.body.is_empty() && head.status != 200);
            return self.take_batch(model, &cursor, gap, 0, asked.earliest, |_, _, _| unreachable!("no messages"));
        };
        let at = self.index_of(model, &decode(channel));
        let event = decode(head.field("Encke-Event").unwrap_or(""));
        if let (Some(missed), [only], Some(seen)) = (head.field("Encke-Gap"), &places[..], &self.seen[0]) {
            let counted = only.offset.wrapping_sub(seen.offset + 1);
            let counted = if only.epoch == seen.epoch { counted.to_string() } else { "unknown".into() };
            assert_eq!(missed, counted, "missed between {seen} and {only}");
        }
        self.take_batch(model, &cursor, gap, 1, asked.earliest, |_, _, _| (at, places[at].clone()));
        model.saw(self.channels[at], &places[at], Seen::Raw(&asked.body), &event);
    }

    fn take_unchanged(&mut self, asked: &Asked, head: &Head) {
        assert!(asked.way.conditional && self.cursor.is_some(), "304 to who did not ask for it");
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
        message: impl Fn(usize, &Model, &Reader) -> (usize, Place),
    ) {
        let places = Place::parse_all(cursor);
        assert_eq!(places.len(), self.channels.len());
        let messages: Vec<(usize, Place)> = (0..count).map(|which| message(which, model, self)).collect();
        let mut gaps = 0;
        for (at, end) in places.iter().enumerate() {
            let mut of_channel = messages.iter().filter(|(channel, _)| *channel == at).map(|(_, place)| place).peekable();
            let start = match of_channel.peek() {
                Some(first) => Place { offset: first.offset - 1, ..(*first).clone() },
                None => end.clone(),
            };
            match &self.seen[at] {
                Some(seen) if *seen != start => {
                    assert!(gap, "reader {} goes from {seen} to {start} without being told", self.number);
                    gaps += 1;
                    self.skip(model, at, &start);
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

    fn take_envelope(&mut self, model: &mut Model, envelope: &Value, earliest: bool) -> usize {
        let at = self.index_of(model, envelope["channel"].as_str().expect("a channel"));
        let place = Place::parse(envelope["id"].as_str().expect("an id"));
        let event = envelope.get("event").map_or("", |event| event.as_str().expect("text"));
        self.advance(model, at, &place, earliest);
        model.saw(self.channels[at], &place, Seen::Envelope(envelope), event);
        at
    }

    // Where it is.

    /// The next message of a channel is at `place`.
    fn advance(&mut self, model: &mut Model, at: usize, place: &Place, earliest: bool) {
        match &self.seen[at] {
            Some(seen) => {
                let next = Place { offset: seen.offset + 1, ..seen.clone() };
                assert_eq!(*place, next, "reader {} gets this after {seen}", self.number);
            }
            None => self.stays(model, at, &Place { offset: place.offset - 1, ..place.clone() }, earliest),
        }
        self.seen[at] = Some(place.clone());
    }

    /// It was told that it is at `place`, and that it missed what lies between.
    fn skip(&mut self, model: &mut Model, at: usize, place: &Place) {
        let channel = self.channels[at];
        if let Some(seen) = &self.seen[at] {
            assert!(seen.epoch != place.epoch || seen.offset < place.offset, "a gap leads from {seen} to {place}");
        }
        if place.offset > 0 {
            model.must_be_droppable(channel, place);
        }
        model.knows(channel, place);
        self.seen[at] = Some(place.clone());
    }

    /// It was told that it is at `place` where nothing has happened.
    fn stays(&mut self, model: &mut Model, at: usize, place: &Place, earliest: bool) {
        match &self.seen[at] {
            Some(seen) if seen == place => {}
            // Its place is lost; what comes next from this channel must say so.
            Some(seen) if place.offset == 0 && seen.epoch != place.epoch => {}
            Some(seen) => panic!("reader {} moves from {seen} to {place} without being told anything", self.number),
            None => {
                if earliest && place.offset > 0 {
                    model.must_be_droppable(self.channels[at], place);
                }
                self.seen[at] = Some(place.clone());
            }
        }
    }

    fn index_of(&self, model: &Model, name: &str) -> usize {
        let found = self.channels.iter().position(|&channel| model.channels[channel] == name);
        found.unwrap_or_else(|| panic!("reader {} has not subscribed to {name:?}", self.number))
    }
}

impl Asked {
    fn streams(&self) -> bool {
        self.way.transport.streams() && self.head.as_ref().is_some_and(|head| head.status == 200)
    }
}

impl Way {
    fn decoder(&self, head: &Head) -> Decoder {
        match self.transport {
            Transport::Sse => Decoder::Sse(Events::new(false)),
            Transport::Dom => Decoder::Sse(Events::new(true)),
            Transport::Stream => Decoder::stream(self.separator, self.raw),
            Transport::Iframe => Decoder::iframe(),
            Transport::Parts => Decoder::parts(head.field("Content-Type").expect("a type")),
            Transport::LongPoll | Transport::Jsonp | Transport::Poll | Transport::Pull => Decoder::Nothing,
        }
    }
}

fn join<'a>(places: impl Iterator<Item = &'a Place>) -> String {
    places.map(Place::to_string).collect::<Vec<_>>().join(".")
}

fn line_socket(line: &Option<Line>) -> usize {
    line.as_ref().expect("what was just read from").socket
}

/// Percent-encodes all but letters, digits and slashes.
pub fn encode(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'/' | b'0'..=b'9' | b'a'..=b'z' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().map(encode).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("digits").to_owned();
                u8::from_str_radix(&digits, 16).expect("digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("text")
}

fn show(piece: &Piece) -> String {
    match piece {
        Piece::Head(head) => format!("{head:?}"),
        Piece::Body(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Piece::End => "the end".to_owned(),
    }
}
