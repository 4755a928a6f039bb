use crate::succession::succeed;
use crate::support::process::{ServerProcess, signal};
use crate::support::scratch::Scratch;
use crate::support::wire::Wire;
use crate::support::{config, eventually, serve};
use encke::access::Keyring;
use encke::base::random::Seed;
use encke::{Config, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub const KEYS: &str = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#;
const ROME: &str = "/chat/rome";
const USERS: usize = 30;
/// How each user's connections are held; none of these ends by itself within a test.
const WAYS: [&str; 5] = ["transport=sse", "transport=long-poll", "transport=stream", "transport=iframe", "websocket"];

/// A server of two reactors that tells who is on channels below `/chat`, where tokens made with [`KEYS`] are good.
fn presence(scratch: &Scratch) -> Server {
    serve(Config {
        presence: "/chat/*".into(),
        presence_grace_ms: 100,
        token_keys: Some(scratch.file("keys.json", KEYS)),
        token_expiry: "optional".into(),
        long_poll_timeout_ms: 3_600_000,
        life_span_ms: 0,
        ..config(2)
    })
}

/// A token that says who reads these channels, and never ends.
pub fn token(user: &str, channels: &str) -> String {
    let mut keyring = Keyring::new(Seed(1, 2));
    keyring.set_token_keys(KEYS).expect("a key set");
    let claims = json!({ "sub": user, "encke": { "subscribe": [channels] } });
    keyring.sign_token(None, &claims.to_string()).expect("a secret")
}

/// A connection on `/chat/rome`, which is held in one of the [`WAYS`].
fn come(address: SocketAddr, user: &str, way: &str) -> Wire {
    let mut wire = Wire::connect(address);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (query, fields) = if way == "websocket" { ("", upgrade) } else { (way, "") };
    let papers = format!("Authorization: Bearer {}\r\n", token(user, "/chat/**"));
    wire.send(format!("GET /sub/chat/rome?{query} HTTP/1.1\r\nHost: localhost\r\n{papers}{fields}\r\n"));
    wire
}

/// Users on a channel, and how many connections each has.
pub fn here(asker: &mut Wire, channel: &str) -> BTreeMap<String, u64> {
    let list = asker.ask(&format!("/presence{channel}"));
    assert_eq!((list.status(), list.member("more")), (200, json!(false)));
    let entry = |member: &Value| Some((member["user"].as_str()?.to_owned(), member["connections"].as_u64()?));
    list.member("members").as_array().into_iter().flatten().filter_map(entry).collect()
}

/// What was told of each user on a channel, in order.
pub fn told(asker: &mut Wire, channel: &str) -> BTreeMap<String, Vec<&'static str>> {
    let told = asker.ask(&format!("/sub/presence{channel}?transport=poll"));
    let mut seen: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for message in told.member("messages").as_array().expect("messages") {
        for word in ["join", "leave"] {
            if let Some(user) = message["data"][word].as_str() {
                seen.entry(user.to_owned()).or_default().push(word);
            }
        }
    }
    seen
}

#[test]
fn a_crowd_is_here_by_any_transport_and_each_user_leaves_once_when_all_its_connections_are_gone() {
    let scratch = Scratch::new();
    let server = presence(&scratch);
    let mut asker = Wire::connect(server.addresses().private[0]);
    let users: Vec<String> = (0..USERS).map(|number| format!("user {number}")).collect();
    let mut crowd: Vec<Wire> =
        users.iter().flat_map(|user| WAYS.map(|way| come(server.addresses().public[0], user, way))).collect();
    let all: BTreeMap<String, u64> = users.iter().map(|user| (user.clone(), WAYS.len() as u64)).collect();
    eventually("everybody is here", || (here(&mut asker, ROME) == all).then_some(()));

    // All but one connection of each user: some say that they go, the others are reset.
    for (number, wire) in crowd.iter().enumerate() {
        if number % 2 == 0 {
            wire.writer().set_linger(Some(Duration::ZERO)).expect("a socket");
        }
    }
    crowd = crowd.into_iter().enumerate().filter(|(number, _)| number % WAYS.len() == 0).map(|(_, wire)| wire).collect();
    let each_by_one: BTreeMap<String, u64> = users.iter().map(|user| (user.clone(), 1)).collect();
    eventually("each user is here by one", || (here(&mut asker, ROME) == each_by_one).then_some(()));
    drop(crowd);
    eventually("everybody is gone", || here(&mut asker, ROME).is_empty().then_some(()));

    let seen = told(&mut asker, ROME);
    assert_eq!(seen.len(), USERS);
    assert!(seen.values().all(|words| *words == ["join", "leave"]), "{seen:?}");
    eventually("the numbers are told", || {
        let numbers = asker.ask("/metrics").text();
        let expected = ["encke_members 0\n", "encke_joins_total 30\n", "encke_leaves_total 30\n"];
        expected.iter().all(|line| numbers.contains(line)).then_some(())
    });
    server.stop();
}

#[test]
fn whoever_comes_back_to_a_successor_was_never_away_and_whoever_does_not_leaves_there() {
    let scratch = Scratch::new();
    let keys = scratch.file("keys.json", KEYS);
    let presence = ["--presence", "/chat/*", "--presence-grace", "1s", "--token-keys", &keys, "--token-expiry", "optional"];
    let mut server = ServerProcess::start(&[&presence[..], &["--drain-timeout", "8s", "--reactors", "2"]].concat());
    let (public, private) = (server.public, server.private);
    let held = ["ann", "bob"].map(|user| {
        let wire = come(public, user, "transport=sse");
        eventually("a user is here", || here(&mut Wire::connect(private), ROME).contains_key(user).then_some(()));
        wire
    });
    let successor = succeed(&server.process, server.process.id());
    let ann = come(public, "ann", "transport=sse");
    let said = eventually("who does not come back leaves", || {
        let all = Wire::connect(private).ask("/sub/presence/chat/rome?transport=poll&since=earliest").member("messages");
        let all: Vec<Value> = all.as_array()?.iter().map(|message| message["data"].clone()).collect();
        all.contains(&json!({ "leave": "bob" })).then_some(all)
    });
    assert_eq!(said, [json!({ "join": "ann" }), json!({ "join": "bob" }), json!({ "leave": "bob" })]);
    assert_eq!(here(&mut Wire::connect(private), ROME), BTreeMap::from([("ann".into(), 1)]));
    drop((held, ann));
    assert_eq!(server.process.wait().code(), Some(0));
    assert!(signal(successor.0, "TERM"));
    server.process.silent();
}
