//! What two processes say to each other while one takes over, over a Unix stream.
//!
//! ```text
//! record = kind u8 | length u32 | that many bytes
//! socket = JSON of its place; its descriptor travels beside (SCM_RIGHTS)
//! channel = epoch-offset of its first message | blank | name
//! message = age in ms u64 | milliseconds since 1970 u64 | a frame as of base/frame.rs
//! member = milliseconds since 1970 u64 | name
//! ready, end, serves: no bytes
//! ```
//! Numbers are little-endian. Both ends are the same program, perhaps of two versions: a kind that is not known ends it.

use super::super::socket;
use super::{Heirloom, Place};
use crate::base::frame::{self, Frame};
use crate::base::id::MessageId;
use crate::base::payload::{Message, Parts};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A reader that has gone must not kill the process.
const NO_SIGNAL: SendFlags = SendFlags::from_bits_retain(socket::SEND_FLAGS as u32);

const HEAD_BYTES: usize = 5;

/// Bytes that go out, or are read, together.
const CHUNK_BYTES: usize = 256 << 10;

/// One thing that is said.
#[derive(Debug)]
pub(super) enum Record {
    /// To the successor: a socket that listens.
    Socket(Heirloom),
    /// To the successor: those were all sockets. To the predecessor: they have found their places.
    Ready,
    /// To the successor: a channel, whose messages follow.
    Channel { name: String, first: MessageId },
    /// To the successor: a message of the last channel.
    Message { age_ms: u64, message: Message },
    /// To the successor: somebody who is present where the last channel tells of.
    Member { since_unix_ms: u64, user: String },
    /// To the successor: those were all channels.
    End,
    /// To the predecessor: it may go.
    Serves,
}

const SOCKET: u8 = 1;
const READY: u8 = 2;
const CHANNEL: u8 = 3;
const MESSAGE: u8 = 4;
const END: u8 = 5;
const SERVES: u8 = 6;
const MEMBER: u8 = 7;

/// One end of the stream.
#[derive(Debug)]
pub(super) struct Line {
    stream: UnixStream,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    /// How much of `unread` has been read.
    read: usize,
    /// Descriptors that came, in the order of their records.
    sockets: VecDeque<OwnedFd>,
}

