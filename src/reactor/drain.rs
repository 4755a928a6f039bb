//! The end of a server, step by step: for whoever wants to do something while it drains.

use super::server::Server;
use crossbeam_channel::RecvTimeoutError;
use std::io;
use std::thread;
use std::time::Duration;

impl Server {
    /// Begins what [`Server::stop`] does, and returns at once.
    pub fn drain(&mut self) {
        // While it still listens: nobody takes the file for one that a dead server left, and puts another there.
        self.remove_control();
        self.shared.stop();
    }

    /// Whether every reactor has ended, after [`Server::drain`] or a failure; waits for it at most for `limit`.
    pub fn has_ended_within(&self, limit: Duration) -> bool {
        // Nothing is ever sent: each reactor drops its end when it ends.
        self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }

    /// Calls `then` once every reactor has ended, on a thread of its own that sleeps until then.
    pub fn when_ended(&self, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let ended = self.ended.clone();
        let body = move || {
            // Nothing is ever sent.
            let _ = ended.recv();
            then();
        };
        thread::Builder::new().name("encke-end".into()).spawn(body).map(drop)
    }
}
