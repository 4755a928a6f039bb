//! Publishing over keep-alive connections, with nobody listening: one request at a time on one connection (a round trip),
//! one at a time on each of 16, and 16 at a time on one.
//!
//! The floor answers each blank line with its ready head and keeps nothing. The client spins rather than sleeps, so that
//! its wake-ups are not part of the figure.

use crate::message::{Message, clock_ns};
use crate::report::{Row, compare};
use crate::side::{Kind, PATIENCE, Side};
use crate::turns::{Figures, figures, in_turns};
use crate::{Outcome, Setting, answers, dialect};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const MESSAGE_BYTES: usize = 100;
const ROUNDS: usize = 10;
/// Requests under way at a time, where it is more than one.
const UNDERWAY: usize = 16;
/// Requests on each connection in a round.
const REQUESTS: usize = 10_000;

/// Requests a second.
pub fn publish(setting: &Setting) -> Outcome<Row> {
    let lines = vec![
        compare("one by one, 1 connection", "k/s", measure(setting, 1, 1)?, ""),
        compare(format!("one by one, {UNDERWAY} connections"), "k/s", measure(setting, UNDERWAY, 1)?, "≥ 95 k/s"),
        compare(format!("pipelined {UNDERWAY}, 1 connection"), "k/s", measure(setting, 1, UNDERWAY)?, "≥ 600 k/s"),
    ];
    let asserted =
        "every request was answered as it should be, and Encke's last id of each round counts all of them; more is better here";
    Ok(Row { name: "publish", lines, asserted })
}

fn measure(setting: &Setting, connections: usize, batch: usize) -> Outcome<Vec<Figures>> {
    let taken = in_turns(
        &setting.players(&[Kind::Nchan, Kind::Faye]),
        ROUNDS,
        |side| (0..connections).map(|_| Client::connect(side, batch)).collect::<Outcome<Vec<_>>>(),
        |side, clients| {
            // A peer is given less to do: some are slow.
            let requests = if side.kind.is_peer() { REQUESTS / 10 } else { REQUESTS };
            let start = clock_ns();
            for _ in 0..requests {
                clients.iter_mut().try_for_each(Client::request)?;
                clients.iter_mut().try_for_each(Client::receive)?;
            }
            let seconds = (clock_ns() - start) as f64 / 1e9;
            check_count(side, clients)?;
            Ok((requests * batch * connections) as f64 / seconds / 1e3)
        },
    )?;
    Ok(figures(&taken, |rate| *rate))
}

/// The greatest of the newest ids' offsets is the number of all messages so far.
fn check_count(side: &Side, clients: &[Client]) -> Outcome<()> {
    let answered: u64 = clients.iter().map(|client| client.answered).sum();
    let last: Vec<&str> = clients.iter().map(|client| client.last_body.as_str()).collect();
    let id = format!("-{answered}\"");
    if side.kind == Kind::Encke && !last.iter().any(|body| body.contains(&id)) {
        return Err(format!("after {answered} messages the last answers were {last:?}").into());
    }
    Ok(())
}

struct Client {
    socket: TcpStream,
    kind: Kind,
    requests: Vec<u8>,
    batch: usize,
    unread: Vec<u8>,
    answered: u64,
    last_body: String,
}

impl Client {
    fn connect(side: &Side, batch: usize) -> Outcome<Client> {
        let socket = TcpStream::connect(if side.kind == Kind::Floor { side.public } else { side.private })?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let message = Message { channel: 0, sequence: 0, sent_ns: 0 };
        let requests = dialect::publish(side.kind, 0, &message.body(MESSAGE_BYTES)).repeat(batch);
        Ok(Client { socket, kind: side.kind, requests, batch, unread: Vec::new(), answered: 0, last_body: String::new() })
    }

    /// One batch out.
    fn request(&mut self) -> Outcome<()> {
        match self.socket.write(&self.requests)? {
            len if len == self.requests.len() => Ok(()),
            _ => Err("a batch did not fit an empty socket".into()),
        }
    }

    /// Its answers in.
    fn receive(&mut self) -> Outcome<()> {
        let mut due = self.batch;
        let mut buffer = [0; 16 << 10];
        let until = Instant::now() + PATIENCE;
        while due > 0 {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err("the publishing connection was closed".into()),
                Ok(len) => self.unread.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => continue,
                Err(error) => return Err(error.into()),
            }
            due = due.checked_sub(self.check_answers()?).ok_or("more answers than requests")?;
        }
        Ok(())
    }

    /// Takes the whole answers off what was read and returns how many.
    fn check_answers(&mut self) -> Outcome<usize> {
        let (mut done, mut count) = (0, 0);
        while let Some(answer) = answers::first(&self.unread[done..])? {
            let body = std::str::from_utf8(answer.body)?;
            dialect::check_published(self.kind, &answer)?;
            self.last_body.clear();
            self.last_body.push_str(body);
            done += answer.len;
            count += 1;
        }
        self.unread.drain(..done);
        self.answered += count as u64;
        Ok(count)
    }
}
