//! The thread of a [`Remote`](super::Remote): sends what lies on the desk, hears answers, and connects anew.
//!
//! It sleeps in a poll. Those who publish wake it only while it sleeps with nothing to send; when they would do that
//! all the time, it looks each tick instead, as a reactor does (`mailbox`).
//!
//! ```text
//! Connected --it broke--> waiting, longer each time --time--> connecting --refused--> waiting …
//!     ^                                                           |
//!     +-----------------------------------------------------------+  preface first, then the frame that was cut off
//! ```

use super::super::clock::Clock;
use super::super::mailbox::{Pace, TICK};
use super::super::server::system_seed;
use super::super::socket;
use super::Shared;
use super::address::{Address, Patience};
use super::desk::Desk;
use crate::base::frame::{self, Flushed, Frame, PREFACE};
use crate::base::random::Random;
use crate::base::time::Tick;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{SockRef, Socket};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const WAKER: Token = Token(0);
const SOCKET: Token = Token(1);

/// Between two attempts to connect: twice as long each time, and strayed by so many percent.
const DELAY_MS_MIN: u64 = 10;
const DELAY_MS_MAX: u64 = 1_000;
const DELAY_JITTER: u64 = 50;

/// A connection that held for so long was a good one.
const GOOD_MS: u64 = 1_000;

/// How often the server is asked to confirm what it was sent, so that little is in doubt when a connection breaks.
const CONFIRM_MS: u64 = 1_000;

/// Sends in a row before answers are looked for.
const SENDS_MAX: usize = 16;

/// A frame that broke so many connections is one that the server does not take.
const CUTS_MAX: u32 = 3;

const BUFFER_BYTES: usize = 16 << 10;

/// The thread's state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    address: Address,
    poll: Poll,
    clock: Clock,
    random: Random,
    pace: Pace,
    link: Option<Link>,
    batch: Batch,
    /// Those who publish will wake this thread.
    asleep: bool,
    /// When to connect anew, and how long to wait after that.
    retry_at: Tick,
    delay_ms: u64,
    /// When to ask for a confirmation next.
    confirm_at: Tick,
}

/// A connection.
struct Link {
    socket: Socket,
    since: Tick,
    /// What goes first, and how much of it is sent.
    opening: Vec<u8>,
    opening_sent: usize,
    /// The socket took less than it was offered.
    full: bool,
    /// Bytes of answers that are not whole yet.
    inbox: Vec<u8>,
}

impl Drop for Link {
    fn drop(&mut self) {
        socket::end(SockRef::from(&self.socket));
    }
}

/// Frames on their way.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    sent: usize,
    /// How many of the frames are messages.
    count: usize,
    /// How many connections broke within the first frame.
    cuts: u32,
}

/// A clean-up for whatever way the thread ends: nobody may wait for it.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.desk().end();
        self.0.told.notify_all();
    }
}

impl Writer {
    /// Connects to `address`; a writer and what it shares with its handle.
    pub(super) fn connect(address: Address) -> io::Result<(Writer, Arc<Shared>)> {
        let socket = address.dial(Patience::Long)?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let shared = Arc::new(Shared { desk: Mutex::new(Desk::default()), told: Condvar::new(), waker });
        let mut writer = Writer {
            shared: shared.clone(),
            address,
            poll,
            clock: Clock::start(),
            random: Random::new(system_seed()),
            pace: Pace::default(),
            link: None,
            batch: Batch::default(),
            asleep: false,
            retry_at: Tick(0),
            delay_ms: DELAY_MS_MIN,
            confirm_at: Tick(CONFIRM_MS),
        };
        writer.adopt(Tick(0), socket)?;
        Ok((writer, shared))
    }

