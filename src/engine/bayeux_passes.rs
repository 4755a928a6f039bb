//! What Bayeux clients may, and until when.
//!
//! A session has the pass that its client shook hands with: by the request's head, or by a token in `ext` of the message. Its
//! client id is a secret, so that requests need show nothing more. What they show all the same must be the same user's; a
//! token in `ext` takes the place of the session's, as does one in a head that ends later.
//!
//! A session whose token has ended, and the grace after that, is over: the connect that is held, or the next message, is told
//! `401::token_expired` and to shake hands again. Until then nothing goes out for it.

use super::Engine;
use crate::base::error::Reject;
use crate::base::time::Now;
use crate::conn::{Pass, Proof, is_user};
use crate::protocol::bayeux::{Advice, Fault, Reply, Topic};
use crate::transport::Transport;
use std::sync::Arc;

impl Engine {
    /// What a message may that speaks for `session`, or for nobody. A token that it brings is the session's from here on.
    /// `Err` says why it is refused, and what its client is to do if going on would be of no use.
    pub(super) fn show_papers(
        &mut self,
        now: Now,
        index: u32,
        session: Option<u32>,
        token: Option<&str>,
    ) -> Result<Proof, (Fault, Option<Advice>)> {
        let goes_on = |reject: Reject| (fault(&reject), None);
        let begins_anew = Some(Advice::Handshake { interval_ms: 0 });
        let brought = match token.filter(|_| self.slots[index].door.is_public()) {
            Some(_) if self.exchange(index).is_some_and(|exchange| !exchange.takes_token()) => {
                return Err((Fault::new(400, "a request brings at most 8 tokens"), None));
            }
            Some(token) => Some(self.look_at(now, index, token).map_err(goes_on)?),
            None => None,
        };
        let is_brought = brought.is_some();
        let of_head = self.exchange(index).and_then(|exchange| exchange.proof.clone()).filter(Proof::is_shown);
        let shown = brought.or(of_head).or_else(|| self.pass(index).map(|pass| pass.proof.clone()));
        // In its grace a session goes on; nothing begins.
        if session.is_none() && shown.as_ref().is_some_and(|proof| proof.grant.is_over(now.unix_ms)) {
            return Err((expired_fault(), None));
        }
        if let Some(slot) = session {
            if self.sessions[slot].pass().is_some_and(|pass| pass.is_over(now.tick)) {
                self.expire_session(now, slot);
                self.end_session(now, slot);
                return Err((expired_fault(), begins_anew));
            }
            if let Some(proof) = &shown {
                // What comes with each request would come with the next one too.
                let refused = |reject: Reject| (fault(&reject), begins_anew.filter(|_| !is_brought));
                self.show_session(now, slot, proof, is_brought).map_err(refused)?;
            }
            if is_brought
                && self.is_socket(index)
                && let Some(proof) = &shown
            {
                self.keep_pass(now, index, proof);
            }
            if !self.may_be_told_by_script(index, slot) {
                return Err((not_by_script(), None));
            }
        }
        let of_session = session.and_then(|slot| self.sessions[slot].pass()).map(|pass| &pass.proof);
        let own = || Proof::of(self.grant(index));
        Ok(match session {
            Some(_) => of_session.cloned().unwrap_or_else(|| Proof::of(self.access.of_door(self.slots[index].door))),
            None => shown.unwrap_or_else(own),
        })
    }

    /// A session begins by what was shown, if something was.
    pub(super) fn give_session_pass(&mut self, now: Now, slot: u32, proof: &Proof) {
        if proof.is_shown() {
            let pass = Pass::new(proof.clone(), now, self.durations.grace);
            self.sessions[slot].extras().pass = Some(pass);
        }
    }

    /// Something is shown for a session: it takes the place of what was, if it was brought for that or ends later.
    pub(super) fn show_session(&mut self, now: Now, slot: u32, proof: &Proof, brought: bool) -> Result<(), Reject> {
        let Some(pass) = self.sessions[slot].pass() else {
            return Err(Reject::new(403, "forbidden", "this client shook hands without a token"));
        };
        let known = &pass.proof.grant;
        if *known == proof.grant {
            return Ok(());
        }
        pass.is_of(proof)?;
        let ends = |expires: Option<u64>| expires.unwrap_or(u64::MAX);
        if !brought && ends(proof.grant.expires_unix_ms) <= ends(known.expires_unix_ms) {
            return Ok(());
        }
        if !self.allows_session(slot, proof) {
            return Err(super::passes::allows_less());
        }
        self.give_session_pass(now, slot, proof);
        for token in [self.sessions[slot].carrier, self.sessions[slot].stream()].into_iter().flatten() {
            let due = self.due(now.tick, token.index);
            self.wake_by(now.tick, token.index, due);
        }
        Ok(())
    }

