//! Shards with clients around them, in virtual time: a reactor without a system.
//!
//! Owns the engines, the clock, and both ends of each connection. Does what the contract of [`Engine`] asks of
//! a reactor, and after each act goes on until nothing moves, so that what a client has received is all that it
//! will receive until time passes or somebody acts. Never judges what was received.
//!
//! Invariant: `check_invariants` holds for every engine after each thing it was told and each thing it did.

use encke::Config;
use encke::access::Keyring;
use encke::base::event::{Event, EventKind};
use encke::base::id::Token;
use encke::base::payload::{Message, Parts};
use encke::base::random::Seed;
use encke::base::time::{Now, Tick};
use encke::engine::{Door, Engine, EventFeed, Input, Landlord, Output, PeerMessage, events};
use std::collections::VecDeque;
use std::sync::Arc;

/// Every world's seed: epochs, home shards and jitter follow from it.
pub const SEED: Seed = Seed(1994, 16);
/// What the calendar says when a world begins: Sun, 06 Nov 1994 08:49:37 GMT.
pub const UNIX_MS: u64 = 784_111_777_000;
/// More rounds than any act needs; beyond, engines keep each other busy for nothing.
const ROUNDS_MAX: usize = 10_000;

/// What a connection is called for which there was no room.
const NO_TOKEN: Token = Token { index: u32::MAX, generation: u32::MAX };

/// How the system under the engines behaves. None of it may change what clients receive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// In which pieces what clients send arrives.
    pub cut: Cut,
    /// How many bytes a socket takes at once; the next ones at once after that.
    pub gulp: Option<usize>,
    /// What the steady clock shows when the world begins.
    pub start: u64,
}

/// The pieces in which sent bytes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Each send as a whole.
    #[default]
    Nowhere,
    /// Each byte on its own.
    Everywhere,
    /// The send of this number in two, so many bytes in the first.
    Once { send: usize, at: usize },
}

/// One client and its connection.
pub struct Client {
    pub name: String,
    /// All that it received, from the first byte on.
    pub received: Vec<u8>,
    /// The server has ended its half.
    pub shut: bool,
    /// The server has closed.
    pub closed: bool,
    shard: usize,
    token: Token,
    /// What it sent and the engine has not yet read.
    unread: VecDeque<u8>,
    eof: Eof,
    /// How many bytes its socket still takes; `None` for all.
    room: Option<usize>,
    /// Its socket took less than it was offered.
    full: bool,
}

#[derive(PartialEq)]
enum Eof {
    NotYet,
    Sent,
    Told,
}

/// The program around the server. Takes every event at once, unless it sleeps.
pub struct Host {
    /// All that it heard and was asked, from the first on.
    pub heard: Vec<Event>,
    feed: EventFeed,
    sleeps: bool,
    /// The engines have asked to ring since it last came.
    rung: bool,
}

impl Host {
    /// The number of the question that was asked as the `ordinal`th, from 1.
    pub fn question(&self, ordinal: usize) -> u64 {
        let mut questions = self.heard.iter().filter(|event| event.kind == EventKind::Subscribe);
        questions.nth(ordinal - 1).unwrap_or_else(|| panic!("question {ordinal} was not asked")).question
    }

    fn take(&mut self) {
        if self.sleeps {
            return;
        }
        let known = self.heard.len();
        self.heard.extend(std::iter::from_fn(|| self.feed.next()));
        assert!(self.rung || self.heard.len() == known, "nobody rang");
        self.rung = false;
    }
}

/// The shards of one server and all their clients.
pub struct World {
    engines: Vec<Engine>,
    pub clients: Vec<Client>,
    pub host: Host,
    tick: Tick,
    manner: Manner,
    sends: usize,
    mail_held: bool,
}

impl World {
    /// A server of so many shards.
    pub fn new(config: &Config, shards: u16, manner: Manner) -> World {
        let mut engines: Vec<Engine> = (0..shards).map(|shard| Engine::new(config, shard, shards, SEED)).collect();
        let (port, feed) = events(config.events_max);
        if config.check_hostless().is_err() {
            engines.iter_mut().for_each(|engine| engine.set_host(port.clone()));
        }
        let host = Host { heard: Vec::new(), feed, sleeps: false, rung: false };
        World { engines, clients: Vec::new(), host, tick: Tick(manner.start), manner, sends: 0, mail_held: false }
    }

    /// Tokens and keys are good by `keyring`.
    pub fn take_keys(&mut self, config: &Config, keyring: Keyring) {
        let keyring = Arc::new(keyring);
        self.engines.iter_mut().for_each(|engine| engine.set_access(config, keyring.clone()));
    }

    /// Readers are counted by this one.
    pub fn have_landlord(&mut self, landlord: &Arc<dyn Landlord>) {
        self.engines.iter_mut().for_each(|engine| engine.set_landlord(landlord.clone()));
    }

