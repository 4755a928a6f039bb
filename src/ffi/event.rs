//! Events: what the host hears of its server, and what it answers.

#![allow(non_camel_case_types, reason = "C reads these names")]

use super::code::Failure;
use super::handle::encke;
use super::log::Listening;
use super::{guard, lent};
use crate::base::config::Config;
use crate::base::event::{Event, EventKind, Wanted};
use crate::reactor::{Events, Judge, Server};
use std::ffi::{c_char, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// What an event tells.
#[repr(C)]
pub enum encke_event_kind {
    /// A client wants to subscribe to a channel that the option judge names: encke_answer its question. It waits for
    /// the option judge_timeout at most, then judge_default is the answer.
    ENCKE_EVENT_SUBSCRIBE = 1,
    /// A client published data to a channel that the option host_channels names; no subscriber got it.
    ENCKE_EVENT_PUBLISH = 2,
    /// A client has a position in a channel (option events).
    ENCKE_EVENT_SUBSCRIBED = 3,
    /// It has left that channel; comes once for each ENCKE_EVENT_SUBSCRIBED (option events).
    ENCKE_EVENT_UNSUBSCRIBED = 4,
    /// A client's connection has closed (option events).
    ENCKE_EVENT_GONE = 5,
    /// data is a line of the log (option events).
    ENCKE_EVENT_LOG = 6,
    /// data says, in decimal, how many events found no room (option events_max) and are lost.
    ENCKE_EVENT_OVERFLOW = 7,
    /// A reactor failed, data says how: the server has stopped.
    ENCKE_EVENT_FAILED = 8,
    /// The user that data names is present in a channel that the option presence names (option events).
    ENCKE_EVENT_JOINED = 9,
    /// The user has left it, on all of its connections; comes once for each ENCKE_EVENT_JOINED (option events).
    ENCKE_EVENT_LEFT = 10,
}

/// What a host answers to a question.
#[repr(C)]
pub enum encke_verdict {
    /// No: the client is told 403.
    ENCKE_DENY = 0,
    /// Yes.
    ENCKE_ALLOW = 1,
}

const DENY: i32 = encke_verdict::ENCKE_DENY as i32;
const ALLOW: i32 = encke_verdict::ENCKE_ALLOW as i32;

const _: () = {
    use encke_event_kind::*;
    assert!(ENCKE_EVENT_SUBSCRIBE as u32 == EventKind::Subscribe as u32);
    assert!(ENCKE_EVENT_PUBLISH as u32 == EventKind::Publish as u32);
    assert!(ENCKE_EVENT_SUBSCRIBED as u32 == EventKind::Subscribed as u32);
    assert!(ENCKE_EVENT_UNSUBSCRIBED as u32 == EventKind::Unsubscribed as u32);
    assert!(ENCKE_EVENT_GONE as u32 == EventKind::Gone as u32);
    assert!(ENCKE_EVENT_LOG as u32 == EventKind::Log as u32);
    assert!(ENCKE_EVENT_OVERFLOW as u32 == EventKind::Overflow as u32);
    assert!(ENCKE_EVENT_FAILED as u32 == EventKind::Failed as u32);
    assert!(ENCKE_EVENT_JOINED as u32 == EventKind::Joined as u32);
    assert!(ENCKE_EVENT_LEFT as u32 == EventKind::Left as u32);
};

/// An event. Its texts are the library's and lent until encke_event_free; lengths in bytes, 0 for none.
#[repr(C)]
pub struct encke_event {
    /// An encke_event_kind; pass over those that you do not know.
    pub kind: u32,
    /// 0.
    pub flags: u32,
    /// Which connection it is about; 0 for none.
    pub client: u64,
    /// What encke_answer has to name; 0 if nothing is asked.
    pub question: u64,
    /// The channel it is about, UTF-8.
    pub channel: *const c_char,
    /// Its length.
    pub channel_len: usize,
    /// ENCKE_EVENT_PUBLISH: the message. ENCKE_EVENT_LOG, OVERFLOW, FAILED: a text. ENCKE_EVENT_JOINED, LEFT: a user's name.
    pub data: *const c_char,
    /// Its length.
    pub data_len: usize,
    /// ENCKE_EVENT_PUBLISH: the message's media type, if it was named.
    pub content_type: *const c_char,
    /// Its length.
    pub content_type_len: usize,
    /// ENCKE_EVENT_SUBSCRIBE and PUBLISH: who asks, as JSON:
    /// {"address":"127.0.0.1:5123","transport":"sse","query":"user=ann","headers":{"cookie":"a=1"}}
    /// and "user" before that, if a token or a key says who it is.
    pub request: *const c_char,
    /// Its length.
    pub request_len: usize,
    /// The library's; what encke_event_free frees.
    pub owner: *mut c_void,
}

/// What a handle holds of the host's side.
pub(super) struct HostSide {
    events: Events,
    judge: Judge,
    /// Hears the log for as long as it lives.
    _listening: Option<Listening>,
}

impl HostSide {
    /// The host's side of `server`, which was started with `config`.
    pub(super) fn new(config: &Config, server: &Server, events: Events) -> HostSide {
        let log = Wanted::parse(&config.events).is_ok_and(|wanted| wanted.log);
        let listening = server.outbox().filter(|_| log).map(Listening::start);
        HostSide { events, judge: server.judge(), _listening: listening }
    }

    /// The handle is being stopped: a thread of the host that sleeps on the descriptor is to find out.
    pub(super) fn close(&self) {
        self.events.close();
    }
}

/// A descriptor that polls readable while events wait, for select, poll, epoll and their like. Never read it, never
/// close it: encke_next_event does the one, the library the other. From encke_stop on it polls readable for good, so
/// that a thread that waits there comes and is told ENCKE_ECLOSED; a duplicate of it stays so. It is closed when the
/// threads that used the handle have ended or use another.
///
/// Returns the descriptor, or ENCKE_EINVAL (a connection has no events), ENCKE_ECHILD, ENCKE_ECLOSED.
///
/// # Safety
/// None is needed: any value is answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_event_fd(encke: *const encke) -> i32 {
    guard::with(encke, |handle| Ok(handle.backend().here()?.host.events.as_fd().as_raw_fd()))
}

