//! One descriptor kept for the moment when there are no others, so that who comes then is told so instead of left to wait.
//!
//! It is given up for one accept, whose connection is answered and closed, and taken back. All reactors of a descriptor table
//! share it, and any of them may come by its number while it is out: so whoever accepts a connection then has got what is not
//! its own, and refuses it. That is also how it comes back if it was lost.

use socket2::{Domain, Socket, Type};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The descriptor, or its absence.
#[derive(Debug)]
pub(super) struct Reserve {
    kept: Mutex<Option<Socket>>,
    /// Whether it is out; read at each accept.
    out: AtomicBool,
}

impl Reserve {
    /// Takes one now, while there are some.
    pub(super) fn new() -> Reserve {
        let reserve = Reserve { kept: Mutex::new(None), out: AtomicBool::new(true) };
        reserve.take_back();
        reserve
    }

    /// Whether it is out: a descriptor that was got meanwhile may be this.
    pub(super) fn is_out(&self) -> bool {
        self.out.load(Ordering::SeqCst)
    }

    /// Gives it up for whoever asks the system next; `false` if it was out already.
    pub(super) fn give_up(&self) -> bool {
        let mut kept = self.kept();
        // Before it is there to be got: whoever gets it sees this.
        self.out.store(true, Ordering::SeqCst);
        kept.take().is_some()
    }

    /// Takes it back if there is one to be had.
    pub(super) fn take_back(&self) {
        let mut kept = self.kept();
        if kept.is_none() {
            // A socket is a descriptor that needs no file to be there.
            *kept = Socket::new(Domain::UNIX, Type::DGRAM, None).ok();
        }
        self.out.store(kept.is_none(), Ordering::SeqCst);
    }

    fn kept(&self) -> MutexGuard<'_, Option<Socket>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the system refused something for want of a descriptor, of this process or of all.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_up_once_and_taken_back() {
        let reserve = Reserve::new();
        assert!(!reserve.is_out());
        assert!(reserve.give_up() && reserve.is_out());
        assert!(!reserve.give_up(), "there is one, and it is out");
        reserve.take_back();
        assert!(!reserve.is_out());
        assert!(reserve.give_up());
    }
}
