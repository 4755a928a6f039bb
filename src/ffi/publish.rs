//! Messages from the host: one, many, packed into one text, or split out of one.
//!
//! Several at once are taken from the front, one after the other, until one is not: what was taken is told.

#![allow(non_camel_case_types, reason = "C reads these names")]

use super::code::{Failure, remember};
use super::handle::{Backend, encke};
use super::lent::DATA_BYTES_MAX;
use super::{guard, lent};
use crate::base::frame::{self, Fault, Frame};
use crate::base::name::NAME_BYTES_MAX;
use crate::base::payload::{LABEL_BYTES_MAX, Parts};
use std::ffi::c_char;

/// The longest text or list of several messages, in bytes: as with one, a larger number is surely no length.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// A message, all of it lent for the call. The lengths say how long each text is; 0 for none.
#[repr(C)]
pub struct encke_message {
    /// The channel's full name, UTF-8: "/chat/rome".
    pub channel: *const c_char,
    /// At most 255.
    pub channel_len: usize,
    /// The message itself.
    pub data: *const c_char,
    /// At most the option body_bytes_max.
    pub data_len: usize,
    /// Its media type, ASCII: "application/json" is embedded as JSON where messages are wrapped in JSON.
    pub content_type: *const c_char,
    /// At most 255.
    pub content_type_len: usize,
    /// The name of its event, UTF-8: what an EventSource listens for.
    pub event: *const c_char,
    /// At most 255.
    pub event_len: usize,
}

/// Publishes data to a channel. Never blocks, keeps no pointer, copies data once; any thread may. Messages of one
/// thread to one channel keep their order.
///
/// Returns 0, ENCKE_EAGAIN (no room: nothing was taken), ENCKE_EINVAL, ENCKE_ECLOSED, ENCKE_ECHILD.
///
/// # Safety
/// channel points to channel_len bytes, data to data_len.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_publish(
    encke: *const encke,
    channel: *const c_char,
    channel_len: usize,
    data: *const c_char,
    data_len: usize,
) -> i32 {
    guard::with(encke, |handle| {
        // SAFETY: lent by the caller for this call.
        let (channel, data) = unsafe { (name(channel, channel_len)?, lent::payload(data, data_len)?) };
        handle.backend().publish(&plain(channel, data))?;
        Ok(0)
    })
}

/// Publishes a message that may have a media type and an event's name. As encke_publish in all else.
///
/// # Safety
/// message points to a message, and what it points to is as long as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_publish_with(encke: *const encke, message: *const encke_message) -> i32 {
    guard::with(encke, |handle| {
        // SAFETY: lent by the caller for this call.
        let messages = unsafe { lent::values(message, 1, BATCH_BYTES_MAX, "message") }?;
        for message in messages {
            // SAFETY: as above.
            handle.backend().publish(&unsafe { parts(message) }?)?;
        }
        Ok(0)
    })
}

/// Publishes count messages, from the first on; a list of 1 GiB at most.
///
/// Returns how many were taken; encke_last_error says why not all. If none was: a code, as encke_publish.
///
/// # Safety
/// messages points to count messages, and what they point to is as long as they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_publish_many(encke: *const encke, messages: *const encke_message, count: usize) -> isize {
    guard::with(encke, |handle| {
        // SAFETY: lent by the caller for this call.
        let messages = unsafe { lent::values(messages, count, BATCH_BYTES_MAX, "messages") }?;
        // SAFETY: as above.
        publish_all(handle.backend(), messages.iter().map(|message| unsafe { parts(message) }))
    })
}

/// Publishes messages packed into one buffer, one behind the other; numbers are little-endian:
/// channel_len u16, content_type_len u8, event_len u8, data_len u32, channel, content type, event, data.
/// With neither type nor event that is: channel_len u32, data_len u32, channel, data. One call, and one text to
/// build (1 GiB at most), are what a batch costs in languages where a call is dear.
///
/// Returns how many were taken; encke_last_error says why not all. If none was: a code, as encke_publish.
///
/// # Safety
/// buffer points to len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_publish_packed(encke: *const encke, buffer: *const c_char, len: usize) -> isize {
    guard::with(encke, |handle| {
        // SAFETY: lent by the caller for this call.
        let buffer = unsafe { lent::bytes(buffer, len, BATCH_BYTES_MAX, "buffer") }?;
        publish_all(handle.backend(), packed(buffer))
    })
}

