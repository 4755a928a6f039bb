//! Framed streams: programs elsewhere publish without an answer to each message.
//!
//! Frames are taken as fast as their homes take them. While the box toward a home is full, the stream that has a
//! message for it is left unread, so that its publisher's socket fills and the publisher finds out; nothing is
//! lost on the way, and nothing is kept here but one receive and an unfinished frame. The end of a stream counts only
//! when every whole frame before it is taken.
//!
//! A flush is a barrier behind the messages on their way to each home. A home counts what it refused, and its answer
//! to the next barrier says how much that was.

use super::deadlines::NEVER_MS;
use super::{Asker, Engine, Output, PeerMessage};
use crate::base::door::Door;
use crate::base::error::Reject;
use crate::base::frame::Flushed;
use crate::base::id::Token;
use crate::base::payload::Message;
use crate::base::time::Now;
use crate::conn::{Flags, Framed, State};
use crate::protocol::framed::{self, Said};
use crate::protocol::plain::{self, reply};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes of answers collected before a publisher has to take some of them.
const OUT_BYTES_MAX: usize = 64 << 10;

/// A server that stops still takes what a publisher has sent: as long as more comes within this time.
const QUIET_MS: u64 = 100;

/// The streams that wait for room in the box toward a shard.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    line: VecDeque<(Token, u16)>,
    /// How many of them are still to be looked at in this turn.
    left: usize,
}

impl Stalled {
    pub(super) fn begin_turn(&mut self) {
        self.left = self.line.len();
    }
}

/// How many messages this home refused, by the streams of other shards that they came from, until a barrier asks.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<(u16, u64), u32>);

impl Refusals {
    fn add(&mut self, asker: Asker) {
        *self.0.entry((asker.shard, asker.token.to_u64())).or_default() += 1;
    }

    pub(super) fn take(&mut self, asker: Asker) -> u32 {
        self.0.remove(&(asker.shard, asker.token.to_u64())).unwrap_or_default()
    }
}

/// Why a home keeps a message not.
fn why_not_kept(frozen: bool) -> Reject {
    if frozen { reply::stopping() } else { reply::too_many_channels() }
}

/// What became of the front of a stream.
enum Step {
    /// So many bytes of it were taken.
    Took(usize),
    /// It is not whole.
    Partial,
    /// There is no room for it at this shard.
    Full(u16),
    /// Its publisher has to take answers first.
    Waits,
    /// It makes no sense.
    Broken,
}

impl Engine {
    /// Whether a stream of frames begins here, where a request would.
    pub(super) fn begins_framed(&self, index: u32, input: &[u8]) -> bool {
        self.slots[index].door == Door::Control && input.first() == Some(&0)
    }

    /// The preface has begun; it may take as long as a head.
    pub(super) fn begin_framed(&mut self, now: Now, index: u32) {
        let shards = self.shards;
        self.slots.turn(index, State::Framed);
        self.slots[index].rest().framed = Some(Box::new(Framed::new(shards)));
        self.end_state_after(now.tick, index, self.durations.head);
    }

    /// A request asks to become a framed stream, and may.
    pub(super) fn accept_frames(&mut self, now: Now, index: u32) {
        let date = self.calendar.date(now);
        plain::reply::frames_follow(self.slots[index].out(), date);
        self.enqueue(index);
        self.begin_framed(now, index);
    }

    /// Whether what this connection has sent is taken even when it can be told nothing any more.
    pub fn hears_out(&self, token: Token) -> bool {
        self.slots.live(token).is_some_and(|index| self.slots[index].state == State::Framed)
    }

    /// Bytes came on a framed stream, or what came before may be gone on with, or it has ended.
    pub(super) fn heard_frames(&mut self, now: Now, index: u32, fresh: &[u8]) {
        let rest = self.slots[index].rest();
        let mut kept = std::mem::take(&mut rest.inbox);
        let Some(mut framed) = rest.framed.take() else { return };
        if !kept.is_empty() {
            kept.extend_from_slice(fresh);
        }
        let input = if kept.is_empty() { fresh } else { &kept };
        let mut used = 0;
        let end = loop {
            match self.take_frame(now, index, &mut framed, &input[used..]) {
                Step::Took(count) => used += count,
                end => break end,
            }
        };
        self.answer_flushes(index, &mut framed);
        let token = self.slots.token(index);
        if let Step::Full(shard) = end
            && !std::mem::replace(&mut framed.stalled, true)
        {
            self.stalled.line.push_back((token, shard));
        }
        let waits = matches!(end, Step::Full(_) | Step::Waits);
        let unread = if matches!(end, Step::Broken) { &[][..] } else { &input[used..] };
        self.mind_frame_time(now, index, &mut framed, &end, used, unread.len());
        let inbox = if used == 0 && unread.len() == kept.len() { kept } else { unread.to_vec() };
        let rest = self.slots[index].rest();
        (rest.inbox, rest.framed) = (inbox, Some(framed));
        self.hear_frames(index, waits);
        self.end_framed(now, index, waits);
    }

