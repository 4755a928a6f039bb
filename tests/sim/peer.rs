//! The life of a Bayeux client: it shakes hands, subscribes and connects, by long-polling or on a WebSocket, with or
//! without acknowledgement; it changes its way, its shard and its connection, sleeps, and comes back. What comes goes to
//! its [`Session`], which knows what must come next.

use super::dice::Dice;
use super::house::House;
use super::model::{Model, Place};
use super::publisher::with_body;
use super::session::Session;
use super::socket::{self, Frames, Said};
use super::wire::{Head, Piece, Responses};
use encke::engine::Door;
use serde_json::{Value, json};

/// The chance, in a hundred, that it makes a connection or a request when it could.
const ASK: usize = 60;
/// The chance, in a hundred steps, that it goes over to another connection while none of its requests is out.
const SWITCH: usize = 10;
/// The chance, in a hundred, that it ends its session instead of connecting.
const DISCONNECT: usize = 2;

/// How many messages came by long-polling and by WebSocket, each without and with acknowledgement.
pub type Taken = [u64; 4];
/// What these are called.
pub const WAYS: [&str; 4] = ["long-polling", "websocket", "long-polling, acknowledged", "websocket, acknowledged"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Upgrade,
    Handshake,
    Subscribe,
    Connect,
    Disconnect,
}

/// A connection, and the request on it that waits for its reply.
struct Line {
    socket: usize,
    is_socket: bool,
    responses: Responses,
    head: Option<Head>,
    body: Vec<u8>,
    frames: Frames,
    deflate: bool,
    /// With its id, and when it was sent.
    asked: Option<(Asked, u64, u64)>,
}

/// A Bayeux client.
pub struct Peer {
    number: usize,
    acknowledges: bool,
    /// What it subscribes to, and the channels that are meant by it.
    subscription: Value,
    channels: Vec<usize>,
    session: Option<Session>,
    line: Option<Line>,
    requests: u64,
    asleep: usize,
    /// It was told that there is no room for its channels.
    refused: bool,
    leaving: bool,
    pub taken: Taken,
    /// How often its session was over.
    pub overs: u64,
}

/// What a peer may do beside what it must.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub losses: usize,
    pub naps: usize,
    pub buffer: (usize, usize),
    pub max_interval_ms: u64,
}

impl Peer {
    /// A client of some of these channels, or of all by a star, unless siblings would come by it too.
    pub fn new(number: usize, names: &[String], siblings: bool, dice: &mut Dice) -> Peer {
        let (mut channels, mut subscription): (Vec<usize>, _) = ((0..names.len()).collect(), json!("/**"));
        if dice.percent(60) || siblings {
            // Bayeux has no spaces in its names.
            channels.retain(|&channel| !names[channel].contains(' '));
            dice.shuffle(&mut channels);
            channels.truncate(dice.within(1..=names.len()));
            subscription = channels.iter().map(|&channel| &*names[channel]).collect();
        }
        Peer {
            number,
            acknowledges: dice.percent(50),
            subscription,
            channels,
            session: None,
            line: None,
            requests: 0,
            asleep: 0,
            refused: false,
            leaving: false,
            taken: Taken::default(),
            overs: 0,
        }
    }

    pub fn wake(&mut self) {
        self.asleep = 0;
    }

    /// One thing that it may do, as chance will have it.
    pub fn act(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        self.refused = false;
        if self.asleep > 0 {
            self.asleep -= 1;
        } else if dice.percent(habits.naps) {
            self.asleep = dice.within(1..=60);
        } else if self.line.is_some() && dice.percent(habits.losses) {
            let rudely = dice.percent(50);
            self.lose(house, rudely);
        } else {
            let most = dice.pick(&[1, 20, 200, 5_000]);
            self.read(house, model, habits, most, dice);
            if self.line.as_ref().is_some_and(|line| line.asked.is_none()) && dice.percent(SWITCH) {
                self.lose(house, false);
            }
            if dice.percent(ASK) {
                self.ask(house, model, habits, dice.percent(DISCONNECT), dice);
            }
        }
    }

    /// All that it can do now to be up to date, and nothing else.
    pub fn catch_up(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        if self.asleep > 0 {
            return;
        }
        self.read(house, model, habits, usize::MAX, dice);
        if !self.leaving && !self.refused {
            self.ask(house, model, habits, false, dice);
        }
    }

    /// Goes away for good.
    pub fn leave(&mut self, house: &mut House) {
        self.leaving = true;
        self.lose(house, false);
    }

    /// It asks for nothing more, but reads on.
    pub fn stop(&mut self) {
        self.leaving = true;
    }

