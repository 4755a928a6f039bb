//! A small blocking HTTP/1.1 client over TCP or a Unix socket: one request at a time, one connection kept.
//!
//! Bodies come as they arrive, so that an endless stream can be read. Nothing is retried here: an error means that
//! the connection is gone and that the answer, if there was one, is not known.

use crate::address::Address;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may say nothing. Streams have heartbeats well below it.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;
/// The longest body that is read as a whole.
const BODY_BYTES_MAX: usize = 1 << 30;
const READ_BYTES: usize = 64 << 10;

fn connect(address: &Address, limit: Duration) -> io::Result<Stream> {
    let stream = match address {
        Address::Tcp { host, port } => Stream::Tcp(connect_tcp(host, *port, limit)?),
        Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
    };
    stream.set_up()?;
    Ok(stream)
}

/// Tries each address that the name stands for, and tells of the last failure.
fn connect_tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Either kind of socket.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_up(&self) -> io::Result<()> {
        if let Stream::Tcp(stream) = self {
            stream.set_nodelay(true)?;
        }
        self.wait_for(SILENCE_MAX)
    }

    /// How long the next read and the next write may take.
    fn wait_for(&self, limit: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }
        }
    }

    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(on),
            Stream::Unix(stream) => stream.set_nonblocking(on),
        }
    }

    /// A read that an arriving signal does not end, and whose time-out says what it is.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let outcome = match self {
                Stream::Tcp(stream) => stream.read(room),
                Stream::Unix(stream) => stream.read(room),
            };
            match outcome {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(io::Error::new(ErrorKind::WouldBlock, "the server has been silent for too long"));
                }
                outcome => return outcome,
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// A socket and what was read from it but not yet taken.
struct Connection {
    stream: Stream,
    received: Vec<u8>,
    /// When the exchange under way must be over, if that was said.
    deadline: Option<Instant>,
}

impl Connection {
    /// Whether it can carry another request: open, and nothing said that nobody asked for.
    fn is_usable(&mut self) -> bool {
        let looked = self.stream.set_nonblocking(true).and_then(|()| self.stream.read(&mut [0]));
        let silent = matches!(looked, Err(error) if error.kind() == ErrorKind::WouldBlock);
        silent && self.received.is_empty() && self.stream.set_nonblocking(false).is_ok()
    }

    /// Waits for more bytes. Their end is an error here: whoever may meet it asks [`Connection::fill_or_end`].
    fn fill(&mut self) -> io::Result<()> {
        match self.fill_or_end()? {
            true => Ok(()),
            false => Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
        }
    }

    /// Whoever waits from here on does so until the deadline, if there is one.
    fn hurry(&self) -> io::Result<()> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::new(ErrorKind::TimedOut, "the answer takes too long")),
            left => self.stream.wait_for(left.min(SILENCE_MAX)),
        }
    }

    fn fill_or_end(&mut self) -> io::Result<bool> {
        self.hurry()?;
        let taken = self.received.len();
        self.received.resize(taken + READ_BYTES, 0);
        let outcome = loop {
            match self.stream.read(&mut self.received[taken..]) {
                // A socket with a time limit may be interrupted by nothing in particular.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        self.received.truncate(taken + *outcome.as_ref().unwrap_or(&0));
        outcome.map(|count| count > 0)
    }

    /// Takes at most `count` of the bytes that are here.
    fn take(&mut self, count: u64) -> Vec<u8> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.received.len());
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }
}

/// One request.
pub struct Request<'a> {
    pub method: &'a str,
    /// Path and query, percent-encoded.
    pub target: &'a str,
    /// Beside `Host` and `Content-Length`. Values hold no line break.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl Request<'_> {
    fn head(&self, host: &str) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        for (name, value) in self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.method == "POST" {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }
}

/// A server, and the connection to it if there is one.
pub struct Client {
    address: Address,
    open: Option<Connection>,
    /// How long an exchange may take as a whole.
    limit: Option<Duration>,
}

impl Client {
    /// A client of the server at `address`; connects with the first request.
    pub fn new(address: Address) -> Client {
        Client { address, open: None, limit: None }
    }