    /// Takes what stands at the front of the stream.
    fn take_frame(&mut self, now: Now, index: u32, framed: &mut Framed, input: &[u8]) -> Step {
        let connection = &self.slots[index];
        if connection.flags.has(Flags::LAST) {
            return Step::Broken;
        }
        if !framed.takes_flushes() || connection.rest.as_ref().is_some_and(|rest| rest.out.len() >= OUT_BYTES_MAX) {
            return Step::Waits;
        }
        let (said, len) = match framed::next(input, framed.greeted, self.limits.http.body_bytes, now.unix_ms) {
            Ok(Some(said)) => said,
            Ok(None) => return Step::Partial,
            Err(reject) => {
                log::debug!("closed a framed stream: {}: {}", reject.code, reject.detail);
                self.count_refusal(reject.code);
                self.note_refusal(now, index, &reject, &[]);
                self.slots[index].flags.set(Flags::LAST, true);
                return Step::Broken;
            }
        };
        match said {
            Said::Hello => framed.greeted = true,
            Said::Message(message) => {
                if let Some(reject) = self.is_owned(&message) {
                    self.refuse_framed(now, index, framed, reject, &[message.channel().into()]);
                    return Step::Took(len);
                }
                let home = self.home_of_message(&message);
                if self.peers.posted(home) >= self.limits.backlog {
                    return Step::Full(home);
                }
                self.publish_framed(now, index, framed, message, home);
            }
            Said::Refused(reject) => self.refuse_framed(now, index, framed, reject, &[]),
            Said::Flush(cookie) => {
                let (number, shards) = framed.flush(cookie);
                for shard in shards {
                    self.peers.post(shard, PeerMessage::Barrier { asker: self.asker(index, number as usize) });
                }
            }
        }
        Step::Took(len)
    }

    fn publish_framed(&mut self, now: Now, index: u32, framed: &mut Framed, message: Message, home: u16) {
        if home != self.shard {
            framed.touch(home);
            return self.peers.post(home, PeerMessage::Take { message, asker: self.asker(index, 0) });
        }
        if self.keep(now, message).is_none() {
            self.refuse_framed(now, index, framed, why_not_kept(self.frozen), &[]);
        }
    }

    /// A message of a framed stream is refused; its publisher is told with the next flush.
    fn refuse_framed(&mut self, now: Now, index: u32, framed: &mut Framed, reject: Reject, channels: &[Arc<str>]) {
        log::debug!("refused a framed message: {}: {}", reject.code, reject.detail);
        self.count_refusal(reject.code);
        self.note_refusal(now, index, &reject, channels);
        framed.refuse(reject);
    }

    /// Here is the home: a framed stream of another shard has a message.
    pub(super) fn take_for(&mut self, now: Now, message: Message, asker: Asker) {
        if self.keep(now, message).is_none() {
            let reject = why_not_kept(self.frozen);
            self.count_refusal(reject.code);
            self.note_refused_message(now, &reject);
            self.refusals.add(asker);
        }
    }

    /// A home has taken all that a stream sent it before a barrier.
    pub(super) fn barrier_passed(&mut self, now: Now, asker: Asker, refused: u32) {
        let Some(index) = self.slots.live(asker.token) else { return };
        let Some(framed) = self.slots[index].rest.as_mut().and_then(|rest| rest.framed.as_mut()) else { return };
        let frozen = self.frozen;
        framed.passed(asker.question, refused, || why_not_kept(frozen));
        self.heard_frames(now, index, &[]);
    }

