//! A server: a reactor a core, each on a thread of its own, started together and stopped together.
//!
//! Whatever can fail at the start fails before the first thread runs. A reactor that panics or fails takes
//! the others down with it, in good order: half a server would lose messages silently. Its thread is fenced,
//! so a host program survives that, and publishers are told [`Error::Closed`].

use super::access_log::AccessLog;
use super::clock::Clock;
use super::events::{Events, Outbox, outbox};
use super::listener::{Bound, ControlFile, bind};
use super::mailbox::{Mail, Mailbox, Rare};
use super::publisher::Publisher;
use super::tally::Tally;
use super::turn::{Outfit, Turn};
use crate::base::config::{Config, DURATION_MS_MAX};
use crate::base::error::Error;
use crate::base::random::Seed;
use crate::engine::Engine;
use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most reactors a server makes of its own accord.
const REACTORS_MAX: usize = 256;

/// How many questions of the demonstrations' pages may wait.
const ASKS_MAX: u64 = 1_024;

/// Who takes a server's events.
#[derive(Clone, Copy, Debug)]
enum Audience {
    /// The program around the server.
    Host,
    /// Whoever does the demonstrations' jobs.
    Demo,
}

/// A running server. Stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    addresses: Addresses,
    control: Option<ControlFile>,
    threads: Vec<JoinHandle<()>>,
    /// Dropped behind the reactors, whose last requests it has yet to write.
    access_log: Option<AccessLog>,
}

/// Where a server listens, with the real ports where port 0 was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// In the order of the option `listen`.
    pub public: Vec<SocketAddr>,
    /// In the order of the option `private`.
    pub private: Vec<SocketAddr>,
    /// The control socket.
    pub control: Option<PathBuf>,
}

impl Server {
    /// Binds all that `config` names and starts the reactors. Nobody hears of its events: the options that speak to
    /// a host program must be off.
    pub fn start(config: Config) -> Result<Server, Error> {
        config.check()?;
        config.check_hostless()?;
        Server::start_with(config, None, Audience::Host)
    }

    /// The same for a host program that takes the server's events, and answers what it is asked.
    pub fn start_hosted(config: Config) -> Result<(Server, Events), Error> {
        config.check()?;
        let (outbox, events) =
            outbox(config.events_max).map_err(|error| Error::Io("there is no descriptor for events".into(), error))?;
        Ok((Server::start_with(config, Some(outbox), Audience::Host)?, events))
    }

    /// A server without a host program that has demonstrations, for a program that does their jobs: each event of
    /// [`EventKind::Publish`](crate::EventKind::Publish) has the name of one that somebody looks at.
    pub fn start_demo(config: Config) -> Result<(Server, Events), Error> {
        config.check()?;
        config.check_hostless()?;
        let (outbox, events) = outbox(ASKS_MAX).map_err(|error| Error::Io("there is no descriptor for events".into(), error))?;
        Ok((Server::start_with(config, Some(outbox), Audience::Demo)?, events))
    }

    fn start_with(config: Config, outbox: Option<Outbox>, audience: Audience) -> Result<Server, Error> {
        let reactors = reactors(&config);
        let capacity = config.mailbox_messages as usize;
        let access_log = config.access_log.as_deref().map(AccessLog::start).transpose()?;
        let Bound { listeners, addresses, control } = bind(&config, reactors)?;
        let mut outfits = Vec::with_capacity(reactors);
        let mut mailboxes = Vec::with_capacity(reactors);
        for (shard, listeners) in listeners.into_iter().enumerate() {
            let (outfit, mailbox) = Outfit::new(shard, listeners, capacity)
                .map_err(|error| Error::Io(format!("reactor {shard} has no event queue"), error))?;
            outfits.push(outfit);
            mailboxes.push(mailbox);
        }
        let shared = Arc::new(Shared {
            seed: system_seed(),
            clock: Clock::start(),
            message_bytes_max: config.body_bytes_max,
            drain_timeout_ms: AtomicU64::new(config.drain_timeout_ms),
            tallies: (0..reactors).map(|_| Tally::default()).collect(),
            mailboxes,
            outbox,
            stopping: AtomicBool::new(false),
            undrained: AtomicUsize::new(0),
        });
        let mut server = Server { shared, addresses, control, threads: Vec::with_capacity(reactors), access_log };
        let config = Arc::new(config);
        let clock = server.shared.clock;
        for outfit in outfits {
            server.spawn(outfit, config.clone(), clock, audience)?;
        }
        Ok(server)
    }