impl Line {
    /// An end that waits so long for each word.
    pub(super) fn new(stream: UnixStream, patience: Duration) -> io::Result<Line> {
        stream.set_nonblocking(false)?;
        socket::quiet(SockRef::from(&stream))?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Line { stream, unsent: Vec::new(), unread: Vec::new(), read: 0, sockets: VecDeque::new() })
    }

    /// Waits so long for each word from now on.
    pub(super) fn be_patient(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Says something, with [`Line::flush`] at the latest.
    pub(super) fn send(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Socket(heirloom) => {
                let place = serde_json::to_vec(&heirloom.place)?;
                self.flush()?;
                self.write(SOCKET, &[&place]);
                return self.transmit(Some(heirloom.socket.as_fd()));
            }
            Record::Ready => self.write(READY, &[]),
            Record::Channel { name, first } => self.write(CHANNEL, &[first.to_string().as_bytes(), b" ", name.as_bytes()]),
            Record::Message { age_ms, message } => self.write_message(*age_ms, message)?,
            Record::Member { since_unix_ms, user } => {
                self.write(MEMBER, &[&since_unix_ms.to_le_bytes(), user.as_bytes()]);
            }
            Record::End => self.write(END, &[]),
            Record::Serves => self.write(SERVES, &[]),
        }
        if self.unsent.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Sends what was said.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.transmit(None)
    }

    fn write(&mut self, kind: u8, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.unsent.push(kind);
        self.unsent.extend_from_slice(&(length as u32).to_le_bytes());
        pieces.iter().for_each(|piece| self.unsent.extend_from_slice(piece));
    }

    fn write_message(&mut self, age_ms: u64, message: &Message) -> io::Result<()> {
        let parts = message.parts();
        let mut body = Vec::with_capacity(16 + frame::len(&parts));
        body.extend_from_slice(&age_ms.to_le_bytes());
        body.extend_from_slice(&parts.unix_ms.to_le_bytes());
        frame::write(&mut body, &parts).map_err(io::Error::other)?;
        self.write(MESSAGE, &[&body]);
        Ok(())
    }

    /// Sends all that is unsent, with a descriptor beside its first bytes.
    fn transmit(&mut self, mut socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            let lent: Vec<BorrowedFd<'_>> = socket.take().into_iter().collect();
            if !lent.is_empty() {
                beside.push(SendAncillaryMessage::ScmRights(&lent));
            }
            let bytes = [IoSlice::new(&self.unsent[sent..])];
            match sendmsg(&self.stream, &bytes, &mut beside, NO_SIGNAL) {
                Ok(count) => sent += count,
                Err(rustix::io::Errno::INTR) => socket = lent.first().copied(),
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent.clear();
        Ok(())
    }

    /// What is said next.
    pub(super) fn next(&mut self) -> io::Result<Record> {
        loop {
            let waiting = &self.unread[self.read..];
            if let Some((&[kind, l0, l1, l2, l3], behind)) = waiting.split_first_chunk::<HEAD_BYTES>() {
                let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
                if let Some(body) = behind.get(..length) {
                    let record = parse(kind, body, &mut self.sockets);
                    self.read += HEAD_BYTES + length;
                    return record.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it says something else"));
                }
            }
            self.fill()?;
        }
    }

    /// Reads what is there, or waits for it.
    fn fill(&mut self) -> io::Result<()> {
        self.unread.drain(..self.read);
        self.read = 0;
        let start = self.unread.len();
        self.unread.resize(start + CHUNK_BYTES, 0);
        let count = self.receive(start);
        self.unread.truncate(start + count.as_ref().copied().unwrap_or(0));
        match count? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has gone")),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, start: usize) -> io::Result<usize> {
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let mut bytes = [IoSliceMut::new(&mut self.unread[start..])];
            let message = match recvmsg(&self.stream, &mut bytes, &mut beside, NOT_INHERITED) {
                Err(rustix::io::Errno::INTR) => continue,
                message => message?,
            };
            for received in beside.drain() {
                if let RecvAncillaryMessage::ScmRights(sockets) = received {
                    self.sockets.extend(sockets);
                }
            }
            return Ok(message.bytes);
        }
    }
}

/// What a record says; `None` if that makes no sense.
fn parse(kind: u8, body: &[u8], sockets: &mut VecDeque<OwnedFd>) -> Option<Record> {
    match kind {
        SOCKET => {
            let place: Place = serde_json::from_slice(body).ok()?;
            Some(Record::Socket(Heirloom { place, socket: sockets.pop_front()? }))
        }
        READY => Some(Record::Ready),
        CHANNEL => {
            let (first, name) = std::str::from_utf8(body).ok()?.split_once(' ')?;
            Some(Record::Channel { name: name.into(), first: MessageId::parse(first.as_bytes())? })
        }
        MESSAGE => {
            let (age, rest) = body.split_first_chunk()?;
            let (unix_ms, rest) = rest.split_first_chunk()?;
            let message = message(u64::from_le_bytes(*unix_ms), rest)?;
            Some(Record::Message { age_ms: u64::from_le_bytes(*age), message })
        }
        MEMBER => {
            let (since, user) = body.split_first_chunk()?;
            let user = std::str::from_utf8(user).ok()?.into();
            Some(Record::Member { since_unix_ms: u64::from_le_bytes(*since), user })
        }
        END => Some(Record::End),
        SERVES => Some(Record::Serves),
        _ => None,
    }
}

fn message(unix_ms: u64, bytes: &[u8]) -> Option<Message> {
    let Ok(Some((Frame::Message { channel, content_type, event, data }, _))) = frame::read(bytes, u64::MAX) else { return None };
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (channel, content_type, event) = (text(channel)?, text(content_type)?, text(event)?);
    Message::new(&Parts { channel, content_type, event, data, unix_ms }).ok()
}

