//! What a client makes of the bytes it gets: HTTP/1.1 responses (RFC 9112), and the events of a stream (WHATWG HTML,
//! section 9.2.6).
//!
//! Written from the standards alone, sharing no line with the code under test, and strict: what a lenient client
//! would let pass is a failure here.

use std::collections::VecDeque;

/// What comes out of a connection, in order.
#[derive(Debug)]
pub enum Piece {
    Head(Head),
    Body(Vec<u8>),
    /// The response is complete; another one may follow.
    End,
}

/// A response's status and fields.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The field called `name`, which occurs at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "two fields {name} in {self:?}");
        value
    }

    /// Whether the server will take no other request on this connection.
    pub fn ends_connection(&self) -> bool {
        self.field("Connection") == Some("close")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Head,
    /// So much more of a body whose length was given.
    Sized(usize),
    ChunkSize,
    ChunkData(usize),
    ChunkEnd,
    /// The empty line behind the last chunk: this server sends no trailers.
    LastLine,
    /// A body that ends with the connection.
    UntilEnd,
}

/// The responses on one connection.
pub struct Responses {
    bytes: VecDeque<u8>,
    expect: Expect,
}

/// The status of a response that is all there, and its body.
pub fn read_whole(bytes: &[u8]) -> (u16, Vec<u8>) {
    let (mut status, mut body) = (0, Vec::new());
    for piece in Responses::new().take(bytes) {
        match piece {
            Piece::Head(head) => status = head.status,
            Piece::Body(bytes) => body.extend(bytes),
            Piece::End => {}
        }
    }
    (status, body)
}

impl Responses {
    pub fn new() -> Responses {
        Responses { bytes: VecDeque::new(), expect: Expect::Head }
    }

    /// Takes what came, in whatever pieces.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.bytes.extend(bytes);
        let mut pieces = Vec::new();
        while self.step(&mut pieces) {}
        pieces
    }

    /// The connection ended in good order; `true` if that was also the end of a response.
    pub fn ended(&self) -> bool {
        self.expect == Expect::UntilEnd
    }

    fn step(&mut self, pieces: &mut Vec<Piece>) -> bool {
        match self.expect {
            Expect::Head => {
                let Some(text) = self.until(b"\r\n\r\n") else { return false };
                let head = parse_head(&text);
                self.expect = match head.status {
                    // What follows is another protocol's.
                    101 => Expect::UntilEnd,
                    100..200 => Expect::Head,
                    _ => body_of(&head),
                };
                let bodiless = self.expect == Expect::Head && head.status >= 200;
                pieces.push(Piece::Head(head));
                pieces.extend(bodiless.then_some(Piece::End));
                true
            }
            Expect::Sized(0) => self.end(pieces),
            Expect::Sized(missing) => self.body(pieces, missing, Expect::Sized),
            Expect::ChunkSize => {
                let Some(line) = self.until(b"\r\n") else { return false };
                assert!(!line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit()), "chunk size {line:?}");
                self.expect = match usize::from_str_radix(&line, 16).expect("digits") {
                    0 => Expect::LastLine,
                    size => Expect::ChunkData(size),
                };
                true
            }
            Expect::ChunkData(0) => {
                self.expect = Expect::ChunkEnd;
                true
            }
            Expect::ChunkData(missing) => self.body(pieces, missing, Expect::ChunkData),
            Expect::ChunkEnd => {
                let Some(line) = self.until(b"\r\n") else { return false };
                assert_eq!(line, "", "a chunk is longer than its size");
                self.expect = Expect::ChunkSize;
                true
            }
            Expect::LastLine => {
                let Some(line) = self.until(b"\r\n") else { return false };
                assert_eq!(line, "", "a trailer");
                self.end(pieces)
            }
            Expect::UntilEnd => self.body(pieces, usize::MAX, |_| Expect::UntilEnd),
        }
    }

    fn end(&mut self, pieces: &mut Vec<Piece>) -> bool {
        self.expect = Expect::Head;
        pieces.push(Piece::End);
        true
    }

    fn body(&mut self, pieces: &mut Vec<Piece>, missing: usize, then: impl Fn(usize) -> Expect) -> bool {
        let count = missing.min(self.bytes.len());
        if count > 0 {
            pieces.push(Piece::Body(self.bytes.drain(..count).collect()));
            self.expect = then(missing - count);
        }
        count > 0
    }

    /// What stands before `end`, as text; `None` while that has not come.
    fn until(&mut self, end: &[u8]) -> Option<String> {
        let bytes = self.bytes.make_contiguous();
        let len = bytes.windows(end.len()).position(|window| window == end)?;
        let text = String::from_utf8(bytes[..len].to_vec()).expect("a head is ASCII");
        self.bytes.drain(..len + end.len());
        Some(text)
    }
}

fn parse_head(text: &str) -> Head {
    let mut lines = text.split("\r\n");
    let status_line = lines.next().expect("split gives a first");
    let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|digits| digits.parse().ok());
    let status = status.unwrap_or_else(|| panic!("status line {status_line:?}"));
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("field {line:?}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "field {line:?}");
        assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "field {line:?}");
        (name.to_owned(), value.to_owned())
    };
    Head { status, fields: lines.map(field).collect() }
}

/// RFC 9112, section 6.3.
fn body_of(head: &Head) -> Expect {
    let length = head.field("Content-Length").map(|length| length.parse().expect("a length"));
    match head.field("Transfer-Encoding") {
        _ if matches!(head.status, 204 | 304) => Expect::Head,
        Some("chunked") => {
            assert!(length.is_none(), "both a length and chunks");
            Expect::ChunkSize
        }
        Some(other) => panic!("transfer encoding {other:?}"),
        None => length.map_or(Expect::UntilEnd, Expect::Sized),
    }
}

/// What a stream tells at an empty line.
#[derive(Debug)]
pub struct Event {
    pub name: String,
    /// `None`: no event, though the id counts.
    pub data: Option<String>,
    /// What the client gives back as `Last-Event-ID`; empty before the first.
    pub id: String,
}

/// The events of one stream.
#[derive(Default)]
pub struct Events {
    /// `application/x-dom-event-stream`: a capital `Event`, which stands above all data.
    old: bool,
    line: Vec<u8>,
    after_cr: bool,
    name: String,
    data: String,
    id: String,
}

impl Events {
    pub fn new(old: bool) -> Events {
        Events { old, ..Events::default() }
    }

    pub fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    let line = String::from_utf8(std::mem::take(&mut self.line)).expect("a stream is UTF-8");
                    events.extend(self.line(&line));
                }
                _ => self.line.push(byte),
            }
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => return Some(self.dispatch()),
            "" => {}
            "event" if !self.old => self.name = value.to_owned(),
            "Event" if self.old => self.name = value.to_owned(),
            "data" => self.data += &format!("{value}\n"),
            "id" => self.id = value.to_owned(),
            "retry" => assert!(value.parse::<u64>().is_ok(), "retry {value:?}"),
            _ => panic!("field {line:?}"),
        }
        None
    }

    fn dispatch(&mut self) -> Event {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        let data = data.strip_suffix('\n').map(str::to_owned);
        assert!(!self.old || data.is_some() != name.is_empty(), "an event has a name");
        let name = if self.old && name == "message" { String::new() } else { name };
        Event { name, data, id: self.id.clone() }
    }
}