    fn spawn(&mut self, outfit: Outfit, config: Arc<Config>, clock: Clock, audience: Audience) -> Result<(), Error> {
        let shard = self.threads.len();
        let shared = self.shared.clone();
        let attendance = Attendance::new(self.shared.clone());
        let log = self.access_log.as_ref().map(AccessLog::port);
        let body = move || {
            fenced(&shared, shard, || {
                let mut engine = Engine::new(&config, shard as u16, shared.shards(), shared.seed);
                if let Some(outbox) = &shared.outbox {
                    match audience {
                        Audience::Host => engine.set_host(outbox.port()),
                        Audience::Demo => engine.set_demo(outbox.port()),
                    }
                }
                if let Some(log) = log {
                    engine.set_access_log(log);
                }
                Turn::new(outfit, engine, clock, attendance).run()
            });
        };
        let thread = thread::Builder::new().name(format!("encke-{shard}")).spawn(body);
        self.threads.push(thread.map_err(|error| Error::Io(format!("reactor {shard} has no thread"), error))?);
        Ok(())
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// A handle to publish with, from any thread. It does not keep the server running.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.shared.clone())
    }

    /// A handle to answer questions with, from any thread. It does not keep the server running.
    pub fn judge(&self) -> Judge {
        Judge { shared: self.shared.clone() }
    }

    /// Where more can be told to the host program; `None` if the server was started without one.
    pub fn outbox(&self) -> Option<Outbox> {
        self.shared.outbox.clone()
    }

    /// Begins the access log's file anew under its name, as whoever has moved the old one away wants it; does nothing without
    /// a log. The lines that wait go into the new file.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Whether it serves: not once it was told to stop, and not after a reactor has failed.
    pub fn is_running(&self) -> bool {
        !self.shared.is_stopping()
    }

    /// Takes no new connections, ends those that wait, lets answers under way finish for at most the option
    /// `drain_timeout_ms`, and returns when every thread has ended. Dropping the server does the same.
    pub fn stop(self) {
        drop(self);
    }

    /// The same once all that was published is taken, both within `limit`, which replaces the option. It has stopped
    /// whatever this returns; [`Error::TimedOut`]: with messages that were not taken.
    pub fn finish(self, limit: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        let publisher = self.publisher();
        // The first brings it to all shards, the second to the subscribers there: those that wait are to get it before they
        // are told that the server stops.
        let flushed = publisher.flush(limit).and_then(|()| publisher.flush(limit.saturating_sub(begun.elapsed())));
        let left = limit.saturating_sub(begun.elapsed()).as_millis();
        let left = u64::try_from(left).unwrap_or(u64::MAX).min(DURATION_MS_MAX);
        self.shared.drain_timeout_ms.store(left, Ordering::Release);
        drop(self);
        flushed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First, so that a successor may bind it while this server drains.
        self.control = None;
        self.shared.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a reactor panicked outside its fence");
            }
        }
    }
}

/// Answers what a server of this process asked its host program.
#[derive(Clone, Debug)]
pub struct Judge {
    shared: Arc<Shared>,
}

