//! What is published: every message says who wrote it, where, and as which, so that whoever reads it can tell.

use std::sync::atomic::{AtomicU64, Ordering};

/// The channels of a test and how much was published to each.
#[derive(Debug)]
pub struct Book {
    names: Vec<String>,
    published: Vec<AtomicU64>,
    filler: usize,
}

impl Book {
    /// So many channels; messages carry up to `filler` letters beside what they say.
    pub fn new(channels: usize, filler: usize) -> Book {
        let names = (0..channels).map(|channel| format!("/it/{channel}")).collect();
        let published = (0..channels).map(|_| AtomicU64::new(0)).collect();
        Book { names, published, filler }
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
        (channel, self.book.text(self.id, channel, number))
    }
}
