//! The receivers: thousands of parked clients in one poll, one read buffer for all.
//!
//! Each of them checks all that it gets: the channel's messages, each once, in order, unchanged. Anything else,
//! a closed connection among it, ends the row as failed.

use crate::message::{self, Message};
use crate::side::{Kind, PATIENCE, Side};
use crate::{Outcome, answers, bayeux, os};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::time::{Duration, Instant};

/// So many events at a time: whoever also publishes gets to it in between.
const EVENTS_MAX: usize = 64;
/// So many connections on their way at a time: fewer than the shortest accept queue.
const UNDERWAY_MAX: usize = 64;
const BUFFER_BYTES: usize = 64 << 10;

/// How the receivers are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Sse,
    Stream,
    Iframe,
    WebSocket,
    LongPoll,
    /// Long-polling as CometD's client does.
    Bayeux,
}

impl Transport {
    /// What asks to be held; a Bayeux client's cursor is its client id.
    fn request(self, channel: u32, cursor: Option<&str>) -> String {
        let name = match self {
            Transport::Bayeux => return cursor.map(bayeux::connect).unwrap_or_default(),
            Transport::Sse => "sse",
            Transport::Stream => "stream",
            Transport::Iframe => "iframe",
            Transport::WebSocket => "websocket",
            Transport::LongPoll => "long-poll",
        };
        let since = cursor.map_or(String::new(), |cursor| format!("&since={}", percent_encoded(cursor)));
        let upgrade = match self {
            Transport::WebSocket => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
            _ => "",
        };
        format!("GET /sub/bench{channel}?transport={name}{since} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n")
    }
}

/// All receivers of one side.
pub struct Crowd {
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    buffer: Vec<u8>,
    message_bytes: usize,
    transport: Transport,
}

struct Reader {
    socket: TcpStream,
    channel: u32,
    /// The client id of a Bayeux client.
    client: Option<String>,
    /// The next message's sequence.
    next: u64,
    has_head: bool,
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
            message_bytes,
            transport: if side.kind == Kind::Floor { Transport::Sse } else { transport },
        };
        for (channel, &count) in layout.iter().enumerate() {
            for parked in 1..=count {
                crowd.connect(side, channel as u32)?;
                if parked % UNDERWAY_MAX == 0 || parked == count {
                    crowd.wait_until_parked(side, channel as u32, parked)?;
                }
            }
        }
        Ok(crowd)
    }

    fn connect(&mut self, side: &Side, channel: u32) -> Outcome<()> {
        let mut socket = std::net::TcpStream::connect(side.door(self.readers.len()))?;
        os::reset_on_close(&socket)?;
        socket.set_nodelay(true)?;
        let client = match self.transport {
            Transport::Bayeux => Some(bayeux::introduce(&mut socket, &format!("/bench{channel}"))?),
            _ => None,
        };
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        self.poll.registry().register(&mut socket, Token(self.readers.len()), Interest::READABLE)?;
        write_whole(&mut socket, self.transport.request(channel, client.as_deref()).as_bytes())?;
        self.readers.push(Reader { socket, channel, client, next: 0, has_head: false, unread: Vec::new() });
        Ok(())
    }

    /// A stream is parked when its head is there; a long poll says nothing, so the server is asked.
    fn wait_until_parked(&mut self, side: &Side, channel: u32, count: usize) -> Outcome<()> {
        match self.transport {
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
                let taken = reader.take(&self.buffer[..len], self.transport, self.message_bytes, |message| {
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

    /// Checks that nothing more has come than was waited for.
    pub fn expect_silence(&mut self) -> Outcome<()> {
        self.turn(Some(Duration::ZERO), |_| Err("a message that nobody published".into())).map(|_| ())
    }
}

impl Reader {
    fn take(
        &mut self,
        bytes: &[u8],
        transport: Transport,
        message_bytes: usize,
        each: impl FnMut(&Message) -> Outcome<()>,
    ) -> Outcome<()> {
        let joined;
        let bytes = if self.unread.is_empty() {
            bytes
        } else {
            self.unread.extend_from_slice(bytes);
            joined = mem::take(&mut self.unread);
            &joined
        };
        let done = match transport {
            Transport::LongPoll | Transport::Bayeux => self.take_batches(bytes, transport, message_bytes, each)?,
            _ => self.take_stream(bytes, message_bytes, each)?,
        };
        self.unread.extend_from_slice(&bytes[done..]);
        Ok(())
    }

    fn take_stream(&mut self, bytes: &[u8], message_bytes: usize, each: impl FnMut(&Message) -> Outcome<()>) -> Outcome<usize> {
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
        Ok(start + self.take_messages(&bytes[start..], message_bytes, each)?)
    }

    /// Whole answers, each of which is followed by the next request, from the cursor it brought.
    fn take_batches(
        &mut self,
        bytes: &[u8],
        transport: Transport,
        message_bytes: usize,
        mut each: impl FnMut(&Message) -> Outcome<()>,
    ) -> Outcome<usize> {
        let mut done = 0;
        while let Some(answer) = answers::first(&bytes[done..])? {
            if answer.status != 200 {
                return Err(format!("a long poll was answered with {}", answer.status).into());
            }
            if self.take_messages(answer.body, message_bytes, &mut each)? < answer.body.len() {
                return Err("a long poll's answer ends within a message".into());
            }
            let cursor = match &self.client {
                Some(client) => bayeux::check(answer.body).map(|()| client.as_str())?,
                None => cursor(answer.body)?,
            };
            write_whole(&mut self.socket, transport.request(self.channel, Some(cursor)).as_bytes())?;
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

fn cursor(batch: &[u8]) -> Outcome<&str> {
    let batch = std::str::from_utf8(batch)?;
    let cursor = batch.split_once("\"cursor\":\"").and_then(|(_, rest)| rest.split_once('"'));
    cursor.map(|(cursor, _)| cursor).ok_or_else(|| "a long poll's answer has no cursor".into())
}

fn write_whole(socket: &mut TcpStream, bytes: &[u8]) -> Outcome<()> {
    match socket.write(bytes)? {
        len if len == bytes.len() => Ok(()),
        _ => Err("a request did not fit an empty socket".into()),
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
