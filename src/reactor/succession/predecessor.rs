//! The process that goes: it hands over, and only then drains.

use super::super::mailbox::Rare;
use super::super::server::Server;
use super::line::{Line, Record};
use super::{Heirloom, PATIENCE};
use crate::base::error::Error;
use crate::engine::Bequest;
use crossbeam_channel::bounded;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Server {
    /// Hands everything over to a process that starts with [`Heritage::of_predecessor`](super::Heritage::of_predecessor) at
    /// the other end of `line`, which has `limit` to get ready. When this returns the other process serves, and all that is
    /// left to do here is [`Server::drain`] or [`Server::stop`].
    ///
    /// On an error this server goes on as before, but for messages that it has refused meanwhile.
    pub fn hand_over(&mut self, line: UnixStream, limit: Duration) -> Result<(), Error> {
        let mut line = Line::new(line, PATIENCE).map_err(gone)?;
        for heirloom in self.heirlooms()? {
            line.send(&Record::Socket(heirloom)).map_err(gone)?;
        }
        line.send(&Record::Ready).and_then(|()| line.flush()).and_then(|()| line.be_patient(limit)).map_err(gone)?;
        expect_ready(&mut line).map_err(gone)?;
        let outcome = self.freeze().and_then(|estates| leave(&mut line, estates).map_err(gone));
        if let Err(error) = outcome {
            for mailbox in &self.shared.mailboxes {
                // One that has gone needs no warmth.
                let _ = mailbox.order(Rare::Thaw);
            }
            return Err(error);
        }
        self.shared.succeeded.store(true, Ordering::Release);
        self.disown_control();
        Ok(())
    }

    /// Copies of all listening sockets.
    fn heirlooms(&self) -> Result<Vec<Heirloom>, Error> {
        let (to, all) = bounded(self.shared.mailboxes.len());
        for mailbox in &self.shared.mailboxes {
            mailbox.order(Rare::Sockets { to: to.clone() })?;
        }
        drop(to);
        let mut heirlooms = Vec::new();
        for some in all {
            heirlooms.extend(some.map_err(|error| Error::Io("a listening socket cannot be copied".into(), error))?);
        }
        for heirloom in heirlooms.iter_mut().filter(|heirloom| heirloom.place.option == "control") {
            heirloom.place.file = self.control_identity();
        }
        Ok(heirlooms)
    }

    /// Has all shards keep nothing more, and takes what they have.
    fn freeze(&self) -> Result<Vec<Vec<Bequest>>, Error> {
        let (to, all) = bounded(self.shared.mailboxes.len());
        for mailbox in &self.shared.mailboxes {
            mailbox.order(Rare::Freeze { to: to.clone() })?;
        }
        drop(to);
        let estates: Vec<Vec<Bequest>> = all.into_iter().collect();
        if estates.len() == self.shared.mailboxes.len() { Ok(estates) } else { Err(Error::Closed) }
    }
}

fn expect_ready(line: &mut Line) -> io::Result<()> {
    match line.next()? {
        Record::Ready => line.be_patient(PATIENCE),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Sends all channels, and waits until the successor serves them.
fn leave(line: &mut Line, estates: Vec<Vec<Bequest>>) -> io::Result<()> {
    for Bequest { name, first, messages, members } in estates.into_iter().flatten() {
        line.send(&Record::Channel { name: name.to_string(), first })?;
        for (age_ms, message) in messages {
            line.send(&Record::Message { age_ms, message })?;
        }
        for (since_unix_ms, user) in members {
            line.send(&Record::Member { since_unix_ms, user: user.to_string() })?;
        }
    }
    line.send(&Record::End)?;
    line.flush()?;
    match line.next()? {
        Record::Serves => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn gone(error: io::Error) -> Error {
    let error = match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    };
    Error::Io("the successor did not take over".into(), error)
}
