//! `encke publish`: one message, or a line of stdin each, delivered until the server has said that it took them.
//!
//! While the server is full (503) or the connection is lost it is tried again, longer apart each time. What was sent
//! when a connection broke is sent again: the server may have taken it, and a line twice is better than none.

use crate::address::path_encode;
use crate::arguments::Publish;
use crate::backoff::Backoff;
use crate::http_client::{Client, Request, refusal};
use crate::{envelope, print};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// With waits of up to 5 s, about five minutes.
const TRIES_MAX: u32 = 64;
/// How many lines wait between stdin and the server, and how many of them go in one batch at most.
const LINES_MAX: usize = 1_024;
/// A batch takes no further line once it weighs this.
const BATCH_BYTES: usize = 64 << 10;
/// The longest line; a server's own bound is lower.
const LINE_BYTES_MAX: u64 = 64 << 20;

const NDJSON: &str = "application/x-ndjson";

/// Publishes what `options` say.
pub fn run(options: Publish) -> Result<(), String> {
    let mut publisher = Publisher::new(&options, Backoff::new(100, 5_000));
    if options.lines {
        return publisher.lines(receive(io::stdin()));
    }
    let mut data = Vec::new();
    if options.data.is_none() {
        io::stdin().read_to_end(&mut data).map_err(|error| format!("cannot read stdin: {error}"))?;
    }
    let answer = publisher.message(options.data.as_ref().unwrap_or(&data))?;
    print(&format!("{}\n", String::from_utf8_lossy(&answer).trim_end()))
}

/// Reads lines on a thread of its own, so that what is already there can be told from what may come.
fn receive(input: impl Read + Send + 'static) -> Receiver<Result<Vec<u8>, String>> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    std::thread::spawn(move || read_lines(BufReader::new(input), sender));
    receiver
}

/// Hands over each line without its end, or what went wrong; ends with the input, or when nobody listens any more.
fn read_lines(mut input: impl BufRead, sender: SyncSender<Result<Vec<u8>, String>>) {
    loop {
        let mut line = Vec::new();
        let outcome = match input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(count) if count as u64 == LINE_BYTES_MAX => Err(format!("a line is longer than {LINE_BYTES_MAX} bytes")),
            Ok(_) => Ok(without_end(line)),
            Err(error) => Err(format!("cannot read stdin: {error}")),
        };
        let last = outcome.is_err();
        if sender.send(outcome).is_err() || last {
            return;
        }
    }
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    line
}

/// What came of one request.
enum Answer {
    /// The server took it and said this.
    Taken(Vec<u8>),
    /// It has no room now. Of a batch it may have taken some.
    Full(Vec<u8>),
    /// The body is longer than it takes.
    TooLong(String),
    /// The connection broke.
    Lost,
}

/// One channel to publish to.
struct Publisher<'a> {
    client: Client,
    target: String,
    content_type: Option<&'a str>,
    event: Option<&'a str>,
    backoff: Backoff,
    /// In vain, one after the other.
    tries: u32,
    /// Whether the server was ever met: one that never was is more likely somewhere else than busy.
    met: bool,
    /// How many lines the server has taken.
    taken: u64,
}