    /// What both clocks show.
    pub fn now(&self) -> Now {
        Now { tick: self.tick, unix_ms: UNIX_MS + self.elapsed_ms() }
    }

    /// How long this world has existed.
    pub fn elapsed_ms(&self) -> u64 {
        self.tick.since(Tick(self.manner.start))
    }

    /// The newest client of this name.
    pub fn client(&self, name: &str) -> usize {
        let place = self.clients.iter().rposition(|client| client.name == name);
        place.unwrap_or_else(|| panic!("there is no client {name}"))
    }

    /// Opens a connection to `shard`, which closes it if it has no room.
    pub fn open(&mut self, name: &str, door: Door, shard: usize) {
        let now = self.now();
        let token = self.engines[shard].open(now, door);
        if let Some(token) = token.filter(|_| self.engines[shard].wants_addresses() && door != Door::Control) {
            let address = format!("192.0.2.1:{}", 1001 + self.clients.len()).parse().expect("an address");
            self.engines[shard].came_from(token, address);
        }
        self.clients.push(Client {
            name: name.to_string(),
            received: Vec::new(),
            shut: false,
            closed: token.is_none(),
            shard,
            token: token.unwrap_or(NO_TOKEN),
            unread: VecDeque::new(),
            eof: Eof::NotYet,
            room: None,
            full: false,
        });
        self.settle();
    }

    /// The program around the server publishes.
    pub fn publish(&mut self, parts: &Parts<'_>) {
        let home = Engine::home_of(SEED, self.engines.len() as u16, parts.channel);
        let message = Message::new(parts).expect("the transcript's message is one");
        self.handle(usize::from(home), Input::Publish(&mut vec![message]));
        self.settle();
    }

    /// The program around the server answers a question.
    pub fn answer(&mut self, question: u64, allow: bool) {
        self.handle(usize::from(Engine::asker_of(question)), Input::Verdict { question, allow });
        self.settle();
    }

    /// The program around the server takes no events, or takes them again.
    pub fn host_sleeps(&mut self, sleeps: bool) {
        self.host.sleeps = sleeps;
        self.settle();
    }

    /// Which client the engines mean, be it a Bayeux session.
    pub fn client_of(&self, event: &Event) -> String {
        if event.client >> 47 & 1 == 1 {
            return format!("session:{}", event.client & 0xffff);
        }
        let number = |client: &Client| {
            let Token { index, generation } = client.token;
            (client.shard as u64) << 48 | u64::from(generation) << 16 | u64::from(index & 0xffff)
        };
        let client = self.clients.iter().find(|client| number(client) == event.client);
        client.expect("an event is about a client").name.clone()
    }

