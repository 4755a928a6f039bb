//! The ways of publishing. What an author hands over counts in its book once the server has said that it took it.

use super::DEADLINE;
use super::book::Author;
use super::frames::Frames;
use super::wire::{Response, Wire, post};
use encke::{Error, Publisher, Remote};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Requests sent before their answers are read.
const PIPELINED: usize = 32;

/// From a thread of the server's own process.
pub fn in_process(publisher: &Publisher, author: &mut Author, count: usize) {
    for _ in 0..count {
        let (channel, text) = author.write();
        while let Err(error) = publisher.publish(author.book.name(channel), text.as_bytes()) {
            assert!(matches!(error, Error::Full), "{error}");
            std::thread::yield_now();
        }
        author.book.note(channel, 1);
    }
}

/// By HTTP, several requests on their way at a time.
pub fn pipelined(address: SocketAddr, author: &mut Author, count: usize) {
    let mut wire = Wire::connect(address);
    let mut left = count;
    while left > 0 {
        let messages: Vec<(usize, String)> = (0..left.min(PIPELINED)).map(|_| author.write()).collect();
        let requests: Vec<String> =
            messages.iter().map(|(channel, text)| post(author.book.name(*channel), "text/plain", text)).collect();
        wire.send(requests.concat());
        for (channel, _) in &messages {
            let answer = wire.response();
            assert_eq!(answer.status(), 200, "{}", answer.text());
            author.book.note(*channel, 1);
        }
        left -= messages.len();
    }
}

/// By HTTP, `size` messages in each request.
pub fn batched(address: SocketAddr, author: &mut Author, count: usize, size: usize) {
    let mut wire = Wire::connect(address);
    let mut left = count;
    while left > 0 {
        let size = left.min(size);
        batch(&mut wire, author, size);
        left -= size;
    }
}

/// At an even pace while it goes on, `size` messages in each request. What a busy machine delays is made up for.
pub fn paced(address: SocketAddr, author: &mut Author, per_second: u32, size: u32, goes_on: impl Fn() -> bool) {
    let mut wire = Wire::connect(address);
    let start = Instant::now();
    let mut number = 0;
    while goes_on() {
        let due = Duration::from_secs(1) * number * size / per_second;
        match due.checked_sub(start.elapsed()).filter(|early| !early.is_zero()) {
            Some(early) => thread::park_timeout(early),
            None => {
                batch(&mut wire, author, size as usize);
                number += 1;
            }
        }
    }
}

/// One request with so many messages.
pub fn batch(wire: &mut Wire, author: &mut Author, size: usize) {
    let messages: Vec<(usize, String)> = (0..size).map(|_| author.write()).collect();
    let line = |(channel, text): &(usize, String)| {
        format!("{}\n", serde_json::json!({ "channel": author.book.name(*channel), "data": text }))
    };
    let lines: String = messages.iter().map(line).collect();
    wire.send(post("", "application/x-ndjson", &lines));
    let answer: Response = wire.response();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.member("messages").as_array().map(Vec::len), Some(size));
    for (channel, _) in &messages {
        author.book.note(*channel, 1);
    }
}

/// By frames on the control socket, a hundred in a send and a thousand to a flush.
pub fn framed(mut frames: Frames, author: &mut Author, count: usize) {
    let mut sent = Vec::new();
    for number in 1..=count {
        let (channel, text) = author.write();
        frames.message(author.book.name(channel), &text);
        sent.push(channel);
        if number % 1_000 == 0 || number == count {
            let flushed = frames.flush();
            assert_eq!(flushed.refused, 0, "{}", flushed.first);
            sent.drain(..).for_each(|channel| author.book.note(channel, 1));
        } else if number % 100 == 0 {
            frames.send();
        }
    }
}

/// By the library, from another process as it were.
pub fn remote(remote: &Remote, author: &mut Author, count: usize) {
    for _ in 0..count {
        let (channel, text) = author.write();
        while let Err(error) = remote.publish(author.book.name(channel), text.as_bytes()) {
            assert!(matches!(error, Error::Full), "{error}");
            std::thread::yield_now();
        }
        author.book.note(channel, 1);
    }
    remote.flush(DEADLINE).expect("all are taken");
}
