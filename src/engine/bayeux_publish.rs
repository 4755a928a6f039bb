//! What Bayeux clients publish: to channels, as far as they may, and to the host program's services.

use super::bayeux::{Outcome, too_many_channels};
use super::{Engine, PeerMessage};
use crate::base::payload::Message;
use crate::base::time::Now;
use crate::conn::{Flags, Proof};
use crate::protocol::bayeux::{Fault, Reply};
use crate::protocol::plain::reply;

impl Engine {
    pub(super) fn publish_message(
        &mut self,
        now: Now,
        index: u32,
        session: Option<u32>,
        proof: &Proof,
        message: Message,
        reply: Reply,
    ) -> Outcome {
        let for_host = self.is_for_host(index, &message);
        if !for_host && let Some(reject) = self.is_owned(&message) {
            let fault = Fault::about(403, message.channel(), reject.detail);
            return Outcome::Done(reply.failed(fault));
        }
        let everybody = for_host || self.policy.bayeux_publish.matches(message.channel());
        // A session has shown once what it may, and its later requests need not.
        let open = self.slots[index].flags.has(Flags::MAY_PUBLISH) || proof.is_shown();
        if !(everybody || open && proof.grant.may_publish(message.channel())) {
            let fault = Fault::about(403, message.channel(), "This client may not publish here");
            return Outcome::Done(reply.failed(fault));
        }
        if let Err(reject) = self.pay_for(now, index, std::slice::from_ref(&message)) {
            return Outcome::Done(reply.failed(Fault::new(429, reject.detail)));
        }
        if for_host {
            return Outcome::Done(self.give_message(index, session, message, reply));
        }
        let home = self.home_of_message(&message);
        if home == self.shard {
            return Outcome::Done(match self.keep(now, message) {
                Some(_) => reply,
                None => reply.failed(too_many_channels()),
            });
        }
        if self.peers.posted(home) >= self.limits.backlog {
            return Outcome::Done(reply.failed(Fault::new(503, "A mailbox is full, try again shortly (mailbox_messages)")));
        }
        let place = self.exchange(index).map_or(0, |exchange| exchange.replies.len());
        let asker = self.asker(index, place);
        self.peers.post(home, PeerMessage::Publish { message, asker });
        Outcome::Waits(reply, 1)
    }

    /// What is published to a service is for the host program, whoever publishes it, and for nobody else.
    pub(super) fn serve(&mut self, now: Now, index: u32, session: Option<u32>, message: Message, reply: Reply) -> Reply {
        if !self.policy.hosted {
            let fault = Fault::about(404, message.channel(), "Nobody offers this service");
            return reply.failed(fault);
        }
        if let Err(reject) = self.pay_for(now, index, std::slice::from_ref(&message)) {
            return reply.failed(Fault::new(429, reject.detail));
        }
        self.give_message(index, session, message, reply)
    }

    fn give_message(&mut self, index: u32, session: Option<u32>, message: Message, reply: Reply) -> Reply {
        let who = self.known_as(index, session);
        let client = match session {
            Some(slot) => {
                self.sessions[slot].noted = true;
                self.client_of_session(slot)
            }
            None => {
                self.note(index);
                self.client(index)
            }
        };
        match who.is_some_and(|who| self.offer_to_host(client, vec![message], &who)) {
            true => reply,
            false => reply.failed(Fault::new(503, reply::host_is_busy().detail)),
        }
    }
}
