//! `encke subscribe`: prints what channels carry, across lost connections, until it has enough or is told to end.
//!
//! Invariant: the cursor is moved on only with messages that were printed, so a new connection repeats nothing that
//! was seen and skips nothing that was not.

use crate::address::{path_encode, query_encode};
use crate::arguments::{Subscribe, Transport};
use crate::backoff::Backoff;
use crate::envelope::{Batch, Envelope, on_one_line};
use crate::http_client::{Client, Request, refusal};
use crate::signals::Watch;
use crate::sse::{Event, EventStream};
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

/// How far apart polls are that ask for what is there now.
const POLL_EVERY: Duration = Duration::from_secs(1);
const WAIT_MS_FIRST: u64 = 500;
const WAIT_MS_MOST: u64 = 30_000;

/// Prints what `options` ask for.
pub fn run(options: Subscribe) -> Result<(), String> {
    let watch = Watch::start(&[])?;
    std::thread::spawn(move || {
        watch.wait();
        // Whoever prints holds this lock for whole lines.
        let _between_lines = io::stdout().lock();
        std::process::exit(crate::FINE.into());
    });
    Reader::new(options, io::stdout(), Backoff::new(WAIT_MS_FIRST, WAIT_MS_MOST)).read()
}

/// Why a request came to its end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// All that was wanted is printed, or nobody reads any more.
    Enough,
    /// It was answered: ask for more at once.
    Answered,
    /// There is nothing now: ask again a little later.
    Nothing,
    /// The server ended the stream, as it does from time to time: connect anew.
    Closed,
    /// The connection broke or the server is busy.
    Lost(String),
    /// No further try would help.
    Failed(String),
}

/// A subscription across connections.
struct Reader<W> {
    options: Subscribe,
    client: Client,
    /// Where to go on: what the options say, then what the server says.
    cursor: String,
    backoff: Backoff,
    /// How many messages are still wanted.
    left: u64,
    /// Whether the server was ever met: one that never was is more likely somewhere else than away.
    met: bool,
    out: W,
    /// Whole lines that are not printed yet.
    lines: Vec<u8>,
}

impl<W: Write> Reader<W> {
    fn new(options: Subscribe, out: W, backoff: Backoff) -> Reader<W> {
        let client = Client::new(options.to.clone());
        let (cursor, left) = (options.since.clone(), options.count.unwrap_or(u64::MAX));
        Reader { options, client, cursor, backoff, left, met: false, out, lines: Vec::new() }
    }

    fn read(&mut self) -> Result<(), String> {
        loop {
            let end = match self.options.transport {
                Transport::Sse => self.stream(),
                Transport::LongPoll | Transport::Poll => self.ask(),
            };
            match end {
                End::Enough => return Ok(()),
                End::Failed(text) => return Err(text),
                End::Answered => {}
                End::Nothing => std::thread::sleep(POLL_EVERY),
                End::Closed => std::thread::sleep(self.backoff.next()),
                End::Lost(text) => {
                    let wait = self.backoff.next();
                    eprintln!("encke: {text}; going on from {} in {:.1} s", self.cursor, wait.as_secs_f64());
                    std::thread::sleep(wait);
                }
            }
        }
    }

    fn target(&self) -> String {
        let mut channels = self.options.channels.iter();
        let first = channels.next().expect("the arguments name a channel");
        let more: String = channels.map(|channel| format!("&channel={}", query_encode(channel))).collect();
        let transport = match self.options.transport {
            Transport::Sse => "sse&envelope=json",
            Transport::LongPoll => "long-poll",
            Transport::Poll => "poll",
        };
        format!("/sub{}?transport={transport}&since={}{more}", path_encode(first), query_encode(&self.cursor))
    }

    /// Holds an event stream until it ends.
    fn stream(&mut self) -> End {
        let target = self.target();
        let headers = [("Accept", "text/event-stream")];
        let request = Request { method: "GET", target: &target, headers: &headers, body: b"" };
        // The client lends its connection to the response, and the rest of `self` is needed meanwhile.
        let mut client = Client::new(self.options.to.clone());
        let mut response = match client.send(&request) {
            Ok(response) => response,
            Err(error) => return self.broken(&error),
        };
        self.met = true;
        let status = response.status;
        if status != 200 {
            return refused(status, &response.whole().unwrap_or_default());
        }
        let (mut stream, mut events) = (EventStream::default(), Vec::new());
        loop {
            match response.next() {
                Ok(Some(bytes)) => {
                    if let Err(text) = stream.feed(&bytes, &mut events) {
                        return End::Failed(text);
                    }
                    if let Some(end) = self.print_events(&mut stream, &mut events) {
                        return end;
                    }
                }
                Ok(None) => return End::Closed,
                Err(error) => return self.broken(&error),
            }
        }
    }