/// Takes the next event, if one waits. Never blocks. When it returns 0, all that waited was taken, and the descriptor
/// polls readable again when more comes.
///
/// out: the event, to be freed with encke_event_free; not written unless 1 is returned.
///
/// Returns 1 (an event), 0 (none waits), or ENCKE_EINVAL, ENCKE_ECHILD, ENCKE_ECLOSED.
///
/// # Safety
/// out points to an event, which may hold anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_next_event(encke: *const encke, out: *mut encke_event) -> i32 {
    guard::with(encke, |handle| {
        lent::check_out(out)?;
        let Some(event) = handle.backend().here()?.host.events.next() else { return Ok(0) };
        // SAFETY: not null, and the caller's to be written.
        unsafe { out.write(lend(event)) };
        Ok(1)
    })
}

/// Lends what `event` says for as long as it is not freed.
fn lend(event: Event) -> encke_event {
    // The texts lie behind shared pointers or in the box itself, which stays where it is.
    let owner = Box::into_raw(Box::new(event));
    // SAFETY: just made, and nobody frees it before this returns.
    let event = unsafe { &*owner };
    let (channel, data, content_type, request) = (event.channel(), event.data(), event.content_type(), event.request());
    encke_event {
        kind: event.kind as u32,
        flags: 0,
        client: event.client,
        question: event.question,
        channel: channel.as_ptr().cast(),
        channel_len: channel.len(),
        data: data.as_ptr().cast(),
        data_len: data.len(),
        content_type: content_type.as_ptr().cast(),
        content_type_len: content_type.len(),
        request: request.as_ptr().cast(),
        request_len: request.len(),
        owner: owner.cast(),
    }
}

/// Frees an event that encke_next_event gave, and empties it. Does nothing with NULL, or with one that is empty. An
/// event may be freed after its handle was stopped.
///
/// # Safety
/// event points to an event that encke_next_event wrote, or to one that is all zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_event_free(event: *mut encke_event) {
    if event.is_null() || !event.is_aligned() {
        return;
    }
    // SAFETY: the caller's promise.
    let event = unsafe { &mut *event };
    let owner = std::mem::replace(&mut event.owner, ptr::null_mut());
    (event.channel_len, event.data_len, event.content_type_len, event.request_len) = (0, 0, 0, 0);
    if !owner.is_null() {
        // SAFETY: made by `lend`, and freed once, since the event has forgotten it.
        drop(unsafe { Box::from_raw(owner.cast::<Event>()) });
    }
}

/// Answers a question of an event, from any thread. Never blocks. An answer that comes too late, or twice, changes nothing.
/// Whoever is allowed is a subscriber a moment later: greet it when ENCKE_EVENT_SUBSCRIBED comes.
///
/// verdict: an encke_verdict.
///
/// Returns 0, ENCKE_EAGAIN (nothing was taken), ENCKE_EINVAL, ENCKE_ECLOSED, ENCKE_ECHILD.
///
/// # Safety
/// None is needed: any value is answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_answer(encke: *const encke, question: u64, verdict: i32) -> i32 {
    guard::with(encke, |handle| {
        let allow = match verdict {
            DENY => false,
            ALLOW => true,
            _ => return Err(Failure::invalid(format!("a verdict is ENCKE_DENY (0) or ENCKE_ALLOW (1), not {verdict}"))),
        };
        handle.backend().here()?.host.judge.answer(question, allow)?;
        Ok(0)
    })
}