/// Descriptors that are received go to no program that is started here.
#[cfg(target_os = "linux")]
pub(in crate::reactor) const NOT_INHERITED: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// Elsewhere that cannot be asked for: a program that is started in this moment may get a copy.
#[cfg(not(target_os = "linux"))]
pub(in crate::reactor) const NOT_INHERITED: RecvFlags = RecvFlags::empty();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::Epoch;
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (Line, Line) {
        let (one, other) = UnixStream::pair().expect("a pair");
        let patience = Duration::from_secs(20);
        (Line::new(one, patience).expect("an end"), Line::new(other, patience).expect("an end"))
    }

    #[test]
    fn sockets_arrive_in_order_and_listen() {
        let (mut old, mut new) = pair();
        let listeners: Vec<TcpListener> = (0..20).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        for listener in &listeners {
            let text = listener.local_addr().expect("an address").to_string();
            let place = Place { option: "listen".into(), text, lent: false, file: Some((1, 2, 3, 4)) };
            let socket = listener.try_clone().expect("a copy").into();
            old.send(&Record::Socket(Heirloom { place, socket })).expect("a reader");
        }
        old.send(&Record::Ready).and_then(|()| old.flush()).expect("a reader");
        for listener in &listeners {
            let Record::Socket(heirloom) = new.next().expect("a record") else { panic!("no socket") };
            let socket = TcpListener::from(heirloom.socket);
            assert_eq!(socket.local_addr().expect("an address"), listener.local_addr().expect("an address"));
            assert_eq!(heirloom.place.text, socket.local_addr().expect("an address").to_string());
            let _client = TcpStream::connect(socket.local_addr().expect("an address")).expect("a listener");
            socket.accept().expect("the client");
        }
        assert!(matches!(new.next().expect("a record"), Record::Ready));
    }

    #[test]
    fn channels_and_messages_arrive_as_they_were() {
        let (mut old, mut new) = pair();
        let first = MessageId { epoch: Epoch::new("/a b", 77), offset: 9 };
        let parts = Parts { channel: "/a b", content_type: "application/json", event: "tick", data: b"[1,2]", unix_ms: 5 };
        let message = Message::new(&parts).expect("a message");
        let large = Message::new(&Parts { content_type: "", data: &[0xff; 3 * CHUNK_BYTES], ..parts }).expect("a message");
        let sent = [message, large];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                old.send(&Record::Channel { name: "/a b".into(), first }).expect("a reader");
                for message in &sent {
                    old.send(&Record::Message { age_ms: 7, message: message.clone() }).expect("a reader");
                }
                old.send(&Record::Member { since_unix_ms: 8, user: "ann \u{e9}".into() }).expect("a reader");
                old.send(&Record::End).and_then(|()| old.flush()).expect("a reader");
            });
            let Record::Channel { name, first: came } = new.next().expect("a record") else { panic!("no channel") };
            assert_eq!((&*name, came), ("/a b", first));
            for message in &sent {
                let Record::Message { age_ms: 7, message: came } = new.next().expect("a record") else { panic!("no message") };
                assert_eq!(came, *message);
            }
            let Record::Member { since_unix_ms: 8, user } = new.next().expect("a record") else { panic!("no member") };
            assert_eq!(user, "ann \u{e9}");
            assert!(matches!(new.next().expect("a record"), Record::End));
        });
    }

    #[test]
    fn what_makes_no_sense_ends_it_and_so_does_an_end() {
        for bytes in [
            &[9, 0, 0, 0, 0][..],
            &[CHANNEL, 1, 0, 0, 0, b'x'],
            &[SOCKET, 2, 0, 0, 0, b'{', b'}'],
            &[MESSAGE, 0, 0, 0, 0],
            &[MEMBER, 0, 0, 0, 0],
        ] {
            let (mut old, mut new) = pair();
            old.unsent = bytes.into();
            old.flush().expect("a reader");
            assert_eq!(new.next().expect_err("no record").kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let (mut old, mut new) = pair();
        old.unsent = vec![READY, 0];
        old.flush().expect("a reader");
        drop(old);
        assert_eq!(new.next().expect_err("no record").kind(), io::ErrorKind::UnexpectedEof);
    }
}
