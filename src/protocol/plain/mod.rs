//! HTTP of our own: `/sub`, `/pub`, `/channels`, and the few pages beside them.

mod batch;
mod command;
pub(crate) mod feed;
mod gate;
pub(crate) mod reply;

pub(crate) use batch::{message, messages};
pub(crate) use command::{Command, Preflight, Publish, may_publish, parse};
pub(crate) use gate::is_same_site;
pub use reply::{Answer, ChannelInfo};
