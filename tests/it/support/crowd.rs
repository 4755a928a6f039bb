//! Many readers on one thread, each held in some way, each with an account of every channel it reads.
//!
//! A reader that is cut off comes back by its last cursor, in a way drawn anew. It never asks for a place other than
//! the one it was given last, and never forgets a fault.

use super::DEADLINE;
use super::book::Book;
use super::events::{Event, Events};
use super::http::{Decoder, Piece};
use super::ledger::{Faults, Ledger};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections begun in one turn: fewer than a listener's queue takes.
const CONNECTS_A_TURN: usize = 128;
/// How long a poll that brought nothing is not repeated.
const NAP: Duration = Duration::from_millis(20);
/// How long nothing more may come when everything has.
const QUIET: Duration = Duration::from_millis(100);

/// How a reader is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Sse,
    LongPoll,
    Poll,
}

const WAYS: [Way; 3] = [Way::Sse, Way::LongPoll, Way::Poll];

/// The crowd.
pub struct Crowd<'a> {
    book: &'a Book,
    address: SocketAddr,
    poll: Poll,
    events: mio::Events,
    buffer: Vec<u8>,
    readers: Vec<Reader>,
    /// Who has yet to connect.
    line: VecDeque<usize>,
    /// Who polls again, and when.
    naps: VecDeque<(Instant, usize)>,
    /// Who comes back, and when.
    away: Vec<(Instant, usize)>,
    /// Who reads again, and when.
    stalled: Vec<(Instant, usize)>,
    random: Random,
    /// The ways in which those who were cut off come back.
    pub ways: &'static [Way],
    /// Messages that all have received.
    pub received: u64,
    /// Readers whose stream has begun, or who wait for their first answer.
    pub held: usize,
    /// Connections cut off here.
    pub cuts: u64,
    /// Connections that ended otherwise than by a proper end or by us.
    pub breaks: u64,
    /// How the first of them broke.
    pub first_break: Option<String>,
    /// Connections that had a proper end.
    pub ends: u64,
    /// Nobody comes back who is gone.
    pub stays_away: bool,
}

struct Reader {
    ledgers: Vec<Ledger>,
    way: Way,
    cursor: Option<String>,
    link: Option<Link>,
    /// It is cut off when it has received so many messages more.
    cut_in: Option<u64>,
}

/// A reader's connection.
struct Link {
    stream: TcpStream,
    unsent: Vec<u8>,
    decoder: Decoder,
    events: Events,
    envelopes: bool,
    body: Vec<u8>,
    held: bool,
    /// It reads nothing for a while.
    stalls: bool,
    /// It asks again when its nap is over. A nap of a connection that is gone wakes nobody.
    naps: bool,
}

/// What becomes of a connection after it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Asks,
    Naps,
    Cut,
    Ended,
    Broken,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    cursor: Cow<'a, str>,
    gap: bool,
    #[serde(borrow)]
    messages: Vec<Envelope<'a>>,
}

#[derive(Deserialize)]
struct Gap<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    missed: Option<u64>,
}

