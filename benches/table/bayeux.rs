//! A Bayeux client as CometD's own speaks by long-polling: the requests, and what it takes from the answers.

use crate::side::PATIENCE;
use crate::{Outcome, answers};
use std::io::{Read, Write};
use std::net::TcpStream;

/// A request whose body is these messages; `kind` is what the client adds to the path.
pub fn request(kind: &str, messages: &str) -> String {
    let head = "Host: localhost\r\nContent-Type: application/json";
    format!("POST /bayeux/{kind} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{messages}", messages.len())
}

/// Opens a session.
pub fn handshake() -> String {
    let fields = r#""id":"1","version":"1.0","channel":"/meta/handshake","supportedConnectionTypes":["long-polling"]"#;
    request("handshake", &format!("[{{{fields}}}]"))
}

/// Subscribes a session to a channel.
pub fn subscribe(client: &str, channel: &str) -> String {
    let fields = format!(r#""id":"2","channel":"/meta/subscribe","subscription":"{channel}","clientId":"{client}""#);
    request("", &format!("[{{{fields}}}]"))
}

/// Waits for what a session is to be told.
pub fn connect(client: &str) -> String {
    let fields = format!(r#""id":"3","channel":"/meta/connect","connectionType":"long-polling","clientId":"{client}""#);
    request("connect", &format!("[{{{fields}}}]"))
}

/// The client id in an answer to a handshake.
pub fn client_id(answer: &str) -> Outcome<&str> {
    let found = answer.split_once("\"clientId\":\"").and_then(|(_, rest)| rest.split_once('"'));
    found.map(|(client, _)| client).ok_or_else(|| format!("no client id: {answer}").into())
}

/// Checks that all messages of an answer were successful.
pub fn check(answer: &[u8]) -> Outcome<()> {
    let text = std::str::from_utf8(answer)?;
    match text.contains("\"successful\":true") && !text.contains("\"successful\":false") {
        true => Ok(()),
        false => Err(format!("a Bayeux client was answered: {text}").into()),
    }
}

/// Shakes hands and subscribes, on sockets that block, each step on all of them at a time; gives back the client ids.
pub fn introduce(sockets: &mut [TcpStream], channel: &str) -> Outcome<Vec<String>> {
    for socket in &mut *sockets {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(handshake().as_bytes())?;
    }
    let mut clients = Vec::with_capacity(sockets.len());
    for socket in &mut *sockets {
        let client = client_id(std::str::from_utf8(&answer(socket)?)?)?.to_owned();
        socket.write_all(subscribe(&client, channel).as_bytes())?;
        clients.push(client);
    }
    sockets.iter_mut().try_for_each(|socket| answer(socket).map(|_| ()))?;
    Ok(clients)
}

fn answer(socket: &mut TcpStream) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer)? {
            0 => return Err("a Bayeux client got no answer".into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if let Some(answer) = answers::first(&bytes)? {
            check(answer.body)?;
            return Ok(answer.body.to_vec());
        }
    }
}
