//! What a reactor is given before its thread starts, so that what fails, fails at the start.

use super::listener::Listener;
use super::mailbox::{Inbox, Mailbox, mailbox};
use super::turn::{WAKER, event_token, listener_token};
use super::waker::Waker;
use mio::Poll;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// One reactor's.
pub(super) struct Outfit {
    pub(super) shard: usize,
    pub(super) poll: Poll,
    pub(super) listeners: Vec<Listener>,
    pub(super) inbox: Inbox,
}

impl Outfit {
    /// A poll that watches `listeners`, and a mailbox with room for `capacity` messages that wakes it. The reactor will have a
    /// `private` descriptor table, or not.
    pub(super) fn new(
        shard: usize,
        mut listeners: Vec<Listener>,
        capacity: usize,
        private: bool,
    ) -> io::Result<(Outfit, Mailbox)> {
        let poll = Poll::new()?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), listener_token(index))?;
        }
        let (mailbox, inbox) = mailbox(capacity, Waker::new(poll.registry(), event_token(WAKER))?, private)?;
        Ok((Outfit { shard, poll, listeners, inbox }, mailbox))
    }

    /// All descriptors in it.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        let listeners = self.listeners.iter().map(AsRawFd::as_raw_fd);
        listeners.chain(self.inbox.descriptor()).chain([self.poll.as_raw_fd()]).collect()
    }
}
