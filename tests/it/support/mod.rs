//! What the tests share: servers, clients by hand, and a crowd of readers whose books are kept.

pub mod attack;
pub mod book;
pub mod crowd;
pub mod events;
pub mod frames;
pub mod http;
pub mod ledger;
pub mod process;
pub mod proxy;
pub mod publishers;
pub mod scratch;
pub mod slow_heads;
pub mod wire;
pub mod ws;

use encke::{Config, Server};
use std::time::{Duration, Instant};

/// How many reactors a server has where that may make a difference.
pub const REACTORS: [u64; 3] = [1, 2, 4];

/// What is not there by then does not come.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// Between two looks at something that cannot wake us.
const LOOK: Duration = Duration::from_millis(2);

/// The defaults on free ports of this machine.
pub fn config(reactors: u64) -> Config {
    let any = || vec!["127.0.0.1:0".into()];
    Config { listen: any(), private: any(), reactors, ..Config::default() }
}

/// A server in this process.
pub fn serve(config: Config) -> Server {
    Server::start(config).expect("a server on free ports")
}

/// Looks until `found` finds something.
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// Whether what needs minutes or a quiet machine is to be done: `ENCKE_SOAK=1`.
pub fn at_full_size() -> bool {
    std::env::var("ENCKE_SOAK").is_ok_and(|value| value == "1")
}
