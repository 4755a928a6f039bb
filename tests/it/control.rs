use crate::support::process::{ServerProcess, encke, run, stderr, stdout};
use crate::support::scratch::{Scratch, text_of};
use crate::support::wire::Wire;
use crate::support::{REACTORS, config, serve};
use encke::{Config, Server};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

fn config_at(path: &Path, reactors: u64) -> Config {
    Config { control: Some(text_of(path)), private: vec![], ..config(reactors) }
}

#[test]
fn the_control_socket_publishes_and_inspects() {
    for reactors in REACTORS {
        let scratch = Scratch::new();
        let path = scratch.path("control");
        let server = serve(config_at(&path, reactors));
        let mut stream = Wire::connect(server.addresses().public[0]);
        stream.listen("/sub/a?transport=sse");
        // Whichever reactor a connection is dealt to, it has the same rights.
        for number in 1..=2 * reactors {
            let mut wire = Wire::connect_unix(&path);
            assert_eq!(wire.publish("/a", &format!("number {number}")).status(), 200);
            stream.until(&format!("data: number {number}\n\n"));
            assert_eq!(wire.ask("/channels/a").member("depth"), number);
        }
        let mut wire = Wire::connect_unix(&path);
        wire.send("DELETE /channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.response().status(), 200);
        let mut public = Wire::connect(server.addresses().public[0]);
        assert_eq!(public.ask("/channels/a").status(), 403, "the public listener has not the same rights");
    }
}

#[test]
fn its_file_is_its_owners_alone_and_gone_after_a_stop() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let server = serve(config_at(&path, 2));
    let metadata = std::fs::symlink_metadata(&path).expect("a socket");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    server.stop();
    assert!(!path.exists());
}

#[test]
fn its_file_has_the_rights_that_were_asked_for() {
    let scratch = Scratch::new();
    for (number, mode) in [0o660, 0o666, 0o600].into_iter().enumerate() {
        let path = scratch.path(&number.to_string());
        let server = serve(Config { control_mode: format!("{mode:o}"), ..config_at(&path, 1) });
        let metadata = std::fs::symlink_metadata(&path).expect("a socket");
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        assert_eq!(Wire::connect_unix(&path).publish("/a", "x").status(), 200);
        server.stop();
    }
    let wrong = Config { control_mode: "668".into(), ..config_at(&scratch.path("none"), 1) };
    let error = Server::start(wrong).expect_err("it is no number of that kind").to_string();
    assert!(error.contains("--control-mode") && error.contains("668"), "{error}");
}

#[test]
fn a_live_servers_socket_is_not_taken_and_a_dead_ones_is() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let server = serve(config_at(&path, 1));
    let error = Server::start(config_at(&path, 1)).expect_err("it is taken").to_string();
    assert!(error.contains("--control") && error.contains(&text_of(&path)) && error.contains("another server"), "{error}");
    assert_eq!(Wire::connect_unix(&path).publish("/a", "still here").status(), 200);
    server.stop();

    let options = ["--control", &text_of(&path)];
    let mut killed = ServerProcess::start(&options);
    killed.process.signal("KILL");
    killed.process.wait();
    assert!(path.exists(), "nobody was left to remove it");
    let _second = ServerProcess::start(&options);
    assert_eq!(Wire::connect_unix(&path).publish("/a", "anew").status(), 200);
}

#[test]
fn a_file_that_is_no_socket_stays_what_it_is() {
    let scratch = Scratch::new();
    let path = scratch.file("notes", "mine");
    assert!(Server::start(config_at(Path::new(&path), 1)).is_err());
    assert_eq!(std::fs::read_to_string(&path).expect("still there"), "mine");
}

#[test]
fn the_command_speaks_to_it() {
    let scratch = Scratch::new();
    let path = scratch.path("control");
    let _server = ServerProcess::start(&["--control", &text_of(&path)]);
    let to = format!("unix:{}", text_of(&path));
    let published = run(&mut encke(&["publish", "/a", "hello", "--to", &to]), b"");
    assert!(published.status.success(), "{}", stderr(&published));
    let read = run(&mut encke(&["subscribe", "/a", "--since", "earliest", "--count", "1", "--to", &to]), b"");
    assert_eq!(stdout(&read), "hello\n");
}
