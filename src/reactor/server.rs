//! A server: a reactor a core, each on a thread of its own, started together and stopped together.
//!
//! Whatever can fail at the start fails before the first thread runs. A reactor that panics or fails takes
//! the others down with it, in good order: half a server would lose messages silently. Its thread is fenced,
//! so a host program survives that, and publishers are told [`Error::Closed`].

use super::access_log::AccessLog;
use super::clock::Clock;
use super::events::{Events, Outbox, outbox};
use super::ferry::{Ferry, Landing, ferry};
use super::judge::Judge;
use super::keyring;
use super::listener::{Bound, ControlFile, bind};
use super::mailbox::{Mailbox, Rare};
use super::outfit::Outfit;
use super::porter::Porter;
use super::publisher::Publisher;
use super::reserve::Reserve;
use super::succession::{FileIdentity, Heritage, Place};
use super::tables::{Parted, Tables};
use super::tally::Tally;
use super::turn::Turn;
use crate::access::Keyring;
use crate::base::config::{Config, DURATION_MS_MAX};
use crate::base::error::Error;
use crate::base::random::Seed;
use crate::engine::{Bequest, Engine, Rates};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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
    /// Whoever does the demonstrations' jobs, and asks an application.
    Demo,
}

/// What a reactor is given that begins.
struct First {
    config: Arc<Config>,
    keyring: Arc<Keyring>,
    audience: Audience,
    /// What its shard inherits.
    estate: Vec<Bequest>,
    /// Whether it is to let nobody in until it is told that its predecessor has gone.
    waits: bool,
    clock: Clock,
    table: Table,
}

/// Which descriptor table a reactor has.
enum Table {
    /// That of all, with its reserve.
    Shared(Arc<Reserve>),
    /// One of its own, of which whoever starts it hears.
    Private(Sender<io::Result<Parted>>),
}

/// Copies of listening sockets under way to who hands them over; more than one reactor has.
const HARBOUR_PLACES: usize = 512;

/// How long reactors may take to take in what they inherit.
const SETTLE_SECONDS: u64 = 20;

