//! An engine, a clock and sockets that take everything. A **bystander** has a Bayeux session and an event stream of its
//! own: whatever somebody else sends, it gets what is published for it, once.

use super::corpus::{BEGIN_MS, KEYS};
use crate::dice::Dice;
use encke::Config;
use encke::base::id::Token;
use encke::base::payload::{Message, Parts};
use encke::base::random::Seed;
use encke::base::time::{Now, Tick};
use encke::engine::{Door, Engine, Input, Output};
use std::collections::HashMap;

const CHANNEL: &str = "/bystander";
const NEWS: &str = "news for the bystander";
/// The most turns until nothing is left to do, and the most deadlines until nothing is left.
const TURNS_MAX: usize = 10_000;
const DEADLINES_MAX: usize = 10_000;

/// What a client has got, and whether its connection is still there.
#[derive(Default)]
struct Client {
    received: Vec<u8>,
    gone: bool,
}

/// All of it.
pub struct Stage {
    pub engine: Engine,
    now: Now,
    clients: HashMap<Token, Client>,
    bystanders: [Token; 2],
}

impl Stage {
    pub fn new() -> Stage {
        let config = Config {
            connections_max: 16,
            channels_max: 64,
            bayeux_sessions_max: 16,
            body_bytes_max: 4_096,
            head_bytes_max: 4_096,
            bayeux_publish: "/**".into(),
            origin: "*".into(),
            // The bystander is held for as long as anything takes.
            bayeux_timeout_ms: 3_600_000,
            life_span_ms: 0,
            // Strangers may read everything.
            anonymous_subscribe: "/**".into(),
            presence: "/**".into(),
            ..Config::default()
        };
        let mut engine = Engine::new(&config, 0, 1, Seed(7, 8));
        engine.set_access(&config, KEYS.clone());
        let now = Now { tick: Tick(1_000), unix_ms: BEGIN_MS };
        let nobody = Token { index: 0, generation: 0 };
        let mut stage = Stage { engine, now, clients: HashMap::new(), bystanders: [nobody; 2] };
        let (token, client) = stage.session(CHANNEL);
        let connect = format!(r#"[{{"channel":"/meta/connect","connectionType":"long-polling","clientId":"{client}"}}]"#);
        stage.tell(token, post("/bayeux", "application/json", connect.as_bytes()).as_slice());
        let stream = stage.open(Door::Public);
        stage.tell(stream, format!("GET /sub{CHANNEL}?transport=sse HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        stage.bystanders = [token, stream];
        stage
    }

    /// A session that is subscribed to `channel`, with its connection and its client id.
    pub fn session(&mut self, channel: &str) -> (Token, String) {
        let token = self.open(Door::Public);
        let hello = br#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}]"#;
        self.tell(token, &post("/bayeux", "application/json", hello));
        let answer = String::from_utf8(self.take(token)).expect("JSON is text");
        let (_, behind) = answer.split_once("\"clientId\":\"").expect("a client id");
        let client = behind.split('"').next().expect("its end").to_owned();
        let subscribe = format!(r#"[{{"channel":"/meta/subscribe","clientId":"{client}","subscription":"{channel}"}}]"#);
        self.tell(token, &post("/bayeux", "application/json", subscribe.as_bytes()));
        assert!(self.take(token).windows(17).any(|window| window == b"\"successful\":true"));
        (token, client)
    }

    pub fn open(&mut self, door: Door) -> Token {
        let token = self.engine.open(self.now, door).expect("room");
        self.clients.insert(token, Client::default());
        token
    }

    /// A client sends something, as far as anybody reads it.
    pub fn tell(&mut self, token: Token, bytes: &[u8]) {
        if !bytes.is_empty() && !self.clients[&token].gone && self.engine.wants_read(token) {
            self.handle(Input::Bytes { token, bytes });
            self.turns();
        }
    }

    /// A client sends no more.
    pub fn end(&mut self, token: Token) {
        if !self.clients[&token].gone {
            self.handle(Input::Eof { token });
            self.turns();
        }
    }

    /// What a client has got since it was asked last.
    pub fn take(&mut self, token: Token) -> Vec<u8> {
        self.clients.get_mut(&token).map(|client| std::mem::take(&mut client.received)).unwrap_or_default()
    }

    pub fn pass(&mut self, ms: u64) {
        (self.now.tick, self.now.unix_ms) = (self.now.tick + ms, self.now.unix_ms + ms);
        self.handle(Input::Time);
        self.turns();
    }

    /// What a client gets for `pieces`, which `check` looks at. With that it is over.
    pub fn answer(mut self, token: Token, pieces: &[&[u8]], check: fn(&[u8])) -> Vec<u8> {
        pieces.iter().for_each(|piece| self.tell(token, piece));
        let answer = self.take(token);
        check(&answer);
        self.check();
        answer
    }

    /// Panics unless both bystanders get what is published for them; and unless, once all are gone, nothing is left.
    pub fn check(mut self) {
        let parts = Parts { channel: CHANNEL, content_type: "text/plain", event: "", data: NEWS.as_bytes(), unix_ms: 0 };
        self.handle(Input::Publish(&mut vec![Message::new(&parts).expect("a message")]));
        self.turns();
        for token in self.bystanders {
            let received = String::from_utf8(self.take(token)).expect("text");
            assert_eq!(received.matches(NEWS).count(), 1, "a bystander gets: {received}");
        }
        self.engine.drain(self.now);
        self.turns();
        for _ in 0..DEADLINES_MAX {
            let Some(at) = self.engine.next_deadline() else { break };
            self.pass(at.since(self.now.tick));
        }
        let left = [self.engine.connections(), self.engine.sessions(), self.engine.channels(), self.engine.members()];
        assert_eq!(left, [0; 4], "connections, sessions, channels and members are left");
    }

    fn handle(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
        self.engine.check_invariants();
    }

    fn turns(&mut self) {
        for _ in 0..TURNS_MAX {
            self.engine.begin_turn();
            while let Some(output) = self.engine.poll_output(self.now) {
                self.perform(output);
            }
            self.engine.check_invariants();
            if !self.engine.busy() {
                return;
            }
        }
        panic!("nothing comes to rest");
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Write(token) => {
                let bytes = self.engine.outgoing(token).concat();
                assert!(!bytes.is_empty(), "nothing is to be written");
                self.client(token).received.extend(&bytes);
                self.engine.handle(self.now, Input::Wrote { token, count: bytes.len() });
            }
            Output::Close(token) => self.client(token).gone = true,
            Output::Read(_) | Output::Shutdown(_) | Output::Ring => {}
            Output::Metrics(token) => self.engine.handle(self.now, Input::Metrics { token, text: "up 1\n" }),
            Output::Sample => self.engine.handle(self.now, Input::Sample { fields: "\"up\":1" }),
            Output::Move { .. } => panic!("there is one shard"),
        }
    }

    fn client(&mut self, token: Token) -> &mut Client {
        let client = self.clients.get_mut(&token).expect("a client");
        assert!(!client.gone, "its connection was closed before");
        client
    }
}

/// The input in pieces of at most `most` bytes.
pub fn pieces<'a>(mut input: &'a [u8], most: usize, dice: &mut Dice) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !input.is_empty() {
        let (piece, behind) = input.split_at(dice.within(1..=most.min(input.len())));
        pieces.push(piece);
        input = behind;
    }
    pieces
}

/// A request with this body.
pub fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
