//! Encke is a Comet server in the hand: it parks connections, keeps channels in order, remembers, resumes and
//! fans out. The application stays dumb about sockets, and Encke stays dumb about the application.
//!
//! ```
//! use encke::{Config, Server};
//!
//! let config = Config { listen: vec!["127.0.0.1:0".into()], private: vec![], ..Config::default() };
//! let server = Server::start(config)?;
//! println!("subscribe: curl -N 'http://{}/sub/chat?transport=sse'", server.addresses().public[0]);
//! server.publisher().publish("/chat", b"hello")?;
//! server.stop();
//! # Ok::<(), encke::Error>(())
//! ```
//!
#![doc = include_str!("ARCHITECTURE.md")]

pub mod access;
pub mod base;
mod channel;
mod conn;
pub mod engine;
#[allow(unsafe_code, reason = "the C ABI is made of it, and it is all here")]
mod ffi;
pub mod http;
mod protocol;
pub mod reactor;
mod timer;
mod transport;

pub use base::config::Config;
pub use base::error::Error;
pub use base::event::{Event, EventKind};
pub use base::payload::Parts;
pub use reactor::{Events, Judge, Outbox, Publisher, Remote, Server, Stats};
