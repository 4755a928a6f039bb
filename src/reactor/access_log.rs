//! The access log's file: a thread that writes a line of JSON for each finished request.
//!
//! ```text
//! {"time":"2026-11-21T17:00:00.123Z","address":"127.0.0.1:5123","user":"ann","method":"GET","path":"/sub/a?token=***",
//!  "transport":"sse","status":200,"bytes":512,"ms":61000,"code":"forbidden"}
//! {"time":"2026-11-21T17:00:01.000Z","lost":17}
//! ```
//! Each on one line. A field that has nothing to tell is left out: no address came through the file system, nobody knows the
//! user who shows nothing, what was no request has neither method nor path, and only refusals have a code. `lost` counts
//! finished requests that found no room to wait in, because the file takes them too slowly, or not at all.
//!
//! A reactor never waits for this thread, and neither does the end of a server for long. Lines are written whole, in one call
//! for all that wait, so that two processes may write one file while one of them takes over. A file that is full is tried
//! again with each further line.

use crate::base::error::Error;
use crate::base::time::timestamp;
use crate::engine::{Finished, LogFeed, LogPort, access_log};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write, stdout};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Stands for stdout.
const STDOUT: &str = "-";

/// Lines that are written together. Behind them it is looked whether the file is to be opened anew, however many wait.
const BATCH_MAX: usize = 1_024;

/// What waits for a file that takes nothing; further lines are lost.
const UNWRITTEN_BYTES_MAX: usize = 1 << 20;

/// How long the end of a server waits for a file that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// A log that is being written. Dropped, it ends once every port is gone and all that waits is written.
#[derive(Debug)]
pub(super) struct AccessLog {
    port: Option<LogPort>,
    reopens: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Told, by the drop of its other end, that all is written.
    ended: Receiver<()>,
}

impl AccessLog {
    /// Writes to the file at `path`, behind what is there; a file that cannot be opened is the operator's to know.
    pub(super) fn start(path: &str) -> Result<AccessLog, Error> {
        let failed = |what: &str| format!("--access-log: {path} {what}");
        let file = open(path).map_err(|error| Error::Io(failed("cannot be written"), error))?;
        let (port, feed) = access_log();
        let reopens = Arc::new(AtomicBool::new(false));
        let mut writer = Writer::new(path, file, reopens.clone(), feed);
        let (end, ended) = bounded::<()>(0);
        let body = move || {
            let _end = end;
            writer.run();
        };
        let thread = thread::Builder::new().name("encke-log".into()).spawn(body);
        let thread = thread.map_err(|error| Error::Io(failed("has no thread"), error))?;
        Ok(AccessLog { port: Some(port), reopens, thread: Some(thread), ended })
    }

    /// Where one reactor's requests go in.
    pub(super) fn port(&self) -> LogPort {
        self.port.clone().expect("it lasts as long as the log")
    }

    /// The next line begins a file of this name anew, should another have its place by then.
    pub(super) fn reopen(&self) {
        self.reopens.store(true, Ordering::Release);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.port = None;
        if self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // A pipe that nobody reads would hold up the end for ever. The thread has nothing else to do.
            return log::error!("the access log takes nothing: what waits for it is lost");
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the access log's thread panicked");
        }
    }
}

/// Others on this machine need not know who asked for what.
fn open(path: &str) -> io::Result<Box<dyn Write + Send>> {
    if path == STDOUT {
        return Ok(Box::new(stdout()));
    }
    Ok(Box::new(OpenOptions::new().create(true).append(true).mode(0o640).open(path)?))
}

struct Writer {
    path: String,
    file: Box<dyn Write + Send>,
    reopens: Arc<AtomicBool>,
    feed: LogFeed,
    /// Lines that the file has yet to take; of the first one it may have taken a part.
    unwritten: Vec<u8>,
    /// Whether it has.
    torn: bool,
    /// Lines that are yet to be told as lost.
    lost: u64,
    /// A file that takes nothing is complained about once, until it takes something again.
    complained: bool,
}

