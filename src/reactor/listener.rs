//! Where connections come from: the public and private addresses, and the control socket in the file system.
//!
//! On Linux every reactor listens on every address (`SO_REUSEPORT`), and the kernel spreads what comes in.
//! Elsewhere, and for the control socket everywhere, the first reactor listens and deals the connections out
//! in turn. What differs between systems is in `system`, once for Linux and once for the rest.
//!
//! Readiness is edge-triggered: a listener that has become ready stays so until an accept finds nothing.
//! Where the system has no descriptor left the connection stays in the queue, and asking again at once would
//! be a spin: the listener pauses.
//!
//! A socket may listen before this process does: whoever had it before, or goes on to hold it, hands it over
//! (`succession`). It takes the place of one that would be bound for the same option.

mod adopt;

use super::server::Addresses;
use super::socket;
use super::succession::{FileIdentity, Heirloom, Place};
use crate::base::config::Config;
use crate::base::door::Door;
use crate::base::error::Error;
use crate::base::time::Tick;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Connections that wait to be accepted; the kernel's own bound may be lower.
const BACKLOG: i32 = 4096;

/// How long a listener rests when the system refuses to accept.
const PAUSE_MS: u64 = 100;

/// Such a refusal is logged once in this time.
const LOG_EVERY_MS: u64 = 60_000;

/// One listening socket of one reactor.
#[derive(Debug)]
pub(super) struct Listener {
    source: Source,
    /// What its connections may ask for.
    pub(super) door: Door,
    /// Whether its connections are dealt out among all reactors.
    pub(super) deals: bool,
    place: Place,
    state: State,
    logged: Option<Tick>,
}

#[derive(Debug)]
enum Source {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// ```text
/// Idle --event--> Ready --nothing there--> Idle
///                 Ready --refused--> Paused --time--> Ready
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Ready,
    Paused(Tick),
}

impl Listener {
    fn new(source: Source, door: Door, deals: bool, place: Place) -> Listener {
        Listener { source, door, deals, place, state: State::Idle, logged: None }
    }

    /// A copy for a successor.
    pub(super) fn heirloom(&self) -> io::Result<Heirloom> {
        let socket = match &self.source {
            Source::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Source::Unix(listener) => listener.as_fd().try_clone_to_owned(),
        };
        Ok(Heirloom { place: self.place.clone(), socket: socket? })
    }

    /// Accepts no more. What somebody else holds too goes on listening there, and tells this process nothing.
    pub(super) fn close(mut self, registry: &Registry, succeeded: bool) {
        self.place.lent |= succeeded;
        let outcome = match &mut self.source {
            Source::Tcp(listener) => registry.deregister(listener),
            Source::Unix(listener) => registry.deregister(listener),
        };
        if let Err(error) = outcome {
            log::debug!("a listening socket is still watched: {error}");
        }
    }

    /// Has `registry` report, under `token`, that connections wait.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.source {
            Source::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Source::Unix(listener) => registry.register(listener, token, Interest::READABLE),
        }
    }

    /// An event came.
    pub(super) fn rouse(&mut self) {
        if self.state == State::Idle {
            self.state = State::Ready;
        }
    }

    /// Whether an accept may find something, now or (when it pauses) later.
    pub(super) fn due(&self) -> Option<Tick> {
        match self.state {
            State::Idle => None,
            State::Ready => Some(Tick(0)),
            State::Paused(until) => Some(until),
        }
    }

    /// The next connection, non-blocking and not to be inherited by programs; `None` when there is none now.
    pub(super) fn accept(&mut self, now: Tick) -> Option<Socket> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.state = State::Ready;
        loop {
            match self.source.accept() {
                Ok(socket) => return Some(socket),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    io::ErrorKind::WouldBlock => {
                        self.state = State::Idle;
                        return None;
                    }
                    _ => {
                        self.pause(now, &error);
                        return None;
                    }
                },
            }
        }
    }

    fn pause(&mut self, now: Tick, error: &io::Error) {
        self.state = State::Paused(now + PAUSE_MS);
        if self.logged.is_none_or(|logged| now.since(logged) >= LOG_EVERY_MS) {
            self.logged = Some(now);
            log::warn!("cannot accept connections: {error}");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        match &self.source {
            _ if self.place.lent => {}
            Source::Tcp(listener) => socket::end(SockRef::from(listener)),
            Source::Unix(listener) => socket::end(SockRef::from(listener)),
        }
    }
}

impl Source {
    fn accept(&self) -> io::Result<Socket> {
        let socket = match self {
            Source::Tcp(listener) => Socket::from(OwnedFd::from(listener.accept()?.0)),
            Source::Unix(listener) => Socket::from(OwnedFd::from(listener.accept()?.0)),
        };
        system::equip(&socket);
        Ok(socket)
    }
}

