//! Attacks as they stand in `tests/attacks.txt`: read, performed on connections of their own, and held against what they
//! are to get. The notation is described at the top of that file.
//!
//! Somebody else reads the connection all the while, so that no attack waits for the server to take or to say something.

use super::DEADLINE;
use super::http::{Decoder, Head, Piece};
use super::wire::End;
use super::ws::{self, CLOSE, PING, PONG};
use crate::notation::{Epochs, unescape};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Where a server is attacked.
pub struct Doors {
    pub public: SocketAddr,
    pub private: SocketAddr,
    pub control: PathBuf,
}

/// One of them.
#[derive(Debug, Default)]
pub struct Attack {
    pub name: String,
    /// Against the server that has little patience.
    pub hasty: bool,
    door: Door,
    connections: usize,
    steps: Vec<Step>,
    answers: Vec<Answer>,
    then: Option<Then>,
    has: Vec<String>,
    lacks: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Door {
    #[default]
    Public,
    Private,
    Control,
}

/// What an attacker does; texts are in notation still, as they may name what was heard before.
#[derive(Debug)]
enum Step {
    Send(String),
    Get(String),
    /// Target, content type, body.
    Post(String, String, String),
    /// A byte every so many milliseconds.
    Drip(u64, String),
    /// Target, further fields.
    Socket(String, String),
    /// First byte, payload, whether it is compressed before.
    Frame(u8, String, bool),
    Hear(String),
    /// Reads nothing, into a small buffer.
    Deaf,
    Shut,
    Reset,
}

/// A status, and the code of a refusal.
type Answer = (u16, Option<String>);

/// How it goes on after the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Open,
    Close,
    Held,
    Ends,
    Gone,
    /// A WebSocket, with the server's code.
    Closed(u16),
    Pongs,
}

/// The table.
pub fn read(table: &str) -> Vec<Attack> {
    let mut attacks: Vec<Attack> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match line.strip_prefix("    ") {
            None => attacks.push(Attack { name: line.to_owned(), connections: 1, ..Attack::default() }),
            Some(step) => {
                let attack = attacks.last_mut().expect("an attack has a name before all");
                attack.add(step).unwrap_or_else(|| panic!("{}: {step:?} is nothing", attack.name));
            }
        }
    }
    for attack in &attacks {
        assert!(attack.then.is_some(), "{}: what does it get?", attack.name);
    }
    attacks
}

impl Attack {
    /// Takes a line of the table.
    fn add(&mut self, line: &str) -> Option<()> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let text = || rest.to_owned();
        match verb {
            "hasty" => self.hasty = true,
            "private" => self.door = Door::Private,
            "control" => self.door = Door::Control,
            "times" => self.connections = rest.parse().ok()?,
            "has" => self.has.push(text()),
            "lacks" => self.lacks.push(text()),
            "=" => return rest.split(", ").try_for_each(|item| self.expect(item)),
            _ => self.steps.push(Step::read(verb, rest)?),
        }
        Some(())
    }

    fn expect(&mut self, item: &str) -> Option<()> {
        let mut words = item.split(' ');
        let first = words.next()?;
        self.then = Some(match first {
            "open" => Then::Open,
            "close" => Then::Close,
            "held" => Then::Held,
            "ends" => Then::Ends,
            "gone" => Then::Gone,
            "pongs" => Then::Pongs,
            "closed" => Then::Closed(words.next()?.parse().ok()?),
            number => {
                let (times, status) = number.split_once('*').unwrap_or(("1", number));
                let answer = (status.parse().ok()?, words.next().map(str::to_owned));
                self.answers.extend(std::iter::repeat_n(answer, times.parse().ok()?));
                return Some(());
            }
        });
        Some(())
    }

    /// Performs it; `Err` says what else it got than it is to get.
    pub fn perform(&self, doors: &Doors) -> Result<(), String> {
        let mut attackers: Vec<Attacker> = (0..self.connections).map(|_| Attacker::connect(self, doors)).collect();
        for step in &self.steps {
            attackers.iter_mut().try_for_each(|attacker| attacker.step(step))?;
        }
        attackers.iter_mut().try_for_each(Attacker::check)
    }
}

