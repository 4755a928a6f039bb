//! Where messages lie until the writer takes them, and who waits to hear what became of them.
//!
//! Messages are counted as they are given. A flush is such a count: its frame carries it as the cookie, and the
//! server's answer means that so many messages are taken. So an answer to one flush is an answer to all that count
//! less, and a flush that is asked twice does no harm.
//!
//! `settled <= written <= given`: what is settled was confirmed, or is counted as doubtful.

use crate::base::error::Error;
use crate::base::frame::{self, Flushed};
use crate::base::payload::Parts;

/// Bytes that may lie here, and as many may be on their way; one message always fits an empty desk.
const BYTES_MAX: usize = 8 << 20;
const MESSAGES_MAX: usize = 1 << 18;

/// What is shared by those who publish and the writer.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Whole frames.
    bytes: Vec<u8>,
    /// How many of them are messages.
    count: usize,
    /// Messages given since the beginning.
    given: u64,
    settled: u64,
    /// The writer sleeps and wants to be woken for the next message.
    asleep: bool,
    stopped: bool,
    /// The writer is gone.
    ended: bool,
    waiting: Vec<Waiting>,
    tickets: u64,
    /// The count of the flush that is the last frame of `bytes`, if one is.
    asked: Option<u64>,
    /// What is to be told with the next flush.
    doubtful: u64,
    refused: u64,
    first_refusal: String,
}

/// A flush.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    /// How many messages were given before it.
    count: u64,
    outcome: Option<Outcome>,
}

/// What became of the messages before a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    Refused(String),
    Lost(String),
    Closed,
}

impl Desk {
    /// Takes a message.
    pub(super) fn give(&mut self, parts: &Parts<'_>) -> Result<(), Error> {
        if self.stopped {
            return Err(Error::Closed);
        }
        let fits = self.bytes.len() + frame::len(parts) <= BYTES_MAX && self.count < MESSAGES_MAX;
        if !self.bytes.is_empty() && !fits {
            return Err(Error::Full);
        }
        frame::write(&mut self.bytes, parts).map_err(|why| Error::Invalid(why.into()))?;
        self.count += 1;
        self.given += 1;
        self.asked = None;
        Ok(())
    }

    /// Asks what becomes of all messages so far; the ticket is for [`Desk::outcome`].
    pub(super) fn ask(&mut self) -> Result<u64, Error> {
        if self.stopped {
            return Err(Error::Closed);
        }
        if self.is_unsettled() && self.asked != Some(self.given) {
            self.asked = Some(self.given);
            frame::write_flush(&mut self.bytes, self.given.to_le_bytes());
        }
        self.tickets += 1;
        self.waiting.push(Waiting { ticket: self.tickets, count: self.given, outcome: None });
        // With nothing left open there is nobody to ask, and perhaps no server any more.
        if self.doubtful > 0 || !self.is_unsettled() {
            self.tell(|_| true);
        }
        Ok(self.tickets)
    }

    /// What came of a flush, once it is known; the ticket is used up then.
    pub(super) fn outcome(&mut self, ticket: u64) -> Option<Outcome> {
        let place = self.waiting.iter().position(|waiting| waiting.ticket == ticket && waiting.outcome.is_some())?;
        self.waiting.swap_remove(place).outcome
    }

