//! One connection's life, in 64 bytes.
//!
//! ```text
//!              head, no body                       answered
//!        +-------------------------------+   +------------------+
//!        |                               v   |                  v
//!  ExpectHead --head--> ExpectBody --> (perform) --> Asking --> ExpectHead …
//!        ^                                   |          home shards answer
//!        |                                   +--> Judged --> Joining --> Parked
//!        |            long-poll answered       allowed    mirrors come   |
//!        +---------------------------------------------------------------+
//!                                            +--> Bayeux   its session has news, or the hold is over: answered
//!                                            +--> Moving --all written--> another shard
//!  ExpectHead --first byte 0, control socket--> Framed --peer's end, all taken--> gone
//!  any of them --refused, Connection: close, end of a stream--> Closing --flushed--> Lingering --> gone
//! ```
//! What waits to be written is no state: bytes may be under way in any of them. A parked connection's slot
//! is all that it costs; whatever else a connection may need for a moment lies in its [`Rest`], and goes when
//! it is no longer needed.

mod ask;
mod bayeux;
mod framed;
mod held;
mod jar;
mod origins;
mod pages;
mod pass;
mod proof;
mod rest;
mod slots;
mod ways;
mod who;

pub(crate) use ask::{Ask, Hold, Policy, RollCall, Speaker, Surroundings, not_granted};
pub(crate) use bayeux::{Call, Cargo, Connecting, Exchange, Moving, unknown_client};
pub(crate) use framed::Framed;
pub(crate) use held::HeldId;
pub(crate) use jar::Jar;
pub(crate) use origins::Origins;
pub(crate) use pages::asking_origin;
pub(crate) use pass::Pass;
pub(crate) use proof::{Proof, TOO_MANY_BAD};
pub(crate) use rest::{Asking, BodyUnderWay, Decoder, Judged, More, Rest, Then};
pub(crate) use slots::Slots;
pub use ways::WAYS;
pub(crate) use ways::bayeux_way;
pub(crate) use who::is_user;

use crate::base::door::Door;
use crate::base::id::Token;
use crate::base::time::Tick;
use crate::timer::Link;
use crate::transport::Variant;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// The head of a request.
    ExpectHead,
    /// The body of a request.
    ExpectBody,
    /// The home shards' answers to what it asked.
    Asking,
    /// The host program's answer: whether it may be held.
    Judged,
    /// The snapshots of channels that live on other shards.
    Joining,
    /// News in its channels.
    Parked,
    /// The frames of a program that publishes.
    Framed,
    /// News of the Bayeux session whose connect it holds.
    Bayeux,
    /// Its last bytes to be taken; then it goes to the shard of the session that it asks for.
    Moving,
    /// Its last bytes to be taken; then it closes.
    Closing,
    /// The peer's end: closing before it would cut off the last answer.
    Lingering,
}

impl State {
    /// Whether its client waits for what may come. Who hangs up then is gone.
    pub(crate) fn is_held(self) -> bool {
        matches!(self, State::Parked | State::Judged | State::Joining | State::Bayeux)
    }
}

/// Some yes-or-no facts of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The connection ends with the response under way.
    pub(crate) const LAST: Flags = Flags(0x01);
    /// The request under way is `HEAD`.
    pub(crate) const HEAD_ONLY: Flags = Flags(0x02);
    /// The client speaks HTTP/1.0.
    pub(crate) const HTTP10: Flags = Flags(0x04);
    /// The socket is full: nothing to write until it says otherwise.
    pub(crate) const BLOCKED: Flags = Flags(0x08);
    /// It stands in the line of those to be attended to.
    pub(crate) const QUEUED: Flags = Flags(0x10);
    /// The reactor was told to leave further bytes in the socket.
    pub(crate) const DEAF: Flags = Flags(0x20);
    /// What is being written is the frame the engine lends, not what lies in [`Rest`].
    pub(crate) const LENT: Flags = Flags(0x40);
    /// The peer has sent all it will.
    pub(crate) const ENDED: Flags = Flags(0x80);

    /// Who holds it may publish, as far as its grant goes: a WebSocket's client was judged when it came.
    pub(crate) const MAY_PUBLISH: Flags = Flags(0x100);
    /// A WebSocket that gives back what it is sent.
    pub(crate) const ECHO: Flags = Flags(0x200);
    /// The host program has heard of it, or could have: it is told of the end.
    pub(crate) const NOTED: Flags = Flags(0x400);
    /// Pages of other origins may read the answer under way.
    pub(crate) const SHARED: Flags = Flags(0x800);
    /// A heartbeat is on its way: the next one keeps to its time.
    pub(crate) const BEAT: Flags = Flags(0x4000);
    /// A reader that came from further behind than it may fall, and has not been within that since.
    pub(crate) const CATCHING_UP: Flags = Flags(0x1000);
    /// Its hold ended since it was too slow.
    pub(crate) const TOO_SLOW: Flags = Flags(0x2000);

    pub(crate) fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    pub(crate) fn set(&mut self, flag: Flags, on: bool) {
        self.0 = if on { self.0 | flag.0 } else { self.0 & !flag.0 };
    }
}

