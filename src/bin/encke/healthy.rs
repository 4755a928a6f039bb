//! `encke healthy`: asks a server whether it serves, for whoever has nothing else to ask with (a container's health check).

use crate::address::Address;
use crate::http_client::{Client, Request};
use std::time::Duration;

/// A server that takes longer is not well.
const LIMIT: Duration = Duration::from_secs(5);

/// `Err` says what is wrong with the server at `address`, if anything is.
pub fn run(address: Address) -> Result<(), String> {
    let mut client = Client::limited(address.clone(), LIMIT);
    let request = Request { method: "GET", target: "/healthz", headers: &[], body: b"" };
    match client.send(&request).map(|response| response.status) {
        Ok(200) => Ok(()),
        Ok(status) => Err(format!("{address} answers with {status}")),
        Err(error) => Err(format!("{address} does not answer: {error}")),
    }
}
