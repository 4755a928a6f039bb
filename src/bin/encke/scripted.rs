//! A server for tests that follows a script: takes a request, sends what the scene says, closes if it says so.

use crate::address::Address;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// What follows one request.
pub struct Scene {
    answer: Vec<u8>,
    close: bool,
}

impl Scene {
    /// Sends `answer` and waits for the next request on the same connection.
    pub fn answer(answer: &str) -> Scene {
        Scene { answer: answer.into(), close: false }
    }

    /// A whole answer with `status` and a JSON body.
    pub fn json(status: u16, body: &str) -> Scene {
        Scene::answer(&format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// An event stream that ends with the connection.
    pub fn events(text: &str) -> Scene {
        Scene::answer(&format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{text}")).then_close()
    }

    /// Closes the connection after the answer.
    pub fn then_close(self) -> Scene {
        Scene { close: true, ..self }
    }
}

/// A request as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its first line without the version.
    pub line: String,
    /// Its headers as they stood, a line each.
    pub headers: String,
    pub body: String,
}

/// Plays `scenes` on a free port of loopback, then ends. The thread returns the requests it heard.
pub fn play(scenes: Vec<Scene>) -> (Address, JoinHandle<Vec<Heard>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let mut open: Option<BufReader<TcpStream>> = None;
        for scene in scenes {
            let mut connection = open.take().unwrap_or_else(|| BufReader::new(listener.accept().unwrap().0));
            heard.push(hear(&mut connection));
            connection.get_mut().write_all(&scene.answer).unwrap();
            open = (!scene.close).then_some(connection);
        }
        heard
    });
    (Address::Tcp { host: "127.0.0.1".into(), port }, thread)
}

fn hear(connection: &mut BufReader<TcpStream>) -> Heard {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    let mut headers = String::new();
    while connection.read_line(&mut headers).unwrap() > 2 {}
    let length = headers.lines().find_map(|header| header.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    connection.read_exact(&mut body).unwrap();
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_string();
    Heard { line, headers, body: String::from_utf8(body).unwrap() }
}
