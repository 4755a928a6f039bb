//! Stands in for `encke::reactor` until that has its server, with the same names.

use encke::{Config, Error};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What a server listens on.
pub struct Addresses {
    pub public: Vec<SocketAddr>,
    pub private: Vec<SocketAddr>,
    pub control: Option<PathBuf>,
}

/// A server that cannot start.
pub struct Server(Addresses);

impl Server {
    /// Says so.
    pub fn start(_: Config) -> Result<Server, Error> {
        Err(Error::Closed)
    }

    /// What it would listen on.
    pub fn addresses(&self) -> &Addresses {
        &self.0
    }

    /// Nothing to stop.
    pub fn stop(self) {}
}