/// What [`bind`] made.
#[derive(Debug)]
pub(super) struct Bound {
    /// Each reactor's listeners.
    pub(super) listeners: Vec<Vec<Listener>>,
    pub(super) addresses: Addresses,
    pub(super) control: Option<ControlFile>,
}

/// Listens wherever `config` says, for so many reactors: at the sockets that are there already, and at new ones.
pub(super) fn bind(config: &Config, reactors: usize, mut heirlooms: Vec<Heirloom>) -> Result<Bound, Error> {
    let mut listeners: Vec<Vec<Listener>> = (0..reactors).map(|_| Vec::new()).collect();
    let public = |ip: IpAddr| if ip.is_loopback() { Door::PublicLoopback } else { Door::Public };
    let private = |ip: IpAddr| if ip.is_loopback() { Door::PrivateLoopback } else { Door::Private };
    let mut addresses = Addresses {
        public: bind_all("listen", &config.listen, public, &mut heirlooms, &mut listeners)?,
        private: bind_all("private", &config.private, private, &mut heirlooms, &mut listeners)?,
        control: None,
    };
    let mut control = None;
    if let Some((listener, place, file, path)) = adopt::control(config, &mut heirlooms)? {
        listeners[0].push(Listener::new(Source::Unix(listener), Door::Control, reactors > 1, place));
        (addresses.control, control) = (Some(path), file);
    }
    for Heirloom { place, .. } in heirlooms {
        log::warn!("--{}: the socket for {:?} that was handed over is not wanted any more, and closes", place.option, place.text);
    }
    Ok(Bound { listeners, addresses, control })
}

/// Listens at the addresses of one option. Sockets that were lent for it replace all of them.
fn bind_all(
    option: &'static str,
    texts: &[String],
    door: fn(IpAddr) -> Door,
    heirlooms: &mut Vec<Heirloom>,
    listeners: &mut [Vec<Listener>],
) -> Result<Vec<SocketAddr>, Error> {
    let lent = adopt::take(heirlooms, |place| place.option == option && place.lent);
    if !lent.is_empty() {
        return lent.into_iter().map(|one| adopt::all_of_one_address(vec![one], door, listeners)).collect();
    }
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        let address = parse(option, text)?;
        let own = adopt::take(heirlooms, |place| place.option == option && place.text == *text);
        addresses.push(match own.is_empty() {
            true => bind_address(option, text, door(address.ip()), listeners)?,
            false => adopt::all_of_one_address(own, door, listeners)?,
        });
    }
    Ok(addresses)
}

fn parse(option: &str, text: &str) -> Result<SocketAddr, Error> {
    text.parse().map_err(|_| Error::Config(format!("--{option}: `{text}` is no IP address with a port, like 127.0.0.1:8080")))
}

fn refused(option: &str, what: impl std::fmt::Display, error: io::Error) -> Error {
    Error::Io(format!("--{option}: cannot listen on {what}"), error)
}

/// Binds one address, for every reactor where the system can spread connections over them. Returns the
/// address with its real port.
fn bind_address(option: &'static str, text: &str, door: Door, listeners: &mut [Vec<Listener>]) -> Result<SocketAddr, Error> {
    let sharers = if system::SHARED_PORTS { listeners.len() } else { 1 };
    let deals = sharers < listeners.len();
    let mut address = parse(option, text)?;
    if sharers > 1 && address.port() != 0 {
        // A port that is shared is shared with any other server of this user, which nobody has asked for.
        bind_tcp(address, false).map_err(|error| refused(option, address, error))?;
    }
    for own in &mut listeners[..sharers] {
        let listener = bind_tcp(address, sharers > 1)
            .and_then(|socket| {
                socket.listen(BACKLOG)?;
                Ok(TcpListener::from_std(socket.into()))
            })
            .map_err(|error| refused(option, address, error))?;
        // The first was given a port if none was asked for; the others join it there.
        address = listener.local_addr().map_err(|error| refused(option, address, error))?;
        own.push(Listener::new(Source::Tcp(listener), door, deals, Place::of(option, text)));
    }
    Ok(address)
}