    /// The same, which gives up when an exchange has taken `limit`, from its first byte to the last of the answer.
    pub fn limited(address: Address, limit: Duration) -> Client {
        Client { limit: Some(limit), ..Client::new(address) }
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends `request` and waits for the answer's head.
    pub fn send(&mut self, request: &Request<'_>) -> io::Result<Response<'_>> {
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        let kept = self.open.take().and_then(|mut connection| connection.is_usable().then_some(connection));
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let limit = self.limit.map_or(CONNECT_TIMEOUT, |limit| limit.min(CONNECT_TIMEOUT));
                Connection { stream: connect(&self.address, limit)?, received: Vec::new(), deadline: None }
            }
        };
        connection.deadline = deadline;
        connection.hurry()?;
        let mut bytes = request.head(&self.address.host()).into_bytes();
        bytes.extend_from_slice(request.body);
        let written = connection.stream.write_all(&bytes);
        // A server that refuses a long body may answer and close before it has read it all: the answer says more.
        match (read_head(&mut connection), written) {
            (Ok(head), _) => Ok(Response { status: head.status, client: self, connection, head }),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes of a chunk are left; then its line end and the next size come.
    Chunk(u64),
    /// The next chunk's size comes.
    ChunkSize,
    /// Trailers come, until a blank line.
    Trailers,
    /// It ends with the connection.
    UntilClose,
}

#[derive(Clone, Copy)]
struct Head {
    status: u16,
    framing: Framing,
    keep: bool,
}

/// Reads heads until one is final.
fn read_head(connection: &mut Connection) -> io::Result<Head> {
    loop {
        match parse_head(&connection.received)? {
            Some((used, head)) => {
                connection.take(used as u64);
                if head.status >= 200 {
                    return Ok(head);
                }
            }
            None if connection.received.len() > HEAD_BYTES_MAX => return Err(broken("its head is too long")),
            None => connection.fill()?,
        }
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(broken(&format!("{error}"))),
    };
    let status = response.code.unwrap_or(0);
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok().map(|value| value.trim().to_ascii_lowercase())
    };
    let framing = match (value("transfer-encoding"), value("content-length")) {
        _ if status < 200 || status == 204 || status == 304 => Framing::Length(0),
        (Some(coding), _) if coding == "chunked" => Framing::ChunkSize,
        (Some(_), _) => return Err(broken("its transfer encoding is not known")),
        (None, Some(length)) => Framing::Length(length.parse().map_err(|_| broken("its length is not a number"))?),
        (None, None) => Framing::UntilClose,
    };
    let close = value("connection").is_some_and(|value| value.contains("close"));
    let keep = response.version == Some(1) && !close && framing != Framing::UntilClose;
    Ok(Some((used, Head { status, framing, keep })))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the answer is not HTTP: {what}"))
}

/// An answer whose body may still be on its way. Dropped before its end, it takes the connection with it.
pub struct Response<'a> {
    pub status: u16,
    client: &'a mut Client,
    connection: Connection,
    head: Head,
}

impl Response<'_> {
    /// The next bytes of the body as they come; `None` at its end.
    pub fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let connection = &mut self.connection;
            match self.head.framing {
                Framing::Length(0) => return Ok(None),
                Framing::UntilClose if connection.received.is_empty() && !connection.fill_or_end()? => {
                    self.head.framing = Framing::Length(0);
                }
                Framing::UntilClose => return Ok(Some(connection.take(u64::MAX))),
                Framing::Length(_) | Framing::Chunk(1..) if connection.received.is_empty() => connection.fill()?,
                Framing::Length(left) => {
                    let bytes = connection.take(left);
                    self.head.framing = Framing::Length(left - bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Framing::Chunk(left @ 1..) => {
                    let bytes = connection.take(left);
                    self.head.framing = Framing::Chunk(left - bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Framing::Chunk(0) => {
                    if !self.line()?.is_empty() {
                        return Err(broken("a chunk is longer than its size"));
                    }
                    self.head.framing = Framing::ChunkSize;
                }
                Framing::ChunkSize => {
                    self.head.framing = match chunk_size(&self.line()?)? {
                        0 => Framing::Trailers,
                        size => Framing::Chunk(size),
                    };
                }
                Framing::Trailers => {
                    if self.line()?.is_empty() {
                        self.head.framing = Framing::Length(0);
                    }
                }
            }
        }
    }

    /// One line of the chunks' framing, without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let received = &self.connection.received;
            if let Some(end) = received.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.connection.take(end as u64 + 2);
                line.truncate(end);
                return Ok(line);
            }
            if received.len() > HEAD_BYTES_MAX {
                return Err(broken("a line between chunks is too long"));
            }
            self.connection.fill()?;
        }
    }

    /// The whole body. Its connection is kept for the next request if the server lets it.
    pub fn whole(mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(bytes) = self.next()? {
            body.extend_from_slice(&bytes);
            if body.len() > BODY_BYTES_MAX {
                return Err(broken("its body is too long"));
            }
        }
        if self.head.keep {
            self.client.open = Some(self.connection);
        }
        Ok(body)
    }
}

