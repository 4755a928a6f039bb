use crate::support::process::{ServerProcess, encke};
use crate::support::scratch::Scratch;
use crate::support::wire::{Wire, post};
use crate::support::ws::{Heard, Ws};
use crate::support::{REACTORS, config, eventually, serve};
use encke::{Config, Error};
use std::net::SocketAddr;
use std::path::Path;

/// Readers that a reload must not touch, on the connections that they have all the time.
struct Held {
    stream: Wire,
    poll: Wire,
    socket: Ws,
}

impl Held {
    fn at(public: SocketAddr, inspector: &mut Wire) -> Held {
        let (mut stream, mut poll) = (Wire::connect(public), Wire::connect(public));
        stream.listen("/sub/a?transport=sse");
        poll.get("/sub/a?transport=long-poll");
        let socket = Ws::open(public, "/sub/a");
        eventually("all are held", || (inspector.ask("/channels/a").member("subscribers") == 3).then_some(()));
        Held { stream, poll, socket }
    }

    /// All of them get what is published now.
    fn all_hear(mut self, publisher: &mut Wire) {
        assert_eq!(publisher.publish("/a", "still here").status(), 200);
        self.stream.until("data: still here");
        assert_eq!(self.poll.response().member("messages")[0]["data"], "still here");
        // Its heart may beat too.
        while !matches!(self.socket.next(), Heard::Text(text) if text.contains("still here")) {}
    }
}

#[test]
fn rules_and_limits_change_and_nobody_is_dropped() {
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let (public, private) = (server.addresses().public[0], server.addresses().private[0]);
        let mut application = Wire::connect(private);
        let mut held = Held::at(public, &mut application);
        let mut client = Wire::connect(public);
        let other_site = "GET /sub/a?transport=poll HTTP/1.1\r\nHost: localhost\r\nOrigin: https://other.example\r\n\r\n";
        let mut asks = |request: &str| {
            client.send(request);
            client.response()
        };
        assert_eq!(asks(other_site).head.field("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(asks("GET /sub/a?channel=/b&transport=poll HTTP/1.1\r\nHost: localhost\r\n\r\n").status(), 200);

        let strict = Config {
            origin: "https://our.example".into(),
            subscriptions_max: 1,
            body_bytes_max: 20,
            heartbeat_ms: 100,
            // Cannot change: it is named, and the others do.
            mailbox_messages: 64,
            ..config(reactors)
        };
        let kept = server.reload(strict).expect("good options");
        assert_eq!(kept.iter().map(|opt| opt.key).collect::<Vec<_>>(), ["mailbox_messages"]);
        assert_eq!(asks(other_site).head.field("Access-Control-Allow-Origin"), None);
        assert_eq!(asks("GET /sub/a?channel=/b&transport=poll HTTP/1.1\r\nHost: localhost\r\n\r\n").status(), 400);
        assert_eq!(
            asks(&other_site.replace("other", "our")).head.field("Access-Control-Allow-Origin"),
            Some("https://our.example")
        );
        let large = "x".repeat(21);
        assert_eq!(Wire::connect(private).publish("/a", &large).status(), 413);
        assert!(matches!(server.publisher().publish("/a", large.as_bytes()), Err(Error::Invalid(_))));
        // Its heart did not beat before: it would have in 25 seconds.
        held.stream.until(":\n");
        held.all_hear(&mut application);
    }
}

#[test]
fn a_rate_that_is_set_later_holds_for_those_who_are_there() {
    let config = Config { anonymous_publish: "/**".into(), ..config(2) };
    let server = serve(config.clone());
    let (mut socket, mut wire) = (Ws::open(server.addresses().public[0], "/ws"), Wire::connect(server.addresses().public[0]));
    socket.json();
    assert_eq!(wire.publish("/a", "as fast as it likes").status(), 200);
    server.reload(Config { publish_rate: 1, rate_burst_ms: 100, ..config }).expect("good options");
    // What is too much at once is taken, and has to be paid for by all who come from that address.
    let batch = "{\"channel\":\"/a\",\"data\":\"x\"}\n".repeat(1_000);
    wire.send(post("", "application/x-ndjson", &batch));
    assert_eq!(wire.response().status(), 200);
    assert_eq!(wire.publish("/a", "more").status(), 429);
    assert_eq!(socket.ask(r#"{"publish":"/a","data":"more"}"#)["error"], "too_many_requests");
}

#[test]
fn options_that_do_not_fit_change_nothing() {
    let server = serve(config(2));
    let (public, private) = (server.addresses().public[0], server.addresses().private[0]);
    let mut application = Wire::connect(private);
    let held = Held::at(public, &mut application);
    for (bad, name) in [
        (Config { jitter_percent: 99, body_bytes_max: 5, ..config(2) }, "--jitter"),
        (Config { history_bytes: 8 << 10, body_bytes_max: 5, history_budget: 8 << 9, ..config(2) }, "--history-budget"),
        (Config { judge: "/a".into(), body_bytes_max: 5, ..config(2) }, "--judge"),
    ] {
        match server.reload(bad) {
            Err(Error::Config(faults)) => assert!(faults.contains(name), "{faults}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(application.publish("/b", "more than five").status(), 200);
    held.all_hear(&mut application);
}

/// A server with an options file in `scratch`.
fn with_file(scratch: &Scratch, text: &str) -> (ServerProcess, String) {
    let path = scratch.file("encke.toml", text);
    let mut command = encke(&["--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--config", &path]);
    command.args(["--batch-bytes", "32KiB"]);
    (ServerProcess::of(command), path)
}

/// The largest body that the server takes, by what it says of one that is too large.
fn takes(server: &ServerProcess, bytes: usize) -> bool {
    let mut wire = Wire::connect(server.private);
    wire.offer(post("/b", "text/plain", &"x".repeat(bytes)).as_bytes());
    wire.response().status() == 200
}

#[test]
fn a_signal_reloads_the_file_over_and_over() {
    let scratch = Scratch::new();
    let (server, path) = with_file(&scratch, "body_bytes_max = 10\n");
    let mut application = Wire::connect(server.private);
    let held = Held::at(server.public, &mut application);
    assert!(takes(&server, 10) && !takes(&server, 11));

    let write = |text: &str| std::fs::write(Path::new(&path), text).expect("a file");
    write("body_bytes_max = 20\ncontrol_mode = \"660\"\nreactors = 7\n");
    server.process.signal("HUP");
    server.process.said("--control-mode has changed, and stays as it was until a restart");
    server.process.said("--reactors has changed");
    server.process.said("options reloaded");
    assert!(takes(&server, 20) && !takes(&server, 21));

    write("body_bytes_max = 40\njitter = 99\nhartbeat = \"1s\"\nbatch_bytes = 5\n");
    server.process.signal("HUP");
    server.process.said("--batch-bytes: ");
    assert!(server.process.said("did you mean --heartbeat?").contains(&path), "the file is named");
    server.process.said("--jitter: 99% is out of bounds");
    server.process.said("options not reloaded: all stays as it was");
    assert!(takes(&server, 20) && !takes(&server, 21));

    write("body_bytes_max = 30\n");
    server.process.signal("HUP");
    server.process.said("options reloaded");
    assert!(takes(&server, 30) && !takes(&server, 31));
    held.all_hear(&mut application);
}