    /// Whether its connect is held, so that it has all there is.
    fn is_held(&self) -> bool {
        let connects = |line: &Line| matches!(line.asked, Some((Asked::Connect, ..)));
        self.asleep == 0 && self.line.as_ref().is_some_and(connects)
    }

    /// All is at rest: panics unless it has come to `head` in `channel`.
    pub fn check_up_to_date(&mut self, model: &mut Model, channel: usize, head: &Place) {
        if !self.is_held() {
            return;
        }
        let Some(session) = &mut self.session else { return };
        let torn = session.torn;
        if let Some(book) = session.books.get_mut(&channel) {
            book.comes_to(model, channel, head, torn);
        }
    }

    /// All is at rest, and was looked at: whatever was on its way is there or lost.
    pub fn rests(&mut self) {
        if self.is_held()
            && let Some(session) = &mut self.session
        {
            session.torn = false;
        }
    }

    // Connections.

    /// Loses its connection.
    fn lose(&mut self, house: &mut House, rudely: bool) {
        let Some(line) = self.line.take() else { return };
        house.note(format_args!("peer {} loses socket {}", self.number, line.socket));
        if rudely {
            house.cut(line.socket)
        } else {
            house.hang_up(line.socket)
        }
        self.lost(&line);
    }

    fn lost(&mut self, line: &Line) {
        let pending = line.is_socket || line.asked.is_some();
        if let Some(session) = self.session.as_mut().filter(|_| pending) {
            session.tear();
        }
        // Whether a session was opened or ended is not known.
        if let Some((Asked::Disconnect, ..)) = line.asked {
            self.session = None;
        }
    }

    fn connect(&mut self, house: &mut House, habits: &Habits, dice: &mut Dice) {
        let shard = dice.below(usize::from(house.shards())) as u16;
        let (least, most) = habits.buffer;
        let Some(socket) = house.connect(shard, Door::Public, dice.within(least..=most)) else { return };
        house.note(format_args!("peer {} connects to shard {shard} as socket {socket}", self.number));
        let (is_socket, deflate) = (dice.percent(40), dice.percent(50));
        let mut line = Line {
            socket,
            is_socket,
            responses: Responses::new(),
            head: None,
            body: Vec::new(),
            frames: Frames::new(deflate),
            deflate,
            asked: None,
        };
        if is_socket {
            let fields = format!("{}{}", house.papers(self.number), socket::handshake(deflate));
            let request = format!("GET /bayeux HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            house.send(socket, request.as_bytes());
            line.asked = Some((Asked::Upgrade, 0, 0));
        }
        self.line = Some(line);
    }

    /// Sends its next request, unless one waits for its reply.
    fn ask(&mut self, house: &mut House, model: &Model, habits: &Habits, disconnects: bool, dice: &mut Dice) {
        if self.line.is_none() {
            self.connect(house, habits, dice);
        }
        let Some(line) = self.line.as_mut().filter(|line| line.asked.is_none()) else { return };
        let connection_type = if line.is_socket { "websocket" } else { "long-polling" };
        let (asked, mut message) = match &self.session {
            None => {
                let types = ["long-polling", "websocket"];
                let hello = json!({ "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": types,
                                    "ext": { "ack": self.acknowledges } });
                (Asked::Handshake, hello)
            }
            Some(session) if !session.subscribed => {
                let subscription = &self.subscription;
                let subscribe = json!({ "channel": "/meta/subscribe", "clientId": session.client, "subscription": subscription });
                (Asked::Subscribe, subscribe)
            }
            Some(session) if disconnects => {
                (Asked::Disconnect, json!({ "channel": "/meta/disconnect", "clientId": session.client }))
            }
            Some(session) => (Asked::Connect, session.connect(connection_type)),
        };
        self.requests += 1;
        message["id"] = self.requests.to_string().into();
        let text = if dice.percent(80) { format!("[{message}]") } else { message.to_string() };
        house.note(format_args!("peer {} says on socket {}: {text}", self.number, line.socket));
        if line.is_socket {
            house.send(line.socket, &socket::text(&text, line.deflate, dice));
        } else {
            let path = dice.pick(&["/bayeux", "/cometd/connect", "/faye"]);
            let fields = format!("{}Content-Type: application/json\r\n", house.papers(self.number));
            let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}");
            house.send(line.socket, &with_body(head, text.as_bytes(), dice));
        }
        line.asked = Some((asked, self.requests, model.now_ms));
    }

    // What comes.