    /// Answers the flushes before which everything is taken.
    fn answer_flushes(&mut self, index: u32, framed: &mut Framed) {
        while let Some((cookie, refusals)) = framed.next_answer() {
            let first = refusals.first.map(|reject| reject.json()).unwrap_or_default();
            Flushed { cookie, refused: refusals.count, first: &first }.write(self.slots[index].out());
            self.enqueue(index);
        }
    }

    /// A silent publisher may stay for ever; one that has begun a frame has as long as a request's body has. A
    /// server that stops waits for no more than a moment of silence.
    fn mind_frame_time(&mut self, now: Now, index: u32, framed: &mut Framed, end: &Step, used: usize, unread: usize) {
        let unfinished = matches!(end, Step::Partial) && unread > 0;
        let same_as_before = unfinished && framed.unfinished && used == 0;
        framed.unfinished = unfinished;
        match unfinished {
            _ if self.draining => self.end_state_after(now.tick, index, QUIET_MS),
            true if same_as_before => {}
            true => self.end_state_after(now.tick, index, self.durations.body),
            false => self.end_state_after(now.tick, index, NEVER_MS),
        }
    }

    /// Tells the reactor to leave bytes in the socket while they would only pile up here, or to go on.
    fn hear_frames(&mut self, index: u32, waits: bool) {
        if self.slots[index].flags.has(Flags::DEAF) && !waits {
            self.orders.push_back(Output::Read(self.slots.token(index)));
        }
        self.slots[index].flags.set(Flags::DEAF, waits);
    }

    /// Closes a stream that has ended or makes no sense, once its publisher was told what it asked before.
    fn end_framed(&mut self, now: Now, index: u32, waits: bool) {
        let connection = &self.slots[index];
        let over = connection.flags.has(Flags::ENDED) || connection.flags.has(Flags::LAST);
        let owes_answers =
            connection.rest.as_ref().and_then(|rest| rest.framed.as_ref()).is_some_and(|framed| framed.owes_answers());
        if over && !waits && !owes_answers && !connection.has_unsent() {
            self.close(now, index);
        }
    }

    /// The stream's time is over: a frame took too long, or the server stops and there was a moment of silence.
    pub(super) fn framed_over(&mut self, now: Now, index: u32) {
        let connection = &self.slots[index];
        let Some(framed) = connection.rest.as_ref().and_then(|rest| rest.framed.as_ref()) else { return };
        let waits = framed.stalled || framed.owes_answers() || connection.has_unsent();
        match self.draining {
            true if waits => self.end_state_after(now.tick, index, QUIET_MS),
            true => self.close(now, index),
            false if framed.unfinished => {
                log::debug!("closed a framed stream: a frame took too long (body_timeout)");
                self.close(now, index);
            }
            false => self.end_state_after(now.tick, index, NEVER_MS),
        }
    }

    /// The server is to stop: what the publisher has sent by now is taken.
    pub(super) fn drain_framed(&mut self, now: Now, index: u32) {
        self.orders.push_back(Output::Read(self.slots.token(index)));
        self.end_state_after(now.tick, index, QUIET_MS);
    }

    /// A connection goes: the homes that it sent messages to let go of what they have yet to tell it.
    pub(super) fn leave_homes(&mut self, index: u32) {
        let Some(framed) = self.slots[index].rest.as_mut().and_then(|rest| rest.framed.as_mut()) else { return };
        for shard in framed.touched() {
            let asker = self.asker(index, 0);
            self.peers.post(shard, PeerMessage::Barrier { asker });
        }
    }

    /// Whether a stream that waited for room has it.
    pub(super) fn may_go_on(&self) -> bool {
        self.stalled.line.iter().any(|&(_, shard)| self.peers.posted(shard) == 0)
    }

    /// Goes on with the next stream that has room again; `false` if there is none in this turn. Only when the box it
    /// waited for is empty: mirrors that are behind have their go by then.
    pub(super) fn go_on_stalled(&mut self, now: Now) -> bool {
        while self.stalled.left > 0 {
            self.stalled.left -= 1;
            let Some((token, shard)) = self.stalled.line.pop_front() else { break };
            let Some(index) = self.slots.live(token) else { continue };
            if self.peers.posted(shard) > 0 {
                self.stalled.line.push_back((token, shard));
                continue;
            }
            if let Some(framed) = self.slots[index].rest.as_mut().and_then(|rest| rest.framed.as_mut()) {
                framed.stalled = false;
            }
            self.heard_frames(now, index, &[]);
            return true;
        }
        false
    }
}