    fn print_events(&mut self, stream: &mut EventStream, events: &mut Vec<Event>) -> Option<End> {
        match stream.retry_ms.take() {
            Some(retry_ms) => self.backoff.begin_with(retry_ms),
            None => self.backoff.reset(),
        }
        for event in events.drain(..) {
            if let Err(text) = self.message(&event.name, &event.data) {
                return Some(End::Failed(text));
            }
        }
        let end = self.print();
        if let Some(id) = &stream.last_id {
            self.cursor.clone_from(id);
        }
        end
    }

    /// Asks once for what there is, or for what will be there soon.
    fn ask(&mut self) -> End {
        let target = self.target();
        let request = Request { method: "GET", target: &target, headers: &[], body: b"" };
        let outcome = self.client.send(&request).and_then(|response| Ok((response.status, response.whole()?)));
        let (status, body) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return self.broken(&error),
        };
        self.met = true;
        match status {
            200 => {
                self.backoff.reset();
                self.print_batch(&body).unwrap_or_else(End::Failed)
            }
            204 | 304 => End::Nothing,
            _ => refused(status, &body),
        }
    }

    fn print_batch(&mut self, body: &[u8]) -> Result<End, String> {
        let batch: Batch = serde_json::from_slice(body).map_err(|error| format!("the server sent no batch: {error}"))?;
        if batch.gap {
            eprintln!("encke: gap: messages are missing here");
        }
        for message in &batch.messages {
            self.message("", message.get())?;
        }
        let end = self.print();
        self.cursor = batch.cursor;
        let polled_empty = batch.messages.is_empty() && self.options.transport == Transport::Poll;
        Ok(end.unwrap_or(if polled_empty { End::Nothing } else { End::Answered }))
    }

    /// Takes one envelope in, unless there are enough already. A gap is told aside.
    fn message(&mut self, name: &str, text: &str) -> Result<(), String> {
        let envelope = Envelope::parse(text)?;
        if envelope.id.is_none() {
            if name == "gap" {
                let missed = envelope.missed.map_or("an unknown number of".into(), |missed| missed.to_string());
                eprintln!("encke: gap: {missed} messages are missing on {}", envelope.channel);
            } else if name == "end" {
                eprintln!("encke: end: {} was dropped and begins anew", envelope.channel);
            }
            return Ok(());
        }
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        if self.options.json {
            self.lines.extend_from_slice(on_one_line(text).as_bytes());
        } else {
            if self.options.channels.len() > 1 {
                self.lines.extend_from_slice(envelope.channel.as_bytes());
                self.lines.push(b'\t');
            }
            self.lines.extend_from_slice(&envelope.data()?);
        }
        self.lines.push(b'\n');
        Ok(())
    }

    /// Prints the lines. `Some` if that was the end of it.
    fn print(&mut self) -> Option<End> {
        let printed = self.out.write_all(&self.lines).and_then(|()| self.out.flush());
        self.lines.clear();
        match printed {
            Ok(()) if self.left > 0 => None,
            Ok(()) => Some(End::Enough),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Some(End::Enough),
            Err(error) => Some(End::Failed(format!("cannot write: {error}"))),
        }
    }

    fn broken(&self, error: &io::Error) -> End {
        match self.met {
            true => End::Lost(format!("connection lost ({error})")),
            false => End::Failed(format!("cannot subscribe at {}: {error}", self.options.to)),
        }
    }
}

