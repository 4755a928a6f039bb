//! The log as events, for hosts that ask for it.
//!
//! In the shared library the `log` crate is a copy of its own: to be its logger takes nothing away from the host. A
//! program that links Encke as a Rust crate has a logger of its own, and keeps it.

use super::fork;
use crate::base::event::Event;
use crate::reactor::Outbox;
use std::sync::{Arc, Once, PoisonError, RwLock, Weak};

/// The least grave that hosts are told.
const LEVEL: log::LevelFilter = log::LevelFilter::Info;

static OUTBOXES: RwLock<Vec<Weak<Outbox>>> = RwLock::new(Vec::new());

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
        let mut outboxes = OUTBOXES.write().unwrap_or_else(PoisonError::into_inner);
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
        // In a child the lock may be held for good by a thread that was not copied.
        if !self.enabled(record.metadata()) || fork::generation() > 0 {
            return;
        }
        let event = Event::log(&format!("{} {}", record.level().as_str().to_ascii_lowercase(), record.args()));
        for outbox in OUTBOXES.read().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            outbox.push(event.clone());
        }
    }

    fn flush(&self) {}
}
