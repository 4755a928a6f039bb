//! The reactors and the network, simulated: some engines, mailboxes between them, a clock, and sockets whose far ends
//! are the clients'.
//!
//! Keeps the engine's contract as a reactor does, and is as unkind as a reactor and a network may be: bytes arrive in
//! pieces, buffers fill, writes are cut short, mailboxes turn out to be full, events come late or for connections
//! that are gone. Judges nothing but the contract itself; [`Engine::check_invariants`] runs twice a turn.

use super::dice::Dice;
use super::host::Host;
use encke::Config;
use encke::access::Keyring;
use encke::base::id::Token;
use encke::base::payload::Message;
use encke::base::random::Seed;
use encke::base::time::{Now, Tick};
use encke::engine::{Door, Engine, Input, Luggage, Output, PeerMessage};
use std::collections::{HashMap, VecDeque};
use std::fmt::Arguments;
use std::sync::Arc;

/// The most turns in which everything must have come to rest.
const TURNS_MAX: usize = 100_000;
/// The most of what lies in a socket that is read at once.
const RECEIVE_BYTES: usize = 65_536;
const UNIX_MS: u64 = 1_750_000_000_000;
/// How many users there are where presence is told of, and what their tokens are signed with.
const USERS: usize = 3;
const KEYS: &str = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#;

/// A connection: an engine's end and a client's.
pub struct Socket {
    /// What the engine calls it, until the engine closes it.
    token: Option<Token>,
    /// It is on its way to another shard.
    moving: bool,
    /// From the client to the engine.
    up: VecDeque<u8>,
    up_ended: bool,
    up_end_told: bool,
    /// From the engine to the client.
    down: VecDeque<u8>,
    down_ended: bool,
    down_max: usize,
    /// The engine was told that it is full, and not yet that it no longer is.
    full: bool,
    /// The engine wants no more for now.
    deaf: bool,
    /// The client has closed it: whatever is written now is answered with a reset.
    gone: bool,
    broken: bool,
    /// When the engine last wrote something.
    wrote_at: Tick,
}

/// What befalls the n-th write of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    ShortByOne,
    WouldBlock,
    /// Half of it arrives, then the connection is gone.
    CutOff,
    Failure,
}

/// How a turn goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Some of what has happened is told, in pieces.
    Some,
    /// All of it, and nothing more goes wrong.
    All,
}

/// The engines and all that lies between them and the clients.
pub struct House {
    pub engines: Vec<Engine>,
    pub now: Now,
    /// Grows with whatever happens: while it stands still, nothing does.
    pub events: u64,
    /// How many writes there were, and which of them meets with what.
    pub writes: u64,
    pub mishap: Option<(u64, Mishap)>,
    /// In a hundred writes: those cut short though there is room.
    pub short_writes: usize,
    pub loud: bool,
    seed: Seed,
    pub host: Host,
    /// What users show, if there are any.
    tokens: Vec<String>,
    mail: Vec<VecDeque<PeerMessage>>,
    mail_max: usize,
    /// By shard: the sockets on their way there.
    moves: Vec<VecDeque<(usize, Luggage)>>,
    sockets: Vec<Socket>,
    live: Vec<HashMap<Token, usize>>,
    /// Tokens of connections that are gone.
    former: Vec<Vec<Token>>,
}

