//! The C ABI: handles, codes and lent bytes over the reactor room. All `unsafe` of the crate is here.
//!
//! Each function checks what it was given, makes one call into safe code, and turns the result into a code.
//! Nothing here decides anything about messages or connections.
//!
//! - **Handles** are numbers that look like pointers (`handle`): never followed, so a stale or wild one is answered
//!   with a code. A thread remembers the handle it used last, which saves it the table and its lock.
//! - **Panics** stop at the guard (`guard`): the handle is poisoned, the host lives.
//! - **Forks** are noticed by a generation (`fork`): a child's call never touches what its parent's threads own.
//! - **Signals** stay with the host's threads (`signals`).
//! - **The host's bytes** are lent for the call (`lent`); ours are lent until `encke_event_free`.
//!
//! Read `handle` and `guard` first, then `server`, `publish`, `channel` and `event`, which are the functions themselves.
//! `include/encke.h` is made from this room.

mod allocator;
mod channel;
mod code;
mod event;
mod fork;
mod guard;
mod handle;
mod lent;
mod log;
mod options;
mod publish;
mod server;
mod signals;
mod text;
