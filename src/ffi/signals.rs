//! Keeps the host's signals off our threads: a handler of the host must not run on a thread that its interpreter
//! does not know. Threads inherit the mask of the one that makes them, so it is set while they are made.

use std::mem::MaybeUninit;
use std::ptr;

/// Signals that a thread raises by what it does itself: a host's crash reporter may want them.
const OWN_FAULTS: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Runs `make`, which makes threads: they take none of the process's signals.
pub(super) fn kept_off<T>(make: impl FnOnce() -> T) -> T {
    let _restored = Blocked::all();
    make()
}

/// What this thread's mask was, to be restored on drop.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> Blocked {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: each set is written before it is read, and all are this function's own.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in OWN_FAULTS {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            Blocked(before.assume_init())
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the mask is one that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}
