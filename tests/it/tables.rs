use crate::limits::metric;
use crate::succession::succeed;
use crate::support::eventually;
use crate::support::http::Piece;
use crate::support::process::{ServerProcess, encke, signal};
use crate::support::scratch::{Scratch, text_of};
use crate::support::wire::{End, Wire};
use encke::{Config, Error, Server};
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

/// What each table holds at most.
const DESCRIPTORS: usize = 256;
const REACTORS: usize = 4;
/// More than three tables hold.
const HELD: usize = 800;
const STREAM: &[u8] = b"GET /sub/a?transport=sse HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server with private tables of [`DESCRIPTORS`] each.
fn start(options: &[&str]) -> ServerProcess {
    let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"");
    // The environment is that of any command here.
    let mut command = encke(&[]);
    let environment: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    command = Command::new("sh");
    environment.into_iter().for_each(|name| _ = command.env_remove(name));
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_encke"), "serve", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"]);
    command.args(["--descriptor-tables", "private", "--reactors", &REACTORS.to_string(), "--demo", "off"]);
    command.args(options);
    ServerProcess::of(command)
}

/// Asks for streams, `more` of them; gives those that were let in. The others were told to come back.
fn ask_for_streams(address: SocketAddr, more: usize) -> Vec<Wire> {
    let mut wires: Vec<Wire> = (0..more).map(|_| Wire::connect(address)).collect();
    wires.iter_mut().for_each(|wire| wire.offer(STREAM));
    let is_let_in = |mut wire: Wire| match wire.piece() {
        Ok(Piece::Head(head)) if head.status == 200 => Some(wire),
        Ok(Piece::Head(head)) => {
            assert!(head.status == 503 && head.field("Retry-After").is_some(), "{head:?}");
            None
        }
        other => panic!("{other:?}"),
    };
    wires.into_iter().filter_map(is_let_in).collect()
}

fn publish(server: &mut Wire, streams: &mut [Wire], text: &str) {
    assert_eq!(server.publish("/a", text).status(), 200);
    streams.iter_mut().for_each(|stream| stream.until(&format!("data: {text}\n")));
}

#[test]
fn private_tables_hold_more_than_one_could_and_whoever_finds_one_full_is_told() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let server = start(&[]);
    let mut application = Wire::connect(server.private);
    let mut held = Vec::new();
    while held.len() < HELD {
        // The system spreads them; who lands where there is no room comes back, and lands elsewhere.
        held.extend(ask_for_streams(server.public, HELD - held.len()));
    }
    publish(&mut application, &mut held, "to very many");
    assert!(metric(&mut application, "process_open_fds") > HELD as u64);
    assert_eq!(metric(&mut application, "process_max_fds"), (DESCRIPTORS * (REACTORS + 1)) as u64);

    // In the end all are full, one after the other.
    while metric(&mut application, "encke_turned_away_descriptors_total") < 50 {
        held.extend(ask_for_streams(server.public, 50));
    }
    assert!(held.len() < DESCRIPTORS * REACTORS, "{}", held.len());
    publish(&mut application, &mut held, "though all is full");
    held.truncate(HELD / 2);
    eventually("newcomers are served again", || (ask_for_streams(server.public, 1).len() == 1).then_some(()));
    publish(&mut application, &mut held, "after that");
}

