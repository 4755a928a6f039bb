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
            // A manager that does not read must not hold up a server.
            socket.set_nonblocking(true)?;
            Ok((socket, SockAddr::unix(&path)?))
        };
        let told = open().map_err(|error: std::io::Error| format!("cannot tell {name} (NOTIFY_SOCKET): {error}"))?;
        let for_us = environment("WATCHDOG_PID").is_none_or(|id| id == std::process::id().to_string());
        let patience = environment("WATCHDOG_USEC").filter(|_| for_us).and_then(|usec| usec.parse().ok());
        let patience = patience.filter(|usec| *usec > 0).map(Duration::from_micros);
        Ok(Manager { told: Some(told), patience })
    }

    /// How often it wants to hear that this process is alive, if it does.
    pub fn wants_to_hear_every(&self) -> Option<Duration> {
        self.patience.map(|patience| patience / 2)
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

    /// It is alive.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, lines: &str) {
        let Some((socket, address)) = &self.told else { return };
        if let Err(error) = socket.send_to(lines.as_bytes(), address) {
            log::warn!(error:%; "the service manager was not told: {}", lines.replace('\n', ", "));
        }
    }
}
