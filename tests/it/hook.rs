use crate::support::process::ServerProcess;
use crate::support::wire::Wire;
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What an application was asked: the bodies of the requests.
type Heard = Arc<Mutex<Vec<serde_json::Value>>>;

/// An application that lets everybody into `/room/yes`, nobody into `/room/no`, and fails with others.
fn application() -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, heard) = (listener.local_addr().expect("an address"), Heard::default());
    let all = heard.clone();
    // Ends with the process of the tests.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let heard = all.clone();
            thread::spawn(move || while answer(&stream, &heard).is_some() {});
        }
    });
    (address, heard)
}

/// Takes one request and answers it; `None` when there is no other.
fn answer(mut stream: &TcpStream, heard: &Heard) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    assert!(head.starts_with("POST /may?who=1 HTTP/1.1\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let status = match body["channel"].as_str() {
        Some("/room/yes") => 204,
        Some("/room/no") => 403,
        _ => 500,
    };
    heard.lock().expect("no thread panics").push(body);
    stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()
}

fn status(server: &ServerProcess, channel: &str, cookie: &str) -> u16 {
    let mut wire = Wire::connect(server.public);
    wire.send(format!("GET /sub{channel}?transport=poll HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"));
    wire.response().status()
}

#[test]
fn an_application_decides_who_subscribes_and_is_asked_once_for_the_same() {
    let (address, heard) = application();
    let url = format!("http://{address}/may?who=1");
    let server = ServerProcess::start(&["--judge", "/room/**", "--judge-url", &url, "--judge-url-cache", "1h"]);
    let count = || heard.lock().expect("no thread panics").len();
    for (channel, cookie, allowed, asked) in [
        ("/room/yes", "c=1", true, 1),
        ("/room/yes", "c=1", true, 1),
        ("/room/yes", "c=2", true, 2),
        ("/room/no", "c=1", false, 3),
        ("/room/no", "c=1", false, 3),
        ("/room/odd", "c=1", false, 4),
        ("/room/odd", "c=1", false, 5),
        ("/other", "c=1", true, 5),
    ] {
        let status = status(&server, channel, cookie);
        assert_eq!((status == 403, count()), (!allowed, asked), "{channel} {cookie}: {status}");
    }
    let first = heard.lock().expect("no thread panics")[0].clone();
    assert_eq!((first["channel"].as_str(), first["client"]["headers"]["cookie"].as_str()), (Some("/room/yes"), Some("c=1")));
    // The demonstrations on loopback are there all the same.
    assert_eq!(Wire::connect(server.public).ask("/demo").status(), 200);
}

#[test]
fn an_application_decides_by_every_way_of_being_held() {
    let (address, _) = application();
    let url = format!("http://{address}/may?who=1");
    let server = ServerProcess::start(&["--judge", "/room/**", "--judge-url", &url, "--demo", "off"]);
    let mut wire = Wire::connect(server.public);
    let told = wire.ask("/sub/x?transport=telegraph").text();
    let (_, names) = told.split_once("the transports are ").expect("a server that names its transports");
    let names: Vec<&str> = names.split('"').next().expect("an end").split(", ").filter(|name| *name != "websocket").collect();
    assert!(names.len() > 10, "{names:?}");
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let ways = names.iter().map(|name| (format!("?transport={name}&callback=f&width=32&height=32&since=earliest"), "", 200));
    for (query, fields, allowed) in ways.chain([(String::new(), upgrade, 101)]) {
        for (channel, status) in [("/room/yes", allowed), ("/room/no", 403)] {
            // A stream's head shows it as well as the stream.
            let method = if fields.is_empty() { "HEAD" } else { "GET" };
            let request = format!("{method} /sub{channel}{query} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            let mut client = TcpStream::connect(server.public).expect("a server");
            client.write_all(request.as_bytes()).expect("a server");
            let mut begins = [0; b"HTTP/1.1 200".len()];
            client.read_exact(&mut begins).expect("an answer");
            assert_eq!(String::from_utf8_lossy(&begins), format!("HTTP/1.1 {status}"), "{query} {channel}");
        }
    }
}

#[test]
fn an_application_that_is_away_is_missed_once_and_the_default_decides() {
    // A port that is taken, and where nobody listens.
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let nobody = held.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    let url = format!("http://{nobody}/");
    for (default, allowed) in [("allow", true), ("deny", false)] {
        let options = ["--judge", "/room/**", "--judge-url", &url, "--judge-default", default, "--demo", "off"];
        let server = ServerProcess::start(&options);
        for number in 0..12 {
            let status = status(&server, &format!("/room/{number}"), "c=1");
            assert_eq!(status != 403, allowed, "{default}: {status}");
        }
        server.process.said("the application does not answer");
    }
}
