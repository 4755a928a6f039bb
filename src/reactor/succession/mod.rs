//! One process takes over from another, and no client meets a closed door.
//!
//! ```text
//!   the old process                                    the new one, its child
//!   runs ------- its listening sockets ---------------> adopts them, binds what is new
//!        <------ ready --------------------------------
//!   freezes: takes no message, no connection
//!        ------- its channels and their messages -----> keeps them, under the same epochs and offsets;
//!                and who is present                     expects them
//!        <------ serves -------------------------------- accepts
//!   drains: all who are held are told to come back, and go on at the new process by their cursors
//! ```
//! Both processes hold the same open sockets, so what waits in their queues is lost to nobody. Until it has heard that the
//! new process serves, the old one can go on as if nothing had been; after that it can only drain.
//!
//! **What is kept.** Whatever a publisher was told is taken is in the new process, with its id. What reaches the old one after
//! it has frozen is refused (`stopping`), and its publisher, who is told, publishes it anew. Bayeux sessions end, as with any
//! restart: their clients shake hands again.
//!
//! Sockets that a service manager opened are adopted the same way; those are **lent**, and never shut down here.

mod line;
mod predecessor;

use super::clock::Clock;
use crate::base::config::Config;
use crate::base::error::Error;
use crate::base::random::Seed;
use crate::engine::{Bequest, Engine};
pub(super) use line::NOT_INHERITED;
use line::{Line, Record};
use serde::{Deserialize, Serialize};
use socket2::{SockAddr, SockRef};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long either process waits for the next word of the other, once both are up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a listening socket belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// `listen`, `private` or `control`.
    pub(super) option: String,
    /// What the option said when it was bound; nothing if it was lent.
    pub(super) text: String,
    /// Somebody else opened it, and goes on to hold it.
    pub(super) lent: bool,
    /// What tells the control socket's file from any other.
    pub(super) file: Option<FileIdentity>,
}

impl Place {
    /// Where a socket belongs that was bound for what an option says.
    pub(super) fn of(option: &str, text: &str) -> Place {
        Place { option: option.into(), text: text.into(), lent: false, file: None }
    }
}

/// Device, inode, and when it was made: an inode's number is soon used again.
pub(super) type FileIdentity = (u64, u64, i64, i64);

/// A socket that listens already.
#[derive(Debug)]
pub(super) struct Heirloom {
    pub(super) place: Place,
    pub(super) socket: OwnedFd,
}

/// What a server is started with beside its options: sockets that listen already, and a predecessor's channels.
#[derive(Debug, Default)]
pub struct Heritage {
    pub(super) heirlooms: Vec<Heirloom>,
    line: Option<Line>,
}

impl Heritage {
    /// Sockets that somebody else opened and lends, each with the option that it stands for: `listen`, `private` or
    /// `control`. They replace what that option says. Whether they listen is looked at when the server starts.
    pub fn lent(sockets: impl IntoIterator<Item = (String, OwnedFd)>) -> Heritage {
        let heirloom = |(option, socket): (String, OwnedFd)| {
            let place = Place { lent: true, ..Place::of(&option, "") };
            Heirloom { place, socket }
        };
        Heritage { heirlooms: sockets.into_iter().map(heirloom).collect(), line: None }
    }

    /// Has `config` say where sockets listen that were lent, instead of what it said.
    pub fn apply(&self, config: &mut Config) {
        let lent = |option: &str| {
            let of_option = move |place: &Place| place.lent && place.option == option;
            let sockets: Vec<SockRef<'_>> =
                self.heirlooms.iter().filter(|one| of_option(&one.place)).map(|one| SockRef::from(&one.socket)).collect();
            sockets.into_iter().filter_map(|socket| socket.local_addr().ok()).collect::<Vec<SockAddr>>()
        };
        let written = |addresses: Vec<SockAddr>| -> Vec<String> {
            addresses.iter().filter_map(SockAddr::as_socket).map(|address| address.to_string()).collect()
        };
        let (public, private) = (written(lent("listen")), written(lent("private")));
        if !public.is_empty() {
            config.listen = public;
        }
        if !private.is_empty() {
            config.private = private;
        }
        if let Some(path) = lent("control").first().and_then(SockAddr::as_pathname) {
            config.control = path.to_str().map(String::from);
        }
    }

    /// The options that sockets were lent for.
    pub(super) fn lent_options(&self) -> Vec<String> {
        self.heirlooms.iter().filter(|one| one.place.lent).map(|one| one.place.option.clone()).collect()
    }

    /// All that the predecessor at the other end of `line` hands over ([`Server::hand_over`](super::Server::hand_over)).
    pub fn of_predecessor(line: UnixStream) -> Result<Heritage, Error> {
        let mut line = Line::new(line, PATIENCE).map_err(broken)?;
        let mut heirlooms = Vec::new();
        loop {
            match line.next().map_err(broken)? {
                Record::Socket(heirloom) => heirlooms.push(heirloom),
                Record::Ready => return Ok(Heritage { heirlooms, line: Some(line) }),
                _ => return Err(broken(io::ErrorKind::InvalidData.into())),
            }
        }
    }

