use crate::support::DEADLINE;
use crate::support::process::{Running, ServerProcess, Stranger, encke, signal, stderr};
use crate::support::scratch::{Scratch, text_of};
use crate::support::wire::{End, Wire};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;

/// The binary, with its stdin and stdout passed as a service manager passes sockets that are called `names`.
fn activated(names: &str, arguments: &[&str]) -> Command {
    let plain = encke(arguments);
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 4<&1 </dev/null >/dev/null"]);
    command.arg(plain.get_program()).args(plain.get_args());
    plain.get_envs().for_each(|(name, _)| _ = command.env_remove(name));
    command.env("LISTEN_FDS", names.split(':').count().to_string()).env("LISTEN_FDNAMES", names);
    command
}

fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("a copy").into()
}

#[test]
fn sockets_that_are_passed_outlive_the_server_and_keep_who_waits() {
    for reactors in ["1", "3"] {
        let (public, private) =
            (TcpListener::bind("127.0.0.1:0").expect("a port"), TcpListener::bind("127.0.0.1:0").expect("a port"));
        let (address, application) = (public.local_addr().expect("bound"), private.local_addr().expect("bound"));
        for _ in 0..2 {
            let mut waiting = Wire::connect(address);
            waiting.get("/healthz");
            let command = activated("listen:private", &["serve", "--listen", "127.0.0.1:1", "--reactors", reactors]);
            let mut process = Running::with_sockets(command, copy(&public), copy(&private));
            process.said(&format!("subscribe at http://{address}"));
            process.said(&format!("publish at http://{application}"));
            assert_eq!(waiting.response().status(), 200);
            let mut streams: Vec<Wire> = (0..9).map(|_| Wire::connect(address)).collect();
            streams.iter_mut().for_each(|stream| stream.listen("/sub/a?transport=sse"));
            assert_eq!(Wire::connect(application).publish("/a", "to all").status(), 200);
            streams.iter_mut().for_each(|stream| stream.until("data: to all"));
            process.signal("HUP");
            process.said("options reloaded");
            process.signal("TERM");
            assert_eq!(process.wait().code(), Some(0));
        }
        Wire::connect(address);
    }
}

#[test]
fn a_control_socket_is_passed_too() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let public = TcpListener::bind("127.0.0.1:0").expect("a port");
    let control = UnixListener::bind(&path).expect("a fresh path");
    let command = activated("listen:control", &["--private", "off"]);
    let mut process = Running::with_sockets(command, copy(&public), control.into());
    process.said(&format!("publish at unix:{}", path.display()));
    assert_eq!(Wire::connect_unix(&path).publish("/a", "x").status(), 200);
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
    assert!(path.exists(), "its file is the manager's");
}

#[test]
fn what_is_passed_must_be_named_and_listen() {
    let tcp = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("a port"));
    let connected = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        OwnedFd::from(std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("a connection"))
    };
    for (names, socket, said) in [
        ("listen:web", tcp(), "the name \"web\" of a socket that was passed is none of listen, private, control"),
        ("listen:private", UdpSocket::bind("127.0.0.1:0").expect("a port").into(), "passed for --private cannot be used"),
        ("listen:control", tcp(), "passed for --control cannot be used"),
        ("listen:private", connected(), "--private: the socket that was handed over cannot be used"),
    ] {
        let output = activated(names, &[]).stdin(tcp()).stdout(socket).stderr(std::process::Stdio::piped()).output();
        let output = output.expect("an end");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}

/// What the manager is told next, among all that says something else than that the process is alive.
fn told(manager: &UnixDatagram) -> Vec<String> {
    loop {
        let mut buffer = [0; 4096];
        let count = manager.recv(&mut buffer).expect("a word");
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        if text != "WATCHDOG=1" {
            return text.lines().map(String::from).collect();
        }
    }
}