    /// Works until the handle is closed.
    pub(super) fn run(mut self) {
        let _farewell = Farewell(self.shared.clone());
        let mut events = Events::with_capacity(4);
        let mut timeout = Some(Duration::ZERO);
        loop {
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return log::error!("a publisher's thread failed: {error}");
                }
                _ => {}
            }
            let now = self.clock.now().tick;
            if !self.rise(now) {
                return;
            }
            for event in events.iter().filter(|event| event.token() == SOCKET) {
                if let Some(link) = &mut self.link {
                    link.full &= !(event.is_writable() || event.is_error());
                }
                self.read(now);
            }
            self.reconnect(now);
            self.write(now);
            timeout = self.settle(now);
        }
    }

    /// Up again: nobody needs to wake this thread. `false` if it is to end.
    fn rise(&mut self, now: Tick) -> bool {
        let mut desk = self.shared.desk();
        if std::mem::take(&mut self.asleep) && !desk.rouse() {
            self.pace.rang(now);
        }
        !desk.is_stopped()
    }

    /// How long to sleep.
    fn settle(&mut self, now: Tick) -> Option<Duration> {
        let wait = |until: Tick| Duration::from_millis(until.since(now));
        let Some(link) = &self.link else { return Some(wait(self.retry_at)) };
        if link.full {
            return None;
        }
        let mut desk = self.shared.desk();
        if self.pace.ticks(now) {
            return Some(TICK);
        }
        self.asleep = desk.sleep();
        match self.asleep {
            true => desk.is_unsettled().then(|| wait(self.confirm_at)),
            false => Some(Duration::ZERO),
        }
    }

    /// Sends as long as there is something and the socket takes it.
    fn write(&mut self, now: Tick) {
        for _ in 0..SENDS_MAX {
            let Some(link) = &mut self.link else { return };
            if link.full {
                return;
            }
            if self.batch.is_sent() {
                self.batch.clear();
                let mut desk = self.shared.desk();
                let confirm = now >= self.confirm_at && desk.is_unsettled();
                self.batch.count = desk.take(&mut self.batch.bytes, confirm);
                drop(desk);
                if confirm {
                    self.confirm_at = now + CONFIRM_MS;
                }
                if self.batch.count > 0 {
                    self.pace.last_mail = now;
                }
            }
            let slices = [&link.opening[link.opening_sent..], &self.batch.bytes[self.batch.sent..]];
            let offered = slices[0].len() + slices[1].len();
            if offered == 0 {
                return;
            }
            match socket::send(&link.socket, slices) {
                Ok(count) => {
                    link.full = count < offered;
                    let of_opening = count.min(slices[0].len());
                    link.opening_sent += of_opening;
                    self.batch.sent += count - of_opening;
                }
                Err(error) => return self.broke(now, &error.to_string()),
            }
        }
    }

    /// Hears what the server answers.
    fn read(&mut self, now: Tick) {
        let mut buffer = [0; BUFFER_BYTES];
        loop {
            let Some(link) = &mut self.link else { return };
            match socket::receive(&link.socket, &mut buffer) {
                Ok(0) => return self.broke(now, "the server has closed it"),
                Ok(count) => link.inbox.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.broke(now, &error.to_string()),
            }
            if !self.hear() {
                return self.broke(now, "the server does not speak this protocol");
            }
        }
    }

    /// Takes whole answers off the inbox; `false` if it holds something else.
    fn hear(&mut self) -> bool {
        let Some(link) = &mut self.link else { return true };
        let mut used = 0;
        let understood = loop {
            match frame::read(&link.inbox[used..], BUFFER_BYTES as u64) {
                Ok(Some((Frame::Control { data, .. }, len))) => {
                    let Some(flushed) = Flushed::read(data) else { break false };
                    self.shared.desk().answered(&flushed);
                    used += len;
                }
                Ok(None) => break true,
                Ok(Some((Frame::Message { .. }, _))) | Err(_) => break false,
            }
        };
        link.inbox.drain(..used);
        if used > 0 {
            self.shared.told.notify_all();
        }
        understood
    }

    /// The connection is gone: keeps what was not sent, and counts what is in doubt.
    fn broke(&mut self, now: Tick, why: &str) {
        let Some(link) = self.link.take() else { return };
        log::debug!("a publisher's connection broke: {why}");
        // A forked child may hold the socket too, and keep it among those that are watched.
        let _ = self.poll.registry().deregister(&mut SourceFd(&link.socket.as_raw_fd()));
        self.batch.rewind();
        self.shared.desk().broken(self.batch.count);
        self.shared.told.notify_all();
        if now.since(link.since) >= GOOD_MS {
            self.delay_ms = DELAY_MS_MIN;
        }
        self.retry_later(now);
    }

    fn retry_later(&mut self, now: Tick) {
        self.retry_at = now + self.random.jitter(self.delay_ms, DELAY_JITTER);
        self.delay_ms = (self.delay_ms * 2).min(DELAY_MS_MAX);
    }

    fn reconnect(&mut self, now: Tick) {
        if self.link.is_some() || now < self.retry_at {
            return;
        }
        let connected = self.address.dial(Patience::Short).and_then(|socket| self.adopt(now, socket));
        if let Err(error) = connected {
            log::debug!("a publisher cannot connect: {error}");
            self.retry_later(now);
        }
    }

    fn adopt(&mut self, now: Tick, socket: Socket) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), SOCKET, both)?;
        let opening = PREFACE.to_vec();
        self.link = Some(Link { socket, since: now, opening, opening_sent: 0, full: false, inbox: Vec::new() });
        Ok(())
    }
}