fn bind_tcp(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A restarted server must not wait for its predecessor's last connections.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses on some systems and one on others. Here they are two.
        socket.set_only_v6(true)?;
    }
    system::prepare(&socket, shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Binds the control socket. A file that a dead server left is replaced; one that answers, or is no socket
/// at all, is somebody's. Its file has the rights `mode`, and never more on the way there.
fn bind_control(path: &Path, mode: u32) -> io::Result<(UnixListener, ControlFile)> {
    let address = SockAddr::unix(path)?;
    if is_stale(path, &address)? {
        fs::remove_file(path)?;
    }
    let rights = fs::Permissions::from_mode(mode);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let socket = fs::File::from(OwnedFd::from(socket));
    // Linux makes the file with the rights of its socket; elsewhere a socket may have none to be set.
    let _ = socket.set_permissions(rights.clone());
    let socket = Socket::from(OwnedFd::from(socket));
    socket.bind(&address)?;
    let file = ControlFile::of(path)?;
    // Nobody can connect before `listen`, so nobody slips in before the rights are right: the process may have a
    // mask that takes some away, or the system may not have looked at those of the socket.
    fs::set_permissions(path, rights)?;
    socket.listen(BACKLOG)?;
    Ok((UnixListener::from_std(OwnedFd::from(socket).into()), file))
}

/// Whether `path` is a socket that nobody listens on. `false`: there is nothing.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Connected, or would be if the queue were not full.
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there")),
    }
}

/// The control socket's file, removed on drop unless another server has put its own there by then.
#[derive(Debug)]
pub(super) struct ControlFile {
    path: PathBuf,
    identity: FileIdentity,
}

impl ControlFile {
    fn of(path: &Path) -> io::Result<ControlFile> {
        Ok(ControlFile { path: path.into(), identity: identity(path)? })
    }

    /// The file of a socket that a predecessor bound.
    fn inherited(path: &str, identity: FileIdentity) -> ControlFile {
        ControlFile { path: path.into(), identity }
    }

    /// What tells it from a file that another server puts there.
    pub(super) fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// It is another server's from now on.
    pub(super) fn disown(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it cannot be removed, the next server finds it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<FileIdentity> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Socket, io};

    /// Whether several sockets may listen on one port and the system spreads connections over them.
    pub(super) const SHARED_PORTS: bool = true;

    /// Sets what a TCP listener needs before it is bound. Connections inherit `TCP_NODELAY`.
    pub(super) fn prepare(listener: &Socket, shared: bool) -> io::Result<()> {
        listener.set_tcp_nodelay(true)?;
        listener.set_reuse_port(shared)
    }

    /// Whether it is a listening socket.
    pub(super) fn listens(socket: &Socket) -> io::Result<bool> {
        socket.is_listener()
    }

    /// Sets what a connection did not inherit: nothing.
    pub(super) fn equip(_connection: &Socket) {}
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{SockRef, Socket, io, socket};

    /// Elsewhere the option exists and means that the last to listen gets everything.
    pub(super) const SHARED_PORTS: bool = false;

    /// Sets what a TCP listener needs before it is bound.
    pub(super) fn prepare(_listener: &Socket, _shared: bool) -> io::Result<()> {
        Ok(())
    }

    /// Whether it is a listening socket: that cannot be asked here, and the first accept will tell.
    pub(super) fn listens(_socket: &Socket) -> io::Result<bool> {
        Ok(true)
    }

