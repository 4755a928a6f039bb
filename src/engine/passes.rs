//! What clients may, and until when.
//!
//! Whoever shows nothing may what its door allows, and nothing is kept for it. Whoever shows something has a **pass** as long
//! as it is held, or its Bayeux session lives. Each subscription and each publish is looked at when it is asked for, and no
//! delivery is. A pass can be replaced by one of the same user that allows all that is held.

use super::{Answer, Engine, PeerMessage};
use crate::access::{Access, Grant, Kind};
use crate::base::error::Reject;
use crate::base::id::Token;
use crate::base::name::Name;
use crate::base::time::{Now, Tick};
use crate::channel::Subscriber;
use crate::conn::{Flags, HeldId, Hold, Pass, Proof, State, is_user, not_granted};
use crate::protocol::plain::Manner;
use crate::transport::{Farewell, Transport};
use std::sync::Arc;

/// What is brought for a connection of another shard.
#[derive(Debug)]
pub struct Renewal {
    pub(super) token: Token,
    pub(super) proof: Proof,
}

impl Engine {
    /// What this connection may.
    pub(super) fn grant(&self, index: u32) -> &Arc<Grant> {
        match self.pass(index) {
            Some(pass) => &pass.proof.grant,
            None => self.access.of_door(self.slots[index].door),
        }
    }

    pub(super) fn pass(&self, index: u32) -> Option<&Pass> {
        self.slots[index].rest.as_ref()?.pass.as_deref()
    }

    /// A connection is held by what it showed, if it did.
    pub(super) fn keep_pass(&mut self, now: Now, index: u32, proof: &Proof) {
        if proof.is_shown() {
            let pass = Pass::new(proof.clone(), now, self.durations.grace);
            self.slots[index].rest().pass = Some(Box::new(pass));
        }
    }

    /// What a connection is called that is held by a token, and for how long that holds; `None` if it never ends.
    pub(super) fn held_name(&self, now: Now, index: u32) -> Option<(String, u64)> {
        let expires_in_ms = self.pass(index)?.expires_in(now)?;
        let held = HeldId { shard: self.shard, token: self.slots.token(index) };
        Some((held.show(self.seed), expires_in_ms))
    }

    /// A client brings another token for what it holds on another connection.
    pub(super) fn renew_held(&mut self, now: Now, index: u32, session: &str, proof: &Proof) {
        let Some(HeldId { shard, token }) = HeldId::parse(session, self.seed).filter(|held| held.shard < self.shards) else {
            return self.refuse(now, index, &no_session(), false);
        };
        self.slots[index].flags.set(Flags::SHARED, true);
        if shard == self.shard {
            let answer = self.renewed(now, token, proof);
            return self.await_answers(now, index, vec![Some(answer)], Manner::Message);
        }
        if self.peers.posted(shard) >= self.limits.backlog {
            let busy = Reject::new(503, "busy", "a mailbox is full, try again shortly (mailbox_messages)");
            return self.refuse(now, index, &busy, false);
        }
        let asker = self.asker(index, 0);
        let renewal = Renewal { token, proof: proof.clone() };
        self.peers.post(shard, PeerMessage::Renew { renewal, asker });
        self.await_answers(now, index, vec![None], Manner::Message);
    }

    /// The same for a connection of this shard.
    pub(super) fn renewed(&mut self, now: Now, token: Token, proof: &Proof) -> Answer {
        let held = self.slots.live(token).filter(|&index| self.slots[index].state == State::Parked);
        match held.ok_or_else(no_session).and_then(|index| self.renew(now, index, proof)) {
            Ok(expires_in_ms) => Answer::Renewed { expires_in_ms },
            Err(reject) => Answer::NotRenewed(Box::new(reject)),
        }
    }

    /// When what this connection holds ends because a token does, its own or its session's.
    pub(super) fn pass_until(&self, index: u32) -> Option<Tick> {
        let own = self.pass(index).and_then(|pass| pass.until);
        let of_session = self.slots[index].session().and_then(|slot| self.sessions[slot].pass()).and_then(|pass| pass.until);
        own.into_iter().chain(of_session).min()
    }

    /// Keys have changed: who is held by that of an application may what it allows now, and nothing more if it is gone.
    pub(super) fn look_at_keys(&mut self, former: &Access) {
        let access = &self.access;
        let look = |pass: &mut Pass| {
            if pass.proof.grant.kind == Kind::Key {
                pass.proof.grant = access.of_key_again(&pass.proof.grant, former);
            }
        };
        let connections: Vec<u32> = self.slots.indices().collect();
        for index in connections {
            self.slots[index].rest.as_mut().and_then(|rest| rest.pass.as_deref_mut()).into_iter().for_each(look);
        }
        self.sessions.iter_mut().filter_map(|session| session.extras.as_mut()?.pass.as_mut()).for_each(look);
    }

    /// Panics unless whoever has a pass is held, or will be.
    pub(super) fn check_passes(&self) {
        for index in self.slots.indices().filter(|&index| self.pass(index).is_some()) {
            let state = self.slots[index].state;
            let socket = self.slots[index].variant.transport() == Transport::WebSocket;
            let held = matches!(state, State::Joining | State::Parked) || state == State::Bayeux && socket;
            assert!(held, "slot {index} has a pass and is {state:?}");
        }
    }

