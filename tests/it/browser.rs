use crate::support::process::{ServerProcess, stderr, stdout};
use std::path::Path;
use std::process::Command;

/// Runs `tests/browser/start_page.mjs`, which drives a real Chromium, against a server of this test.
#[test]
fn the_start_page_shows_what_is_published_and_publishes_for_itself_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for needed in [Path::new("/usr/bin/chromium"), &root.join("target/node/node_modules/playwright-core")] {
        assert!(needed.exists(), "{} is missing: tests/run.sh installs it", needed.display());
    }
    let server = ServerProcess::start(&["--reactors", "2"]);
    let output = Command::new("node")
        .current_dir(root)
        .args(["tests/browser/start_page.mjs", &server.public.to_string(), &server.private.to_string()])
        .arg(env!("CARGO_BIN_EXE_encke"))
        .output()
        .expect("node is installed by tests/run.sh");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}
