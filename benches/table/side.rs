//! One server under measurement, as a child process: the floor, or Encke.
//!
//! Both print where they listen on stderr, public first; both die with this process, or when dropped.

use crate::Outcome;
use crate::answers;
use crate::os;
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
}

/// A running server.
pub struct Side {
    pub kind: Kind,
    pub public: SocketAddr,
    pub private: SocketAddr,
    /// More public addresses, if clients are to take one after the other.
    more: Vec<SocketAddr>,
    /// `None`: somebody else has it.
    child: Option<Child>,
}

impl Side {
    /// Starts a server and waits until it listens.
    pub fn start(kind: Kind) -> Outcome<Side> {
        let mut command = match kind {
            Kind::Floor => {
                let mut command = Command::new(env::current_exe()?);
                command.arg(crate::AS_FLOOR);
                command
            }
            Kind::Encke => {
                let mut command = Command::new(encke());
                command.args(["serve", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--reactors", "1"]);
                command
            }
        };
        os::as_server(&mut command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or("stderr was asked for")?;
        let addresses = addresses(stderr);
        if addresses.is_err() {
            // Nobody owns the child yet.
            let _ = child.kill().and_then(|()| child.wait());
        }
        let (public, private) = addresses?;
        Ok(Side { kind, public, private, more: Vec::new(), child: Some(child) })
    }

    /// Addresses of a server that is somebody else's.
    pub fn of(kind: Kind, doors: Vec<SocketAddr>, private: SocketAddr) -> Side {
        Side { kind, public: doors[0], private, more: doors, child: None }
    }

    /// Where client `number` connects to.
    pub fn door(&self, number: usize) -> SocketAddr {
        if self.more.is_empty() { self.public } else { self.more[number % self.more.len()] }
    }

    /// The server's CPU time so far, once it is at rest.
    pub fn cpu_ns(&self) -> Outcome<u64> {
        os::cpu_ns_at_rest(self.child.as_ref().ok_or("this server is somebody else's")?.id())
    }

    /// Waits until Encke counts `count` subscribers of a channel. The floor counts nobody.
    pub fn wait_for_subscribers(&self, channel: u32, count: usize) -> Outcome<()> {
        if self.kind == Kind::Floor {
            return Ok(());
        }
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            last = self.inspect(channel)?;
            if last.contains(&format!("\"subscribers\":{count},")) || last.contains(&format!("\"subscribers\":{count}}}")) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(format!("waited for {count} subscribers, last answer: {last}").into())
    }

    fn inspect(&self, channel: u32) -> Outcome<String> {
        let mut socket = TcpStream::connect(self.private)?;
        os::reset_on_close(&socket)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(format!("GET /channels/bench{channel} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
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
        let _ = self.child.as_mut().map(|child| child.kill().and_then(|()| child.wait()));
    }
}

/// This build's binary, or another commit's.
pub fn encke() -> String {
    env::var("ENCKE_BENCH_SERVER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_encke").into())
}

/// Reads a server's stderr to its end, so that it never blocks on it; gives back the first address in it and the first other one:
/// public and private, however often they are named.
fn addresses(stderr: impl Read + Send + 'static) -> Outcome<(SocketAddr, SocketAddr)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Nobody listens any more once the addresses are known.
            let _ = sender.send(line);
        }
    });
    let mut said = String::new();
    let mut public = None;
    while let Ok(line) = receiver.recv_timeout(PATIENCE) {
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
