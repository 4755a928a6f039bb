//! Browsers: how many connects of one are held at once.
//!
//! A browser opens few connections to a site, and each connect that is held takes one of them for as long. So that many pages
//! of a site never take all, some connects of a browser are held and the others are answered at once, with the advice to
//! come back after a while. A connect on a WebSocket takes no such connection, and does not count.
//!
//! A browser is known here while it has a session, so that cookies alone leave nothing.

use super::Engine;
use crate::base::time::Now;
use crate::conn::Jar;
use crate::protocol::bayeux::{Advice, Browser};
use crate::transport::Transport;
use std::collections::BTreeMap;
use std::num::NonZeroU128;

/// What is known of one browser.
#[derive(Debug, Default)]
struct Presence {
    /// Its sessions; at least one.
    sessions: u32,
    /// Its connects that are held, on no WebSocket.
    held: u32,
}

/// All browsers that have sessions on one shard.
#[derive(Debug)]
pub(super) struct Browsers {
    /// How many connects of one are held; 0 for all.
    held_max: usize,
    present: BTreeMap<NonZeroU128, Presence>,
}

impl Browsers {
    pub(super) fn new(held_max: usize) -> Browsers {
        Browsers { held_max, present: BTreeMap::new() }
    }

    /// So many connects of one are held from now on; 0 for all.
    pub(super) fn set_held_max(&mut self, held_max: usize) {
        self.held_max = held_max;
    }

    /// A browser has one session more.
    pub(super) fn enter(&mut self, browser: NonZeroU128) {
        self.present.entry(browser).or_default().sessions += 1;
    }

    /// It has one less.
    pub(super) fn leave(&mut self, browser: NonZeroU128) {
        let Some(presence) = self.present.get_mut(&browser) else { return };
        presence.sessions -= 1;
        if presence.sessions == 0 {
            self.present.remove(&browser);
        }
    }
}

impl Engine {
    /// Which browser shakes hands, and the cookie that it is to be given if it brought none of ours.
    pub(super) fn meet_browser(&mut self, jar: Option<Jar>) -> (Option<Browser>, Option<String>) {
        let Some(Jar { browser, secure }) = jar.filter(|_| self.browsers.held_max > 0) else { return (None, None) };
        match browser.filter(|browser| browser.shard == self.shard) {
            Some(known) => (Some(known), None),
            None => {
                let secret = NonZeroU128::new(self.random.wide_bits()).unwrap_or(NonZeroU128::MIN);
                let browser = Browser { shard: self.shard, secret };
                (Some(browser), Some(browser.cookie(secure)))
            }
        }
    }

    /// Whether as many connects of a session's browser are held as may be.
    pub(super) fn is_crowded(&self, slot: u32) -> bool {
        let presence = self.sessions[slot].browser.and_then(|browser| self.browsers.present.get(&browser));
        presence.is_some_and(|presence| self.browsers.held_max > 0 && presence.held as usize >= self.browsers.held_max)
    }

    /// What a session is told whose connect is not held since others of its browser are. It has so much longer to come back.
    pub(super) fn turn_away(&mut self, now: Now, slot: u32) -> Advice {
        self.sessions[slot].crowded = true;
        self.await_connect(now.tick, slot);
        self.advise_retry(Some(true), self.durations.browser_interval)
    }

    /// What a session is told that was turned away and is not any more; once.
    pub(super) fn welcome_back(&mut self, slot: u32) -> Option<Advice> {
        let crowded = std::mem::take(&mut self.sessions[slot].crowded);
        crowded.then(|| self.advise_retry(Some(false), self.durations.bayeux_interval))
    }

    /// A connection begins to hold the connect of a session, or ends to.
    pub(super) fn count_held(&mut self, index: u32, slot: u32, held: bool) {
        if self.slots[index].variant.transport() == Transport::WebSocket {
            return;
        }
        let presence = self.sessions[slot].browser.and_then(|browser| self.browsers.present.get_mut(&browser));
        if let Some(presence) = presence {
            presence.held = if held { presence.held + 1 } else { presence.held - 1 };
        }
    }

    /// Panics unless each browser has exactly the sessions and the held connects that are counted.
    pub(super) fn check_browsers(&self) {
        let mut seen: BTreeMap<NonZeroU128, (u32, u32)> = BTreeMap::new();
        for session in self.sessions.iter() {
            let Some(browser) = session.browser else { continue };
            let carrier = session.carrier.filter(|_| session.connect.is_some());
            let polls = |index: u32| self.slots[index].variant.transport() != Transport::WebSocket;
            let (sessions, held) = seen.entry(browser).or_default();
            *sessions += 1;
            *held += u32::from(carrier.is_some_and(|token| polls(token.index)));
        }
        let counted = self.browsers.present.iter();
        let counted: BTreeMap<_, _> = counted.map(|(browser, one)| (*browser, (one.sessions, one.held))).collect();
        assert_eq!(seen, counted);
    }
}
