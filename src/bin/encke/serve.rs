//! `encke serve`: starts a server, says what it listens on and who may publish there, and does what signals ask for.

use crate::arguments::Serve;
use crate::audience;
use crate::demo::Workshop;
use crate::environment;
use crate::hook::Hook;
use crate::log::START;
use crate::manager::{self, Manager};
use crate::signals::{Ask, SIGHUP, SIGUSR2, Watch};
use crate::sources::Sources;
use crate::successor;
use encke::reactor::{Addresses, Heritage};
use encke::{Config, Error, Server};
use rustix::process::Signal;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

/// How often a server that stops says how many connections are left.
const LOOK: Duration = Duration::from_secs(1);

/// How long a successor may take to get ready.
const SUCCESSOR_LIMIT: Duration = Duration::from_secs(60);

/// Runs a server until a signal asks for its end, or another process has taken over.
pub fn run(options: Serve) -> Result<(), String> {
    crate::log::start(options.log_level);
    let watch = Watch::start(&[SIGHUP, SIGUSR2])?;
    let program = successor::program();
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => log::info!(limit; "descriptors"),
        Err(error) => log::warn!(error:%; "the limit of descriptors could not be raised"),
    }
    let manager = Arc::new(Manager::of(&environment)?);
    let heritage = match successor::predecessor(&environment)? {
        Some(line) => Heritage::of_predecessor(line).map_err(|error| error.to_string())?,
        None => manager::sockets(&environment)?,
    };
    let mut config = options.config;
    heritage.apply(&mut config);
    let shows_demos = config.shows_demos();
    let strangers = Strangers::of(&config);
    let mut server = start(config, heritage).map_err(|error| error.to_string())?;
    let mut lines = first_lines(server.addresses(), &strangers);
    if shows_demos {
        let demos =
            server.addresses().public.iter().map(|address| format!("demonstrations at http://{}/demo", reachable(*address)));
        lines.extend(demos);
    }
    for line in lines {
        log::info!(target: START, "{line}");
    }
    manager.ready();
    // Alive is what turns: every reactor, not only this thread.
    let publisher = server.publisher();
    let pulse = manager.pulse(move |limit| publisher.flush(limit).is_ok())?;
    let asker = watch.asker();
    let give_up = move || {
        // If nobody listens any more, it was asked to end before it did.
        let _ = asker.send(Ask::GiveUp);
    };
    server.when_ended(give_up).map_err(|error| format!("nobody can wait for the server's end: {error}"))?;
    loop {
        match watch.wait() {
            Ask::Stop => {
                manager.stopping();
                break;
            }
            Ask::Reload => {
                manager.reloading();
                reload(&server, &options.sources);
                manager.ready();
            }
            Ask::Succeed => {
                if let Some(child) = succeed(&mut server, &program) {
                    manager.succeeded_by(child.id());
                    pass_on(&watch, &child);
                    break;
                }
            }
            Ask::GiveUp => return Err("the server has failed".into()),
        }
    }
    // Whoever takes over speaks for itself.
    drop(pulse);
    log::info!(target: START, "stopping");
    drain(server);
    Ok(())
}

/// Hands over to a process that is started for it, and returns that. If it fails, all goes on as before.
fn succeed(server: &mut Server, program: &Result<OsString, String>) -> Option<Child> {
    let (child, line) = match program.as_ref().map_err(String::clone).and_then(successor::start) {
        Ok(started) => started,
        Err(why) => {
            log::error!("no successor: {why}");
            return None;
        }
    };
    let id = child.id();
    log::info!(target: START, "starting process {id} to take over");
    if let Err(why) = server.hand_over(line, SUCCESSOR_LIMIT) {
        let status = successor::give_up(child);
        log::error!("process {id} did not take over ({status}), this one goes on: {why}");
        return None;
    }
    log::info!(target: START, "process {id} has taken over");
    Some(child)
}

/// What was asked of this process while its successor began is meant for that one. Another successor it need not be.
fn pass_on(watch: &Watch, successor: &Child) {
    while let Some(ask) = watch.next(Duration::ZERO) {
        match ask {
            Ask::Stop => successor::signal(successor, Signal::TERM),
            Ask::Reload => successor::signal(successor, Signal::HUP),
            Ask::Succeed | Ask::GiveUp => {}
        }
    }
}

/// A server, with the jobs behind its demonstrations if it has any, and with whoever asks an application if that decides.
fn start(config: Config, heritage: Heritage) -> Result<Server, Error> {
    if !config.shows_demos() && config.judge_url.is_empty() {
        return Server::start_as_heir(config, heritage);
    }
    let (server, events) = Server::start_demo_as_heir(config.clone(), heritage)?;
    let hook = Hook::start(&config, server.judge())?;
    audience::start(Workshop::new(server.publisher()), hook, events)?;
    Ok(server)
}

