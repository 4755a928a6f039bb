use crate::support::wire::Wire;
use crate::support::ws::Ws;
use crate::support::{REACTORS, config, eventually, serve};
use encke::Config;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::thread;

const CHANNELS: [&str; 4] = ["/bayeux/a", "/bayeux/b", "/bayeux/c", "/bayeux/d"];

/// A client by hand: it opens a connection for each request, so that each may land on another reactor.
struct Client {
    id: Value,
    /// The number of the last reply to a connect.
    batch: u64,
}

fn request(messages: &Value) -> String {
    let body = messages.to_string();
    let head = "POST /bayeux HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn replies(wire: &mut Wire) -> Vec<Value> {
    let response = wire.response();
    assert_eq!(response.status(), 200, "{}", response.text());
    serde_json::from_slice(&response.body).expect("an array of messages")
}

fn ask(address: SocketAddr, messages: &Value) -> Vec<Value> {
    let mut wire = Wire::connect(address);
    wire.send(request(messages));
    replies(&mut wire)
}

fn handshake(address: SocketAddr) -> Value {
    let hello = json!([{ "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling", "websocket"],
                         "ext": { "ack": true } }]);
    ask(address, &hello).remove(0)
}

impl Client {
    fn new(address: SocketAddr, channels: &[&str]) -> Client {
        let client = Client { id: handshake(address)["clientId"].clone(), batch: 0 };
        let subscribe = json!([{ "channel": "/meta/subscribe", "clientId": client.id, "subscription": channels }]);
        assert_eq!(ask(address, &subscribe)[0]["successful"], true);
        client
    }

    fn connect(&self) -> Value {
        json!([{ "channel": "/meta/connect", "connectionType": "long-polling", "clientId": self.id, "ext": { "ack": self.batch } }])
    }

    /// Takes the events out of the replies to a connect, which was successful.
    fn events(&mut self, mut messages: Vec<Value>) -> Vec<Value> {
        let reply = messages.pop().expect("a reply");
        assert_eq!((&reply["channel"], &reply["successful"]), (&json!("/meta/connect"), &json!(true)), "{reply}");
        self.batch = reply["ext"]["ack"].as_u64().expect("a number");
        messages
    }
}

/// What one client has got of numbered messages, which must come once and in order on each channel.
#[derive(Default)]
struct Book(HashMap<String, u64>);

impl Book {
    fn enter(&mut self, events: Vec<Value>) {
        for event in events {
            let next = self.0.entry(event["channel"].as_str().expect("a channel").to_owned()).or_default();
            assert_eq!(event["data"].as_u64(), Some(*next), "{event}");
            *next += 1;
        }
    }

    fn has(&self, each: u64) -> bool {
        self.0.len() == CHANNELS.len() && self.0.values().all(|&count| count == each)
    }
}

fn publish(server: &encke::Server, each: u64) {
    let publisher = server.publisher();
    for number in 0..each {
        let data = number.to_string();
        for channel in CHANNELS {
            let parts = encke::Parts { channel, content_type: "application/json", event: "", data: data.as_bytes(), unix_ms: 0 };
            publisher.publish_with(&parts).expect("room");
        }
    }
}

#[test]
fn a_session_is_found_from_every_reactor_by_every_way() {
    const EACH: u64 = 50;
    for reactors in REACTORS {
        let server = serve(Config { bayeux_publish: "/bayeux/*".into(), ..config(reactors) });
        let address = server.addresses().public[0];
        let mut client = Client::new(address, &CHANNELS);
        let mut book = Book::default();
        for number in 0..EACH {
            let says = |channel| json!({ "channel": channel, "clientId": client.id, "data": number });
            let messages: Vec<Value> = CHANNELS.into_iter().map(says).collect();
            let answers = ask(address, &messages.into());
            assert!(answers.len() == CHANNELS.len() && answers.iter().all(|answer| answer["successful"] == true), "{answers:?}");
            if number % 2 == 0 {
                let messages = ask(address, &client.connect());
                book.enter(client.events(messages));
            } else {
                let mut socket = Ws::open(address, "/cometd");
                socket.say(client.connect().to_string());
                let Value::Array(messages) = socket.json() else { panic!("an array of messages") };
                book.enter(client.events(messages));
            }
        }
        while !book.has(EACH) {
            let messages = ask(address, &client.connect());
            book.enter(client.events(messages));
        }
        server.stop();
    }
}

/// Each client loses one response in three, and acknowledges the others.
#[test]
fn who_acknowledges_gets_each_message_once_and_in_order_whatever_breaks() {
    const CLIENTS: u64 = 16;
    const EACH: u64 = 150;
    for reactors in REACTORS {
        let server = serve(config(reactors));
        let address = server.addresses().public[0];
        let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(address, &CHANNELS)).collect();
        thread::scope(|scope| {
            for (number, mut client) in clients.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut book = Book::default();
                    let mut breaks = number;
                    while !book.has(EACH) {
                        let mut wire = Wire::connect(address);
                        wire.send(request(&client.connect()));
                        breaks += 1;
                        if breaks % 3 == 0 {
                            // A connect that came later ends this one: the server need not have noticed that it is gone.
                            continue;
                        }
                        let messages = replies(&mut wire);
                        if messages.last().is_some_and(|reply| reply["successful"] == true) {
                            book.enter(client.events(messages));
                        } else {
                            // One that was given up reached the server behind this one.
                            assert!(messages[0]["error"].as_str().is_some_and(|error| error.starts_with("409:")), "{messages:?}");
                        }
                    }
                });
            }
            publish(&server, EACH);
        });
        server.stop();
    }
}

#[test]
fn handshakes_that_vanish_leave_nothing() {
    let server = serve(Config { bayeux_sessions_max: 64, bayeux_max_interval_ms: 100, ..config(2) });
    let address = server.addresses().public[0];
    // Far more than there is room for: some are refused, unless they come so slowly that others have ended.
    for _ in 0..500 {
        handshake(address);
    }
    eventually("room for new sessions", || (0..32).all(|_| handshake(address)["successful"] == true).then_some(()));
    server.stop();
}