impl<'a> Crowd<'a> {
    /// Nobody yet, to read at `address` what `book` has published there.
    pub fn new(address: SocketAddr, book: &'a Book) -> Crowd<'a> {
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        Crowd {
            book,
            address,
            poll: Poll::new().expect("a poll"),
            events: mio::Events::with_capacity(1024),
            buffer: vec![0; 64 << 10],
            readers: Vec::new(),
            line: VecDeque::new(),
            naps: VecDeque::new(),
            away: Vec::new(),
            stalled: Vec::new(),
            random: Random(0x9e37_79b9_7f4a_7c15),
            ways: &WAYS,
            received: 0,
            held: 0,
            cuts: 0,
            breaks: 0,
            first_break: None,
            ends: 0,
            stays_away: false,
        }
    }

    /// So many who read by streams alone, each one channel and the next the next. All of them are there.
    pub fn of_streams(address: SocketAddr, book: &'a Book, count: usize) -> Crowd<'a> {
        let mut crowd = Crowd::new(address, book);
        crowd.ways = &[Way::Sse];
        for i in 0..count {
            crowd.join(&[i % book.channels()], Way::Sse);
        }
        crowd.gather();
        crowd
    }

    /// A reader of `channels` from their first messages on.
    pub fn join(&mut self, channels: &[usize], way: Way) {
        let ledgers = channels.iter().map(|&channel| Ledger::new(channel)).collect();
        self.line.push_back(self.readers.len());
        self.readers.push(Reader { ledgers, way, cursor: None, link: None, cut_in: None });
    }

    /// Each reader is cut off once it has received a few messages more, at most `within`.
    pub fn cut_each_within(&mut self, within: u64) {
        for reader in &mut self.readers {
            reader.cut_in = Some(1 + self.random.below(within));
        }
    }

    /// Everybody is cut off at once, and comes back.
    pub fn cut_all(&mut self) {
        for index in 0..self.readers.len() {
            if let Some(link) = self.readers[index].link.take() {
                self.part(link, Fate::Cut);
                self.come_back(index);
            }
        }
    }

    /// One is cut off, and comes back after so long.
    pub fn cut(&mut self, index: usize, absence: Duration) {
        if let Some(link) = self.readers[index].link.take() {
            self.part(link, Fate::Cut);
            self.away.push((Instant::now() + absence, index));
        }
    }

    /// One reads nothing for so long.
    pub fn stall(&mut self, index: usize, length: Duration) {
        if let Some(link) = &mut self.readers[index].link {
            link.stalls = true;
            self.stalled.push((Instant::now() + length, index));
        }
    }

    /// Nobody is away or stalls for longer.
    pub fn recall(&mut self) {
        self.away.iter_mut().chain(&mut self.stalled).for_each(|(until, _)| *until = Instant::now());
    }

    /// Everybody goes to another server, where `book` says what was published. There are gaps to be told of.
    pub fn move_to(&mut self, address: SocketAddr, book: &'a Book) {
        (self.address, self.book) = (address, book);
        self.cut_all();
    }

    /// Turns until `done`.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&Crowd) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !done(self) {
            self.turn(Duration::from_millis(20));
            assert!(Instant::now() < until, "in vain: {what}; received {}, {:?}", self.received, self.faults());
        }
    }

    /// Turns until everybody is held.
    pub fn gather(&mut self) {
        self.run_until("everybody is held", |crowd| crowd.held == crowd.readers.len());
    }

    /// Turns until everybody has reached the end of all its channels, and for a moment more: nothing must follow.
    pub fn run_to_the_end(&mut self) {
        let due = self.due();
        self.run_until("everybody has everything", |crowd| crowd.received >= due && crowd.is_at_the_end());
        let until = Instant::now() + QUIET;
        while Instant::now() < until {
            self.turn(QUIET);
        }
    }

    /// How many messages all are to receive, if there are no gaps.
    pub fn due(&self) -> u64 {
        self.ledgers().map(|ledger| self.book.published(ledger.channel)).sum()
    }

    /// Whether everybody has received, or been told of, all there is.
    pub fn is_at_the_end(&self) -> bool {
        self.ledgers().all(|ledger| ledger.reached() >= self.book.published(ledger.channel))
    }

    pub fn ledgers(&self) -> impl Iterator<Item = &Ledger> {
        self.readers.iter().flat_map(|reader| &reader.ledgers)
    }