impl Step {
    fn read(verb: &str, rest: &str) -> Option<Step> {
        let text = || rest.to_owned();
        let two = || rest.split_once(' ').map(|(first, rest)| (first.to_owned(), rest.to_owned()));
        let frame = |deflated| {
            let (first, payload) = rest.split_once(' ').unwrap_or((rest, ""));
            Some(Step::Frame(u8::from_str_radix(first, 16).ok()?, payload.to_owned(), deflated))
        };
        Some(match verb {
            ">" => Step::Send(text()),
            "get" => Step::Get(text()),
            "post" => {
                let (target, rest) = two()?;
                let (content_type, body) = rest.split_once(' ').unwrap_or((&rest, ""));
                Step::Post(target, content_type.to_owned(), body.to_owned())
            }
            "bayeux" => Step::Post("/bayeux".into(), "application/json".into(), text()),
            "drip" => {
                let (ms, bytes) = two()?;
                Step::Drip(ms.parse().ok()?, bytes)
            }
            "socket" => {
                let (target, fields) = two().unwrap_or((text(), String::new()));
                Step::Socket(target, fields)
            }
            "frame" => frame(false)?,
            "deflated" => frame(true)?,
            "hear" => Step::Hear(text()),
            "deaf" => Step::Deaf,
            "shut" => Step::Shut,
            "reset" => Step::Reset,
            _ => return None,
        })
    }
}

/// One connection of an attack.
struct Attacker<'a> {
    attack: &'a Attack,
    socket: Socket,
    deaf: bool,
    ear: Arc<Ear>,
    epochs: Epochs,
    /// How much of what was heard is done with.
    done: usize,
}

/// What a connection has heard. Listens until its end.
#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    more: Condvar,
}

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    end: Option<End>,
}

impl Ear {
    fn listen(&self, mut socket: Socket) {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let outcome = socket.read(&mut buffer);
            let mut heard = self.heard.lock().expect("nobody panics with it");
            match outcome {
                Ok(0) => heard.end = Some(End::Proper),
                Ok(count) => heard.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => heard.end = Some(End::Reset),
            }
            self.more.notify_all();
            if heard.end.is_some() {
                return;
            }
        }
    }

    /// Waits until `found` finds something; `None` if it never does.
    fn wait<T>(&self, mut found: impl FnMut(&Heard) -> Option<T>) -> Option<T> {
        let until = Instant::now() + DEADLINE;
        let mut heard = self.heard.lock().expect("nobody panics with it");
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match found(&heard) {
                None if heard.end.is_none() && !left.is_zero() => {
                    heard = self.more.wait_timeout(heard, left).expect("nobody panics with it").0;
                }
                outcome => return outcome,
            }
        }
    }
}

