//! What is noted of each request for the access log, while there is one.
//!
//! A request has an entry from when its head is read until its response is complete, or until its connection has gone;
//! entries lie beside the slots, which know nothing of them. A complete one goes into a bounded queue, whose other end is
//! elsewhere; one that finds no room there is counted. Without a log there are no entries, and each place that could note
//! something looks at one pointer.
//!
//! **Bytes and status** are seen where a socket takes them: what it is given behind the responses to requests before.

use super::Engine;
use crate::base::door::Address;
use crate::base::shorten::shorten;
use crate::base::time::{Now, Tick};
use crate::http::{Request, query};
use crate::protocol::bayeux::client_of_path;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries that may wait to be written.
const QUEUE_MAX: usize = 16_384;
/// How much of a path and its query is noted.
const PATH_BYTES_MAX: usize = 2_048;
/// Parameters whose values let somebody in, or hold whole messages in which such may be.
const SECRETS: [&str; 10] =
    ["token", "stream", "session", "access_token", "api_key", "key", "sig", "signature", "password", "message"];
/// What stands in the place of such a value.
const HIDDEN: &str = "***";

/// A request that is over, whether it was answered or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// When it was over: milliseconds since 1970.
    pub unix_ms: u64,
    /// Where it came from; nothing is known of sockets in the file system.
    pub address: Option<Address>,
    /// Who sent it, where that was shown and good: the `sub` of a token, or the name of a key.
    pub user: Option<Arc<str>>,
    /// Its method; empty for what was no request.
    pub method: &'static str,
    /// Its path and query, without the values that let somebody in.
    pub path: Box<str>,
    /// How it was held; empty if it was not.
    pub transport: &'static str,
    /// The status of its response; 0 if there was none.
    pub status: u16,
    /// The bytes of its response that the socket took.
    pub bytes: u64,
    /// How long it took from its head on, in milliseconds.
    pub ms: u64,
    /// The code of its refusal; empty if it was not refused.
    pub code: &'static str,
}

