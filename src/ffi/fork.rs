//! Notices forks: a handle made in one process is another thing in its child, where no reactor runs.
//!
//! A generation is counted up in each child by `pthread_atfork`, so that a call tells by comparing two numbers
//! (1.3 ns; `getpid` takes a hundred times that) whether its handle was made here. The tables of handles and channels are
//! locked across the fork, so that a child finds them whole and unlocked, as is the list of those who hear the log. A child
//! made by a raw `clone` is not noticed.

use super::{channel, handle, log};
use crate::reactor;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Which process this is, counted in forks from the one that loaded the library.
pub(super) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Begins to notice forks; once is enough.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the three functions live as long as the process, since the library is never unloaded.
        let refused = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
        assert_eq!(refused, 0, "there is memory for three pointers");
    });
}

extern "C" fn before() {
    handle::hold_table();
    channel::hold_table();
    log::hold_listeners();
    reactor::shared_with_children();
}

extern "C" fn in_parent() {
    log::let_go_of_listeners();
    channel::let_go_of_table();
    handle::let_go_of_table();
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    log::forget_listeners();
    channel::let_go_of_table();
    handle::let_go_of_table();
}
