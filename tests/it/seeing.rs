use crate::presence::{KEYS, token};
use crate::support::process::{ServerProcess, encke, run, stderr, stdout};
use crate::support::scratch::Scratch;
use crate::support::wire::Wire;
use crate::support::ws::Ws;
use crate::support::{config, eventually, serve};
use encke::{Config, Server};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

const STATS: &str = "/sub/encke/stats?transport=sse";

fn addresses(server: &Server) -> (SocketAddr, SocketAddr) {
    (server.addresses().public[0], server.addresses().private[0])
}

/// One number of `/metrics`, by its name and labels as they are written there.
fn metric(private: SocketAddr, series: &str) -> f64 {
    let text = Wire::connect(private).ask("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().expect("a number")
}

#[test]
fn connections_are_counted_by_how_they_are_held_on_all_reactors() {
    let server = serve(config(4));
    let (public, private) = addresses(&server);
    let hold = |transport: &str| {
        let mut wire = Wire::connect(public);
        wire.get(&format!("/sub/a?transport={transport}"));
        wire
    };
    let held: Vec<Wire> = ["sse", "sse", "sse", "stream", "long-poll", "long-poll"].map(hold).into();
    let socket = Ws::open(public, "/sub/a");
    let count = |transport: &str| metric(private, &format!("encke_connections_held{{transport=\"{transport}\"}}"));
    let counts = || ["sse", "stream", "long-poll", "websocket"].map(count);
    eventually("all are counted", || (counts() == [3.0, 1.0, 2.0, 1.0]).then_some(()));
    drop((held, socket));
    eventually("all have gone", || (counts() == [0.0; 4]).then_some(()));
    let unread = Wire::connect(public).ask("/sub/no//name");
    assert_eq!(unread.status(), 400);
    eventually("it is counted by its code", || {
        (metric(private, "encke_refusals_total{code=\"bad_channel\"}") == 1.0).then_some(())
    });
    assert!(metric(private, "encke_sent_bytes_total") > 0.0 && metric(private, "encke_turn_seconds_count") > 0.0);
}

#[test]
fn lag_is_counted_of_readers_whose_sockets_were_full() {
    let server = serve(Config { history_bytes: 256 << 20, ..config(2) });
    let (public, private) = addresses(&server);
    let mut slow = Wire::with_window(public, Some(4_096));
    slow.listen("/sub/a?transport=sse");
    let count = || metric(private, "encke_lag_messages_count");
    assert_eq!(count(), 0.0, "who is up to date is not looked at");
    // More than a socket holds on either side.
    let data = "x".repeat(500_000);
    for _ in 0..40 {
        assert_eq!(Wire::connect(private).publish("/a", &data).status(), 200);
    }
    assert_eq!(Wire::connect(private).publish("/a", "the last").status(), 200);
    slow.until("the last");
    eventually("it was behind", || (metric(private, "encke_lag_messages_sum") >= 1.0 && count() >= 1.0).then_some(()));
    assert_eq!(metric(private, "encke_missed_total"), 0.0);
}

#[test]
fn why_something_was_lost_is_known_whichever_reactor_is_asked() {
    let server = serve(Config { history_messages: 2, ..config(3) });
    let (public, private) = addresses(&server);
    for text in ["1", "2", "3", "4"] {
        assert_eq!(Wire::connect(private).publish("/lost", text).status(), 200);
    }
    // The place before the first message: what came behind it has been let go in part.
    let head = Wire::connect(private).ask("/channels/lost").member("head");
    let epoch = head.as_str().and_then(|id| id.split_once('-')).expect("an id").0.to_string();
    let behind = Wire::connect(public).ask(&format!("/sub/lost?transport=poll&since={epoch}-0"));
    assert_eq!(behind.member("gap"), Value::Bool(true));
    // Connections are dealt out, so that all reactors are asked.
    for _ in 0..12 {
        let incidents = Wire::connect(private).ask("/why/lost").member("incidents");
        let told = &incidents[0];
        assert_eq!((&told["what"], &told["why"]), (&"gap".into(), &"history_messages".into()), "{incidents}");
        assert_eq!((&told["channel"], &told["first"], &told["last"]), (&"/lost".into(), &1.into(), &2.into()));
        let client = told["client"].as_str().expect("digits").to_string();
        let of_client = Wire::connect(private).ask(&format!("/why?client={client}")).member("incidents");
        assert_eq!(of_client[0], *told);
    }
    assert_eq!(Wire::connect(private).ask("/why/found").member("incidents"), Value::Array(vec![]));
    assert_eq!(Wire::connect(public).ask("/why/lost").status(), 403);
}

#[test]
fn samples_go_to_the_private_listener_alone() {
    let server = serve(config(3));
    let (public, private) = addresses(&server);
    let refused = |what: &str, status: u16| assert_eq!(status, 403, "{what}");
    for transport in ["sse", "stream", "long-poll", "poll", "jsonp&callback=f", "iframe", "multipart", "gif", "pull"] {
        refused(transport, Wire::connect(public).ask(&format!("/sub/encke/stats?transport={transport}")).status());
    }
    refused("by a query", Wire::connect(public).ask("/sub?channel=/a&channel=/encke/stats&transport=poll").status());
    refused("by encoding", Wire::connect(public).ask("/sub/%65ncke%2Fstats?transport=poll").status());
    refused("writing", Wire::connect(public).publish("/encke/stats", "x").status());
    refused("the dashboard", Wire::connect(public).ask("/dashboard").status());
    let mut wire = Wire::connect(private);
    wire.send(format!("GET {STATS} HTTP/1.1\r\nHost: {private}\r\nOrigin: https://evil.example\r\n\r\n"));
    refused("another site's page", wire.response().status());
    let mut socket = Ws::open(public, "/ws");
    socket.json();
    assert_eq!(socket.ask(r#"{"subscribe":["/encke/stats"]}"#)["error"], "forbidden");
    assert_eq!(socket.ask(r#"{"publish":"/encke/stats","data":1}"#)["error"], "forbidden");

    let mut listener = Wire::connect(private);
    listener.listen(STATS);
    listener.until("\"busiest\":[");
    assert_eq!(Wire::connect(private).publish("/loud", "x").status(), 200);
    listener.until("{\"channel\":\"/loud\",\"messages\":1,");
}

/// A Bayeux request on one line, and what it is answered.
fn bayeux(address: SocketAddr, messages: &str) -> Value {
    let mut wire = Wire::connect(address);
    let head = format!("POST /bayeux HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    wire.send(format!("{head}Content-Length: {}\r\n\r\n{messages}", messages.len()));
    serde_json::from_str(&wire.response().text()).expect("JSON")
}

#[test]
fn no_star_of_bayeux_reaches_the_servers_own_channels() {
    let server = serve(config(2));
    let (public, private) = addresses(&server);
    let mut listener = Wire::connect(private);
    listener.listen(STATS);
    let hands = bayeux(public, r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#);
    let client = hands[0]["clientId"].as_str().expect("a session").to_string();
    let subscribe = |channel: &str| {
        bayeux(public, &format!(r#"[{{"channel":"/meta/subscribe","clientId":"{client}","subscription":"{channel}"}}]"#))
    };
    assert_eq!(subscribe("/encke/stats")[0]["successful"], false);
    for stars in ["/**", "/encke/*", "/encke/**"] {
        assert_eq!(subscribe(stars)[0]["successful"], true, "{stars}");
    }
    // Two samples behind that, something that the session is told, and nothing else.
    listener.until("\"busiest\":[");
    listener.until("\"busiest\":[");
    assert_eq!(Wire::connect(private).publish("/after", "\"it\"").status(), 200);
    let connect = format!(r#"[{{"channel":"/meta/connect","clientId":"{client}","connectionType":"long-polling"}}]"#);
    let told = bayeux(public, &connect);
    let channels: Vec<&str> = told.as_array().expect("messages").iter().filter_map(|one| one["channel"].as_str()).collect();
    assert!(channels.contains(&"/after") && !channels.iter().any(|name| name.starts_with("/encke")), "{told}");
}

#[test]
fn top_prints_a_frame_and_says_when_nobody_is_there() {
    let server = ServerProcess::start(&["--reactors", "2"]);
    let mut held = Wire::connect(server.public);
    held.listen("/sub/a?transport=sse");
    let output = run(&mut encke(&["top", &format!("http://{}", server.private), "--once"]), b"");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for told in ["2 reactors", "Connections", "Turns", "sse", "/encke/stats"] {
        assert!(text.contains(told), "{told:?} is not in\n{text}");
    }
    assert!(!text.contains('\x1b') && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let refused = run(&mut encke(&["top", &format!("http://{}", server.public), "--once"]), b"");
    assert!(!refused.status.success() && stderr(&refused).contains("private listener"), "{}", stderr(&refused));
    let nobody = run(&mut encke(&["top", "http://127.0.0.1:1", "--once"]), b"");
    assert!(!nobody.status.success() && stderr(&nobody).contains("no server at"), "{}", stderr(&nobody));
    let no_terminal = run(&mut encke(&["top", &format!("http://{}", server.private)]), b"");
    assert!(!no_terminal.status.success() && stderr(&no_terminal).contains("--once"), "{}", stderr(&no_terminal));
}

#[test]
fn a_hangup_opens_the_access_log_anew() {
    let scratch = Scratch::new();
    let (path, moved) = (scratch.path("access.log"), scratch.path("access.log.1"));
    let server = ServerProcess::start(&[&format!("--access-log={}", path.display())]);
    let has = |path: &Path, line: &str| std::fs::read_to_string(path).is_ok_and(|text| text.contains(line));
    assert_eq!(Wire::connect(server.public).ask("/healthz?before").status(), 200);
    eventually("the line is written", || has(&path, "/healthz?before").then_some(()));
    std::fs::rename(&path, &moved).expect("a file");
    server.process.signal("HUP");
    server.process.said("options reloaded");
    assert_eq!(Wire::connect(server.public).ask("/healthz?behind").status(), 200);
    eventually("the line is in the new file", || has(&path, "/healthz?behind").then_some(()));
    assert!(!has(&moved, "/healthz?behind") && !has(&path, "/healthz?before"));
}

#[test]
fn each_finished_request_has_a_line_in_the_access_log() {
    let scratch = Scratch::new();
    let (path, moved) = (scratch.path("access.log"), scratch.path("access.log.1"));
    let keys = Some(scratch.file("keys.json", KEYS));
    let options = Config { token_keys: keys, token_expiry: "optional".into(), ..config(2) };
    let server = serve(Config { access_log: Some(path.display().to_string()), ..options });
    let (public, private) = addresses(&server);
    let text = |path: &Path| std::fs::read_to_string(path).expect("a file");
    // A line may be on its way, and whole only at the next look.
    let lines = |path: &Path| -> Vec<Value> { text(path).lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };
    let line =
        |found: &dyn Fn(&Value) -> bool| eventually("the line is written", || lines(&path).into_iter().find(|one| found(one)));

    assert_eq!(Wire::connect(public).ask("/sub/a?transport=poll&token=secret&since=earliest").status(), 401);
    let told = line(&|one| one["code"] == "bad_token");
    assert_eq!((&told["path"], &told["status"]), (&"/sub/a?transport=poll&token=***&since=earliest".into(), &401.into()));
    let poll = Wire::connect(public).ask("/sub/a?transport=poll&since=earliest");
    let told = line(&|one| one["transport"] == "poll");
    assert_eq!(told["status"], poll.status());
    assert!(told["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{told}");
    assert!(told["bytes"].as_u64().is_some_and(|bytes| bytes > poll.text().len() as u64), "{told}");
    assert!(told.get("user").is_none(), "nobody knows who shows nothing: {told}");
    let bearer = format!("Authorization: Bearer {}", token("ann \"1\"", "/a"));
    for (path, status) in [("/sub/a?transport=poll&since=earliest&known", 200), ("/sub/b?transport=poll&known", 403)] {
        let mut known = Wire::connect(public);
        known.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n\r\n"));
        assert_eq!(known.response().status(), status);
        let told = line(&|one| one["path"] == path);
        assert_eq!((&told["user"], &told["status"]), (&"ann \"1\"".into(), &status.into()), "{told}");
    }
    assert_eq!(Wire::connect(public).ask("/metrics").status(), 403);
    let told = line(&|one| one["path"] == "/metrics");
    assert_eq!((&told["status"], &told["code"], &told["method"]), (&403.into(), &"forbidden".into(), &"GET".into()));

    // A stream has its line when it is over, with all that was sent on it; so has a socket.
    let mut stream = Wire::connect(public);
    stream.listen("/sub/news?transport=sse");
    let socket = Ws::open(public, "/sub/news");
    assert_eq!(Wire::connect(private).publish("/news", &"x".repeat(5_000)).status(), 200);
    stream.until("xxx");
    drop((stream, socket));
    let told = line(&|one| one["transport"] == "sse");
    assert!(told["bytes"].as_u64().is_some_and(|bytes| bytes > 5_000) && told["status"] == 200, "{told}");
    assert_eq!(line(&|one| one["transport"] == "websocket")["status"], 101);
    let mut broken = Wire::connect(public);
    broken.send("NOT HTTP\r\n\r\n");
    assert_eq!(broken.response().status(), 400);
    let told = line(&|one| one["status"] == 400);
    assert!(told.get("path").is_none() && told["code"].is_string(), "{told}");

    // The file is moved away, and the next line begins a new one.
    std::fs::rename(&path, &moved).expect("a move");
    server.reopen_access_log();
    assert_eq!(Wire::connect(public).ask("/healthz").status(), 200);
    eventually("a new file has it", || {
        path.exists().then(|| lines(&path)).filter(|all| all.iter().any(|one| one["path"] == "/healthz"))
    });
    assert_eq!(Wire::connect(public).ask("/transports").status(), 200);
    server.stop();
    assert!(lines(&path).iter().any(|one| one["path"] == "/transports"), "what waited is written before the end");
    let all = text(&path) + &text(&moved);
    assert!(!all.contains("secret"), "{all}");
}

#[test]
fn a_log_that_cannot_be_opened_is_named_at_the_start() {
    let scratch = Scratch::new();
    let nowhere = scratch.path("no/folder").display().to_string();
    let error = Server::start(Config { access_log: Some(nowhere), ..config(1) }).expect_err("there is no such folder");
    assert!(error.to_string().contains("--access-log"), "{error}");
}

/// Runs `tests/browser/dashboard.mjs`, which drives a real Chromium, against a server of this test.
#[test]
fn the_dashboard_shows_what_happens_in_a_real_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for needed in [Path::new("/usr/bin/chromium"), &root.join("target/node/node_modules/playwright-core")] {
        assert!(needed.exists(), "{} is missing: tests/run.sh installs it", needed.display());
    }
    let server = ServerProcess::start(&["--reactors", "2", "--history-messages", "4"]);
    let output = Command::new("node")
        .current_dir(root)
        .args(["tests/browser/dashboard.mjs", &server.public.to_string(), &server.private.to_string()])
        .output()
        .expect("node is installed by tests/run.sh");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}
