//! Listening sockets that are there already: found their places, looked at, and made fit for a reactor.

use super::{ControlFile, Listener, Source, bind_control, refused, system};
use crate::base::config::Config;
use crate::base::door::Door;
use crate::base::error::Error;
use crate::reactor::succession::{Heirloom, Place};
use crate::reactor::vital::Vital;
use mio::net::{TcpListener, UnixListener};
use socket2::{SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Takes those out whose place is `wanted`.
pub(super) fn take(heirlooms: &mut Vec<Heirloom>, wanted: impl Fn(&Place) -> bool) -> Vec<Heirloom> {
    heirlooms.extract_if(.., |heirloom| wanted(&heirloom.place)).collect()
}

/// Listens at the sockets of one address, of which there is one at least. All are kept, since connections may wait in each;
/// where there are fewer than reactors, they deal out what they accept.
pub(super) fn all_of_one_address(
    heirlooms: Vec<Heirloom>,
    door: fn(IpAddr) -> Door,
    vital: &Vital,
    listeners: &mut [Vec<Listener>],
) -> Result<SocketAddr, Error> {
    let deals = heirlooms.len() < listeners.len();
    let mut address = None;
    for (at, Heirloom { place, socket }) in heirlooms.into_iter().enumerate() {
        let (listener, own) = tcp(socket, vital).map_err(|error| unfit(&place.option, error))?;
        address.get_or_insert(own);
        let reactor = at % listeners.len();
        listeners[reactor].push(Listener::new(Source::Tcp(listener), door(own.ip()), deals, place, vital.clone()));
    }
    Ok(address.expect("there is one at least"))
}

/// The control socket, if there is to be one: lent, inherited or new; its path; and its file, unless that is somebody else's.
#[allow(clippy::type_complexity)]
pub(super) fn control(
    config: &Config,
    heirlooms: &mut Vec<Heirloom>,
) -> Result<Option<(UnixListener, Place, Option<ControlFile>, PathBuf)>, Error> {
    if let Some(Heirloom { place, socket }) = take(heirlooms, |place| place.option == "control" && place.lent).pop() {
        let (listener, path) = unix(socket).map_err(|error| unfit("control", error))?;
        return Ok(Some((listener, place, None, path)));
    }
    let Some(path) = &config.control else { return Ok(None) };
    let own = take(heirlooms, |place| place.option == "control" && place.text == *path).pop();
    if let Some(Heirloom { place, socket }) = own
        && let Some(identity) = place.file
    {
        let (listener, _) = unix(socket).map_err(|error| unfit("control", error))?;
        return Ok(Some((listener, place, Some(ControlFile::inherited(path, identity)), path.into())));
    }
    let (listener, file) =
        bind_control(Path::new(path), config.control_rights()).map_err(|error| refused("control", path, error))?;
    Ok(Some((listener, Place::of("control", path), Some(file), path.into())))
}

fn tcp(socket: OwnedFd, vital: &Vital) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = listening(socket)?;
    let address = socket.local_addr()?.as_socket();
    let address = address.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no IP address"))?;
    socket.set_tcp_nodelay(true)?;
    vital.set(SockRef::from(&socket))?;
    Ok((TcpListener::from_std(socket.into()), address))
}

fn unix(socket: OwnedFd) -> io::Result<(UnixListener, PathBuf)> {
    let socket = listening(socket)?;
    let address = socket.local_addr()?;
    if !address.is_unix() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no Unix socket"));
    }
    let path = address.as_pathname().map(PathBuf::from).unwrap_or_default();
    Ok((UnixListener::from_std(OwnedFd::from(socket).into()), path))
}

/// A stream socket that listens, made fit for a reactor.
fn listening(socket: OwnedFd) -> io::Result<Socket> {
    let socket = Socket::from(socket);
    if socket.r#type()? != Type::STREAM || !system::listens(&socket)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a stream socket that listens"));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn unfit(option: &str, error: io::Error) -> Error {
    Error::Io(format!("--{option}: the socket that was handed over cannot be used"), error)
}

#[cfg(test)]
mod tests {
    use super::super::{Bound, bind};
    use super::*;
    use std::net::TcpStream;

    fn lent(option: &str, socket: OwnedFd) -> Heirloom {
        Heirloom { place: Place { lent: true, ..Place::of(option, "") }, socket }
    }

    fn config(listen: &[&str]) -> Config {
        Config { listen: listen.iter().map(|text| text.to_string()).collect(), private: vec![], ..Config::default() }
    }

    #[test]
    fn a_lent_socket_replaces_what_the_option_says_and_is_dealt_out() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let given = vec![lent("listen", socket.try_clone().expect("a copy").into())];
        let Bound { listeners, addresses, .. } = bind(&config(&["127.0.0.1:1"]), 3, given).expect("a socket that listens");
        assert_eq!(addresses.public, [address]);
        assert!(listeners[0][0].deals && listeners[1].is_empty() && listeners[2].is_empty());
        drop(listeners);
        TcpStream::connect(address).expect("its owner still listens");
    }

    fn copy(listener: &Listener) -> io::Result<Heirloom> {
        let (socket, place) = listener.heirloom();
        Ok(Heirloom { place, socket: socket.try_clone_to_owned()? })
    }

    #[test]
    fn sockets_of_a_predecessor_find_their_places_and_keep_who_waits() {
        let before = bind(&config(&["127.0.0.1:0"]), 3, vec![]).expect("a free port");
        let address = before.addresses.public[0];
        let clients: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).expect("a queue")).collect();
        for reactors in [1, 2, 3, 5] {
            let copies: io::Result<Vec<Heirloom>> = before.listeners.iter().flatten().map(copy).collect();
            let bound = bind(&config(&["127.0.0.1:0"]), reactors, copies.expect("copies")).expect("sockets that listen");
            assert_eq!(bound.addresses.public, [address], "the option stands for the port that it was given before");
            assert_eq!(bound.listeners.iter().flatten().count(), before.listeners.iter().flatten().count());
            assert_eq!(bound.listeners[0][0].deals, reactors > before.listeners.len());
        }
        let copies: io::Result<Vec<Heirloom>> = before.listeners.iter().flatten().map(copy).collect();
        let mut bound = bind(&config(&["127.0.0.1:0"]), 2, copies.expect("copies")).expect("sockets that listen");
        drop(before);
        let mut accepted = 0;
        for listener in bound.listeners.iter_mut().flatten() {
            listener.rouse();
            accepted +=
                std::iter::from_fn(|| listener.accept(crate::base::time::Tick(0), &crate::reactor::reserve::Reserve::new()))
                    .count();
        }
        assert_eq!(accepted, clients.len(), "who waited before the predecessor closed waits still");
    }

    #[test]
    fn what_does_not_listen_is_refused_with_its_option() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        for (option, socket) in
            [("listen", client.into()), ("private", datagrams.into()), ("control", one.into()), ("control", listener.into())]
        {
            match bind(&config(&[]), 1, vec![lent(option, socket)]) {
                Err(Error::Io(text, error)) => {
                    assert!(text.contains(option), "{text}");
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                }
                other => panic!("{option}: {other:?}"),
            }
        }
    }
}
