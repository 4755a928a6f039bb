//! `encke publish`: one message, or a line of stdin each, delivered until the server has said that it took them.
//!
//! While the server is full (503) or the connection is lost it is tried again, longer apart each time. What was sent
//! when a connection broke is sent again: the server may have taken it, and a line twice is better than none.

use crate::address::{path_encode, query_encode};
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
/// How many lines wait between stdin and the server.
const LINES_MAX: usize = 1_024;
/// How many lines go in one batch: well below what a channel's history keeps, or a batch alone would outrun readers.
const BATCH_LINES: usize = 128;
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
    /// The event's name, percent-encoded; empty for none.
    event: String,
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
            event: options.event.as_deref().map(query_encode).unwrap_or_default(),
            backoff,
            tries: 0,
            met: false,
            taken: 0,
        }
    }

    /// Delivers `data` as one message and returns the server's answer.
    fn message(&mut self, data: &[u8]) -> Result<Vec<u8>, String> {
        let content_type = self.content_type.unwrap_or_else(|| guess(data));
        loop {
            match self.ask(content_type, data)? {
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
            while weight < BATCH_BYTES && batch.len() < BATCH_LINES && failure.is_none() {
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
                Answer::Taken(answer) => envelope::taken(&answer).ok_or("the server's answer does not say what it took")?,
                Answer::Full(answer) => envelope::taken(&answer).unwrap_or_default(),
                Answer::TooLong(text) if part == 1 => return Err(text),
                Answer::TooLong(_) => {
                    part = part.div_ceil(2);
                    continue;
                }
                Answer::Lost => Vec::new(),
            };
            let before = entries.len();
            let mut taken = taken.into_iter().take(part);
            entries.retain(|_| !taken.next().unwrap_or(false));
            let count = before - entries.len();
            self.taken += count as u64;
            if count < part {
                self.pause()?;
            }
        }
        Ok(())
    }

    /// One line of the batch form. What is no text goes as base64.
    fn entry(&self, data: &[u8]) -> Vec<u8> {
        #[derive(Serialize)]
        struct Entry<'a> {
            data: &'a str,
            #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
            content_type: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            encoding: Option<&'static str>,
        }
        let content_type = self.content_type;
        let encoded;
        let entry = match std::str::from_utf8(data) {
            Ok(data) => Entry { data, content_type, encoding: None },
            Err(_) => {
                encoded = STANDARD.encode(data);
                Entry { data: &encoded, content_type, encoding: Some("base64") }
            }
        };
        let mut line = serde_json::to_vec(&entry).expect("text and nothing else is always JSON");
        line.push(b'\n');
        line
    }

    /// Sends one request. `Err` is what no further try would change.
    fn ask(&mut self, content_type: &str, body: &[u8]) -> Result<Answer, String> {
        let headers = [("Content-Type", content_type), ("Encke-Event", &self.event)];
        let headers = if self.event.is_empty() { &headers[..1] } else { &headers };
        let request = Request { method: "POST", target: &self.target, headers, body };
        let outcome = self.client.send(&request).and_then(|response| Ok((response.status, response.whole()?)));
        let (status, answer) = match outcome {
            Ok(outcome) => outcome,
            Err(error) if self.met => {
                if self.tries == 0 {
                    eprintln!("encke: connection lost ({error}), connecting anew; what was under way is sent again");
                }
                return Ok(Answer::Lost);
            }
            Err(error) => return Err(format!("cannot publish to {}: {error}", self.client.address())),
        };
        self.met = true;
        match status {
            200..300 => {
                if self.tries > 0 {
                    eprintln!("encke: the server takes messages again");
                }
                self.tries = 0;
                self.backoff.reset();
                Ok(Answer::Taken(answer))
            }
            429 | 503 => {
                if self.tries == 0 {
                    eprintln!("encke: {}; trying again", refusal(status, &answer));
                }
                Ok(Answer::Full(answer))
            }
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
        let partly = format!(r#"{{"messages":[{TAKEN},null]}}"#);
        let scenes = vec![Scene::json(503, r#"{"error":"full"}"#), Scene::json(503, &partly), Scene::json(200, &took(1))];
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
    fn one_message_goes_as_it_is() {
        for (event, content_type, data, expected) in [
            (None, None, "hello", "Content-Type: text/plain; charset=utf-8\r\n"),
            (None, Some("application/json"), "{}", "Content-Type: application/json\r\n"),
            (Some("tè 1"), None, "a\nb", "Encke-Event: t%C3%A8%201\r\n"),
        ] {
            let (address, server) = play(vec![Scene::json(200, TAKEN)]);
            let (event, content_type) = (event.map(String::from), content_type.map(String::from));
            let options = Publish { event, content_type, ..options(address) };
            let answer = Publisher::new(&options, Backoff::new(1, 1)).message(data.as_bytes()).unwrap();
            assert_eq!(answer, TAKEN.as_bytes());
            let heard = server.join().unwrap();
            assert!(heard[0].headers.contains(expected), "{}", heard[0].headers);
            assert_eq!(heard[0].headers.contains("Encke-Event"), options.event.is_some());
            assert_eq!(heard[0].body, data);
        }
    }

    #[test]
    fn bytes_that_are_no_text_go_as_base64() {
        let options = options("http://127.0.0.1:1".parse().unwrap());
        let entry = Publisher::new(&options, Backoff::new(1, 1)).entry(b"\xff\x00");
        let expected = "{\"data\":\"/wA=\",\"encoding\":\"base64\"}\n";
        assert_eq!(String::from_utf8(entry).unwrap(), expected);
        assert_eq!(guess(b"\xff"), "application/octet-stream");
    }
}