    /// Nobody waits for this flush any more. What it would have told, the next one tells.
    pub(super) fn give_up(&mut self, ticket: u64) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
    }

    /// Whether the writer has to be woken; from here on somebody does.
    pub(super) fn rouse(&mut self) -> bool {
        std::mem::take(&mut self.asleep)
    }

    /// The writer goes to sleep, unless something lies here.
    pub(super) fn sleep(&mut self) -> bool {
        self.asleep = self.bytes.is_empty();
        self.asleep
    }

    /// Moves all that lies here into `batch`, which is empty, and returns how many messages that was. With `confirm`
    /// the server is asked to confirm what it has not confirmed so far.
    pub(super) fn take(&mut self, batch: &mut Vec<u8>, confirm: bool) -> usize {
        debug_assert!(batch.is_empty());
        std::mem::swap(&mut self.bytes, batch);
        if self.bytes.capacity() > BYTES_MAX {
            self.bytes = Vec::new();
        }
        if confirm && self.asked != Some(self.given) {
            frame::write_flush(batch, self.given.to_le_bytes());
        }
        self.asked = None;
        std::mem::take(&mut self.count)
    }

    /// Whether messages were given that are neither confirmed nor doubtful.
    pub(super) fn is_unsettled(&self) -> bool {
        self.settled < self.given
    }

    /// The server has answered a flush.
    pub(super) fn answered(&mut self, flushed: &Flushed<'_>) {
        let count = u64::from_le_bytes(flushed.cookie);
        self.settled = self.settled.max(count.min(self.given));
        if flushed.refused > 0 && self.refused == 0 {
            self.first_refusal = String::from_utf8_lossy(flushed.first).into_owned();
        }
        self.refused += u64::from(flushed.refused);
        self.tell(|waiting| waiting.count <= count);
    }

    /// The connection broke, and `unwritten` messages are with the writer that the next one will be given. Whoever
    /// asked about others hears now that they are in doubt, so nothing needs to be asked again.
    pub(super) fn broken(&mut self, unwritten: usize) {
        let written = self.given - (self.count + unwritten) as u64;
        self.doubtful += written.saturating_sub(self.settled);
        self.settled = self.settled.max(written);
        if self.doubtful > 0 {
            self.tell(|_| true);
        }
        debug_assert!(self.waiting.iter().all(|waiting| waiting.outcome.is_some() || waiting.count > written));
    }

    /// Nothing is taken or told any more.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.outcome.is_none()) {
            waiting.outcome = Some(Outcome::Closed);
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The writer goes, for whatever reason.
    pub(super) fn end(&mut self) {
        self.stop();
        self.ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Tells those of the waiting that `whom` picks what is known; that is told then, if there is anybody.
    fn tell(&mut self, whom: impl Fn(&Waiting) -> bool) {
        let outcome = if self.doubtful > 0 {
            Outcome::Lost(format!("the connection broke, and {} messages may not have arrived", self.doubtful))
        } else if self.refused > 0 {
            Outcome::Refused(format!("{} messages were refused, the first: {}", self.refused, self.first_refusal))
        } else {
            Outcome::Taken
        };
        let mut told = false;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.outcome.is_none() && whom(waiting)) {
            waiting.outcome = Some(outcome.clone());
            told = true;
        }
        match outcome {
            Outcome::Lost(_) if told => self.doubtful = 0,
            Outcome::Refused(_) if told => self.refused = 0,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(desk: &mut Desk, count: usize, data: &[u8]) -> Result<(), Error> {
        let parts = Parts { channel: "/a", content_type: "", event: "", data, unix_ms: 0 };
        (0..count).try_for_each(|_| desk.give(&parts))
    }

    fn answer(desk: &mut Desk, count: u64, refused: u32) {
        desk.answered(&Flushed { cookie: count.to_le_bytes(), refused, first: b"{}" });
    }

    #[test]
    fn an_answer_is_for_all_who_asked_before() {
        let mut desk = Desk::default();
        give(&mut desk, 2, b"x").expect("room");
        let (first, second) = (desk.ask().expect("open"), desk.ask().expect("open"));
        give(&mut desk, 1, b"x").expect("room");
        let third = desk.ask().expect("open");
        assert_eq!(desk.take(&mut Vec::new(), false), 3);
        answer(&mut desk, 2, 0);
        assert_eq!([first, second, third].map(|ticket| desk.outcome(ticket)), [Some(Outcome::Taken), Some(Outcome::Taken), None]);
        assert!(desk.is_unsettled());
        answer(&mut desk, 3, 0);
        assert_eq!(desk.outcome(third), Some(Outcome::Taken));
        assert!(!desk.is_unsettled());
    }

    #[test]
    fn a_question_that_lies_there_is_not_asked_twice() {
        let mut desk = Desk::default();
        for _ in 0..100 {
            let ticket = desk.ask().expect("open");
            desk.give_up(ticket);
        }
        let mut batch = Vec::new();
        desk.take(&mut batch, true);
        assert_eq!(batch.len(), frame::HEAD_BYTES + 8);
    }

    #[test]
    fn refusals_and_doubts_are_told_once_and_not_forgotten_when_nobody_waits() {
        let mut desk = Desk::default();
        give(&mut desk, 5, b"x").expect("room");
        answer(&mut desk, 2, 1);
        assert_eq!(desk.take(&mut Vec::new(), false), 5);
        desk.broken(1);
        let ticket = desk.ask().expect("open");
        let Some(Outcome::Lost(text)) = desk.outcome(ticket) else { panic!("two of five are in doubt") };
        assert!(text.contains(" 2 messages"), "{text}");
        let ticket = desk.ask().expect("open");
        answer(&mut desk, 5, 2);
        let Some(Outcome::Refused(text)) = desk.outcome(ticket) else { panic!("three were refused") };
        assert!(text.contains("3 messages") && text.contains("{}"), "{text}");
        let ticket = desk.ask().expect("open");
        answer(&mut desk, 5, 0);
        assert_eq!(desk.outcome(ticket), Some(Outcome::Taken));
    }

    #[test]
    fn a_question_about_what_is_known_is_answered_at_once() {
        let mut desk = Desk::default();
        let first = desk.ask().expect("open");
        assert_eq!(desk.outcome(first), Some(Outcome::Taken), "there was nothing to take");
        give(&mut desk, 2, b"x").expect("room");
        desk.take(&mut Vec::new(), false);
        answer(&mut desk, 2, 0);
        desk.broken(0);
        let settled = desk.ask().expect("open");
        assert_eq!(desk.outcome(settled), Some(Outcome::Taken), "that connection had told");
        assert!(desk.bytes.is_empty(), "and nobody is asked");
    }

    #[test]
    fn a_question_that_may_be_lost_is_answered_with_doubt_and_one_on_its_way_stays() {
        let mut desk = Desk::default();
        give(&mut desk, 2, b"x").expect("room");
        let lost = desk.ask().expect("open");
        desk.take(&mut Vec::new(), false);
        give(&mut desk, 1, b"x").expect("room");
        let stays = desk.ask().expect("open");
        desk.broken(0);
        assert!(matches!(desk.outcome(lost), Some(Outcome::Lost(_))));
        assert!(matches!(desk.outcome(stays), Some(Outcome::Lost(_))), "it counts them too");
        let next = desk.ask().expect("open");
        desk.broken(1);
        assert_eq!(desk.outcome(next), None, "its message is kept");
    }

    #[test]
    fn a_full_desk_takes_nothing_and_an_empty_one_any_message() {
        let mut desk = Desk::default();
        let large = vec![0; BYTES_MAX];
        give(&mut desk, 1, &large).expect("it is empty");
        assert!(matches!(give(&mut desk, 1, b""), Err(Error::Full)));
        desk.take(&mut Vec::new(), false);
        give(&mut desk, MESSAGES_MAX, b"").expect("room");
        assert!(matches!(give(&mut desk, 1, b""), Err(Error::Full)));
    }

    #[test]
    fn after_the_end_nothing_is_taken_and_nobody_waits() {
        let mut desk = Desk::default();
        give(&mut desk, 1, b"x").expect("room");
        let ticket = desk.ask().expect("open");
        desk.stop();
        assert_eq!(desk.outcome(ticket), Some(Outcome::Closed));
        assert!(matches!(give(&mut desk, 1, b""), Err(Error::Closed)));
        assert!(matches!(desk.ask(), Err(Error::Closed)));
    }
}
