//! How fast clients publish at the public listeners: so many messages and bytes a second from one address, whatever they
//! come by. And how often they show what is no good: to look at a token costs up to most of a millisecond, so that from an
//! address where too many were bad only those are taken that were found to be good before. What comes by another listener is
//! the application's, and is not counted.
//!
//! The accounts are shared by all shards, so it is of no use to have connections to several. Where a request is from is noted
//! with its head; a proxy that is trusted says so. Nothing is noted, and nobody is counted, while no rate is set; those who are
//! there when one is set count too.

use super::{Engine, Landlord};
use crate::base::client::{Client, Networks};
use crate::base::config::Config;
use crate::base::error::Reject;
use crate::base::payload::Message;
use crate::base::random::Seed;
use crate::base::rate::{Accounts, Rate};
use crate::base::time::Now;
use crate::conn::{Proof, TOO_MANY_BAD};
use crate::http::Request;
use crate::transport::websocket::{Fault, TRY_AGAIN_LATER};
use std::sync::Arc;

/// How often in a row a WebSocket's client may go on publishing after it was told that it is too fast.
const SCOLDINGS_MAX: u8 = 16;

/// What clients may publish in a second, for all shards of a server.
#[derive(Debug)]
pub struct Rates {
    messages: Option<Accounts>,
    bytes: Option<Accounts>,
    /// Tokens and signed names that were no good; only where there are keys.
    bad: Option<Accounts>,
    trusted: Networks,
}

impl Rates {
    /// All accounts paid up.
    pub fn new(config: &Config, seed: Seed) -> Rates {
        let accounts = |per_second| Rate::new(per_second, config.rate_burst_ms).map(|rate| Accounts::new(rate, seed));
        let has_keys = config.token_keys.is_some();
        Rates {
            bad: accounts(if has_keys { config.bad_token_rate } else { 0 }),
            messages: accounts(config.publish_rate),
            bytes: accounts(config.publish_bytes_rate),
            trusted: Networks::parse(&config.trusted_proxies).expect("the options were checked"),
        }
    }

    fn are_set(&self) -> bool {
        self.messages.is_some() || self.bytes.is_some() || self.bad.is_some()
    }
}

/// Whom a slot's tenant counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guest {
    client: Client,
    /// It came by a proxy, whose connection it is.
    proxied: bool,
}

/// The rates, and whom the tenant of each slot counts as.
#[derive(Debug)]
pub(super) struct Meter {
    rates: Arc<Rates>,
    pub(super) landlord: Option<Arc<dyn Landlord>>,
    guests: Vec<Option<Guest>>,
}

impl Meter {
    pub(super) fn new(rates: Rates) -> Meter {
        Meter { rates: Arc::new(rates), landlord: None, guests: Vec::new() }
    }

    /// Whether it matters where connections come from.
    pub(super) fn counts(&self) -> bool {
        self.rates.are_set() || self.landlord.is_some()
    }

    /// Whom the present request of a slot counts as, if that matters.
    pub(super) fn guest(&self, index: u32) -> Option<Guest> {
        self.guests.get(index as usize).copied().flatten()
    }

    /// The same for whom a proxy has brought.
    pub(super) fn client_of_proxy(&self, index: u32) -> Option<Client> {
        self.guest(index).filter(|guest| guest.proxied).map(|guest| guest.client)
    }

    /// A slot's tenant counts as `guest` from now on.
    pub(super) fn note(&mut self, index: u32, guest: Option<Guest>) {
        let index = index as usize;
        if guest.is_some() && index >= self.guests.len() {
            self.guests.resize(index + 1, None);
        }
        if let Some(place) = self.guests.get_mut(index) {
            *place = guest;
        }
    }
}

impl Engine {
    /// The accounts of the server that this is a shard of.
    pub fn share_rates(&mut self, rates: Arc<Rates>) {
        self.meter.rates = rates;
    }

    /// A request begins: notes where it is from, if that matters.
    pub(super) fn note_client(&mut self, index: u32, request: &Request<'_, '_>) {
        if self.meter.counts() {
            let trusted = &self.meter.rates.trusted;
            let guest = self.host.address(index).map(|peer| {
                let from = trusted.origin(peer.ip(), request.headers("X-Forwarded-For"));
                Guest { client: from.into(), proxied: from != peer.ip() }
            });
            self.meter.note(index, guest);
        }
    }

