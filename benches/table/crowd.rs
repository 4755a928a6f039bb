//! The receivers: thousands of parked clients in one poll, one read buffer for all.
//!
//! Each of them checks all that it gets: the channel's messages, each once, in order, unchanged. Anything else,
//! a closed connection among it, ends the row as failed.

use crate::dialect::{self, Transport};
use crate::message::{self, Message};
use crate::side::{Kind, PATIENCE, Side};
use crate::{Outcome, answers, bayeux, os};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::ops::Range;
use std::time::{Duration, Instant};

/// So many events at a time: whoever also publishes gets to it in between.
const EVENTS_MAX: usize = 64;
/// So many connections on their way at a time: fewer than the shortest accept queue.
const UNDERWAY_MAX: usize = 64;
/// What a heartbeat is over SSE, with the chunk around it.
pub const HEARTBEAT: &[u8] = b"00000003\r\n:\n\n\r\n";
const BUFFER_BYTES: usize = 64 << 10;

/// All receivers of one side.
pub struct Crowd {
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    buffer: Vec<u8>,
    wire: Wire,
}

/// What all of a side's clients speak.
#[derive(Clone, Copy)]
struct Wire {
    kind: Kind,
    transport: Transport,
    message_bytes: usize,
    /// Whether readers may be cut off and come back.
    comes_back: bool,
}

struct Reader {
    socket: TcpStream,
    channel: u32,
    /// The client id of a Bayeux client.
    client: Option<String>,
    /// The next message's sequence.
    next: u64,
    has_head: bool,
    /// What the last message of SSE said to come back with, if that is kept.
    last_id: String,
    /// What could not be read to its end: the beginning of a head, of an answer or of a message.
    unread: Vec<u8>,
}

impl Crowd {
    /// Parks `layout[c]` receivers on each channel `c`, in this order. The floor takes every transport for SSE.
    pub fn park(side: &Side, layout: &[usize], message_bytes: usize, transport: Transport) -> Outcome<Crowd> {
        let mut crowd = Crowd {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            readers: Vec::with_capacity(layout.iter().sum()),
            buffer: vec![0; BUFFER_BYTES],
            wire: Wire { kind: side.kind, transport: transport.at(side.kind), message_bytes, comes_back: false },
        };
        for (channel, &count) in layout.iter().enumerate() {
            crowd.grow(side, channel as u32, 0..count)?;
        }
        Ok(crowd)
    }

    /// Parks one channel's receivers of these numbers, all before them being parked.
    pub fn grow(&mut self, side: &Side, channel: u32, numbers: Range<usize>) -> Outcome<()> {
        let mut parked = numbers.start;
        while parked < numbers.end {
            let count = UNDERWAY_MAX.min(numbers.end - parked);
            self.connect(side, channel, count)?;
            parked += count;
            self.wait_until_parked(side, channel, parked)?;
        }
        Ok(())
    }

    /// From now on readers know where they are.
    pub fn may_come_back(&mut self) {
        self.wire.comes_back = true;
    }

    /// Cuts a reader's connection off; it comes back from behind the last message that it has.
    pub fn come_back(&mut self, side: &Side, index: usize) -> Outcome<()> {
        let socket = self.dial(side)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        self.poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
        let reader = &mut self.readers[index];
        let last = if reader.last_id.is_empty() { String::new() } else { format!("Last-Event-ID: {}\r\n", reader.last_id) };
        let request =
            self.wire.transport.request(self.wire.kind, reader.channel, None).replacen("\r\n", &format!("\r\n{last}"), 1);
        write_whole(&mut socket, request.as_bytes())?;
        // Closing resets what there was.
        reader.socket = socket;
        reader.has_head = false;
        reader.unread.clear();
        Ok(())
    }

