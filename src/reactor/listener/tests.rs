//! Where connections come from, bound at free ports and fresh paths.

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

fn accept(listener: &mut Listener, now: u64) -> Option<Socket> {
    let visitor = listener.accept(Tick(now), &Reserve::new())?;
    assert!(visitor.address.is_some_and(|address| address.ip().is_loopback()));
    Some(visitor.socket)
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
        accepted.extend(std::iter::from_fn(|| accept(listener, 0)));
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
    assert!(accept(&mut listener, 0).is_some());
    assert_eq!(listener.due(), Some(Tick(0)));
    assert!(accept(&mut listener, 0).is_some());
    assert!(accept(&mut listener, 0).is_none());
    assert_eq!(listener.due(), None);
}

#[test]
fn an_accepted_socket_neither_blocks_nor_waits_to_send() {
    let (mut listener, address) = one();
    let _client = TcpStream::connect(address);
    listener.rouse();
    let socket = accept(&mut listener, 0).expect("a connection");
    assert!(socket.nonblocking().expect("its flags"));
    assert!(socket.tcp_nodelay().expect("its options"));
}

#[test]
fn an_accepted_socket_is_watched_for_a_peer_that_dies() {
    let (mut listener, address) = one();
    let _client = TcpStream::connect(address);
    listener.rouse();
    let socket = accept(&mut listener, 0).expect("a connection");
    assert!(socket.keepalive().expect("its options"));
    #[cfg(target_os = "linux")]
    {
        let minute = std::time::Duration::from_secs(60);
        assert_eq!(socket.tcp_keepalive_time().expect("its options"), minute / 2);
        assert_eq!(socket.tcp_user_timeout().expect("its options"), Some(minute));
    }
}

#[test]
fn a_refused_listener_rests_whatever_comes() {
    let (mut listener, address) = one();
    let _client = TcpStream::connect(address);
    listener.rouse();
    listener.state = State::Paused(Tick(7 + PAUSE_MS));
    listener.rouse();
    assert_eq!(listener.due(), Some(Tick(7 + PAUSE_MS)));
    assert!(accept(&mut listener, 7 + PAUSE_MS - 1).is_none());
    assert!(accept(&mut listener, 7 + PAUSE_MS).is_some());
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

#[test]
fn of_those_that_begin_at_once_one_gets_the_control_socket_and_keeps_it() {
    for _ in 0..100 {
        let scratch = Scratch::new();
        drop(std::os::unix::net::UnixListener::bind(&scratch.0).expect("a fresh path"));
        let config = config(&[], &[], Some(&scratch.0));
        let begun: Vec<Result<Bound, Error>> = thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| bind(&config, 1))).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        assert_eq!(begun.iter().filter(|one| one.is_ok()).count(), 1, "{begun:?}");
        UnixStream::connect(&scratch.0).expect("it is to be found there");
    }
}

#[test]
fn somebody_who_holds_the_lock_keeps_nobody_from_beginning() {
    let folder = Scratch::new();
    fs::create_dir(&folder.0).expect("a fresh path");
    let held = fs::File::open(&folder.0).expect("a folder");
    flock(&held, FlockOperation::LockExclusive).expect("a lock");
    let path = folder.0.join("control");
    drop(bind(&config(&[], &[], Some(&path)), 1).expect("a fresh path"));
    fs::remove_dir(&folder.0).expect("an empty folder");
}
