//! The log as events, for hosts that ask for it.
//!
//! In the shared library the `log` crate is a copy of its own: to be its logger takes nothing away from the host. A
//! program that links Encke as a Rust crate has a logger of its own, and keeps it.
//!
//! The list of listeners is locked across a fork, so that a child finds it whole and unlocked. It empties it: what its
//! parent's hosts hear is not for the child to tell, but a server of its own has listeners again.

use crate::base::event::Event;
use crate::reactor::Outbox;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

/// The least grave that hosts are told.
const LEVEL: log::LevelFilter = log::LevelFilter::Info;

type Outboxes = Vec<Weak<Outbox>>;

static OUTBOXES: Mutex<Outboxes> = Mutex::new(Vec::new());

thread_local! {
    /// The lock of the list, while this thread forks.
    static HELD: RefCell<Option<MutexGuard<'static, Outboxes>>> = const { RefCell::new(None) };
}

fn outboxes() -> MutexGuard<'static, Outboxes> {
    OUTBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A host hears the log until this is dropped.
pub(super) struct Listening {
    _outbox: Arc<Outbox>,
}

impl Listening {
    pub(super) fn start(outbox: Outbox) -> Listening {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            if log::set_logger(&Logger).is_ok() {
                log::set_max_level(LEVEL);
            }
        });
        let outbox = Arc::new(outbox);
        let mut outboxes = outboxes();
        outboxes.retain(|outbox| outbox.strong_count() > 0);
        outboxes.push(Arc::downgrade(&outbox));
        Listening { _outbox: outbox }
    }
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= LEVEL
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let event = Event::log(&format!("{} {}", record.level().as_str().to_ascii_lowercase(), record.args()));
        for outbox in outboxes().iter().filter_map(Weak::upgrade) {
            outbox.push(event.clone());
        }
    }

    fn flush(&self) {}
}

/// The process is about to fork: nobody else is to be in the middle of a line.
pub(super) fn hold_listeners() {
    let _ = HELD.try_with(|held| *held.borrow_mut() = Some(outboxes()));
}

/// The process has forked, and this is the parent.
pub(super) fn let_go_of_listeners() {
    let _ = HELD.try_with(RefCell::take);
}

/// The process has forked, and this is the child.
pub(super) fn forget_listeners() {
    let held = HELD.try_with(RefCell::take).ok().flatten();
    if let Some(mut outboxes) = held {
        // What belongs to the parent is left as it is.
        std::mem::forget(std::mem::take(&mut *outboxes));
    }
}
