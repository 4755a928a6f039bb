//! Descriptor tables: one for all threads, or one for each reactor (`--descriptor-tables private`, Linux alone).
//!
//! With tables of their own, reactors share no lock when they accept, send and close, and each of them may have as many
//! descriptors as all together had before. But a number stands for a descriptor within one table alone, so:
//! - Whatever a server needs is opened first, in the table that all threads begin with. A reactor's thread then **parts**: it
//!   takes a copy of that table and closes in it what is not its own. That leaves its poll, its listeners and its landing; and
//!   under the same numbers in each table what threads reach each other by: wakers, hatches, the bell of a host program,
//!   and stdin to stderr.
//! - When all have parted, the first table still holds what is theirs. It is closed there, or else a listener that its reactor
//!   closes would go on listening.
//! - `Shared` is made before, and let go of last by whoever joined the reactors: in the first table.
//! - A socket goes from one table to another by a `ferry`, and in no other way.
//! - A handler of signals writes to a descriptor by its number. A thread that parts takes no signals any more.
//! - A thread has the table of the thread that starts it. Reactors start none; the access log, the hook and all others have the
//!   first table.

use rustix::thread::Pid;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The private tables of a server, known by their threads.
#[derive(Debug, Default)]
pub(super) struct Tables {
    threads: Mutex<Vec<Pid>>,
}

/// What a reactor has in its own table. In the first, its numbers stand for descriptors that nobody has any more.
#[derive(Debug)]
pub(super) struct Parted {
    own: Vec<RawFd>,
}

impl Tables {
    /// Gives the calling thread a table that holds its `own` and what is `common` to all, and nothing else. From here on this
    /// thread is to use no descriptor that was opened elsewhere, and no other thread one of its own.
    pub(super) fn part(&self, own: Vec<RawFd>, common: impl Iterator<Item = RawFd>) -> io::Result<Parted> {
        const STDIO: [RawFd; 3] = [0, 1, 2];
        let mut kept: Vec<RawFd> = own.iter().copied().chain(common).chain(STDIO).collect();
        kept.sort_unstable();
        kept.dedup();
        let thread = system::leave(&kept)?;
        self.threads().push(thread);
        Ok(Parted { own })
    }

    /// How many private ones there are.
    pub(super) fn count(&self) -> usize {
        self.threads().len()
    }

    /// How many descriptors are open in all tables, where the system tells.
    ///
    /// Linux says since version 6.2 how many there are as the size of their folder; before that it says 0.
    pub(super) fn open_descriptors(&self) -> Option<u64> {
        let open = |folder: &str| fs::metadata(folder).ok().map(|folder| folder.len()).filter(|count| *count > 0);
        // A reactor that has ended has none.
        let of = |thread: &Pid| open(&format!("/proc/self/task/{}/fd", thread.as_raw_nonzero())).unwrap_or(0);
        let private: u64 = self.threads().iter().map(of).sum();
        // This is the table of the thread that the process began with.
        open("/proc/self/fd").map(|first| first + private)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Pid>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parted {
    /// Closes them in the table that the reactor began with, which has to be the calling thread's.
    pub(super) fn close(self) {
        system::close(self.own);
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod system {
    use super::{Pid, RawFd, io};
    use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};
    use std::mem::MaybeUninit;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::ptr;

    /// Signals that a thread raises by what it does itself.
    const OWN_FAULTS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

    /// Parts the calling thread, and closes all but `kept`, which is sorted. Says who it is.
    pub(super) fn leave(kept: &[RawFd]) -> io::Result<Pid> {
        // Nobody can have this one: it asks whether the system knows the call, before anything has changed.
        close_range(u32::MAX, u32::MAX)?;
        take_no_signals();
        // SAFETY: the descriptors that this thread goes on to use are all in `kept`, which is so copied to its table; the
        // module's opening says how that is seen to.
        unsafe { unshare_unsafe(UnshareFlags::FILES) }?;
        let mut next = 0;
        for kept in kept.iter().filter_map(|kept| u32::try_from(*kept).ok()) {
            if next < kept {
                close_range(next, kept - 1)?;
            }
            next = kept + 1;
        }
        close_range(next, u32::MAX)?;
        Ok(gettid())
    }

    fn close_range(first: u32, last: u32) -> io::Result<()> {
        // SAFETY: it takes no pointer. What it closes are this thread's copies, which nothing owns.
        match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn take_no_signals() {
        let mut all = MaybeUninit::uninit();
        // SAFETY: the set is written before it is read, and is this function's own.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in OWN_FAULTS {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut());
        }
    }

    pub(super) fn close(numbers: Vec<RawFd>) {
        for number in numbers {
            // SAFETY: whoever owned it has parted, and owns its copy instead: in this table it is nobody's.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Pid, RawFd, io};

    pub(super) fn leave(_kept: &[RawFd]) -> io::Result<Pid> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn close(_numbers: Vec<RawFd>) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn who_parts_has_its_own_and_what_is_common_and_the_rest_is_closed_there() {
        let tables = Tables::default();
        let (own, mut own_peer) = UnixStream::pair().expect("a pair");
        let (common, mut common_peer) = UnixStream::pair().expect("a pair");
        let (foreign, _foreign_peer) = UnixStream::pair().expect("a pair");
        let foreign = foreign.as_raw_fd();
        let parted = thread::scope(|scope| {
            let body = || {
                let mut own = own;
                let parted = tables.part(vec![own.as_raw_fd()], [common.as_raw_fd()].into_iter()).expect("a table");
                assert!(fs::metadata(format!("/proc/thread-self/fd/{foreign}")).is_err());
                (&common).write_all(b"common").expect("it is here");
                own.write_all(b"own").expect("it is here");
                // What is opened here is found nowhere else, and is counted.
                let before = tables.open_descriptors();
                let _more: Vec<_> = (0..100).map(|_| UnixStream::pair().expect("a pair")).collect();
                let more = tables.open_descriptors();
                assert!(before.zip(more).is_none_or(|(before, more)| more >= before + 100), "{before:?} {more:?}");
                parted
            };
            scope.spawn(body).join().expect("no panic")
        });
        assert_eq!(tables.count(), 1);
        parted.close();
        let mut text = String::new();
        own_peer.read_to_string(&mut text).expect("no copy is left to keep it open");
        assert_eq!(text, "own");
        common_peer.read_exact(&mut [0; 6]).expect("it is still here");
        drop(common);
    }
}
