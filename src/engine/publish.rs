//! A home keeps a message; a connection asks homes for something and waits for their answers.

use super::{Answer, Asker, ChannelInfo, Engine, PeerMessage};
use crate::base::error::Reject;
use crate::base::id::{Epoch, MessageId};
use crate::base::name::{Name, is_internal};
use crate::base::payload::Message;
use crate::base::time::Now;
use crate::channel::{History, Keep, LetGo, Slow, Waving};
use crate::conn::{Asking, ENDED, LOST, State, UNKNOWN};
use crate::protocol::plain::{self, Manner, Publish, reply};

/// How many messages, from the first on, are to one channel.
fn count_run(messages: &[Message]) -> usize {
    let Some(first) = messages.first() else { return 0 };
    messages.iter().take_while(|message| message.channel_bytes() == first.channel_bytes()).count()
}

impl Engine {
    /// A connection publishes: every message of its request, or none, as far as form and room go. Only a home
    /// that knows too many channels refuses a message on its own; the answer says which.
    pub(super) fn publish(&mut self, now: Now, index: u32, publish: &Publish, body: &[u8]) {
        if publish.manner == Manner::Message {
            return match plain::one_message(publish, body, now.unix_ms) {
                Ok(message) => self.publish_one(now, index, message),
                Err(reject) => self.refuse(now, index, &reject, false),
            };
        }
        let messages = match plain::messages(publish, body, now.unix_ms) {
            Ok(messages) => messages,
            Err(reject) => return self.refuse(now, index, &reject, false),
        };
        if let Err(reject) = self.pay_for(now, index, &messages) {
            return self.refuse(now, index, &reject, false);
        }
        self.publish_messages(now, index, messages, publish.manner);
    }

    /// A message on its own, as most are: where its home is here there is nothing to wait for.
    fn publish_one(&mut self, now: Now, index: u32, message: Message) {
        let lone = std::slice::from_ref(&message);
        if let Err(reject) = self.pay_for(now, index, lone) {
            return self.refuse(now, index, &reject, false);
        }
        if self.home_of_message(&message) != self.shard {
            return self.publish_messages(now, index, vec![message], Manner::Message);
        }
        if let Err((reject, last)) = self.may_keep(lone) {
            return self.refuse(now, index, &reject, last);
        }
        self.keep_one(now, index, message);
    }

    /// Keeps a message whose home is here, and says so: one answer needs no list.
    fn keep_one(&mut self, now: Now, index: u32, message: Message) {
        let answer = self.keep(now, message).unwrap_or(self.not_kept());
        self.reply_answer(now, index, &answer);
    }

    /// Whether messages may be kept, by whichever home; if not, why, and whether their connection ends with that.
    fn may_keep(&self, messages: &[Message]) -> Result<(), (Reject, bool)> {
        if let Some(reject) = messages.iter().find_map(|message| self.is_owned(message)) {
            return Err((reject, false));
        }
        if self.frozen {
            return Err((reply::stopping(), true));
        }
        Ok(())
    }

    /// Publishes the messages of a request, which came in this `manner`.
    pub(super) fn publish_messages(&mut self, now: Now, index: u32, mut messages: Vec<Message>, manner: Manner) {
        if let Err((reject, last)) = self.may_keep(&messages) {
            return self.refuse(now, index, &reject, last);
        }
        if !self.peers_have_room(&messages) {
            let busy = Reject::new(503, "busy", "a mailbox is full and nothing was taken, try again shortly (mailbox_messages)");
            return self.refuse(now, index, &busy, false);
        }
        if manner == Manner::Message
            && let Some(message) = messages.pop_if(|message| self.home_of_message(message) == self.shard)
        {
            return self.keep_one(now, index, message);
        }
        let mut answers = Vec::with_capacity(messages.len());
        for (question, message) in messages.into_iter().enumerate() {
            let home = self.home_of_message(&message);
            answers.push(if home == self.shard {
                Some(self.keep(now, message).unwrap_or(self.not_kept()))
            } else {
                let asker = self.asker(index, question);
                self.peers.post(home, PeerMessage::Publish { message, asker });
                None
            });
        }
        self.await_answers(now, index, answers, manner);
    }

    /// A batch is taken whole or not at all, and room is known exactly: nobody else fills these boxes.
    fn peers_have_room(&self, messages: &[Message]) -> bool {
        if self.shards == 1 {
            return true;
        }
        let mut wanted = vec![0; usize::from(self.shards)];
        for message in messages {
            wanted[usize::from(self.home_of_message(message))] += 1;
        }
        wanted[usize::from(self.shard)] = 0;
        wanted.iter().enumerate().all(|(shard, &count)| {
            let posted = self.peers.posted(shard as u16);
            count == 0 || posted == 0 || posted + count <= self.limits.backlog
        })
    }

    /// This shard is the message's home: keeps it, and sends it on its way to all readers. `None`: there are
    /// as many channels as there may be, or all are frozen.
    pub(super) fn keep(&mut self, now: Now, message: Message) -> Option<Answer> {
        let key = self.channel_to_publish(now, &message)?;
        let offset = self.append(now, key, message);
        self.appended(now, key);
        let channel = &self.hub[key];
        Some(Answer::Published { id: MessageId { epoch: channel.epoch, offset }, subscribers: channel.audience() })
    }

