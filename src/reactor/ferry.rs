//! Carries sockets from one thread to another, each with its luggage, whatever descriptor tables the two have.
//!
//! Where all share one table a socket goes over as the number that it is. Between private tables its number means nothing
//! at the other end: the system makes another there (`SCM_RIGHTS` over a pair of datagram sockets), and only its luggage goes
//! by the queue. Both keep one order, since whoever boards holds the pair's lock for the two; it is held for one system call,
//! by those alone who send somebody to the same reactor.
//!
//! The other way would have been to leave a connection where it is and to forward its requests. To pass one on took 4.0 µs of
//! processor time, both ends together, and to have another poll watch it 1.3; that is paid once. A request that is
//! forwarded wakes two reactors, there and back, at 5 µs each, and so does every later one of the connection.

use super::succession::NOT_INHERITED;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::Socket;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};

/// The end to board at, from any thread.
#[derive(Debug)]
pub(super) struct Ferry<L> {
    line: Sender<(Option<Socket>, L)>,
    /// Between private tables: where sockets go in.
    hatch: Option<Mutex<UnixDatagram>>,
}

/// The other end, for one thread.
#[derive(Debug)]
pub(super) struct Landing<L> {
    line: Receiver<(Option<Socket>, L)>,
    hatch: Option<UnixDatagram>,
}

/// A ferry with room for so many, between `private` tables or within one.
pub(super) fn ferry<L>(places: usize, private: bool) -> io::Result<(Ferry<L>, Landing<L>)> {
    let (near, far) = if private {
        let (near, far) = UnixDatagram::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        (Some(near), Some(far))
    } else {
        (None, None)
    };
    let (sender, receiver) = bounded(places);
    Ok((Ferry { line: sender, hatch: near.map(Mutex::new) }, Landing { line: receiver, hatch: far }))
}

impl<L> Ferry<L> {
    /// Sends a socket over. Never waits: where there is no room it gives back what it was offered. One whose other
    /// end has gone swallows it.
    pub(super) fn board(&self, socket: Socket, luggage: L) -> Result<(), (Socket, L)> {
        let Some(hatch) = &self.hatch else {
            return match self.line.try_send((Some(socket), luggage)) {
                Err(TrySendError::Full((Some(socket), luggage))) => Err((socket, luggage)),
                _ => Ok(()),
            };
        };
        let hatch = hatch.lock().unwrap_or_else(PoisonError::into_inner);
        if self.line.is_full() || send(&hatch, socket.as_fd()).is_err() {
            return Err((socket, luggage));
        }
        self.follow(luggage);
        Ok(())
    }

    /// Sends a copy of a socket over; without room, that is an error.
    pub(super) fn board_copy(&self, socket: BorrowedFd<'_>, luggage: L) -> io::Result<()> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let Some(hatch) = &self.hatch else {
            let copy = socket.try_clone_to_owned()?.into();
            return self.line.try_send((Some(copy), luggage)).map_err(|_| full());
        };
        let hatch = hatch.lock().unwrap_or_else(PoisonError::into_inner);
        if self.line.is_full() {
            return Err(full());
        }
        send(&hatch, socket)?;
        self.follow(luggage);
        Ok(())
    }

    /// The luggage of a socket that has gone through the hatch. Nobody else has boarded since there was room: the hatch is held.
    fn follow(&self, luggage: L) {
        if let Err(TrySendError::Full(_)) = self.line.try_send((None, luggage)) {
            unreachable!("whoever boards holds the hatch");
        }
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    /// What a private table keeps of it.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.hatch.as_ref().map(|hatch| hatch.lock().unwrap_or_else(PoisonError::into_inner).as_raw_fd())
    }
}

impl<L> Landing<L> {
    /// The next who has come over. One that finds no descriptor here is lost, and its connection ends.
    pub(super) fn next(&self) -> Option<(Socket, L)> {
        loop {
            let (socket, luggage) = self.line.try_recv().ok()?;
            match (socket, &self.hatch) {
                (Some(socket), _) => return Some((socket, luggage)),
                (None, None) => unreachable!("only a hatch parts a socket from its luggage"),
                (None, Some(hatch)) => match receive(hatch) {
                    Ok(socket) => return Some((socket.into(), luggage)),
                    Err(error) => log::debug!("a connection cannot be taken over: {error}"),
                },
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// What the table of its thread keeps of it.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.hatch.as_ref().map(AsRawFd::as_raw_fd)
    }
}

fn send(hatch: &UnixDatagram, socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket];
    beside.push(SendAncillaryMessage::ScmRights(&sockets));
    loop {
        match sendmsg(hatch, &[IoSlice::new(&[0])], &mut beside, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}

fn receive(hatch: &UnixDatagram) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    loop {
        match recvmsg(hatch, &mut [IoSliceMut::new(&mut byte)], &mut beside, NOT_INHERITED) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    let came = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    came.ok_or_else(|| io::Error::other("there is no descriptor left"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use std::io::{Read, Write};

    fn pair() -> (Socket, Socket) {
        Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a socket pair")
    }

    #[test]
    fn each_comes_over_with_its_own_luggage() {
        for private in [false, true] {
            let (ferry, landing) = ferry(8, private).expect("a pair");
            let mut peers = Vec::new();
            for number in 0..5_u8 {
                let (socket, peer) = pair();
                match number % 2 {
                    0 => ferry.board(socket, number).expect("room"),
                    _ => ferry.board_copy(socket.as_fd(), number).expect("room"),
                }
                peers.push(peer);
            }
            assert_eq!((ferry.len(), landing.is_empty()), (5, false));
            for (number, peer) in peers.iter_mut().enumerate() {
                let (mut socket, luggage) = landing.next().expect("it has boarded");
                assert_eq!(usize::from(luggage), number);
                socket.write_all(&[luggage]).expect("room");
                drop(socket);
                let mut bytes = Vec::new();
                peer.read_to_end(&mut bytes).expect("no copy is left to keep it open");
                assert_eq!(bytes, [luggage]);
            }
            assert!(landing.next().is_none() && landing.is_empty());
        }
    }

    #[test]
    fn without_room_a_socket_is_given_back_and_none_is_left_in_the_hatch() {
        for private in [false, true] {
            let (ferry, landing) = ferry(1, private).expect("a pair");
            let ((first, _one), (second, mut two)) = (pair(), pair());
            ferry.board(first, 'a').expect("room");
            let Err((second, 'b')) = ferry.board(second, 'b') else { panic!("there is no room") };
            assert!(ferry.board_copy(second.as_fd(), 'c').is_err());
            assert!(landing.next().is_some_and(|(_, luggage)| luggage == 'a'));
            ferry.board(second, 'd').expect("room");
            let (mut socket, luggage) = landing.next().expect("it has boarded");
            assert_eq!(luggage, 'd');
            socket.write_all(b"d").expect("room");
            assert_eq!(two.read(&mut [0; 2]).expect("a byte"), 1);
        }
    }

    #[test]
    fn what_boards_a_full_hatch_is_given_back() {
        let (ferry, landing) = ferry(1 << 20, true).expect("a pair");
        let (mut socket, _peer) = pair();
        let mut boarded = 0;
        // The system lets so many wait, and no more.
        let (copy, ()) = loop {
            let copy = socket.try_clone().expect("a copy");
            match ferry.board(copy, ()) {
                Ok(()) => boarded += 1,
                Err(back) => break back,
            }
            assert!(boarded < 1 << 20);
        };
        socket = copy;
        assert_eq!(std::iter::from_fn(|| landing.next()).count(), boarded);
        ferry.board(socket, ()).expect("room again");
    }
}
