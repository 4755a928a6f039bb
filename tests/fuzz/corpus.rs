//! What inputs are made from: what clients send in the transcripts, and the table of refusals.

use crate::notation::{self, Epochs};
use encke::base::frame;
use encke::base::payload::Parts;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What stands in a corpus for the client id of the session that an input speaks for.
pub const CLIENT: &str = "00000000000000000000000000000000000000000000";
/// What stands for an epoch.
const EPOCH: &str = "AAAAAAAAAAAA";

/// Keys that have signed the tokens.
pub const KEY_SET: &str = include_str!("../tokens/keys.json");

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

/// Bodies in chunks.
pub fn chunked() -> Vec<Vec<u8>> {
    let plain = [&b"5\r\nhello\r\n0\r\n\r\n"[..], b"a;b=c\r\n0123456789\r\n00\r\nTrailer: x\r\n\r\nGET", b"ffffffffffffffff\r\n"];
    plain.into_iter().map(<[u8]>::to_vec).collect()
}

/// The targets of requests.
pub fn targets() -> Vec<Vec<u8>> {
    let target = |stream: &Vec<u8>| stream.split(|&byte| byte == b' ').nth(1).map(<[u8]>::to_vec);
    streams().iter().filter_map(target).collect()
}

/// Cursors, of one channel and of some.
pub fn cursors() -> Vec<Vec<u8>> {
    let plain = ["now", "earliest", "AAAAAAAAAAAA-0", "AAAAAAAAAAAA-7.BBBBBBBBBBBB-18446744073709551615", "zzzzzzzzzzzz-1."];
    plain.map(|text| text.as_bytes().to_vec()).into()
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

/// A line with plain text for the names of client ids and epochs.
fn named(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '$' => text.push_str(if rest.next().is_some_and(char::is_lowercase) { CLIENT } else { EPOCH }),
            '\\' => text.extend([Some(letter), rest.next()].into_iter().flatten()),
            letter => text.push(letter),
        }
    }
    text
}
