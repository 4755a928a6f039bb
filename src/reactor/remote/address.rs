//! Where a server is, and how a connection there becomes a framed stream: on the control socket it is one from its
//! first byte; on a private listener HTTP is asked for it first.

use super::super::socket;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a connect, and each part of the exchange that follows, may take.
const LIMIT: Duration = Duration::from_secs(1);

/// The longest answer to a request for a framed stream.
const ANSWER_BYTES_MAX: usize = 8 << 10;

/// A server's address.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// The path, which the system may find too long.
    Unix(String),
    /// Host and port, as in `Host`.
    Http(String),
}

/// What to do when a control socket's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Come back later.
    Short,
    /// Wait for a place.
    Long,
}

impl Address {
    /// `unix:` and a path, or `http://`, host, `:` and port.
    pub(super) fn parse(text: &str) -> Option<Address> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty() && !path.contains('\0')).then(|| Address::Unix(path.to_string()));
        }
        let authority = text.strip_prefix("http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':')?;
        let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@".contains(&byte));
        (is_host && port.parse::<u16>().is_ok()).then(|| Address::Http(authority.to_string()))
    }

    /// A connection that takes the preface next.
    pub(super) fn dial(&self, patience: Patience) -> io::Result<Socket> {
        let socket = match self {
            Address::Unix(path) => dial_unix(path, patience)?,
            Address::Http(authority) => dial_http(authority)?,
        };
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

fn dial_unix(path: &str, patience: Patience) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket::quiet(SockRef::from(&socket))?;
    match patience {
        Patience::Long => socket.set_write_timeout(Some(LIMIT))?,
        Patience::Short => socket.set_nonblocking(true)?,
    }
    socket.connect(&address)?;
    Ok(socket)
}

fn dial_http(authority: &str) -> io::Result<Socket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in authority.to_socket_addrs()? {
        match upgrade(address, authority) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects and asks for a framed stream; an answer that is none is an error with its first line.
fn upgrade(address: SocketAddr, authority: &str) -> io::Result<Socket> {
    let mut socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket::quiet(SockRef::from(&socket))?;
    socket.connect_timeout(&address.into(), LIMIT)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_write_timeout(Some(LIMIT))?;
    socket.set_read_timeout(Some(LIMIT))?;
    let request = format!("GET /frames HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: encke1\r\n\r\n");
    if socket::send(&socket, [request.as_bytes(), &[]])? < request.len() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the server takes no request"));
    }
    let until = Instant::now() + LIMIT;
    let mut answer = Vec::new();
    // Byte by byte: what follows the answer is the stream's. It happens once a connection.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if answer.len() == ANSWER_BYTES_MAX || Instant::now() > until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not come to the end of its answer"));
        }
        match socket.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => answer.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if answer.starts_with(b"HTTP/1.1 101 ") {
        return Ok(socket);
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_string();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the server answers {line:?}; is this its private listener?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_are_addresses() {
        for good in ["unix:/run/encke.sock", "http://127.0.0.1:8081", "http://[::1]:80/", "http://localhost:1"] {
            assert!(Address::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "unix:",
            "unix:/a\0b",
            "http://",
            "http://a",
            "http://:80",
            "http://a:b",
            "http://a/b:80",
            "https://a:80",
            "http://u@a:80",
            "http://a b:80",
        ] {
            assert!(Address::parse(bad).is_none(), "{bad:?}");
        }
    }
}