impl<'a> Publisher<'a> {
    fn new(options: &'a Publish, backoff: Backoff) -> Publisher<'a> {
        Publisher {
            client: Client::new(options.to.clone()),
            target: format!("/pub{}", path_encode(&options.channel)),
            content_type: options.content_type.as_deref(),
            event: options.event.as_deref(),
            backoff,
            tries: 0,
            met: false,
            taken: 0,
        }
    }

    /// Delivers `data` as one message and returns the server's answer. An event's name needs the batch form.
    fn message(&mut self, data: &[u8]) -> Result<Vec<u8>, String> {
        let (content_type, body) = match self.event {
            Some(_) => (NDJSON, self.entry(data)),
            None => (self.content_type.unwrap_or_else(|| guess(data)), data.to_vec()),
        };
        loop {
            match self.ask(content_type, &body)? {
                Answer::Taken(answer) => return Ok(answer),
                Answer::TooLong(text) => return Err(text),
                Answer::Full(_) | Answer::Lost => self.pause()?,
            }
        }
    }

    /// Delivers lines in order as they come. Those that are there already go together.
    fn lines(&mut self, lines: Receiver<Result<Vec<u8>, String>>) -> Result<(), String> {
        let counter = io::stderr().is_terminal();
        let outcome = self.deliver_lines(&lines, counter);
        if counter {
            eprintln!();
        }
        outcome.map_err(|text| format!("{text}; {} lines were taken before", self.taken))
    }

    fn deliver_lines(&mut self, lines: &Receiver<Result<Vec<u8>, String>>, counter: bool) -> Result<(), String> {
        while let Ok(first) = lines.recv() {
            let mut batch = vec![self.entry(&first?)];
            let mut weight = batch[0].len();
            // A failure to read comes last: what was read before it is delivered first.
            let mut failure = None;
            while weight < BATCH_BYTES && batch.len() < LINES_MAX && failure.is_none() {
                match lines.try_recv() {
                    Ok(Ok(line)) => {
                        let entry = self.entry(&line);
                        weight += entry.len();
                        batch.push(entry);
                    }
                    Ok(Err(text)) => failure = Some(text),
                    Err(_) => break,
                }
            }
            self.batch(batch)?;
            if counter {
                eprint!("\r{} lines taken", self.taken);
            }
            if let Some(text) = failure {
                return Err(text);
            }
        }
        Ok(())
    }

    /// Delivers `entries`, in parts if the server takes no body as long as all of them.
    fn batch(&mut self, mut entries: Vec<Vec<u8>>) -> Result<(), String> {
        let mut part = entries.len();
        while !entries.is_empty() {
            part = part.min(entries.len());
            let taken = match self.ask(NDJSON, &entries[..part].concat())? {
                Answer::Taken(answer) => {
                    let taken = envelope::taken(&answer);
                    taken.ok_or("the server's answer does not say what it took")?.min(part)
                }
                Answer::Full(answer) => envelope::taken(&answer).unwrap_or(0).min(part),
                Answer::TooLong(text) if part == 1 => return Err(text),
                Answer::TooLong(_) => {
                    part = part.div_ceil(2);
                    continue;
                }
                Answer::Lost => 0,
            };
            entries.drain(..taken);
            self.taken += taken as u64;
            if taken < part {
                self.pause()?;
            }
        }
        Ok(())
    }

    /// One line of the batch form. What is no plain text goes as base64, whose bytes arrive as they are.
    fn entry(&self, data: &[u8]) -> Vec<u8> {
        #[derive(Serialize)]
        struct Entry<'a> {
            data: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            event: Option<&'a str>,
            #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
            content_type: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            encoding: Option<&'static str>,
        }
        let is_text = self.content_type.is_none_or(|content_type| content_type.starts_with("text/"));
        let text = std::str::from_utf8(data).ok().filter(|_| is_text);
        let encoded = if text.is_none() { STANDARD.encode(data) } else { String::new() };
        let entry = Entry {
            data: text.unwrap_or(&encoded),
            event: self.event,
            content_type: self.content_type.or(text.is_none().then_some("application/octet-stream")),
            encoding: text.is_none().then_some("base64"),
        };
        let mut line = serde_json::to_vec(&entry).expect("text and nothing else is always JSON");
        line.push(b'\n');
        line
    }

    /// Sends one request. `Err` is what no further try would change.
    fn ask(&mut self, content_type: &str, body: &[u8]) -> Result<Answer, String> {
        let request = Request { method: "POST", target: &self.target, content_type, accept: "", body };
        let outcome = self.client.send(&request).and_then(|response| Ok((response.status, response.whole()?)));
        let (status, answer) = match outcome {
            Ok(outcome) => outcome,
            Err(error) if self.met => {
                eprintln!("encke: connection lost ({error}), connecting anew; what was under way is sent again");
                return Ok(Answer::Lost);
            }
            Err(error) => return Err(format!("cannot publish to {}: {error}", self.client.address())),
        };
        self.met = true;
        match status {
            200..300 => {
                self.tries = 0;
                self.backoff.reset();
                Ok(Answer::Taken(answer))
            }
            429 | 503 => Ok(Answer::Full(answer)),
            413 => Ok(Answer::TooLong(refusal(status, &answer))),
            _ => Err(refusal(status, &answer)),
        }
    }

    /// Waits before the next try, if there is one.
    fn pause(&mut self) -> Result<(), String> {
        self.tries += 1;
        if self.tries > TRIES_MAX {
            return Err(format!("{} did not take it in {TRIES_MAX} tries", self.client.address()));
        }
        std::thread::sleep(self.backoff.next());
        Ok(())
    }
}