impl Batch {
    fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        (self.sent, self.count, self.cuts) = (0, 0, 0);
    }

    /// Back to the beginning of the frame that was cut off, or that comes next. A frame that the server ends every
    /// connection for is given up as if it had been sent, which makes it a doubtful one.
    fn rewind(&mut self) {
        let mut start = 0;
        while let Ok(Some((frame, len))) = frame::read(&self.bytes[start..], u64::MAX) {
            let whole = start + len <= self.sent;
            let cut = start < self.sent && !whole;
            if cut {
                self.cuts = if start == 0 { self.cuts + 1 } else { 1 };
            }
            let given_up = cut && self.cuts >= CUTS_MAX;
            if !whole && !given_up {
                break;
            }
            if given_up {
                log::warn!("a message of {len} bytes is given up: the server ends every connection for it (body_bytes_max)");
                self.cuts = 0;
            }
            self.count -= usize::from(matches!(frame, Frame::Message { .. }));
            start += len;
        }
        self.bytes.drain(..start);
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::payload::Parts;

    fn batch(frames: usize) -> Batch {
        let mut batch = Batch { count: frames, ..Batch::default() };
        for _ in 0..frames {
            let parts = Parts { channel: "/a", content_type: "", event: "", data: b"12345678", unix_ms: 0 };
            frame::write(&mut batch.bytes, &parts).expect("it fits");
        }
        batch
    }

    /// What [`batch`] makes of each message.
    const LEN: usize = frame::HEAD_BYTES + 10;

    #[test]
    fn a_batch_goes_on_with_the_frame_that_was_cut_off() {
        for sent in 0..=3 * LEN {
            let mut batch = batch(3);
            batch.sent = sent;
            batch.rewind();
            assert_eq!((batch.count, batch.bytes.len(), batch.sent), (3 - sent / LEN, (3 - sent / LEN) * LEN, 0), "{sent}");
        }
    }

    #[test]
    fn a_flush_is_kept_like_a_message_but_not_counted() {
        let mut batch = batch(1);
        frame::write_flush(&mut batch.bytes, [0; 8]);
        batch.sent = LEN + 1;
        batch.rewind();
        assert_eq!((batch.count, batch.bytes.len()), (0, frame::HEAD_BYTES + 8));
    }

    #[test]
    fn a_frame_that_breaks_every_connection_is_given_up() {
        let mut batch = batch(2);
        for left in [2, 2, 1, 1, 1, 0] {
            batch.sent = 5;
            batch.rewind();
            assert_eq!((batch.count, batch.bytes.len()), (left, left * LEN));
        }
    }
}
