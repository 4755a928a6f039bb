//! What happened on this shard lately, for whoever asks why something was lost (`/why`).
//!
//! Noted where a reader is told of a gap, and where something is let go of or refused that somebody wanted: rare things, so
//! a delivery costs nothing. The newest are kept, losses and refusals apart, since strangers can have as many refusals as they
//! like. The same thing again, right behind, is counted and takes no place.

use super::{Answer, Engine, PeerMessage, reasons};
use crate::base::error::Reject;
use crate::base::incident::{About, Incident, What};
use crate::base::time::Now;
use crate::channel::LetGo;
use crate::conn::{ENDED, LOST, Subscription, UNKNOWN};
use crate::protocol::bayeux::{Fault, Reply};
use crate::protocol::plain::Manner;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many losses are kept, and as many refusals.
const KEPT_MAX: usize = 1_024;
/// How many of either a shard tells at once.
const TOLD_MAX: usize = 100;
/// For how many channels of one reader its end is noted.
const CHANNELS_MAX: usize = 16;

/// The newest of either sort.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    losses: VecDeque<Incident>,
    refusals: VecDeque<Incident>,
}

impl Incidents {
    pub(super) fn note(&mut self, incident: Incident) {
        let kept = if incident.what == What::Refused { &mut self.refusals } else { &mut self.losses };
        match kept.back_mut() {
            Some(last) if last.is_like(&incident) => {
                last.times += incident.times;
                last.unix_ms = incident.unix_ms;
                return;
            }
            _ => {}
        }
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(incident);
    }

    /// The newest about something.
    fn find(&self, about: &About) -> Vec<Incident> {
        let newest = |kept: &VecDeque<Incident>| -> Vec<Incident> {
            kept.iter().rev().filter(|one| about.matches(one)).take(TOLD_MAX).cloned().collect()
        };
        let mut found = newest(&self.losses);
        found.append(&mut newest(&self.refusals));
        found
    }
}

/// The word for why a ring let go of what a reader still wanted, and a sentence.
fn reason(let_go: LetGo) -> (&'static str, &'static str) {
    match let_go {
        LetGo::Nothing => ("former_epoch", "the channel was made anew, or the cursor is none of this server's"),
        LetGo::Messages => ("history_messages", "the history holds no more messages of a channel"),
        LetGo::Bytes => ("history_bytes", "the history holds no more bytes of a channel"),
        LetGo::Age => ("history_age", "messages grew too old for the history"),
        LetGo::Budget => ("history_budget", "all histories together hold no more bytes"),
        LetGo::Behind => ("mailbox_messages", "a reactor fell behind, and the home of the channel let go of messages meanwhile"),
    }
}

impl Engine {
    /// A connection is being told of a gap: it wanted `position` of a channel that holds it no more, or it has `skipped` what
    /// the channel still holds.
    pub(super) fn note_gap(&mut self, now: Now, index: u32, key: u32, position: u64, skipped: bool) {
        let gap = if skipped { self.skip(now, key, position) } else { self.gap(now, key, position) };
        self.incidents.note(Incident { client: Some(self.client(index)), ..gap });
    }

    /// The same for a session.
    pub(super) fn note_session_skip(&mut self, now: Now, slot: u32, key: u32, position: u64) {
        let skip = self.of_session(slot, self.skip(now, key, position));
        self.incidents.note(skip);
    }

    /// A reader of a channel wanted `position`, and goes on with the newest message.
    fn skip(&self, now: Now, key: u32, position: u64) -> Incident {
        let channel = &self.hub[key];
        Incident {
            detail: "its reader was further behind than slow_lag, and went on with the newest message".into(),
            channel: Some(channel.name.clone()),
            first: (position != LOST && position != ENDED).then_some(position),
            last: Some(channel.history.next().saturating_sub(2)),
            ..Incident::new(now.unix_ms, What::Gap, "slow_latest")
        }
    }

    /// A reader of a channel wanted `position`, and cannot have it.
    fn gap(&self, now: Now, key: u32, position: u64) -> Incident {
        let channel = &self.hub[key];
        let known = position != LOST && position != ENDED;
        let let_go = if known { channel.history.let_go() } else { LetGo::Nothing };
        let (why, detail) = reason(let_go);
        let first = channel.history.first();
        Incident {
            detail: detail.into(),
            channel: Some(channel.name.clone()),
            first: known.then_some(position),
            last: known.then(|| first.saturating_sub(1)),
            ..Incident::new(now.unix_ms, What::Gap, why)
        }
    }

    /// What a connection asked for was refused, which was about these channels.
    pub(super) fn note_refusal(&mut self, now: Now, index: u32, reject: &Reject, channels: &[Arc<str>]) {
        let refused = Incident::refused(now.unix_ms, reject.code, reject.detail.clone());
        let refused = Incident { client: Some(self.client(index)), ..refused };
        for channel in channels.iter().take(CHANNELS_MAX) {
            self.incidents.note(Incident { channel: Some(channel.clone()), ..refused.clone() });
        }
        if channels.is_empty() {
            self.incidents.note(refused);
        }
    }

    /// The same for a Bayeux message, whose reply this is, and for the session that it spoke for.
    pub(super) fn note_fault(&mut self, now: Now, index: u32, reply: &Reply, fault: &Fault) {
        let session = reply.client_id.and_then(|client| self.sessions.find(client));
        let client = session.map_or_else(|| self.client(index), |slot| self.client_of_session(slot));
        let refused = Incident::refused(now.unix_ms, reasons::of_bayeux(fault.code), fault.text().clone());
        self.incidents.note(Incident { client: Some(client), channel: reply.subject().map(Arc::from), ..refused });
    }