/// Makes a queue for finished requests.
pub fn access_log() -> (LogPort, LogFeed) {
    let (push, take) = bounded(QUEUE_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    (LogPort { push, lost: lost.clone() }, LogFeed { take, lost })
}

/// Where they go in: one for each shard. Never waits.
#[derive(Clone, Debug)]
pub struct LogPort {
    push: Sender<Finished>,
    lost: Arc<AtomicU64>,
}

impl LogPort {
    pub(crate) fn put(&self, finished: Finished) {
        if self.push.try_send(finished).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where they come out.
#[derive(Debug)]
pub struct LogFeed {
    take: Receiver<Finished>,
    lost: Arc<AtomicU64>,
}

impl LogFeed {
    /// Waits for the next; `None` once there will be no more.
    pub fn wait(&self) -> Option<Finished> {
        self.take.recv().ok()
    }

    /// The next, if it is there.
    pub fn next(&self) -> Option<Finished> {
        self.take.try_recv().ok()
    }

    /// How many found no room since this was last asked.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Entry {
    begun: Tick,
    finished: Finished,
    /// Bytes that the socket has yet to take of what is older.
    older: u64,
}

/// The log of one shard.
#[derive(Debug)]
pub(super) struct AccessLog {
    port: LogPort,
    /// By slot.
    entries: Vec<Option<Box<Entry>>>,
}

impl AccessLog {
    fn entry(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize)?.as_deref_mut()
    }

    fn put(&mut self, index: u32, entry: Box<Entry>) {
        let index = index as usize;
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(entry);
    }
}

impl Engine {
    /// Finished requests go out through `port`.
    pub fn set_access_log(&mut self, port: LogPort) {
        self.access_log = Some(Box::new(AccessLog { port, entries: Vec::new() }));
    }

    /// A request's head is here; `None` for what is no request.
    pub(super) fn log_begin(&mut self, now: Now, index: u32, request: Option<&Request<'_, '_>>) {
        if self.access_log.is_none() {
            return;
        }
        let (older, address) = (self.unsent_bytes(index), self.host.address(index));
        let Some(log) = &mut self.access_log else { return };
        let method = request.map_or("", |request| request.method.as_str());
        let path = request.map_or_else(Box::default, |request| shown(request.path, request.query));
        let finished = Finished { address, method, path, ..Finished::default() };
        log.put(index, Box::new(Entry { begun: now.tick, finished, older }));
    }

    /// Bytes that are part of no response come before it.
    pub(super) fn log_interim(&mut self, index: u32, count: usize) {
        if let Some(entry) = self.access_log.as_mut().and_then(|log| log.entry(index)) {
            entry.older += count as u64;
        }
    }

    /// This is who sent the request.
    pub(super) fn log_user(&mut self, index: u32, user: &Option<Arc<str>>) {
        if let Some(entry) = self.access_log.as_mut().and_then(|log| log.entry(index)) {
            entry.finished.user.clone_from(user);
        }
    }

    /// The request is held in this way.
    pub(super) fn log_transport(&mut self, index: u32, transport: &'static str) {
        if let Some(entry) = self.access_log.as_mut().and_then(|log| log.entry(index)) {
            entry.finished.transport = transport;
        }
    }

    /// The request is refused.
    pub(super) fn log_refusal(&mut self, index: u32, code: &'static str) {
        if let Some(entry) = self.access_log.as_mut().and_then(|log| log.entry(index)) {
            entry.finished.code = code;
        }
    }

    /// The socket is taking `count` bytes of what waits for it.
    pub(super) fn log_wrote(&mut self, index: u32, count: usize) {
        if self.access_log.is_none() {
            return;
        }
        self.log_status(index);
        let Some(entry) = self.access_log.as_mut().and_then(|log| log.entry(index)) else { return };
        let older = entry.older.min(count as u64);
        entry.older -= older;
        entry.finished.bytes += count as u64 - older;
    }

    /// Reads the status off the response, as soon as it has begun.
    fn log_status(&mut self, index: u32) {
        let Some(entry) = self.access_log.as_ref().and_then(|log| log.entries.get(index as usize)?.as_deref()) else { return };
        if entry.finished.status != 0 {
            return;
        }
        let [first, second] = self.outgoing(self.slots.token(index));
        let skip = usize::try_from(entry.older).unwrap_or(usize::MAX);
        let begins = first.iter().chain(second).skip(skip).take(STATUS_END).copied();
        let status = status(&begins.collect::<Vec<u8>>());
        if let (Some(status), Some(entry)) = (status, self.access_log.as_mut().and_then(|log| log.entry(index))) {
            entry.finished.status = status;
        }
    }

    /// The response is complete, though perhaps not yet written.
    pub(super) fn log_answered(&mut self, now: Now, index: u32) {
        if self.access_log.is_some() {
            self.log_status(index);
            let unsent = self.unsent_bytes(index);
            self.log_end(now, index, unsent);
        }
    }

    /// The connection is gone, whatever it was at.
    pub(super) fn log_gone(&mut self, now: Now, index: u32) {
        self.log_end(now, index, 0);
    }

    fn log_end(&mut self, now: Now, index: u32, unsent: u64) {
        let Some(log) = &mut self.access_log else { return };
        let Some(entry) = log.entries.get_mut(index as usize).and_then(Option::take) else { return };
        let Entry { begun, mut finished, older } = *entry;
        finished.bytes += unsent.saturating_sub(older);
        finished.ms = now.tick.since(begun);
        finished.unix_ms = now.unix_ms;
        log.port.put(finished);
    }

    /// Takes the entry along to another shard.
    pub(super) fn log_take(&mut self, index: u32) -> Option<Box<Entry>> {
        self.access_log.as_mut()?.entries.get_mut(index as usize)?.take()
    }

    /// It came along from another shard.
    pub(super) fn log_arrive(&mut self, index: u32, entry: Option<Box<Entry>>) {
        if let (Some(log), Some(entry)) = (&mut self.access_log, entry) {
            log.put(index, entry);
        }
    }

    fn unsent_bytes(&self, index: u32) -> u64 {
        let [first, second] = self.outgoing(self.slots.token(index));
        (first.len() + second.len()) as u64
    }
}

/// Where the three digits end in `HTTP/1.1 200 OK`.
const STATUS_END: usize = 12;

fn status(begins: &[u8]) -> Option<u16> {
    let digits = begins.strip_prefix(b"HTTP/1.1 ").or(begins.strip_prefix(b"HTTP/1.0 "))?;
    if digits.len() == 3 { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// A path and its query as they may be shown to whoever reads logs.
fn shown(path: &str, query: &str) -> Box<str> {
    // The client id of a Bayeux session is a key to it.
    let mut text = match (client_of_path(path), path.rsplit_once('/')) {
        (Some(_), Some((before, _))) => format!("{before}/{HIDDEN}"),
        _ => path.to_string(),
    };
    for (place, pair) in query.split('&').enumerate().filter(|_| !query.is_empty()) {
        text.push(if place == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            // A name that cannot be read may stand for anything.
            Some((name, _)) if query::percent_decode(name).map_or(true, |name| is_secret(&name)) => {
                text.push_str(name);
                text.push('=');
                text.push_str(HIDDEN);
            }
            _ => text.push_str(pair),
        }
        if text.len() > PATH_BYTES_MAX {
            break;
        }
    }
    shorten(&mut text, PATH_BYTES_MAX);
    text.into()
}

fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|secret| name.trim().eq_ignore_ascii_case(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path of an event stream, whose last part is its session's client id.
    const SESSION: &str = "/bayeux/eventsource/000000000008fedcba98765432100123456789abcdef";

    #[test]
    fn what_lets_somebody_in_is_not_shown() {
        for (path, query, expected) in [
            ("/sub/a", "", "/sub/a"),
            ("/sub/a", "since=now", "/sub/a?since=now"),
            ("/sub/a", "token=abc&since=now", "/sub/a?token=***&since=now"),
            ("/sub", "stream=L2E.abc&transport=stream", "/sub?stream=***&transport=stream"),
            ("/sub/a", "since=now&TOKEN=a=b", "/sub/a?since=now&TOKEN=***"),
            ("/sub/a", "%74oken=abc&%zz=abc", "/sub/a?%74oken=***&%zz=***"),
            ("/bayeux", "message=[]&jsonp=f", "/bayeux?message=***&jsonp=f"),
            ("/bayeux/00000000000100112233445566778899aabbccddeeff", "x=1", "/bayeux/***?x=1"),
            ("/cometd/x/00000000000100112233445566778899aabbccddeeff", "", "/cometd/x/***"),
            ("/bayeux/connect", "", "/bayeux/connect"),
            ("/token", "session=0001", "/token?session=***"),
            ("/why", "session=0000000000080123", "/why?session=***"),
            (SESSION, "", "/bayeux/eventsource/***"),
            ("/sub/a", "token&x", "/sub/a?token&x"),
            ("/sub/a", "tokens=3&&", "/sub/a?tokens=3&&"),
        ] {
            assert_eq!(&*shown(path, query), expected);
        }
        let long = shown(&"/é".repeat(PATH_BYTES_MAX), "token=abc");
        assert!(long.len() <= PATH_BYTES_MAX + 3 && long.ends_with('…'));
    }

    #[test]
    fn a_status_is_read_off_a_response() {
        for (begins, expected) in [
            ("HTTP/1.1 200 OK", None),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.0 404", Some(404)),
            ("HTTP/1.1 2", None),
            ("HTTP/1.1 ", None),
            ("data: 1\n", None),
            ("", None),
        ] {
            assert_eq!(status(begins.as_bytes()), expected, "{begins:?}");
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_once() {
        let (port, feed) = access_log();
        (0..QUEUE_MAX + 3).for_each(|_| port.put(Finished::default()));
        assert_eq!((feed.take_lost(), feed.take_lost()), (3, 0));
        assert_eq!(std::iter::from_fn(|| feed.next()).count(), QUEUE_MAX);
        drop(port);
        assert_eq!(feed.wait(), None);
    }
}
