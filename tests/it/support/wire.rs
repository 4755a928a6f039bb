//! One connection, byte by byte and blocking, for what a well-behaved client would not do.

use super::DEADLINE;
use super::http::{Decoder, Head, Piece};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// The connection.
pub struct Wire {
    socket: Socket,
    decoder: Decoder,
    /// What [`Wire::until`] has read beyond what it was asked for.
    ahead: Vec<u8>,
}

/// A whole response.
#[derive(Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Proper,
    Reset,
}

impl Response {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The member called `name` of the JSON object in the body.
    pub fn member(&self, name: &str) -> serde_json::Value {
        let object: serde_json::Value = serde_json::from_slice(&self.body).expect("a JSON body");
        object[name].clone()
    }
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Wire {
        Wire::with_window(address, None)
    }

    /// One whose socket keeps only so many unread bytes.
    pub fn with_window(address: SocketAddr, bytes: Option<usize>) -> Wire {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        if let Some(bytes) = bytes {
            socket.set_recv_buffer_size(bytes).expect("a socket");
        }
        socket.connect(&address.into()).expect("a server");
        socket.set_tcp_nodelay(true).expect("a socket");
        Wire::over(socket)
    }

    /// One that comes from another address of this machine.
    pub fn connect_from(local: &str, address: SocketAddr) -> Wire {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(local.parse().expect("an address"), 0).into()).expect("an address of this machine");
        socket.connect(&address.into()).expect("a server");
        Wire::over(socket)
    }

    pub fn connect_unix(path: &Path) -> Wire {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        socket.connect(&SockAddr::unix(path).expect("a short path")).expect("a server");
        Wire::over(socket)
    }

    fn over(socket: Socket) -> Wire {
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        socket.set_write_timeout(Some(DEADLINE)).expect("a socket");
        Wire { socket, decoder: Decoder::default(), ahead: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("a peer that reads");
    }

    /// Sends, whether or not the peer still wants it.
    pub fn offer(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// A second hold on the same connection, to write from another thread.
    pub fn writer(&self) -> Socket {
        self.socket.try_clone().expect("a socket")
    }

    /// Sends no more.
    pub fn shut(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("a socket");
    }

    /// The next piece of a response; `Err` is how the connection ended.
    pub fn piece(&mut self) -> Result<Piece, End> {
        loop {
            if let Some(piece) = self.decoder.next().unwrap_or_else(|error| panic!("{error}")) {
                return Ok(piece);
            }
            let mut buffer = [0; 16 << 10];
            match self.socket.read(&mut buffer) {
                Ok(0) if self.decoder.may_close() => return Err(End::Proper),
                Ok(0) => panic!("a response was cut off"),
                Ok(count) => self.decoder.feed(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Err(End::Reset),
                // A socket with a time limit may be interrupted by nothing in particular.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// Whether something comes within `patience`.
    pub fn has_answer_within(&mut self, patience: Duration) -> bool {
        self.socket.set_read_timeout(Some(patience)).expect("a socket");
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let answered = self.socket.peek(&mut byte).is_ok();
        self.socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        answered
    }

    /// The next response, whole.
    pub fn response(&mut self) -> Response {
        self.response_or_end().unwrap_or_else(|end| panic!("no answer but an end: {end:?}"))
    }

    pub fn response_or_end(&mut self) -> Result<Response, End> {
        let mut response = Response { head: Head::default(), body: Vec::new() };
        loop {
            match self.piece()? {
                Piece::Head(head) => response.head = head,
                Piece::Body(bytes) => response.body.extend_from_slice(&bytes),
                Piece::End => return Ok(response),
            }
        }
    }

    /// Reads bodies up to and with `text`; what follows it in the same piece is for the next call.
    pub fn until(&mut self, text: &str) {
        let until = Instant::now() + DEADLINE;
        let mut looked_through = 0;
        loop {
            if let Some(found) = memchr::memmem::find(&self.ahead[looked_through..], text.as_bytes()) {
                self.ahead.drain(..looked_through + found + text.len());
                return;
            }
            // The text may have begun.
            looked_through = self.ahead.len().saturating_sub(text.len());
            let piece = self.piece();
            match piece {
                Ok(Piece::Body(bytes)) if Instant::now() < until => self.ahead.extend_from_slice(&bytes),
                Ok(Piece::Head(_)) => {}
                other => panic!("{other:?} before {text:?}, after {:?}", String::from_utf8_lossy(&self.ahead)),
            }
        }
    }

    /// How the connection ends; nothing may come before that.
    pub fn end(&mut self) -> End {
        match self.piece() {
            Err(end) => end,
            Ok(piece) => panic!("no end but {piece:?}"),
        }
    }

    /// Sends a request without a body.
    pub fn get(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }

    /// Asks and reads the answer.
    pub fn ask(&mut self, target: &str) -> Response {
        self.get(target);
        self.response()
    }

    /// Publishes and reads the answer.
    pub fn publish(&mut self, channel: &str, data: &str) -> Response {
        self.send(post(channel, "text/plain", data));
        self.response()
    }

    /// Subscribes by SSE and waits until that is so.
    pub fn listen(&mut self, target: &str) {
        self.get(target);
        self.until("\n\n");
    }
}

/// A publish.
pub fn post(channel: &str, content_type: &str, data: &str) -> String {
    format!(
        "POST /pub{channel} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{data}",
        data.len()
    )
}
