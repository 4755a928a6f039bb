//! A framed stream by hand: what a plain socket of any language does.

use super::DEADLINE;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A publisher's end of the stream.
pub struct Frames {
    stream: UnixStream,
    out: Vec<u8>,
    flushes: u64,
}

/// What a flush is answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Flushed {
    pub refused: u32,
    /// The first refusal as JSON.
    pub first: String,
}

impl Frames {
    pub fn connect(path: &Path) -> Frames {
        let stream = UnixStream::connect(path).expect("a server");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
        Frames { stream, out: b"\0encke1\n".to_vec(), flushes: 0 }
    }

    /// Adds a message of no particular type to what is to be sent.
    pub fn message(&mut self, channel: &str, data: &str) {
        self.typed(channel, "", data);
    }

    pub fn typed(&mut self, channel: &str, content_type: &str, data: &str) {
        self.out.extend((channel.len() as u16).to_le_bytes());
        self.out.extend([content_type.len() as u8, 0]);
        self.out.extend((data.len() as u32).to_le_bytes());
        self.out.extend([channel, content_type, data].concat().bytes());
    }

    /// Adds a flush, whose answer [`Frames::answer`] reads.
    pub fn ask(&mut self) {
        self.out.extend(b"\0\0\x01\0\x08\0\0\0");
        self.out.extend(self.flushes.to_le_bytes());
        self.flushes += 1;
    }

    /// Sends what was added.
    pub fn send(&mut self) {
        self.stream.write_all(&self.out).expect("a server that reads");
        self.out.clear();
    }

    /// The answer to flush `number`, counted from 0.
    pub fn answer(&mut self, number: u64) -> Flushed {
        let mut head = [0; 20];
        self.stream.read_exact(&mut head).expect("an answer");
        assert_eq!(head[..4], *b"\0\0\x01\0");
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        assert_eq!(head[8..16], number.to_le_bytes());
        let mut first = vec![0; word(4) as usize - 12];
        self.stream.read_exact(&mut first).expect("all of it");
        Flushed { refused: word(16), first: String::from_utf8(first).expect("JSON") }
    }

    /// Sends what was added, and a flush; waits for its answer.
    pub fn flush(&mut self) -> Flushed {
        self.ask();
        self.send();
        self.answer(self.flushes - 1)
    }

    /// Sends no more.
    pub fn shut(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("a socket");
    }

    /// Waits for the server's end; nothing may come before that.
    pub fn end(&mut self) {
        loop {
            match self.stream.read(&mut [0; 1]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                other => panic!("no end but {other:?}"),
            }
        }
    }
}
