//! What inputs are made from: what clients send in the transcripts, and the table of refusals.

use crate::notation::{self, Epochs};
use encke::access::Keyring;
use encke::base::frame;
use encke::base::payload::Parts;
use encke::base::random::Seed;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// What stands in a corpus for the client id of the session that an input speaks for.
pub const CLIENT: &str = "00000000000000000000000000000000000000000000";
/// What stands for an epoch.
const EPOCH: &str = "AAAAAAAAAAAA";

/// Keys that have signed the tokens.
pub const KEY_SET: &str = include_str!("../tokens/keys.json");
/// The same, to sign with, or to judge by.
pub static KEYS: LazyLock<Arc<Keyring>> = LazyLock::new(|| {
    let mut keyring = Keyring::new(Seed(7, 8));
    keyring.set_token_keys(KEY_SET).expect("they are sound");
    Arc::new(keyring)
});

/// When an input begins to be sent.
pub const BEGIN_MS: u64 = 1_750_000_000_000;
/// What clients show, whatever the transcripts call it: it opens everything, and ends a minute later.
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let ends_s = BEGIN_MS / 1_000 + 60;
    let claims = format!(r#"{{"sub":"ann","exp":{ends_s},"encke":{{"subscribe":["/**"],"publish":["/**"]}}}}"#);
    KEYS.sign_token(None, &claims).expect("there is a secret")
});

/// All that each client of each transcript sends, and each request that is refused.
pub fn streams() -> Vec<Vec<u8>> {
    let mut streams: Vec<Vec<u8>> = Vec::new();
    for text in transcripts() {
        let mut clients: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for line in text.lines() {
            let Some((client, sent)) = line.split_once(" >").filter(|(client, _)| !client.contains([' ', '#'])) else { continue };
            let sent = sent.strip_prefix(' ').unwrap_or(sent);
            clients.entry(client).or_default().extend(notation::read(&named(sent), &Epochs::default()));
        }
        streams.extend(clients.into_values());
    }
    let refusals = std::fs::read_to_string(tests().join("refusals.txt")).expect("the table of refusals");
    let refused = refusals.lines().filter_map(|line| line.split_once(" | "));
    streams.extend(refused.map(|(_, bytes)| notation::unescape(bytes, &Epochs::default())));
    streams
}