    /// The answer to what this home does not keep.
    pub(super) fn not_kept(&self) -> Answer {
        if self.frozen { Answer::Stopping } else { Answer::Refused }
    }

    /// The same for messages that nobody waits to hear of, and that come in runs to one channel: what is to be done for
    /// a channel is done once a run.
    pub(super) fn keep_all(&mut self, now: Now, messages: &mut Vec<Message>) {
        // They were written on another core: looked at one after the other here, they are fetched side by side.
        let are_one_run = count_run(messages) == messages.len();
        messages.iter_mut().for_each(|message| message.stamp(now.unix_ms));
        let mut rest = messages.drain(..);
        while let Some(first) = rest.as_slice().first() {
            let run = if are_one_run { rest.len() } else { count_run(rest.as_slice()) };
            let key = if is_internal(first.channel()) { None } else { self.channel_to_publish(now, first) };
            let run = rest.by_ref().take(run);
            match key {
                Some(key) => {
                    self.append_all(now, key, run);
                    self.appended(now, key);
                }
                None => self.counters.unkept += run.count() as u64,
            }
        }
    }

    fn channel_to_publish(&mut self, now: Now, message: &Message) -> Option<u32> {
        if self.policy.presence.owns_channel_of(message) {
            return None;
        }
        match self.hub.find_bytes(message.channel_bytes()) {
            _ if self.frozen => None,
            Some(key) => Some(key),
            None if self.hub.len() >= self.limits.channels => None,
            None => Some(self.make_channel(now.tick, message.channel().into())),
        }
    }

    pub(super) fn append(&mut self, now: Now, key: u32, message: Message) -> u64 {
        let keep = self.bounds_of(key);
        let offset = self.hub.change_history(key, |history| history.append(now.tick, message, &keep));
        self.forward(key);
        self.count_busy(now.tick, key, 1);
        self.counters.published += 1;
        offset
    }

    fn append_all(&mut self, now: Now, key: u32, messages: impl ExactSizeIterator<Item = Message>) {
        if !self.hub[key].mirrors().is_empty() {
            // Each goes on its way to them as soon as it is kept.
            return messages.for_each(|message| _ = self.append(now, key, message));
        }
        let keep = self.bounds_of(key);
        self.count_busy(now.tick, key, messages.len() as u64);
        self.counters.published += messages.len() as u64;
        self.hub.change_history(key, |history| history.append_all(now.tick, messages, &keep));
    }

    /// The channel has news.
    pub(super) fn appended(&mut self, now: Now, key: u32) {
        self.hub.touch(key, now.tick);
        self.start_wave(key);
        self.keep_to_budget();
        self.schedule_channel(now.tick, key);
    }

    /// The bounds of a channel's history: wider while a wave has yet to bring its news to those who are there.
    pub(super) fn bounds_of(&self, key: u32) -> Keep {
        let channel = &self.hub[key];
        let waits = channel.waving != Waving::No || !channel.subscribers.is_empty();
        if waits { self.keep_of(key).while_waving() } else { self.keep_of(key) }
    }

    /// The bounds of a channel's history, and how it is kept.
    pub(super) fn keep_of(&self, key: u32) -> Keep {
        Keep { conflated: (self.hub[key].slow == Slow::Conflate).then_some(self.seed), ..self.limits.keep }
    }

    /// Over the budget, the channel that was not used for longest lets go of its oldest. The newest message
    /// of all stays: it is on its way.
    pub(super) fn keep_to_budget(&mut self) {
        while self.hub.bytes > self.limits.budget {
            let Some(key) = self.hub.least_recently_used() else { return };
            let budget = self.limits.budget;
            let mut over = self.hub.bytes - budget;
            let newest = self.hub.is_most_recently_used(key);
            self.hub.change_history(key, |history| {
                while over > 0 && history.len() > usize::from(newest) {
                    over = over.saturating_sub(history.drop_oldest(LetGo::Budget));
                }
            });
            self.tell_trimmed(key);
            if newest {
                return;
            }
        }
    }

    /// Describes a channel.
    pub(super) fn inspect(&mut self, now: Now, index: u32, name: &Name) {
        let home = Engine::home_of(self.seed, self.shards, name);
        let answer = (home == self.shard).then(|| self.describe(name));
        if answer.is_none() {
            let asker = self.asker(index, 0);
            self.peers.post(home, PeerMessage::Inspect { name: name.shared().clone(), asker });
        }
        self.await_answers(now, index, vec![answer], Manner::Message);
    }

    /// What this home knows of the channel `name`.
    pub(super) fn describe(&self, name: &str) -> Answer {
        let Some(key) = self.hub.find(name) else { return Answer::Unknown };
        let channel = &self.hub[key];
        let (depth, bytes) = (channel.history.len() as u64, channel.history.bytes() as u64);
        let head = MessageId { epoch: channel.epoch, offset: channel.history.next() - 1 };
        Answer::Info(ChannelInfo { depth, bytes, subscribers: channel.audience(), head })
    }

