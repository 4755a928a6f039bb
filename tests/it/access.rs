use crate::support::http::Piece;
use crate::support::scratch::Scratch;
use crate::support::wire::Wire;
use crate::support::ws::Ws;
use crate::support::{config, serve};
use encke::access::{Keyring, api_key_line};
use encke::base::random::Seed;
use encke::{Config, Server};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

const KEYS: &str = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#;
const APPLICATION: &str = "the-long-and-secret-key-of-shop";

/// A server that others could reach, the door to it from here, and what signs for it.
struct House {
    public: SocketAddr,
    keyring: Keyring,
    _server: Server,
    _files: Scratch,
}

impl House {
    fn new(reactors: u64) -> House {
        let files = Scratch::new();
        let application = api_key_line("shop", APPLICATION, "/shop/**").expect("a line");
        let mut keyring = Keyring::new(Seed(1, 2));
        keyring.set_token_keys(KEYS).expect("a key set");
        let server = serve(Config {
            listen: vec!["0.0.0.0:0".into()],
            token_keys: Some(files.file("keys.json", KEYS)),
            api_keys: Some(files.file("applications", &application)),
            token_cookie: "encke".into(),
            token_grace_ms: 100,
            ..config(reactors)
        });
        let public = SocketAddr::from(([127, 0, 0, 1], server.addresses().public[0].port()));
        House { public, keyring, _server: server, _files: files }
    }

    /// A token of this user that is good for so many seconds.
    fn token(&self, user: &str, channels: &str, seconds: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let scope = format!(r#"{{"subscribe":["{channels}"],"publish":["{channels}"]}}"#);
        let claims = format!(r#"{{"sub":"{user}","exp":{},"encke":{scope}}}"#, now + seconds);
        self.keyring.sign_token(None, &claims).expect("a secret")
    }
}

#[test]
fn a_token_opens_its_channels_on_each_transport_and_no_others() {
    for reactors in [1, 2] {
        let house = House::new(reactors);
        let ann = house.token("ann", "/a/*", 3_600);
        let mut wire = Wire::connect(house.public);
        for transport in ["poll", "long-poll&since=earliest", "sse", "stream", "iframe", "multipart", "gif", "pull", "poll&raw=1"]
        {
            for (channel, more) in [("/b", "&token="), ("/a/1/2", "&token="), ("/a/1", "&x=")] {
                let refused = wire.ask(&format!("/sub{channel}?transport={transport}{more}{ann}"));
                assert_eq!((refused.status(), refused.member("error")), (403, "forbidden".into()), "{transport} {channel}");
            }
        }
        let mut publisher = Wire::connect(house.public);
        publisher.send(format!("POST /pub/a/1?token={ann} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"));
        assert_eq!(publisher.response().status(), 200);
        assert!(wire.ask(&format!("/sub/a/1?transport=poll&token={ann}")).text().contains("\"hi\""));
        for transport in ["sse", "stream", "iframe"] {
            let mut reader = Wire::connect(house.public);
            reader.send(format!(
                "GET /sub/a/1?transport={transport}&since=earliest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ann}\r\n\r\n"
            ));
            reader.until("hi");
        }
        let mut socket = Ws::open(house.public, &format!("/ws?token={ann}"));
        assert_eq!(socket.json()["cursor"], serde_json::Value::Null);
        assert_eq!(socket.ask(r#"{"subscribe":"/b"}"#)["error"], "forbidden");
        assert_eq!(socket.ask(r#"{"subscribe":"/a/1"}"#)["subscribed"][0], "/a/1");
        assert_eq!(wire.ask("/sub/a/1?transport=poll&token=x.y.z").status(), 401);
        assert_eq!(wire.ask("/sub/public/1?transport=poll").status(), 200);
    }
}

#[test]
fn an_application_publishes_inspects_and_drops_by_its_key_where_it_may() {
    let house = House::new(2);
    let mut wire = Wire::connect(house.public);
    for (request, expected) in [
        ("POST /pub/shop/1", 200),
        ("GET /channels/shop/1", 200),
        ("DELETE /channels/shop/1", 200),
        ("POST /pub/other", 403),
        ("GET /channels/other", 403),
        ("GET /metrics", 403),
        ("GET /sub/shop/1?transport=poll", 403),
    ] {
        wire.send(format!("{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Encke-Key {APPLICATION}\r\n\r\n"));
        assert_eq!(wire.response().status(), expected, "{request}");
    }
}

#[test]
fn what_is_held_by_a_token_ends_with_it_unless_another_is_brought() {
    let house = House::new(2);
    // Whoever signs may be off by five seconds, so that it ends in eight.
    let (short, long) = (house.token("ann", "/a/*", 3), house.token("ann", "/a/*", 3_600));
    let stream = |token: &str| {
        let mut wire = Wire::connect(house.public);
        wire.get(&format!("/sub/a/1?transport=stream&token={token}"));
        let Ok(Piece::Head(head)) = wire.piece() else { panic!("no head") };
        (wire, head.field("Encke-Session").expect("a name").to_owned())
    };
    let ((mut ends, _), (mut goes_on, name)) = (stream(&short), stream(&short));
    let mut socket = Ws::open(house.public, &format!("/sub/a/1?token={short}"));
    assert!(socket.json()["expires_in"].as_u64().is_some_and(|left| left <= 8_000));
    let mut renewed = Ws::open(house.public, &format!("/sub/a/1?token={short}"));
    assert_eq!(renewed.json()["session"].as_str().map(str::len), Some(name.len()));
    assert_eq!(renewed.ask(format!(r#"{{"token":"{}"}}"#, house.token("ben", "/a/*", 3_600)))["error"], "forbidden");
    assert!(renewed.ask(format!(r#"{{"token":"{long}"}}"#))["renewed"]["expires_in"].as_u64().is_some_and(|left| left > 8_000));

    // By another connection, which may lie on another reactor.
    let mut other = Wire::connect(house.public);
    other.send(format!("POST /token?session={name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {long}\r\n\r\n"));
    assert_eq!(other.response().status(), 200);

    ends.until("\"close\":\"token_expired\"");
    assert_eq!(socket.json()["close"], "token_expired");
    assert_eq!(socket.closed(), 4401);
    assert_eq!(other.ask(&format!("/sub/a/1?transport=poll&token={short}")).member("error"), "token_expired");
    other.send(format!("POST /pub/a/1?token={long} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nstill"));
    assert_eq!(other.response().status(), 200);
    goes_on.until("still");
    assert_eq!(renewed.json()["data"], "still");
}