    /// A token has ended by which a connection is held, and the grace after that.
    pub(super) fn pass_over(&mut self, now: Now, index: u32) {
        let own = self.pass(index).is_some_and(|pass| pass.is_over(now.tick));
        let session = self.slots[index].session();
        let of_session = session.filter(|&slot| self.sessions[slot].pass().is_some_and(|pass| pass.is_over(now.tick)));
        if let Some(slot) = of_session {
            self.expire_session(now, slot);
        }
        match self.slots[index].state {
            State::Parked => self.end_hold(now, index),
            State::Bayeux if own && self.is_socket(index) => self.close_socket(now, index, Farewell::Expired),
            _ => {}
        }
    }

    /// A client brings something in the place of what it showed. `Err` says why that is not taken, and nothing has changed.
    pub(super) fn renew(&mut self, now: Now, index: u32, proof: &Proof) -> Result<Option<u64>, Reject> {
        let Some(pass) = self.pass(index) else { return Err(no_session()) };
        pass.is_of(proof)?;
        let held = self.slots[index].subscriptions();
        if !held.iter().all(|one| self.allows_channel(&proof.grant, one.channel)) {
            return Err(allows_less());
        }
        self.keep_pass(now, index, proof);
        let due = self.due(now.tick, index);
        self.wake_by(now.tick, index, due);
        Ok(self.pass(index).and_then(|pass| pass.expires_in(now)))
    }

    /// The client of a WebSocket that came as a stranger shows who it is: from here on it may what that allows, and no more, as if
    /// it had come with it. `Err` says why that is not taken, and nothing has changed.
    pub(super) fn log_in(&mut self, now: Now, index: u32, proof: &Proof) -> Result<Option<u64>, Reject> {
        let held: Vec<u32> = self.slots[index].subscriptions().iter().map(|one| one.channel).collect();
        if !held.iter().all(|&key| self.allows_channel(&proof.grant, key)) {
            return Err(allows_less());
        }
        let place = self.take_place_of_user(proof.grant.user.as_ref())?;
        // It was here as nobody in particular.
        let own = Subscriber::connection(index);
        held.iter().for_each(|&key| self.sign_out(own, key));
        self.keep_pass(now, index, proof);
        held.iter().for_each(|&key| self.sign_in(own, key));
        self.slots[index].flags.set(Flags::MAY_PUBLISH, true);
        let rest = self.slots[index].rest();
        if let Some(place) = place {
            let former = rest.place.take();
            rest.place = Some(Box::new((former, place)));
        }
        rest.who = rest.who.take().map(|who| is_user(&who, proof.grant.user.as_deref()));
        let due = self.due(now.tick, index);
        self.wake_by(now.tick, index, due);
        Ok(self.pass(index).and_then(|pass| pass.expires_in(now)))
    }

    /// Whether a channel known here may be read by `grant`, or was for the host program to judge.
    pub(super) fn allows_channel(&self, grant: &Grant, key: u32) -> bool {
        self.policy.allows(grant, &self.hub[key].name)
    }

    /// Whether a reader may have all channels that it asks for, but for those that the host program judges.
    pub(super) fn may_be_held(&self, index: u32, hold: &Hold) -> Result<(), Reject> {
        self.may_read(&hold.proof.grant, &hold.channels)?;
        match hold.variant.transport() {
            Transport::Jsonp => self.may_show_in_scripts(index, &hold.channels),
            _ => Ok(()),
        }
    }

    /// The same for channels that a WebSocket's client wishes for.
    pub(super) fn may_have_more(&self, now: Now, index: u32, channels: &[Name]) -> Result<(), Reject> {
        self.still_holds(now, index)?;
        self.may_read(self.grant(index), channels)
    }

    /// Whether a WebSocket's client may publish there, if what it showed still holds.
    pub(super) fn may_say(&self, index: u32, channel: &str) -> Result<(), Reject> {
        let open = self.slots[index].flags.has(Flags::MAY_PUBLISH);
        match open && self.grant(index).may_publish(channel) {
            true => Ok(()),
            false => Err(Reject::new(403, "forbidden", "this connection may not publish")),
        }
    }

    /// Who goes on for a while by a token that has ended is given nothing more.
    pub(super) fn still_holds(&self, now: Now, index: u32) -> Result<(), Reject> {
        match self.pass(index) {
            Some(pass) if pass.proof.grant.is_over(now.unix_ms) => Err(expired()),
            _ => Ok(()),
        }
    }

    /// Whether somebody may read these channels, but for those that the host program judges.
    pub(super) fn may_read(&self, grant: &Grant, channels: &[Name]) -> Result<(), Reject> {
        let refused = channels.iter().find(|name| !self.policy.allows(grant, name));
        refused.map_or(Ok(()), |name| Err(not_granted(name)))
    }

    /// Any page can load a script, whose answer no rule of browsers keeps from it.
    fn may_show_in_scripts(&self, index: u32, channels: &[Name]) -> Result<(), Reject> {
        let stranger = self.access.of_door(self.slots[index].door);
        let policy = &self.policy;
        let shown = |name: &Name| policy.allows(stranger, name) || policy.shows_in_scripts(name);
        match channels.iter().all(shown) {
            true => Ok(()),
            false => Err(Reject::new(403, "forbidden", "scripts show only what strangers may read (jsonp_channels)")),
        }
    }
}

/// What a client is known to hold nothing by.
fn no_session() -> Reject {
    Reject::new(404, "no_session", "nothing is held by a token under this name, any more or ever")
}

/// The refusal of a token that would take something away.
pub(super) fn allows_less() -> Reject {
    Reject::new(403, "forbidden", "the token does not allow all that is held")
}

/// The refusal of what comes by a token that has ended.
pub(super) fn expired() -> Reject {
    Reject::new(401, "token_expired", "the token has expired: bring another one")
}
