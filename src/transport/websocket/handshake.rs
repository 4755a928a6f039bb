//! From an HTTP request to a WebSocket: what a client must say, and the 101 it gets (RFC 6455 section 4.2).
//!
//! Never judges where the request leads, nor the page it comes from (`Origin`): that is for whoever knows the
//! resource. No subprotocol is ever picked.
//!
//! Invariant: the peer's words reach the answer only through a digest.

use super::extension::{self, Deflate};
use crate::base::error::Reject;
use crate::http::{Body, Method, Request, Version, response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// What the server's answer to a key is made with: no other protocol's server would know to.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// 16 bytes in base64.
const KEY_BYTES: usize = 24;
const NONCE_BYTES: usize = 16;

/// A handshake that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upgrade {
    key: [u8; KEY_BYTES],
    /// Whether and how messages may be compressed.
    pub(crate) deflate: Option<Deflate>,
}

/// Reads what `request` says of WebSocket. `Ok(None)`: it asks for none. HTTP/1.0 cannot ask (RFC 9110 section 7.8).
pub(crate) fn upgrade(request: &Request<'_, '_>) -> Result<Option<Upgrade>, Reject> {
    if request.version == Version::Http10 || !request.lists("upgrade", "websocket") {
        return Ok(None);
    }
    if request.method != Method::Get {
        return Err(Reject::method("GET"));
    }
    if !request.lists("connection", "upgrade") {
        return Err(bad_handshake("the Connection header does not list upgrade: a proxy may have taken it off"));
    }
    if request.body != Body::None {
        return Err(bad_handshake("a request for a WebSocket has no body"));
    }
    if request.header("sec-websocket-version") != Some(b"13") {
        return Err(Reject::upgrade("websocket", "unknown_version", "the version of WebSocket spoken here is 13"));
    }
    let mut keys = request.headers("sec-websocket-key");
    let key = keys.next().filter(|_| keys.next().is_none()).and_then(key);
    let key = key.ok_or_else(|| bad_handshake("the Sec-WebSocket-Key is not 16 bytes in base64"))?;
    let mut offers = request.headers("sec-websocket-extensions").filter_map(|value| std::str::from_utf8(value).ok());
    Ok(Some(Upgrade { key, deflate: offers.find_map(extension::negotiate) }))
}

/// Writes the answer that makes the connection a WebSocket.
pub(crate) fn accept(out: &mut Vec<u8>, upgrade: &Upgrade, date: &str) {
    response::start(out, 101);
    response::date(out, date);
    response::fixed(out, "Upgrade: websocket\r\nConnection: Upgrade");
    response::field(out, "Sec-WebSocket-Accept", &proof(&upgrade.key));
    if let Some(deflate) = upgrade.deflate {
        response::field(out, "Sec-WebSocket-Extensions", &deflate.answer());
    }
    response::end(out);
}

fn key(value: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let key = value.try_into().ok()?;
    let decoded = STANDARD.decode(value).ok()?;
    (decoded.len() == NONCE_BYTES).then_some(key)
}

