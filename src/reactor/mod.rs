//! The only room that meets the system: sockets, the clock, wake-ups and threads.
//!
//! One reactor a core. Each owns an [`Engine`](crate::engine::Engine) and whatever sockets the system or a
//! neighbour handed it; reactors share nothing but their mailboxes. Everything that decides anything is in
//! the engine: a reactor carries bytes and tells the time.
//!
//! Read in this order: `turn` is what a reactor does again and again, `socket` and `listener` are what it
//! does it with, `porter` is who is let in, `vital` is how dead peers are found out, `mailbox` is how others reach it,
//! `publisher` how the host program does, `events` is how that hears of it and `judge` how it answers, `clock` tells it the
//! time, `keyring` reads its files, `server` starts and stops them all (`drain`: step by step), `reload` gives them new
//! options, and `succession` hands all over to another process. `tables` lets each have descriptors of its own; then `ferry`
//! carries sockets between them. `tally` is what each has done, for `metrics` and `sample` to add up, `process` what the
//! system says; `access_log` is written on a thread of its own. `remote` is the other side: a publisher to a server in
//! another process.

mod access_log;
mod clock;
mod drain;
mod events;
mod ferry;
mod judge;
mod keyring;
mod listener;
mod mailbox;
mod metrics;
mod outfit;
mod porter;
mod process;
mod publisher;
mod reload;
mod remote;
mod reserve;
mod sample;
mod seats;
mod server;
mod socket;
mod succession;
mod tables;
mod tally;
mod tcp_info;
mod turn;
mod vital;
mod waker;

pub use events::{Events, Outbox};
pub use judge::Judge;
pub use publisher::Publisher;
pub(crate) use publisher::Target;
pub use remote::Remote;
pub use server::{Addresses, Server};
pub(crate) use socket::shared_with_children;
pub use succession::Heritage;
pub use tally::Stats;
