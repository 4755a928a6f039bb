//! Handles: which number stands for which server or connection to one.
//!
//! A handle is a number that looks like a pointer and is never followed. The table says what it stands for; each
//! thread remembers the one it used last, so that a publish takes no lock and counts no reference. The price: a
//! thread keeps the emptied mailbox and the event descriptor of a stopped server until it uses another handle, or ends.
//!
//! ```text
//! Open --panic--> Poisoned --stop--> Stopped
//! Open --stop---> Stopped
//! ```
//!
//! Invariant: what was made before a fork is never used or dropped in the child; there it is leaked.

use super::code::{Failure, encke_code};
use super::event::HostSide;
use super::{channel, fork, guard, signals};
use crate::base::config::Config;
use crate::base::error::Error;
use crate::base::payload::Parts;
use crate::reactor::{Publisher, Remote, Server, Target};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// A server in this process, or a connection to one elsewhere. Made by encke_start or encke_connect, ended by
/// encke_stop. May be used from many threads at once. Opaque: only its value counts, so a handle that was stopped,
/// or never was one, is answered with a code.
#[allow(non_camel_case_types, reason = "C reads this name")]
pub struct encke {
    _opaque: [u8; 0],
}

/// What a handle stands for.
pub(super) struct Handle {
    id: usize,
    /// The generation of the process it was made in.
    born: u32,
    state: AtomicU8,
    backend: ManuallyDrop<Backend>,
}

const OPEN: u8 = 0;
const POISONED: u8 = 1;
const STOPPED: u8 = 2;

/// Where the server is.
pub(super) enum Backend {
    /// In this process.
    Here(Box<Here>),
    /// Elsewhere.
    Elsewhere(Remote),
}

/// A server in this process.
pub(super) struct Here {
    pub(super) publisher: Publisher,
    pub(super) host: HostSide,
    /// `None` once it is being stopped.
    server: RwLock<Option<Server>>,
    /// Where it listens, as JSON.
    pub(super) address: String,
    control: Option<String>,
}

impl Here {
    pub(super) fn new(server: Server, host: HostSide, address: String) -> Here {
        // A child may have gone elsewhere by the time it connects.
        let control = server.addresses().control.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        let control = control.map(|path| format!("unix:{}", path.display()));
        Here { publisher: server.publisher(), host, server: RwLock::new(Some(server)), address, control }
    }

    fn is_running(&self) -> bool {
        // Not to be had while it is being stopped, nor while somebody waits to stop it. No wait, since the table is locked.
        self.server.try_read().is_ok_and(|server| server.as_ref().is_some_and(Server::is_running))
    }

    /// Goes on with other options; names those that last until a restart. Its access log is opened anew whatever they are.
    pub(super) fn reload(&self, read: impl FnOnce() -> Result<Config, Failure>) -> Result<Vec<&'static str>, Failure> {
        let server = self.server.read().unwrap_or_else(PoisonError::into_inner);
        let server = server.as_ref().ok_or(Error::Closed)?;
        server.reopen_access_log();
        let kept = server.reload(read()?)?;
        Ok(kept.iter().map(|option| option.key).collect())
    }
}

impl Backend {
    /// Publishes one message, without blocking.
    pub(super) fn publish(&self, parts: &Parts<'_>) -> Result<(), Error> {
        match self {
            Backend::Here(here) => here.publisher.publish_with(parts),
            Backend::Elsewhere(remote) => remote.publish_with(parts),
        }
    }

    /// Checks and finds what [`Backend::publish_to`] publishes to.
    pub(super) fn target(&self, channel: &str) -> Result<Target, Error> {
        match self {
            Backend::Here(here) => here.publisher.target(channel),
            Backend::Elsewhere(_) => Target::elsewhere(channel),
        }
    }

    /// The same for a channel that was found before, by this handle or by its parent's.
    pub(super) fn publish_to(&self, target: &Target, data: &[u8]) -> Result<(), Error> {
        match self {
            Backend::Here(here) => here.publisher.publish_to(target, data),
            Backend::Elsewhere(remote) => remote.publish(target.name(), data),
        }
    }

