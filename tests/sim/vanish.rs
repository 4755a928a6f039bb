//! Clients that shake hands, subscribe, perhaps connect, and are never heard of again: a hundred thousand of them, on two
//! shards. While they may still come back their sessions wait for them; then nothing of them is left.

use encke::Config;
use encke::base::id::Token;
use encke::base::random::Seed;
use encke::base::time::{Now, Tick};
use encke::engine::{Door, Engine, Input, Output};

const SHARDS: u16 = 2;
const CLIENTS: usize = 100_000;
const MAX_INTERVAL_MS: u64 = 10_000;
const CHANNELS: usize = 100;

/// Engines whose sockets take everything.
struct Server {
    engines: Vec<Engine>,
    now: Now,
}

/// Panics if anything is left of clients that vanish.
pub fn run() {
    let config = Config {
        connections_max: 64,
        bayeux_sessions_max: CLIENTS as u64 * 2,
        bayeux_max_interval_ms: MAX_INTERVAL_MS,
        channel_linger_ms: 1_000,
        // Strangers may read everything.
        anonymous_subscribe: "/**".into(),
        ..Config::default()
    };
    let engines = (0..SHARDS).map(|shard| Engine::new(&config, shard, SHARDS, Seed(3, 4))).collect();
    let mut server = Server { engines, now: Now { tick: Tick(0), unix_ms: 0 } };
    for number in 0..CLIENTS {
        server.client(number);
    }
    assert_eq!(server.sessions(), CLIENTS, "who vanished may come back");
    assert!(server.engines.iter().all(|engine| engine.connections() == 0));
    server.pass(MAX_INTERVAL_MS);
    assert_eq!(server.sessions(), 0, "nobody came back");
    server.pass(60_000);
    for engine in &server.engines {
        assert_eq!((engine.channels(), engine.next_deadline()), (0, None));
        engine.check_invariants();
    }
}

impl Server {
    fn client(&mut self, number: usize) {
        let shard = number % usize::from(SHARDS);
        let token = self.engines[shard].open(self.now, Door::Public).expect("room");
        let hello =
            r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"ack":true}}]"#;
        let answer = self.ask(shard, token, hello);
        let client = answer.split_once("\"clientId\":\"").and_then(|(_, rest)| rest.split_once('"')).expect("a client id").0;
        let channel = number % CHANNELS;
        let subscribe = format!(r#"[{{"channel":"/meta/subscribe","clientId":"{client}","subscription":"/c{channel}"}}]"#);
        self.ask(shard, token, &subscribe);
        if number.is_multiple_of(2) {
            let connect = format!(r#"[{{"channel":"/meta/connect","connectionType":"long-polling","clientId":"{client}"}}]"#);
            self.ask(shard, token, &connect);
        }
        self.engines[shard].handle(self.now, Input::Failed { token });
        self.turns();
    }

    /// Sends a request, and gives what is answered by the time that all is at rest.
    fn ask(&mut self, shard: usize, token: Token, messages: &str) -> String {
        let head = "POST /bayeux HTTP/1.1\r\nHost: a\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{messages}", messages.len());
        self.engines[shard].handle(self.now, Input::Bytes { token, bytes: request.as_bytes() });
        self.turns()
    }

    fn sessions(&self) -> usize {
        self.engines.iter().map(Engine::sessions).sum()
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now.tick + ms;
        // A deadline that has come is told again and again: so many sessions end at a time.
        while let Some(next) = self.engines.iter().filter_map(Engine::next_deadline).min().filter(|next| *next <= until) {
            self.now.tick = next.max(self.now.tick);
            self.engines.iter_mut().for_each(|engine| engine.handle(self.now, Input::Time));
            self.turns();
        }
        self.now.tick = until;
    }

    /// Turns both engines until nothing is left to do; returns all that was written.
    fn turns(&mut self) -> String {
        let mut written = Vec::new();
        loop {
            let mut quiet = true;
            for from in 0..usize::from(SHARDS) {
                self.engines[from].begin_turn();
                while let Some(output) = self.engines[from].poll_output(self.now) {
                    if let Output::Write(token) = output {
                        let bytes = self.engines[from].outgoing(token).concat();
                        self.engines[from].handle(self.now, Input::Wrote { token, count: bytes.len() });
                        written.extend(bytes);
                    }
                }
                let to = 1 - from;
                while let Some(message) = self.engines[from].poll_peer(to as u16) {
                    quiet = false;
                    self.engines[to].handle(self.now, Input::Peer(message));
                }
                quiet &= !self.engines[from].busy();
            }
            if quiet {
                return String::from_utf8(written).expect("answers are text");
            }
        }
    }
}