/// Publishes the texts in buffer that separator (a byte, such as 10 for lines) ends, all to one channel. A text
/// behind the last separator counts; nothing behind it does not. A buffer has 1 GiB at most.
///
/// Returns how many were taken; encke_last_error says why not all. If none was: a code, as encke_publish.
///
/// # Safety
/// channel points to channel_len bytes, buffer to len.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_publish_split(
    encke: *const encke,
    channel: *const c_char,
    channel_len: usize,
    buffer: *const c_char,
    len: usize,
    separator: u8,
) -> isize {
    guard::with(encke, |handle| {
        // SAFETY: lent by the caller for this call.
        let (channel, buffer) = unsafe { (name(channel, channel_len)?, lent::bytes(buffer, len, BATCH_BYTES_MAX, "buffer")?) };
        let texts = split(buffer, separator);
        publish_all(handle.backend(), texts.map(|data| Ok(plain(channel, data))))
    })
}

/// The messages packed into `buffer`; one that is none ends them.
fn packed(buffer: &[u8]) -> impl Iterator<Item = Result<Parts<'_>, Failure>> {
    let mut rest = buffer;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let parts = match frame::read(rest, DATA_BYTES_MAX as u64) {
            Ok(Some((frame, len))) => {
                rest = &rest[len..];
                unpack(frame)
            }
            Ok(None) => Err("buffer ends in the middle of a message"),
            Err(Fault::TooLong(_)) => Err("a message in buffer is too long"),
            Err(Fault::Unknown) => Err("a message in buffer has no channel"),
        };
        Some(parts.map_err(Failure::invalid))
    })
}

fn unpack(frame: Frame<'_>) -> Result<Parts<'_>, &'static str> {
    let Frame::Message { channel, content_type, event, data } = frame else { return Err("a message in buffer has no channel") };
    let text = |bytes| str::from_utf8(bytes).map_err(|_| "a name in buffer is not UTF-8");
    Ok(Parts { channel: text(channel)?, content_type: text(content_type)?, event: text(event)?, data, unix_ms: 0 })
}

/// The texts of `buffer` that `separator` ends, and one behind the last, if it is not empty.
fn split(buffer: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = buffer;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(separator, rest);
        let text = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + 1..]);
        Some(text)
    })
}

/// Publishes until a message is not taken; an error only if none was.
fn publish_all<'a>(backend: &Backend, all: impl Iterator<Item = Result<Parts<'a>, Failure>>) -> Result<isize, Failure> {
    let (taken, refused) = backend.publish_all(all);
    match refused {
        Some(failure) if taken == 0 => return Err(failure),
        Some(failure) => remember(&failure),
        None => {}
    }
    Ok(taken as isize)
}

fn plain<'a>(channel: &'a str, data: &'a [u8]) -> Parts<'a> {
    Parts { channel, content_type: "", event: "", data, unix_ms: 0 }
}

/// # Safety
/// As [`lent::bytes`].
unsafe fn name<'a>(channel: *const c_char, len: usize) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise is the same.
    unsafe { lent::text(channel, len, NAME_BYTES_MAX, "channel") }
}

/// # Safety
/// What `message` points to is as long as it says.
unsafe fn parts(message: &encke_message) -> Result<Parts<'_>, Failure> {
    let label = LABEL_BYTES_MAX;
    // SAFETY: the caller's promise is the same.
    unsafe {
        Ok(Parts {
            channel: name(message.channel, message.channel_len)?,
            content_type: lent::text(message.content_type, message.content_type_len, label, "content_type")?,
            event: lent::text(message.event, message.event_len, label, "event")?,
            data: lent::payload(message.data, message.data_len)?,
            unix_ms: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_ends_a_text_and_an_empty_end_is_none() {
        for (buffer, texts) in
            [(&b""[..], &[][..]), (b"\n", &[&b""[..]]), (b"a", &[b"a"]), (b"a\n", &[b"a"]), (b"a\n\nbc", &[b"a", b"", b"bc"])]
        {
            assert_eq!(split(buffer, b'\n').collect::<Vec<_>>(), texts, "{buffer:?}");
        }
    }
}