    /// All is ready but the channels: asks the predecessor for them, if there is one. They come dealt out by home.
    pub(super) fn claim(&mut self, seed: Seed, shards: u16) -> Result<Vec<Vec<Bequest>>, Error> {
        let mut estates: Vec<Vec<Bequest>> = (0..shards).map(|_| Vec::new()).collect();
        let Some(line) = &mut self.line else { return Ok(estates) };
        line.send(&Record::Ready).and_then(|()| line.flush()).map_err(broken)?;
        let mut last: Option<(usize, Bequest)> = None;
        loop {
            match line.next().map_err(broken)? {
                Record::Channel { name, first } => {
                    let home = usize::from(Engine::home_of(seed, shards, &name));
                    let bequest = Bequest { name: name.into(), first, messages: Vec::new(), members: Vec::new() };
                    if let Some((home, bequest)) = last.replace((home, bequest)) {
                        estates[home].push(bequest);
                    }
                }
                Record::Message { age_ms, message } => match &mut last {
                    Some((_, bequest)) => bequest.messages.push((age_ms, message)),
                    None => return Err(broken(io::ErrorKind::InvalidData.into())),
                },
                Record::Member { since_unix_ms, user } => match &mut last {
                    Some((_, bequest)) => bequest.members.push((since_unix_ms, user.into())),
                    None => return Err(broken(io::ErrorKind::InvalidData.into())),
                },
                Record::End => break,
                Record::Socket(_) | Record::Ready | Record::Serves => return Err(broken(io::ErrorKind::InvalidData.into())),
            }
        }
        if let Some((home, bequest)) = last {
            estates[home].push(bequest);
        }
        Ok(estates)
    }

    /// The new server serves: its predecessor, if there is one, may go.
    pub(super) fn serves(mut self) -> Result<(), Error> {
        let Some(line) = &mut self.line else { return Ok(()) };
        line.send(&Record::Serves).and_then(|()| line.flush()).map_err(broken)
    }

    /// Whether there is a predecessor.
    pub(super) fn has_predecessor(&self) -> bool {
        self.line.is_some()
    }
}

fn broken(error: io::Error) -> Error {
    let error = match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    };
    Error::Io("the predecessor hands over no more".into(), error)
}

/// How long what a server inherits may have been kept: its clock shows more than that from the start.
const _: () = assert!(Clock::BEGINS_AT_MS >= crate::base::config::DURATION_MS_MAX);

#[cfg(test)]
mod tests {
    use super::super::server::Server;
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// A predecessor at the other end of a line, which hands over these sockets.
    fn predecessor(heirlooms: Vec<Heirloom>) -> (Line, Heritage) {
        let (near, far) = UnixStream::pair().expect("a pair");
        let mut line = Line::new(near, PATIENCE).expect("a line");
        for heirloom in heirlooms {
            line.send(&Record::Socket(heirloom)).expect("a reader");
        }
        line.send(&Record::Ready).and_then(|()| line.flush()).expect("a reader");
        (line, Heritage::of_predecessor(far).expect("all sockets"))
    }

    #[test]
    fn a_successor_that_fails_leaves_the_control_socket_to_its_predecessor() {
        let path = std::env::temp_dir().join(format!("encke-succession-{}", std::process::id()));
        let socket = UnixListener::bind(&path).expect("a fresh path");
        let file = super::super::listener::identity(&path).expect("its file");
        let text = path.to_str().expect("text");
        let place = Place { file: Some(file), ..Place::of("control", text) };
        let (mut line, heritage) = predecessor(vec![Heirloom { place, socket: socket.try_clone().expect("a copy").into() }]);
        let config = Config {
            listen: vec!["127.0.0.1:0".into()],
            private: vec![],
            control: Some(text.into()),
            reactors: 1,
            demo: String::new(),
            ..Config::default()
        };
        let successor = thread::spawn(move || Server::start_as_heir(config, heritage).map(drop));
        assert!(matches!(line.next(), Ok(Record::Ready)));
        // It thinks better of it.
        drop(line);
        assert!(matches!(successor.join().expect("no panic"), Err(Error::Io(..))));
        let left = std::fs::symlink_metadata(&path).expect("the file is there");
        std::fs::remove_file(&path).expect("a file");
        assert!(left.file_type().is_socket());
    }

    #[test]
    fn a_successor_takes_up_those_who_waited_once_it_has_said_that_it_serves() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        let place = Place::of("listen", &address.to_string());
        let (mut line, heritage) = predecessor(vec![Heirloom { place, socket: socket.try_clone().expect("a copy").into() }]);
        let config =
            Config { listen: vec![address.to_string()], private: vec![], reactors: 2, demo: String::new(), ..Config::default() };
        let mut client = std::net::TcpStream::connect(address).expect("a queue");
        let successor = thread::spawn(move || Server::start_as_heir(config, heritage));
        assert!(matches!(line.next(), Ok(Record::Ready)));
        line.send(&Record::End).and_then(|()| line.flush()).expect("a reader");
        assert!(matches!(line.next(), Ok(Record::Serves)));
        let server = successor.join().expect("no panic").expect("it has begun");
        // Who waited, and who comes now, are let in.
        for client in [&mut client, &mut std::net::TcpStream::connect(address).expect("a queue")] {
            client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("room");
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        server.stop();
    }
}
