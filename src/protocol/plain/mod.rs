//! HTTP of our own: `/sub`, `/pub`, `/channels`, and the few pages beside them.

mod batch;
mod command;
mod gate;
pub(crate) mod reply;

pub(crate) use batch::messages;
pub(crate) use command::{Command, Preflight, Publish, parse};
pub use reply::{Answer, ChannelInfo};
