//! Wakes a reactor that sleeps in its poll, from any thread.
//!
//! On Linux it is an eventfd of ours and not the poll's own, so that its number is known: each descriptor table keeps it
//! (`tables`).

use mio::{Registry, Token};
use std::io;
use std::os::fd::RawFd;

/// Has a poll return, with the token that it was made with.
#[derive(Debug)]
pub(super) struct Waker(system::Waker);

impl Waker {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Waker> {
        system::Waker::new(registry, token).map(Waker)
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }

    /// What a private descriptor table keeps of it.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.0.descriptor()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{RawFd, Registry, Token, io};
    use mio::Interest;
    use mio::unix::SourceFd;
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::{Errno, read, write};
    use std::os::fd::{AsRawFd, OwnedFd};

    /// A number of 64 bits that is readable while it is not 0. Nobody reads it, since each write is an edge.
    #[derive(Debug)]
    pub(super) struct Waker(pub(super) OwnedFd);

    impl Waker {
        pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Waker> {
            let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Waker(fd))
        }

        pub(super) fn wake(&self) -> io::Result<()> {
            let one = 1_u64.to_ne_bytes();
            match write(&self.0, &one) {
                // It is as high as it can be: begun anew.
                Err(Errno::AGAIN) => {
                    match read(&self.0, &mut [0; 8]) {
                        Ok(_) | Err(Errno::AGAIN) => {}
                        Err(error) => return Err(error.into()),
                    }
                    write(&self.0, &one).map(drop)?;
                }
                result => _ = result?,
            }
            Ok(())
        }

        pub(super) fn descriptor(&self) -> Option<RawFd> {
            Some(self.0.as_raw_fd())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{RawFd, Registry, Token, io};

    #[derive(Debug)]
    pub(super) struct Waker(mio::Waker);

    impl Waker {
        pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Waker> {
            mio::Waker::new(registry, token).map(Waker)
        }

        pub(super) fn wake(&self) -> io::Result<()> {
            self.0.wake()
        }

        pub(super) fn descriptor(&self) -> Option<RawFd> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::time::Duration;

    #[test]
    fn each_wake_is_an_event() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(7)).expect("a waker");
        let mut events = Events::with_capacity(4);
        for _ in 0..3 {
            waker.wake().expect("a poll");
            poll.poll(&mut events, Some(Duration::from_secs(20))).expect("a poll");
            assert_eq!(events.iter().map(mio::event::Event::token).collect::<Vec<_>>(), [Token(7)]);
        }
        poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
        assert!(events.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_number_that_is_full_wakes_too() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(7)).expect("a waker");
        rustix::io::write(&waker.0.0, &(u64::MAX - 1).to_ne_bytes()).expect("room");
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_secs(20))).expect("a poll");
        waker.wake().expect("it begins anew");
        poll.poll(&mut events, Some(Duration::from_secs(20))).expect("a poll");
        assert!(!events.is_empty());
    }
}