/// An answer that is no subscription.
fn refused(status: u16, body: &[u8]) -> End {
    let text = refusal(status, body);
    if status == 429 || status >= 500 { End::Lost(text) } else { End::Failed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::scripted::{Heard, Scene, play};

    fn options(transport: Transport, count: u64) -> impl FnOnce(Address) -> Subscribe {
        let channels = vec!["/a b".into()];
        move |to| Subscribe { to, channels, since: "now".into(), transport, json: false, count: Some(count) }
    }

    fn read(scenes: Vec<Scene>, options: impl FnOnce(Address) -> Subscribe) -> (Result<(), String>, String, Vec<Heard>) {
        let (address, server) = play(scenes);
        let mut out = Vec::new();
        let outcome = Reader::new(options(address), &mut out, Backoff::new(1, 1)).read();
        (outcome, String::from_utf8(out).unwrap(), server.join().unwrap())
    }

    fn event(id: u32, data: &str) -> String {
        format!("id: c{id}\ndata: {{\"channel\":\"/a b\",\"id\":\"e-{id}\",\"data\":{data}}}\n\n")
    }

    fn lines(heard: &[Heard]) -> Vec<&str> {
        heard.iter().map(|heard| heard.line.as_str()).collect()
    }

    #[test]
    fn a_stream_that_ends_is_resumed_from_its_cursor() {
        let first = format!("retry: 1\n\n: hello\n\n{}{}", event(1, "\"one\""), "id: lost\ndata: {\"cha");
        let scenes = vec![Scene::events(&first), Scene::events(&(event(2, "{\"n\":2}") + &event(3, "3")))];
        let (outcome, out, heard) = read(scenes, options(Transport::Sse, 2));
        assert_eq!((outcome, out.as_str()), (Ok(()), "one\n{\"n\":2}\n"));
        let expected =
            ["GET /sub/a%20b?transport=sse&envelope=json&since=now", "GET /sub/a%20b?transport=sse&envelope=json&since=c1"];
        assert_eq!(lines(&heard), expected);
        assert!(heard[0].headers.contains("Accept: text/event-stream\r\n"));
    }

    #[test]
    fn a_busy_server_and_a_broken_stream_are_tried_again() {
        let scenes = vec![
            Scene::json(503, r#"{"error":"busy"}"#).then_close(),
            Scene::answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5").then_close(),
            Scene::events(&event(1, "\"one\"")),
        ];
        let (outcome, out, _) = read(scenes, options(Transport::Sse, 1));
        assert_eq!((outcome, out.as_str()), (Ok(()), "one\n"));
    }

    #[test]
    fn long_polls_follow_each_other_by_cursor() {
        let scenes = vec![
            Scene::json(200, r#"{"cursor":"c1","gap":false,"messages":[{"channel":"/a b","id":"e-1","data":"one"}]}"#),
            Scene::json(200, r#"{"cursor":"c2","gap":true,"messages":[]}"#),
            Scene::json(200, r#"{"cursor":"c3","gap":false,"messages":[{"channel":"/a b","id":"e-9","data":"nine"}]}"#),
        ];
        let (outcome, out, heard) = read(scenes, options(Transport::LongPoll, 2));
        assert_eq!((outcome, out.as_str()), (Ok(()), "one\nnine\n"));
        let ends: Vec<&str> = lines(&heard).iter().map(|line| line.rsplit_once("since=").unwrap().1).collect();
        assert_eq!(ends, ["now", "c1", "c2"]);
    }

    #[test]
    fn a_poll_asks_for_what_is_there() {
        let scenes = vec![Scene::json(200, r#"{"cursor":"c1","messages":[{"channel":"/a b","id":"e-1","data":1}]}"#)];
        let (outcome, out, heard) = read(scenes, options(Transport::Poll, 1));
        assert_eq!((outcome, out.as_str()), (Ok(()), "1\n"));
        assert_eq!(lines(&heard), ["GET /sub/a%20b?transport=poll&since=now"]);
    }

    #[test]
    fn several_channels_are_told_apart_and_envelopes_come_whole() {
        let two = |json| {
            move |to| {
                let channels = vec!["/a b".into(), "/c&d".into()];
                Subscribe { channels, json, ..options(Transport::Sse, 1)(to) }
            }
        };
        let (_, out, heard) = read(vec![Scene::events(&event(1, "\"one\""))], two(false));
        assert_eq!(out, "/a b\tone\n");
        assert_eq!(lines(&heard), ["GET /sub/a%20b?transport=sse&envelope=json&since=now&channel=%2Fc%26d"]);
        let (_, out, _) = read(vec![Scene::events(&event(1, "[\ndata: 1]"))], two(true));
        assert_eq!(out, "{\"channel\":\"/a b\",\"id\":\"e-1\",\"data\":[ 1]}\n");
    }

    #[test]
    fn a_gap_is_no_message_but_a_message_may_be_called_gap() {
        let gap = "event: gap\ndata: {\"channel\":\"/a b\",\"missed\":3}\n\n";
        let stream = format!("{gap}event: gap\n{}", event(1, "\"one\""));
        let (outcome, out, _) = read(vec![Scene::events(&stream)], options(Transport::Sse, 1));
        assert_eq!((outcome, out.as_str()), (Ok(()), "one\n"));
    }

    #[test]
    fn what_no_try_would_change_is_told_at_once() {
        let refusal = Scene::json(404, r#"{"error":"unknown","detail":"no such thing"}"#);
        let (outcome, ..) = read(vec![refusal], options(Transport::Sse, 1));
        assert_eq!(outcome, Err("the server refused: no such thing (404 unknown)".into()));
        let address = Address::Unix("/nowhere/encke.sock".into());
        let error = Reader::new(options(Transport::Sse, 1)(address), io::sink(), Backoff::new(1, 1)).read().unwrap_err();
        assert!(error.starts_with("cannot subscribe at unix:/nowhere/encke.sock: "), "{error}");
    }

    #[test]
    fn a_closed_pipe_is_a_clean_end() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (address, server) = play(vec![Scene::events(&event(1, "1"))]);
        Reader::new(options(Transport::Sse, 9)(address), Closed, Backoff::new(1, 1)).read().unwrap();
        server.join().unwrap();
    }
}
