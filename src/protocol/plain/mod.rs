//! HTTP of our own: `/sub`, `/pub`, `/channels`, and the few pages beside them.

mod batch;
mod command;
mod demo;
pub(crate) mod feed;
mod file;
mod gate;
pub(crate) mod members;
pub(crate) mod reply;
mod script;
mod verdict;

pub(crate) use batch::{message, messages, one_message};
pub(crate) use command::{
    Command, Manner, Preflight, Publish, inspection, parse, preflight_of, preflight_of_publish, published_channel,
    renewed_session, subject, ungated_publish,
};
pub(crate) use demo::demonstration;
pub(crate) use gate::{internal as may_read_internal, is_same_site, publish as may_publish};
pub use members::{Present, Roster};
pub use reply::{Answer, ChannelInfo};
pub use verdict::VERDICTS;
