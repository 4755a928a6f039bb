//! The sockets of one reactor by slot, what is to be remembered of each, and the two calls made on them.
//!
//! An entry is eight bytes: the descriptor, and one word that holds the tenant's generation and its marks. A
//! parked connection costs this room nothing else. An entry answers to its present tenant's token only: a
//! descriptor that a forked child of the host still holds keeps reporting events after it was closed here,
//! and those must not touch whoever has the slot by then.
//!
//! A socket is closed by being dropped. No call here blocks or raises SIGPIPE.

use super::porter::Seat;
use crate::base::id::Token;
use socket2::{SockRef, Socket};
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something to remember of a socket until it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mark {
    /// The last send left bytes behind: a writable event is news.
    Full = 1 << 31,
    /// It is in the list of sockets to be read.
    Due = 1 << 30,
    /// A short read does not mean that it is empty: read until it would block.
    Thorough = 1 << 29,
    /// The peer's end was seen and told.
    Ended = 1 << 28,
    /// The peer's end is somewhere behind what is there to be read.
    Closed = 1 << 27,
}

/// The rest of the word. Two tenants an eighth of a billion generations apart are taken for one.
const GENERATION: u32 = (1 << 27) - 1;

#[derive(Debug, Default)]
struct Entry {
    socket: Option<Socket>,
    state: u32,
}

const _: () = assert!(size_of::<Option<Socket>>() == 4, "a descriptor has a niche");
const _: () = assert!(size_of::<Entry>() == 8);

/// All sockets of a reactor.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    entries: Vec<Entry>,
    /// Their places among those of their addresses; empty where places are not counted.
    seats: Vec<Option<Seat>>,
}

impl Sockets {
    /// Gives the slot a new tenant; a former one that is still there is closed.
    pub(super) fn insert(&mut self, token: Token, socket: Socket, seat: Option<Seat>) {
        let index = token.index as usize;
        if seat.is_some() && index >= self.seats.len() {
            self.seats.resize_with(index + 1, || None);
        }
        if let Some(place) = self.seats.get_mut(index) {
            *place = seat;
        }
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, Entry::default);
        }
        self.entries[index] = Entry { socket: Some(socket), state: token.generation & GENERATION };
    }

    /// The tenant's socket; `None` if it is closed, or was another tenant's.
    pub(super) fn find(&self, token: Token) -> Option<&Socket> {
        let entry = self.entries.get(token.index as usize)?;
        if entry.state & GENERATION != token.generation & GENERATION {
            return None;
        }
        entry.socket.as_ref()
    }

    /// Closes the tenant's socket; does nothing if that has happened.
    pub(super) fn close(&mut self, token: Token) {
        if let Some((socket, _seat)) = self.give(token) {
            end(SockRef::from(&socket));
        }
    }

    /// Gives the tenant's socket away, and its place; it is forgotten here. `None` if it is closed.
    pub(super) fn give(&mut self, token: Token) -> Option<(Socket, Option<Seat>)> {
        let socket = std::mem::take(self.entry(token)?).socket?;
        Some((socket, self.seats.get_mut(token.index as usize).and_then(Option::take)))
    }

    /// Sets a mark. Says whether that was news: not if it was set, nor if the tenant is gone.
    pub(super) fn set(&mut self, token: Token, mark: Mark) -> bool {
        let Some(entry) = self.entry(token) else { return false };
        let news = entry.state & mark as u32 == 0;
        entry.state |= mark as u32;
        news
    }

    /// Clears a mark and says whether it was set.
    pub(super) fn take(&mut self, token: Token, mark: Mark) -> bool {
        let Some(entry) = self.entry(token) else { return false };
        let was = entry.state & mark as u32 != 0;
        entry.state &= !(mark as u32);
        was
    }

    /// Whether a mark is set.
    pub(super) fn has(&self, token: Token, mark: Mark) -> bool {
        self.find(token).is_some() && self.entries[token.index as usize].state & mark as u32 != 0
    }

    fn entry(&mut self, token: Token) -> Option<&mut Entry> {
        self.find(token)?;
        self.entries.get_mut(token.index as usize)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for socket in self.entries.iter().filter_map(|entry| entry.socket.as_ref()) {
            end(SockRef::from(socket));
        }
    }
}

/// Whether a forked child of this process may hold copies of its descriptors.
static SHARED: AtomicBool = AtomicBool::new(false);

/// To be called when the process forks: from then on, to close a socket is not enough to end a connection.
pub(crate) fn shared_with_children() {
    SHARED.store(true, Ordering::Relaxed);
}