#[test]
fn the_manager_is_told_how_the_server_fares() {
    let scratch = Scratch::new();
    let path = scratch.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a fresh path");
    manager.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let mut command = encke(&["serve", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--reactors", "2"]);
    command.env("NOTIFY_SOCKET", text_of(&path)).env("WATCHDOG_USEC", "200000");
    let mut server = ServerProcess::of(command);
    assert_eq!(told(&manager), ["READY=1", "STATUS=serving"]);
    let mut buffer = [0; 64];
    for _ in 0..3 {
        let count = manager.recv(&mut buffer).expect("a word");
        assert_eq!(&buffer[..count], b"WATCHDOG=1");
    }
    server.process.signal("HUP");
    let reloading = told(&manager);
    assert!(
        reloading[0] == "RELOADING=1"
            && reloading[1].strip_prefix("MONOTONIC_USEC=").is_some_and(|usec| usec.parse::<u64>().is_ok())
    );
    assert_eq!(told(&manager)[0], "READY=1");
    server.process.signal("USR2");
    // Of two processes, in no order.
    let words = [told(&manager), told(&manager)].concat();
    let main = words.iter().find_map(|word| word.strip_prefix("MAINPID=")?.parse().ok());
    let successor = Stranger(main.expect("whom to look after now"));
    assert!(words.contains(&"READY=1".into()), "{words:?}");
    assert_eq!(server.process.wait().code(), Some(0));
    assert!(signal(successor.0, "TERM"));
    assert_eq!(told(&manager)[0], "STOPPING=1");
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_is_understood() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let name = format!("encke-it-{}", std::process::id());
    let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a fresh name");
    manager.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let mut command = encke(&["serve", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let mut server = ServerProcess::of(command);
    assert_eq!(told(&manager)[0], "READY=1");
    let mut idle = Wire::connect(server.public);
    assert_eq!(idle.ask("/healthz").status(), 200);
    server.process.signal("TERM");
    assert_eq!(told(&manager)[0], "STOPPING=1");
    assert_eq!(idle.end(), End::Proper);
    assert_eq!(server.process.wait().code(), Some(0));
}

/// What a manager is told next is that the process is alive.
fn beats(manager: &UnixDatagram) {
    let mut buffer = [0; 4096];
    let count = manager.recv(&mut buffer).expect("a word");
    assert_eq!(&buffer[..count], b"WATCHDOG=1");
}

/// A successor may take long to begin, or hang. Here it begins when it is told to.
const HESITANT: &str = r#"
    mkfifo "$1/go" && ln -s "$0" "$1/encke" &&
        printf '#!/bin/sh\nread -r _ <%s/go\nexec %s "$@"\n' "$1" "$0" >"$1/hesitant" && chmod +x "$1/hesitant"
"#;

#[test]
fn while_a_successor_begins_the_server_is_alive_and_what_it_is_asked_for_is_passed_on() {
    let scratch = Scratch::new();
    let (program, path) = (scratch.path("encke"), scratch.path("notify"));
    let made = Command::new("sh").args(["-c", HESITANT, env!("CARGO_BIN_EXE_encke"), &text_of(&scratch.path(""))]).status();
    assert!(made.expect("a shell").success());
    let manager = UnixDatagram::bind(&path).expect("a fresh path");
    manager.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let mut command = Command::new(&program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--private", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", text_of(&path)).env("WATCHDOG_USEC", "200000");
    let mut server = ServerProcess::of(command);
    std::fs::rename(scratch.path("hesitant"), &program).expect("both are there");
    server.process.signal("USR2");
    server.process.said("to take over");
    assert_eq!(told(&manager)[0], "READY=1");
    (0..5).for_each(|_| beats(&manager));
    server.process.signal("TERM");
    std::fs::write(scratch.path("go"), "\n").expect("somebody who waits for it");
    server.process.said("has taken over");
    assert_eq!(server.process.wait().code(), Some(0));
    // The successor, too, has ended.
    server.process.silent();
}
