//! What the standard library does not offer: cores, children that die with us, CPU time of another process, socket
//! options, limits, a descriptor table of one's own. Linux only, and the only `unsafe` of the table besides the counting allocator.

#![allow(unsafe_code)]

use crate::Outcome;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use std::{fs, io, mem, thread};

/// Where the servers run.
pub const SERVER_CORE: usize = 0;
/// Where the clients run.
pub const CLIENT_CORE: usize = 1;

/// Keeps the calling thread, and what it starts from now on, on one core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: a zeroed `cpu_set_t` is the empty set; `CPU_SET` checks the index against its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        set
    };
    // SAFETY: the set is ours and outlives the call; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &set) })
}

/// Makes `command` start on the servers' core, and die when the thread that started it does.
pub fn as_server(command: &mut Command) -> &mut Command {
    let prepare = || {
        // A machine of one core measures too, only worse.
        let _ = pin(SERVER_CORE);
        // SAFETY: takes and keeps no pointer.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
    };
    // SAFETY: between fork and exec `prepare` makes two system calls: no allocation, no lock.
    unsafe { command.pre_exec(prepare) }
}

/// Gives the calling thread a descriptor table of its own: with it the number of sockets it may hold,
/// and no lock shared with other threads.
pub fn own_descriptors() -> io::Result<()> {
    // SAFETY: takes no pointer. What the thread opens from now on it also uses and closes itself.
    check(unsafe { libc::unshare(libc::CLONE_FILES) })
}

/// A number of kilobytes that a file of the system tells under this name, in bytes.
pub fn bytes_of(path: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).ok_or("no such number")?;
    Ok(value.trim().trim_end_matches("kB").trim_end().parse::<u64>()? * 1024)
}

/// As many descriptors as may be had, for this process and the servers it starts.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is ours and is written before the call returns.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the limit is ours and outlives the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })
}

/// Small messages leave at once. Set on a listener, it holds for all that it accepts, without a call for each.
pub fn no_delay(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32)
}

/// Closing resets the connection, so that thousands of closed ones don't keep their ports waiting.
pub fn reset_on_close(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_LINGER, &libc::linger { l_onoff: 1, l_linger: 0 })
}

fn set_option<T>(socket: &impl AsRawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is valid for `len` bytes, and the descriptor is open while `socket` is borrowed.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), len) })
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Nanoseconds that all threads of a process have run, kernel time included, once all of them sleep.
///
/// The kernel counts a thread's time when it leaves the core (and at ticks), so a running one would be read short.
pub fn cpu_ns_at_rest(pid: u32) -> Outcome<u64> {
    let mut last = None;
    for _ in 0..5_000 {
        let seen = cpu_ns(pid)?;
        if seen.is_some() && seen == last {
            return Ok(seen.unwrap_or_default());
        }
        last = seen;
        thread::sleep(Duration::from_millis(1));
    }
    Err("the server does not come to rest".into())
}

/// `None` while one of the threads runs.
fn cpu_ns(pid: u32) -> Outcome<Option<u64>> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let stat = fs::read_to_string(task.join("stat"))?;
        // The name in parentheses may hold anything; the state follows the last of them.
        if stat.rsplit(") ").next().is_none_or(|rest| !rest.starts_with('S')) {
            return Ok(None);
        }
        let times = fs::read_to_string(task.join("schedstat"))?;
        sum += times.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Some(sum))
}

/// The proportional set size of a process, in bytes: its own pages, and its share of those it has in common with others.
pub fn pss_bytes(pid: u32) -> Outcome<u64> {
    bytes_of(&format!("/proc/{pid}/smaps_rollup"), "Pss")
}

/// What the kernel holds in small pieces, sockets among them, in bytes.
pub fn slab_bytes() -> Outcome<u64> {
    bytes_of("/proc/meminfo", "Slab")
}
