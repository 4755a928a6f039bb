//! From the peer's bytes to messages, pings, pongs and the close: the receiving side (RFC 6455 sections 5.4 to 8.1).
//!
//! [`Inbound`] is what one connection keeps while something is unfinished: part of a head, part of a payload,
//! fragments so far. What comes whole in one input goes through the shard's [`Workspace`] and leaves nothing behind.
//! Never answers: a ping, a close or a [`Fault`] is for the caller to reply to.
//!
//! Invariants:
//! - What came of some bytes depends on those bytes alone, not on how they were cut.
//! - An idle [`Inbound`] holds no memory. Another holds what arrived of one message and of one control frame, within
//!   their bounds.

use super::deflate::{self, Inflater};
use super::frame::{self, HEAD_BYTES_MAX, Head, Opcode};
use super::{Fault, empty, utf8};

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether compression was agreed.
    pub(crate) deflate: bool,
    /// The longest message, inflated.
    pub(crate) message_bytes_max: usize,
}

impl Rules {
    /// The longest message as it may arrive.
    fn payload_bytes_max(&self, compressed: bool) -> usize {
        match compressed {
            true => deflate::payload_bytes_max(self.message_bytes_max),
            false => self.message_bytes_max,
        }
    }
}

/// What the peer sent, lent until the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A message of text.
    Text(&'a str),
    /// A message of bytes.
    Binary(&'a [u8]),
    /// To be answered with a pong that carries the same.
    Ping(&'a [u8]),
    /// The answer to a ping, or a sign of life unasked.
    Pong,
    /// To be answered with the same code, unless the server closed first. Nothing comes after it.
    Close {
        /// The peer may give none.
        code: Option<u16>,
        /// May be empty.
        reason: &'a str,
    },
}

/// What a shard lends to whichever of its connections receives.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    payload: Vec<u8>,
    inflater: Inflater,
}

/// The receiving side of one connection.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    state: State,
    /// As much as there is of a head that is not yet whole.
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: u8,
    /// What the fragments so far belong to. `None` between two messages, and in the first frame of one.
    message: Option<Kind>,
    /// What there is of the message under way.
    data: Vec<u8>,
    /// How much of `data` is known to be whole characters, if it is text.
    checked: usize,
    /// What there is of the control frame under way.
    control: Vec<u8>,
}

/// The promise: what a connection in the midst of a message takes beside the message.
const _: () = assert!(size_of::<Inbound>() <= 112);

/// What the next byte belongs to.
///
/// ```text
///             head is whole
///   ExpectHead ──────────► ExpectPayload
///           ▲                    │ payload is whole, at once if its length is 0
///           └────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    ExpectHead,
    ExpectPayload(Frame),
}

/// The frame under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    content: Content,
    last: bool,
    /// Turned so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
    /// How much of the payload is still to come.
    missing: usize,
}

/// What a frame is, or is a fragment of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Message(Kind),
    Ping,
    Pong,
    Close,
}

/// Of a message, said in its first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    text: bool,
    compressed: bool,
}

