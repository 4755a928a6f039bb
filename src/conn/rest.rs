//! What a connection needs only for a moment, or only if it is of a rare kind.

use super::{Ask, Exchange, Framed, Hold, Moving, Pass, RollCall, Subscription};
use crate::base::client::Place;
use crate::base::cursor::Since;
use crate::base::id::Token;
use crate::base::name::Name;
use crate::http::Chunked;
use crate::protocol::bayeux::{Reply, Topic};
use crate::protocol::plain::{Answer, Manner};
use crate::transport::websocket::Inbound;
use std::sync::Arc;

/// The rare rest of a connection. Every buffer here is bounded: `inbox` by one head and one receive, `out` by
/// the answers to one receive's requests, a body by its own limit.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// Bytes received that are not yet a request.
    pub(crate) inbox: Vec<u8>,
    /// How far `inbox` was searched for the end of a head.
    pub(crate) scanned: usize,
    /// The request whose body is on its way.
    pub(crate) body: Option<Box<BodyUnderWay>>,
    /// A shared frame that was begun, and how much of it is written: it goes first.
    pub(crate) frame: Option<(Arc<[u8]>, usize)>,
    /// Bytes of this connection's own to be written then, and how many of them are.
    pub(crate) out: Vec<u8>,
    pub(crate) out_sent: usize,
    /// More subscriptions than the one that fits the slot.
    pub(crate) subscriptions: Vec<Subscription>,
    /// Where reading begins once all channels are known, and how many are not.
    pub(crate) joining: Option<(Since, u32)>,
    pub(crate) asking: Option<Asking>,
    /// `websocket`: a message that is not whole yet.
    pub(crate) inbound: Option<Box<Inbound>>,
    /// `websocket`: the channels that a client waits for, and how it will know the answer.
    pub(crate) wished: Option<(Vec<Name>, String)>,
    /// What the host program was asked, and has not answered yet.
    pub(crate) judged: Option<Box<Judged>>,
    /// Its reader's place, where those behind proxies are counted.
    pub(crate) place: Option<Place>,
    /// `websocket`: how often in a row its client was told that it publishes too fast.
    pub(crate) scoldings: u8,
    /// `websocket`: who its client is, for a host program that may be asked or told.
    pub(crate) who: Option<Arc<str>>,
    /// What it holds by a token, a key or a signed name; without one, what its door allows is all that it may.
    pub(crate) pass: Option<Box<Pass>>,
    /// The origin that the request under way comes from, as in [`Look::origin`](crate::transport::Look::origin).
    pub(crate) origin: u16,
    /// A framed stream: what its publisher is owed.
    pub(crate) framed: Option<Box<Framed>>,
    /// A Bayeux request that is being answered.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// A Bayeux request that is to be answered on another shard.
    pub(crate) moving: Option<Box<Moving>>,
}

/// A request whose body is on its way.
#[derive(Debug)]
pub(crate) struct BodyUnderWay {
    pub(crate) ask: Ask,
    pub(crate) decoder: Decoder,
    pub(crate) data: Vec<u8>,
}

/// How much of a body is missing.
#[derive(Debug)]
pub(crate) enum Decoder {
    Sized(usize),
    Chunked(Chunked),
}

/// Questions put to home shards.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) answers: Vec<Option<Answer>>,
    pub(crate) missing: usize,
    /// How they are told.
    pub(crate) manner: Manner,
    /// `websocket`: how the client will know the answer.
    pub(crate) reference: String,
}

/// Questions put to the host program.
#[derive(Debug)]
pub(crate) struct Judged {
    /// Those without an answer; never empty.
    pub(crate) open: Vec<u64>,
    /// What is done once all are answered well.
    pub(crate) then: Then,
}

/// What waits for a verdict.
#[derive(Debug)]
pub(crate) enum Then {
    Hold(Hold),
    More(More),
    RollCall(RollCall),
    /// A Bayeux session subscribes to these; what it is answered then.
    Subscribe {
        session: Token,
        topics: Vec<Topic>,
        reply: Reply,
    },
}

/// `websocket`: more channels that a client wishes for, and how it will know the answer.
#[derive(Debug)]
pub(crate) struct More {
    pub(crate) channels: Vec<Name>,
    pub(crate) since: Since,
    pub(crate) reference: String,
}

impl Rest {
    pub(crate) fn has_unsent(&self) -> bool {
        self.out_sent < self.out.len() || self.frame.is_some()
    }

    /// What is to be written, in order.
    pub(crate) fn unsent(&self) -> [&[u8]; 2] {
        let frame = self.frame.as_ref().map_or(&[][..], |(frame, sent)| &frame[*sent..]);
        [frame, &self.out[self.out_sent..]]
    }

    /// The socket took `count` bytes of [`Rest::unsent`].
    pub(crate) fn sent(&mut self, mut count: usize) {
        if let Some((frame, sent)) = &mut self.frame {
            let of_frame = count.min(frame.len() - *sent);
            *sent += of_frame;
            count -= of_frame;
            if *sent == frame.len() {
                self.frame = None;
            }
        }
        self.out_sent += count;
        debug_assert!(self.out_sent <= self.out.len(), "the socket took more than there was");
        if self.out_sent >= self.out.len() {
            self.out = Vec::new();
            self.out_sent = 0;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
            && self.body.is_none()
            && !self.has_unsent()
            && self.subscriptions.is_empty()
            && self.joining.is_none()
            && self.asking.is_none()
            && self.inbound.is_none()
            && self.wished.is_none()
            && self.judged.is_none()
            && self.who.is_none()
            && self.pass.is_none()
            && self.scoldings == 0
            && self.place.is_none()
            && self.framed.is_none()
            && self.exchange.is_none()
            && self.moving.is_none()
    }
}
