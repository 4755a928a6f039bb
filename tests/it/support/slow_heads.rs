//! Connections whose heads never end: a byte now and then, and another connection where one is closed.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Connections begun in one turn: fewer than a listener's queue takes.
const CONNECTS_A_TURN: usize = 128;
const TURN: Duration = Duration::from_millis(10);
/// A byte on each connection this often.
const PAUSE: Duration = Duration::from_secs(1);
const HEAD: &[u8] = b"GET /sub/a HTTP/1.1\r\nHost: localhost\r\nX: ";

/// All of them, on a thread of their own. On drop they are gone.
pub struct SlowHeads {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Connections that have sent something.
    held: AtomicUsize,
    /// Connections that the server has ended.
    ended: AtomicUsize,
}

impl SlowHeads {
    pub fn start(address: SocketAddr, count: usize) -> SlowHeads {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        SlowHeads { shared, thread: Some(thread::spawn(move || Flock::new(address, count, &theirs).run())) }
    }

    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::Acquire)
    }

    pub fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::Acquire)
    }
}

impl Drop for SlowHeads {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Flock<'a> {
    address: SocketAddr,
    shared: &'a Shared,
    poll: Poll,
    heads: Vec<Option<Head>>,
    /// The next one that sends a byte.
    next: usize,
}

struct Head {
    stream: TcpStream,
    held: bool,
}

impl Flock<'_> {
    fn new(address: SocketAddr, count: usize, shared: &Shared) -> Flock<'_> {
        let heads = (0..count).map(|_| None).collect();
        Flock { address, shared, poll: Poll::new().expect("a poll"), heads, next: 0 }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let start = Instant::now();
        let mut sent = 0;
        while !self.shared.stop.load(Ordering::Acquire) {
            self.connect();
            match self.poll.poll(&mut events, Some(TURN)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
            for event in &events {
                self.attend(event.token().0);
            }
            let due = (start.elapsed().as_secs_f64() / PAUSE.as_secs_f64() * self.heads.len() as f64) as usize;
            (sent..due).for_each(|_| self.drip());
            sent = due;
        }
    }

    fn connect(&mut self) {
        let missing: Vec<usize> =
            (0..self.heads.len()).filter(|&index| self.heads[index].is_none()).take(CONNECTS_A_TURN).collect();
        for index in missing {
            let mut stream = TcpStream::connect(self.address).expect("a socket");
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), both).expect("room to watch a socket");
            self.heads[index] = Some(Head { stream, held: false });
        }
    }

    /// Begins its head once it is connected, and lets it go when it is answered or ended.
    fn attend(&mut self, index: usize) {
        let Some(head) = &mut self.heads[index] else { return };
        if !head.held && head.stream.write(HEAD).is_ok() {
            head.held = true;
            self.shared.held.fetch_add(1, Ordering::AcqRel);
        }
        match head.stream.read(&mut [0; 1024]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted) => {}
            _ => self.end(index),
        }
    }

    fn drip(&mut self) {
        self.next = (self.next + 1) % self.heads.len();
        if let Some(head) = self.heads[self.next].as_mut().filter(|head| head.held) {
            let _ = head.stream.write(b"x");
        }
    }

    fn end(&mut self, index: usize) {
        if self.heads[index].take().is_some_and(|head| head.held) {
            self.shared.held.fetch_sub(1, Ordering::AcqRel);
        }
        self.shared.ended.fetch_add(1, Ordering::AcqRel);
    }
}
