//! The framed stream of a program that publishes: bytes to messages and flushes. How frames lie in the bytes says
//! `base/frame.rs`; here is what they mean, and what is refused.
//!
//! What a message does wrong is refused and counted, and the stream goes on; what makes it unclear where the next
//! frame begins ends the stream. "Not yet" is `None`: nothing is taken off the input then.

use super::plain;
use crate::base::error::Reject;
use crate::base::frame::{self, Cookie, FLUSH, Fault, Frame, PREFACE};
use crate::base::name::Name;
use crate::base::payload::{Message, Parts};

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The preface: frames follow.
    Hello,
    /// Keep this message.
    Message(Message),
    /// This was no message.
    Refused(Reject),
    /// Tell when all before this is taken.
    Flush(Cookie),
}

/// What the front of `bytes` says and how long that is; `None` while it is not whole. `greeted`: the preface was
/// read before. `Err`: the stream is none, or none any more.
pub(crate) fn next(bytes: &[u8], greeted: bool, data_bytes_max: u64, unix_ms: u64) -> Result<Option<(Said, usize)>, Reject> {
    if !greeted {
        return preface(bytes);
    }
    let Some((frame, len)) = frame::read(bytes, data_bytes_max).map_err(|fault| broken(fault, data_bytes_max))? else {
        return Ok(None);
    };
    let said = match frame {
        Frame::Message { channel, content_type, event, data } => {
            message(channel, content_type, event, data, unix_ms).map_or_else(Said::Refused, Said::Message)
        }
        Frame::Control { kind: FLUSH, data } => {
            Said::Flush(data.try_into().map_err(|_| Reject::new(400, "bad_frame", "a flush carries 8 bytes"))?)
        }
        Frame::Control { .. } => return Err(broken(Fault::Unknown, data_bytes_max)),
    };
    Ok(Some((said, len)))
}

fn preface(bytes: &[u8]) -> Result<Option<(Said, usize)>, Reject> {
    let there = bytes.len().min(PREFACE.len());
    if bytes[..there] != PREFACE[..there] {
        return Err(Reject::new(400, "bad_preface", "a framed stream begins with NUL, `encke1` and a line feed"));
    }
    Ok((there == PREFACE.len()).then_some((Said::Hello, there)))
}

fn broken(fault: Fault, data_bytes_max: u64) -> Reject {
    match fault {
        Fault::TooLong(len) => {
            let detail = format!("{len} bytes in a frame are more than {data_bytes_max} (body_bytes_max)");
            Reject::new(413, "too_large", detail)
        }
        Fault::Unknown => Reject::new(400, "bad_frame", "a frame without a channel is a flush, kind 1"),
    }
}

fn message(channel: &[u8], content_type: &[u8], event: &[u8], data: &[u8], unix_ms: u64) -> Result<Message, Reject> {
    let text = |bytes, code, detail| std::str::from_utf8(bytes).map_err(|_| Reject::new(400, code, detail));
    let channel = text(channel, "bad_channel", "a channel name is UTF-8")?;
    let content_type = text(content_type, "bad_message", "a content type is ASCII")?;
    let event = text(event, "bad_message", "an event name is UTF-8")?;
    Name::check(channel)?;
    plain::message(&Parts { channel, content_type, event, data, unix_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is said, and the code of what ended the stream; the bytes come in two pieces.
    fn heard(bytes: &[u8], cut: usize) -> (Vec<Said>, Option<&'static str>) {
        let (mut said, mut greeted, mut used) = (Vec::new(), false, 0);
        for there in [cut, bytes.len()] {
            loop {
                match next(&bytes[used..there], greeted, 10, 7) {
                    Ok(Some((one, len))) => {
                        greeted = true;
                        used += len;
                        said.push(one);
                    }
                    Ok(None) => break,
                    Err(reject) => return (said, Some(reject.code)),
                }
            }
        }
        (said, None)
    }

    fn stream(frames: &[Parts<'_>]) -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        for parts in frames {
            frame::write(&mut bytes, parts).expect("it fits");
        }
        bytes
    }

    fn parts<'a>(channel: &'a str, content_type: &'a str, event: &'a str, data: &'a [u8]) -> Parts<'a> {
        Parts { channel, content_type, event, data, unix_ms: 7 }
    }

    #[test]
    fn every_cut_of_a_stream_says_the_same() {
        let good = [parts("/a", "text/plain", "e", b"one"), parts("/b/c", "", "", b"")];
        let mut bytes = stream(&good);
        frame::write_flush(&mut bytes, *b"cookies!");
        frame::write(&mut bytes, &parts("no slash", "", "", b"x")).expect("it fits");
        let whole = heard(&bytes, 0);
        let [Said::Hello, Said::Message(first), Said::Message(second), Said::Flush(cookie), Said::Refused(reject)] = &whole.0[..]
        else {
            panic!("{whole:?}");
        };
        for (message, parts) in [first, second].into_iter().zip(good) {
            assert_eq!(message, &Message::new(&parts).expect("good parts"));
        }
        assert_eq!((*cookie, reject.code, whole.1), (*b"cookies!", "bad_channel", None));
        for cut in 1..bytes.len() {
            assert_eq!(heard(&bytes, cut), whole, "{cut}");
        }
    }

    #[test]
    fn a_message_that_is_none_is_refused_and_the_next_is_taken() {
        for (bad, code) in [
            (parts("a", "", "", b""), "bad_channel"),
            (parts("/a//b", "", "", b""), "bad_channel"),
            (parts("/a", "application/json", "", b"{"), "bad_message"),
            (parts("/a", "text/plain\r\nX: y", "", b""), "bad_message"),
            (parts("/a", "", "two\nlines", b""), "bad_message"),
            (parts("/a", "", "gap", b""), "bad_event"),
        ] {
            let (said, end) = heard(&stream(&[bad, parts("/a", "", "", b"good")]), 0);
            let [Said::Hello, Said::Refused(reject), Said::Message(message)] = &said[..] else { panic!("{said:?}") };
            assert_eq!((reject.code, message.data(), end), (code, &b"good"[..], None), "{bad:?}");
        }
        let bytes = [PREFACE, &b"\x02\0\0\0\0\0\0\0/\xff"[..]].concat();
        assert!(matches!(&heard(&bytes, 0).0[..], [Said::Hello, Said::Refused(_)]));
    }

    #[test]
    fn what_cannot_be_skipped_ends_the_stream() {
        for (behind, code) in [
            (&b"\x02\0\0\0\x0b\0\0\0"[..], "too_large"),
            (b"\0\0\x07\0\0\0\0\0", "bad_frame"),
            (b"\0\0\x01\0\x04\0\0\0four", "bad_frame"),
        ] {
            let bytes = [&stream(&[parts("/a", "", "", b"before")])[..], behind].concat();
            for cut in 0..bytes.len() {
                let (said, end) = heard(&bytes, cut);
                assert_eq!((said.len(), end), (2, Some(code)), "{behind:?}");
            }
        }
        for bytes in [&b"\0encke2\n"[..], b"\0x", b"GET"] {
            assert_eq!(heard(bytes, 0), (Vec::new(), Some("bad_preface")));
        }
    }
}