/// The bodies of Bayeux requests.
pub fn bayeux() -> Vec<Vec<u8>> {
    let is_body = |line: &&[u8]| line.contains(&b'{') && (line.starts_with(b"[") || line.starts_with(b"{"));
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for stream in streams() {
        bodies.extend(stream.split(|&byte| byte == b'\n').filter(is_body).map(|line| line.trim_ascii_end().to_vec()));
    }
    let fields = format!(r#""channel":"/meta/connect","connectionType":"long-polling","clientId":"{CLIENT}","ext":{{"ack":1}}"#);
    bodies.extend([format!("[{{{fields}}}]").into_bytes(), b"message=%5B%7B%22channel%22%3A%22%2Fa%22%7D%5D".to_vec()]);
    bodies.sort();
    bodies.dedup();
    bodies
}

/// Bodies in chunks: what lies behind heads that announce them, and some besides.
pub fn chunked() -> Vec<Vec<u8>> {
    let plain = [&b"5\r\nhello\r\n0\r\n\r\n"[..], b"a;b=c\r\n0123456789\r\n00\r\nTrailer: x\r\n\r\nGET", b"ffffffffffffffff\r\n"];
    let mut bodies: Vec<Vec<u8>> = plain.into_iter().map(<[u8]>::to_vec).collect();
    bodies.extend(streams().iter().filter_map(|stream| behind_head_with(stream, b"Transfer-Encoding: ")));
    bodies
}

/// What clients send behind the handshake of a WebSocket, and some messages in fragments, compressed, and both.
pub fn sockets() -> Vec<Vec<u8>> {
    let mut sockets: Vec<Vec<u8>> =
        streams().iter().filter_map(|stream| behind_head_with(stream, b"Sec-WebSocket-Key: ")).collect();
    // A wish, {"subscribe":"/a","since":"earliest"}.
    let compressed = b"\xc1\xa5\0\0\0\0\xaa\x56\x2a\x2e\x4d\x2a\x4e\x2e\xca\x4c\x4a\x55\xb2\x52\xd2\x4f\x54\xd2\x51\x2a\xce\xcc\x4b\x06\x71\x52\x13\x8b\x72\x32\x53\x8b\x4b\x94\x6a\x01\x00";
    let fragments = b"\x01\x82\0\0\0\0{\"\x89\x81\0\0\0\0p\x80\x82\0\0\0\0\"}";
    let wishes = br#"{"subscribe":["/a","/b"],"since":"earliest","ref":1}"#;
    let said = [&[0x81, 0x80 | wishes.len() as u8, 0, 0, 0, 0][..], wishes, b"\x88\x82\0\0\0\0\x03\xe8"].concat();
    sockets.extend([compressed.to_vec(), fragments.to_vec(), said]);
    sockets
}

/// What programs send behind the preface of a framed stream.
pub fn controls() -> Vec<Vec<u8>> {
    let behind_preface = |stream: &Vec<u8>| {
        let at = stream.windows(frame::PREFACE.len()).position(|window| window == frame::PREFACE)?;
        Some(stream[at + frame::PREFACE.len()..].to_vec())
    };
    let mut controls: Vec<Vec<u8>> = streams().iter().filter_map(behind_preface).collect();
    controls.extend(frames());
    controls
}

/// What follows the first head of `stream` that has `field` in it.
fn behind_head_with(stream: &[u8], field: &[u8]) -> Option<Vec<u8>> {
    let at = stream.windows(field.len()).position(|window| window == field)?;
    let end = stream[at..].windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(stream[at + end + 4..].to_vec())
}

/// The targets of requests.
pub fn targets() -> Vec<Vec<u8>> {
    let target = |stream: &Vec<u8>| stream.split(|&byte| byte == b' ').nth(1).map(<[u8]>::to_vec);
    streams().iter().filter_map(target).collect()
}

/// Cursors, of one channel and of some, and all that clients come back with.
pub fn cursors() -> Vec<Vec<u8>> {
    let plain = ["now", "earliest", "AAAAAAAAAAAA-0", "AAAAAAAAAAAA-7.BBBBBBBBBBBB-18446744073709551615", "zzzzzzzzzzzz-1."];
    let mut cursors: Vec<Vec<u8>> = plain.map(|text| text.as_bytes().to_vec()).into();
    for target in targets() {
        let mut parts = target.split(|byte| b"?&".contains(byte));
        cursors.extend(parts.find_map(|part| part.strip_prefix(b"since=")).map(<[u8]>::to_vec));
    }
    cursors
}

/// Streams of a program that publishes.
pub fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (content_type, event) in [("", ""), ("text/plain", "tick")] {
        let parts = Parts { channel: "/a", content_type, event, data: b"some data", unix_ms: 0 };
        frame::write(&mut frames, &parts).expect("a frame");
        frame::write_flush(&mut frames, *b"whatever");
    }
    vec![frames]
}

/// Tokens and a signed name, each of which is good until 2027.
pub fn tokens() -> Vec<Vec<u8>> {
    let lines = include_str!("../tokens/tokens.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split_once(' ')?.1.as_bytes().to_vec())).collect()
}

/// The same, with what tokens say and names stand for before they are signed.
pub fn claims() -> Vec<Vec<u8>> {
    let plain = [
        r#"{"sub":"ann","exp":1800000000,"encke":{"subscribe":["/a/*","/b"],"publish":["/c/**"]}}"#,
        r#"{"exp":1800000000.5,"nbf":1700000000,"iss":"x","aud":["y"],"sub":null}"#,
        r#"{"exp":1e9,"encke":{}}"#,
        "/a/b",
        "/a/**",
    ];
    plain.map(|text| text.as_bytes().to_vec()).into_iter().chain(tokens()).collect()
}

/// Files of keys.
pub fn key_files() -> Vec<Vec<u8>> {
    let keys = "# keys\nshop sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed /shop/**,/news\n";
    [KEY_SET, keys].map(|text| text.as_bytes().to_vec()).into()
}

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn transcripts() -> Vec<String> {
    let folder = std::fs::read_dir(tests().join("transcripts")).expect("the transcripts");
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("a transcript").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).expect("text")).collect()
}

/// A line with plain text for the names of client ids, epochs and what is shown.
fn named(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '$' => text.push_str(if rest.next().is_some_and(char::is_lowercase) { CLIENT } else { EPOCH }),
            '\\' => match rest.next() {
                Some('<') => {
                    rest.by_ref().find(|&letter| letter == '>');
                    text.push_str(&TOKEN);
                }
                escaped => text.extend([Some(letter), escaped].into_iter().flatten()),
            },
            letter => text.push(letter),
        }
    }
    text
}
