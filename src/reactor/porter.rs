//! Who is let in at the door, and how the others are sent away: with an answer, cheaply, and without a slot.
//!
//! What one client may have at once or in a second is counted before the engine hears of a connection. Clients come in by the
//! public listeners; whoever comes by another speaks for the application, and is only refused when there is no room at all.
//!
//! Somebody who is refused gets an answer in one write and our end of the connection. It is closed a moment later, with what
//! was sent meanwhile read: closed before, a peer that is still sending would be reset, and lose the answer.
//!
//! Invariant: no more than [`FAREWELLS_MAX`] connections of a reactor are kept for that.

use super::seats::{self, Seats};
use super::socket;
use crate::base::client::{Client, Networks, Place};
use crate::base::config::Config;
use crate::base::door::Door;
use crate::base::random::Seed;
use crate::base::rate::{Account, Accounts, Rate};
use crate::base::time::Tick;
use crate::engine::{Crowded, Landlord, TurnedAway};
use socket2::{SockRef, Socket};
use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

/// How long somebody who was refused has to take the answer.
const FAREWELL_MS: u64 = 1_000;
/// Connections that wait for that; with more, the oldest is closed at once.
const FAREWELLS_MAX: usize = 256;
/// Reads of what such a client has sent, before it is closed.
const READS_MAX: usize = 4;

/// A connection's place among those of its address.
pub(super) type Seat = seats::Seat<Client>;

/// A connection that was accepted, and may have been let in.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) socket: Socket,
    pub(super) door: Door,
    pub(super) address: Option<SocketAddr>,
    /// Its place, once it was let in, if places are counted.
    pub(super) seat: Option<Seat>,
}

/// What holds for all reactors together.
#[derive(Debug)]
pub(super) struct Porter {
    seats: Option<Arc<Seats<Client>>>,
    seats_of_users: Option<Arc<Seats<Arc<str>>>>,
    rate: Option<Rate>,
    account: Account,
    accounts: Option<Accounts>,
    /// Proxies stand for many, who are counted by what they ask.
    trusted: Networks,
}

impl Porter {
    pub(super) fn new(config: &Config, seed: Seed) -> Porter {
        let rate = |per_second| Rate::new(per_second, config.rate_burst_ms);
        Porter {
            seats: Seats::new(config.connections_per_address),
            seats_of_users: Seats::new(config.connections_per_user),
            rate: rate(config.connection_rate),
            account: Account::default(),
            accounts: rate(config.connection_rate_per_address).map(|rate| Accounts::new(rate, seed)),
            trusted: Networks::parse(&config.trusted_proxies).expect("the options were checked"),
        }
    }

    /// For the engines, if readers are counted: of users, or behind proxies among the connections of their addresses.
    pub(super) fn landlord(self: &Arc<Self>) -> Option<Arc<dyn Landlord>> {
        let counts = self.seats_of_users.is_some() || self.seats.is_some() && !self.trusted.is_empty();
        counts.then(|| self.clone() as Arc<dyn Landlord>)
    }

