//! HTTP responses, read a piece at a time and strictly: whatever a careful client would stumble on is an error.

use std::mem;

/// The status and the fields of a response.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The value of the field called `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn read(text: &str) -> Result<Head, String> {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..4)).and_then(|code| code.strip_suffix(' '));
        let status = status.and_then(|code| code.parse().ok()).ok_or_else(|| format!("no status line: {first:?}"))?;
        let fields = lines.map(|line| match line.split_once(": ") {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("no field: {line:?}")),
        });
        Ok(Head { status, fields: fields.collect::<Result<_, _>>()? })
    }

    fn body(&self) -> Result<State, String> {
        match (self.field("Transfer-Encoding"), self.field("Content-Length")) {
            (Some("chunked"), None) => Ok(State::ChunkSize),
            (None, Some(length)) => match length.parse() {
                Ok(0) => Ok(State::End),
                Ok(length) => Ok(State::Sized(length)),
                Err(_) => Err(format!("no length: {length:?}")),
            },
            (None, None) if matches!(self.status, 204 | 304) => Ok(State::End),
            (None, None) => Ok(State::UntilClose),
            (encoding, length) => Err(format!("framed by {encoding:?} and {length:?}")),
        }
    }
}

/// A piece of a response.
#[derive(Debug)]
pub enum Piece {
    Head(Head),
    Body(Vec<u8>),
    /// The response is complete.
    End,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Sized(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    LastLine,
    UntilClose,
    End,
}

/// Bytes of a connection to pieces of responses.
#[derive(Debug)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Up to where they were read.
    at: usize,
    state: State,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { bytes: Vec::new(), at: 0, state: State::Head }
    }
}

impl Decoder {
    /// Takes what came in.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..mem::take(&mut self.at));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next piece, if it is there.
    pub fn next(&mut self) -> Result<Option<Piece>, String> {
        loop {
            match self.state {
                State::Head => {
                    let Some(text) = self.text_before(b"\r\n\r\n")? else { return Ok(None) };
                    let head = Head::read(&text)?;
                    if head.status >= 200 {
                        self.state = head.body()?;
                        return Ok(Some(Piece::Head(head)));
                    }
                }
                State::Sized(length) => {
                    return Ok(self.take(length, |rest| if rest == 0 { State::End } else { State::Sized(rest) }));
                }
                State::ChunkSize => {
                    let Some(line) = self.text_before(b"\r\n")? else { return Ok(None) };
                    let size = usize::from_str_radix(&line, 16).map_err(|_| format!("no chunk size: {line:?}"))?;
                    self.state = if size == 0 { State::LastLine } else { State::Chunk(size) };
                }
                State::Chunk(length) => {
                    return Ok(self.take(length, |rest| if rest == 0 { State::ChunkEnd } else { State::Chunk(rest) }));
                }
                State::ChunkEnd => {
                    if !self.empty_line("a chunk")? {
                        return Ok(None);
                    }
                    self.state = State::ChunkSize;
                }
                State::LastLine => {
                    if !self.empty_line("the last chunk")? {
                        return Ok(None);
                    }
                    self.state = State::End;
                }
                State::UntilClose => return Ok(self.take(usize::MAX, |_| State::UntilClose)),
                State::End => {
                    self.state = State::Head;
                    return Ok(Some(Piece::End));
                }
            }
        }
    }

    /// Whether the connection may close here without cutting something off.
    pub fn may_close(&self) -> bool {
        self.at == self.bytes.len() && matches!(self.state, State::Head | State::UntilClose)
    }

    fn take(&mut self, length: usize, then: impl FnOnce(usize) -> State) -> Option<Piece> {
        let there = &self.bytes[self.at..];
        let count = there.len().min(length);
        if count == 0 {
            return None;
        }
        let body = there[..count].to_vec();
        self.at += count;
        self.state = then(length - count);
        Some(Piece::Body(body))
    }

    fn text_before(&mut self, end: &[u8]) -> Result<Option<String>, String> {
        let Some(length) = memchr::memmem::find(&self.bytes[self.at..], end) else { return Ok(None) };
        let text = self.bytes[self.at..self.at + length].to_vec();
        self.at += length + end.len();
        String::from_utf8(text).map(Some).map_err(|error| error.to_string())
    }

    fn empty_line(&mut self, after: &str) -> Result<bool, String> {
        match self.text_before(b"\r\n")? {
            None => Ok(false),
            Some(line) if line.is_empty() => Ok(true),
            Some(line) => Err(format!("{line:?} follows {after}")),
        }
    }
}
