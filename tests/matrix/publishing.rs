//! The same for whoever publishes: every rule by every way to do it.

use super::house::House;
use super::house::ORIGIN;
use super::way::{Way, Wish, answered, member, said, tell};
use super::{COOKIE, FOREIGN, wish};

/// A way to publish.
#[derive(Debug)]
enum Door {
    Post,
    Batch,
    Socket,
    Bayeux(String),
}

impl Door {
    /// All that clients have.
    fn all() -> Vec<Door> {
        let bayeux = Way::all().into_iter().filter_map(|way| match way {
            Way::Bayeux(by) => Some(Door::Bayeux(by)),
            _ => None,
        });
        [Door::Post, Door::Batch, Door::Socket].into_iter().chain(bayeux).collect()
    }

    /// Somebody publishes: `taken`, or how that is refused.
    fn publish(&self, house: &mut House, wish: &Wish) -> String {
        let client = house.open();
        let (channel, query) = (&wish.channel, &wish.query);
        let fields = match wish.fields.contains("Origin: ") {
            true => format!("Host: example.org\r\n{}", wish.fields),
            false => format!("Host: example.org\r\nOrigin: {ORIGIN}\r\nReferer: {ORIGIN}/page\r\n{}", wish.fields),
        };
        let post = |house: &mut House, more: &str, body: &str| {
            let length = format!("{more}Content-Length: {}\r\n", body.len());
            let answer = house.send(client, &format!("POST /pub{channel}?x=1{query} HTTP/1.1\r\n{fields}{length}\r\n{body}"));
            match &answer[9..12] {
                "200" => "taken".to_string(),
                status => format!("{status} {}", member(&answer, "error").unwrap_or_default()),
            }
        };
        match self {
            Door::Post => post(house, "", "hello"),
            Door::Batch => post(house, "Content-Type: application/x-ndjson\r\n", "{\"data\":1}\n"),
            Door::Socket => {
                let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
                let answer = house.send(client, &format!("GET /ws?x=1{query} HTTP/1.1\r\n{fields}{upgrade}\r\n"));
                if &answer[9..12] != "101" {
                    return format!("{} {}", &answer[9..12], member(&answer, "error").unwrap_or_default());
                }
                let answer = house.say(client, &format!(r#"{{"publish":"{channel}","data":1}}"#));
                if answer.contains("\"published\"") { "taken".into() } else { said(&answer) }
            }
            Door::Bayeux(by) => {
                // The matrix of readers has them all read; what remains is one message.
                let quiet = Wish { channel: "/public/quiet".into(), ..wish.clone() };
                let outcome = match by.as_str() {
                    "websocket" => Way::Bayeux(by.clone()).hold(house, &quiet, "now"),
                    _ => {
                        let shake = format!(
                            r#"[{{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["{by}"],"id":"1"}}]"#
                        );
                        let bytes = tell(house, client, by, wish, &shake);
                        super::Outcome { verdict: answered(&bytes), bytes, reader: client }
                    }
                };
                let Some(id) = member(&outcome.bytes, "clientId") else { return outcome.verdict };
                let message = format!(r#"[{{"channel":"{channel}","clientId":"{id}","id":"7","data":1}}]"#);
                let answer = tell(house, outcome.reader, by, wish, &message);
                match answered(&answer) {
                    verdict if verdict == "silent" => "taken".into(),
                    verdict => verdict,
                }
            }
        }
    }
}

#[test]
fn every_rule_lets_publish_and_refuses_it_by_every_way() {
    const NOT_THERE: [&str; 3] = ["403 forbidden", "said forbidden", "bayeux 403"];
    const BAD_TOKEN: [&str; 3] = ["401 bad_token"; 3];
    let open = [("anonymous_publish", "/public/**")];
    let key = "Authorization: Encke-Key \\<shop>\r\n";
    type Row<'a> = (&'a [(&'a str, &'a str)], Wish, Option<[&'a str; 3]>);
    let rows: [Row<'_>; 16] = [
        (&open, wish("/public/x", "", ""), None),
        (&open, wish("/a", "", ""), Some(NOT_THERE)),
        (&[], wish("/public/x", "", ""), Some(NOT_THERE)),
        (&[], wish("/a", "&token=\\<ann>", ""), None),
        (&[], wish("/b", "&token=\\<ann>", ""), Some(NOT_THERE)),
        (&open, wish("/public/x", "&token=\\<ann>", ""), Some(NOT_THERE)),
        (&[], wish("/a", "&token=\\<ben>", ""), Some(NOT_THERE)),
        (&open, wish("/public/x", "&token=x.y.z", ""), Some(BAD_TOKEN)),
        (&[], wish("/a", "", key), None),
        (&[], wish("/b", "", key), Some(NOT_THERE)),
        (&open, wish("/public/x", "", "Authorization: Encke-Key shop\r\n"), Some(["401 bad_key"; 3])),
        (&[], wish("/a", "", COOKIE), None),
        (&[], wish("/a", "", &format!("{COOKIE}{FOREIGN}")), Some(["403 forbidden"; 3])),
        (&open, wish("/public/x", "", FOREIGN), Some(["403 forbidden"; 3])),
        (&[], wish("/encke/stats", "&token=\\<all>", ""), Some(NOT_THERE)),
        (&[("presence", "/**")], wish("/presence/a", "&token=\\<all>", ""), Some(NOT_THERE)),
    ];
    let doors = Door::all();
    for door in &doors {
        for (options, wish, told) in &rows {
            let mut house = House::new(options);
            let expected = match (door, told) {
                (_, None) => "taken",
                (Door::Socket, Some([_, said, _])) => said,
                (Door::Bayeux(_), Some([_, _, bayeux])) => bayeux,
                (_, Some([http, ..])) => http,
            };
            assert_eq!(door.publish(&mut house, wish), expected, "{door:?} {wish:?}");
        }
        // A second message in the same moment is too fast.
        let mut house = House::new(&[("publish_rate", "1"), ("rate_burst", "100ms")]);
        let wish = wish("/a", "&token=\\<ann>", "");
        assert_eq!(door.publish(&mut house, &wish), "taken", "{door:?}");
        let told = match door {
            Door::Socket => "said too_many_requests",
            Door::Bayeux(_) => "bayeux 429",
            _ => "429 too_many_requests",
        };
        assert_eq!(door.publish(&mut house, &wish), told, "{door:?}");
    }
    println!("{} ways, {} cases", doors.len(), doors.len() * (rows.len() + 2));
}

#[test]
fn who_is_held_by_an_applications_key_publishes_no_more_when_it_is_gone() {
    for (is_known, told) in [(true, "published"), (false, "token_expired")] {
        let mut house = House::new(&[]);
        let by_key = wish("/public/x", "", "Authorization: Encke-Key \\<shop>\r\n");
        let socket = Way::Socket.hold(&mut house, &by_key, "now").reader;
        let publish = r#"{"publish":"/a","data":1}"#;
        assert!(house.say(socket, publish).contains("published"));
        // As often as you like.
        for _ in 0..2 {
            house.read_keys(is_known);
            let answer = house.say(socket, publish);
            assert!(answer.contains(told), "{answer}");
        }
        let bayeux = Way::Bayeux("websocket".into()).hold(&mut House::new(&[]), &by_key, "now");
        assert_eq!(bayeux.verdict, "bayeux 403", "it reads nothing");
    }
}
