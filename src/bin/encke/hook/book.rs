//! What the hook knows without asking: verdicts that still hold, questions under way, and whether the application answers.
//!
//! ```text
//! closed --so many failures in a row--> open --an answer--> closed
//!                                       open: one question goes out each pause, the others get the default at once
//! ```
//! It is told the time, and asks nobody. Invariants: of questions that are the same, one is under way; a verdict holds for no
//! longer than the operator said, and there are no more than `VERDICTS_MAX` of them.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How many verdicts are kept; the oldest go first.
const VERDICTS_MAX: usize = 10_000;
/// How many questions may wait for the answers to others. A server forgets those that have waited for long, and this does not
/// hear of it.
const WAITING_MAX: usize = 65_536;
/// After so many failures in a row, the application is taken to be away.
const FAILURES_MAX: u32 = 5;
/// How often it is tried then.
const PAUSE: Duration = Duration::from_secs(5);

/// What a question is about, as a digest: channel, and whatever the application may go by.
pub type Key = [u8; 32];

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is answered.
    Verdict(bool),
    /// The application is away: the default answers it.
    Default,
    /// The application is to be asked.
    Ask,
    /// The application is being asked the same for somebody else.
    Wait,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// The application does not answer any more.
    Gone,
    /// It answers again; so many questions got the default meanwhile.
    Back(u64),
}

#[derive(Debug)]
pub struct Book {
    /// How long a verdict holds.
    life: Duration,
    verdicts: HashMap<Key, bool>,
    /// The same, in the order of their ends.
    order: VecDeque<(Instant, Key)>,
    under_way: HashMap<Key, Vec<u64>>,
    /// How many questions those are.
    waiting: usize,
    /// The one question that goes out while the application is away.
    trial: Option<Key>,
    failures: u32,
    /// While the application is away: when to try it next.
    next_try: Option<Instant>,
    defaulted: u64,
}

impl Book {
    pub fn new(life: Duration) -> Book {
        Book {
            life,
            verdicts: HashMap::new(),
            order: VecDeque::new(),
            under_way: HashMap::new(),
            waiting: 0,
            trial: None,
            failures: 0,
            next_try: None,
            defaulted: 0,
        }
    }

    /// A question has come.
    pub fn put(&mut self, key: Key, question: u64, now: Instant) -> Step {
        self.forget(now);
        if let Some(allow) = self.verdicts.get(&key) {
            return Step::Verdict(*allow);
        }
        if self.waiting >= WAITING_MAX {
            return Step::Default;
        }
        if let Some(questions) = self.under_way.get_mut(&key) {
            questions.push(question);
            self.waiting += 1;
            return Step::Wait;
        }
        match self.next_try {
            Some(next) if now < next => {
                self.defaulted += 1;
                return Step::Default;
            }
            Some(_) => (self.next_try, self.trial) = (Some(now + PAUSE), Some(key)),
            None => {}
        }
        self.waiting += 1;
        self.under_way.insert(key, vec![question]);
        Step::Ask
    }

    /// The application has answered, or `None`, it has not: these questions wait for that.
    pub fn take(&mut self, key: &Key, outcome: Option<bool>, now: Instant) -> (Vec<u64>, Change) {
        self.forget(now);
        let questions = self.release(key);
        self.trial.take_if(|trial| trial == key);
        let change = match outcome {
            Some(allow) => {
                self.keep(*key, allow, now);
                self.answered()
            }
            None => self.failed(questions.len(), now),
        };
        (questions, change)
    }

    /// There was no room to ask: the questions that wait for it, which say nothing of the application.
    pub fn drop_unasked(&mut self, key: &Key) -> Vec<u64> {
        self.release(key)
    }

    /// Its turn has come, and the application is away: the questions that wait for it, if it is not the one that tries.
    pub fn give_up(&mut self, key: &Key) -> Option<Vec<u64>> {
        if self.next_try.is_none() || self.trial == Some(*key) {
            return None;
        }
        let questions = self.release(key);
        self.defaulted += questions.len() as u64;
        Some(questions)
    }

    fn release(&mut self, key: &Key) -> Vec<u64> {
        let questions = self.under_way.remove(key).unwrap_or_default();
        self.waiting -= questions.len();
        questions
    }

    fn answered(&mut self) -> Change {
        self.failures = 0;
        match self.next_try.take() {
            Some(_) => Change::Back(std::mem::take(&mut self.defaulted)),
            None => Change::Nothing,
        }
    }

    fn failed(&mut self, questions: usize, now: Instant) -> Change {
        self.failures = self.failures.saturating_add(1);
        if self.next_try.is_some() {
            self.defaulted += questions as u64;
            return Change::Nothing;
        }
        if self.failures < FAILURES_MAX {
            return Change::Nothing;
        }
        self.next_try = Some(now + PAUSE);
        Change::Gone
    }

    fn keep(&mut self, key: Key, allow: bool, now: Instant) {
        if self.life.is_zero() {
            return;
        }
        if self.order.len() >= VERDICTS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
        let end = now + self.life;
        self.verdicts.insert(key, allow);
        self.order.push_back((end, key));
    }

