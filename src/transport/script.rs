//! What is safe where a browser runs scripts: callback names, origins, and JSON inside of a script.

use crate::base::error::Reject;

/// The longest callback name, in bytes.
const CALLBACK_BYTES_MAX: usize = 128;
/// The longest origin or domain, in bytes.
const ORIGIN_BYTES_MAX: usize = 255;

/// Takes the name of a function: `identifier *( "." identifier )`, ASCII only, so that it can be nothing else
/// than a name wherever it is put.
pub(super) fn callback(text: &str) -> Result<(), Reject> {
    let identifier = |part: &str| {
        let mut bytes = part.bytes();
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
        bytes.next().is_some_and(|first| word(first) && !first.is_ascii_digit()) && bytes.all(word)
    };
    if text.len() <= CALLBACK_BYTES_MAX && text.split('.').all(identifier) {
        return Ok(());
    }
    let detail = "callback is a function's name: letters, digits, _ and $, parted by dots, at most 128 bytes";
    Err(Reject::new(400, "bad_callback", detail))
}

/// Takes an origin as `postMessage` does: `scheme://host[:port]`, or `*`.
pub(super) fn origin(text: &str) -> Result<(), Reject> {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or("");
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if text == "*" || (!host.is_empty() && text.len() <= ORIGIN_BYTES_MAX && host.bytes().all(good)) {
        return Ok(());
    }
    Err(Reject::new(400, "bad_target", "target is an origin like https://example.org, or *"))
}

/// Takes a domain name, for `document.domain`.
pub(super) fn domain(text: &str) -> Result<(), Reject> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !text.is_empty() && text.len() <= ORIGIN_BYTES_MAX && text.bytes().all(good) {
        return Ok(());
    }
    Err(Reject::new(400, "bad_domain", "domain is a host's name"))
}

/// Rewrites JSON from `start` on so that it can stand within a script, inline or not: what HTML, old scripts
/// or a confused sniffer could take for an end or a beginning is escaped. Outside of strings JSON has none of
/// these characters, so an escape never stands where none may.
///
/// One name means something else in a script than in JSON: `{"__proto__":1}` sets a prototype there, and the
/// name twice is an error that would take the whole batch along. JSON that may have it is parsed as JSON.
pub(super) fn harmless(out: &mut Vec<u8>, start: usize) {
    if may_name_prototype(&out[start..]) {
        let json = String::from_utf8(out.split_off(start)).expect("JSON was checked to be UTF-8 when it was published");
        out.extend_from_slice(b"JSON.parse(");
        super::envelope::string(out, &json);
        out.push(b')');
    }
    escape(out, start);
}

/// Whether `__proto__` stands there, or an escape of one of its letters: `\u005f`, `\u0070` and so on.
fn may_name_prototype(json: &[u8]) -> bool {
    let escaped = |at: usize| matches!(json.get(at + 4), Some(b'5'..=b'7'));
    memchr::memmem::find(json, b"__proto__").is_some() || memchr::memmem::find_iter(json, br"\u00").any(escaped)
}

fn escape(out: &mut Vec<u8>, start: usize) {
    let dangerous = |window: &[u8]| matches!(window, [b'<' | b'>' | b'&', ..] | [0xe2, 0x80, 0xa8 | 0xa9, ..]);
    if !(start..out.len()).any(|at| dangerous(&out[at..])) {
        return;
    }
    let json = out.split_off(start);
    let mut rest = &json[..];
    while let Some(&byte) = rest.first() {
        let (escaped, len): (&[u8], usize) = match rest {
            [b'<', ..] => (b"\\u003c", 1),
            [b'>', ..] => (b"\\u003e", 1),
            [b'&', ..] => (b"\\u0026", 1),
            [0xe2, 0x80, 0xa8, ..] => (b"\\u2028", 3),
            [0xe2, 0x80, 0xa9, ..] => (b"\\u2029", 3),
            _ => {
                out.push(byte);
                rest = &rest[1..];
                continue;
            }
        };
        out.extend_from_slice(escaped);
        rest = &rest[len..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_name_and_nothing_else() {
        for good in ["f", "parent.f", "_", "$.a", "jQuery1_2", "a.b.c"] {
            assert!(callback(good).is_ok(), "{good}");
        }
        let long = "a".repeat(129);
        for bad in ["", ".", "a.", "1a", "a.1", "alert(1)//", "a;b", "a[0]", "a b", "é", "a\n", "</script>", &long] {
            assert_eq!(callback(bad).unwrap_err().code, "bad_callback", "{bad}");
        }
    }

    #[test]
    fn origins_and_domains_hold_no_quote_and_no_path() {
        for good in ["*", "https://example.org", "http://127.0.0.1:8080", "http://[::1]:1"] {
            assert!(origin(good).is_ok(), "{good}");
        }
        for bad in ["", "https://", "example.org", "https://a/b", "https://a\"", "javascript:alert(1)", "https://a'+x"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
        assert!(domain("example.org").is_ok() && domain("a\";alert(1)//").is_err() && domain("").is_err());
    }

    #[test]
    fn a_prototype_is_never_set() {
        for json in [r#"{"__proto__":1,"__proto__":"<"}"#, r#"{"\u005f_proto__":1}"#, r#"{"__prot\u006F__":1}"#] {
            let mut out = b"f(".to_vec();
            out.extend_from_slice(json.as_bytes());
            harmless(&mut out, 2);
            let out = String::from_utf8(out).unwrap();
            let text = out.strip_prefix("f(JSON.parse(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            assert!(!text.contains('<'));
            assert_eq!(serde_json::from_str::<String>(text).unwrap(), json);
        }
    }

    #[test]
    fn no_json_can_end_the_script_it_stands_in() {
        let safe = |json: &str| {
            let mut out = b"f(".to_vec();
            out.extend_from_slice(json.as_bytes());
            harmless(&mut out, 2);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(safe(r#"{"a":1}"#), r#"f({"a":1}"#);
        assert_eq!(safe(r#""</script><!--&""#), r#"f("\u003c/script\u003e\u003c!--\u0026""#);
        assert_eq!(safe("\"a\u{2028}b\u{2029}ü\""), "f(\"a\\u2028b\\u2029ü\"");
    }
}
