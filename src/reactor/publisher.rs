//! Publishes into a server of this process, from any thread: makes a message and puts it into its home's mailbox.
//!
//! Never waits, except in [`Publisher::flush`]. What was offered to a mailbox is rung for before a call returns, also
//! where a batch ends early.

use super::mailbox::{Mail, Mailbox};
use super::server::Shared;
use super::tally::{Stats, Tally};
use crate::base::config::DURATION_MS_MAX;
use crate::base::error::Error;
use crate::base::name::Name;
use crate::base::payload::{Message, Parts};
use crate::engine::Engine;
use crossbeam_channel::{RecvTimeoutError, bounded};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Messages of a batch that may lie in a sleeping reactor's mailbox while the next are put there.
const UNRUNG_MAX: usize = 64;

/// A channel of a server, checked and found once for all that is published to it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    name: Name,
    /// Which reactor gives its messages their places.
    home: u16,
}

impl Target {
    /// One whose home another process knows.
    pub(crate) fn elsewhere(channel: &str) -> Result<Target, Error> {
        let name = Name::parse(channel).map_err(|reject| Error::Invalid(reject.detail.into_owned()))?;
        Ok(Target { name, home: 0 })
    }

    /// The channel's full name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Publishes into a server of this process.
#[derive(Clone, Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>) -> Publisher {
        Publisher { shared }
    }

    /// Publishes `data`, of no particular type, to the channel of this full name, now.
    ///
    /// Never blocks. [`Error::Full`]: nothing was taken, try again shortly. Messages of one thread to one
    /// channel keep their order.
    pub fn publish(&self, channel: &str, data: &[u8]) -> Result<(), Error> {
        self.publish_with(&Parts { channel, content_type: "", event: "", data, unix_ms: 0 })
    }

    /// The same, with everything that a message may carry.
    pub fn publish_with(&self, parts: &Parts<'_>) -> Result<(), Error> {
        let message = self.message(parts)?;
        self.home(parts.channel).publish(message)
    }

    /// Checks and finds what [`Publisher::publish_to`] publishes to, in this server.
    pub(crate) fn target(&self, channel: &str) -> Result<Target, Error> {
        let home = Engine::home_of(self.shared.seed, self.shared.shards(), channel);
        Ok(Target { home, ..Target::elsewhere(channel)? })
    }

    /// Publishes `data`, of no particular type, to a channel that was found before.
    pub(crate) fn publish_to(&self, target: &Target, data: &[u8]) -> Result<(), Error> {
        let parts = Parts { channel: &target.name, content_type: "", event: "", data, unix_ms: 0 };
        let message = self.message_of(&parts)?;
        self.shared.mailboxes[usize::from(target.home)].publish(message)
    }

    /// Publishes one message after the other until one is not taken, or is an error. Returns how many were taken, and
    /// why no more. A reactor is not woken for each of them.
    pub fn publish_all<'a, E: From<Error>>(&self, all: impl Iterator<Item = Result<Parts<'a>, E>>) -> (usize, Option<E>) {
        let (mut taken, mut refused) = (0, None);
        let mut last: Option<&Mailbox> = None;
        for parts in all {
            match parts.and_then(|parts| Ok(self.offer(&parts)?)) {
                Ok(home) => {
                    let is_quiet = |last: &&Mailbox| std::ptr::eq(*last, home) && taken % UNRUNG_MAX > 0;
                    if let Some(last) = last.replace(home).filter(|last| !is_quiet(last)) {
                        last.ring();
                    }
                    taken += 1;
                }
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            }
        }
        if let Some(last) = last {
            last.ring();
        }
        (taken, refused)
    }

    /// Puts a message into its home's mailbox, which is still to be rung.
    fn offer(&self, parts: &Parts<'_>) -> Result<&Mailbox, Error> {
        let message = self.message(parts)?;
        let home = self.home(parts.channel);
        home.offer(Mail::Message(message))?;
        Ok(home)
    }

    /// The mailbox of a channel's home.
    fn home(&self, channel: &str) -> &Mailbox {
        let home = Engine::home_of(self.shared.seed, self.shared.shards(), channel);
        &self.shared.mailboxes[usize::from(home)]
    }

    /// Part of every publish, so it is to cost no call and no copy of its result.
    #[inline(always)]
    fn message(&self, parts: &Parts<'_>) -> Result<Message, Error> {
        Name::check(parts.channel).map_err(|reject| Error::Invalid(reject.detail.into_owned()))?;
        self.message_of(parts)
    }

    /// The same for a channel whose name was checked.
    #[inline(always)]
    fn message_of(&self, parts: &Parts<'_>) -> Result<Message, Error> {
        if self.shared.is_stopping() {
            return Err(Error::Closed);
        }
        let bytes_max = self.shared.message_bytes_max.load(Ordering::Relaxed);
        if parts.data.len() as u64 > bytes_max {
            return Err(Error::Invalid(format!("a message is at most {bytes_max} bytes long")));
        }
        Message::new(parts).map_err(|why| Error::Invalid(why.into()))
    }

    /// Waits until the reactors have taken all that was published before, by whichever thread: it is in the
    /// channels' histories, and on its way to their subscribers. [`Error::TimedOut`] if that takes longer.
    pub fn flush(&self, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit.min(Duration::from_millis(DURATION_MS_MAX));
        let (barrier, taken) = bounded(0);
        for mailbox in &self.shared.mailboxes {
            mailbox.bar(barrier.clone(), deadline)?;
        }
        drop(barrier);
        // Nothing is ever sent: each reactor drops its barrier, and the last one ends the wait.
        match taken.recv_deadline(deadline) {
            Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut),
            // A reactor that failed drops what it has not taken.
            _ if self.shared.is_stopping() => Err(Error::Closed),
            _ => Ok(()),
        }
    }

    /// What the reactors have done, and have to do, all together.
    pub fn stats(&self) -> Stats {
        self.shared.tallies.iter().map(Tally::read).fold(Stats::default(), Stats::plus)
    }
}
