//! Who listens to what, and what was said: the channels of one shard.
//!
//! A channel's **home** shard gives its messages their offsets and keeps its history; a shard with readers of
//! a channel that lives elsewhere keeps a **mirror** of that history, pointers only. Both are a [`Channel`].
//! Here are data structures alone: who is told what is the engine's to say.

mod history;
mod hub;
mod latest;
mod roll;
mod slow;

pub use history::LetGo;
pub(crate) use history::{History, Keep};
pub(crate) use hub::{Channel, Holder, Hub, Mirror, Role, Subscriber, Waving};
pub(crate) use roll::Rolls;
pub(crate) use slow::{Policies, Slow};