    fn read(&mut self, house: &mut House, model: &mut Model, habits: &Habits, most: usize, dice: &mut Dice) {
        let Some(line) = &mut self.line else { return };
        let socket = line.socket;
        if house.broken(socket) {
            if let Some(line) = self.line.take() {
                self.lost(&line);
            }
            return;
        }
        let bytes = house.take(socket, most);
        for piece in line.responses.take(&bytes) {
            self.take(house, model, habits, piece, dice);
        }
        if house.ended(socket) && self.line.as_ref().is_some_and(|line| line.socket == socket) {
            self.lose(house, false);
        }
    }

    fn take(&mut self, house: &mut House, model: &mut Model, habits: &Habits, piece: Piece, dice: &mut Dice) {
        let Some(line) = &mut self.line else { return };
        match piece {
            Piece::Head(head) if head.status == 100 => {}
            Piece::Head(head) if head.status == 101 => {
                socket::check_handshake(&head, line.deflate);
                line.asked = None;
            }
            Piece::Head(head) => line.head = Some(head),
            Piece::Body(bytes) if line.is_socket && line.head.is_none() => {
                for said in line.frames.take(&bytes) {
                    self.hear(house, model, habits, said, dice);
                }
            }
            Piece::Body(bytes) => line.body.extend(bytes),
            Piece::End => {
                let (head, body) = (line.head.take().expect("a head"), std::mem::take(&mut line.body));
                match head.status {
                    200 => {
                        let Value::Array(messages) = serde_json::from_slice(&body).expect("JSON") else { panic!("an array") };
                        self.take_messages(house, model, habits, &messages);
                    }
                    // It was too slow, or came when the server stops.
                    408 | 503 => return self.lose(house, false),
                    status => panic!("a peer was answered {status}: {:?}", String::from_utf8_lossy(&body)),
                }
                if head.ends_connection() {
                    self.lose(house, false);
                }
            }
        }
    }

    fn hear(&mut self, house: &mut House, model: &mut Model, habits: &Habits, said: Said, dice: &mut Dice) {
        let Some(line) = &self.line else { return };
        match said {
            Said::Text(text) => {
                let Value::Array(messages) = serde_json::from_str(&text).expect("JSON") else { panic!("an array") };
                self.take_messages(house, model, habits, &messages);
            }
            Said::Ping(data) => house.send(line.socket, &socket::pong(&data, dice)),
            Said::Close => self.lose(house, false),
            Said::Pong => {}
            Said::Binary(_) => panic!("Bayeux is text"),
        }
    }

    fn take_messages(&mut self, house: &House, model: &mut Model, habits: &Habits, messages: &[Value]) {
        for message in messages {
            house.note(format_args!("peer {} gets {message}", self.number));
            if message["channel"].as_str().is_some_and(|channel| channel.starts_with("/meta/")) {
                self.replied(model, habits, message);
            } else {
                let way = usize::from(self.line.as_ref().is_some_and(|line| line.is_socket));
                match &mut self.session {
                    Some(session) => session.event(model, message),
                    // It has given up its session in between, and what rides on the refusal with it.
                    None if self.refused => continue,
                    None => panic!("an event is a session's"),
                }
                self.taken[way + 2 * usize::from(self.acknowledges)] += 1;
            }
        }
    }

    fn replied(&mut self, model: &mut Model, habits: &Habits, reply: &Value) {
        let line = self.line.as_mut().expect("a reply comes on a connection");
        let (asked, id, sent_ms) = line.asked.take().unwrap_or_else(|| panic!("nobody asked for {reply}"));
        assert_eq!(reply["id"], id.to_string(), "a reply to {asked:?}");
        let code = reply["error"].as_str().map(|error| error.split(':').next().expect("a code"));
        assert_eq!(reply["successful"], code.is_none(), "{reply}");
        match (asked, code) {
            (Asked::Handshake, None) => {
                self.session = Some(Session::new(reply["clientId"].clone(), self.acknowledges, sent_ms));
            }
            (Asked::Subscribe | Asked::Connect | Asked::Disconnect, Some("402")) => {
                assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
                let session = self.session.take().expect("who had a session");
                session.check_over(model, habits.max_interval_ms);
                self.overs += 1;
            }
            (Asked::Subscribe, Some("503")) => (self.session, self.refused) = (None, true),
            (Asked::Disconnect, None) => self.session = None,
            (Asked::Subscribe, None) => {
                let session = self.session.as_mut().expect("who has a session");
                session.subscribes(self.channels.iter().copied());
            }
            (Asked::Connect, None) => {
                let session = self.session.as_mut().expect("who has a session");
                session.connected(reply);
                session.alive_ms = sent_ms;
            }
            // One that was given up came behind it, and may have been told something.
            (Asked::Connect, Some("409")) => self.session.as_mut().expect("who has a session").tear(),
            _ => panic!("{asked:?} was answered {reply}"),
        }
    }
}