impl Inbound {
    /// Whether nothing is unfinished: then a connection need not keep this.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::ExpectHead) && self.head_bytes == 0 && self.message.is_none()
    }

    /// Takes bytes off `input` up to the end of the next event. `Ok(None)`: all are taken, and more are needed.
    /// After a fault or a close nothing is left of `input`, and this must not be called again.
    pub(crate) fn receive<'w>(
        &mut self,
        input: &mut &[u8],
        rules: &Rules,
        workspace: &'w mut Workspace,
    ) -> Result<Option<Event<'w>>, Fault> {
        let complete = self.complete_next(input, rules, &mut workspace.payload);
        let outcome = complete.and_then(|content| content.map(|content| read(content, rules, workspace)).transpose());
        if matches!(outcome, Err(_) | Ok(Some(Event::Close { .. }))) {
            *input = &[];
        }
        outcome
    }

    /// Goes from frame to frame until a message or a control frame is complete, and leaves its bytes in `payload`.
    fn complete_next(&mut self, input: &mut &[u8], rules: &Rules, payload: &mut Vec<u8>) -> Result<Option<Content>, Fault> {
        while let Some(frame) = self.take_head(input, rules)? {
            let complete = self.take_payload(frame, input, payload);
            if complete.is_some() {
                return Ok(complete);
            }
            self.check_text(frame.content)?;
            if input.is_empty() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The frame under way, once its head is whole.
    fn take_head(&mut self, input: &mut &[u8], rules: &Rules) -> Result<Option<Frame>, Fault> {
        if let State::ExpectPayload(frame) = self.state {
            return Ok(Some(frame));
        }
        let kept = usize::from(self.head_bytes);
        let fresh = input.len().min(HEAD_BYTES_MAX - kept);
        self.head[kept..kept + fresh].copy_from_slice(&input[..fresh]);
        match Head::parse(&self.head[..kept + fresh])? {
            None => {
                self.head_bytes += fresh as u8;
                *input = &input[fresh..];
                Ok(None)
            }
            Some((head, length)) => {
                // What was kept was not whole, so the head ends in the fresh bytes.
                *input = &input[length - kept..];
                self.head_bytes = 0;
                let frame = self.begin(&head, rules)?;
                self.state = State::ExpectPayload(frame);
                Ok(Some(frame))
            }
        }
    }

    /// Judges a head by what came before it.
    fn begin(&self, head: &Head, rules: &Rules) -> Result<Frame, Fault> {
        let compressed = head.compressed;
        let content = match (head.opcode, self.message) {
            (Opcode::Ping, _) => Content::Ping,
            (Opcode::Pong, _) => Content::Pong,
            (Opcode::Close, _) => Content::Close,
            (Opcode::Text, None) => Content::Message(Kind { text: true, compressed }),
            (Opcode::Binary, None) => Content::Message(Kind { text: false, compressed }),
            (Opcode::Continuation, Some(kind)) => Content::Message(kind),
            (Opcode::Continuation, None) => return Err(Fault::protocol("a frame continues a message that was not begun")),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Fault::protocol("a message begins inside another one")),
        };
        if compressed && !(rules.deflate && matches!(head.opcode, Opcode::Text | Opcode::Binary)) {
            return Err(Fault::protocol("a frame says it is compressed where none may be"));
        }
        let room = match content {
            Content::Message(kind) => rules.payload_bytes_max(kind.compressed).saturating_sub(self.data.len()),
            Content::Ping | Content::Pong | Content::Close => frame::CONTROL_BYTES_MAX,
        };
        match usize::try_from(head.length) {
            Ok(missing) if missing <= room => Ok(Frame { content, last: head.last, mask: head.mask, missing }),
            _ => Err(Fault::too_big(rules.message_bytes_max)),
        }
    }

    /// Unmasks what there is of the frame's payload. What is complete with it goes to `payload`, all else is kept.
    fn take_payload(&mut self, frame: Frame, input: &mut &[u8], payload: &mut Vec<u8>) -> Option<Content> {
        let (masked, behind) = input.split_at(frame.missing.min(input.len()));
        *input = behind;
        let ends = masked.len() == frame.missing;
        let complete = ends && frame.last;
        let kept = match frame.content {
            Content::Message(_) => &mut self.data,
            Content::Ping | Content::Pong | Content::Close => &mut self.control,
        };
        if complete && kept.is_empty() {
            empty(payload);
            frame::append_unmasked(payload, masked, frame.mask);
        } else {
            frame::append_unmasked(kept, masked, frame.mask);
            if complete {
                *payload = std::mem::take(kept);
            }
        }
        if ends { self.end_frame(frame) } else { self.await_rest(frame, masked.len()) }
    }

    fn await_rest(&mut self, mut frame: Frame, taken: usize) -> Option<Content> {
        frame.missing -= taken;
        frame.mask.rotate_left(taken % 4);
        self.state = State::ExpectPayload(frame);
        None
    }

    fn end_frame(&mut self, frame: Frame) -> Option<Content> {
        self.state = State::ExpectHead;
        if let Content::Message(kind) = frame.content {
            self.message = (!frame.last).then_some(kind);
            self.checked = if frame.last { 0 } else { self.checked };
        }
        frame.last.then_some(frame.content)
    }

    /// Text that came in part is checked as far as it came; when it is complete, it is read as a whole.
    fn check_text(&mut self, content: Content) -> Result<(), Fault> {
        match content {
            Content::Message(Kind { text: true, compressed: false }) => utf8::advance(&self.data, &mut self.checked),
            _ => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self, rules: &Rules) {
        assert!(usize::from(self.head_bytes) < HEAD_BYTES_MAX);
        assert!(self.checked <= self.data.len());
        assert!(self.control.len() <= frame::CONTROL_BYTES_MAX);
        assert!(self.data.len() <= rules.payload_bytes_max(true));
        if self.is_idle() {
            assert_eq!((self.data.capacity(), self.control.capacity(), self.checked), (0, 0, 0));
        }
    }
}

/// What is complete lies in the workspace: tells what it says.
fn read<'w>(content: Content, rules: &Rules, workspace: &'w mut Workspace) -> Result<Event<'w>, Fault> {
    let Workspace { payload, inflater } = workspace;
    match content {
        Content::Ping => Ok(Event::Ping(payload)),
        Content::Pong => Ok(Event::Pong),
        Content::Close => frame::read_close(payload).map(|(code, reason)| Event::Close { code, reason }),
        Content::Message(kind) => {
            let data = if kind.compressed { inflater.inflate(payload, rules.message_bytes_max)? } else { payload };
            if kind.text { Ok(Event::Text(utf8::whole(data)?)) } else { Ok(Event::Binary(data)) }
        }
    }
}