    /// Drops a channel.
    pub(super) fn delete(&mut self, now: Now, index: u32, name: &Name) {
        if self.frozen {
            return self.refuse(now, index, &reply::stopping(), true);
        }
        let home = Engine::home_of(self.seed, self.shards, name);
        let answer = (home == self.shard).then(|| self.drop_channel(now, name));
        if answer.is_none() {
            let asker = self.asker(index, 0);
            self.peers.post(home, PeerMessage::Delete { name: name.shared().clone(), asker });
        }
        self.await_answers(now, index, vec![answer], Manner::Message);
    }

    /// This shard is the home of the channel `name`: its history goes, and it begins anew. Who listens to it
    /// keeps listening, and is told of the end.
    pub(super) fn drop_channel(&mut self, now: Now, name: &str) -> Answer {
        let Some(key) = self.hub.find(name) else { return Answer::Unknown };
        if self.frozen {
            return Answer::Stopping;
        }
        let epoch = Epoch::new(name, self.random.bits());
        self.begin_epoch(key, epoch, History::new(1));
        self.tell_epoch(key);
        self.hub.touch(key, now.tick);
        self.schedule_channel(now.tick, key);
        Answer::Deleted
    }

    /// The channel was dropped and begins anew: every reader is to be told.
    pub(super) fn begin_epoch(&mut self, key: u32, epoch: Epoch, history: History) {
        self.hub.change_history(key, |old| *old = history);
        let channel = &mut self.hub[key];
        channel.epoch = epoch;
        for place in 0..channel.subscribers.len() {
            let subscriber = self.hub[key].subscribers[place];
            let mut subscriptions = self.positions_of(subscriber).iter_mut();
            if let Some(subscription) = subscriptions.find(|subscription| subscription.channel == key) {
                // Who has yet to learn that its place is lost learns that; who is not held yet comes later.
                if !matches!(subscription.position, LOST | UNKNOWN) {
                    subscription.position = ENDED;
                }
            }
        }
        self.start_wave(key);
    }

    pub(super) fn asker(&self, index: u32, question: usize) -> Asker {
        Asker { shard: self.shard, token: self.slots.token(index), question: question as u32 }
    }

    /// Waits for the answers that are not there yet, or replies at once.
    pub(super) fn await_answers(&mut self, now: Now, index: u32, answers: Vec<Option<Answer>>, manner: Manner) {
        let missing = answers.iter().filter(|answer| answer.is_none()).count();
        let asking = Asking { answers, missing, manner, reference: String::new() };
        if missing == 0 {
            return self.reply_answers(now, index, &asking);
        }
        self.slots[index].rest().asking = Some(asking);
        self.slots.turn(index, State::Asking);
        self.end_state_after(now.tick, index, self.durations.stall);
    }

    /// A home answered one question of a connection here, which may be gone by now.
    pub(super) fn answer_came(&mut self, now: Now, asker: Asker, answer: Answer) {
        let Some(index) = self.slots.live(asker.token) else { return };
        let Some(rest) = &mut self.slots[index].rest else { return };
        if rest.exchange.is_some() {
            return self.exchange_answered(now, index, asker.question, matches!(answer, Answer::Refused | Answer::Stopping));
        }
        if rest.joining.is_some() {
            return self.came_closer(now, index);
        }
        let Some(asking) = &mut rest.asking else { return };
        let Some(place @ None) = asking.answers.get_mut(asker.question as usize) else { return };
        *place = Some(answer);
        asking.missing -= 1;
        if asking.missing > 0 {
            return;
        }
        if let Some(asking) = rest.asking.take() {
            if self.is_socket(index) {
                return self.say_answered(now, index, &asking);
            }
            self.reply_answers(now, index, &asking);
            self.resume_reading(now, index);
        }
    }

    fn reply_answers(&mut self, now: Now, index: u32, asking: &Asking) {
        match (&asking.answers[..], asking.manner) {
            ([Some(answer)], Manner::Message) if !matches!(answer, Answer::Recalled(_)) => self.reply_answer(now, index, answer),
            ([Some(Answer::Recalled(_)), ..], _) => {
                self.reply(now, index, |out, dress| reply::incidents(out, dress, &asking.answers))
            }
            ([Some(Answer::Published { .. })], Manner::Form) => self.reply(now, index, reply::back_to_form),
            (answers, _) => {
                for reject in answers.iter().flatten().filter_map(Answer::refusal) {
                    self.count_refusal(reject.code);
                    self.note_refusal(now, index, &reject, &[]);
                }
                self.reply(now, index, |out, dress| reply::batch_answer(out, dress, answers));
            }
        }
    }

    fn reply_answer(&mut self, now: Now, index: u32, answer: &Answer) {
        match answer.refusal() {
            Some(reject) => self.refuse(now, index, &reject, false),
            None => self.reply(now, index, |out, dress| reply::answer(out, dress, answer)),
        }
    }
}
