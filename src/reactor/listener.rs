//! Where connections come from: the public and private addresses, and the control socket in the file system.
//!
//! On Linux every reactor listens on every address (`SO_REUSEPORT`), and the kernel spreads what comes in.
//! Elsewhere, and for the control socket everywhere, the first reactor listens and deals the connections out
//! in turn. What differs between systems is in `system`, once for Linux and once for the rest.
//!
//! Readiness is edge-triggered: a listener that has become ready stays so until an accept finds nothing.
//! Where the system has no descriptor left the reserve is given up for one connection, which whoever called refuses. Where
//! that is of no use the connection stays in the queue, and asking again at once would be a spin: the listener pauses.
//!
//! A socket may listen before this process does: whoever had it before, or goes on to hold it, hands it over
//! (`succession`). It takes the place of one that would be bound for the same option.

mod adopt;

use super::porter::Visitor;
use super::reserve::{Reserve, is_exhausted};
use super::server::Addresses;
use super::socket;
use super::succession::{FileIdentity, Heirloom, Place};
use super::vital::Vital;
use crate::base::config::Config;
use crate::base::door::Door;
use crate::base::error::Error;
use crate::base::time::Tick;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Connections that wait to be accepted; the kernel's own bound may be lower.
const BACKLOG: i32 = 4096;

/// How long a listener rests when the system refuses to accept.
const PAUSE_MS: u64 = 100;

/// How often, and after how long, somebody is waited for who begins at the same time.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

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
    vital: Vital,
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
    fn new(source: Source, door: Door, deals: bool, place: Place, vital: Vital) -> Listener {
        Listener { source, door, deals, vital, place, state: State::Idle, logged: None }
    }

    /// What a successor gets a copy of: the socket, and its place.
    pub(super) fn heirloom(&self) -> (BorrowedFd<'_>, Place) {
        let socket = match &self.source {
            Source::Tcp(listener) => listener.as_fd(),
            Source::Unix(listener) => listener.as_fd(),
        };
        (socket, self.place.clone())
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

    /// The next connection, non-blocking and not to be inherited by programs; `None` when there is none now. It is to be
    /// refused if the reserve is out then.
    pub(super) fn accept(&mut self, now: Tick, reserve: &Reserve) -> Option<Visitor> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.state = State::Ready;
        loop {
            match self.source.accept() {
                Ok((socket, address)) => {
                    system::equip(&socket, &self.vital);
                    return Some(Visitor { socket, door: self.door, address, seat: None });
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    io::ErrorKind::WouldBlock => {
                        self.state = State::Idle;
                        return None;
                    }
                    _ => {
                        self.note(now, &error);
                        if !is_exhausted(&error) || !reserve.give_up() {
                            self.state = State::Paused(now + PAUSE_MS);
                            return None;
                        }
                    }
                },
            }
        }
    }

    /// Says so now and then.
    fn note(&mut self, now: Tick, error: &io::Error) {
        if self.logged.is_none_or(|logged| now.since(logged) >= LOG_EVERY_MS) {
            self.logged = Some(now);
            log::warn!("cannot accept connections: {error}");
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.heirloom().0.as_raw_fd()
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
    fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        Ok(match self {
            Source::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                (OwnedFd::from(stream).into(), Some(address))
            }
            Source::Unix(listener) => (OwnedFd::from(listener.accept()?.0).into(), None),
        })
    }
}

/// What [`bind`] made.
#[derive(Debug)]
pub(super) struct Bound {
    /// Each reactor's listeners.
    pub(super) listeners: Vec<Vec<Listener>>,
    pub(super) addresses: Addresses,
    pub(super) control: Option<ControlFile>,
    /// The file of a predecessor's control socket that is not wanted any more.
    pub(super) unwanted: Option<ControlFile>,
}

/// Listens wherever `config` says, for so many reactors: at the sockets that are there already, and at new ones.
pub(super) fn bind(config: &Config, reactors: usize, mut heirlooms: Vec<Heirloom>) -> Result<Bound, Error> {
    let mut listeners: Vec<Vec<Listener>> = (0..reactors).map(|_| Vec::new()).collect();
    let public = |ip: IpAddr| if ip.is_loopback() { Door::PublicLoopback } else { Door::Public };
    let private = |ip: IpAddr| if ip.is_loopback() { Door::PrivateLoopback } else { Door::Private };
    let vital = Vital::new(config);
    let mut addresses = Addresses {
        public: bind_all("listen", &config.listen, public, &vital, &mut heirlooms, &mut listeners)?,
        private: bind_all("private", &config.private, private, &vital, &mut heirlooms, &mut listeners)?,
        control: None,
    };
    let mut control = None;
    if let Some((listener, place, file, path)) = adopt::control(config, &mut heirlooms)? {
        listeners[0].push(Listener::new(Source::Unix(listener), Door::Control, reactors > 1, place, vital));
        (addresses.control, control) = (Some(path), file);
    }
    let mut unwanted = None;
    for Heirloom { place, .. } in heirlooms {
        log::warn!("--{}: the socket for {:?} that was handed over is not wanted any more, and closes", place.option, place.text);
        unwanted = place.file.map(|file| ControlFile::inherited(&place.text, file)).or(unwanted);
    }
    Ok(Bound { listeners, addresses, control, unwanted })
}

