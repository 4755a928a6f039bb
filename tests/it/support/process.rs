//! The binary: as a server that runs beside the tests, and as a command that ends by itself.

use super::{DEADLINE, eventually};
use crossbeam_channel::{Receiver, unbounded};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// The binary with `arguments`, free of options in the environment.
pub fn encke(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encke"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ENCKE_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs it to its end with `input` on stdin.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that does not read its input may have ended already.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("an end")
}

/// What it printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it said on stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command under way, whose lines on stdout can be waited for. Killed on drop.
pub struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
        let (out, err) = (lines(child.stdout.take()), lines(child.stderr.take()));
        Running { child, out, err }
    }

    /// One that finds these as its stdin and stdout.
    pub fn with_sockets(mut command: Command, stdin: OwnedFd, stdout: OwnedFd) -> Running {
        let mut child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().expect("the binary");
        let err = lines(child.stderr.take());
        Running { child, out: unbounded().1, err }
    }

    /// Writes to its stdin.
    pub fn write(&mut self, text: &str) {
        self.child.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("a reader");
    }

    /// Ends its stdin.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// The next line on stdout.
    pub fn line(&self) -> String {
        self.out.recv_timeout(DEADLINE).expect("a line on stdout")
    }

    /// The next line on stderr that holds `text`.
    pub fn said(&self, text: &str) -> String {
        loop {
            let line = self.err.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("nothing on stderr has {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        assert!(signal(self.id(), name), "SIG{name} could not be sent");
    }

    /// Waits until nobody has its stderr any more, which those that it started inherit.
    pub fn silent(&self) {
        let until = std::time::Instant::now() + DEADLINE;
        while let Ok(line) = self.err.recv_timeout(DEADLINE) {
            assert!(std::time::Instant::now() < until, "still there: {line}");
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", || self.child.try_wait().expect("a child"))
    }
}

/// Sends a signal by its name; `false` if there is no such process.
pub fn signal(id: u32, name: &str) -> bool {
    let quiet = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\" 2>/dev/null", name, &id.to_string()]).status();
    quiet.is_ok_and(|status| status.success())
}

/// A process that another one started, known by its id alone. Killed on drop.
pub struct Stranger(pub u32);

impl Drop for Stranger {
    fn drop(&mut self) {
        signal(self.0, "KILL");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: Option<impl std::io::Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = unbounded();
    let pipe = BufReader::new(pipe.expect("a pipe"));
    // Ends with the process.
    std::thread::spawn(move || pipe.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    receiver
}

/// The binary as a server on free ports.
pub struct ServerProcess {
    pub process: Running,
    pub public: SocketAddr,
    pub private: SocketAddr,
}

impl ServerProcess {
    /// One with these options beside its addresses.
    pub fn start(options: &[&str]) -> ServerProcess {
        let mut command = encke(&["serve", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"]);
        command.args(options);
        ServerProcess::of(command)
    }

    /// What `command` starts; it must listen at both kinds of address.
    pub fn of(command: Command) -> ServerProcess {
        let process = Running::start(command);
        let public = address(&process.said("subscribe at http://"), "subscribe at http://");
        let private = address(&process.said("msg=\"publish at http://"), "publish at http://");
        ServerProcess { process, public, private }
    }

    /// The bytes of memory that its process has to itself.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.process.id())
    }

    /// How many descriptors its process has open.
    pub fn descriptors(&self) -> usize {
        descriptors(self.process.id())
    }

    /// How long its process has been on the cores, of users and of the system; in ticks of 10 ms.
    pub fn time_on_cores(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("the process runs");
        // The fields behind the name, which may hold anything; the times are the 14th and 15th of all.
        let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks: u64 = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("numbers")).sum();
        Duration::from_millis(10 * ticks)
    }
}

/// The bytes of memory that a process has to itself.
pub fn resident_bytes(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/statm")).expect("the process runs");
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("numbers");
    pages * 4096
}

/// How many descriptors a process has open.
pub fn descriptors(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/fd")).expect("the process runs").count()
}

fn address(line: &str, before: &str) -> SocketAddr {
    let rest = line.split_once(before).map_or("", |(_, rest)| rest);
    let end = rest.find([',', '"']).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
}
