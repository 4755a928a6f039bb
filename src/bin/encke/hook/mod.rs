//! The hook: an application elsewhere decides who may subscribe, asked by HTTP.
//!
//! ```text
//! POST judge_url          Content-Type: application/json
//! {"channel":"/room/7","client":{"address":"…","transport":"sse","query":"…","headers":{…}}}
//!
//! any 2xx: yes            401, 403: no            anything else, or nothing in time: the option judge_default
//! ```
//! It takes the questions that a server asks a host program (`EventKind::Subscribe`), so no reactor ever waits for it. A few
//! threads ask, each over a connection that it keeps. Their answers hold for a while (`judge_url_cache`) for whoever shows the
//! same: the address without its port, the headers, and the query but for the place from where a client goes on.

mod book;

use crate::address::Address;
use crate::http_client::{Client, Request};
use book::{Book, Change, Key, Step};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use encke::{Config, Error, Judge};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many questions are asked at a time, and how many may wait for their turn.
const THREADS: usize = 16;
const JOBS_MAX: usize = 4_096;
/// How often an answer is offered to a reactor that has no room for it, and how long that takes between two times.
const OFFERS_MAX: usize = 200;
const OFFER_PAUSE: Duration = Duration::from_millis(5);
/// What is part of a query and says where a reader goes on, and not who it is.
const PLACES: [&str; 3] = ["since", "last_event_id", "lastEventId"];

/// One question to the application.
struct Job {
    key: Key,
    body: String,
}

/// What the threads have in common.
struct Office {
    book: Mutex<Book>,
    judge: Judge,
}

/// Ends with the last of whoever holds it.
pub struct Hook {
    office: Arc<Office>,
    jobs: Sender<Job>,
}

impl Hook {
    /// Starts the threads that ask at the option `judge_url`; `None` without it.
    pub fn start(config: &Config, judge: Judge) -> Result<Option<Hook>, Error> {
        if config.judge_url.is_empty() {
            return Ok(None);
        }
        let (address, path) = split(&config.judge_url).map_err(|what| Error::Config(format!("--judge-url: {what}")))?;
        let life = Duration::from_millis(config.judge_url_cache_ms);
        let office = Arc::new(Office { book: Mutex::new(Book::new(life)), judge });
        let (jobs, waiting) = bounded(JOBS_MAX);
        let limit = Duration::from_millis(config.judge_url_timeout_ms);
        for _ in 0..THREADS {
            let (office, waiting, path) = (office.clone(), waiting.clone(), path.to_owned());
            let client = Client::limited(address.clone(), limit);
            let work = move || office.work(client, &path, &waiting);
            let thread = thread::Builder::new().name("encke-hook".into()).spawn(work);
            thread.map_err(|error| Error::Io("the hook has no thread".into(), error))?;
        }
        Ok(Some(Hook { office, jobs }))
    }

    /// Sees to it that `question` is answered: whether the client whose request `who` describes may read `channel`.
    pub fn ask(&self, question: u64, channel: &str, who: &str) {
        let key = key(channel, who);
        let step = self.office.book().put(key, question, Instant::now());
        match step {
            Step::Verdict(allow) => self.office.answer(question, allow),
            Step::Default => self.office.answer(question, self.office.judge.default_answer()),
            Step::Wait => {}
            Step::Ask => self.post(Job { key, body: format!("{{\"channel\":{},\"client\":{who}}}", Value::from(channel)) }),
        }
    }

    fn post(&self, job: Job) {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                let questions = self.office.book().drop_unasked(&job.key);
                self.office.answer_by_default(questions);
            }
        }
    }
}

impl Office {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one question after the other, until there is nobody left to ask any.
    fn work(&self, mut client: Client, path: &str, waiting: &Receiver<Job>) {
        for Job { key, body } in waiting {
            // It has waited while the application went away, and others with it.
            let given_up = self.book().give_up(&key);
            if let Some(questions) = given_up {
                self.answer_by_default(questions);
                continue;
            }
            let outcome = verdict(&mut client, path, body.as_bytes());
            let (questions, change) = self.book().take(&key, outcome, Instant::now());
            match change {
                Change::Nothing => {}
                Change::Gone => log::warn!("--judge-url: the application does not answer; until it does, --judge-default does"),
                Change::Back(count) => {
                    log::warn!(count; "--judge-url: the application answers again; so many were answered by default")
                }
            }
            let allow = outcome.unwrap_or_else(|| self.judge.default_answer());
            questions.into_iter().for_each(|question| self.answer(question, allow));
        }
    }

    /// What answers questions that the application does not.
    fn answer_by_default(&self, questions: Vec<u64>) {
        let allow = self.judge.default_answer();
        questions.into_iter().for_each(|question| self.answer(question, allow));
    }

    /// Tells the server, which has an answer of its own if that fails for long.
    fn answer(&self, question: u64, allow: bool) {
        for _ in 0..OFFERS_MAX {
            match self.judge.answer(question, allow) {
                Err(Error::Full) => thread::sleep(OFFER_PAUSE),
                _ => return,
            }
        }
    }
}