impl Judge {
    /// Answers a question: whether the client may subscribe. An answer that comes too late, or twice, does nothing.
    ///
    /// Never blocks. [`Error::Full`]: nothing was taken, try again shortly.
    pub fn answer(&self, question: u64, allow: bool) -> Result<(), Error> {
        if self.shared.is_stopping() {
            return Err(Error::Closed);
        }
        let asker = self.shared.mailboxes.get(usize::from(Engine::asker_of(question)));
        let asker = asker.ok_or_else(|| Error::Invalid(format!("there was no question {question}")))?;
        asker.post(Mail::Rare(Box::new(Rare::Verdict { question, allow })))
    }
}

/// What a server's reactors and publishers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) seed: Seed,
    pub(super) clock: Clock,
    pub(super) message_bytes_max: u64,
    pub(super) drain_timeout_ms: AtomicU64,
    /// One a reactor.
    pub(super) tallies: Vec<Tally>,
    /// One a reactor.
    pub(super) mailboxes: Vec<Mailbox>,
    /// Toward the host program, if there is one.
    outbox: Option<Outbox>,
    stopping: AtomicBool,
    /// Reactors that may still have connections.
    undrained: AtomicUsize,
}

impl Shared {
    /// How long the server has been there.
    pub(super) fn uptime_ms(&self) -> u64 {
        self.clock.elapsed_ms()
    }

    /// Whether the reactors are to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether no reactor has connections left to drain.
    pub(super) fn is_drained(&self) -> bool {
        self.undrained.load(Ordering::Acquire) == 0
    }

    /// The host program has something to take.
    pub(super) fn ring(&self) {
        if let Some(outbox) = &self.outbox {
            outbox.ring();
        }
    }

    pub(super) fn shards(&self) -> u16 {
        self.mailboxes.len() as u16
    }

    /// Of `reactors` that nobody drives, and that cannot be reached.
    #[cfg(test)]
    pub(super) fn for_tests(reactors: usize) -> Shared {
        Shared {
            seed: Seed(1, 2),
            clock: Clock::start(),
            message_bytes_max: 10,
            drain_timeout_ms: AtomicU64::new(0),
            tallies: (0..reactors).map(|_| Tally::default()).collect(),
            mailboxes: (0..reactors).map(|_| super::mailbox::deserted()).collect(),
            outbox: None,
            stopping: AtomicBool::new(false),
            undrained: AtomicUsize::new(0),
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_all();
    }

    fn wake_all(&self) {
        for mailbox in &self.mailboxes {
            mailbox.wake();
        }
    }
}

/// Held by a reactor that may have connections; the last to let go of it wakes all others. Also let go of
/// by a panic, so nobody waits for a reactor that has ended.
#[derive(Debug)]
pub(super) struct Attendance {
    shared: Arc<Shared>,
}

impl Attendance {
    fn new(shared: Arc<Shared>) -> Attendance {
        shared.undrained.fetch_add(1, Ordering::AcqRel);
        Attendance { shared }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if self.shared.undrained.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.wake_all();
        }
    }
}

/// Runs a reactor so that neither its failure nor its panic leaves this thread, and either stops the server.
fn fenced(shared: &Shared, shard: usize, reactor: impl FnOnce() -> io::Result<()>) {
    let why = match catch_unwind(AssertUnwindSafe(reactor)) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("reactor {shard} failed, the server stops: {error}"),
        Err(panic) => format!("reactor {shard} panicked, the server stops: {}", panic_text(&*panic)),
    };
    log::error!("{why}");
    if let Some(outbox) = &shared.outbox {
        outbox.push_failure(&why);
    }
    shared.stop();
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// As many as asked for, else one a core.
fn reactors(config: &Config) -> usize {
    match config.reactors {
        0 => thread::available_parallelism().map_or(1, |cores| cores.get().min(REACTORS_MAX)),
        asked => asked as usize,
    }
}