impl House {
    pub fn new(config: &Config, shards: u16, mail_max: usize, seed: Seed, start: Tick) -> House {
        let mut engines: Vec<Engine> = (0..shards).map(|shard| Engine::new(config, shard, shards, seed)).collect();
        let host = Host::around(&mut engines, config);
        let mut tokens = Vec::new();
        if !config.presence.is_empty() {
            let mut keyring = Keyring::new(seed);
            keyring.set_token_keys(KEYS).expect("a key set");
            let token = |user| keyring.sign_token(None, &format!(r#"{{"sub":"user {user}","encke":{{"subscribe":["/**"]}}}}"#));
            tokens = (0..USERS).map(|user| token(user).expect("a secret")).collect();
            let keyring = Arc::new(keyring);
            engines.iter_mut().for_each(|engine| engine.set_access(config, keyring.clone()));
        }
        House {
            engines,
            now: Now { tick: start, unix_ms: UNIX_MS },
            events: 0,
            writes: 0,
            mishap: None,
            short_writes: 0,
            loud: false,
            seed,
            host,
            tokens,
            mail: (0..shards).map(|_| VecDeque::new()).collect(),
            mail_max,
            moves: (0..shards).map(|_| VecDeque::new()).collect(),
            sockets: Vec::new(),
            live: vec![HashMap::new(); usize::from(shards)],
            former: vec![Vec::new(); usize::from(shards)],
        }
    }

    /// Says what happens, if anybody wants to hear.
    pub fn note(&self, what: Arguments<'_>) {
        if self.loud {
            eprintln!("[{:>9}] {what}", self.now.tick.0);
        }
    }

    pub fn shards(&self) -> u16 {
        self.engines.len() as u16
    }

    pub fn home_of(&self, channel: &str) -> u16 {
        Engine::home_of(self.seed, self.shards(), channel)
    }

    /// Whose the client of this number is: one of few users, or nobody's in particular.
    pub fn user_of(&self, number: usize) -> Option<String> {
        let user = (number % (USERS + 1)).checked_sub(1).filter(|_| !self.tokens.is_empty())?;
        Some(format!("user {user}"))
    }

    /// The fields by which the client of this number shows that.
    pub fn papers(&self, number: usize) -> String {
        let token = (number % (USERS + 1)).checked_sub(1).and_then(|user| self.tokens.get(user));
        token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"))
    }

    // What clients do.

    /// A client connects to `shard`; `None` if that has no room.
    pub fn connect(&mut self, shard: u16, door: Door, down_max: usize) -> Option<usize> {
        let token = self.engines[usize::from(shard)].open(self.now, door)?;
        let id = self.sockets.len();
        self.live[usize::from(shard)].insert(token, id);
        self.sockets.push(Socket {
            token: Some(token),
            moving: false,
            up: VecDeque::new(),
            up_ended: false,
            up_end_told: false,
            down: VecDeque::new(),
            down_ended: false,
            down_max,
            full: false,
            deaf: false,
            gone: false,
            broken: false,
            wrote_at: self.now.tick,
        });
        self.events += 1;
        Some(id)
    }

    pub fn send(&mut self, id: usize, bytes: &[u8]) {
        self.events += 1;
        self.sockets[id].up.extend(bytes);
    }

    /// The client takes up to `max` bytes of what has come.
    pub fn take(&mut self, id: usize, max: usize) -> Vec<u8> {
        let socket = &mut self.sockets[id];
        let count = max.min(socket.down.len());
        self.events += u64::from(count > 0);
        socket.down.drain(..count).collect()
    }

    /// The client sends no more, but reads on.
    pub fn end_sending(&mut self, id: usize) {
        self.events += 1;
        self.sockets[id].up_ended = true;
    }

    /// The client closes: what it sent still arrives, what comes is refused.
    pub fn hang_up(&mut self, id: usize) {
        self.events += 1;
        let socket = &mut self.sockets[id];
        (socket.up_ended, socket.gone) = (true, true);
        socket.down.clear();
    }

    /// The connection breaks: all that was under way is lost.
    pub fn cut(&mut self, id: usize) {
        self.events += 1;
        let socket = &mut self.sockets[id];
        socket.broken = true;
        socket.up.clear();
        socket.down.clear();
    }

    /// Whether the client has read all there was and will be.
    pub fn ended(&self, id: usize) -> bool {
        let socket = &self.sockets[id];
        socket.down.is_empty() && (socket.down_ended || socket.token.is_none() && !socket.moving)
    }

    pub fn broken(&self, id: usize) -> bool {
        self.sockets[id].broken
    }

    /// How long nothing was written to a socket from which the client has read everything.
    pub fn silent_ms(&self, id: usize) -> u64 {
        let socket = &self.sockets[id];
        if socket.full || !socket.down.is_empty() { 0 } else { self.now.tick.since(socket.wrote_at) }
    }

    // What the process does.

    /// A message is published in this process; `false` if it was not kept.
    pub fn publish(&mut self, message: Message) -> bool {
        let home = usize::from(self.home_of(message.channel()));
        let unkept = self.engines[home].counters().unkept;
        self.tell(home, Input::Publish(&mut vec![message]));
        self.engines[home].counters().unkept == unkept
    }

    /// All time until the clock shows `tick`, or its reading now, passes unnoticed.
    pub fn pass(&mut self, ms: u64) {
        self.now.tick = self.now.tick + ms;
        self.now.unix_ms += ms;
    }

    /// How long until the first deadline of any engine.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.engines.iter().filter_map(Engine::next_deadline).min().map(|at| at.since(self.now.tick))
    }

    // What reactors do.

    /// One shard's reactor wakes up, tells what has happened, and does what it is told.
    pub fn turn(&mut self, shard: u16, pace: Pace, dice: &mut Dice) {
        let s = usize::from(shard);
        if self.engines[s].next_deadline().is_some_and(|at| at <= self.now.tick) {
            self.tell(s, Input::Time);
        }
        self.deliver_mail(s, pace, dice);
        self.deliver_moves(s, pace, dice);
        self.deliver_verdicts(pace, dice);
        let mut ids: Vec<usize> = self.live[s].values().copied().collect();
        ids.sort_unstable();
        dice.shuffle(&mut ids);
        for id in ids {
            self.deliver_socket(s, id, pace, dice);
        }
        if pace == Pace::Some && dice.percent(5) {
            self.deliver_late(s, dice);
        }
        self.engines[s].check_invariants();
        self.engines[s].begin_turn();
        while let Some(output) = self.engines[s].poll_output(self.now) {
            self.events += 1;
            self.perform(s, output, pace, dice);
        }
        self.engines[s].check_invariants();
        let sessions: usize = self.engines.iter().map(Engine::sessions).sum();
        self.host.check_readers(self.live.iter().map(HashMap::len).sum::<usize>() + sessions);
        self.collect_mail(s, pace, dice);
    }

    /// Whether nothing is left to do for anybody, unless time passes or a client acts.
    pub fn at_rest(&self) -> bool {
        let arrived = self.mail.iter().all(VecDeque::is_empty) && self.moves.iter().all(VecDeque::is_empty);
        arrived && !self.engines.iter().any(|engine| engine.busy() || engine.has_mail())
    }

    /// Turns all shards, with `clients` acting in between, until nothing moves any more.
    pub fn settle(&mut self, dice: &mut Dice, mut clients: impl FnMut(&mut House, &mut Dice)) {
        for _ in 0..TURNS_MAX {
            let events = self.events;
            for shard in 0..self.shards() {
                self.turn(shard, Pace::All, dice);
            }
            clients(self, dice);
            if self.events == events && self.at_rest() {
                return;
            }
        }
        panic!("nothing comes to rest");
    }

    fn tell(&mut self, s: usize, input: Input<'_>) {
        if !matches!(input, Input::Time) {
            self.events += 1;
        }
        self.engines[s].handle(self.now, input);
        // After each turn is often enough to find a fault; after each input shows where it is.
        if self.loud {
            self.engines[s].check_invariants();
        }
    }

    /// The program around the server answers some of what it was asked, and now and then what it was not.
    fn deliver_verdicts(&mut self, pace: Pace, dice: &mut Dice) {
        while let Some(question) = self.host.answered(dice) {
            self.tell(usize::from(Engine::asker_of(question)), Input::Verdict { question, allow: true });
            if pace == Pace::Some && dice.percent(50) {
                return;
            }
        }
    }

    fn deliver_mail(&mut self, s: usize, pace: Pace, dice: &mut Dice) {
        let waiting = self.mail[s].len();
        let count = if pace == Pace::All { waiting } else { dice.below(waiting + 1) };
        for message in self.mail[s].drain(..count).collect::<Vec<_>>() {
            self.note(format_args!("shard {s} hears {message:?}"));
            self.tell(s, Input::Peer(message));
        }
    }

    /// Takes in the sockets that come from other shards.
    fn deliver_moves(&mut self, s: usize, pace: Pace, dice: &mut Dice) {
        let waiting = self.moves[s].len();
        let count = if pace == Pace::All { waiting } else { dice.below(waiting + 1) };
        for (id, luggage) in self.moves[s].drain(..count).collect::<Vec<_>>() {
            self.events += 1;
            let token = self.engines[s].arrive(self.now, luggage);
            self.note(format_args!("socket {id} arrives at shard {s}"));
            let socket = &mut self.sockets[id];
            (socket.token, socket.moving, socket.up_end_told) = (token, false, false);
            if let Some(token) = token {
                socket.deaf = !self.engines[s].wants_read(token);
                self.live[s].insert(token, id);
            }
        }
    }

    /// Tells what has happened to one socket, as far as it is noticed now.
    fn deliver_socket(&mut self, s: usize, id: usize, pace: Pace, dice: &mut Dice) {
        let all = pace == Pace::All;
        let noticed = |dice: &mut Dice| all || dice.percent(60);
        let Some(token) = self.sockets[id].token else { return };
        if self.sockets[id].broken {
            if noticed(dice) {
                self.note(format_args!("socket {id} failed"));
                self.tell(s, Input::Failed { token });
            }
            return;
        }
        let socket = &mut self.sockets[id];
        if socket.full && socket.down.len() < socket.down_max && noticed(dice) {
            socket.full = false;
            self.tell(s, Input::Writable { token });
        }
        let socket = &mut self.sockets[id];
        if !socket.deaf && !socket.up.is_empty() && noticed(dice) {
            let most = if all { RECEIVE_BYTES } else { dice.pick(&[1, 30, 300, RECEIVE_BYTES]) };
            let count = socket.up.len().min(if all { most } else { dice.within(1..=most) });
            let bytes: Vec<u8> = socket.up.drain(..count).collect();
            self.tell(s, Input::Bytes { token, bytes: &bytes });
            self.sockets[id].deaf = !self.engines[s].wants_read(token);
        }
        let socket = &mut self.sockets[id];
        let end_shows = socket.up_ended && !socket.up_end_told && socket.up.is_empty() && !socket.deaf;
        if end_shows && noticed(dice) {
            socket.up_end_told = true;
            self.note(format_args!("socket {id} ends"));
            self.tell(s, Input::Eof { token });
        }
    }

    /// An event comes for a connection that is gone; its slot may have another tenant.
    fn deliver_late(&mut self, s: usize, dice: &mut Dice) {
        if self.former[s].is_empty() {
            return;
        }
        let token = dice.pick(&self.former[s]);
        match dice.below(4) {
            0 => self.tell(s, Input::Writable { token }),
            1 => self.tell(s, Input::Bytes { token, bytes: b"GET / HTTP/1.1\r\n" }),
            2 => self.tell(s, Input::Eof { token }),
            _ => self.tell(s, Input::Failed { token }),
        }
    }

    fn perform(&mut self, s: usize, output: Output, pace: Pace, dice: &mut Dice) {
        match output {
            Output::Write(token) => self.write(s, token, pace, dice),
            Output::Read(token) => {
                if let Some(&id) = self.live[s].get(&token) {
                    self.sockets[id].deaf = false;
                }
            }
            Output::Shutdown(token) => {
                if let Some(&id) = self.live[s].get(&token) {
                    self.sockets[id].down_ended = true;
                }
            }
            Output::Close(token) => self.close(s, token, dice),
            Output::Move { token, shard } => {
                let luggage = self.engines[s].luggage().expect("it goes along");
                let id = self.live[s].remove(&token).expect("who moves is open");
                self.note(format_args!("socket {id} leaves shard {s} for {shard}"));
                self.former[s].push(token);
                (self.sockets[id].token, self.sockets[id].moving) = (None, true);
                self.moves[usize::from(shard)].push_back((id, luggage));
            }
            Output::Metrics(_) | Output::Sample => unreachable!("nobody here asks for numbers"),
            Output::Ring => self.host.listen(),
        }
    }

    fn close(&mut self, s: usize, token: Token, dice: &mut Dice) {
        let id = self.live[s].remove(&token).unwrap_or_else(|| panic!("{token:?} of shard {s} is closed, but not open"));
        self.note(format_args!("shard {s} closes socket {id}"));
        self.former[s].push(token);
        let socket = &mut self.sockets[id];
        socket.token = None;
        // Closing a socket with unread bytes in it resets it, and what was on its way is lost.
        if !socket.up.is_empty() && dice.percent(50) {
            socket.broken = true;
            socket.down.clear();
        }
    }

    fn write(&mut self, s: usize, token: Token, pace: Pace, dice: &mut Dice) {
        let id = *self.live[s].get(&token).unwrap_or_else(|| panic!("{token:?} of shard {s} is written to, but not open"));
        let socket = &mut self.sockets[id];
        assert!(!socket.full, "socket {id} is written to while it is full");
        assert!(!socket.down_ended, "socket {id} is written to after its end");
        self.writes += 1;
        let mishap = self.mishap.filter(|(which, _)| *which == self.writes).map(|(_, mishap)| mishap);
        if mishap == Some(Mishap::Failure) {
            socket.broken = true;
            socket.down.clear();
        }
        if socket.broken || socket.gone {
            return self.tell(s, Input::Failed { token });
        }
        let pieces = self.engines[s].outgoing(token);
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert!(len > 0, "socket {id} has nothing to write");
        let room = len.min(socket.down_max - socket.down.len());
        let count = match mishap {
            Some(Mishap::ShortByOne) => room.min(len - 1),
            Some(Mishap::WouldBlock) => 0,
            Some(Mishap::CutOff) => room / 2,
            _ if pace == Pace::Some && dice.percent(self.short_writes) => dice.within(0..=room),
            _ => room,
        };
        socket.down.extend(pieces.iter().copied().flatten().take(count));
        if mishap == Some(Mishap::CutOff) {
            socket.down_ended = true;
            return self.tell(s, Input::Failed { token });
        }
        socket.full = count < len;
        if count > 0 {
            socket.wrote_at = self.now.tick;
        }
        self.note(format_args!("socket {id} takes {count} of {len}"));
        self.tell(s, Input::Wrote { token, count });
    }

    /// Takes messages from one shard to the others' mailboxes while they have room, or seem to.
    fn collect_mail(&mut self, s: usize, pace: Pace, dice: &mut Dice) {
        for other in 0..self.shards() {
            let to = usize::from(other);
            while self.mail[to].len() < self.mail_max {
                let Some(message) = self.engines[s].poll_peer(other) else { break };
                if pace == Pace::Some && dice.percent(10) {
                    self.engines[s].unpoll_peer(other, message);
                    break;
                }
                assert_ne!(s, to, "shard {s} writes to itself: {message:?}");
                self.events += 1;
                self.mail[to].push_back(message);
            }
        }
    }
}
