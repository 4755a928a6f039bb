//! One server under measurement, as a child process: the floor, Encke, or a peer.
//!
//! The first two print where they listen on stderr, public first; a peer is told. All die with this process, or when dropped.

use crate::{Outcome, answers, dialect, os, peers};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, thread};

/// How long anything may take before the row gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Floor,
    Encke,
    /// nginx with its module nchan.
    Nchan,
    /// On node.
    Faye,
}

impl Kind {
    /// Whether it is one of the others, without which there is still a row.
    pub fn is_peer(self) -> bool {
        matches!(self, Kind::Nchan | Kind::Faye)
    }
}

/// A running server.
pub struct Side {
    pub kind: Kind,
    pub public: SocketAddr,
    pub private: SocketAddr,
    child: Child,
}

impl Side {
    /// Starts a server and waits until it listens. The options are Encke's.
    pub fn start(kind: Kind, options: &[&str]) -> Outcome<Side> {
        let told = peers::free_address()?;
        let mut command = match kind {
            Kind::Floor => {
                let mut command = Command::new(env::current_exe()?);
                command.arg(crate::AS_FLOOR);
                command
            }
            Kind::Encke => {
                let mut command = Command::new(encke());
                command.args(["serve", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--reactors", "1"]).args(options);
                command
            }
            Kind::Nchan | Kind::Faye => peers::command(kind, told)?,
        };
        os::as_server(&mut command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let said = lines(child.stderr.take().ok_or("stderr was asked for")?);
        // From here on the child dies with its owner.
        let mut side = Side { kind, public: told, private: told, child };
        match kind {
            Kind::Floor | Kind::Encke => (side.public, side.private) = two_of(&said)?,
            Kind::Nchan | Kind::Faye => peers::wait_for(told)?,
        }
        Ok(side)
    }

    /// The server's CPU time so far, once it is at rest.
    pub fn cpu_ns(&self) -> Outcome<u64> {
        os::cpu_ns_at_rest(self.child.id())
    }

    /// The memory that belongs to the server alone, and its part of what it shares with others, in bytes.
    pub fn pss_bytes(&self) -> Outcome<u64> {
        os::pss_bytes(self.child.id())
    }

    /// Waits until the server counts `count` subscribers of a channel, if it counts any.
    pub fn wait_for_subscribers(&self, channel: u32, count: usize) -> Outcome<()> {
        let Some(question) = dialect::inspect(self.kind, channel) else { return Ok(()) };
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            last = self.ask(&question)?;
            if last.contains(&format!("\"subscribers\":{count},")) || last.contains(&format!("\"subscribers\":{count}}}")) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(format!("waited for {count} subscribers, last answer: {last}").into())
    }

    fn ask(&self, question: &str) -> Outcome<String> {
        let mut socket = TcpStream::connect(self.private)?;
        os::reset_on_close(&socket)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(question.as_bytes())?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match socket.read(&mut buffer)? {
                0 => return Err("no answer about a channel".into()),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
            if let Some(answer) = answers::first(&bytes)? {
                return Ok(String::from_utf8_lossy(answer.body).replace(' ', ""));
            }
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// This build's binary, or another commit's.
fn encke() -> String {
    env::var("ENCKE_BENCH_SERVER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_encke").into())
}

/// Reads a server's stderr to its end, so that it never blocks on it, and passes on each line.
fn lines(stderr: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Nobody listens any more once the addresses are known.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// The first address in these lines and the first other one: public and private, however often they are named.
fn two_of(lines: &mpsc::Receiver<String>) -> Outcome<(SocketAddr, SocketAddr)> {
    let mut said = String::new();
    let mut public = None;
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        for address in line.split("http://").skip(1).filter_map(address) {
            match public {
                None => public = Some(address),
                Some(public) if public != address => return Ok((public, address)),
                Some(_) => {}
            }
        }
        said += &line;
        said.push('\n');
    }
    Err(format!("the server did not say where it listens; it said: {said:?}").into())
}

fn address(text: &str) -> Option<SocketAddr> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(text.len());
    text[..end].trim_end_matches(['.', ':']).parse().ok()
}