    /// Publishes until a message is not taken; how many were, and why no more.
    pub(super) fn publish_all<'a>(&self, mut all: impl Iterator<Item = Result<Parts<'a>, Failure>>) -> (usize, Option<Failure>) {
        match self {
            Backend::Here(here) => here.publisher.publish_all(all),
            Backend::Elsewhere(remote) => {
                let mut taken = 0;
                let refused = all.find_map(|parts| match parts.and_then(|parts| Ok(remote.publish_with(&parts)?)) {
                    Ok(()) => {
                        taken += 1;
                        None
                    }
                    Err(failure) => Some(failure),
                });
                (taken, refused)
            }
        }
    }

    /// Waits until all that was published before is taken.
    pub(super) fn flush(&self, limit: Duration) -> Result<(), Error> {
        match self {
            Backend::Here(here) => here.publisher.flush(limit),
            Backend::Elsewhere(remote) => remote.flush(limit),
        }
    }

    /// The server in this process, for calls that only its host can make.
    pub(super) fn here(&self) -> Result<&Here, Failure> {
        match self {
            Backend::Here(here) => Ok(here),
            Backend::Elsewhere(_) => {
                Err(Failure::invalid("this handle is a connection: only the process of the server can do that"))
            }
        }
    }
}

impl Handle {
    fn new(id: usize, backend: Backend) -> Arc<Handle> {
        let backend = ManuallyDrop::new(backend);
        Arc::new(Handle { id, born: fork::generation(), state: AtomicU8::new(OPEN), backend })
    }

    /// The number it is known by.
    pub(super) fn id(&self) -> usize {
        self.id
    }

    /// What it stands for.
    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// From here on it can only be stopped.
    pub(super) fn poison(&self) {
        self.state.store(POISONED, Ordering::Relaxed);
    }

    fn is_ours(&self) -> bool {
        self.born == fork::generation()
    }

    fn is_usable(&self) -> bool {
        self.is_ours() && self.state.load(Ordering::Relaxed) == OPEN
    }

    /// Takes no more calls, and ends what it stands for within `limit`.
    pub(super) fn stop(&self, limit: Duration) -> Result<(), Failure> {
        let state = self.state.swap(STOPPED, Ordering::Relaxed);
        if !self.is_ours() {
            return Ok(());
        }
        // What a poisoned handle's reactors have not taken, they may never take.
        let limit = if state == POISONED { Duration::ZERO } else { limit };
        let ended = match self.backend() {
            Backend::Here(here) => {
                here.host.close();
                let server = here.server.write().unwrap_or_else(PoisonError::into_inner).take();
                server.map_or(Ok(()), |server| server.finish(limit))
            }
            Backend::Elsewhere(remote) => remote.close(limit),
        };
        Ok(ended?)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: dropped once, here, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.backend) }
        }
    }
}

thread_local! {
    /// The handle that this thread used last.
    static RECENT: RefCell<Option<Arc<Handle>>> = const { RefCell::new(None) };
    /// The table's lock, while this thread forks.
    static HELD: RefCell<Option<MutexGuard<'static, Table>>> = const { RefCell::new(None) };
}

static TABLE: Mutex<Table> = Mutex::new(Table { entries: BTreeMap::new(), made: 0 });

struct Table {
    entries: BTreeMap<usize, Entry>,
    /// How many handles there have been.
    made: usize,
}

struct Entry {
    handle: Arc<Handle>,
    /// The options a server was started with.
    options: Option<String>,
    /// How often it was started with them.
    users: u32,
}

/// Handles look like pointers to something aligned, and none is null.
pub(super) const STRIDE: usize = 16;

fn table() -> MutexGuard<'static, Table> {
    // Nothing under this lock is left half done by a panic.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `then` with what `handle` stands for.
pub(super) fn find<T>(handle: *const encke, then: impl FnOnce(Result<&Handle, Failure>) -> T) -> T {
    let id = handle.addr();
    let mut then = Some(then);
    let found = RECENT.try_with(|recent| {
        let then = then.take().expect("called once");
        let is_known = recent.borrow().as_ref().is_some_and(|known| known.id == id && known.is_usable());
        if !is_known {
            match look_up(id) {
                Ok(handle) => *recent.borrow_mut() = Some(handle),
                Err(failure) => return then(Err(failure)),
            }
        }
        match &*recent.borrow() {
            Some(handle) => then(Ok(handle)),
            None => unreachable!("it was just remembered"),
        }
    });
    // A thread that is ending remembers nothing any more.
    found.unwrap_or_else(|_| match (look_up(id), then.take().expect("not yet called")) {
        (Ok(handle), then) => then(Ok(&handle)),
        (Err(failure), then) => then(Err(failure)),
    })
}