/// Reads the options anew, and goes on with them or, if there is a fault, as before.
fn reload(server: &Server, sources: &Sources) {
    // Whatever becomes of the options: whoever moved the log away waits for that.
    server.reopen_access_log();
    let outcome = sources.read(&environment).and_then(|config| server.reload(config).map_err(|error| error.to_string()));
    match outcome {
        Ok(kept) => {
            for opt in kept {
                log::warn!("--{} has changed, and stays as it was until a restart", opt.name());
            }
            log::info!(target: START, "options reloaded");
        }
        Err(faults) => {
            for fault in faults.lines() {
                log::error!("{fault}");
            }
            log::error!("options not reloaded: all stays as it was");
        }
    }
}

/// Sees everybody off, and says once in a while how many are left.
fn drain(mut server: Server) {
    server.drain();
    while !server.has_ended_within(LOOK) {
        log::info!(target: START, "{} connections left", server.publisher().stats().connections);
    }
}

/// Who publishes where others can connect.
enum Strangers {
    /// Anybody, to these channels.
    Publish(String),
    /// Whoever shows something that is good.
    NeedProof,
    /// Nobody.
    Refused,
}

impl Strangers {
    fn of(config: &Config) -> Strangers {
        match (config.anonymous_publish.is_empty(), config.token_keys.is_some() || config.api_keys.is_some()) {
            (false, _) => Strangers::Publish(config.anonymous_publish.clone()),
            (true, true) => Strangers::NeedProof,
            (true, false) => Strangers::Refused,
        }
    }
}

/// What an operator should know first: where it listens, and who may publish.
fn first_lines(addresses: &Addresses, strangers: &Strangers) -> Vec<String> {
    let mut lines = Vec::new();
    for address in &addresses.public {
        lines.push(format!("subscribe at http://{address}, start page http://{}/", reachable(*address)));
        lines.push(match address.ip().is_loopback() {
            true => format!("anyone on this machine may publish at http://{address} too, because it is bound to loopback"),
            false => match strangers {
                Strangers::Publish(channels) => format!("anyone who can reach http://{address} may publish there to {channels}"),
                Strangers::NeedProof => format!("publishing at http://{address} needs a token or a key"),
                Strangers::Refused => format!("publishing is refused at http://{address}, because others can reach it"),
            },
        });
    }
    for address in &addresses.private {
        lines.push(format!("publish at http://{address}"));
        if !address.ip().is_loopback() {
            lines.push(format!("whoever can reach http://{address} may publish there: keep strangers away from it"));
        }
    }
    lines.extend(addresses.control.iter().map(|path| format!("publish at unix:{}", path.display())));
    lines
}

/// An address to type into a browser on this machine: where all addresses are listened on, loopback is one.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(public: &str, private: &[&str]) -> Vec<String> {
        lines_of(&Config::default(), public, private)
    }

    fn lines_of(config: &Config, public: &str, private: &[&str]) -> Vec<String> {
        let private = private.iter().map(|address| address.parse().unwrap()).collect();
        let control = Some("/run/encke.sock".into());
        first_lines(&Addresses { public: vec![public.parse().unwrap()], private, control }, &Strangers::of(config))
    }

    #[test]
    fn the_first_lines_say_honestly_who_may_publish() {
        let expected = [
            "subscribe at http://127.0.0.1:8080, start page http://127.0.0.1:8080/",
            "anyone on this machine may publish at http://127.0.0.1:8080 too, because it is bound to loopback",
            "publish at http://[::1]:8081",
            "publish at unix:/run/encke.sock",
        ];
        assert_eq!(lines("127.0.0.1:8080", &["[::1]:8081"]), expected);
        let expected = [
            "subscribe at http://0.0.0.0:80, start page http://127.0.0.1:80/",
            "publishing is refused at http://0.0.0.0:80, because others can reach it",
            "publish at http://10.0.0.1:8081",
            "whoever can reach http://10.0.0.1:8081 may publish there: keep strangers away from it",
            "publish at unix:/run/encke.sock",
        ];
        assert_eq!(lines("0.0.0.0:80", &["10.0.0.1:8081"]), expected);
    }

    #[test]
    fn what_strangers_may_publish_is_said_where_they_can_come_from() {
        let open = Config { anonymous_publish: "/chat/*".into(), ..Config::default() };
        let keyed = Config { api_keys: Some("/etc/encke/keys".into()), ..Config::default() };
        assert_eq!(lines_of(&open, "0.0.0.0:80", &[])[1], "anyone who can reach http://0.0.0.0:80 may publish there to /chat/*");
        assert_eq!(lines_of(&keyed, "0.0.0.0:80", &[])[1], "publishing at http://0.0.0.0:80 needs a token or a key");
        assert_eq!(lines_of(&keyed, "127.0.0.1:80", &[]), lines("127.0.0.1:80", &[]));
    }
}