    /// Whether a session could have by `proof` all that it has.
    fn allows_session(&self, slot: u32, proof: &Proof) -> bool {
        let named = self.sessions[slot].subscriptions.iter().all(|one| self.allows_channel(&proof.grant, one.channel));
        named && self.patterns_of(slot).iter().all(|stars| self.allows_stars(proof, stars))
    }

    fn allows_stars(&self, proof: &Proof, stars: &str) -> bool {
        self.policy.rule_of_stars(stars).is_some_and(|stars| proof.grant.may_watch(&stars) || self.policy.judge.cover(&stars))
    }

    /// Why a session may not subscribe to a topic. What the host program judges is for it to say.
    pub(super) fn objection(&self, now: Now, index: u32, slot: u32, topic: &Topic) -> Option<Fault> {
        let stranger = Proof::of(self.access.of_door(self.slots[index].door));
        let proof = self.sessions[slot].pass().map_or(&stranger, |pass| &pass.proof);
        let by_script = self.slots[index].variant.transport() == Transport::Jsonp;
        let (name, allowed, shown) = match topic {
            Topic::Service => return None,
            _ if proof.grant.is_over(now.unix_ms) => return Some(expired_fault()),
            Topic::Channel(name) if self.policy.judges(name) => return None,
            Topic::Channel(name) => (
                &**name,
                self.policy.allows(&proof.grant, name),
                self.policy.allows(&stranger.grant, name) || self.policy.shows_in_scripts(name),
            ),
            Topic::Stars(stars) => {
                let of_scripts =
                    || self.policy.rule_of_stars(stars).is_some_and(|stars| self.policy.jsonp_channels.cover(&stars));
                (&**stars, self.allows_stars(proof, stars), self.allows_stars(&stranger, stars) || of_scripts())
            }
        };
        (!allowed || by_script && !shown).then(|| Fault::about(403, name, "This client may not subscribe here"))
    }

    /// Whether all that a session has may go out in a script, if that is how this connection is answered.
    pub(super) fn may_be_told_by_script(&self, index: u32, slot: u32) -> bool {
        if self.slots[index].variant.transport() != Transport::Jsonp || self.sessions[slot].pass().is_none() {
            return true;
        }
        let stranger = self.access.of_door(self.slots[index].door);
        let shown = |key: u32| self.allows_channel(stranger, key) || self.policy.shows_in_scripts(&self.hub[key].name);
        self.sessions[slot].subscriptions.iter().all(|one| shown(one.channel))
    }

    /// Who the host program is told that a message is from.
    pub(super) fn known_as(&mut self, index: u32, session: Option<u32>) -> Option<Arc<str>> {
        let who = self.exchange(index)?.who.clone()?;
        let pass = session.and_then(|slot| self.sessions[slot].pass());
        let shown = || self.slots[index].rest.as_ref()?.exchange.as_ref()?.proof.as_ref();
        let proof = pass.map(|pass| &pass.proof).or_else(shown).or_else(|| Some(&self.pass(index)?.proof));
        Some(is_user(&who, proof.and_then(|proof| proof.grant.user.as_deref())))
    }

    /// The token of a session has ended: nothing goes out for it from here on. A connect that is held is told so, or else the
    /// next message is; the session itself goes when its client does not come.
    pub(super) fn expire_session(&mut self, now: Now, slot: u32) {
        self.end_stream(now, slot);
        let told = |reply: Reply| Reply { advice: Some(Advice::Handshake { interval_ms: 0 }), ..reply.failed(expired_fault()) };
        self.answer_held(now, slot, told);
    }
}

/// The fault of what comes by a token that has ended.
pub(super) fn expired_fault() -> Fault {
    fault(&super::passes::expired())
}

/// The fault of what would show by a script what scripts do not show.
pub(super) fn not_by_script() -> Fault {
    Fault::new(403, "Scripts show only what strangers may read (jsonp_channels)")
}

/// A refusal as Bayeux tells it. Of tokens clients know the code by its word.
fn fault(reject: &Reject) -> Fault {
    match reject.status {
        401 => Fault::new(401, reject.code),
        status => Fault::new(status, reject.detail.clone()),
    }
}
