//! One reader's account of one channel: what it was given must be everything, once and in order.

use super::book::{Author, Book};
use std::ops::Range;

/// What went wrong, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never came.
    pub lost: u64,
    /// Came again.
    pub repeated: u64,
    /// Came after a later one, or after a later one of the same author.
    pub disordered: u64,
    /// Was not what its author wrote.
    pub garbled: u64,
    /// In words, the first of them.
    pub first: Option<String>,
}

impl Faults {
    pub fn add(&mut self, other: &Faults) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.disordered += other.disordered;
        self.garbled += other.garbled;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }

    fn say(&mut self, text: impl FnOnce() -> String) {
        self.first.get_or_insert_with(text);
    }
}

/// A place on a channel: after a gap of unknown width, it is anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Offset(u64),
    Anywhere,
}

/// The account.
#[derive(Debug)]
pub struct Ledger {
    pub channel: usize,
    epoch: String,
    next: Next,
    /// What was passed over and may yet come late.
    holes: Vec<Range<u64>>,
    /// The number that each author's next message must have, as far as it is known.
    authors: Vec<Option<u32>>,
    pub received: u64,
    /// Messages that notices of gaps said are missing.
    pub told: u64,
    /// Notices of gaps.
    pub notices: u64,
    faults: Faults,
}

impl Ledger {
    /// For a reader that begins with the channel's first message.
    pub fn new(channel: usize) -> Ledger {
        Ledger {
            channel,
            epoch: String::new(),
            next: Next::Offset(1),
            holes: Vec::new(),
            authors: Vec::new(),
            received: 0,
            told: 0,
            notices: 0,
            faults: Faults::default(),
        }
    }

    /// A message came.
    pub fn message(&mut self, book: &Book, id: &str, text: &str) {
        self.received += 1;
        let Some(offset) = self.place(id) else { return };
        book.heard(self.channel, offset);
        if self.next == Next::Anywhere {
            self.check_let_go(book, offset - 1);
        }
        let Some((author, number)) = book.read(self.channel, text) else {
            self.faults.garbled += 1;
            return self.faults.say(|| format!("{id} says {text:?}"));
        };
        if self.step(offset) {
            self.heard(id, author, number);
        }
    }

    /// The reader was told that it missed messages: so many, if it was told that. `id` is where it is now.
    pub fn gap(&mut self, book: &Book, id: &str, missed: Option<u64>) {
        self.notices += 1;
        self.authors.fill(None);
        let Some(missed) = missed else {
            self.next = Next::Anywhere;
            self.epoch.clear();
            if let Some(offset) = self.place(id) {
                self.next = Next::Offset(offset + 1);
            }
            return;
        };
        self.told += missed;
        let Some(offset) = self.place(id) else { return };
        if let Next::Offset(next) = self.next
            && next + missed != offset + 1
        {
            self.faults.lost += 1;
            self.faults.say(|| format!("{missed} are said to be missing between {next} and {id}"));
        }
        self.next = Next::Offset(offset + 1);
        self.check_let_go(book, offset);
    }

    /// The last message that a gap passed over was let go by its channel.
    fn check_let_go(&mut self, book: &Book, offset: u64) {
        if offset > 0 && book.must_be_kept(self.channel, offset) {
            self.faults.lost += 1;
            self.faults.say(|| format!("a gap up to {offset} passed over what its channel still has"));
        }
    }

    /// The reader was told that it missed messages, and not where.
    pub fn gap_somewhere(&mut self) {
        self.notices += 1;
        self.authors.fill(None);
        self.epoch.clear();
        self.next = Next::Anywhere;
    }

    /// How many messages of the channel this reader has got or was told of.
    pub fn reached(&self) -> u64 {
        match self.next {
            Next::Offset(next) => next - 1,
            Next::Anywhere => 0,
        }
    }

    /// What went wrong, if `published` messages were published in all.
    pub fn faults(&self, published: u64) -> Faults {
        let mut faults = self.faults.clone();
        faults.lost +=
            self.holes.iter().map(|hole| hole.end - hole.start).sum::<u64>() + published.saturating_sub(self.reached());
        faults
    }