impl<'a> Attacker<'a> {
    fn connect(attack: &'a Attack, doors: &Doors) -> Attacker<'a> {
        let (domain, address) = match attack.door {
            Door::Public => (Domain::IPV4, doors.public.into()),
            Door::Private => (Domain::IPV4, doors.private.into()),
            Door::Control => (Domain::UNIX, SockAddr::unix(&doors.control).expect("a short path")),
        };
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        let deaf = attack.steps.iter().any(|step| matches!(step, Step::Deaf));
        if deaf {
            socket.set_recv_buffer_size(4096).expect("a socket");
        }
        socket.connect(&address).expect("a server");
        if !matches!(attack.door, Door::Control) {
            socket.set_tcp_nodelay(true).expect("a socket");
        }
        socket.set_write_timeout(Some(DEADLINE)).expect("a socket");
        let ear = Arc::new(Ear::default());
        if !deaf {
            let (ear, socket) = (ear.clone(), socket.try_clone().expect("a socket"));
            thread::spawn(move || ear.listen(socket));
        }
        Attacker { attack, socket, deaf, ear, epochs: Epochs::default(), done: 0 }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(text) => self.send(&self.bytes(text)),
            Step::Get(target) => self.send(&[b"GET ", &*self.bytes(target), b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat()),
            Step::Post(target, content_type, body) => {
                let body = self.bytes(body);
                let fields = format!("Host: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
                self.send(&[b"POST ", &*self.bytes(target), b" HTTP/1.1\r\n", fields.as_bytes(), &body].concat());
            }
            Step::Drip(ms, text) => self.drip(Duration::from_millis(*ms), &self.bytes(text)),
            Step::Socket(target, fields) => {
                self.send(&[b"GET ", &*self.bytes(target), b" HTTP/1.1\r\n", ws::HANDSHAKE.as_bytes()].concat());
                self.send(&[&*self.bytes(fields), b"\r\n"].concat());
                self.hear(b"HTTP/1.1 101 ")?;
                self.hear(b"\r\n\r\n")?;
            }
            Step::Frame(first, payload, deflated) => {
                let payload = self.bytes(payload);
                self.send(&ws::frame(*first, &if *deflated { ws::deflate(&payload) } else { payload }));
            }
            Step::Hear(text) => self.hear(&self.bytes(text))?,
            Step::Deaf => {}
            Step::Shut => self.socket.shutdown(Shutdown::Write).expect("a socket"),
            Step::Reset => {
                // Takes place when all holds on it are let go.
                self.socket.set_linger(Some(Duration::ZERO)).expect("an open socket");
            }
        }
        Ok(())
    }

    /// As far as the server wants it.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    fn drip(&mut self, pause: Duration, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]);
            let before = self.heard_bytes();
            let heard = self.ear.heard.lock().expect("nobody panics with it");
            let (heard, _) = self.ear.more.wait_timeout(heard, pause).expect("nobody panics with it");
            if heard.end.is_some() || heard.bytes.len() > before {
                return;
            }
        }
    }

    fn heard_bytes(&self) -> usize {
        self.ear.heard.lock().expect("nobody panics with it").bytes.len()
    }

    /// Waits for this text behind what was waited for before.
    fn hear(&mut self, text: &[u8]) -> Result<(), String> {
        let done = self.done;
        let found = self.ear.wait(|heard| memchr::memmem::find(&heard.bytes[done..], text));
        let at = found.ok_or_else(|| self.fault(format_args!("\"{}\" was not heard", text.escape_ascii())))?;
        self.done += at + text.len();
        self.epochs.note(&self.ear.heard.lock().expect("nobody panics with it").bytes, 0);
        Ok(())
    }

    fn bytes(&self, text: &str) -> Vec<u8> {
        unescape(text, &self.epochs)
    }

    /// Whether it got what it is to get.
    fn check(&mut self) -> Result<(), String> {
        let then = self.attack.then.expect("the table is whole");
        match then {
            Then::Gone => return Ok(()),
            Then::Ends if self.deaf => return self.check_deaf(),
            Then::Closed(_) | Then::Pongs => self.check_socket(then)?,
            Then::Open | Then::Close | Then::Held | Then::Ends => self.check_answers(then)?,
        }
        let heard = self.ear.heard.lock().expect("nobody panics with it");
        let holds = |text: &String| memchr::memmem::find(&heard.bytes, &self.bytes(text)).is_some();
        let missing = self.attack.has.iter().find(|text| !holds(text));
        let unwanted = self.attack.lacks.iter().find(|text| holds(text));
        drop(heard);
        match (missing, unwanted) {
            (Some(text), _) => Err(self.fault(format_args!("{text:?} is missing"))),
            (_, Some(text)) => Err(self.fault(format_args!("{text:?} is there"))),
            _ => Ok(()),
        }
    }

