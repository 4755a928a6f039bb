//! How many readers somebody may have at once where connections do not tell: a user, who may have them anywhere, and a client
//! that comes by a proxy, whose connections they are.
//!
//! A request that is held has its places in its connection's rest until it is answered or ends; a Bayeux session has them
//! among its extras for as long as it lives, whatever its client comes by. They are given up by being dropped. The tables are
//! the server's: all shards have the same [`Landlord`], and direct connections are counted there too.

use super::Engine;
use crate::base::client::{Client, Place};
use crate::base::error::Reject;
use std::fmt::Debug;
use std::sync::Arc;

/// Gives out places, for all shards of a server.
pub trait Landlord: Debug + Send + Sync {
    /// One more for each that is named. `Err`: one has as many as it may, and none is given.
    fn places(&self, user: Option<&Arc<str>>, client: Option<Client>) -> Result<Place, Crowded>;
}

/// Who has as many readers as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// The user.
    User,
    /// The address.
    Client,
}

impl Engine {
    /// Whom to ask for places, where readers are counted.
    pub fn set_landlord(&mut self, landlord: Arc<dyn Landlord>) {
        self.meter.landlord = Some(landlord);
    }

    /// The places of the reader that the present request of a connection is, if it needs some; `Err`: there is none left.
    /// `user` is who its token says that it is.
    pub(super) fn take_place(&mut self, index: u32, user: Option<&Arc<str>>) -> Result<Option<Place>, Reject> {
        let client = self.meter.client_of_proxy(index);
        self.rent(user, client)
    }

    /// The same for a reader that has a place already but for its user's, whom it has shown since.
    pub(super) fn take_place_of_user(&mut self, user: Option<&Arc<str>>) -> Result<Option<Place>, Reject> {
        self.rent(user, None)
    }

    fn rent(&mut self, user: Option<&Arc<str>>, client: Option<Client>) -> Result<Option<Place>, Reject> {
        let Some(landlord) = &self.meter.landlord else { return Ok(None) };
        if user.is_none() && client.is_none() {
            return Ok(None);
        }
        let detail = match landlord.places(user, client) {
            Ok(place) => return Ok(Some(place)),
            Err(Crowded::User) => {
                self.counters.turned_away_user += 1;
                "this user has as many readers as it may have (connections_per_user)"
            }
            Err(Crowded::Client) => {
                self.counters.turned_away_address += 1;
                "this address has as many readers as it may have connections (connections_per_address)"
            }
        };
        Err(Reject::new(429, "too_many_connections", detail).retry_after(self.retry_after(0)))
    }
}