    /// Sets what a connection may not have inherited. That fails if the peer has gone, which the first
    /// read will tell, and for `TCP_NODELAY` on a socket in the file system, which has no need of it.
    pub(super) fn equip(connection: &Socket) {
        let _ = socket::quiet(SockRef::from(connection));
        let _ = connection.set_tcp_nodelay(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn bind(config: &Config, reactors: usize) -> Result<Bound, Error> {
        super::bind(config, reactors, Vec::new())
    }

    fn config(listen: &[&str], private: &[&str], control: Option<&Path>) -> Config {
        Config {
            listen: listen.iter().map(|text| text.to_string()).collect(),
            private: private.iter().map(|text| text.to_string()).collect(),
            control: control.map(|path| path.display().to_string()),
            ..Config::default()
        }
    }

    /// A path that no other test and no other process uses; whatever is there goes away with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("encke-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            Scratch(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn one() -> (Listener, SocketAddr) {
        let mut bound = bind(&config(&["127.0.0.1:0"], &[], None), 1).expect("a free port");
        (bound.listeners[0].remove(0), bound.addresses.public[0])
    }

    #[test]
    fn the_door_follows_from_the_option_and_the_address() {
        let scratch = Scratch::new();
        let config = config(&["127.0.0.1:0", "0.0.0.0:0"], &["127.0.0.1:0", "0.0.0.0:0"], Some(&scratch.0));
        let bound = bind(&config, 1).expect("free ports");
        let doors: Vec<Door> = bound.listeners[0].iter().map(|listener| listener.door).collect();
        assert_eq!(doors, [Door::PublicLoopback, Door::Public, Door::PrivateLoopback, Door::Private, Door::Control]);
        assert_eq!(bound.addresses.control.as_deref(), Some(&*scratch.0));
        for address in bound.addresses.public.iter().chain(&bound.addresses.private) {
            assert_ne!(address.port(), 0);
        }
    }

    #[test]
    fn every_reactor_gets_connections_to_an_address() {
        const REACTORS: usize = 3;
        let mut bound = bind(&config(&["127.0.0.1:0"], &[], None), REACTORS).expect("a free port");
        let clients: Vec<TcpStream> =
            (0..100).map(|_| TcpStream::connect(bound.addresses.public[0]).expect("a connection")).collect();
        let mut accepted = Vec::new();
        for listener in bound.listeners.iter_mut().flatten() {
            listener.rouse();
            let before = accepted.len();
            accepted.extend(std::iter::from_fn(|| listener.accept(Tick(0))));
            assert!(accepted.len() > before || listener.deals, "the kernel spreads a hundred over three");
        }
        assert_eq!(accepted.len(), clients.len());
        assert!(system::SHARED_PORTS || bound.listeners[0][0].deals);
    }

    #[test]
    fn a_port_in_use_is_not_shared_with_another_server() {
        for reactors in [1, 2] {
            let bound = bind(&config(&["127.0.0.1:0"], &[], None), reactors).expect("a free port");
            let address = bound.addresses.public[0].to_string();
            match bind(&config(&[], &[&address], None), 2) {
                Err(Error::Io(text, error)) => {
                    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                    assert!(text.contains("private") && text.contains(&address), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_listener_is_ready_until_it_has_nothing() {
        let (mut listener, address) = one();
        let _clients = [TcpStream::connect(address), TcpStream::connect(address)];
        assert_eq!(listener.due(), None, "no event came");
        listener.rouse();
        assert!(listener.accept(Tick(0)).is_some());
        assert_eq!(listener.due(), Some(Tick(0)));
        assert!(listener.accept(Tick(0)).is_some());
        assert!(listener.accept(Tick(0)).is_none());
        assert_eq!(listener.due(), None);
    }

    #[test]
    fn an_accepted_socket_neither_blocks_nor_waits_to_send() {
        let (mut listener, address) = one();
        let _client = TcpStream::connect(address);
        listener.rouse();
        let socket = listener.accept(Tick(0)).expect("a connection");
        assert!(socket.nonblocking().expect("its flags"));
        assert!(socket.tcp_nodelay().expect("its options"));
    }

    #[test]
    fn a_refused_listener_rests_whatever_comes() {
        let (mut listener, address) = one();
        let _client = TcpStream::connect(address);
        listener.rouse();
        listener.pause(Tick(7), &io::Error::other("no descriptor left"));
        listener.rouse();
        assert_eq!(listener.due(), Some(Tick(7 + PAUSE_MS)));
        assert!(listener.accept(Tick(7 + PAUSE_MS - 1)).is_none());
        assert!(listener.accept(Tick(7 + PAUSE_MS)).is_some());
    }

    #[test]
    fn the_control_socket_is_the_owners_alone_and_goes_with_its_server() {
        let scratch = Scratch::new();
        let bound = bind(&config(&[], &[], Some(&scratch.0)), 2).expect("a fresh path");
        let mode = fs::metadata(&scratch.0).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(bound.listeners[0][0].deals && bound.listeners[1].is_empty());
        UnixStream::connect(&scratch.0).expect("a connection");
        drop(bound);
        assert!(!scratch.0.exists());
    }

    #[test]
    fn a_stale_control_socket_is_replaced_and_a_live_one_is_not() {
        let scratch = Scratch::new();
        drop(std::os::unix::net::UnixListener::bind(&scratch.0).expect("a fresh path"));
        assert!(scratch.0.exists());
        let config = config(&[], &[], Some(&scratch.0));
        let bound = bind(&config, 1).expect("nobody listens there");
        match bind(&config, 1) {
            Err(Error::Io(text, error)) => {
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                assert!(text.contains(&scratch.0.display().to_string()), "{text}");
            }
            other => panic!("{other:?}"),
        }
        UnixStream::connect(&scratch.0).expect("the first is still there");
        drop(bound);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let scratch = Scratch::new();
        fs::write(&scratch.0, "precious").expect("a fresh path");
        assert!(bind(&config(&[], &[], Some(&scratch.0)), 1).is_err());
        assert_eq!(fs::read(&scratch.0).expect("the file"), b"precious");
    }

    #[test]
    fn a_successors_control_socket_outlives_its_predecessor() {
        let scratch = Scratch::new();
        let config = config(&[], &[], Some(&scratch.0));
        let Bound { listeners, control, .. } = bind(&config, 1).expect("a fresh path");
        let predecessor = control.expect("it was asked for");
        drop(listeners);
        let mut successor = bind(&config, 1).expect("the predecessor no longer listens");
        while identity(&scratch.0).expect("the file") == predecessor.identity {
            // The file system's clock is coarse.
            drop(successor);
            successor = bind(&config, 1).expect("nobody listens");
        }
        drop(predecessor);
        UnixStream::connect(&scratch.0).expect("the successor");
        drop(successor);
    }
}
