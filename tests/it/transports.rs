use crate::support::process::{Running, encke, stderr, stdout};
use std::path::Path;
use std::process::Command;

/// Runs a script of `tests/browser` against a server of its own with these options. A browser opens no more than
/// six connections to one address, so the server has several: `PRIVATE PUBLIC…` are the script's arguments.
fn run(script: &str, public: usize, options: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for needed in [Path::new("/usr/bin/chromium"), &root.join("target/node/node_modules/playwright-core")] {
        assert!(needed.exists(), "{} is missing: tests/run.sh installs it", needed.display());
    }
    let listen = vec!["127.0.0.1:0"; public].join(",");
    let mut command = encke(&["serve", "--reactors", "2", "--listen", &listen, "--private", "127.0.0.1:0"]);
    command.args(options);
    let server = Running::start(command);
    let address = |before: &str| {
        let line = server.said(before);
        let rest = line.split_once(before).map_or("", |(_, rest)| rest);
        rest[..rest.find([',', '"']).unwrap_or(rest.len())].to_owned()
    };
    let public: Vec<String> = (0..public).map(|_| address("\"subscribe at http://")).collect();
    let private = address("\"publish at http://");
    let output = Command::new("node")
        .current_dir(root)
        .arg(Path::new("tests/browser").join(script))
        .arg(private)
        .args(public)
        .output()
        .expect("node is installed by tests/run.sh");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    println!("{}", stdout(&output));
}

#[test]
fn every_transport_shows_each_event_before_the_next_is_published() {
    run("transports.mjs", 5, &[]);
}

#[test]
fn a_reader_that_is_cut_again_and_again_loses_nothing_and_gets_nothing_twice() {
    run("resume.mjs", 2, &["--life-span", "700ms", "--retry", "100ms"]);
}

#[test]
fn nothing_published_or_named_runs_in_a_page() {
    run("hostile.mjs", 3, &[]);
}

#[test]
fn the_page_of_all_transports_has_every_panel_alive_on_every_screen() {
    run("transports_page.mjs", 4, &[]);
}

#[test]
fn each_demonstration_lets_two_browsers_talk_to_each_other() {
    run("demos.mjs", 1, &["--demo"]);
}
