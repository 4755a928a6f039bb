//! What shards say to each other. All of it is data: no reactor ever waits for another.

#![allow(missing_docs)]

use super::passes::Renewal;
use super::samples::Busy;
use crate::base::id::{Epoch, MessageId, Token};
use crate::base::incident::About;
use crate::base::payload::Message;
use crate::channel::LetGo;
pub use crate::protocol::plain::{Answer, ChannelInfo, Present, Roster};
use std::sync::Arc;

/// Who asked a home shard for something, and which of its questions it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The asking shard.
    pub shard: u16,
    /// The connection there.
    pub token: Token,
    /// Which of the connection's outstanding questions.
    pub question: u32,
}

/// One message between shards. From a mirror to the home, then from the home to a mirror, then answers.
#[derive(Debug)]
pub enum PeerMessage {
    /// `shard` has readers of this channel and wants a mirror.
    Attach { name: Arc<str>, shard: u16 },
    /// `shard` has no readers left.
    Detach { name: Arc<str>, shard: u16 },
    /// `shard` now has so many readers.
    Count { name: Arc<str>, shard: u16, subscribers: u32 },
    /// On `shard`, `user` has so many readers of this channel, or all who are nobody in particular have; lately it had
    /// some, if there are none.
    Present { name: Arc<str>, shard: u16, user: Option<Arc<str>>, connections: u32 },
    /// Tell who is on this channel, from behind this name on.
    RollCall { name: Arc<str>, after: Option<String>, asker: Asker },
    /// Keep this message.
    Publish { message: Message, asker: Asker },
    /// Keep this message of a framed stream: the next barrier tells whether any was refused.
    Take { message: Message, asker: Asker },
    /// Say when all that was sent before this is taken.
    Barrier { asker: Asker },
    /// All that was sent before the barrier is taken, but for so many messages of this stream that were refused.
    Passed { asker: Asker, refused: u32 },
    /// Describe this channel.
    Inspect { name: Arc<str>, asker: Asker },
    /// Take another token for a connection of this shard.
    Renew { renewal: Renewal, asker: Asker },
    /// Drop this channel.
    Delete { name: Arc<str>, asker: Asker },
    /// The asking shard has sessions that watch this pattern, and wants mirrors of all that it stands for.
    Watch { pattern: Arc<str>, asker: Asker },
    /// What there is was sent, and what comes will be.
    Watched { asker: Asker },
    /// `shard` has no such sessions left.
    Unwatch { pattern: Arc<str>, shard: u16 },
    /// The whole ring, pointers only: `messages` end at `head`. What was before them had to go for this reason.
    Snapshot { name: Arc<str>, epoch: Epoch, head: u64, messages: Vec<Message>, let_go: LetGo },
    /// The next message of a channel.
    Forward { id: MessageId, message: Message },
    /// The home had to let go of everything before `first`.
    Trim { name: Arc<str>, first: MessageId },
    /// Tell what happened that is about this.
    Recall { about: About, asker: Asker },
    /// Tell `shard`, where the samples are made, which channels are the busiest, and count on.
    Busiest { shard: u16 },
    /// These are.
    Busy { channels: Vec<Busy> },
    /// What `Asker` asked for.
    Answer { asker: Asker, answer: Answer },
}