/// The content type of data that came without one.
fn guess(data: &[u8]) -> &'static str {
    match std::str::from_utf8(data) {
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::scripted::{Heard, Scene, play};

    const TAKEN: &str = r#"{"id":"e-1","subscribers":2}"#;

    fn options(to: Address) -> Publish {
        let channel = "/host/vm stat".into();
        Publish { to, channel, data: None, content_type: None, event: None, lines: true }
    }

    fn took(count: usize) -> String {
        format!(r#"{{"messages":[{}]}}"#, vec![TAKEN; count].join(","))
    }

    /// Publishes `text` line by line to a server that plays `scenes`.
    fn publish(text: &'static str, scenes: Vec<Scene>) -> (Result<(), String>, u64, Vec<Heard>) {
        let (address, server) = play(scenes);
        let options = options(address);
        let mut publisher = Publisher::new(&options, Backoff::new(1, 1));
        let (sender, receiver) = sync_channel(LINES_MAX);
        read_lines(text.as_bytes(), sender);
        let outcome = publisher.deliver_lines(&receiver, false);
        let taken = publisher.taken;
        drop(publisher);
        (outcome, taken, server.join().unwrap())
    }

    fn bodies(heard: &[Heard]) -> Vec<&str> {
        heard.iter().map(|heard| heard.body.as_str()).collect()
    }

    const BOTH: &str = "{\"data\":\"one\"}\n{\"data\":\"two\"}\n";

    #[test]
    fn lines_that_are_there_go_in_one_batch() {
        let (outcome, taken, heard) = publish("one\r\ntwo", vec![Scene::json(200, &took(2))]);
        assert_eq!((outcome, taken), (Ok(()), 2));
        assert_eq!(heard[0].line, "POST /pub/host/vm%20stat");
        assert!(heard[0].headers.contains("Content-Type: application/x-ndjson\r\n"));
        assert_eq!(bodies(&heard), [BOTH]);
    }

    #[test]
    fn a_full_server_is_asked_again_for_what_it_did_not_take() {
        let scenes = vec![Scene::json(503, r#"{"error":"full"}"#), Scene::json(503, &took(1)), Scene::json(200, &took(1))];
        let (outcome, taken, heard) = publish("one\ntwo\n", scenes);
        assert_eq!((outcome, taken), (Ok(()), 2));
        assert_eq!(bodies(&heard), [BOTH, BOTH, "{\"data\":\"two\"}\n"]);
    }

    #[test]
    fn a_lost_connection_is_made_anew() {
        let scenes = vec![Scene::json(503, "{}"), Scene::answer("HTTP/1.1 2").then_close(), Scene::json(200, &took(2))];
        let (outcome, taken, heard) = publish("one\ntwo\n", scenes);
        assert_eq!((outcome, taken), (Ok(()), 2));
        assert_eq!(bodies(&heard), [BOTH, BOTH, BOTH]);
    }

    #[test]
    fn a_batch_that_is_too_long_goes_in_parts() {
        let scenes = vec![Scene::json(413, "{}"), Scene::json(200, &took(1)), Scene::json(200, &took(1))];
        let (outcome, taken, heard) = publish("one\ntwo\n", scenes);
        assert_eq!((outcome, taken), (Ok(()), 2));
        assert_eq!(bodies(&heard), [BOTH, "{\"data\":\"one\"}\n", "{\"data\":\"two\"}\n"]);
    }

    #[test]
    fn a_refusal_ends_it_and_nothing_counts_as_taken() {
        let (outcome, taken, _) = publish("one\n", vec![Scene::json(403, r#"{"error":"forbidden","detail":"no"}"#)]);
        assert_eq!((outcome, taken), (Err("the server refused: no (403 forbidden)".into()), 0));
        let (outcome, ..) = publish("one\n", vec![Scene::json(413, r#"{"error":"too_long","detail":"no"}"#)]);
        assert!(outcome.is_err());
    }

    #[test]
    fn a_server_that_was_never_there_is_told_at_once() {
        let address = Address::Unix("/nowhere/encke.sock".into());
        let options = options(address);
        let error = Publisher::new(&options, Backoff::new(1, 1)).message(b"x").unwrap_err();
        assert!(error.starts_with("cannot publish to unix:/nowhere/encke.sock: "), "{error}");
    }

    #[test]
    fn one_message_goes_as_it_is_unless_its_event_has_a_name() {
        for (event, content_type, data, expected_type, expected) in [
            (None, None, "hello", "text/plain; charset=utf-8", "hello"),
            (None, Some("application/json"), "{}", "application/json", "{}"),
            (Some("tick"), None, "hello", NDJSON, "{\"data\":\"hello\",\"event\":\"tick\"}\n"),
            (
                Some("tick"),
                Some("application/json"),
                "{}",
                NDJSON,
                "{\"data\":\"e30=\",\"event\":\"tick\",\"type\":\"application/json\",\"encoding\":\"base64\"}\n",
            ),
        ] {
            let (address, server) = play(vec![Scene::json(200, TAKEN)]);
            let (event, content_type) = (event.map(String::from), content_type.map(String::from));
            let options = Publish { event, content_type, ..options(address) };
            let answer = Publisher::new(&options, Backoff::new(1, 1)).message(data.as_bytes()).unwrap();
            assert_eq!(answer, TAKEN.as_bytes());
            let heard = server.join().unwrap();
            assert!(heard[0].headers.contains(&format!("Content-Type: {expected_type}\r\n")), "{}", heard[0].headers);
            assert_eq!(heard[0].body, expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_go_as_base64() {
        let options = options("http://127.0.0.1:1".parse().unwrap());
        let entry = Publisher::new(&options, Backoff::new(1, 1)).entry(b"\xff\x00");
        let expected = "{\"data\":\"/wA=\",\"type\":\"application/octet-stream\",\"encoding\":\"base64\"}\n";
        assert_eq!(String::from_utf8(entry).unwrap(), expected);
        assert_eq!(guess(b"\xff"), "application/octet-stream");
    }
}