/// Shows the client that its key was understood.
fn proof(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

fn bad_handshake(detail: &'static str) -> Reject {
    Reject::new(400, "bad_handshake", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Limits, request};

    const LIMITS: Limits = Limits { line_bytes: 1000, head_bytes: 4000, headers: 16, body_bytes: 1000 };
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    const UPGRADE: &str = "Upgrade: websocket";
    const CONNECTION: &str = "Connection: Upgrade";
    const VERSION: &str = "Sec-WebSocket-Version: 13";
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    fn asked(line: &str, fields: &[&str]) -> Result<Option<Upgrade>, Reject> {
        let head = format!("{line}\r\nHost: a\r\n{}\r\n\r\n", fields.join("\r\n"));
        let mut room = request::room();
        upgrade(&request::parse(head.as_bytes(), &LIMITS, &mut room).expect("a request that is well-formed"))
    }

    fn got(fields: &[&str]) -> Result<Option<Upgrade>, Reject> {
        asked("GET /ws HTTP/1.1", fields)
    }

    fn status(outcome: Result<Option<Upgrade>, Reject>) -> u16 {
        match outcome {
            Ok(Some(_)) => 101,
            Ok(None) => 200,
            Err(reject) => reject.status,
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let upgrade = got(&[UPGRADE, CONNECTION, KEY, VERSION]).unwrap().expect("a WebSocket");
        let mut out = Vec::new();
        accept(&mut out, &upgrade, DATE);
        let answer = "HTTP/1.1 101 Switching Protocols\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nUpgrade: websocket\r\n\
                      Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), answer);
    }

    #[test]
    fn lists_may_be_spread_over_several_headers_and_the_key_may_not() {
        let upgrade = got(&[
            UPGRADE,
            "Connection: keep-alive",
            CONNECTION,
            KEY,
            VERSION,
            "Sec-WebSocket-Extensions: x",
            "Sec-WebSocket-Extensions: permessage-deflate",
        ]);
        assert!(upgrade.unwrap().expect("a WebSocket").deflate.is_some());
        assert_eq!(status(got(&[UPGRADE, CONNECTION, KEY, KEY, VERSION])), 400);
    }

    #[test]
    fn compression_is_agreed_in_the_answer() {
        let offers = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=11; client_max_window_bits";
        let upgrade = got(&[UPGRADE, CONNECTION, KEY, VERSION, offers]).unwrap().expect("a WebSocket");
        assert_eq!(upgrade.deflate.map(Deflate::window_bits), Some(11));
        let mut out = Vec::new();
        accept(&mut out, &upgrade, DATE);
        let agreed = "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                      client_no_context_takeover; server_max_window_bits=11\r\n\r\n";
        assert!(String::from_utf8(out).unwrap().ends_with(agreed));

        for bad in ["Sec-WebSocket-Extensions: permessage-deflate; x", "Sec-WebSocket-Extensions: \u{e9}"] {
            assert_eq!(got(&[UPGRADE, CONNECTION, KEY, VERSION, bad]).unwrap().expect("a WebSocket").deflate, None);
        }
    }

    #[test]
    fn who_asks_for_no_websocket_gets_none() {
        for fields in [
            &["Accept: */*"][..],
            &[CONNECTION, KEY, VERSION],
            &["Upgrade: h2c", CONNECTION],
            &["Upgrade: websockets", CONNECTION, KEY, VERSION],
            &["Upgrade:", CONNECTION, KEY, VERSION],
        ] {
            assert_eq!(got(fields), Ok(None), "{fields:?}");
        }
        assert_eq!(asked("GET / HTTP/1.0", &[UPGRADE, CONNECTION, KEY, VERSION]), Ok(None));
    }

    #[test]
    fn the_headers_may_be_written_in_many_ways() {
        for fields in [
            ["upgrade: WebSocket", "connection: upgrade", KEY, VERSION],
            ["Upgrade: h2c, websocket", "Connection: keep-alive, Upgrade", KEY, VERSION],
            ["Upgrade: websocket,", "Connection: ,UPGRADE\t,close", KEY, VERSION],
            [UPGRADE, CONNECTION, "SEC-WEBSOCKET-KEY: \t AAAAAAAAAAAAAAAAAAAAAA==  ", "sec-websocket-version:13 "],
        ] {
            assert_eq!(status(got(&fields)), 101, "{fields:?}");
        }
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (line, fields, refusal) in [
            ("POST / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, VERSION][..], 405),
            ("HEAD / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, VERSION], 405),
            ("GET / HTTP/1.1", &[UPGRADE, KEY, VERSION], 400),
            ("GET / HTTP/1.1", &[UPGRADE, "Connection: keep-alive", KEY, VERSION], 400),
            ("GET / HTTP/1.1", &[UPGRADE, "Connection: upgraded", KEY, VERSION], 400),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, VERSION, "Content-Length: 5"], 400),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, VERSION, "Transfer-Encoding: chunked"], 400),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, KEY], 426),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, "Sec-WebSocket-Version: 8"], 426),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, "Sec-WebSocket-Version: 14"], 426),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, "Sec-WebSocket-Version: 013"], 426),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, KEY, "Sec-WebSocket-Version: 8, 13"], 426),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, "Sec-WebSocket-Version: 8"], 426),
            ("GET / HTTP/1.1", &[UPGRADE, CONNECTION, VERSION], 400),
        ] {
            assert_eq!(status(asked(line, fields)), refusal, "{line} {fields:?}");
        }
    }

    #[test]
    fn a_key_is_16_bytes_in_base64() {
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZSE=",
            "dGhlIHNhbXBsZSBub25jZSEh",
            "dGhlIHNhbXBsZSBub25j====",
            "dGhlIHNhbXBsZSBub25j-_==",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBu b25jZQ=",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            let field = format!("Sec-WebSocket-Key: {key}");
            assert_eq!(status(got(&[UPGRADE, CONNECTION, &field, VERSION])), 400, "{key}");
        }
    }
}
