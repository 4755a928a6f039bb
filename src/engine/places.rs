//! How many readers a client may have at once where its connections do not tell: it comes by a proxy, which has them.
//!
//! A request that is held has a place in its connection's rest until it is answered or ends; a Bayeux session has one among its
//! extras for as long as it lives, whatever its client comes by. A place is given up by being dropped. The table of them is
//! the server's: all shards have the same [`Landlord`], and direct connections are counted in it too.

use super::Engine;
use crate::base::client::{Client, Place};
use crate::base::error::Reject;
use std::fmt::Debug;
use std::sync::Arc;

/// Gives out places, for all shards of a server.
pub trait Landlord: Debug + Send + Sync {
    /// One more for `client`; `None`: it has as many as it may.
    fn place(&self, client: Client) -> Option<Place>;
}

impl Engine {
    /// Whom to ask for places, where readers behind proxies are counted.
    pub fn set_landlord(&mut self, landlord: Arc<dyn Landlord>) {
        self.meter.landlord = Some(landlord);
    }

    /// The place of the reader that the present request of a connection is, if it needs one; `Err`: there is none left.
    pub(super) fn take_place(&mut self, index: u32) -> Result<Option<Place>, Reject> {
        let Some(landlord) = &self.meter.landlord else { return Ok(None) };
        let Some(client) = self.meter.client_of_proxy(index) else { return Ok(None) };
        if let Some(place) = landlord.place(client) {
            return Ok(Some(place));
        }
        self.counters.turned_away_address += 1;
        let detail = "this address has as many readers as it may have connections (connections_per_address)";
        Err(Reject::new(429, "too_many_connections", detail).retry_after(self.retry_after(0)))
    }
}
