//! The fields of a usual request, read without a reader of JSON.
//!
//! A client whose connect was answered sends the next one, so that almost all requests are one connect, in an array, as
//! scripts write it: no space, no escape, nothing but ASCII. That much is read here, field by field. Whatever is unusual
//! in the least is left to the full reader, which must come to the same fields for what is read here.

use super::read::Fields;
use memchr::memchr;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The longest number that is read: it fits 64 bits.
const DIGITS_MAX: usize = 19;

/// The fields of the one message of `request`; `None`: somebody else has to read it.
pub(super) fn fields(request: &[u8]) -> Option<Fields<'_>> {
    let object = request.strip_prefix(b"[{")?.strip_suffix(b"}]")?;
    let mut fields = Fields::default();
    let mut rest = object;
    loop {
        let (name, behind) = text(rest)?;
        let value = behind.strip_prefix(b":")?;
        rest = match name {
            "channel" => lend(&mut fields.channel, value)?,
            "clientId" => lend(&mut fields.client_id, value)?,
            "connectionType" => lend(&mut fields.connection_type, value)?,
            "id" => set(&mut fields.id, value, text(value)?.1)?,
            "ext" => set(&mut fields.ext, value, acknowledgement(value)?)?,
            _ => return None,
        };
        if rest.is_empty() {
            return Some(fields);
        }
        rest = rest.strip_prefix(b",")?;
    }
}

/// A field that is a text and comes once; returns what is behind it.
fn lend<'a>(field: &mut Option<Cow<'a, str>>, value: &'a [u8]) -> Option<&'a [u8]> {
    let (text, behind) = text(value)?;
    field.replace(Cow::Borrowed(text)).is_none().then_some(behind)
}

/// A field that is taken as it stands and comes once, up to what is behind it.
fn set<'a>(field: &mut Option<&'a RawValue>, value: &'a [u8], behind: &'a [u8]) -> Option<&'a [u8]> {
    let raw = serde_json::from_slice(value.strip_suffix(behind)?).ok()?;
    field.replace(raw).is_none().then_some(behind)
}

/// A text without escapes, and what is behind it.
fn text(json: &[u8]) -> Option<(&str, &[u8])> {
    let inner = json.strip_prefix(b"\"")?;
    let (text, behind) = inner.split_at_checked(memchr(b'"', inner)?)?;
    // All bytes are looked at, which is faster than to stop at the first that is wrong.
    let is_plain = text.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & (*byte != b'\\'));
    Some((std::str::from_utf8(text).ok().filter(|_| is_plain)?, behind.get(1..)?))
}

/// `{"ack":7}`; returns what is behind it.
fn acknowledgement(json: &[u8]) -> Option<&[u8]> {
    let number = json.strip_prefix(b"{\"ack\":")?;
    let digits = number.iter().position(|byte| !byte.is_ascii_digit())?;
    let leads_with_zero = number.starts_with(b"0") && digits > 1;
    (1..=DIGITS_MAX).contains(&digits).then_some(())?;
    number.get(digits..)?.strip_prefix(b"}").filter(|_| !leads_with_zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::{Random, Seed};

    const CONNECT: &str = r#"[{"id":"3","channel":"/meta/connect","connectionType":"long-polling","clientId":"0001"}]"#;
    const ACKNOWLEDGED: &str =
        r#"[{"channel":"/meta/connect","clientId":"0","connectionType":"websocket","id":"1a","ext":{"ack":17}}]"#;

    /// What the full reader makes of a request of one message; `None`: it refuses it, or finds another number of them.
    fn read_in_full(request: &[u8]) -> Option<Fields<'_>> {
        let messages: Vec<&RawValue> = serde_json::from_slice(request).ok()?;
        let [message] = messages[..] else { return None };
        serde_json::from_str(message.get()).ok()
    }

    /// All fields, to be compared.
    fn shown(fields: &Fields<'_>) -> String {
        format!("{fields:?}")
    }

    #[test]
    fn what_clients_send_again_and_again_is_read_here() {
        for usual in [CONNECT, ACKNOWLEDGED, r#"[{"channel":"/meta/disconnect","clientId":"7"}]"#] {
            let read = fields(usual.as_bytes()).unwrap_or_else(|| panic!("left to the full reader: {usual}"));
            assert_eq!(shown(&read), shown(&read_in_full(usual.as_bytes()).expect("JSON")), "{usual}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_full_reader() {
        for unusual in [
            "",
            "[]",
            "[{}]",
            "{}",
            r#"{"channel":"/a"}"#,
            r#"[{"channel":"/a"},{"channel":"/a"}]"#,
            r#"[ {"channel":"/a"}]"#,
            r#"[{"channel": "/a"}]"#,
            r#"[{"channel":"/a",}]"#,
            r#"[{"channel":"/a","channel":"/a"}]"#,
            r#"[{"channel":"\u002fa"}]"#,
            "[{\"channel\":\"/é\"}]",
            "[{\"channel\":\"/\t\"}]",
            r#"[{"channel":null}]"#,
            r#"[{"id":7}]"#,
            r#"[{"channel":"/a","data":"x"}]"#,
            r#"[{"ext":{"ack":01}}]"#,
            r#"[{"ext":{"ack":-1}}]"#,
            r#"[{"ext":{"ack":}}]"#,
            r#"[{"ext":{"ack":true}}]"#,
            r#"[{"ext":{"ack":12345678901234567890}}]"#,
            r#"[{"ext":{"ack":1,"x":2}}]"#,
        ] {
            assert!(fields(unusual.as_bytes()).is_none(), "{unusual}");
        }
    }

    #[test]
    fn both_readers_agree_on_whatever_is_read_here() {
        let mut random = Random::new(Seed(7, 8));
        let mut below = move |bound: usize| (random.bits() % bound as u64) as usize;
        let pieces: [&[u8]; 12] =
            [b"\"", b"\\", b",", b":", b"{", b"}", b"[", b"]", b"\"id\":\"1\"", b"\"ext\":{\"ack\":1}", b"0", b"\xc3\xa9"];
        let mut agreed = 0;
        for _ in 0..100_000 {
            let mut request = [CONNECT, ACKNOWLEDGED][below(2)].as_bytes().to_vec();
            for _ in 0..=below(3) {
                let at = below(request.len());
                match below(4) {
                    0 => request[at] = below(256) as u8,
                    1 => _ = request.remove(at),
                    2 => _ = request.splice(at..at, pieces[below(pieces.len())].iter().copied()),
                    _ => {
                        let other = below(request.len());
                        request.swap(at, other);
                    }
                }
            }
            if let Some(read) = fields(&request) {
                let full = read_in_full(&request).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&request)));
                assert_eq!(shown(&read), shown(&full), "{:?}", String::from_utf8_lossy(&request));
                agreed += 1;
            }
        }
        assert!(agreed > 3_000, "only {agreed} requests were read here");
    }
}
