//! The C ABI from C: each program of `tests/ffi`, and the examples of `bindings/c`, against the library that was
//! built for the tests, most of them under AddressSanitizer too, which also looks for leaks.
//!
//! A compiler or sanitizer that is missing fails the test that needs it. The heavier runs (valgrind, ThreadSanitizer, ten
//! million messages) are `tests/ffi/run.sh`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ADDRESS: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where the shared library that was built for the tests lies.
fn library_folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_encke")).with_file_name("deps")
}

/// Compiles `source`, which lies in the repository, with `flags`.
fn compile(source: &str, flags: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ffi");
    std::fs::create_dir_all(&folder).expect("a folder for programs");
    // The library's name for the linker is not its file's.
    let soname = folder.join("libencke.so.0");
    let _ = std::os::unix::fs::symlink(library_folder().join("libencke.so"), &soname);
    let stem = Path::new(source).file_stem().expect("a file").to_string_lossy();
    let program = folder.join(format!("{stem}{}", if flags.is_empty() { "" } else { "-checked" }));
    let (compiler, standard) = if source.ends_with(".cpp") { ("c++", "-std=c++17") } else { ("cc", "-std=gnu11") };
    let output = Command::new(compiler)
        .args([standard, "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"])
        .args(flags)
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join(source))
        .arg(soname)
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("a compiler for C and C++");
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    program
}

fn run(source: &str, flags: &[&str], arguments: &[&str]) {
    let output = Command::new(compile(source, flags)).args(arguments).output().expect("it was compiled");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{source}: {} {out}{err}", output.status);
}

#[test]
fn wrong_use_is_answered_with_codes() {
    run("tests/ffi/wrong_use.c", &[], &[]);
    run("tests/ffi/wrong_use.c", ADDRESS, &[]);
}

#[test]
fn a_child_is_told_or_goes_over_to_the_control_socket() {
    run("tests/ffi/fork.c", &[], &[]);
}

#[test]
fn a_hundred_thousand_messages_of_threads_and_of_processes_come_in_order() {
    run("tests/ffi/order.c", &[], &[]);
}

#[test]
fn channels_that_are_held_open_keep_the_order() {
    run("tests/ffi/channel.c", &[], &[]);
    run("tests/ffi/channel.c", ADDRESS, &[]);
}

#[test]
fn a_server_goes_on_with_other_options() {
    run("tests/ffi/reload.c", &[], &[]);
    run("tests/ffi/reload.c", ADDRESS, &[]);
}

#[test]
fn a_host_that_never_answers_has_its_default_told() {
    run("tests/ffi/silent_host.c", &[], &[]);
    run("tests/ffi/silent_host.c", ADDRESS, &[]);
}

#[test]
fn the_host_is_as_before() {
    run("tests/ffi/guest.c", &[], &[]);
    run("tests/ffi/guest.c", ADDRESS, &[]);
}

#[test]
fn eight_threads_publish_flush_and_stop() {
    run("tests/ffi/stress.c", &[], &["5"]);
    run("tests/ffi/stress.c", ADDRESS, &["3"]);
}

#[test]
fn a_stop_wakes_those_who_wait_for_events() {
    run("tests/ffi/stop_wakes.c", &[], &[]);
    run("tests/ffi/stop_wakes.c", ADDRESS, &[]);
}

#[test]
fn it_is_started_and_stopped_a_hundred_times() {
    run("tests/ffi/start_stop.c", &[], &["100"]);
    run("tests/ffi/start_stop.c", ADDRESS, &["20"]);
}

#[test]
fn what_is_published_right_before_a_stop_is_delivered() {
    run("tests/ffi/last_words.c", &[], &["100"]);
}

#[test]
fn memory_comes_back() {
    run("tests/ffi/leak.c", &[], &["500000", "1000"]);
}

/// A program that runs until it is dropped.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Running {
    fn start(source: &str) -> Running {
        let mut command = Command::new(compile(source, ADDRESS));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was compiled");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("it says where it listens");
        let address = line.split('"').find(|word| word.starts_with("127.0.0.1:")).unwrap_or_else(|| panic!("{line}"));
        Running { address: address.to_string(), child, lines }
    }

    fn get(&self, target: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).expect("room");
        BufReader::new(stream)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_until(stream: &mut impl BufRead, text: &str) {
    let begun = std::time::Instant::now();
    let mut line = String::new();
    while !line.contains(text) {
        assert!(begun.elapsed() < Duration::from_secs(30), "no {text:?} comes");
        line.clear();
        assert_ne!(stream.read_line(&mut line).expect("a stream"), 0, "it ended before {text:?}");
    }
}

#[test]
fn the_example_that_publishes_publishes_each_line() {
    let mut example = Running::start("bindings/c/publish.c");
    let mut stream = example.get("/sub/lines?transport=sse");
    read_until(&mut stream, "text/event-stream");
    let mut input = example.child.stdin.take().expect("piped");
    for number in 0..1000 {
        writeln!(input, "line {number}").expect("it reads");
    }
    for number in 0..1000 {
        read_until(&mut stream, &format!("data: line {number}"));
    }
    drop(input);
    stream.read_to_end(&mut Vec::new()).expect("an end, not a reset");
    assert!(example.child.wait().expect("it ends").success());
}

#[test]
fn the_example_that_judges_allows_one_and_denies_another() {
    let mut example = Running::start("bindings/c/judge.c");
    read_until(&mut example.get("/sub/private/news?transport=sse"), "403 Forbidden");
    assert_eq!(example.line(), "denied /private/news\n");
    read_until(&mut example.get("/sub/private/news?transport=sse&word=please"), "text/event-stream");
    assert_eq!(example.line(), "allowed /private/news\n");
    read_until(&mut example.get("/sub/public/news?transport=sse"), "text/event-stream");
}

#[test]
fn the_example_in_cpp_greets_by_name() {
    let mut example = Running::start("bindings/c/hello.cpp");
    let mut stream = example.get("/sub/hello?transport=sse");
    read_until(&mut stream, "text/event-stream");
    let mut input = example.child.stdin.take().expect("piped");
    writeln!(input, "Ann").expect("it reads");
    read_until(&mut stream, "data: Hello, Ann!");
    drop(input);
    stream.read_to_end(&mut Vec::new()).expect("an end, not a reset");
    assert!(example.child.wait().expect("it ends").success());
}

#[test]
fn only_functions_of_the_header_are_exported() {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library_folder().join("libencke.so")).output();
    let listing = String::from_utf8(output.expect("binutils").stdout).expect("text");
    let exported: Vec<&str> = listing.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let header = std::fs::read_to_string(root().join("include/encke.h")).expect("the header");
    assert!(exported.len() >= 20, "{exported:?}");
    for name in exported {
        assert!(header.contains(&format!("{name}(")), "{name} is exported and not in the header");
    }
}
