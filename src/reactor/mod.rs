//! The only room that meets the system: sockets, the clock, wake-ups and threads.
//!
//! One reactor a core. Each owns an [`Engine`](crate::engine::Engine) and whatever sockets the system or a
//! neighbour handed it; reactors share nothing but their mailboxes. Everything that decides anything is in
//! the engine: a reactor carries bytes and tells the time.
//!
//! Read in this order: `turn` is what a reactor does again and again, `socket` and `listener` are what it
//! does it with, `mailbox` is how others reach it, `publisher` how the host program does, `events` is how that
//! hears of it, `clock` tells it the time, and `server` starts and stops them all. `tally` is what each has done, for `metrics`
//! and `sample` to add up, `process` what the system says; `access_log` is written on a thread of its own. `remote` is the other side: a
//! publisher to a server in another process.

mod access_log;
mod clock;
mod events;
mod listener;
mod mailbox;
mod metrics;
mod process;
mod publisher;
mod remote;
mod sample;
mod server;
mod socket;
mod tally;
mod turn;

pub use events::{Events, Outbox};
pub use publisher::Publisher;
pub use remote::Remote;
pub use server::{Addresses, Judge, Server};
pub(crate) use socket::shared_with_children;
pub use tally::Stats;