    /// What went wrong for anybody.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for ledger in self.ledgers() {
            faults.add(&ledger.faults(self.book.published(ledger.channel)));
        }
        faults
    }

    /// Does what there is to do, waiting for it at most so long.
    pub fn turn(&mut self, timeout: Duration) {
        self.connect();
        self.wake();
        let nap = self.naps.front().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        let timeout = if self.line.is_empty() { timeout.min(nap.unwrap_or(timeout)) } else { Duration::ZERO };
        let mut events = std::mem::replace(&mut self.events, mio::Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => {}
        }
        for event in &events {
            self.attend(event.token().0);
        }
        self.events = events;
    }

    fn connect(&mut self) {
        for _ in 0..CONNECTS_A_TURN.min(self.line.len()) {
            let Some(index) = self.line.pop_front() else { return };
            let mut stream = TcpStream::connect(self.address).expect("a socket");
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), both).expect("room to watch a socket");
            let mut link = Link {
                stream,
                unsent: Vec::new(),
                decoder: Decoder::default(),
                events: Events::default(),
                envelopes: false,
                body: Vec::new(),
                held: false,
                stalls: false,
                naps: false,
            };
            self.ask(index, &mut link);
            self.readers[index].link = Some(link);
        }
    }

    /// Puts the next request of a reader on its way.
    fn ask(&mut self, index: usize, link: &mut Link) {
        let reader = &self.readers[index];
        link.envelopes = reader.ledgers.len() > 1 || self.random.below(2) == 0;
        let request = reader.request(self.book, link.envelopes, self.random.below(3));
        link.unsent = request.into_bytes();
        if reader.way != Way::Sse {
            self.hold(link);
        }
    }

    fn hold(&mut self, link: &mut Link) {
        self.held += usize::from(!std::mem::replace(&mut link.held, true));
    }

    fn wake(&mut self) {
        let now = Instant::now();
        let is_due = |(until, _): &mut (Instant, usize)| *until <= now;
        for (_, index) in self.away.extract_if(.., is_due).collect::<Vec<_>>() {
            self.come_back(index);
        }
        for (_, index) in self.stalled.extract_if(.., is_due).collect::<Vec<_>>() {
            if let Some(link) = &mut self.readers[index].link {
                link.stalls = false;
                self.attend(index);
            }
        }
        while self.naps.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, index)) = self.naps.pop_front() else { return };
            if let Some(mut link) = self.readers[index].link.take() {
                if std::mem::take(&mut link.naps) {
                    self.ask(index, &mut link);
                }
                self.readers[index].link = Some(link);
                self.attend(index);
            }
        }
    }

    /// Writes and reads what a connection can take and has.
    fn attend(&mut self, index: usize) {
        let Some(mut link) = self.readers[index].link.take_if(|link| !link.stalls) else { return };
        loop {
            let fate = self.exchange(index, &mut link);
            match fate {
                Fate::Asks => self.ask(index, &mut link),
                Fate::Kept | Fate::Naps => {
                    if fate == Fate::Naps {
                        link.naps = true;
                        self.naps.push_back((Instant::now() + NAP, index));
                    }
                    self.readers[index].link = Some(link);
                    return;
                }
                Fate::Cut | Fate::Ended | Fate::Broken => {
                    self.part(link, fate);
                    return self.come_back(index);
                }
            }
        }
    }

    fn exchange(&mut self, index: usize, link: &mut Link) -> Fate {
        if let Err(error) = link.write() {
            return if is_not_yet(&error) { Fate::Kept } else { self.broken(index, format_args!("unsent: {error}")) };
        }
        loop {
            let count = match link.stream.read(&mut self.buffer) {
                Ok(0) if link.decoder.may_close() => return Fate::Ended,
                Ok(0) => return self.broken(index, format_args!("an answer was cut off, or never began")),
                Ok(count) => count,
                Err(error) if is_not_yet(&error) => return Fate::Kept,
                Err(error) => return self.broken(index, format_args!("unread: {error}")),
            };
            link.decoder.feed(&self.buffer[..count]);
            loop {
                let piece = link.decoder.next().unwrap_or_else(|error| panic!("reader {index}: {error}"));
                let Some(piece) = piece else { break };
                match self.take(index, link, piece) {
                    Fate::Kept => {}
                    fate => return fate,
                }
            }
        }
    }

    fn take(&mut self, index: usize, link: &mut Link, piece: Piece) -> Fate {
        match piece {
            Piece::Head(head) => {
                assert_eq!(head.status, 200, "reader {index} was refused: {head:?}");
                link.body.clear();
                self.hold(link);
                Fate::Kept
            }
            Piece::Body(bytes) if self.readers[index].way == Way::Sse => self.stream(index, link, &bytes),
            Piece::Body(bytes) => {
                link.body.extend_from_slice(&bytes);
                Fate::Kept
            }
            Piece::End if self.readers[index].way == Way::Sse => Fate::Asks,
            Piece::End => self.batch(index, link),
        }
    }

    /// Some bytes of a stream: the cursor moves with each whole event, and with each event it may be cut off.
    fn stream(&mut self, index: usize, link: &mut Link, bytes: &[u8]) -> Fate {
        let (book, reader, received) = (self.book, &mut self.readers[index], &mut self.received);
        let envelopes = link.envelopes;
        let mut cut = false;
        let outcome = link.events.feed(bytes, |event| {
            reader.cursor = Some(event.id.clone());
            cut = reader.event(book, event, envelopes, received);
            !cut
        });
        outcome.unwrap_or_else(|error| panic!("reader {index}: {error}"));
        if cut {
            return Fate::Cut;
        }
        if !link.events.last_id().is_empty() {
            reader.cursor = Some(link.events.last_id().into());
        }
        Fate::Kept
    }

    /// One whole answer of a poll.
    fn batch(&mut self, index: usize, link: &mut Link) -> Fate {
        let reader = &mut self.readers[index];
        let batch: Batch = serde_json::from_slice(&link.body).unwrap_or_else(|error| panic!("reader {index}: {error}"));
        if batch.gap {
            reader.ledgers.iter_mut().for_each(Ledger::gap_somewhere);
        }
        let mut cut = false;
        for message in &batch.messages {
            cut |= reader.message(self.book, message, &mut self.received);
        }
        reader.cursor = Some(batch.cursor.into());
        match cut {
            true => Fate::Cut,
            false if reader.way == Way::Poll && batch.messages.is_empty() => Fate::Naps,
            false => Fate::Asks,
        }
    }

    fn broken(&mut self, index: usize, what: std::fmt::Arguments<'_>) -> Fate {
        let way = self.readers[index].way;
        self.first_break.get_or_insert_with(|| format!("{way:?}: {what}"));
        Fate::Broken
    }

    fn part(&mut self, link: Link, fate: Fate) {
        self.held -= usize::from(link.held);
        if fate == Fate::Cut {
            self.cuts += 1;
            // Without lingering the peer gets a reset, and what was on its way is lost.
            socket2::SockRef::from(&link.stream).set_linger(Some(Duration::ZERO)).expect("an open socket");
        }
        self.breaks += u64::from(fate == Fate::Broken);
        self.ends += u64::from(fate == Fate::Ended);
    }

    fn come_back(&mut self, index: usize) {
        if self.stays_away {
            return;
        }
        self.readers[index].way = self.ways[self.random.below(self.ways.len() as u64) as usize];
        self.line.push_back(index);
    }
}