    /// Whether the server ends it, though it reads nothing.
    fn check_deaf(&mut self) -> Result<(), String> {
        self.socket.set_write_timeout(Some(Duration::from_millis(20))).expect("a socket");
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            match self.socket.write(b"x") {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Ok(()),
                Ok(_) => thread::park_timeout(Duration::from_millis(2)),
            }
        }
        Err(self.fault(format_args!("it goes on")))
    }

    fn check_answers(&mut self, then: Then) -> Result<(), String> {
        let expected = &self.attack.answers;
        if then == Then::Open {
            self.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        let awaited = expected.len() + usize::from(then == Then::Open);
        let whole = self.ear.wait(|heard| {
            let heads = answers(&heard.bytes).len();
            let ended = heard.end.is_some() || !matches!(then, Then::Close | Then::Ends);
            (heads >= awaited && ended).then_some(())
        });
        let heard = self.ear.heard.lock().expect("nobody panics with it");
        let (answers, end) = (answers(&heard.bytes), heard.end);
        drop(heard);
        let told: Vec<Answer> = answers.iter().map(|(head, body)| (head.status, code(body))).collect();
        let last_closes = answers.last().is_some_and(|(head, _)| head.field("Connection") == Some("close"));
        let fits = match then {
            Then::Open => told.split_last() == Some((&(200, None), expected)) && end.is_none(),
            Then::Held => told == *expected && end.is_none(),
            Then::Close => told == *expected && last_closes && end == Some(End::Proper),
            _ => told == *expected && end.is_some(),
        };
        if whole.is_none() || !fits {
            let last = told.last();
            return Err(self.fault(format_args!("it got {} answers, the last {last:?}, end {end:?}", told.len())));
        }
        Ok(())
    }

    fn check_socket(&mut self, then: Then) -> Result<(), String> {
        if then == Then::Pongs {
            self.send(&ws::frame(PING, b"still there?"));
        }
        let done = self.done;
        let heard = self.ear.wait(|heard| match then {
            Then::Pongs => frames(&heard.bytes[done..]).contains(&(PONG, b"still there?".to_vec())).then_some(()),
            _ => heard.end.map(drop),
        });
        let last = frames(&self.ear.heard.lock().expect("nobody panics with it").bytes[done..]).pop();
        let fits = match (then, &last) {
            (Then::Closed(code), Some((CLOSE, payload))) => payload.starts_with(&code.to_be_bytes()),
            (Then::Pongs, _) => heard.is_some(),
            _ => false,
        };
        match fits {
            true => Ok(()),
            false => Err(self.fault(format_args!("the last frame is {last:?}"))),
        }
    }

    fn fault(&self, what: fmt::Arguments<'_>) -> String {
        let bytes = &self.ear.heard.lock().expect("nobody panics with it").bytes;
        let last = &bytes[bytes.len().saturating_sub(400)..];
        format!("{}: {what}; it heard {} bytes: …{}", self.attack.name, bytes.len(), last.escape_ascii())
    }
}

impl Drop for Attacker<'_> {
    /// The ear has a hold on the socket too, and lets go when there is nothing more to hear.
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Read);
    }
}

/// The heads and bodies of the answers in `bytes`, the last one as far as it is there.
fn answers(bytes: &[u8]) -> Vec<(Head, Vec<u8>)> {
    let (mut decoder, mut answers) = (Decoder::default(), Vec::new());
    decoder.feed(bytes);
    while let Some(piece) = decoder.next().unwrap_or_else(|error| panic!("{error}: {}", bytes.escape_ascii())) {
        match piece {
            Piece::Head(head) => answers.push((head, Vec::new())),
            Piece::Body(more) => answers.last_mut().expect("a head came before").1.extend(more),
            Piece::End => {}
        }
    }
    answers
}

/// What a refusal is called.
fn code(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(value.get("error")?.as_str()?.to_owned())
}

/// The whole frames in `bytes`.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((first, payload, length)) = ws::read_frame(bytes) {
        frames.push((first, payload.to_vec()));
        bytes = &bytes[length..];
    }
    frames
}
