//! What every room may use: errors, options, time and counts as plain numbers, the shared message, its frames, ids, rates and
//! who they are counted by, a seeded generator.
//!
//! Nothing here knows of a socket, a clock or a thread.

pub mod client;
pub mod config;
pub mod cursor;
pub mod door;
pub mod error;
pub mod event;
pub mod frame;
pub mod histogram;
pub mod id;
pub mod incident;
pub mod name;
pub mod pattern;
pub mod payload;
pub(crate) mod presence;
pub mod random;
pub mod rate;
pub(crate) mod shorten;
pub mod time;
