//! The access log's file: a thread that writes a line of JSON for each finished request.
//!
//! ```text
//! {"time":"2026-11-21T17:00:00.123Z","address":"127.0.0.1:5123","method":"GET","path":"/sub/a?token=***",
//!  "transport":"sse","status":200,"bytes":512,"ms":61000,"code":"forbidden"}
//! {"time":"2026-11-21T17:00:01.000Z","lost":17}
//! ```
//! Each on one line. A field that has nothing to tell is left out: no address came through the file system, what was no request
//! has neither method nor path, and only refusals have a code. `lost` counts finished requests that found no room to wait in,
//! because the file takes them too slowly, or not at all.
//!
//! A reactor never waits for this thread. Lines are flushed as soon as no more wait.

use crate::base::error::Error;
use crate::base::time::timestamp;
use crate::engine::{Finished, LogFeed, LogPort, access_log};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Stands for stdout.
const STDOUT: &str = "-";

/// A log that is being written. Dropped, it ends once every port is gone and all that waits is written.
#[derive(Debug)]
pub(super) struct AccessLog {
    port: Option<LogPort>,
    reopens: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Writes to the file at `path`, behind what is there; a file that cannot be opened is the operator's to know.
    pub(super) fn start(path: &str) -> Result<AccessLog, Error> {
        let failed = |what: &str| format!("--access-log: {path} {what}");
        let file = open(path).map_err(|error| Error::Io(failed("cannot be written"), error))?;
        let (port, feed) = access_log();
        let reopens = Arc::new(AtomicBool::new(false));
        let mut writer = Writer { path: path.into(), file, reopens: reopens.clone(), feed, lost: 0, complained: false };
        let thread = thread::Builder::new().name("encke-log".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| Error::Io(failed("has no thread"), error))?;
        Ok(AccessLog { port: Some(port), reopens, thread: Some(thread) })
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
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the access log's thread panicked");
        }
    }
}

fn open(path: &str) -> io::Result<Box<dyn Write + Send>> {
    if path == STDOUT {
        return Ok(Box::new(BufWriter::new(stdout())));
    }
    let file: File = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(Box::new(BufWriter::new(file)))
}

struct Writer {
    path: String,
    file: Box<dyn Write + Send>,
    reopens: Arc<AtomicBool>,
    feed: LogFeed,
    /// Lines that are yet to be told as lost.
    lost: u64,
    /// A file that takes nothing is complained about once, until it takes something again.
    complained: bool,
}

impl Writer {
    fn run(&mut self) {
        while let Some(first) = self.feed.wait() {
            if self.reopens.swap(false, Ordering::AcqRel) {
                self.open_anew();
            }
            self.lost += self.feed.take_lost();
            let mut lines = 0;
            let mut next = Some(first);
            let mut taken = self.tell_lost();
            while let Some(finished) = next {
                lines += 1;
                taken = taken.and_then(|()| self.file.write_all(&line(&finished)));
                next = self.feed.next();
            }
            match taken.and_then(|()| self.file.flush()) {
                Ok(()) => self.complained = false,
                Err(error) => {
                    self.lost += lines;
                    if !std::mem::replace(&mut self.complained, true) {
                        log::error!("the access log {} takes no more: {error}", self.path);
                    }
                }
            }
        }
    }

    fn open_anew(&mut self) {
        match open(&self.path) {
            Ok(file) => self.file = file,
            Err(error) => log::error!("the access log {} goes on in its old file: {error}", self.path),
        }
    }

    fn tell_lost(&mut self) -> io::Result<()> {
        if self.lost == 0 {
            return Ok(());
        }
        let lost = self.lost;
        let line = Lost { time: timestamp(super::clock::unix_ms()), lost };
        self.file.write_all(&json(&line)).map(|()| self.lost -= lost)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
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
    let Finished { unix_ms, address, method, path, transport, status, bytes, ms, code } = finished;
    let address = address.map(|address| address.to_string());
    json(&Line { time: timestamp(*unix_ms), address, method, path, transport, status: *status, bytes: *bytes, ms: *ms, code })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("texts and numbers make JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_there_is_to_tell() {
        let bare =
            Finished { unix_ms: 1_700_000_000_123, status: 400, bytes: 9, ms: 7, code: "bad_request", ..Finished::default() };
        let told = |finished: &Finished| String::from_utf8(line(finished)).expect("text");
        let expected = "{\"time\":\"2023-11-14T22:13:20.123Z\",\"status\":400,\"bytes\":9,\"ms\":7,\"code\":\"bad_request\"}\n";
        assert_eq!(told(&bare), expected);
        let address = "[::1]:80".parse().ok();
        let full = Finished { address, method: "GET", path: "/sub/a\"\n".into(), transport: "sse", code: "", ..bare };
        let expected = "{\"time\":\"2023-11-14T22:13:20.123Z\",\"address\":\"[::1]:80\",\"method\":\"GET\",\
                        \"path\":\"/sub/a\\\"\\n\",\"transport\":\"sse\",\"status\":400,\"bytes\":9,\"ms\":7}\n";
        assert_eq!(told(&full), expected);
    }
}
