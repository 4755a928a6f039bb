//! One keep-alive connection to a server's private listener. It never waits for an answer to send the next request,
//! reads answers without blocking, and checks every one. The floor gives none.

use crate::side::{Kind, PATIENCE, Side};
use crate::{Outcome, answers, dialect};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Instant;

/// Publishes to one side.
pub struct Publisher {
    socket: TcpStream,
    kind: Kind,
    /// Which receivers a channel has: the floor is told by number.
    receivers: Vec<Range<usize>>,
    outgoing: Vec<u8>,
    unread: Vec<u8>,
    unanswered: usize,
}

impl Publisher {
    /// A publisher to a crowd that was parked with the same `layout`.
    pub fn connect(side: &Side, layout: &[usize]) -> Outcome<Publisher> {
        let socket = TcpStream::connect(side.private)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let ends = layout.iter().scan(0, |end, count| {
            *end += count;
            Some(*end - count..*end)
        });
        let receivers = ends.collect();
        Ok(Publisher { socket, kind: side.kind, receivers, outgoing: Vec::new(), unread: Vec::new(), unanswered: 0 })
    }

    /// Puts one message in line.
    pub fn queue(&mut self, channel: u32, body: &[u8]) {
        match self.kind {
            Kind::Floor => {
                let Range { start, end } = self.receivers[channel as usize];
                let len = b"data: \n\n".len() + body.len();
                self.outgoing.extend_from_slice(format!("{start} {end} {len}\ndata: ").as_bytes());
                self.outgoing.extend_from_slice(body);
                self.outgoing.extend_from_slice(b"\n\n");
            }
            kind => {
                self.outgoing.extend_from_slice(&dialect::publish(kind, channel, body));
                self.unanswered += 1;
            }
        }
    }

    /// Sends what is in line, at once.
    pub fn send(&mut self) -> Outcome<()> {
        let outgoing = std::mem::take(&mut self.outgoing);
        let mut rest = &outgoing[..];
        let until = Instant::now() + PATIENCE;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.read_answers()?,
                Err(error) => return Err(error.into()),
            }
            if Instant::now() > until {
                return Err("the server takes no more messages".into());
            }
        }
        self.outgoing = outgoing;
        self.outgoing.clear();
        Ok(())
    }

    /// Reads and checks the answers that have come.
    pub fn read_answers(&mut self) -> Outcome<()> {
        if self.unanswered == 0 {
            return Ok(());
        }
        let mut buffer = [0; 16 << 10];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err("the publishing connection was closed".into()),
            Ok(len) => self.unread.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut done = 0;
        while let Some(answer) = answers::first(&self.unread[done..])? {
            dialect::check_published(self.kind, &answer)?;
            done += answer.len;
            self.unanswered = self.unanswered.checked_sub(1).ok_or("more answers than requests")?;
        }
        self.unread.drain(..done);
        Ok(())
    }

    /// Waits until every message has its answer.
    pub fn finish(&mut self) -> Outcome<()> {
        let until = Instant::now() + PATIENCE;
        while self.unanswered > 0 {
            self.read_answers()?;
            if Instant::now() > until {
                return Err(format!("{} messages were not answered", self.unanswered).into());
            }
        }
        Ok(())
    }
}
