//! Every rule of access against every way of being held, each with somebody who is let in and somebody who is not.
//!
//! The ways are not listed here: a server names its transports to whoever asks for one that it has not, and its connection types
//! in a handshake. So a way that is new meets all rules at once, or fails them; and what is counted as a way has to be one.

mod house;
mod publishing;
mod way;

use encke::engine::{Door, WAYS};
use house::{House, forged};
use way::{MARK, Outcome, Way, Wish, answered, tell};

/// What a page of another site sends along with a cookie.
const FOREIGN: &str = "Origin: https://evil.example\r\nReferer: https://evil.example/page\r\n";
const COOKIE: &str = "Cookie: pass=\\<ann>\r\n";

/// How those are told who are not let in: by HTTP, on a WebSocket, by Bayeux.
type Told = [&'static str; 3];

/// Where the request's head is refused, whatever it asks for.
const fn head(refusal: &'static str) -> Told {
    [refusal, refusal, refusal]
}

const NOT_THERE: Told = ["403 forbidden", "said forbidden", "bayeux 403"];

/// One rule.
struct Rule {
    name: &'static str,
    options: &'static [(&'static str, &'static str)],
    /// Whether the host program allows what it is asked.
    allows: bool,
    /// How long after the house was opened somebody comes, while ann reads already.
    after_ms: u64,
    beside: bool,
    wish: Wish,
    /// `None`: it is let in.
    told: Option<Told>,
}

fn wish(channel: &str, query: &str, fields: &str) -> Wish {
    Wish { channel: channel.into(), query: query.into(), fields: fields.into(), ..Wish::default() }
}

fn rule(name: &'static str, wish: Wish, told: Option<Told>) -> Rule {
    Rule { name, options: &[], allows: true, after_ms: 0, beside: false, wish, told }
}

/// Each name stands there twice at least: for who is let in, and for who is not.
fn rules() -> Vec<Rule> {
    let token = |token: &str| format!("&token={token}");
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let forged_token = |header: &str| wish("/a", &token(&forged(header, true)), "");
    let expired = |query: &str| Rule { after_ms: 10_000, ..rule("end", wish("/a", query, ""), Some(head("401 token_expired"))) };
    let judged = |allows, told| Rule { options: &[("judge", "/j")], allows, ..rule("host", wish("/j", "", ""), told) };
    let rooms = |channel: &str, told| Rule {
        options: &[("channels_max", "1")],
        ..rule("channels_max", wish(channel, "&token=\\<both>", ""), told)
    };
    let several = |more: &[&str], told| Rule {
        options: &[("subscriptions_max", "1")],
        wish: Wish { more: more.iter().map(|name| name.to_string()).collect(), ..wish("/a", "&token=\\<both>", "") },
        ..rule("subscriptions_max", Wish::default(), told)
    };
    let readers = |user: &str, told| Rule {
        options: &[("connections_per_user", "1")],
        beside: true,
        ..rule("connections_per_user", wish("/a", &format!("&token=\\<{user}>"), ""), told)
    };
    vec![
        rule("stranger", wish("/public/news", "", ""), None),
        rule("stranger", wish("/a", "", ""), Some(NOT_THERE)),
        rule("stranger", wish("/public", "", ""), Some(NOT_THERE)),
        Rule { options: &[("anonymous_subscribe", "off")], ..rule("stranger", wish("/public/news", "", ""), Some(NOT_THERE)) },
        rule("token in the query", wish("/a", "&token=\\<ann>", ""), None),
        rule("token in the query", wish("/b", "&token=\\<ann>", ""), Some(NOT_THERE)),
        rule("token in the query", wish("/public/news", "&token=\\<ann>", ""), Some(NOT_THERE)),
        rule("token in a header", wish("/a", "", &bearer("\\<ann>")), None),
        rule("token in a header", wish("/b", "", &bearer("\\<ann>")), Some(NOT_THERE)),
        rule("token in a header", wish("/public/news", "", &bearer("")), Some(head("401 bad_token"))),
        rule("token in a cookie", wish("/a", "", COOKIE), None),
        rule("token in a cookie", wish("/b", "", COOKIE), Some(NOT_THERE)),
        rule("token in a cookie", wish("/public/news", "", "Cookie: pass=x\r\n"), Some(head("401 bad_token"))),
        rule("pattern", wish("/a/1", "&token=\\<some>", ""), None),
        rule("pattern", wish("/a/1/2", "&token=\\<some>", ""), Some(NOT_THERE)),
        rule("pattern", wish("/a", "&token=\\<some>", ""), Some(NOT_THERE)),
        rule("end", wish("/a", "&token=\\<short>", ""), None),
        expired("&token=\\<short>"),
        expired("&stream=\\<gone>"),
        rule("algorithm", forged_token(""), None),
        rule("algorithm", forged_token(r#"{"alg":"none"}"#), Some(head("401 bad_token"))),
        rule("algorithm", forged_token(r#"{"alg":"HS512"}"#), Some(head("401 bad_token"))),
        rule("algorithm", forged_token(r#"{"alg":"RS256"}"#), Some(head("401 bad_token"))),
        rule("key", forged_token(""), None),
        rule("key", wish("/a", &token(&forged("", false)), ""), Some(head("401 bad_token"))),
        rule("key", forged_token(r#"{"alg":"HS256","kid":"other"}"#), Some(head("401 bad_token"))),
        rule("signature", wish("/a", "&token=\\<ann>", ""), None),
        rule("signature", wish("/a", "&token=\\<ann>A", ""), Some(head("401 bad_token"))),
        rule("signed name", wish("/a", "&stream=\\<room>", ""), None),
        rule("signed name", wish("/b", "&stream=\\<room>", ""), Some(NOT_THERE)),
        rule("signed name", wish("/a", "&stream=x\\<room>", ""), Some(head("401 bad_name"))),
        rule("application's key", wish("/a", "&token=\\<ann>", ""), None),
        rule("application's key", wish("/a", "", "Authorization: Encke-Key \\<shop>\r\n"), Some(NOT_THERE)),
        rule("application's key", wish("/a", "", "Authorization: Encke-Key shop\r\n"), Some(head("401 bad_key"))),
        rule("two things", wish("/a", "&token=\\<ann>", COOKIE), None),
        rule("two things", wish("/a", "&token=\\<ann>&stream=\\<room>", ""), Some(head("400 two_credentials"))),
        rule("two things", wish("/a", "&token=\\<ann>", &bearer("\\<ann>")), Some(head("400 two_credentials"))),
        judged(true, None),
        judged(false, Some(NOT_THERE)),
        rule("server's own", wish("/public/stats", "", ""), None),
        rule("server's own", wish("/encke/stats", "&token=\\<all>", ""), Some(NOT_THERE)),
        rooms("/a", None),
        rooms("/b", Some(["503 too_many_channels", "said too_many_channels", "bayeux 503"])),
        several(&[], None),
        several(&["/b"], Some(["400 too_many_channels", "said too_many_channels", "bayeux 403"])),
        readers("ben", None),
        readers("ann", Some(["429 too_many_connections", "429 too_many_connections", "bayeux 429"])),
    ]
}

/// One house, where the rule's channel has something to tell.
fn house_of(rule: &Rule) -> House {
    let mut house = House::new(rule.options);
    house.allows = rule.allows;
    for channel in ["/a", &rule.wish.channel] {
        house.publish(channel, MARK);
    }
    if rule.beside {
        Way::Accept("text/event-stream").hold(&mut house, &wish("/a", "&token=\\<ann>", ""), "now");
    }
    house.world.pass_until(rule.after_ms);
    house
}

/// What a rule's outcome has to be in this way.
fn expected(way: &Way, rule: &Rule) -> &'static str {
    match (way, rule.told) {
        (_, None) => "read",
        // A signed name is one channel, and what it stands beside another.
        (way, Some(NOT_THERE)) if way.shows_one_channel() && rule.wish.query.starts_with("&stream=") => "400 too_many_channels",
        (Way::Socket, Some([_, said, _])) => said,
        (Way::Bayeux(_), Some([_, _, bayeux])) => bayeux,
        (_, Some([http, ..])) => http,
    }
}

#[test]
fn every_rule_lets_in_and_keeps_out_by_every_way() {
    let ways = Way::all();
    let counted = |counted: &&&str| ways.iter().any(|way| way.counted_as() == **counted);
    let missing: Vec<_> = WAYS.iter().filter(|name| !matches!(**name, "idle" | "framed")).filter(|name| !counted(name)).collect();
    assert!(missing.is_empty(), "nobody tries {missing:?}");
    let rules = rules();
    let is_both = |rule: &Rule| {
        rules.iter().filter(|other| other.name == rule.name).any(|other| other.told.is_none() != rule.told.is_none())
    };
    assert!(rules.iter().all(is_both), "each rule has both cases");
    let mut faults = Vec::new();
    for way in &ways {
        for rule in &rules {
            let mut house = house_of(rule);
            let Outcome { verdict, bytes, .. } = way.read(&mut house, &rule.wish);
            let shown = verdict != "read" && (bytes.contains(MARK) || bytes.contains("image/gif"));
            let expected = expected(way, rule);
            if verdict != expected || shown {
                faults.push(format!("{way:?}, {}: {:?} is {verdict:?}, not {expected:?}", rule.name, rule.wish));
            }
        }
    }
    println!("{} ways, {} rules, {} cases", ways.len(), rules.len(), ways.len() * rules.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn scripts_show_to_holders_of_tokens_what_they_are_let_and_other_ways_do_not_mind() {
    for way in Way::all() {
        for (options, is_shown) in [
            (&[("jsonp_channels", "off")][..], false),
            (&[("jsonp_channels", "/b")], false),
            (&[("jsonp_channels", "/a")], true),
            (&[("jsonp_channels", "off"), ("anonymous_subscribe", "/a")], true),
        ] {
            let mut house = House::new(options);
            house.publish("/a", MARK);
            let outcome = way.read(&mut house, &wish("/a", "&token=\\<ann>", ""));
            let refused = if matches!(way, Way::Bayeux(_)) { "bayeux 403" } else { "403 forbidden" };
            assert_eq!(outcome.verdict, if is_shown || !way.is_script() { "read" } else { refused }, "{way:?} {options:?}");
        }
    }
}

/// A browser adds a cookie to what any page has it send.
#[test]
fn by_a_cookie_no_page_of_another_site_reads() {
    for way in Way::all() {
        let mut house = House::new(&[]);
        house.publish("/a", MARK);
        let outcome = way.read(&mut house, &wish("/a", "", &format!("{COOKIE}{FOREIGN}")));
        match way.is_guarded() {
            true => assert_eq!(outcome.verdict, "403 forbidden", "{way:?}"),
            // The browser keeps the answer from the page.
            false => assert!(!outcome.bytes.contains("Access-Control-Allow-"), "{way:?}: {}", outcome.bytes),
        }
        for aim in ["&target=https://evil.example", "&domain=example.org"] {
            let mut house = House::new(&[("origin", "*")]);
            house.publish("/a", MARK);
            let outcome = way.read(&mut house, &wish("/a", aim, &format!("{COOKIE}{FOREIGN}")));
            let is_frame = matches!(way.counted_as(), "iframe" | "bayeux-iframe");
            assert!(outcome.verdict != "read" || !is_frame && !way.is_guarded(), "{way:?} {aim}: {}", outcome.verdict);
        }
    }
}

/// Whoever comes by a private listener is taken for the application: so no page of another site may have a browser come there.
#[test]
fn by_a_private_listener_pages_of_its_own_read_and_no_others() {
    const OWN: &str = "Origin: http://example.org\r\nReferer: http://example.org/page\r\n";
    for way in Way::all() {
        for (origin, fields, is_read) in [("*", OWN, true), ("*", FOREIGN, false), ("https://evil.example", FOREIGN, false)] {
            let mut house = House::new(&[("origin", origin)]);
            house.door = Door::Private;
            house.publish("/a", MARK);
            let outcome = way.read(&mut house, &wish("/a", "", fields));
            assert_eq!(outcome.verdict, if is_read { "read" } else { "403 forbidden" }, "{way:?} {origin}");
        }
    }
}

#[test]
fn where_too_many_tokens_were_no_good_only_those_are_taken_that_are_known() {
    for way in Way::all() {
        for (is_known, told) in [(true, "read"), (false, "429 too_many_bad_tokens")] {
            let mut house = House::new(&[("token_keys", "/keys"), ("bad_token_rate", "1"), ("rate_burst", "100ms")]);
            house.publish("/a", MARK);
            let poll = Way::Get { name: "poll".into(), more: "" };
            if is_known {
                assert_eq!(poll.read(&mut house, &wish("/a", "&token=\\<ann>", "")).verdict, "read");
            }
            assert_eq!(poll.read(&mut house, &wish("/a", "&token=x.y.z", "")).verdict, "401 bad_token");
            assert_eq!(way.read(&mut house, &wish("/a", "&token=\\<ann>", "")).verdict, told, "{way:?}");
            house.world.pass_until(5_000);
            assert_eq!(way.read(&mut house, &wish("/a", "&token=\\<ann>", "")).verdict, "read", "{way:?}");
        }
    }
}

#[test]
fn who_logs_in_on_a_socket_needs_a_place_among_those_of_its_user() {
    for (user, told) in [("ann", "said too_many_connections"), ("ben", "silent")] {
        let mut house = House::new(&[("connections_per_user", "1")]);
        Way::Accept("text/event-stream").hold(&mut house, &wish("/a", "&token=\\<ann>", ""), "now");
        let socket = Way::Socket.hold(&mut house, &wish("/public/x", "", ""), "now").reader;
        house.say(socket, r#"{"unsubscribe":["/public/x"]}"#);
        let answer = house.say(socket, &format!(r#"{{"token":"\<{user}>"}}"#));
        assert_eq!(way::said(&answer), told, "{answer}");
        let again = Way::Socket.hold(&mut house, &wish("/a", &format!("&token=\\<{user}>"), ""), "now");
        assert_eq!(again.verdict, "429 too_many_connections", "{user} has one reader");
    }
}

/// Whoever may read `/a` tries everything to be told of `/b`.
#[test]
fn a_token_for_one_channel_never_yields_a_byte_of_another() {
    const SECRET: &str = "the-secret-of-b";
    const NAMES: [&str; 24] = [
        "/b",
        "/%62",
        "/%2562",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a%2f..%2fb",
        "/a/..%2fb",
        "//b",
        "/./b",
        "/b/",
        "/b%2f",
        "/b%00",
        "/b%20",
        "/B",
        "/*",
        "/**",
        "/%2a",
        "/%2a%2a",
        "/a,/b",
        "/a%2c/b",
        "/presence/b",
        "/presence/*",
        "/b%0d%0a",
        "/a?x#/b",
    ];
    let mut cases = 0;
    for way in Way::all() {
        let open = |options: &[(&str, &str)]| {
            let mut house = House::new(options);
            house.publish("/b", SECRET);
            house.publish("/a", MARK);
            house
        };
        // Where it may, it is told: so the test can fail.
        let mut house = open(&[]);
        let told = way.hold(&mut house, &wish("/b", "&token=\\<both>", ""), "earliest");
        house.publish("/b", SECRET);
        let is_told = house.received(told.reader, 0).contains(SECRET);
        assert!(is_told || way.counted_as() == "gif", "{way:?}: {}", told.bytes);

        let mut house = open(&[]);
        let asker = house.open();
        let poll = "GET /sub/b?transport=poll&token=\\<both> HTTP/1.1\r\nHost: example.org\r\n\r\n";
        let cursor = way::member(&house.send(asker, poll), "cursor").expect("a cursor of /b");
        let mut wishes: Vec<Wish> = NAMES.iter().map(|name| wish(name, "&token=\\<ann>", "")).collect();
        wishes.extend(
            ["/b", "/%62", "%2fb", "/*", "/**", "/a/../b"]
                .map(|more| Wish { more: vec![more.into()], ..wish("/a", "&token=\\<ann>", "") }),
        );
        wishes.extend([
            wish("/a", &format!("&token=\\<ann>&last_event_id={cursor}"), ""),
            wish("/a", &format!("&token=\\<ann>&lastEventId={cursor}"), ""),
            wish("/a", "&token=\\<ann>", &format!("Last-Event-ID: {cursor}\r\n")),
            wish("/a", "&token=\\<ann>", &format!("If-None-Match: \"{cursor}\"\r\n")),
            wish("/b", "&stream=\\<room>", ""),
            wish("/a", "&channel=/b&stream=\\<room>", ""),
            wish("/b", "", COOKIE),
            Wish { ext: "\\<ann>".into(), ..wish("/b", "", "") },
        ]);
        for wish in wishes {
            for options in [&[][..], &[("presence", "/**")], &[("origin", "*")]] {
                let mut house = open(options);
                let outcome = way.hold(&mut house, &wish, "earliest");
                for _ in 0..2 {
                    house.publish("/b", SECRET);
                }
                let bytes = house.received(outcome.reader, 0);
                assert!(!bytes.contains(SECRET), "{way:?} {wish:?}: {bytes}");
                let is_of_b = !wish.channel.starts_with("/a") || !wish.more.is_empty();
                assert!(!is_of_b || !bytes.contains("image/gif"), "{way:?} {wish:?}");
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
}

/// A token ends after 25 s, five of which are for clocks that are off; and the grace is 10 s.
const LASTING: [(&str, &str); 5] = [
    ("token_grace", "10s"),
    ("long_poll_timeout", "10m"),
    ("bayeux_timeout", "10m"),
    ("bayeux_max_interval", "10m"),
    ("idle_timeout", "1h"),
];

#[test]
fn what_is_held_by_a_token_ends_with_it_by_every_way_that_holds() {
    for way in Way::all().into_iter().filter(|way| !way.is_immediate()) {
        let mut house = House::new(&LASTING);
        let reader = way.hold(&mut house, &wish("/a", "&token=\\<ends>", ""), "now").reader;
        house.world.pass_until(34_000);
        let before = house.count(reader);
        house.world.pass_until(36_000);
        let known = house.count(reader);
        let ended = house.world.clients[reader].shut || house.world.clients[reader].closed || known > before;
        assert!(ended, "{way:?}: {}", house.received(reader, 0));
        house.publish("/a", MARK);
        assert_eq!(house.received(reader, known), "", "{way:?}: nothing comes behind the end");
    }
}

#[test]
fn what_is_held_goes_on_by_another_token_of_the_same_user_and_by_no_other() {
    let mut renewed = 0;
    for way in Way::all().into_iter().filter(|way| !way.is_immediate()) {
        for (token, goes_on) in [("\\<ann>", true), ("\\<ben>", false), ("\\<short>", false), ("x.y.z", false)] {
            let mut house = House::new(&LASTING);
            let Outcome { reader, bytes, .. } = way.hold(&mut house, &wish("/a", "&token=\\<ends>&session=1", ""), "now");
            house.world.pass_until(10_000);
            match (&way, session(&bytes)) {
                (Way::Bayeux(by), _) => {
                    let id = way::member(&bytes, "clientId").expect("a client id");
                    let again = format!(
                        r#"[{{"channel":"/meta/subscribe","clientId":"{id}","id":"9","subscription":"/a","ext":{{"token":"{token}"}}}}]"#
                    );
                    // A socket is held by what is shown on it; whoever polls shows it on another connection.
                    let (by, teller) = if by == "websocket" { (&**by, reader) } else { ("long-polling", house.open()) };
                    let answer = tell(&mut house, teller, by, &wish("/a", "", ""), &again);
                    assert_eq!(answered(&answer) == "silent", goes_on, "{way:?} {token}: {answer}");
                }
                (_, Some(session)) => {
                    let teller = house.open();
                    let fields = format!("Host: example.org\r\nAuthorization: Bearer {token}\r\n");
                    let answer = house.send(teller, &format!("POST /token?session={session} HTTP/1.1\r\n{fields}\r\n"));
                    assert_eq!(answer.starts_with("HTTP/1.1 200 "), goes_on, "{way:?} {token}: {answer}");
                }
                // A poll that is held is asked again, with the other token.
                (_, None) => {
                    assert!(matches!(way.counted_as(), "long-poll" | "jsonp"), "{way:?} has no name: {bytes}");
                    continue;
                }
            }
            renewed += 1;
            house.world.pass_until(36_000);
            let known = house.count(reader);
            house.publish("/a", MARK);
            assert_eq!(!house.received(reader, known).is_empty(), goes_on, "{way:?} {token}");
        }
    }
    println!("{renewed} cases");
}

/// What a held connection is called.
fn session(bytes: &str) -> Option<String> {
    let of_head = bytes.split_once("Encke-Session: ").and_then(|(_, rest)| rest.split("\r\n").next()).map(str::to_string);
    of_head.or_else(|| way::member(bytes, "session"))
}
