//! The service manager, if there is one: the sockets that it passes, and what it is told (`sd_listen_fds`, `sd_notify`).
//!
//! A socket's name (`FileDescriptorName=` of its unit) says which option it stands for: `listen`, `private` or `control`.
//! What is told are lines in datagrams to the socket that `NOTIFY_SOCKET` names. Whoever is not run by a service manager
//! tells nobody.

use crate::arguments::Environment;
use encke::reactor::Heritage;
use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, SockAddr, Socket, Type};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// The sockets that were passed, each for an option.
pub fn sockets(environment: Environment) -> Result<Heritage, String> {
    let names = environment("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        return Ok(Heritage::default());
    }
    let mut sockets: Vec<(String, OwnedFd)> = Vec::new();
    let mut names = names.split(':').map(str::to_owned);
    for at in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let socket = match &*name {
            "listen" | "private" => passed.take_tcp_listener(at).map(|socket| socket.map(OwnedFd::from)),
            "control" => passed.take_unix_listener(at).map(|socket| socket.map(OwnedFd::from)),
            _ => {
                let what = "is none of listen, private, control (write FileDescriptorName=listen in its socket unit)";
                return Err(format!("the name {name:?} of a socket that was passed {what}"));
            }
        };
        let socket = socket.map_err(|error| format!("the socket that was passed for --{name} cannot be used: {error}"))?;
        sockets.extend(socket.map(|socket| (name, socket)));
    }
    Ok(Heritage::lent(sockets))
}

/// How long the manager may take to hear something.
const TELL_MAX: Duration = Duration::from_secs(1);

/// Ends when it is dropped.
pub struct Pulse(#[allow(dead_code, reason = "its drop is what is waited for")] Option<Sender<()>>);

/// Who is told how this process fares.
#[derive(Debug, Default)]
pub struct Manager {
    told: Option<(Socket, SockAddr)>,
    /// It takes this process for dead when it has not heard of it for so long.
    patience: Option<Duration>,
}

impl Manager {
    /// The one that `environment` names.
    pub fn of(environment: Environment) -> Result<Manager, String> {
        let Some(name) = environment("NOTIFY_SOCKET") else { return Ok(Manager::default()) };
        // An abstract name begins with a zero byte, which is written `@`.
        let path = name.strip_prefix('@').map_or_else(|| name.clone(), |rest| format!("\0{rest}"));
        let open = || {
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            // A manager that does not read must not hold up a server; one that is busy is to hear whom to look after.
            socket.set_write_timeout(Some(TELL_MAX))?;
            Ok((socket, SockAddr::unix(&path)?))
        };
        let told = open().map_err(|error: std::io::Error| format!("cannot tell {name} (NOTIFY_SOCKET): {error}"))?;
        let for_us = environment("WATCHDOG_PID").is_none_or(|id| id == std::process::id().to_string());
        let patience = environment("WATCHDOG_USEC").filter(|_| for_us).and_then(|usec| usec.parse().ok());
        let patience = patience.filter(|usec| *usec > 0).map(Duration::from_micros);
        Ok(Manager { told: Some(told), patience })
    }

    /// Has it hear that this process is alive, as often as it wants to, until the pulse is dropped: whatever else this process
    /// does meanwhile. `is_alive` says within a time whether it is.
    pub fn pulse(self: &Arc<Self>, is_alive: impl Fn(Duration) -> bool + Send + 'static) -> Result<Pulse, String> {
        let Some(every) = self.patience.map(|patience| patience / 2) else { return Ok(Pulse(None)) };
        let (until, ended) = channel();
        let manager = self.clone();
        let beat = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                if is_alive(every) {
                    manager.tell("WATCHDOG=1");
                }
            }
        };
        let thread = thread::Builder::new().name("manager".into()).spawn(beat);
        thread.map_err(|error| format!("the service manager has no thread: {error}"))?;
        Ok(Pulse(Some(until)))
    }

    /// It serves.
    pub fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// It reads its options anew; [`Manager::ready`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS=reading options"));
    }

    /// Another process is the service from now on.
    pub fn succeeded_by(&self, id: u32) {
        self.tell(&format!("MAINPID={id}\nSTATUS=process {id} has taken over"));
    }

    /// It sees everybody off.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    fn tell(&self, lines: &str) {
        let Some((socket, address)) = &self.told else { return };
        if let Err(error) = socket.send_to(lines.as_bytes(), address) {
            log::warn!(error:%; "the service manager was not told: {}", lines.replace('\n', ", "));
        }
    }
}
