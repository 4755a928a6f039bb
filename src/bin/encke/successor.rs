//! Two processes of this command, one of which takes over from the other.
//!
//! The old one starts the new one with its own arguments and environment, and with one end of a Unix stream as its stdin.
//! Over that goes all the rest (`Server::hand_over`). The new one knows its parent by a variable that names it, so that
//! nobody else's stdin is taken for such a stream.

use crate::arguments::Environment;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};

/// Names the process that a successor takes over from.
const PREDECESSOR: &str = "ENCKE_PREDECESSOR";

/// What a service manager said to the old process alone.
const NOT_FOR_SUCCESSORS: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// With this one a container, and all that runs in it, ends.
const FIRST_PROCESS: u32 = 1;

/// The file to start a successor from, to be asked for at the start: when it is needed, another may lie at its place,
/// which is what a successor is for.
pub fn program() -> Result<OsString, String> {
    match std::env::args_os().next() {
        Some(path) if Path::new(&path).components().count() > 1 => Ok(path),
        _ => std::env::current_exe().map(OsString::from).map_err(|error| format!("cannot find this program's file: {error}")),
    }
}

/// Starts a successor, and gives the stream toward it.
pub fn start(program: &OsString) -> Result<(Child, UnixStream), String> {
    if std::process::id() == FIRST_PROCESS {
        return Err("this is the first process of its container, whose end would be the successor's too".into());
    }
    let start = || {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).env(PREDECESSOR, std::process::id().to_string());
        for variable in NOT_FOR_SUCCESSORS {
            command.env_remove(variable);
        }
        let child = command.stdin(OwnedFd::from(theirs)).spawn()?;
        Ok((child, ours))
    };
    start().map_err(|error: std::io::Error| format!("cannot start {}: {error}", Path::new(program).display()))
}

/// Asks a successor for something.
pub fn signal(successor: &Child, signal: Signal) {
    if let Err(error) = kill_process(Pid::from_child(successor), signal) {
        log::error!("process {} was not told what this one was asked for: {error}", successor.id());
    }
}

/// Ends a successor that did not take over, and says how it ended.
pub fn give_up(mut child: Child) -> String {
    // It fails if it has ended by itself.
    let _ = child.kill();
    child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// The stream toward the process that started this one to take over from it, if one did.
pub fn predecessor(environment: Environment) -> Result<Option<UnixStream>, String> {
    let parent = std::os::unix::process::parent_id().to_string();
    if environment(PREDECESSOR) != Some(parent) {
        return Ok(None);
    }
    let take = || {
        let stream = std::io::stdin().as_fd().try_clone_to_owned()?;
        // Nothing that reads stdin is to read what the predecessor sends.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(UnixStream::from(stream))
    };
    take().map(Some).map_err(|error: std::io::Error| format!("cannot hear the predecessor: {error}"))
}
