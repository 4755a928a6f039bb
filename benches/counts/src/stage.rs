//! One engine without sockets, clock or luck, and what a reactor would do for it: each run takes the same instructions.
//!
//! Everything is written at once, as to sockets with room. What is counted goes through [`counted`] alone.

use crate::{Outcome, allocations};
use encke::base::config::Config;
use encke::base::id::Token;
use encke::base::payload::{Message, Parts};
use encke::base::random::Seed;
use encke::base::time::{Now, Tick};
use encke::engine::{Door, Engine, Input, Output};
use std::hint::black_box;

/// Nothing depends on what time it is but the digits that are written.
const UNIX_MS: u64 = 1_700_000_000_000;

/// Callgrind counts from where this is called until it returns, and writes down a sum for each call.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // Something is done behind it, or it would be a jump, and this function over before it.
    black_box(());
}

/// An engine, and how often it had something sent.
pub struct Stage {
    engine: Engine,
    now: Now,
    sends: u64,
    /// What was sent last, while that is wanted.
    pub last: Option<Vec<u8>>,
}

/// What some work took, beside instructions.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub allocations: u64,
    pub sends: u64,
}

impl Stage {
    pub fn new() -> Stage {
        let config = Config { anonymous_subscribe: "/**".into(), ..Config::default() };
        let now = Now { tick: Tick(1_000), unix_ms: UNIX_MS };
        Stage { engine: Engine::new(&config, 0, 1, Seed(1, 2)), now, sends: 0, last: None }
    }

    /// Has some work counted.
    pub fn count(&mut self, mut work: impl FnMut(&mut Stage)) -> Work {
        let (allocations, sends) = (allocations::asked(), self.sends);
        counted(&mut || work(self));
        Work { allocations: allocations::asked() - allocations, sends: self.sends - sends }
    }

    /// A new connection sends a request.
    pub fn connect(&mut self, door: Door, request: &[u8]) -> Outcome<Token> {
        let token = self.engine.open(self.now, door).ok_or("the engine has no room")?;
        self.receive(token, request);
        Ok(token)
    }

    /// A connection sends something, which has a turn of its own.
    pub fn receive(&mut self, token: Token, bytes: &[u8]) {
        self.engine.handle(self.now, Input::Bytes { token, bytes });
        self.turn();
    }

    /// A message comes from the program around the server, and all readers get it.
    pub fn publish(&mut self, messages: &mut Vec<Message>) {
        self.engine.handle(self.now, Input::Publish(messages));
        self.turn();
        while self.engine.busy() {
            self.turn();
        }
    }

    /// Time passes, from deadline to deadline.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now.tick + ms;
        while let Some(deadline) = self.engine.next_deadline().filter(|deadline| *deadline <= until) {
            self.now.tick = deadline;
            self.engine.handle(self.now, Input::Time);
            self.turn();
        }
        self.now.tick = until;
    }

    fn turn(&mut self) {
        self.engine.begin_turn();
        while let Some(output) = self.engine.poll_output(self.now) {
            let Output::Write(token) = output else { continue };
            let slices = self.engine.outgoing(token);
            if let Some(last) = &mut self.last {
                *last = slices.concat();
            }
            self.sends += 1;
            let count = slices[0].len() + slices[1].len();
            self.engine.handle(self.now, Input::Wrote { token, count });
        }
    }
}

/// A message of a hundred bytes.
pub fn message(channel: &str) -> Outcome<Message> {
    Ok(Message::new(&Parts { channel, content_type: "", event: "", data: &[b'x'; 100], unix_ms: UNIX_MS })?)
}