    fn dial(&self, side: &Side) -> Outcome<std::net::TcpStream> {
        let socket = std::net::TcpStream::connect(side.public)?;
        os::reset_on_close(&socket)?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    fn connect(&mut self, side: &Side, channel: u32, count: usize) -> Outcome<()> {
        let Wire { kind, transport, .. } = self.wire;
        let mut sockets = (0..count).map(|_| self.dial(side)).collect::<Outcome<Vec<_>>>()?;
        let clients = match transport.is_introduced(kind) {
            true => bayeux::introduce(&mut sockets, &format!("/bench{channel}"))?.into_iter().map(Some).collect(),
            false => vec![None; count],
        };
        for (socket, client) in sockets.into_iter().zip(clients) {
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            self.poll.registry().register(&mut socket, Token(self.readers.len()), Interest::READABLE)?;
            write_whole(&mut socket, transport.request(kind, channel, client.as_deref()).as_bytes())?;
            let last_id = String::new();
            self.readers.push(Reader { socket, channel, client, next: 0, has_head: false, last_id, unread: Vec::new() });
        }
        Ok(())
    }

    /// A stream is parked when its head is there; a long poll says nothing, so the server is asked.
    fn wait_until_parked(&mut self, side: &Side, channel: u32, count: usize) -> Outcome<()> {
        match self.wire.transport {
            Transport::LongPoll => return side.wait_for_subscribers(channel, count),
            // What is published before its connect is there waits for it.
            Transport::Bayeux => return Ok(()),
            _ => {}
        }
        let until = Instant::now() + PATIENCE;
        while self.readers.iter().rev().take(UNDERWAY_MAX).any(|reader| !reader.has_head) {
            self.turn(Some(Duration::from_secs(1)), |_| Err("a message before any was published".into()))?;
            if Instant::now() > until {
                return Err("a subscriber got no head".into());
            }
        }
        Ok(())
    }

    /// Reads what has come, `EVENTS_MAX` sockets at most, and gives `each` the messages; returns how many.
    pub fn turn(&mut self, timeout: Option<Duration>, mut each: impl FnMut(&Message) -> Outcome<()>) -> Outcome<usize> {
        self.poll.poll(&mut self.events, timeout)?;
        let mut count = 0;
        for event in &self.events {
            let Token(index) = event.token();
            let reader = &mut self.readers[index];
            loop {
                let len = match reader.socket.read(&mut self.buffer) {
                    Ok(0) => return Err(format!("connection {index} was closed").into()),
                    Ok(len) => len,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                let taken = reader.take(&self.buffer[..len], self.wire, |message| {
                    count += 1;
                    each(message)
                });
                taken.map_err(|error| format!("connection {index}: {error}"))?;
                // A short read has emptied the socket: the next bytes are a new event.
                if len < self.buffer.len() {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Waits for `count` messages, sleeping up to `pace` at a time.
    pub fn receive(&mut self, count: usize, pace: Duration) -> Outcome<()> {
        let until = Instant::now() + PATIENCE;
        let mut received = 0;
        while received < count {
            received += self.turn(Some(pace), |_| Ok(()))?;
            if Instant::now() > until {
                return Err(format!("lost: {} of {count} messages", count - received).into());
            }
        }
        Ok(())
    }

    /// Counts the heartbeats of SSE that come in so long, spinning; nothing else may.
    pub fn heartbeats(&mut self, span: Duration) -> Outcome<usize> {
        let until = Instant::now() + span;
        let mut count = 0;
        while Instant::now() < until {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            for event in &self.events {
                let Token(index) = event.token();
                let len = self.readers[index].socket.read(&mut self.buffer)?;
                match &self.buffer[..len] {
                    HEARTBEAT => count += 1,
                    other => return Err(format!("no heartbeat: {:?}", String::from_utf8_lossy(other)).into()),
                }
            }
        }
        Ok(count)
    }

    /// Checks that nothing more has come than was waited for.
    pub fn expect_silence(&mut self) -> Outcome<()> {
        self.turn(Some(Duration::ZERO), |_| Err("a message that nobody published".into())).map(|_| ())
    }
}

impl Reader {
    fn take(&mut self, bytes: &[u8], wire: Wire, each: impl FnMut(&Message) -> Outcome<()>) -> Outcome<()> {
        let joined;
        let bytes = if self.unread.is_empty() {
            bytes
        } else {
            self.unread.extend_from_slice(bytes);
            joined = mem::take(&mut self.unread);
            &joined
        };
        let done = match wire.transport.asks_again() {
            true => self.take_batches(bytes, wire, each)?,
            false => self.take_stream(bytes, wire, each)?,
        };
        self.unread.extend_from_slice(&bytes[done..]);
        Ok(())
    }

    fn take_stream(&mut self, bytes: &[u8], wire: Wire, each: impl FnMut(&Message) -> Outcome<()>) -> Outcome<usize> {
        let mut start = 0;
        if !self.has_head {
            let Some(len) = answers::head_len(bytes) else { return Ok(0) };
            let status = answers::status(&bytes[..len])?;
            if status != 200 && status != 101 {
                return Err(format!("subscribing was answered with {status}").into());
            }
            self.has_head = true;
            start = len;
        }
        let before = self.next;
        let done = start + self.take_messages(&bytes[start..], wire.message_bytes, each)?;
        if wire.comes_back && self.next > before {
            // It stands above its message, and a later message's may have come without it.
            let text = String::from_utf8_lossy(&bytes[..done]);
            let upto = text.rfind('^').unwrap_or(0);
            if let Some((_, rest)) = text[..upto].rsplit_once("id: ") {
                self.last_id = rest.lines().next().unwrap_or_default().into();
            }
        }
        Ok(done)
    }

    /// Whole answers, each of which is followed by the next request, from the cursor it brought.
    fn take_batches(&mut self, bytes: &[u8], wire: Wire, mut each: impl FnMut(&Message) -> Outcome<()>) -> Outcome<usize> {
        let mut done = 0;
        while let Some(answer) = answers::first(&bytes[done..])? {
            if answer.status != 200 {
                return Err(format!("a long poll was answered with {}", answer.status).into());
            }
            if self.take_messages(answer.body, wire.message_bytes, &mut each)? < answer.body.len() {
                return Err("a long poll's answer ends within a message".into());
            }
            let cursor = match &self.client {
                Some(client) => bayeux::check(answer.body).map(|()| client.clone())?,
                None => dialect::cursor(wire.kind, &answer)?,
            };
            write_whole(&mut self.socket, wire.transport.request(wire.kind, self.channel, Some(&cursor)).as_bytes())?;
            done += answer.len;
        }
        Ok(done)
    }

    fn take_messages(
        &mut self,
        bytes: &[u8],
        message_bytes: usize,
        mut each: impl FnMut(&Message) -> Outcome<()>,
    ) -> Outcome<usize> {
        message::scan(bytes, message_bytes, |message| {
            if (message.channel, message.sequence) != (self.channel, self.next) {
                let due = (self.channel, self.next);
                return Err(format!("lost, repeated or reordered: (channel, sequence) {due:?} was due, not {message:?}").into());
            }
            self.next += 1;
            each(&message)
        })
    }
}

fn write_whole(socket: &mut TcpStream, bytes: &[u8]) -> Outcome<()> {
    match socket.write(bytes)? {
        len if len == bytes.len() => Ok(()),
        _ => Err("a request did not fit an empty socket".into()),
    }
}