    /// A message of another shard was refused: nobody here knows whose it was.
    pub(super) fn note_refused_message(&mut self, now: Now, reject: &Reject) {
        self.incidents.note(Incident::refused(now.unix_ms, reject.code, reject.detail.clone()));
    }

    /// A reader is being closed or ended, which stood in these channels: told for each where it has not got everything.
    pub(super) fn note_end(&mut self, now: Now, end: Incident, subscriptions: &[Subscription]) {
        let mut noted = 0;
        for one in subscriptions.iter().filter(|one| one.position != UNKNOWN) {
            let channel = &self.hub[one.channel];
            if noted == CHANNELS_MAX || !one.has_news(channel.history.next()) {
                continue;
            }
            noted += 1;
            let known = one.position != LOST && one.position != ENDED;
            self.incidents.note(Incident {
                unix_ms: now.unix_ms,
                channel: Some(channel.name.clone()),
                first: known.then_some(one.position),
                last: Some(channel.history.next() - 1),
                ..end.clone()
            });
        }
        if noted == 0 {
            self.incidents.note(end);
        }
    }

    /// A connection is closed or ended by `why`, the name of an option.
    pub(super) fn note_closed(&mut self, now: Now, index: u32, why: &'static str, detail: &'static str) {
        let client = Some(self.client(index));
        let end = Incident { detail: detail.into(), client, ..Incident::new(now.unix_ms, What::Closed, why) };
        let subscriptions = self.slots[index].subscriptions().to_vec();
        self.note_end(now, end, &subscriptions);
    }

    /// A session ends by `why`, with what it has not got.
    pub(super) fn note_session_over(&mut self, now: Now, slot: u32, why: &'static str, detail: &'static str) {
        let end = Incident { detail: detail.into(), ..Incident::new(now.unix_ms, What::SessionOver, why) };
        let end = self.of_session(slot, end);
        let subscriptions = std::mem::take(&mut self.sessions[slot].subscriptions);
        self.note_end(now, end, &subscriptions);
        self.sessions[slot].subscriptions = subscriptions;
    }

    fn of_session(&self, slot: u32, incident: Incident) -> Incident {
        let (client, session) = (self.client_of_session(slot), self.client_id(slot).to_string());
        Incident { client: Some(client), session: Some(session.into()), ..incident }
    }

    /// A session is over since it has lost its place, which is a gap that ends it.
    pub(super) fn note_places_lost(&mut self, now: Now, slot: u32) {
        if self.sessions[slot].overrun {
            let detail = "its patterns came to stand for more channels than a session may have by them";
            self.note_session_over(now, slot, "bayeux_channels_max", detail);
        }
        let lost = |one: &&Subscription| match one.position {
            LOST | ENDED => true,
            position => position < self.hub[one.channel].history.first(),
        };
        let lost: Vec<_> = self.sessions[slot].subscriptions.iter().filter(lost).take(CHANNELS_MAX).copied().collect();
        for one in lost {
            let gap = self.of_session(slot, self.gap(now, one.channel, one.position));
            self.incidents.note(gap);
        }
    }

    /// Events found no room in the host program's queue.
    pub(super) fn note_unheard(&mut self, now: Now) {
        let times = self.host.take_unheard();
        if times > 0 {
            let detail = "the host program is behind, and was told how many events it has missed";
            let incident = Incident::new(now.unix_ms, What::Unheard, "events_max");
            self.incidents.note(Incident { detail: detail.into(), times, ..incident });
        }
    }

    /// Somebody asks what happened: all shards know some of it.
    pub(super) fn ask_why(&mut self, now: Now, index: u32, about: &About) {
        let mut answers = Vec::with_capacity(usize::from(self.shards));
        for shard in 0..self.shards {
            if shard == self.shard {
                answers.push(Some(self.recall(about)));
            } else {
                let asker = self.asker(index, usize::from(shard));
                self.peers.post(shard, PeerMessage::Recall { about: about.clone(), asker });
                answers.push(None);
            }
        }
        self.await_answers(now, index, answers, Manner::Message);
    }

    /// What this shard knows.
    pub(super) fn recall(&self, about: &About) -> Answer {
        Answer::Recalled(self.incidents.find(about))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(number: u64) -> Incident {
        Incident { first: Some(number), ..Incident::new(number, What::Gap, "history_age") }
    }

    #[test]
    fn a_flood_of_refusals_pushes_no_loss_out() {
        let mut incidents = Incidents::default();
        incidents.note(gap(1));
        let code = |number| if number % 2 == 0 { "even" } else { "odd" };
        (0..3 * KEPT_MAX as u64).for_each(|number| incidents.note(Incident::new(number, What::Refused, code(number))));
        assert_eq!((incidents.losses.len(), incidents.refusals.len()), (1, KEPT_MAX));
        assert_eq!(incidents.find(&About::All)[0], gap(1));
    }

    #[test]
    fn the_same_again_is_counted_and_the_oldest_goes_first() {
        let mut incidents = Incidents::default();
        (0..5).for_each(|_| incidents.note(gap(1)));
        assert_eq!(incidents.find(&About::All), [Incident { times: 5, ..gap(1) }]);
        (2..KEPT_MAX as u64 + 2).for_each(|number| incidents.note(gap(number)));
        assert_eq!(incidents.losses.len(), KEPT_MAX);
        let found = incidents.find(&About::All);
        assert_eq!((found.len(), &found[0]), (TOLD_MAX, &gap(KEPT_MAX as u64 + 1)));
        assert_eq!(incidents.losses[0], gap(2));
    }
}