/// A running server. Stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    pub(super) shared: Arc<Shared>,
    /// What it runs with.
    pub(super) config: Mutex<Arc<Config>>,
    /// Whether a host program hears of it and is asked.
    hosted: bool,
    /// The options that sockets were lent for: they say where those listen, whatever else is said.
    pub(super) lent: Vec<String>,
    addresses: Addresses,
    control: Option<ControlFile>,
    /// Told, by the drop of its other ends, that all reactors have ended.
    pub(super) ended: Receiver<()>,
    /// Where copies of listening sockets come in.
    pub(super) landing: Landing<Place>,
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
        config.check_unhooked()?;
        config.check_tables_shared()?;
        Server::start_with(config, Heritage::default(), None, Audience::Host)
    }

    /// The same with what others hand over: sockets that listen already, or all that a predecessor has. And for a program that
    /// does nothing else, which may have private descriptor tables.
    pub fn start_as_heir(config: Config, heritage: Heritage) -> Result<Server, Error> {
        config.check()?;
        config.check_hostless()?;
        config.check_unhooked()?;
        Server::start_with(config, heritage, None, Audience::Host)
    }

    /// The same for a host program that takes the server's events, and answers what it is asked.
    pub fn start_hosted(config: Config) -> Result<(Server, Events), Error> {
        config.check()?;
        config.check_unhooked()?;
        config.check_tables_shared()?;
        let (outbox, events) =
            outbox(config.events_max).map_err(|error| Error::Io("there is no descriptor for events".into(), error))?;
        Ok((Server::start_with(config, Heritage::default(), Some(outbox), Audience::Host)?, events))
    }

    /// A server without a host program that has demonstrations, for a program that does their jobs: each event of
    /// [`EventKind::Publish`](crate::EventKind::Publish) has the name of one that somebody looks at. With the option `judge_url`
    /// it also asks, by events of [`EventKind::Subscribe`](crate::EventKind::Subscribe), what that program finds out there.
    pub fn start_demo(config: Config) -> Result<(Server, Events), Error> {
        Server::start_demo_as_heir(config, Heritage::default())
    }

    /// The same with what others hand over.
    pub fn start_demo_as_heir(config: Config, heritage: Heritage) -> Result<(Server, Events), Error> {
        config.check()?;
        config.check_hostless()?;
        let asks_max = if config.judge_url.is_empty() { ASKS_MAX } else { config.events_max };
        let (outbox, events) = outbox(asks_max).map_err(|error| Error::Io("there is no descriptor for events".into(), error))?;
        Ok((Server::start_with(config, heritage, Some(outbox), Audience::Demo)?, events))
    }

    fn start_with(
        mut config: Config,
        mut heritage: Heritage,
        outbox: Option<Outbox>,
        audience: Audience,
    ) -> Result<Server, Error> {
        heritage.apply(&mut config);
        let lent = heritage.lent_options();
        let reactors = reactors(&config);
        shorten_turns(&mut config, reactors);
        let capacity = config.mailbox_messages as usize;
        let private = config.has_private_tables();
        let keyring = keyring::read(&config)?;
        let access_log = config.access_log.as_deref().map(AccessLog::start).transpose()?;
        let Bound { listeners, addresses, control, unwanted } = bind(&config, reactors, std::mem::take(&mut heritage.heirlooms))?;
        let mut outfits = Vec::with_capacity(reactors);
        let mut mailboxes = Vec::with_capacity(reactors);
        for (shard, listeners) in listeners.into_iter().enumerate() {
            let (outfit, mailbox) = Outfit::new(shard, listeners, capacity, private)
                .map_err(|error| Error::Io(format!("reactor {shard} has no event queue"), error))?;
            outfits.push(outfit);
            mailboxes.push(mailbox);
        }
        let seed = system_seed();
        let (harbour, landing) =
            ferry(HARBOUR_PLACES, private).map_err(|error| Error::Io("there is no harbour".into(), error))?;
        let shared = Arc::new(Shared {
            seed,
            clock: Clock::start(),
            porter: Arc::new(Porter::new(&config, seed)),
            rates: Arc::new(Rates::new(&config, seed)),
            message_bytes_max: AtomicU64::new(config.body_bytes_max),
            judge_allows: AtomicBool::new(config.judge_default == "allow"),
            drain_timeout_ms: AtomicU64::new(config.drain_timeout_ms),
            tallies: (0..reactors).map(|_| Tally::default()).collect(),
            mailboxes,
            harbour,
            is_crowded: reactors > cores(),
            tables: Tables::default(),
            outbox,
            stopping: AtomicBool::new(false),
            succeeded: AtomicBool::new(false),
            undrained: AtomicUsize::new(0),
        });
        let config = Arc::new(config);
        let hosted = matches!(audience, Audience::Host) && shared.outbox.is_some();
        let (end, ended) = bounded(0);
        let mut server = Server {
            shared,
            config: Mutex::new(config.clone()),
            hosted,
            lent,
            addresses,
            control,
            ended,
            landing,
            threads: Vec::with_capacity(reactors),
            access_log,
        };
        let estates = heritage.claim(server.shared.seed, server.shared.shards())?;
        let clock = server.shared.clock;
        let waits = heritage.has_predecessor();
        let reserve = (!private).then(|| Arc::new(Reserve::new()));
        let (parted, all_parted) = bounded(reactors);
        let outcome = outfits.into_iter().zip(estates).try_for_each(|(outfit, estate)| {
            let table = reserve.clone().map_or_else(|| Table::Private(parted.clone()), Table::Shared);
            let first = First { config: config.clone(), keyring: keyring.clone(), audience, estate, waits, clock, table };
            server.spawn(outfit, first, end.clone())
        });
        drop(parted);
        let parted = part_with(all_parted);
        outcome.and(parted)?;
        if waits {
            // Only what turns serves.
            server.publisher().flush(Duration::from_secs(SETTLE_SECONDS))?;
        }
        heritage.serves()?;
        if waits {
            server.follow(unwanted)?;
        }
        Ok(server)
    }

    /// The predecessor can only drain from here on: everything is this server's.
    fn follow(&mut self, unwanted: Option<ControlFile>) -> Result<(), Error> {
        self.control.iter_mut().for_each(ControlFile::own);
        unwanted.into_iter().for_each(|mut file| file.own());
        self.shared.mailboxes.iter().try_for_each(|mailbox| mailbox.order(Rare::Thaw))
    }

    fn spawn(&mut self, outfit: Outfit, first: First, end: Sender<()>) -> Result<(), Error> {
        let shard = self.threads.len();
        let shared = self.shared.clone();
        let attendance = Attendance::new(self.shared.clone());
        let log = self.access_log.as_ref().map(AccessLog::port);
        let body = move || {
            let _end = end;
            fenced(&shared, shard, || {
                let First { config, keyring, audience, estate, waits, clock, table } = first;
                let reserve = table.settle(&outfit, &shared)?;
                let mut engine = Engine::new(&config, shard as u16, shared.shards(), shared.seed);
                engine.set_access(&config, keyring);
                engine.share_rates(shared.rates.clone());
                if let Some(landlord) = shared.porter.landlord() {
                    engine.set_landlord(landlord);
                }
                engine.inherit(clock.now(), estate);
                if waits {
                    engine.wait();
                }
                if let Some(outbox) = &shared.outbox {
                    match audience {
                        Audience::Host => engine.set_host(outbox.port()),
                        Audience::Demo => engine.set_demo(outbox.port(), config.shows_demos()),
                    }
                }
                if let Some(log) = log {
                    engine.set_access_log(log);
                }
                Turn::new(outfit, engine, clock, reserve, attendance).run()
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
        Judge::new(self.shared.clone())
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

    /// Whether a host program hears of it and is asked.
    pub(super) fn is_hosted(&self) -> bool {
        self.hosted
    }

    /// What tells the control socket's file from any other, if there is one of ours.
    pub(super) fn control_identity(&self) -> Option<FileIdentity> {
        self.control.as_ref().map(ControlFile::identity)
    }

    /// Removes the control socket's file, so that a successor may bind it while this server drains.
    pub(super) fn remove_control(&mut self) {
        self.control = None;
    }

    /// The control socket's file is another server's from now on.
    pub(super) fn disown_control(&mut self) {
        self.control.take().into_iter().for_each(ControlFile::disown);
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
        self.drain();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a reactor panicked outside its fence");
            }
        }
    }
}

/// What a server's reactors and publishers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) seed: Seed,
    pub(super) clock: Clock,
    /// What all reactors together let in.
    pub(super) porter: Arc<Porter>,
    /// What their clients may publish in a second.
    rates: Arc<Rates>,
    pub(super) message_bytes_max: AtomicU64,
    pub(super) judge_allows: AtomicBool,
    pub(super) drain_timeout_ms: AtomicU64,
    /// One a reactor.
    pub(super) tallies: Vec<Tally>,
    /// One a reactor.
    pub(super) mailboxes: Vec<Mailbox>,
    /// Where reactors send copies of their listening sockets, for a successor.
    pub(super) harbour: Ferry<Place>,
    /// Whether there are more of them than cores.
    pub(super) is_crowded: bool,
    /// The private descriptor tables, if there are some.
    pub(super) tables: Tables,
    /// Toward the host program, if there is one.
    outbox: Option<Outbox>,
    stopping: AtomicBool,
    /// While it stops: another process has everything, and goes on.
    pub(super) succeeded: AtomicBool,
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

    /// All descriptors in it, by which threads reach each other.
    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let bell = self.outbox.iter().flat_map(Outbox::descriptors);
        self.mailboxes.iter().flat_map(Mailbox::descriptors).chain(self.harbour.descriptor()).chain(bell)
    }

    /// Of `reactors` that nobody drives, and that cannot be reached.
    #[cfg(test)]
    pub(super) fn for_tests(reactors: usize) -> Shared {
        Shared {
            seed: Seed(1, 2),
            clock: Clock::start(),
            porter: Arc::new(Porter::new(&Config::default(), Seed(1, 2))),
            rates: Arc::new(Rates::new(&Config::default(), Seed(1, 2))),
            message_bytes_max: AtomicU64::new(10),
            judge_allows: AtomicBool::new(false),
            drain_timeout_ms: AtomicU64::new(0),
            tallies: (0..reactors).map(|_| Tally::default()).collect(),
            mailboxes: (0..reactors).map(|_| super::mailbox::deserted()).collect(),
            harbour: ferry(1, false).expect("a queue").0,
            is_crowded: false,
            tables: Tables::default(),
            outbox: None,
            stopping: AtomicBool::new(false),
            succeeded: AtomicBool::new(false),
            undrained: AtomicUsize::new(0),
        }
    }

    pub(super) fn stop(&self) {
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

impl Table {
    /// Gives the calling thread the table that its reactor, which has `outfit`, is to have; and that table's reserve.
    fn settle(self, outfit: &Outfit, shared: &Shared) -> io::Result<Arc<Reserve>> {
        let told = match self {
            Table::Shared(reserve) => return Ok(reserve),
            Table::Private(told) => told,
        };
        let outcome = shared.tables.part(outfit.descriptors(), shared.descriptors());
        let is_parted = outcome.is_ok();
        // Whoever starts a server waits for this.
        let _ = told.send(outcome);
        is_parted.then(|| Arc::new(Reserve::new())).ok_or_else(|| io::Error::other("it has no descriptor table of its own"))
    }
}

/// Once all reactors have tables of their own, closes what they took along from this thread's.
fn part_with(all: Receiver<io::Result<Parted>>) -> Result<(), Error> {
    let mut failure = Ok(());
    for outcome in all {
        match outcome {
            Ok(parted) => parted.close(),
            Err(error) => failure = Err(error),
        }
    }
    failure.map_err(|error| {
        let what = "--descriptor-tables: a reactor cannot have one of its own (Linux 5.9 or later; write shared)";
        Error::Io(what.into(), error)
    })
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
        0 => cores().min(REACTORS_MAX),
        asked => asked as usize,
    }
}

/// Where several reactors share a core each is to have it the shorter, so that a long fan-out keeps nobody waiting.
pub(super) fn shorten_turns(config: &mut Config, reactors: usize) {
    const SLICE_MIN: u64 = 16;
    let sharers = reactors.div_ceil(cores()) as u64;
    config.fanout_slice = (config.fanout_slice / sharers).max(SLICE_MIN.min(config.fanout_slice));
}

/// Those that this process may run on.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// From the system: the keys of the standard library's own tables are, and their hash of nothing gives none
/// of them away.
pub(super) fn system_seed() -> Seed {
    let random = || RandomState::new().hash_one(());
    Seed(random(), random())
}

#[cfg(test)]
mod tests;