    /// A client sends, in the pieces that this world's manner makes of it.
    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        assert!(!self.clients[client].closed, "{} is closed", self.clients[client].name);
        let send = self.sends;
        self.sends += 1;
        let pieces: Vec<&[u8]> = match self.manner.cut {
            Cut::Everywhere => bytes.chunks(1).collect(),
            Cut::Once { send: which, at } if which == send => vec![&bytes[..at], &bytes[at..]],
            Cut::Once { .. } | Cut::Nowhere => vec![bytes],
        };
        for piece in pieces {
            self.clients[client].unread.extend(piece);
            self.settle();
        }
    }

    /// A client ends its half.
    pub fn eof(&mut self, client: usize) {
        self.clients[client].eof = Eof::Sent;
        self.settle();
    }

    /// A client's connection breaks.
    pub fn reset(&mut self, client: usize) {
        let (shard, token) = (self.clients[client].shard, self.clients[client].token);
        self.clients[client].unread.clear();
        self.handle(shard, Input::Failed { token });
        self.settle();
    }

    /// A client's socket takes `room` more bytes and is full then; `None`: it takes all again.
    pub fn take(&mut self, client: usize, room: Option<usize>) {
        self.clients[client].room = room;
        self.settle();
    }

    /// The server is to stop.
    pub fn drain(&mut self) {
        let now = self.now();
        for engine in &mut self.engines {
            engine.drain(now);
            engine.check_invariants();
        }
        self.settle();
    }

    /// Mailboxes between shards have no room, or have it again.
    pub fn hold_mail(&mut self, held: bool) {
        self.mail_held = held;
        self.settle();
    }

    /// Lets time pass until so many milliseconds after the beginning, from deadline to deadline.
    pub fn pass_until(&mut self, elapsed_ms: u64) {
        let end = Tick(self.manner.start + elapsed_ms);
        assert!(end >= self.tick, "time does not go back");
        while let Some(due) = self.engines.iter().filter_map(Engine::next_deadline).min().filter(|&due| due <= end) {
            self.tick = self.tick.max(due);
            for shard in 0..self.engines.len() {
                self.handle(shard, Input::Time);
            }
            self.settle();
        }
        self.tick = end;
    }

    fn handle(&mut self, shard: usize, input: Input<'_>) {
        let now = self.now();
        self.engines[shard].handle(now, input);
        self.engines[shard].check_invariants();
    }

    /// Goes on until nothing moves.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut moved = false;
            for shard in 0..self.engines.len() {
                moved |= self.read(shard) | self.make_room(shard) | self.turn(shard);
            }
            moved |= !self.mail_held && self.pass_mail();
            if !moved && !self.engines.iter().any(Engine::busy) {
                self.host.take();
                return;
            }
        }
        panic!("the engines never come to rest");
    }

    /// Reads the sockets of a shard that have something and that it listens to.
    fn read(&mut self, shard: usize) -> bool {
        let mut moved = false;
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            if client.shard != shard || client.closed {
                continue;
            }
            if !self.engines[shard].wants_read(client.token) {
                if client.eof == Eof::Sent {
                    let token = client.token;
                    self.handle(shard, Input::HungUp { token });
                }
                continue;
            }
            let (token, bytes) = (client.token, Vec::from(std::mem::take(&mut client.unread)));
            if !bytes.is_empty() {
                self.handle(shard, Input::Bytes { token, bytes: &bytes });
                moved = true;
            } else if client.eof == Eof::Sent {
                client.eof = Eof::Told;
                self.handle(shard, Input::Eof { token });
                moved = true;
            }
        }
        moved
    }

    /// Sockets that were full and no longer are.
    fn make_room(&mut self, shard: usize) -> bool {
        let mut moved = false;
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            if client.shard == shard && client.full && !client.closed && client.room != Some(0) {
                client.full = false;
                let token = client.token;
                self.handle(shard, Input::Writable { token });
                moved = true;
            }
        }
        moved
    }

    fn turn(&mut self, shard: usize) -> bool {
        let now = self.now();
        let mut moved = false;
        self.engines[shard].begin_turn();
        while let Some(output) = self.engines[shard].poll_output(now) {
            moved = true;
            match output {
                Output::Write(token) => self.write(shard, token),
                // Each round reads whoever is listened to.
                Output::Read(_) => {}
                Output::Shutdown(token) => self.owner(shard, token).shut = true,
                Output::Close(token) => self.owner(shard, token).closed = true,
                Output::Move { token, shard: to } => self.move_client(shard, token, usize::from(to)),
                Output::Metrics(token) => self.handle(shard, Input::Metrics { token, text: "up 1\n" }),
                Output::Sample => self.handle(shard, Input::Sample { fields: "\"up\":1" }),
                Output::Ring => self.host.rung = true,
            }
            self.engines[shard].check_invariants();
        }
        moved
    }

    fn owner(&mut self, shard: usize, token: Token) -> &mut Client {
        let mut clients = self.clients.iter_mut().filter(|client| client.shard == shard && !client.closed);
        clients.find(|client| client.token == token).expect("outputs name connections that are open")
    }

    /// A connection goes to another shard at once.
    fn move_client(&mut self, shard: usize, token: Token, to: usize) {
        let now = self.now();
        let luggage = self.engines[shard].luggage().expect("who moves has luggage");
        let arrived = self.engines[to].arrive(now, luggage);
        self.engines[to].check_invariants();
        let client = self.owner(shard, token);
        client.shard = to;
        client.closed = arrived.is_none();
        client.token = arrived.unwrap_or(NO_TOKEN);
        client.full = false;
        if client.eof == Eof::Told {
            client.eof = Eof::Sent;
        }
    }

    fn write(&mut self, shard: usize, token: Token) {
        let offered = self.engines[shard].outgoing(token).concat();
        assert!(!offered.is_empty(), "a write has bytes");
        let gulp = self.manner.gulp.unwrap_or(usize::MAX);
        let client = self.owner(shard, token);
        assert!(!client.shut, "nothing is written after the end");
        let count = offered.len().min(gulp).min(client.room.unwrap_or(usize::MAX));
        client.received.extend_from_slice(&offered[..count]);
        client.room = client.room.map(|room| room - count);
        client.full = count < offered.len();
        self.handle(shard, Input::Wrote { token, count });
    }

    fn pass_mail(&mut self) -> bool {
        let mut letters: Vec<(usize, PeerMessage)> = Vec::new();
        let shards = self.engines.len();
        for engine in &mut self.engines {
            for shard in 0..shards {
                letters.extend(std::iter::from_fn(|| engine.poll_peer(shard as u16)).map(|letter| (shard, letter)));
            }
        }
        let moved = !letters.is_empty();
        for (shard, letter) in letters {
            self.handle(shard, Input::Peer(letter));
        }
        moved
    }
}
