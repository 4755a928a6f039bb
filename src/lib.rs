//! Encke: a Comet server in a library.

pub mod base;
pub mod channel;
mod conn;
pub mod engine;
pub mod http;
mod protocol;
pub mod reactor;
mod timer;
mod transport;

pub use base::config::Config;
pub use base::error::Error;
