use crate::support::process::{Running, ServerProcess, encke, run, stderr, stdout};
use crate::support::proxy::Proxy;
use crate::support::scratch::Scratch;
use crate::support::wire::Wire;
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::process::Output;

fn publish(server: &ServerProcess, arguments: &[&str], input: &[u8]) -> Output {
    run(encke(&["publish", "--to", &format!("http://{}", server.private)]).args(arguments), input)
}

fn subscribe(server: &ServerProcess, arguments: &[&str]) -> Output {
    run(encke(&["subscribe", "--to", &format!("http://{}", server.public)]).args(arguments), b"")
}

/// Everything that `channel` has, as `subscribe --json` prints it.
fn envelopes(server: &ServerProcess, channel: &str, count: usize) -> Vec<serde_json::Value> {
    let output = subscribe(server, &[channel, "--since", "earliest", "--json", "--count", &count.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn publish_takes_its_message_from_the_command_line_or_from_stdin() {
    let server = ServerProcess::start(&[]);
    let output = publish(&server, &["/a", "hello"], b"");
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("the server's answer");
    assert!(output.status.success() && answer["id"].as_str().is_some_and(|id| id.ends_with("-1")), "{answer}");
    assert_eq!(answer["subscribers"], 0);
    assert!(publish(&server, &["/a"], b"two\nlines\n").status.success());
    assert!(publish(&server, &["a", "{\"n\": 3}", "--type", "application/json", "--event", "t\u{e8} 1"], b"").status.success());
    assert!(publish(&server, &["/a"], b"\xff\x00").status.success());
    let all = envelopes(&server, "/a", 4);
    assert_eq!(all[0]["data"], "hello");
    assert_eq!(all[1]["data"], "two\nlines\n");
    assert_eq!((&all[2]["data"]["n"], &all[2]["event"]), (&3.into(), &"t\u{e8} 1".into()));
    assert_eq!((&all[3]["data"], &all[3]["encoding"]), (&"/wA=".into(), &"base64".into()));
}

#[test]
fn publish_lines_delivers_each_line_as_it_comes_and_all_of_them_in_order() {
    let server = ServerProcess::start(&["--reactors", "2"]);
    let mut stream = Wire::connect(server.public);
    stream.listen("/sub/host/vmstat?transport=sse");
    let mut running =
        Running::start(encke(&["publish", "/host/vmstat", "--lines", "--to", &format!("http://{}", server.private)]));
    for line in ["first", "second"] {
        running.write(&format!("{line}\r\n"));
        stream.until(&format!("data: {line}\n\n"));
    }
    running.close_input();
    assert_eq!(running.wait().code(), Some(0));

    let lines: String = (0..500).map(|number| format!("line {number}\n")).collect();
    assert!(publish(&server, &["/many", "--lines"], lines.as_bytes()).status.success());
    let all = envelopes(&server, "/many", 500);
    assert!(all.iter().enumerate().all(|(number, envelope)| envelope["data"] == format!("line {number}")));
}

#[test]
fn publish_says_what_is_wrong_and_exits_with_1() {
    let server = ServerProcess::start(&[]);
    for (arguments, expected) in [
        (["/a//b", "x", "--type", "text/plain"], "no empty segment"),
        (["/a", "{", "--type", "application/json"], "the body is not"),
        (["/a", "x", "--event", "gap"], "\"gap\""),
    ] {
        let output = publish(&server, &arguments, b"");
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.starts_with("encke: the server refused: ") && text.contains(expected), "{text}");
        assert_eq!(stdout(&output), "");
    }
    let lines = publish(&server, &["/a//b", "--lines"], b"one\ntwo\n");
    assert_eq!(lines.status.code(), Some(1));
    assert!(stderr(&lines).contains("0 lines were taken before"), "{}", stderr(&lines));

    // A port that is taken, and where nobody listens.
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let nobody = held.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    let output = run(&mut encke(&["publish", "/a", "x", "--to", &format!("http://{nobody}")]), b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with(&format!("encke: cannot publish to http://{nobody}: ")), "{}", stderr(&output));
}

#[test]
fn subscribe_reads_by_every_transport_from_anywhere() {
    let server = ServerProcess::start(&["--reactors", "2"]);
    let ids: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|data| {
            let answer: serde_json::Value = serde_json::from_str(&stdout(&publish(&server, &["/a b", data], b""))).expect("JSON");
            answer["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    for transport in ["sse", "long-poll", "poll"] {
        let read = |since: &str, count: &str| {
            stdout(&subscribe(&server, &["/a b", "--transport", transport, "--since", since, "--count", count]))
        };
        assert_eq!(read("earliest", "3"), "one\ntwo\nthree\n", "{transport}");
        assert_eq!(read(&ids[0], "2"), "two\nthree\n", "{transport}");
    }
    let json = subscribe(&server, &["a b", "--json", "--since", &ids[1], "--count", "1"]);
    assert_eq!(stdout(&json), format!("{{\"channel\":\"/a b\",\"id\":\"{}\",\"data\":\"three\"}}\n", ids[2]));
    assert!(publish(&server, &["/c", "four"], b"").status.success());
    let both = subscribe(&server, &["/a b", "/c", "--since", "earliest", "--count", "4"]);
    assert_eq!(stdout(&both), "/a b\tone\n/a b\ttwo\n/a b\tthree\n/c\tfour\n");
}

#[test]
fn subscribe_goes_on_where_it_was_when_its_connection_is_cut() {
    let server = ServerProcess::start(&["--retry", "100ms"]);
    for transport in ["sse", "long-poll"] {
        let channel = format!("/{transport}");
        let say = |data: &str| assert!(publish(&server, &[&channel, data], b"").status.success());
        let proxy = Proxy::before(server.public);
        let to = format!("http://{}", proxy.address);
        let arguments = ["subscribe", &channel, "--since", "earliest", "--transport", transport, "--count", "5", "--to", &to];
        let mut running = Running::start(encke(&arguments));
        say("one");
        assert_eq!(running.line(), "one");
        say("two");
        assert_eq!(running.line(), "two");
        proxy.cut();
        say("three");
        assert_eq!(running.line(), "three");
        proxy.cut();
        say("four");
        say("five");
        assert_eq!((running.line(), running.line()), ("four".into(), "five".into()));
        assert_eq!(running.wait().code(), Some(0));
    }
}

#[test]
fn subscribe_tells_of_a_gap_on_stderr() {
    let server = ServerProcess::start(&["--history-messages", "2"]);
    let first: serde_json::Value = serde_json::from_str(&stdout(&publish(&server, &["/a", "1"], b""))).expect("JSON");
    assert!(publish(&server, &["/a", "--lines"], b"2\n3\n4\n5\n").status.success());
    let output = subscribe(&server, &["/a", "--since", first["id"].as_str().expect("an id"), "--count", "2"]);
    assert_eq!(stdout(&output), "4\n5\n");
    assert!(stderr(&output).contains("2 messages"), "{}", stderr(&output));
}

#[test]
fn check_says_ok_or_all_that_is_wrong() {
    let scratch = Scratch::new();
    let good = scratch.file("good.toml", "heartbeat = \"20s\"\nlisten = [\"127.0.0.1:0\"]\n");
    let output = run(&mut encke(&["check", &good]), b"");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), format!("{good}: ok\n")));
    let bad = scratch.file("bad.toml", "hartbeat = \"20s\"\nretry = \"2y\"\nreactors = 9999\n");
    let output = run(&mut encke(&["check", &bad]), b"");
    assert_eq!(output.status.code(), Some(1));
    for expected in
        ["did you mean --heartbeat?", "--retry: \"2y\"", "--reactors: 9999 is out of bounds (0 for one a core, or 1 to 256)"]
    {
        assert!(stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
    }
    assert_eq!(run(&mut encke(&["check", "/nowhere/encke.toml"]), b"").status.code(), Some(1));
}

#[test]
fn help_and_version_go_to_stdout() {
    for (arguments, expected) in [
        (&["--help"][..], "encke publish CHANNEL [DATA]"),
        (&["-h"], "encke subscribe CHANNEL"),
        (&["serve", "--help"], "--history-messages COUNT"),
        (&["publish", "--help"], "--lines"),
        (&["subscribe", "--help"], "--since CURSOR"),
        (&["check", "--help"], "encke check CONFIG"),
        (&["--version"], concat!("encke ", env!("CARGO_PKG_VERSION"))),
    ] {
        let output = run(&mut encke(arguments), b"");
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{arguments:?}");
        assert!(stdout(&output).contains(expected), "{arguments:?}: {}", stdout(&output));
    }
}

#[test]
fn a_wrong_call_is_told_by_option_value_and_bound_and_exits_with_2() {
    for (arguments, expected) in [
        (&["--hartbeat", "3s"][..], "--hartbeat: there is no such option (did you mean --heartbeat?)"),
        (&["--heartbeat", "2d"], "--heartbeat: 2d is out of bounds (off, or 100ms to 1d)"),
        (&["--heartbeat", "soon"], "--heartbeat: \"soon\" is not a duration"),
        (&["--listen", "localhost"], "--listen: \"localhost\""),
        (&["subscrib", "/a"], "did you mean subscribe?"),
        (&["subscribe", "/a", "--transport", "smoke"], "--transport: \"smoke\" is none of sse, long-poll, poll"),
        (&["publish"], "publish: which channel?"),
    ] {
        let output = run(&mut encke(arguments), b"");
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.starts_with("encke: ") && text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_server_that_cannot_listen_says_where_and_exits_with_1() {
    let server = ServerProcess::start(&[]);
    for reactors in ["1", "2"] {
        let taken = server.public.to_string();
        let output = run(&mut encke(&["--listen", &taken, "--private", "off", "--reactors", reactors]), b"");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&format!("--listen: cannot listen on {taken}")), "{}", stderr(&output));
    }
}

#[test]
fn the_command_line_goes_over_the_environment_and_the_environment_over_the_file() {
    let scratch = Scratch::new();
    let file = scratch.file("encke.toml", "body_bytes_max = 10\nlisten = [\"127.0.0.1:0\"]\nprivate = [\"127.0.0.1:0\"]\n");
    for (variable, flag, taken) in
        [(None, None, 10), (Some("20"), None, 20), (Some("20"), Some("30"), 30), (None, Some("30"), 30)]
    {
        let mut command = encke(&["--config", &file]);
        command.envs(variable.map(|value| ("ENCKE_BODY_BYTES_MAX", value)));
        command.args(flag.map(|value| ["--body-bytes-max", value]).iter().flatten());
        let server = ServerProcess::of(command);
        for (length, status) in [(taken, 200), (taken + 1, 413)] {
            let answer = Wire::connect(server.private).publish("/a", &"x".repeat(length));
            assert_eq!(answer.status(), status, "{variable:?} {flag:?}");
        }
    }
}

#[test]
fn a_server_is_asked_whether_it_serves() {
    let server = ServerProcess::start(&[]);
    let ask = |address: &str| run(&mut encke(&["healthy", address]), b"");
    let output = ask(&format!("http://{}", server.public));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let address = server.public;
    drop(server);
    let output = ask(&format!("http://{address}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not answer"), "{}", stderr(&output));
}