/// What the application says; `None` if it says neither yes nor no.
fn verdict(client: &mut Client, path: &str, body: &[u8]) -> Option<bool> {
    let status = match post(client, path, body) {
        // A connection that was kept may have been closed at this very moment: a new one will tell.
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            post(client, path, body)
        }
        outcome => outcome,
    };
    match status {
        Ok(200..=299) => Some(true),
        Ok(401 | 403) => Some(false),
        Ok(status) => {
            log::debug!(status; "--judge-url: neither yes nor no");
            None
        }
        Err(error) => {
            log::debug!(error:%; "--judge-url: no answer");
            None
        }
    }
}

/// The status of the answer, whose body means nothing.
fn post(client: &mut Client, path: &str, body: &[u8]) -> io::Result<u16> {
    let headers = [("Content-Type", "application/json")];
    let response = client.send(&Request { method: "POST", target: path, headers: &headers, body })?;
    let status = response.status;
    // Read to its end, or else the connection is not kept: the status stands.
    let _ = response.whole();
    Ok(status)
}

/// The server of a URL, and the path there.
fn split(url: &str) -> Result<(Address, &str), String> {
    let behind = url.strip_prefix("http://").unwrap_or_default();
    let at = url.len() - behind.len() + behind.find(['/', '?']).unwrap_or(behind.len());
    let (server, path) = url.split_at(at);
    let address = server.parse().map_err(|what| format!("{url:?} {what}"))?;
    match path {
        "" => Ok((address, "/")),
        path if path.starts_with('/') => Ok((address, path)),
        _ => Err(format!("{url:?} has no path before its query")),
    }
}

/// What the same answer holds for.
fn key(channel: &str, who: &str) -> Key {
    let mut digest = Sha256::new();
    digest.update(channel);
    digest.update("\n");
    digest.update(lasting(who).as_deref().unwrap_or(who));
    digest.finalize().into()
}

/// What of a client stays the same when it comes back.
fn lasting(who: &str) -> Option<String> {
    let mut who: Value = serde_json::from_str(who).ok()?;
    let fields = who.as_object_mut()?;
    fields.remove("transport");
    if let Some(Value::String(address)) = fields.get_mut("address") {
        let end = address.rfind(':').unwrap_or(address.len());
        address.truncate(end);
    }
    if let Some(Value::String(query)) = fields.get_mut("query") {
        let is_place = |pair: &&str| PLACES.contains(&pair.split('=').next().unwrap_or_default());
        *query = query.split('&').filter(|pair| !is_place(pair)).collect::<Vec<_>>().join("&");
    }
    Some(who.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scene, play};

    #[test]
    fn a_url_is_a_server_and_a_path() {
        for (url, server, path) in [
            ("http://127.0.0.1:3000/may?x=1", "http://127.0.0.1:3000", "/may?x=1"),
            ("http://app.example", "http://app.example:80", "/"),
            ("http://[::1]:80/a/b", "http://[::1]:80", "/a/b"),
        ] {
            let (address, found) = split(url).unwrap();
            assert_eq!((address.to_string().as_str(), found), (server, path));
        }
        for bad in ["", "https://a/b", "http://", "http:///a", "http://a?x", "a/b", "http://a:b/"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_status_is_a_verdict_or_none() {
        for (status, expected) in
            [(200, Some(true)), (202, Some(true)), (401, Some(false)), (403, Some(false)), (302, None), (404, None), (500, None)]
        {
            let (address, application) = play(vec![Scene::json(status, "{}")]);
            let mut client = Client::limited(address, Duration::from_secs(20));
            assert_eq!(verdict(&mut client, "/may", b"{\"x\":1}"), expected, "{status}");
            let heard = application.join().unwrap();
            assert_eq!((heard[0].line.as_str(), heard[0].body.as_str()), ("POST /may", "{\"x\":1}"));
        }
    }

    #[test]
    fn a_connection_that_breaks_is_made_anew_once_and_nobody_there_is_no_verdict() {
        let (address, application) = play(vec![Scene::answer("").then_close(), Scene::json(200, "")]);
        let mut client = Client::limited(address, Duration::from_secs(20));
        assert_eq!(verdict(&mut client, "/", b"{}"), Some(true));
        application.join().unwrap();
        assert_eq!(verdict(&mut client, "/", b"{}"), None);
    }

    #[test]
    fn what_a_client_shows_decides_and_where_it_goes_on_does_not() {
        let who = |port: u16, transport: &str, query: &str, cookie: &str| {
            format!(
                r#"{{"address":"[::1]:{port}","transport":"{transport}","query":"{query}","headers":{{"cookie":"{cookie}"}}}}"#
            )
        };
        let first = key("/a", &who(1, "sse", "user=ann&since=x-1", "c=1"));
        assert_eq!(first, key("/a", &who(2, "long-poll", "user=ann&since=x-2", "c=1")));
        assert_eq!(first, key("/a", &who(2, "long-poll", "user=ann&lastEventId=x-2", "c=1")));
        for (channel, other) in [
            ("/b", who(1, "sse", "user=ann&since=x-1", "c=1")),
            ("/a", who(1, "sse", "user=bob&since=x-1", "c=1")),
            ("/a", who(1, "sse", "user=ann&since=x-1", "c=2")),
            ("/a", who(1, "sse", "user=ann&since=x-1", "c=1").replace("::1", "::2")),
        ] {
            assert_ne!(first, key(channel, &other), "{channel} {other}");
        }
    }
}