/// A position in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The channel's key on this shard.
    pub(crate) channel: u32,
    /// Where the channel's list of subscribers has this connection.
    pub(crate) place: u32,
    /// The offset wanted next; or [`LOST`], [`ENDED`], [`UNKNOWN`].
    pub(crate) position: u64,
}

/// A position that was lost with a former epoch: the reader must be told.
pub(crate) const LOST: u64 = 0;
/// A position in a channel that was dropped: the reader must be told, and goes on at its new beginning.
pub(crate) const ENDED: u64 = u64::MAX - 1;
/// A position that is not known before the channel is.
pub(crate) const UNKNOWN: u64 = u64::MAX;

impl Subscription {
    /// Whether the reader has something to be told of a channel whose next offset is `next`.
    pub(crate) fn has_news(&self, next: u64) -> bool {
        self.position < next || self.position == ENDED
    }
}

impl Subscription {
    const NONE: Subscription = Subscription { channel: u32::MAX, place: 0, position: 0 };
}

/// What lies in a slot's place for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Inline {
    /// Nothing; several subscriptions lie in [`Rest`].
    #[default]
    Nothing,
    Subscription,
    /// The slot of a Bayeux session, as the channel.
    Session,
    /// The token of a Bayeux session whose events came with its last response, as channel and place.
    Told,
}

/// A connection's slot.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Connection {
    pub(crate) generation: u32,
    /// Changed by [`Slots::turn`], which counts.
    pub(crate) state: State,
    pub(crate) door: Door,
    pub(crate) flags: Flags,
    pub(crate) variant: Variant,
    /// The number of its look among the engine's; 0 for the plain one.
    pub(crate) look: u32,
    /// What `subscription` is.
    inline: Inline,
    pub(crate) timer: Link,
    /// When bytes were last taken by the socket (low half of a tick): heartbeats and stalls count from here. Behind a
    /// heartbeat it is so much later as the next one shall not come early.
    pub(crate) wrote_at: u32,
    /// When the present state ends by itself (low half of a tick).
    pub(crate) ends_at: u32,
    subscription: Subscription,
    pub(crate) rest: Option<Box<Rest>>,
}

/// The promise: one cache line a connection. The slab's own mark must fit in as well.
const _: () = assert!(size_of::<Connection>() == 64 && size_of::<Option<Connection>>() == 64);

impl Connection {
    pub(crate) fn new(generation: u32, door: Door, now: Tick) -> Connection {
        Connection {
            generation,
            state: State::ExpectHead,
            door,
            flags: Flags::default(),
            variant: Variant::default(),
            look: 0,
            inline: Inline::Nothing,
            timer: Link::default(),
            wrote_at: now.low(),
            ends_at: now.low(),
            subscription: Subscription::NONE,
            rest: None,
        }
    }