    /// The offset in `id`, whose epoch must be the one known.
    fn place(&mut self, id: &str) -> Option<u64> {
        let parts = id.rsplit_once('-').and_then(|(epoch, offset)| Some((epoch, offset.parse().ok()?)));
        let Some((epoch, offset)) = parts else {
            self.faults.garbled += 1;
            self.faults.say(|| format!("{id:?} is no id"));
            return None;
        };
        if self.epoch.is_empty() {
            self.epoch = epoch.into();
        } else if self.epoch != epoch {
            self.faults.lost += 1;
            let before = std::mem::replace(&mut self.epoch, epoch.into());
            self.faults.say(|| format!("{id} follows epoch {before} without a word"));
        }
        Some(offset)
    }

    /// Whether this offset comes where it should.
    fn step(&mut self, offset: u64) -> bool {
        let next = match self.next {
            Next::Offset(next) => next,
            Next::Anywhere => offset,
        };
        if offset >= next {
            if offset > next {
                self.holes.push(next..offset);
                self.faults.say(|| format!("offset {offset} came where {next} was due"));
            }
            self.next = Next::Offset(offset + 1);
            return offset == next;
        }
        match self.holes.iter().position(|hole| hole.contains(&offset)) {
            None => self.faults.repeated += 1,
            Some(found) => {
                let hole = self.holes.swap_remove(found);
                self.holes.extend([hole.start..offset, offset + 1..hole.end].into_iter().filter(|hole| !hole.is_empty()));
                self.faults.disordered += 1;
            }
        }
        self.faults.say(|| format!("offset {offset} came where {next} was due"));
        false
    }

    fn heard(&mut self, id: &str, author: usize, number: u32) {
        if self.authors.len() <= author {
            // Whoever reads from the first message on knows everybody's first number.
            let first = (self.notices == 0).then_some(0);
            self.authors.resize(author + 1, first);
        }
        if self.authors[author].is_some_and(|due| due != number) {
            self.faults.disordered += 1;
            self.faults.say(|| format!("{id} is number {number} of author {author}, due was {:?}", self.authors[author]));
        }
        self.authors[author] = Some(number + 1);
    }
}

#[test]
fn an_account_tells_lost_repeated_disordered_and_garbled_apart() {
    let book = Book::new(1, 9);
    let faults = |offsets: &[u64]| {
        let mut ledger = Ledger::new(0);
        for &offset in offsets {
            ledger.message(&book, &format!("e-{offset}"), &book.text(0, 0, offset as u32 - 1));
        }
        let Faults { lost, repeated, disordered, garbled, .. } = ledger.faults(5);
        (lost, repeated, disordered, garbled)
    };
    assert_eq!(faults(&[1, 2, 3, 4, 5]), (0, 0, 0, 0));
    assert_eq!(faults(&[1, 2, 3]), (2, 0, 0, 0));
    assert_eq!(faults(&[1, 2, 2, 3, 4, 5]), (0, 1, 0, 0));
    assert_eq!((faults(&[1, 3, 2, 4, 5]).0, faults(&[1, 3, 4, 5]).0), (0, 1));
    assert_ne!(faults(&[1, 3, 2, 4, 5]).2, 0);
    let mut ledger = Ledger::new(0);
    ledger.message(&book, "e-1", "0 0 0 something else");
    assert_eq!(ledger.faults(1).garbled, 1);
    ledger.message(&book, "e-1", &book.text(0, 0, 0));
    ledger.gap(&book, "e-4", Some(3));
    ledger.message(&book, "f-5", &book.text(0, 0, 4));
    assert_eq!(ledger.faults(5).lost, 1, "another epoch was not told");
}

#[test]
fn a_gap_in_place_of_what_is_still_kept_is_a_fault() {
    for (keeps, lost) in [(1, 0), (2, 1)] {
        let book = Book::new(1, 9).keeping(keeps);
        let mut author = Author::new(&book, 0);
        let texts: Vec<String> = (0..3).map(|_| author.write().1).collect();
        let mut ledger = Ledger::new(0);
        ledger.gap(&book, "e-2", Some(2));
        ledger.message(&book, "e-3", &texts[2]);
        assert_eq!(ledger.faults(3).lost, lost, "of three, {keeps} are kept");
    }
}