/// Hexadecimal digits, then perhaps extensions, which mean nothing here.
fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits).unwrap_or_default().trim();
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = if plain { u64::from_str_radix(text, 16).ok() } else { None };
    size.ok_or_else(|| broken("a chunk's size is not a number"))
}

/// What a server said when it did not do what was asked, for people: `{"error","detail"}`, or the status alone.
pub fn refusal(status: u16, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        detail: String,
    }
    match serde_json::from_slice(body) {
        Ok(Refusal { error, detail }) if detail.is_empty() => format!("the server refused: {error} ({status})"),
        Ok(Refusal { error, detail }) => format!("the server refused: {detail} ({status} {error})"),
        Err(_) => format!("the server refused with status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scene, play};

    fn get(client: &mut Client) -> io::Result<(u16, Vec<u8>)> {
        let request = Request { method: "GET", target: "/", headers: &[], body: b"" };
        let response = client.send(&request)?;
        Ok((response.status, response.whole()?))
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nA: b\r\n\r\n", "hello"),
            ("HTTP/1.1 200 OK\r\n\r\nhello", "hello"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi"),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ""),
        ] {
            let (address, server) = play(vec![Scene::answer(answer).then_close()]);
            let (_, body) = get(&mut Client::new(address)).unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), expected, "{answer}");
            server.join().unwrap();
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_or_no_http_is_an_error() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello, you\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200",
            "SSH-2.0\r\n\r\n",
        ] {
            let (address, server) = play(vec![Scene::answer(answer).then_close()]);
            assert!(get(&mut Client::new(address)).is_err(), "{answer}");
            server.join().unwrap();
        }
    }

    #[test]
    fn a_connection_is_kept_for_the_next_request() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
        let (address, server) = play(vec![Scene::answer(&format!("{ok}1")), Scene::answer(&format!("{ok}2"))]);
        let mut client = Client::new(address);
        assert_eq!(get(&mut client).unwrap().1, b"1");
        assert_eq!(get(&mut client).unwrap().1, b"2");
        server.join().unwrap();
    }

    #[test]
    fn a_connection_that_was_closed_or_speaks_unasked_carries_no_request() {
        let pair = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (Connection { stream: Stream::Unix(ours), received: Vec::new(), deadline: None }, theirs)
        };
        let (mut open, _theirs) = pair();
        assert!(open.is_usable());
        let (mut closed, theirs) = pair();
        drop(theirs);
        assert!(!closed.is_usable());
        let (mut speaking, mut theirs) = pair();
        theirs.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        assert!(!speaking.is_usable());
    }

    #[test]
    fn a_limited_client_gives_up_in_time_on_whoever_says_nothing() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let mut client = Client::limited(Address::Tcp { host: "127.0.0.1".into(), port }, Duration::from_millis(50));
        let error = get(&mut client).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock), "{error:?}");
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"error":"forbidden","detail":"publishing is for the private listener"}"#;
        let told = "the server refused: publishing is for the private listener (403 forbidden)";
        assert_eq!(refusal(403, body), told);
        assert_eq!(refusal(502, b"<html>"), "the server refused with status 502");
    }
}