    /// A client is about to publish `messages`, for which it pays; `Err`: it is too fast, and none is taken.
    pub(super) fn pay_for(&mut self, now: Now, index: u32, messages: &[Message]) -> Result<(), Reject> {
        if !self.meter.rates.are_set() || !self.slots[index].door.is_public() {
            return Ok(());
        }
        let Some(client) = self.publisher(index) else { return Ok(()) };
        let Rates { messages: counted, bytes: weighed, .. } = &*self.meter.rates;
        let wait = |accounts: &Option<Accounts>| accounts.as_ref().map_or(0, |accounts| accounts.wait(client, now.tick));
        let (of_messages, of_bytes) = (wait(counted), wait(weighed));
        let detail = match (of_messages, of_bytes) {
            (0, 0) => {
                let bytes = messages.iter().map(|message| message.data().len() as u64).sum();
                let charge = |accounts: &Option<Accounts>, amount| {
                    accounts.iter().for_each(|accounts| accounts.charge(client, now.tick, amount));
                };
                charge(counted, messages.len() as u64);
                charge(weighed, bytes);
                return Ok(());
            }
            (0, _) => "more bytes come from this address than are taken in a second (publish_bytes_rate)",
            _ => "more messages come from this address than are taken in a second (publish_rate)",
        };
        self.counters.refused_rate += 1;
        let seconds = self.retry_after(of_messages.max(of_bytes));
        Err(Reject::new(429, "too_many_requests", detail).retry_after(seconds))
    }

    /// For how long nothing new that this connection shows is looked at, since too much from its address was no good.
    pub(super) fn bad_wait(&self, now: Now, index: u32) -> u64 {
        let Some(Guest { client, .. }) = self.meter.guest(index).filter(|_| self.slots[index].door.is_public()) else { return 0 };
        self.meter.rates.bad.as_ref().map_or(0, |accounts| accounts.wait(client, now.tick))
    }

    /// A token came in a message.
    pub(super) fn look_at(&mut self, now: Now, index: u32, token: &str) -> Result<Proof, Reject> {
        let wait_ms = self.bad_wait(now, index);
        Proof::of_token(&mut self.access, token, now.unix_ms, wait_ms).map_err(|reject| self.count_bad(now, index, reject))
    }

    /// A request is refused: if for what it showed, that counts against its address; if unseen, it is told when to come back.
    pub(super) fn count_bad(&mut self, now: Now, index: u32, reject: Reject) -> Reject {
        match reject.code {
            "bad_token" | "bad_name" | "token_expired" => {
                if let (Some(accounts), Some(guest)) = (&self.meter.rates.bad, self.meter.guest(index)) {
                    accounts.charge(guest.client, now.tick, 1);
                }
                reject
            }
            TOO_MANY_BAD => {
                self.counters.refused_rate += 1;
                let wait_ms = self.bad_wait(now, index);
                reject.retry_after(self.retry_after(wait_ms))
            }
            _ => reject,
        }
    }

    /// Who publishes. Whose last request came before anybody was counted goes by its connection, unless that is a proxy's.
    fn publisher(&self, index: u32) -> Option<Client> {
        let guest = self.meter.guest(index).map(|guest| guest.client);
        guest.or_else(|| {
            let peer = self.host.address(index)?.ip();
            (!self.meter.rates.trusted.hold(peer)).then(|| peer.into())
        })
    }

    /// A WebSocket's client is too fast. It is told; if it goes on all the same, it is closed.
    pub(super) fn scold(&mut self, now: Now, index: u32, reject: &Reject, reference: &str) {
        let rest = self.slots[index].rest();
        rest.scoldings = rest.scoldings.saturating_add(1);
        if rest.scoldings > SCOLDINGS_MAX {
            return self.hang_up(now, index, &Fault { code: TRY_AGAIN_LATER, detail: "too_many_requests".into() });
        }
        self.say_refused(now, index, reject, reference);
    }

    /// A WebSocket's client was not too fast this time.
    pub(super) fn forgive(&mut self, index: u32) {
        if let Some(rest) = &mut self.slots[index].rest {
            rest.scoldings = 0;
        }
    }
}