    /// Verdicts that hold no more.
    fn forget(&mut self, now: Instant) {
        while let Some((end, key)) = self.order.front().copied()
            && end <= now
        {
            self.order.pop_front();
            self.verdicts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: u16) -> Key {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn a_verdict_holds_for_its_time_and_for_its_question_alone() {
        let (mut book, now) = (Book::new(10 * SECOND), Instant::now());
        assert_eq!(book.put(key(1), 1, now), Step::Ask);
        assert_eq!(book.take(&key(1), Some(false), now), (vec![1], Change::Nothing));
        assert_eq!(book.put(key(1), 2, now + 9 * SECOND), Step::Verdict(false));
        assert_eq!(book.put(key(2), 3, now + 9 * SECOND), Step::Ask);
        assert_eq!(book.put(key(1), 4, now + 10 * SECOND), Step::Ask);
        let mut forgetful = Book::new(Duration::ZERO);
        for question in 0..2 {
            assert_eq!(forgetful.put(key(1), question, now), Step::Ask);
            forgetful.take(&key(1), Some(true), now);
        }
    }

    #[test]
    fn what_is_being_asked_is_not_asked_again() {
        let (mut book, now) = (Book::new(SECOND), Instant::now());
        assert_eq!(book.put(key(1), 1, now), Step::Ask);
        assert_eq!([book.put(key(1), 2, now), book.put(key(1), 3, now)], [Step::Wait; 2]);
        assert_eq!(book.take(&key(1), None, now).0, [1, 2, 3]);
        assert_eq!(book.put(key(1), 4, now), Step::Ask, "a failure is no verdict");
        assert_eq!(book.drop_unasked(&key(1)), [4]);
        assert!(book.take(&key(1), Some(true), now).0.is_empty());
    }

    #[test]
    fn an_application_that_is_away_is_tried_now_and_then() {
        let (mut book, now) = (Book::new(SECOND), Instant::now());
        let fail = |book: &mut Book, number: u16, now| {
            assert_eq!(book.put(key(number), 0, now), Step::Ask);
            book.take(&key(number), None, now).1
        };
        for number in 1..FAILURES_MAX as u16 {
            assert_eq!(fail(&mut book, number, now), Change::Nothing);
        }
        assert_eq!(fail(&mut book, 9, now), Change::Gone);
        assert_eq!([book.put(key(10), 0, now), book.put(key(11), 0, now + PAUSE - SECOND)], [Step::Default; 2]);
        assert_eq!(fail(&mut book, 12, now + PAUSE), Change::Nothing, "that is told once");
        assert_eq!(book.put(key(13), 0, now + PAUSE), Step::Default);
        let later = now + 2 * PAUSE;
        assert_eq!(book.put(key(14), 0, later), Step::Ask);
        assert_eq!(book.put(key(15), 0, later), Step::Default, "one goes out at a time");
        assert_eq!(book.take(&key(14), Some(true), later).1, Change::Back(5));
        assert_eq!([book.put(key(14), 0, later), book.put(key(15), 0, later)], [Step::Verdict(true), Step::Ask]);
        for number in 20..19 + FAILURES_MAX as u16 {
            assert_eq!(fail(&mut book, number, later), Change::Nothing, "they are counted anew");
        }
    }

    #[test]
    fn what_waits_for_its_turn_when_the_application_goes_away_is_given_up() {
        let (mut book, now) = (Book::new(SECOND), Instant::now());
        for number in 0..=FAILURES_MAX as u16 {
            assert_eq!(book.put(key(number), u64::from(number), now), Step::Ask);
        }
        let last = key(FAILURES_MAX as u16);
        for number in 0..FAILURES_MAX as u16 {
            assert_eq!(book.give_up(&key(number)), None);
            book.take(&key(number), None, now);
        }
        assert_eq!(book.put(last, 9, now), Step::Wait);
        assert_eq!(book.give_up(&last), Some(vec![u64::from(FAILURES_MAX), 9]));
        assert_eq!(book.put(key(10), 0, now + PAUSE), Step::Ask);
        assert_eq!(book.give_up(&key(10)), None, "it is the one that tries");
        assert_eq!((book.take(&key(10), Some(true), now + PAUSE).1, book.waiting), (Change::Back(2), 0));
    }

    #[test]
    fn no_more_questions_wait_than_may() {
        let (mut book, now) = (Book::new(SECOND), Instant::now());
        assert_eq!(book.put(key(1), 0, now), Step::Ask);
        for question in 1..WAITING_MAX as u64 {
            assert_eq!(book.put(key(1), question, now), Step::Wait);
        }
        assert_eq!([book.put(key(1), 0, now), book.put(key(2), 0, now)], [Step::Default; 2]);
        assert_eq!(book.take(&key(1), None, now).0.len(), WAITING_MAX);
        assert_eq!(book.put(key(2), 0, now), Step::Ask);
    }

    #[test]
    fn the_oldest_verdict_makes_room() {
        let (mut book, now) = (Book::new(SECOND), Instant::now());
        for number in 0..=VERDICTS_MAX as u16 {
            assert_eq!(book.put(key(number), 0, now), Step::Ask);
            book.take(&key(number), Some(true), now);
        }
        assert_eq!((book.verdicts.len(), book.order.len()), (VERDICTS_MAX, VERDICTS_MAX));
        assert_eq!([book.put(key(1), 0, now), book.put(key(0), 0, now)], [Step::Verdict(true), Step::Ask]);
    }
}
