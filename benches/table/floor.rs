//! The floor: the least a server could do. One thread, one poll, sockets in an array; it knows of HTTP that a request
//! ends with a blank line, and of push that the same bytes go to each socket, one `send` each.
//!
//! Its second listener takes orders, never answered: `FROM TO LEN\n` and `LEN` bytes, which go to the sockets that were
//! accepted as `FROM..TO`. It gives up, loudly, on anything a server would have to handle: a full socket, a missing one.

use crate::Outcome;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n";
const LOOPBACK: &str = "127.0.0.1:0";
const PUBLIC: Token = Token(usize::MAX - 1);
const PRIVATE: Token = Token(usize::MAX - 2);
/// The first of the connections that give orders; sockets are parked far below.
const ORDERS: usize = usize::MAX / 2;

/// Runs until it is killed. Prints its two addresses as Encke does: public first, on stderr.
pub fn serve() -> Outcome<()> {
    let poll = Poll::new()?;
    let (public, private) = (listen(&poll, PUBLIC, LOOPBACK)?, listen(&poll, PRIVATE, LOOPBACK)?);
    eprintln!("http://{}\nhttp://{}", public.local_addr()?, private.local_addr()?);
    run(poll, public, private)
}

/// The same by so many threads, each with a descriptor table and two addresses of its own: a line with both for each thread.
pub fn serve_by(threads: usize) -> Outcome<()> {
    let serve = || -> Outcome<()> {
        crate::os::own_descriptors()?;
        let poll = Poll::new()?;
        let (public, private) = (listen(&poll, PUBLIC, "0.0.0.0:0")?, listen(&poll, PRIVATE, LOOPBACK)?);
        eprintln!("floor {} {}", public.local_addr()?, private.local_addr()?);
        run(poll, public, private)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(move || serve().map_err(|error| error.to_string()))).collect();
        threads.into_iter().try_for_each(|thread| Ok(thread.join().map_err(|_| "a thread panicked")??))
    })
}

fn run(mut poll: Poll, mut public: TcpListener, mut private: TcpListener) -> Outcome<()> {
    let mut floor = Floor::default();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                PUBLIC => floor.accept(&poll, &mut public)?,
                PRIVATE => floor.accept_orders(&poll, &mut private)?,
                Token(place) if place >= ORDERS => floor.obey(place - ORDERS, &mut buffer)?,
                Token(slot) => floor.answer(slot, &mut buffer),
            }
        }
    }
}

fn listen(poll: &Poll, token: Token, address: &str) -> Outcome<TcpListener> {
    let mut listener = TcpListener::bind(address.parse()?)?;
    crate::os::no_delay(&listener)?;
    poll.registry().register(&mut listener, token, Interest::READABLE)?;
    Ok(listener)
}

#[derive(Default)]
struct Floor {
    parked: Vec<Option<Parked>>,
    free: Vec<usize>,
    orders: Vec<Orders>,
}

struct Orders {
    socket: TcpStream,
    /// The beginning of an order.
    unread: Vec<u8>,
}

struct Parked {
    socket: TcpStream,
    /// How many bytes of a blank line the request ends with so far.
    blank: usize,
}

impl Floor {
    fn accept(&mut self, poll: &Poll, listener: &mut TcpListener) -> Outcome<()> {
        while let Some(mut socket) = would_block(listener.accept())?.map(|(socket, _)| socket) {
            let slot = self.free.pop().unwrap_or(self.parked.len());
            poll.registry().register(&mut socket, Token(slot), Interest::READABLE)?;
            self.parked.resize_with(self.parked.len().max(slot + 1), || None);
            self.parked[slot] = Some(Parked { socket, blank: 0 });
        }
        Ok(())
    }

    fn accept_orders(&mut self, poll: &Poll, listener: &mut TcpListener) -> Outcome<()> {
        while let Some(mut socket) = would_block(listener.accept())?.map(|(socket, _)| socket) {
            poll.registry().register(&mut socket, Token(ORDERS + self.orders.len()), Interest::READABLE)?;
            self.orders.push(Orders { socket, unread: Vec::new() });
        }
        Ok(())
    }

    /// A head for each blank line, all of one read in one `send`.
    fn answer(&mut self, slot: usize, buffer: &mut [u8]) {
        let Some(parked) = self.parked[slot].as_mut() else { return };
        let alive = match parked.socket.read(buffer) {
            Ok(0) => false,
            Ok(count) => {
                let requests = parked.blank_lines(&buffer[..count]);
                requests == 0 || parked.socket.write(&HEAD.repeat(requests)).is_ok_and(|sent| sent == requests * HEAD.len())
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if !alive {
            self.parked[slot] = None;
            self.free.push(slot);
        }
    }

    fn obey(&mut self, place: usize, buffer: &mut [u8]) -> Outcome<()> {
        let orders = &mut self.orders[place];
        while let Some(count @ 1..) = would_block(orders.socket.read(buffer))? {
            orders.unread.extend_from_slice(&buffer[..count]);
        }
        let mut done = 0;
        while let Some((from, to, frame, len)) = order(&orders.unread[done..])? {
            for parked in &mut self.parked[from..to] {
                let sent = parked.as_mut().ok_or("nobody is parked there")?.socket.write(frame)?;
                if sent < frame.len() {
                    return Err("a receiver is full".into());
                }
            }
            done += len;
        }
        orders.unread.drain(..done);
        Ok(())
    }
}

impl Parked {
    fn blank_lines(&mut self, bytes: &[u8]) -> usize {
        let (mut at, mut found) = (0, 0);
        while at < bytes.len() {
            if self.blank == 0 {
                // Most bytes are no line's end: step over them at once.
                let Some(next) = bytes[at..].iter().position(|&byte| byte == b'\r') else { break };
                at += next;
            }
            self.blank = match (self.blank, bytes[at]) {
                (1, b'\n') => 2,
                (2, b'\r') => 3,
                (3, b'\n') => {
                    found += 1;
                    0
                }
                (_, b'\r') => 1,
                _ => 0,
            };
            at += 1;
        }
        found
    }
}

type Order<'a> = (usize, usize, &'a [u8], usize);

/// The first order, and its length; `None` if it is not all there yet.
fn order(bytes: &[u8]) -> Outcome<Option<Order<'_>>> {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let mut words = std::str::from_utf8(&bytes[..end])?.split(' ').map(str::parse::<usize>);
    let mut word = || words.next().ok_or("an order has three numbers");
    let (from, to, len) = (word()??, word()??, word()??);
    Ok(bytes.get(end + 1..end + 1 + len).map(|frame| (from, to, frame, end + 1 + len)))
}

/// "Not yet" is a value.
fn would_block<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