impl Reader {
    /// What it asks for. A cursor can be given back in a header or in the query.
    fn request(&self, book: &Book, envelopes: bool, manner: u64) -> String {
        let (first, more) = self.ledgers.split_first().expect("a reader reads something");
        let transport = match self.way {
            Way::Sse => "sse",
            Way::LongPoll => "long-poll",
            Way::Poll => "poll",
        };
        let mut query = format!("transport={transport}");
        for ledger in more {
            query += &format!("&channel={}", book.name(ledger.channel));
        }
        if envelopes {
            query += "&envelope=json";
        }
        let mut field = String::new();
        match (&self.cursor, self.way, manner) {
            (None, ..) => query += "&since=earliest",
            (Some(cursor), Way::Sse, 0) => field = format!("Last-Event-ID: {cursor}\r\n"),
            // A poll with a tag may be answered by 304, which has no body to go on with.
            (Some(cursor), Way::LongPoll, 0) => field = format!("If-None-Match: \"{cursor}\"\r\n"),
            (Some(cursor), _, 1) => query += &format!("&lastEventId={cursor}&since=earliest"),
            (Some(cursor), ..) => query += &format!("&since={cursor}"),
        }
        format!("GET /sub{}?{query} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n", book.name(first.channel))
    }

    /// An event came; whether the reader is to be cut off now.
    fn event(&mut self, book: &Book, event: &Event, envelopes: bool, received: &mut u64) -> bool {
        if event.name == "gap" {
            self.gap(book, event);
            return false;
        }
        if envelopes {
            let envelope: Envelope = serde_json::from_str(&event.data).expect("an envelope");
            assert!(event.id.split('.').any(|place| place == envelope.id), "{} is not in {}", envelope.id, event.id);
            return self.message(book, &envelope, received);
        }
        let envelope =
            Envelope { channel: book.name(self.ledgers[0].channel).into(), id: (&*event.id).into(), data: (&*event.data).into() };
        self.message(book, &envelope, received)
    }

    fn gap(&mut self, book: &Book, event: &Event) {
        let gap: Gap = serde_json::from_str(&event.data).expect("a notice");
        let (place, ledger) = self.ledger(book, &gap.channel);
        ledger.gap(book, event.id.split('.').nth(place).unwrap_or_default(), gap.missed);
    }

    fn message(&mut self, book: &Book, envelope: &Envelope, received: &mut u64) -> bool {
        *received += 1;
        self.ledger(book, &envelope.channel).1.message(book, &envelope.id, &envelope.data);
        self.cut_in = self.cut_in.map(|left| left.saturating_sub(1));
        self.cut_in.take_if(|left| *left == 0).is_some()
    }

    fn ledger(&mut self, book: &Book, channel: &str) -> (usize, &mut Ledger) {
        let mut ledgers = self.ledgers.iter_mut().enumerate();
        ledgers.find(|(_, ledger)| book.name(ledger.channel) == channel).expect("a channel that was asked for")
    }
}

impl Link {
    fn write(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            let count = self.stream.write(&self.unsent)?;
            self.unsent.drain(..count);
        }
        Ok(())
    }
}

fn is_not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

/// Draws the same in every run.
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Xorshift (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}