/// Listens at the addresses of one option. Sockets that were lent for it replace all of them.
fn bind_all(
    option: &'static str,
    texts: &[String],
    door: fn(IpAddr) -> Door,
    vital: &Vital,
    heirlooms: &mut Vec<Heirloom>,
    listeners: &mut [Vec<Listener>],
) -> Result<Vec<SocketAddr>, Error> {
    let lent = adopt::take(heirlooms, |place| place.option == option && place.lent);
    if !lent.is_empty() {
        return lent.into_iter().map(|one| adopt::all_of_one_address(vec![one], door, vital, listeners)).collect();
    }
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        let address = parse(option, text)?;
        let own = adopt::take(heirlooms, |place| place.option == option && place.text == *text);
        addresses.push(match own.is_empty() {
            true => bind_address(option, text, door(address.ip()), vital, listeners)?,
            false => adopt::all_of_one_address(own, door, vital, listeners)?,
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
fn bind_address(
    option: &'static str,
    text: &str,
    door: Door,
    vital: &Vital,
    listeners: &mut [Vec<Listener>],
) -> Result<SocketAddr, Error> {
    let sharers = if system::SHARED_PORTS { listeners.len() } else { 1 };
    let deals = sharers < listeners.len();
    let mut address = parse(option, text)?;
    if sharers > 1 && address.port() != 0 {
        // A port that is shared is shared with any other server of this user, which nobody has asked for.
        bind_tcp(address, false, vital).map_err(|error| refused(option, address, error))?;
    }
    for own in &mut listeners[..sharers] {
        let listener = bind_tcp(address, sharers > 1, vital)
            .and_then(|socket| {
                socket.listen(BACKLOG)?;
                Ok(TcpListener::from_std(socket.into()))
            })
            .map_err(|error| refused(option, address, error))?;
        // The first was given a port if none was asked for; the others join it there.
        address = listener.local_addr().map_err(|error| refused(option, address, error))?;
        own.push(Listener::new(Source::Tcp(listener), door, deals, Place::of(option, text), vital.clone()));
    }
    Ok(address)
}

fn bind_tcp(address: SocketAddr, shared: bool, vital: &Vital) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A restarted server must not wait for its predecessor's last connections.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses on some systems and one on others. Here they are two.
        socket.set_only_v6(true)?;
    }
    system::prepare(&socket, shared, vital)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Binds the control socket. A file that a dead server left is replaced; one that answers, or is no socket
/// at all, is somebody's. Its file has the rights `mode`, and never more on the way there.
fn bind_control(path: &Path, mode: u32) -> io::Result<(UnixListener, ControlFile)> {
    let address = SockAddr::unix(path)?;
    let _lock = lock_folder(path);
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

/// Keeps others of this program that begin at the same time from taking the file here for stale before its socket listens.
/// Somebody who holds the lock and does not let go keeps nobody from starting.
fn lock_folder(path: &Path) -> Option<fs::File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::File::open(folder).ok()?;
    for _ in 0..LOCK_TRIES {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(LOCK_PAUSE),
            outcome => return outcome.ok().map(|()| folder),
        }
    }
    None
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

/// The control socket's file, removed on drop unless another server has put its own there by then. One that a predecessor
/// bound is that one's until it has gone.
#[derive(Debug)]
pub(super) struct ControlFile {
    path: PathBuf,
    identity: FileIdentity,
    is_ours: bool,
}

impl ControlFile {
    fn of(path: &Path) -> io::Result<ControlFile> {
        Ok(ControlFile { path: path.into(), identity: identity(path)?, is_ours: true })
    }

    /// The file of a socket that a predecessor bound.
    fn inherited(path: &str, identity: FileIdentity) -> ControlFile {
        ControlFile { path: path.into(), identity, is_ours: false }
    }

    /// It is ours from now on, if it was a predecessor's.
    pub(super) fn own(&mut self) {
        self.is_ours = true;
    }

    /// What tells it from a file that another server puts there.
    pub(super) fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// It is another server's from now on.
    pub(super) fn disown(mut self) {
        self.is_ours = false;
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        if self.is_ours && identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it cannot be removed, the next server finds it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn identity(path: &Path) -> io::Result<FileIdentity> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}

#[cfg(target_os = "linux")]
mod system {
    use super::{SockRef, Socket, Vital, io};

    /// Whether several sockets may listen on one port and the system spreads connections over them.
    pub(super) const SHARED_PORTS: bool = true;

    /// Sets what a TCP listener needs before it is bound. Connections inherit `TCP_NODELAY`, and what is vital.
    pub(super) fn prepare(listener: &Socket, shared: bool, vital: &Vital) -> io::Result<()> {
        listener.set_tcp_nodelay(true)?;
        vital.set(SockRef::from(listener))?;
        listener.set_reuse_port(shared)
    }

    /// Whether it is a listening socket.
    pub(super) fn listens(socket: &Socket) -> io::Result<bool> {
        socket.is_listener()
    }

    /// Sets what a connection did not inherit: nothing.
    pub(super) fn equip(_connection: &Socket, _vital: &Vital) {}
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{SockRef, Socket, Vital, io, socket};

    /// Elsewhere the option exists and means that the last to listen gets everything.
    pub(super) const SHARED_PORTS: bool = false;

    /// Sets what a TCP listener needs before it is bound.
    pub(super) fn prepare(_listener: &Socket, _shared: bool, _vital: &Vital) -> io::Result<()> {
        Ok(())
    }

    /// Whether it is a listening socket: that cannot be asked here, and the first accept will tell.
    pub(super) fn listens(_socket: &Socket) -> io::Result<bool> {
        Ok(true)
    }

    /// Sets what a connection may not have inherited. That fails if the peer has gone, which the first
    /// read will tell, and for what is TCP's on a socket in the file system, which has no need of it.
    pub(super) fn equip(connection: &Socket, vital: &Vital) {
        let _ = socket::quiet(SockRef::from(connection));
        let _ = connection.set_tcp_nodelay(true);
        let _ = vital.set(SockRef::from(connection));
    }
}

#[cfg(test)]
mod tests;