impl Writer {
    fn new(path: &str, file: Box<dyn Write + Send>, reopens: Arc<AtomicBool>, feed: LogFeed) -> Writer {
        Writer { path: path.into(), file, reopens, feed, unwritten: Vec::new(), torn: false, lost: 0, complained: false }
    }

    fn run(&mut self) {
        while let Some(first) = self.feed.wait() {
            if self.reopens.swap(false, Ordering::AcqRel) {
                self.open_anew();
            }
            self.lost += self.feed.take_lost();
            self.note(&first);
            for _ in 1..BATCH_MAX {
                let Some(finished) = self.feed.next() else { break };
                self.note(&finished);
            }
            self.write();
        }
        let left = self.unwritten.iter().filter(|byte| **byte == b'\n').count();
        if left > 0 {
            log::error!("the access log {} ends without its last {left} lines", self.path);
        }
    }

    /// Adds a line to those that are to be written, if there is room: behind how many had none before.
    fn note(&mut self, finished: &Finished) {
        if self.unwritten.len() >= UNWRITTEN_BYTES_MAX {
            self.lost += 1;
            return;
        }
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let time = timestamp(super::clock::unix_ms());
            self.unwritten.extend_from_slice(&json(&Lost { time, lost }));
        }
        self.unwritten.extend_from_slice(&line(finished));
    }

    /// Writes what the file takes; the rest waits for the next line.
    fn write(&mut self) {
        match self.write_on() {
            Ok(()) => self.complained = false,
            Err(error) if !std::mem::replace(&mut self.complained, true) => {
                log::error!("the access log {} takes no more: {error}", self.path);
            }
            Err(_) => {}
        }
    }

    fn write_on(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            match self.file.write(&self.unwritten) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = self.unwritten.drain(..count).next_back() != Some(b'\n');
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.file.flush()
    }

    fn open_anew(&mut self) {
        match open(&self.path) {
            Ok(file) => self.file = file,
            Err(error) => return log::error!("the access log {} goes on in its old file: {error}", self.path),
        }
        if std::mem::take(&mut self.torn) {
            // Half a line is none, in either file.
            let end = self.unwritten.iter().position(|byte| *byte == b'\n').map_or(self.unwritten.len(), |last| last + 1);
            self.unwritten.drain(..end);
            self.lost += 1;
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    transport: &'a str,
    status: u16,
    bytes: u64,
    ms: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    code: &'a str,
}

#[derive(Serialize)]
struct Lost {
    time: String,
    lost: u64,
}

fn line(finished: &Finished) -> Vec<u8> {
    let Finished { unix_ms, address, user, method, path, transport, status, bytes, ms, code } = finished;
    let (time, address, user) = (timestamp(*unix_ms), address.map(|address| address.to_string()), user.as_deref());
    json(&Line { time, address, user, method, path, transport, status: *status, bytes: *bytes, ms: *ms, code })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("texts and numbers make JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_line_tells_what_there_is_to_tell() {
        let bare =
            Finished { unix_ms: 1_700_000_000_123, status: 400, bytes: 9, ms: 7, code: "bad_request", ..Finished::default() };
        let told = |finished: &Finished| String::from_utf8(line(finished)).expect("text");
        let expected = "{\"time\":\"2023-11-14T22:13:20.123Z\",\"status\":400,\"bytes\":9,\"ms\":7,\"code\":\"bad_request\"}\n";
        assert_eq!(told(&bare), expected);
        let address = "[::1]:80".parse().ok();
        let user = Some("a\"\n\u{7f}".into());
        let full = Finished { address, user, method: "GET", path: "/sub/a\"\n".into(), transport: "sse", code: "", ..bare };
        let expected = "{\"time\":\"2023-11-14T22:13:20.123Z\",\"address\":\"[::1]:80\",\"user\":\"a\\\"\\n\u{7f}\",\"method\":\"GET\",\
                        \"path\":\"/sub/a\\\"\\n\",\"transport\":\"sse\",\"status\":400,\"bytes\":9,\"ms\":7}\n";
        assert_eq!(told(&full), expected);
    }

    /// A file that takes so many bytes, and then none until it is given more room. What it took is told by its other half.
    struct Disk {
        room: Arc<AtomicUsize>,
        taken: Arc<Mutex<Vec<u8>>>,
        /// Raised when it is written to.
        reopens: Arc<AtomicBool>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.reopens.store(true, Ordering::Release);
            let count = bytes.len().min(self.room.load(Ordering::Acquire));
            if count == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room.fetch_sub(count, Ordering::AcqRel);
            self.taken.lock().expect("whole").extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// How many lines of a log tell of requests, and how many those tell of that were lost. Panics at half a line.
    fn count(log: &[u8]) -> (u64, u64) {
        let lines = std::str::from_utf8(log).expect("text").lines();
        lines.fold((0, 0), |(told, lost), line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
            (told + u64::from(line["lost"].is_null()), lost + line["lost"].as_u64().unwrap_or(0))
        })
    }

    fn finished() -> Finished {
        Finished { path: "/sub/a".repeat(100).into(), ..Finished::default() }
    }

    #[test]
    fn a_full_disk_loses_what_finds_no_room_and_every_line_is_told_or_counted() {
        let (room, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let disk = Disk { room: room.clone(), taken: taken.clone(), reopens: Arc::default() };
        let (_port, feed) = access_log();
        let mut writer = Writer::new("disk", Box::new(disk), Arc::default(), feed);
        let mut noted = 0;
        for more in [1_000, 7, 0, 300_000, 1, 10 << 20] {
            for _ in 0..1_500 {
                writer.note(&finished());
            }
            noted += 1_500;
            room.fetch_add(more, Ordering::AcqRel);
            writer.write();
            assert!(writer.unwritten.len() < UNWRITTEN_BYTES_MAX + 1_024);
        }
        assert!(writer.unwritten.is_empty() && !writer.torn && !writer.complained);
        writer.note(&finished());
        writer.write();
        let (told, lost) = count(&taken.lock().expect("whole"));
        assert!(lost > 0 && told + lost == noted + 1, "{told} told and {lost} lost of {noted}");
    }

    #[test]
    fn a_file_is_opened_anew_however_many_lines_wait_and_half_a_line_stays_behind() {
        let path = std::env::temp_dir().join(format!("encke-access-{}", std::process::id()));
        let name = path.to_str().expect("text");
        let whole = line(&finished()).len();
        // The first batch fits but for half of its last line.
        let room = Arc::new(AtomicUsize::new(whole * BATCH_MAX - whole / 2));
        let (reopens, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let disk = Disk { room, taken: taken.clone(), reopens: reopens.clone() };
        let (port, feed) = access_log();
        (0..BATCH_MAX * 3).for_each(|_| port.put(finished()));
        drop(port);
        Writer::new(name, Box::new(disk), reopens, feed).run();
        let behind = std::fs::read(&path).expect("a new file");
        std::fs::remove_file(&path).expect("a file");
        let before = taken.lock().expect("whole");
        let before = &before[..before.iter().rposition(|byte| *byte == b'\n').expect("lines") + 1];
        assert_eq!(count(before), (BATCH_MAX as u64 - 1, 0));
        assert_eq!(count(&behind), (BATCH_MAX as u64 * 2, 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_that_nobody_reads_does_not_hold_up_the_end() {
        let (_read, write) = io::pipe().expect("a pipe");
        let log = AccessLog::start(&format!("/proc/self/fd/{}", write.as_raw_fd())).expect("it can be opened");
        let port = log.port();
        (0..2_000).for_each(|_| port.put(finished()));
        drop(port);
        drop(log);
    }

    #[test]
    fn a_new_log_is_not_for_everybody_to_read() {
        let path = std::env::temp_dir().join(format!("encke-access-mode-{}", std::process::id()));
        drop(AccessLog::start(path.to_str().expect("text")).expect("a file"));
        let rights = std::fs::metadata(&path).expect("a file").permissions().mode();
        std::fs::remove_file(&path).expect("a file");
        assert_eq!(rights & 0o007, 0, "{rights:o}");
    }
}