#[test]
fn a_signal_reloads_and_another_process_takes_over_from_full_tables() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let scratch = Scratch::new();
    let (options, log, control) = (scratch.file("encke.toml", ""), scratch.path("log"), scratch.path("control"));
    let more = ["--config", &options, "--access-log", &text_of(&log), "--control", &text_of(&control), "--drain-timeout", "40s"];
    let mut server = start(&more);
    let mut application = Wire::connect(server.private);
    let mut held = Vec::new();
    while metric(&mut application, "encke_turned_away_descriptors_total") == 0 {
        held.extend(ask_for_streams(server.public, 100));
    }
    // The control socket is one reactor's, and hands its connections to the others.
    held.truncate(HELD / 2);
    let few = || (metric(&mut application, "encke_connections") < HELD as u64).then_some(());
    eventually("those who left are gone", few);
    let mut own: Vec<Wire> = (0..2 * REACTORS).map(|_| Wire::connect_unix(&control)).collect();
    own.iter_mut().for_each(|wire| publish(wire, &mut held, "by the control socket"));

    let written = |path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    let former = scratch.path("log.1");
    std::fs::rename(&log, &former).expect("a log");
    scratch.file("encke.toml", "subscriptions_max = 2\n");
    // Each is taken by the thread whose descriptors its handler writes to.
    for _ in 0..5 {
        server.process.signal("HUP");
        server.process.said("options reloaded");
    }
    publish(&mut application, &mut held, "after a reload");
    eventually("the new log has lines", || (written(&log) > 0).then_some(()));

    let successor = succeed(&server.process, server.process.id());
    for mut stream in held {
        stream.until("retry: ");
        let end = std::iter::from_fn(|| Some(stream.piece())).find_map(Result::err);
        assert_eq!(end, Some(End::Proper));
    }
    drop((application, own));
    assert_eq!(server.process.wait().code(), Some(0));
    let answer = Wire::connect(server.public).ask("/sub/a?transport=poll&since=earliest");
    assert_eq!(answer.member("messages")[0]["data"], "by the control socket");
    assert_eq!(Wire::connect_unix(&control).publish("/a", "x").status(), 200);
    let second = succeed(&server.process, successor.0);
    assert_eq!(Wire::connect(server.private).publish("/a", "x").status(), 200);
    assert!(signal(second.0, "TERM"));
    server.process.silent();
}

#[test]
fn a_stop_leaves_no_listener_in_any_table() {
    let mut server = start(&["--drain-timeout", "40s"]);
    let mut streams = ask_for_streams(server.public, 100);
    let mut half = Wire::connect(server.private);
    half.send("POST /pub/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    assert!(half.has_answer_within(crate::support::DEADLINE), "100 Continue");
    half.send("half ");
    server.process.signal("TERM");
    streams.iter_mut().for_each(|stream| stream.until("retry: "));
    // What is half done keeps the process up.
    eventually("nobody listens", || TcpStream::connect(server.public).is_err().then_some(()));
    assert!(TcpStream::connect(server.private).is_err());
    half.send("whole");
    assert_eq!(half.response().status(), 200);
    assert_eq!(half.end(), End::Proper);
    drop((streams, half));
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn a_connection_goes_to_the_table_of_its_session() {
    let server = start(&[]);
    let mut application = Wire::connect(server.private);
    let ask = |wire: &mut Wire, messages: serde_json::Value| {
        let body = messages.to_string();
        let head = "POST /bayeux HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        wire.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    };
    let replies = |wire: &mut Wire| -> Vec<serde_json::Value> {
        let answer = wire.response();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).expect("an array of messages")
    };
    let mut wire = Wire::connect(server.public);
    ask(&mut wire, json!([{"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}]));
    let id = replies(&mut wire).remove(0)["clientId"].clone();
    ask(&mut wire, json!([{"channel": "/meta/subscribe", "clientId": id, "subscription": "/a"}]));
    assert_eq!(replies(&mut wire)[0]["successful"], true);
    // Three of four connections land elsewhere, and go over.
    for number in 0..40 {
        assert_eq!(application.publish("/a", &number.to_string()).status(), 200);
        let mut came = Vec::new();
        while came.is_empty() {
            let mut wire = Wire::connect(server.public);
            ask(&mut wire, json!([{"channel": "/meta/connect", "connectionType": "long-polling", "clientId": id}]));
            let mut messages = replies(&mut wire);
            assert_eq!(messages.pop().expect("a reply")["successful"], true);
            came = messages;
        }
        assert_eq!(came.iter().map(|message| &message["data"]).collect::<Vec<_>>(), [&json!(number.to_string())]);
    }
}

#[test]
fn a_program_that_links_encke_has_no_private_tables() {
    let config = Config { descriptor_tables: "private".into(), ..crate::support::config(2) };
    assert!(matches!(Server::start(config.clone()), Err(Error::Config(text)) if text.contains("encke serve")));
    assert!(matches!(Server::start_hosted(config), Err(Error::Config(text)) if text.contains("encke serve")));
}
