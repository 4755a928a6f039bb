//! What is published: every message says who wrote it, where, and as which, so that whoever reads it can tell.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The channels of a test and how much was published to each.
#[derive(Debug)]
pub struct Book {
    names: Vec<String>,
    begun: Vec<AtomicU64>,
    published: Vec<AtomicU64>,
    filler: usize,
    /// How many messages a channel keeps, where that is to be held against the gaps that readers are told of.
    keeps: Option<u64>,
    times: Option<Times>,
}

/// When messages were written, and how long each was on its way to each reader.
#[derive(Debug)]
struct Times {
    written: Vec<Mutex<Vec<Instant>>>,
    delays: Mutex<Vec<Duration>>,
}

impl Book {
    /// So many channels; messages carry up to `filler` letters beside what they say.
    pub fn new(channels: usize, filler: usize) -> Book {
        let names = (0..channels).map(|channel| format!("/it/{channel}")).collect();
        let none = || (0..channels).map(|_| AtomicU64::new(0)).collect();
        Book { names, begun: none(), published: none(), filler, keeps: None, times: None }
    }

    /// One whose messages are timed; there is one author.
    pub fn timed(self) -> Book {
        let written = (0..self.channels()).map(|_| Mutex::default()).collect();
        Book { times: Some(Times { written, delays: Mutex::default() }), ..self }
    }

    /// One that knows how many messages each channel keeps.
    pub fn keeping(self, messages: u64) -> Book {
        Book { keeps: Some(messages), ..self }
    }

    /// Whether a channel must still have the message at `offset`, whatever of what was begun has arrived.
    pub fn must_be_kept(&self, channel: usize, offset: u64) -> bool {
        self.keeps.is_some_and(|keeps| self.begun[channel].load(Ordering::Acquire) < offset + keeps)
    }

    /// A reader got the message at `offset`.
    pub fn heard(&self, channel: usize, offset: u64) {
        let Some(times) = &self.times else { return };
        let written = times.written[channel].lock().expect("nobody panics with it").get(offset as usize - 1).copied();
        let delay = written.expect("it was written before").elapsed();
        times.delays.lock().expect("nobody panics with it").push(delay);
    }

    /// How long each message was on its way to each reader, since this was asked last.
    pub fn take_delays(&self) -> Vec<Duration> {
        let times = self.times.as_ref().expect("its messages are timed");
        std::mem::take(&mut times.delays.lock().expect("nobody panics with it"))
    }

    /// Another message is on its way to `channel`.
    fn begin(&self, channel: usize) {
        self.begun[channel].fetch_add(1, Ordering::AcqRel);
        if let Some(times) = &self.times {
            times.written[channel].lock().expect("nobody panics with it").push(Instant::now());
        }
    }

    pub fn channels(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, channel: usize) -> &str {
        &self.names[channel]
    }

    /// How many messages were taken by the server, on one channel.
    pub fn published(&self, channel: usize) -> u64 {
        self.published[channel].load(Ordering::Acquire)
    }

    /// The same on all of them.
    pub fn published_in_all(&self) -> u64 {
        (0..self.channels()).map(|channel| self.published(channel)).sum()
    }

    /// The server has taken `count` messages more.
    pub fn note(&self, channel: usize, count: u64) {
        self.published[channel].fetch_add(count, Ordering::AcqRel);
    }

    /// What `author` writes on `channel` as its message number `number`.
    pub fn text(&self, author: usize, channel: usize, number: u32) -> String {
        let mut text = format!("{author} {channel} {number} ");
        let length = (number as usize * 37 + author * 11 + channel) % (self.filler + 1);
        if number.is_multiple_of(5) {
            text.push_str("\"\\è\n<\t");
        }
        text.push_str(&char::from(b'a' + (number % 26) as u8).to_string().repeat(length));
        text
    }

    /// Who wrote `text` and as which number, if it is what that author wrote on `channel`.
    pub fn read(&self, channel: usize, text: &str) -> Option<(usize, u32)> {
        let mut words = text.splitn(4, ' ');
        let author = words.next()?.parse().ok()?;
        let there: usize = words.next()?.parse().ok()?;
        let number = words.next()?.parse().ok()?;
        (there == channel && self.text(author, channel, number) == text).then_some((author, number))
    }
}

/// Somebody who publishes.
#[derive(Debug)]
pub struct Author<'a> {
    pub book: &'a Book,
    id: usize,
    next: Vec<u32>,
    turn: usize,
}

impl<'a> Author<'a> {
    /// Every author of a book has an `id` of its own.
    pub fn new(book: &'a Book, id: usize) -> Author<'a> {
        Author { book, id, next: vec![0; book.channels()], turn: id }
    }

    /// The next message, and its channel: each has its turn.
    pub fn write(&mut self) -> (usize, String) {
        let channel = self.turn % self.book.channels();
        self.turn += 1;
        let number = self.next[channel];
        self.next[channel] += 1;
        self.book.begin(channel);
        (channel, self.book.text(self.id, channel, number))
    }
}