fn look_up(id: usize) -> Result<Arc<Handle>, Failure> {
    let mut table = table();
    let table = &mut *table;
    let Some(entry) = table.entries.get_mut(&id) else { return Err(unknown(id, table.made)) };
    match entry.handle.state.load(Ordering::Relaxed) {
        POISONED => return Err(guard::panicked()),
        STOPPED => return Err(unknown(id, table.made)),
        _ => {}
    }
    if !entry.handle.is_ours() {
        let successor = Handle::new(id, Backend::Elsewhere(successor(entry.handle.backend())?));
        entry.options = None;
        // What a parent's threads own is left as it is.
        std::mem::forget(std::mem::replace(&mut entry.handle, successor));
    }
    Ok(entry.handle.clone())
}

/// What takes a parent's place in its child: a connection of the child's own.
fn successor(parents: &Backend) -> Result<Remote, Failure> {
    let address = match parents {
        Backend::Here(here) => here.control.as_deref(),
        Backend::Elsewhere(remote) => Some(remote.address()),
    };
    let Some(address) = address else {
        let detail =
            "the server of this handle runs in the parent of this process; with the option control its children publish too";
        return Err(Failure::new(encke_code::ENCKE_ECHILD, detail));
    };
    Ok(signals::kept_off(|| Remote::connect(address))?)
}

fn unknown(id: usize, made: usize) -> Failure {
    if id == 0 {
        return Failure::invalid("the handle is a null pointer");
    }
    if id.is_multiple_of(STRIDE) && id / STRIDE <= made {
        return Failure::new(encke_code::ENCKE_ECLOSED, "this handle was stopped");
    }
    Failure::invalid("this is no handle")
}

/// The server that was started with `options` in this process, counted once more; else the one that `start` makes.
pub(super) fn share(options: &str, start: impl FnOnce() -> Result<Here, Failure>) -> Result<*mut encke, Failure> {
    fork::watch();
    let mut table = table();
    for (id, entry) in &mut table.entries {
        let serves = || matches!(entry.handle.backend(), Backend::Here(here) if here.is_running());
        if entry.options.as_deref() == Some(options) && entry.handle.is_usable() && serves() {
            entry.users += 1;
            return Ok(std::ptr::without_provenance_mut(*id));
        }
    }
    let here = start()?;
    Ok(table.add(Backend::Here(Box::new(here)), Some(options.to_string())))
}

/// A handle of its own.
pub(super) fn add(remote: Remote) -> *mut encke {
    fork::watch();
    table().add(Backend::Elsewhere(remote), None)
}

/// Takes `handle` out of the table and gives it to be stopped; `None` if it was started more often than that.
pub(super) fn remove(handle: *const encke) -> Result<Option<Arc<Handle>>, Failure> {
    let id = handle.addr();
    let mut table = table();
    let made = table.made;
    let Some(entry) = table.entries.get_mut(&id) else { return Err(unknown(id, made)) };
    entry.users -= 1;
    if entry.users > 0 {
        return Ok(None);
    }
    let entry = table.entries.remove(&id);
    drop(table);
    channel::forget(id);
    let _ = RECENT.try_with(RefCell::take);
    Ok(entry.map(|entry| entry.handle))
}

impl Table {
    fn add(&mut self, backend: Backend, options: Option<String>) -> *mut encke {
        self.made += 1;
        let id = self.made * STRIDE;
        self.entries.insert(id, Entry { handle: Handle::new(id, backend), options, users: 1 });
        std::ptr::without_provenance_mut(id)
    }
}

/// The process is about to fork: nobody else is to be in the middle of the table.
pub(super) fn hold_table() {
    let _ = HELD.try_with(|held| *held.borrow_mut() = Some(table()));
}

/// The process has forked.
pub(super) fn let_go_of_table() {
    let _ = HELD.try_with(RefCell::take);
}
