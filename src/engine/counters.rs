//! The numbers of one shard that only ever grow.

use crate::protocol::plain::VERDICTS;

/// What the engine has done since it was made; each only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections taken in.
    pub opened: u64,
    /// Messages kept by this shard as a home.
    pub published: u64,
    /// Messages framed to readers of this shard, counted for each reader.
    pub delivered: u64,
    /// Readers told that they have missed something.
    pub gaps: u64,
    /// How many messages they have missed, as far as that is known: nobody knows it of a former epoch.
    pub missed: u64,
    /// Bytes that came by sockets.
    pub received_bytes: u64,
    /// Bytes that sockets took.
    pub sent_bytes: u64,
    /// Messages left out for a later one with the same event name, counted for each reader.
    pub conflated: u64,
    /// Messages passed over for readers who were too far behind, counted for each reader.
    pub skipped: u64,
    /// Streams ended since their clients were too slow for a channel.
    pub ended_slow: u64,
    /// Requests, messages and frames refused.
    pub refused: u64,
    /// Publishes refused because their client was too fast.
    pub refused_rate: u64,
    /// Connections not let in because there were as many as there may be.
    pub turned_away_full: u64,
    /// Connections not let in because the system had no descriptor left.
    pub turned_away_descriptors: u64,
    /// Connections not let in because their address had as many as it may have.
    pub turned_away_address: u64,
    /// Readers refused because their user had as many as it may have.
    pub turned_away_user: u64,
    /// Connections not let in because too many came in a second, of all or of their address.
    pub turned_away_rate: u64,
    /// Connections that their clients ended.
    pub gone_left: u64,
    /// Connections that broke: the peer's system knew nothing of them any more, or did not want them.
    pub gone_reset: u64,
    /// Connections whose peers did not answer in time.
    pub gone_timed_out: u64,
    /// Connections cut off because they took nothing of what waited for them.
    pub gone_stalled: u64,
    /// Messages published in this process that could not be kept: there were too many channels, or the channel is the
    /// server's own.
    pub unkept: u64,
    /// Users who came to a channel of which it is told who is here.
    pub joins: u64,
    /// Users who left one.
    pub leaves: u64,
    /// What clients found to work, in the order of [`VERDICTS`].
    pub verdicts: [u64; VERDICTS.len()],
}