    /// The rare rest, made if there is none.
    pub(crate) fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Where the next bytes for this connection go.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.rest().out
    }

    /// Whether bytes wait to be written.
    pub(crate) fn has_unsent(&self) -> bool {
        self.flags.has(Flags::LENT) || self.rest.as_ref().is_some_and(|rest| rest.has_unsent())
    }

    /// Its subscriptions, wherever they lie.
    pub(crate) fn subscriptions(&self) -> &[Subscription] {
        match &self.rest {
            Some(rest) if !rest.subscriptions.is_empty() => &rest.subscriptions,
            _ if self.inline == Inline::Subscription => std::slice::from_ref(&self.subscription),
            _ => &[],
        }
    }

    /// The same, to be moved on.
    pub(crate) fn subscriptions_mut(&mut self) -> &mut [Subscription] {
        match &mut self.rest {
            Some(rest) if !rest.subscriptions.is_empty() => &mut rest.subscriptions,
            _ if self.inline == Inline::Subscription => std::slice::from_mut(&mut self.subscription),
            _ => &mut [],
        }
    }

    /// Adds a subscription. The first lies in the slot, several in the rest.
    pub(crate) fn add_subscription(&mut self, subscription: Subscription) {
        let several = self.rest.as_ref().is_some_and(|rest| !rest.subscriptions.is_empty());
        if several {
            self.rest().subscriptions.push(subscription);
        } else if std::mem::take(&mut self.inline) == Inline::Subscription {
            let first = self.subscription;
            self.rest().subscriptions.extend([first, subscription]);
        } else {
            self.inline = Inline::Subscription;
            self.subscription = subscription;
        }
    }

    /// Takes the subscription to `channel` out, if there is one.
    pub(crate) fn take_subscription(&mut self, channel: u32) -> Option<Subscription> {
        let place = self.subscriptions().iter().position(|subscription| subscription.channel == channel)?;
        match &mut self.rest {
            Some(rest) if !rest.subscriptions.is_empty() => Some(rest.subscriptions.remove(place)),
            _ => self.pop_subscription(),
        }
    }

    /// Takes one subscription out, as long as there is one.
    pub(crate) fn pop_subscription(&mut self) -> Option<Subscription> {
        let several = self.rest.as_mut().and_then(|rest| rest.subscriptions.pop());
        several.or_else(|| self.take_inline(Inline::Subscription))
    }

    /// Takes out what lies in the place for a subscription, if it is of this kind.
    fn take_inline(&mut self, kind: Inline) -> Option<Subscription> {
        if self.inline != kind {
            return None;
        }
        self.inline = Inline::Nothing;
        Some(self.subscription)
    }

    /// Whether it waits for a request and holds nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::ExpectHead && self.inline == Inline::Nothing
    }

    /// The session whose events came with its last response.
    pub(crate) fn told(&self) -> Option<Token> {
        let Subscription { channel: index, place: generation, .. } = self.subscription;
        (self.inline == Inline::Told).then_some(Token { index, generation })
    }

    /// Events of a session came with its last response; whoever is told so holds no subscription and carries no session.
    pub(crate) fn tell(&mut self, session: Token) {
        debug_assert!(self.inline == Inline::Nothing, "it holds something else");
        self.inline = Inline::Told;
        self.subscription = Subscription { channel: session.index, place: session.generation, ..Subscription::NONE };
    }

    /// Forgets whose events came with its last response, and returns it.
    pub(crate) fn take_told(&mut self) -> Option<Token> {
        let told = self.told();
        self.take_inline(Inline::Told);
        told
    }

    /// The slot of the Bayeux session that it carries.
    pub(crate) fn session(&self) -> Option<u32> {
        (self.inline == Inline::Session).then_some(self.subscription.channel)
    }

    /// Carries a session; whoever does holds no subscription of its own.
    pub(crate) fn carry(&mut self, session: u32) {
        debug_assert!(self.subscriptions().is_empty(), "it has a subscription");
        self.inline = Inline::Session;
        self.subscription = Subscription { channel: session, ..Subscription::NONE };
    }

    /// Carries no session any more; returns the one that it did.
    pub(crate) fn put_down(&mut self) -> Option<u32> {
        self.take_inline(Inline::Session).map(|session| session.channel)
    }

    /// Lets go of the rest if nothing in it is needed any more.
    pub(crate) fn tidy(&mut self) {
        if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
            self.rest = None;
        }
    }
}