/// From the system: the keys of the standard library's own tables are, and their hash of nothing gives none
/// of them away.
pub(super) fn system_seed() -> Seed {
    let random = || RandomState::new().hash_one(());
    Seed(random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::event::{Event, EventKind};
    use crate::base::payload::Parts;
    use crate::base::time::Tick;
    use crate::reactor::mailbox::{End, Inbox, mailbox};
    use mio::{Events, Poll, Token, Waker};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    /// A server's shared half with one reactor that nobody drives.
    fn shared() -> (Arc<Shared>, Inbox, Poll) {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let (mailbox, inbox) = mailbox(1, waker);
        let shared = Shared { mailboxes: vec![mailbox], tallies: vec![], ..Shared::for_tests(0) };
        (Arc::new(shared), inbox, poll)
    }

    fn is_woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
        !events.is_empty()
    }

    #[test]
    fn a_panic_stops_the_server_and_stays_in_its_thread() {
        let (shared, _inbox, mut poll) = shared();
        fenced(&shared, 0, || panic!("on purpose"));
        assert!(shared.is_stopping());
        assert!(is_woken(&mut poll));
    }

    #[test]
    fn the_host_program_is_told_of_a_failure() {
        let (shared, _inbox, _poll) = shared();
        let mut shared = Arc::into_inner(shared).expect("nobody else has it");
        let (outbox, events) = outbox(1).expect("a pair");
        assert!(outbox.push(Event::log("whatever waits")));
        shared.outbox = Some(outbox);
        fenced(&Arc::new(shared), 3, || panic!("on purpose"));
        assert_eq!(events.next().map(|event| event.kind), Some(EventKind::Log));
        let failure = events.next().expect("it failed");
        assert_eq!(failure.kind, EventKind::Failed);
        assert_eq!(failure.data(), b"reactor 3 panicked, the server stops: on purpose");
        assert!(events.next().is_none());
    }

    #[test]
    fn an_answer_goes_to_the_shard_that_asked() {
        let (shared, mut inbox, _poll) = shared();
        let judge = Judge { shared: shared.clone() };
        assert!(matches!(judge.answer(1 << 48, true), Err(Error::Invalid(_))), "there is one shard");
        assert!(judge.answer(7, true).is_ok());
        assert!(matches!(judge.answer(8, true), Err(Error::Full)));
        let (_, End::Rare(rare)) = inbox.mail(Tick(0)) else { panic!("the verdict") };
        assert!(matches!(*rare, Rare::Verdict { question: 7, allow: true }));
        shared.stop();
        assert!(matches!(judge.answer(9, true), Err(Error::Closed)));
    }

    #[test]
    fn a_failure_stops_the_server_and_a_normal_end_does_not() {
        let (shared, _inbox, _poll) = shared();
        fenced(&shared, 0, || Ok(()));
        assert!(!shared.is_stopping());
        fenced(&shared, 0, || Err(io::Error::other("no epoll")));
        assert!(shared.is_stopping());
    }

    #[test]
    fn the_last_reactor_to_drain_wakes_the_others_even_by_a_panic() {
        let (shared, _inbox, mut poll) = shared();
        let first = Attendance::new(shared.clone());
        let second = Attendance::new(shared.clone());
        drop(first);
        assert!(!shared.is_drained());
        assert!(!is_woken(&mut poll));
        fenced(&shared, 1, || {
            let _held = second;
            panic!("on purpose")
        });
        assert!(shared.is_drained());
        assert!(is_woken(&mut poll));
    }

    #[test]
    fn a_publisher_of_a_stopped_server_is_told() {
        let (shared, _inbox, _poll) = shared();
        shared.stop();
        let publisher = Publisher::new(shared);
        assert!(matches!(publisher.publish("/a", b"x"), Err(Error::Closed)));
    }

    #[test]
    fn a_message_that_is_none_is_refused_where_it_is_made() {
        let (shared, _inbox, _poll) = shared();
        let publisher = Publisher::new(shared);
        assert!(matches!(publisher.publish("no slash", b"x"), Err(Error::Invalid(_))));
        assert!(matches!(publisher.publish("/a", b"eleven byte"), Err(Error::Invalid(_))));
        let parts = Parts { channel: "/a", content_type: "application/json", event: "", data: b"{", unix_ms: 0 };
        assert!(matches!(publisher.publish_with(&parts), Err(Error::Invalid(_))));
    }

    #[test]
    fn an_option_out_of_its_bounds_names_itself() {
        for (config, name) in [
            (Config { reactors: 257, ..Config::default() }, "reactors"),
            (Config { mailbox_messages: 0, ..Config::default() }, "mailbox-messages"),
            (Config { listen: vec!["nowhere".into()], ..Config::default() }, "listen"),
        ] {
            match Server::start(config) {
                Err(Error::Config(text)) => assert!(text.contains(name), "{text}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    fn free_ports(reactors: u64) -> Config {
        let any = || vec!["127.0.0.1:0".into()];
        Config { listen: any(), private: any(), reactors, ..Config::default() }
    }

    /// Reads up to and with a line that holds `text`.
    fn read_until(reader: &mut impl BufRead, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(reader.read_line(&mut line).expect("a stream"), 0, "it ended before {text:?}");
        }
    }

    #[test]
    fn a_message_reaches_the_subscribers_of_every_reactor_and_a_stop_ends_their_streams() {
        let server = Server::start(free_ports(3)).expect("free ports");
        let address = server.addresses().public[0];
        let mut streams: Vec<_> = (0..20).map(|_| subscribe(address)).collect();
        server.publisher().publish("/news", b"ciao").expect("room");
        for stream in &mut streams {
            read_until(stream, "data: ciao");
        }
        thread::scope(|scope| {
            scope.spawn(|| server.stop());
            for mut stream in streams {
                stream.read_to_end(&mut Vec::new()).expect("an end, not a reset");
            }
        });
    }

    /// A stream of `/news` that is under way.
    fn subscribe(address: SocketAddr) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        stream.write_all(b"GET /sub/news?transport=sse HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("room");
        let mut stream = BufReader::new(stream);
        read_until(&mut stream, "text/event-stream");
        stream
    }

    #[test]
    fn a_flush_returns_when_all_that_was_published_is_taken() {
        let server = Server::start(free_ports(3)).expect("free ports");
        let publisher = server.publisher();
        for number in 0..3_000 {
            publisher.publish(&format!("/flush/{}", number % 10), b"x").expect("room");
        }
        publisher.flush(Duration::from_secs(20)).expect("it is taken");
        assert_eq!(server.publisher().stats().published, 3_000);
        server.finish(Duration::from_secs(20)).expect("nothing is left");
        assert!(matches!(publisher.flush(Duration::from_secs(20)), Err(Error::Closed)));
    }

    #[test]
    fn a_flush_ends_in_time_though_nobody_takes_anything() {
        let (shared, _inbox, _poll) = shared();
        let publisher = Publisher::new(shared);
        assert!(matches!(publisher.flush(Duration::ZERO), Err(Error::TimedOut)));
        assert!(matches!(publisher.flush(Duration::from_millis(1)), Err(Error::TimedOut)), "no room for a barrier");
    }

    #[test]
    fn a_stopped_server_takes_neither_connections_nor_messages() {
        let server = Server::start(free_ports(2)).expect("free ports");
        assert!(server.is_running());
        let (address, publisher) = (server.addresses().public[0], server.publisher());
        server.stop();
        assert!(matches!(publisher.publish("/a", b"x"), Err(Error::Closed)));
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn two_seeds_differ() {
        assert_ne!(system_seed(), system_seed());
        let Seed(first, second) = system_seed();
        assert_ne!(first, second);
    }

    #[test]
    fn publishers_go_anywhere() {
        fn anywhere<T: Clone + Send + Sync>() {}
        anywhere::<Publisher>();
    }
}