/// Ends a connection or a listener that is about to be closed, if a forked child may hold a copy of its descriptor.
pub(super) fn end(socket: SockRef<'_>) {
    if SHARED.load(Ordering::Relaxed) {
        // It fails if there is nothing left to end.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// Reads once. Zero is the peer's end.
pub(super) fn receive(mut socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Sends once and says how many bytes were taken: zero if the socket is full.
pub(super) fn send(socket: &Socket, [first, second]: [&[u8]; 2]) -> io::Result<usize> {
    loop {
        // One slice is most often all there is, and costs the system less to look at.
        let result = match (first, second) {
            (one, []) | ([], one) => socket.send_with_flags(one, SEND_FLAGS),
            both => socket.send_vectored_with_flags(&[IoSlice::new(both.0), IoSlice::new(both.1)], SEND_FLAGS),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}

/// A peer that has gone must not kill the process. Apple's systems know no such flag: see [`quiet`].
#[cfg(not(target_vendor = "apple"))]
pub(super) const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(super) const SEND_FLAGS: libc::c_int = 0;

/// To be called for each socket that is sent on, where an option of the socket does what [`SEND_FLAGS`] does elsewhere.
pub(super) fn quiet(_socket: SockRef<'_>) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    _socket.set_nosigpipe(true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};

    fn pair() -> (Socket, Socket) {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a socket pair");
        ours.set_nonblocking(true).expect("non-blocking");
        (ours, theirs)
    }

    fn token(index: u32, generation: u32) -> Token {
        Token { index, generation }
    }

    #[test]
    fn a_slot_answers_to_its_present_tenant_only() {
        let mut sockets = Sockets::default();
        sockets.insert(token(3, 7), pair().0, None);
        assert!(sockets.find(token(3, 7)).is_some());
        for stranger in [token(3, 6), token(3, 8), token(2, 7), token(4, 7)] {
            assert!(sockets.find(stranger).is_none(), "{stranger:?}");
            assert!(!sockets.set(stranger, Mark::Due));
            sockets.close(stranger);
        }
        assert!(sockets.find(token(3, 7)).is_some());
        sockets.close(token(3, 7));
        assert!(sockets.find(token(3, 7)).is_none());
    }

    #[test]
    fn a_new_tenant_inherits_neither_socket_nor_marks() {
        let mut sockets = Sockets::default();
        let (former, mut former_peer) = pair();
        sockets.insert(token(0, 1), former, None);
        sockets.set(token(0, 1), Mark::Full);
        sockets.insert(token(0, 2), pair().0, None);
        assert!(!sockets.take(token(0, 2), Mark::Full));
        assert_eq!(former_peer.read(&mut [0; 8]).expect("the end"), 0);
    }

    #[test]
    fn a_mark_is_news_once_and_taken_once() {
        let mut sockets = Sockets::default();
        sockets.insert(token(0, 1), pair().0, None);
        for mark in [Mark::Full, Mark::Due, Mark::Thorough, Mark::Ended, Mark::Closed] {
            assert!(sockets.set(token(0, 1), mark), "{mark:?}");
            assert!(!sockets.set(token(0, 1), mark), "{mark:?}");
        }
        for mark in [Mark::Full, Mark::Due, Mark::Thorough, Mark::Ended, Mark::Closed] {
            assert!(sockets.take(token(0, 1), mark), "{mark:?}");
            assert!(!sockets.take(token(0, 1), mark), "{mark:?}");
        }
    }

    #[test]
    fn both_slices_are_sent_in_order() {
        let (ours, theirs) = pair();
        assert_eq!(send(&ours, [b"one ", b"two"]).expect("room"), 7);
        assert_eq!(send(&ours, [b" three", b""]).expect("room"), 6);
        let mut buffer = [0; 64];
        assert_eq!(receive(&theirs, &mut buffer).expect("bytes"), 13);
        assert_eq!(&buffer[..13], b"one two three");
    }

    #[test]
    fn a_full_socket_takes_nothing_and_an_empty_one_would_block() {
        let (ours, theirs) = pair();
        let error = receive(&ours, &mut [0; 8]).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let bytes = vec![0; 1 << 20];
        while send(&ours, [&bytes, b""]).expect("the peer is there") > 0 {}
        drop(theirs);
    }

    #[test]
    fn a_send_to_a_peer_that_has_gone_is_an_error_and_no_signal() {
        let (ours, theirs) = pair();
        drop(theirs);
        assert!(send(&ours, [b"x", b""]).is_err());
        assert!(send(&ours, [b"x", b"y"]).is_err());
    }
}