    /// Gives a visitor its place; `Err`: it is not let in. What it has for itself is looked at first, so that whoever is
    /// refused for that takes nothing from the others.
    pub(super) fn admit(&self, now: Tick, visitor: &mut Visitor) -> Result<(), TurnedAway> {
        if !visitor.door.is_public() {
            return Ok(());
        }
        let address = visitor.address.map(|address| address.ip());
        if let Some(client) = address.filter(|address| !self.trusted.hold(*address)).map(Client::from) {
            if let Some(accounts) = &self.accounts {
                accounts.take(client, now, 1).map_err(|wait_ms| TurnedAway::AddressTooFast { wait_ms })?;
            }
            if let Some(seats) = &self.seats {
                visitor.seat = Some(seats.take(&client).ok_or(TurnedAway::AddressFull)?);
            }
        }
        match self.rate.map(|rate| self.account.take(rate, now, 1)) {
            Some(Err(wait_ms)) => Err(TurnedAway::TooFast { wait_ms }),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl Landlord for Porter {
    fn places(&self, user: Option<&Arc<str>>, client: Option<Client>) -> Result<Place, Crowded> {
        let of_user = match (&self.seats_of_users, user) {
            (Some(seats), Some(user)) => Some(seats.take(user).ok_or(Crowded::User)?),
            _ => None,
        };
        let of_client = match (&self.seats, client) {
            (Some(seats), Some(client)) => Some(seats.take(&client).ok_or(Crowded::Client)?),
            _ => None,
        };
        Ok(Box::new((of_user, of_client)))
    }
}

/// Those that one reactor has refused, until they are closed.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    sockets: VecDeque<(Tick, Socket)>,
}

impl Farewells {
    /// Answers somebody and closes the connection soon.
    pub(super) fn say(&mut self, now: Tick, socket: Socket, answer: &[u8], buffer: &mut [u8]) {
        tell(&socket, answer);
        if self.sockets.len() >= FAREWELLS_MAX
            && let Some((_, oldest)) = self.sockets.pop_front()
        {
            close(&oldest, buffer);
        }
        self.sockets.push_back((now + FAREWELL_MS, socket));
    }

    /// Closes those whose time is over.
    pub(super) fn end(&mut self, now: Tick, buffer: &mut [u8]) {
        while self.due().is_some_and(|due| due <= now) {
            if let Some((_, socket)) = self.sockets.pop_front() {
                close(&socket, buffer);
            }
        }
    }

    /// When the next one is to be closed.
    pub(super) fn due(&self) -> Option<Tick> {
        self.sockets.front().map(|(until, _)| *until)
    }
}

/// Answers somebody and closes the connection: its descriptor is needed.
pub(super) fn say_and_close(socket: Socket, answer: &[u8], buffer: &mut [u8]) {
    tell(&socket, answer);
    close(&socket, buffer);
}

/// A fresh socket takes an answer at once. One whose peer has gone needs none.
fn tell(socket: &Socket, answer: &[u8]) {
    let _ = socket::send(socket, [answer, b""]);
    let _ = socket.shutdown(Shutdown::Write);
}

/// What is closed unread resets the connection: what is there is read. The socket is closed when it is dropped.
fn close(socket: &Socket, buffer: &mut [u8]) {
    let mut reads = 0;
    while reads < READS_MAX && socket::receive(socket, buffer).is_ok_and(|count| count > 0) {
        reads += 1;
    }
    socket::end(SockRef::from(socket));
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use std::io::{Read, Write};

    fn visitor(door: Door, address: &str) -> Visitor {
        let (socket, _) = Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a socket pair");
        Visitor { socket, door, address: Some(SocketAddr::new(address.parse().expect("an address"), 1)), seat: None }
    }

    fn porter(change: impl FnOnce(&mut Config)) -> Porter {
        let mut config = Config::default();
        change(&mut config);
        Porter::new(&config, Seed(1, 2))
    }

    #[test]
    fn by_default_everybody_is_let_in() {
        let porter = porter(|_| {});
        for _ in 0..1_000 {
            assert_eq!(porter.admit(Tick(0), &mut visitor(Door::Public, "10.0.0.1")), Ok(()));
        }
    }

    #[test]
    fn an_address_has_so_many_at_once_and_gets_room_when_one_goes() {
        let porter = porter(|config| config.connections_per_address = 1);
        let mut first = visitor(Door::Public, "10.0.0.1");
        assert_eq!(porter.admit(Tick(0), &mut first), Ok(()));
        assert_eq!(porter.admit(Tick(0), &mut visitor(Door::Public, "10.0.0.1")), Err(TurnedAway::AddressFull));
        assert_eq!(porter.admit(Tick(0), &mut visitor(Door::Public, "10.0.0.2")), Ok(()));
        assert_eq!(porter.admit(Tick(0), &mut visitor(Door::Private, "10.0.0.1")), Ok(()), "the application is not counted");
        drop(first);
        assert_eq!(porter.admit(Tick(0), &mut visitor(Door::Public, "10.0.0.1")), Ok(()));
    }

    #[test]
    fn who_is_refused_for_its_own_haste_takes_nothing_from_the_others() {
        let porter = porter(|config| {
            (config.connection_rate, config.connection_rate_per_address, config.rate_burst_ms) = (5, 1, 1_000);
        });
        let admit = |address| porter.admit(Tick(1_000), &mut visitor(Door::Public, address));
        assert_eq!([admit("10.0.0.1"), admit("10.0.0.1")], [Ok(()), Ok(())]);
        for _ in 0..100 {
            assert_eq!(admit("10.0.0.1"), Err(TurnedAway::AddressTooFast { wait_ms: 1_000 }));
        }
        let others = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
        assert_eq!(others.map(admit), [Ok(()); 4]);
        assert_eq!(admit("10.0.0.6"), Err(TurnedAway::TooFast { wait_ms: 200 }));
        assert_eq!(porter.admit(Tick(1_000), &mut visitor(Door::Control, "10.0.0.6")), Ok(()));
    }

    #[test]
    fn a_trusted_proxy_may_have_many_connections() {
        let porter = porter(|config| {
            config.connections_per_address = 1;
            config.trusted_proxies = "10.0.0.0/8".into();
        });
        let mut all: Vec<Visitor> = (0..10).map(|_| visitor(Door::Public, "10.0.0.1")).collect();
        assert!(all.iter_mut().all(|visitor| porter.admit(Tick(0), visitor).is_ok()));
    }

    #[test]
    fn a_user_has_so_many_readers_wherever_they_are_and_one_that_is_refused_takes_no_place() {
        let porter = Arc::new(porter(|config| {
            (config.connections_per_user, config.connections_per_address) = (2, 1);
            config.trusted_proxies = "10.0.0.0/8".into();
        }));
        let landlord = porter.landlord().expect("readers are counted");
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let client = |number| Some(Client::V4(number));
        let first = landlord.places(Some(&ann), client(1)).expect("room");
        assert_eq!(landlord.places(Some(&ann), client(1)).map(drop), Err(Crowded::Client));
        let second = landlord.places(Some(&ann), client(2)).expect("what was refused took none of the user's");
        assert_eq!(landlord.places(Some(&ann), client(3)).map(drop), Err(Crowded::User));
        assert_eq!(landlord.places(Some(&bob), None).map(drop), Ok(()));
        assert_eq!(landlord.places(None, None).map(drop), Ok(()));
        drop(first);
        assert_eq!(landlord.places(Some(&ann), client(1)).map(drop), Ok(()));
        drop(second);
    }

    #[test]
    fn a_farewell_is_read_by_who_is_still_sending_and_those_that_wait_are_bounded() {
        let mut farewells = Farewells::default();
        let mut buffer = vec![0; 64];
        let mut peers = Vec::new();
        for number in 0..FAREWELLS_MAX + 1 {
            let (socket, peer) = Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a socket pair");
            socket.set_nonblocking(true).expect("non-blocking");
            (&peer).write_all(b"GET / HTTP/1.1").expect("room");
            farewells.say(Tick(number as u64), socket, b"no", &mut buffer);
            peers.push(peer);
        }
        assert_eq!(farewells.sockets.len(), FAREWELLS_MAX);
        assert_eq!(farewells.due(), Some(Tick(FAREWELL_MS + 1)));
        farewells.end(Tick(FAREWELL_MS + 9), &mut buffer);
        assert_eq!(farewells.sockets.len(), FAREWELLS_MAX - 9);
        for mut peer in peers {
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).expect("no reset");
            assert_eq!(answer, b"no");
        }
    }
}
