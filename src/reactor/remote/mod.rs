//! A publisher to a server in another process, over its control socket or private listener: same verbs as [`Publisher`](super::Publisher),
//! and no answer to each message.
//!
//! Whoever publishes writes a frame into a buffer under a lock that is held for that copy alone (`desk`). A thread of
//! the handle's own takes whatever lies there and sends it with one call, so the faster messages come the more of them
//! go in a send (`writer`). It reconnects by itself.
//!
//! **What is promised.** A message that was taken is sent, in the order of its thread, unless the handle is closed
//! before. [`Remote::flush`] says that the server has taken all of them, or why not. A connection that breaks keeps
//! what the system had not taken; what it had taken and the server had not confirmed is in doubt, and the next flush
//! says so: nothing is sent twice, and nothing is lost silently.

mod address;
mod desk;
mod writer;

use crate::base::error::Error;
use crate::base::name::Name;
use crate::base::payload::Parts;
use address::Address;
use desk::{Desk, Outcome};
use mio::Waker;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use writer::Writer;

/// How long a thread that is told to end is waited for: long enough for any that only has to wake up.
const END_LIMIT: Duration = Duration::from_millis(200);

/// Publishes into a server elsewhere. Closes at once when it is dropped.
#[derive(Debug)]
pub struct Remote {
    address: String,
    shared: Arc<Shared>,
    /// `None` once it is closed.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the handle and its thread have in common.
#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// A flush came to its end.
    told: Condvar,
    waker: Waker,
}

impl Shared {
    /// The desk. A thread that panicked at it has left whole frames: each verb's last step is the one that counts.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("a publisher's thread cannot be woken: {error}");
        }
    }
}

impl Remote {
    /// Connects to the control socket at `address`, written `unix:/run/encke.sock`, or to a private listener, written
    /// `http://127.0.0.1:8081`. Fails at once if nobody listens there; later on the connection is made anew whenever it
    /// breaks.
    pub fn connect(address: &str) -> Result<Remote, Error> {
        let to = Address::parse(address).ok_or_else(|| {
            Error::Invalid(format!(
                "{address:?} is no address of a server (write unix:/run/encke.sock, or http://127.0.0.1:8081)"
            ))
        })?;
        let failed = |error| Error::Io(format!("cannot connect to {address}"), error);
        let (writer, shared) = Writer::connect(to).map_err(failed)?;
        let thread = thread::Builder::new().name("encke-remote".into()).spawn(move || writer.run()).map_err(failed)?;
        Ok(Remote { address: address.to_string(), shared, thread: Mutex::new(Some(thread)) })
    }

    /// What it was connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Publishes `data`, of no particular type, to the channel of this full name.
    ///
    /// Never blocks. [`Error::Full`]: nothing was taken, try again shortly.
    pub fn publish(&self, channel: &str, data: &[u8]) -> Result<(), Error> {
        self.publish_with(&Parts { channel, content_type: "", event: "", data, unix_ms: 0 })
    }

    /// The same, with everything that a message may carry; the time is the server's.
    pub fn publish_with(&self, parts: &Parts<'_>) -> Result<(), Error> {
        Name::check(parts.channel).map_err(|reject| Error::Invalid(reject.detail.into_owned()))?;
        parts.check().map_err(|why| Error::Invalid(why.into()))?;
        let mut desk = self.shared.desk();
        desk.give(parts)?;
        let asleep = desk.rouse();
        drop(desk);
        if asleep {
            self.shared.wake();
        }
        Ok(())
    }

    /// Waits until the server has taken all that was published before. [`Error::Invalid`]: it refused some of it, and
    /// the text says how much and why. [`Error::Lost`]: a connection broke, and some of it may not have arrived; this
    /// is said at once, and what could be kept is still sent. [`Error::TimedOut`]: that is not known yet. Several threads may wait at once.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        // Beyond what a clock can show, it is for ever.
        let until = Instant::now().checked_add(timeout);
        let mut desk = self.shared.desk();
        let ticket = desk.ask()?;
        desk.rouse();
        self.shared.wake();
        loop {
            if let Some(outcome) = desk.outcome(ticket) {
                return outcome.into();
            }
            let left = until.map_or(timeout, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                desk.give_up(ticket);
                return Err(Error::TimedOut);
            }
            let waited = self.shared.told.wait_timeout(desk, left);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Flushes for at most `timeout`, then closes, whatever came of that.
    pub fn close(&self, timeout: Duration) -> Result<(), Error> {
        let until = Instant::now().checked_add(timeout);
        let first = self.flush(timeout);
        let mut last = &first;
        let mut next;
        // What is in doubt is no reason to leave the rest behind.
        while let Err(Error::Lost(_)) = last {
            let left = until.map_or(timeout, |until| until.saturating_duration_since(Instant::now()));
            next = self.flush(left);
            last = &next;
        }
        self.end();
        first
    }

    /// Tells the thread to end, and waits for that unless it is in the middle of a connect, where it hears nothing: then it
    /// ends as soon as it does.
    fn end(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut desk = self.shared.desk();
        desk.stop();
        self.shared.told.notify_all();
        self.shared.wake();
        let waited = self.shared.told.wait_timeout_while(desk, END_LIMIT, |desk| !desk.has_ended());
        desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        let has_ended = desk.has_ended();
        drop(desk);
        if has_ended && thread.join().is_err() {
            log::error!("a publisher's thread panicked");
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.end();
    }
}

impl From<Outcome> for Result<(), Error> {
    fn from(outcome: Outcome) -> Result<(), Error> {
        match outcome {
            Outcome::Taken => Ok(()),
            Outcome::Refused(text) => Err(Error::Invalid(text)),
            Outcome::Lost(text) => Err(Error::Lost(text)),
            Outcome::Closed => Err(Error::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// Reads a request for a framed stream on the next connection.
    fn asked(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a request");
            request.push(byte[0]);
        }
        stream
    }

    /// Closes a publisher whose thread waits for a server that took its connection and does not answer. Says whether it
    /// still waited when that returned.
    fn closes_before_its_thread() -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let connected = thread::scope(|scope| {
            let connecting = scope.spawn(|| Remote::connect(&address));
            let _ = asked(&listener).write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
            connecting.join().expect("no panic")
        });
        let Ok(remote) = connected else { return false };
        // Its first connection has ended, and this is the next.
        let mut silent = asked(&listener);
        assert!(matches!(remote.close(Duration::ZERO), Ok(()) | Err(Error::TimedOut)));
        silent.set_nonblocking(true).expect("a socket");
        matches!(silent.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    #[test]
    fn a_close_does_not_wait_for_a_server_that_does_not_answer() {
        // On a machine that is busy enough a second may be over before anything is done.
        assert!((0..10).any(|_| closes_before_its_thread()));
    }
}
