//! How a peer that is gone without a word is found out: its system is asked by ours, and no byte of ours is spent.
//!
//! Two options say when. A **keep-alive** asks a peer that has been silent; the **user timeout** gives up one that does not
//! say that it got what was sent. Both are set on listeners where connections inherit them, and on each connection
//! elsewhere. What the system finds out comes as the error of a read or a send: [`count`] tells those apart, and
//! [`log_evidence`] notes what the system knew, for whoever asks why a client was given up.
//!
//! A shut window counts as silence for the user timeout: who takes nothing for so long is given up too, though it lives.

use super::tcp_info;
use crate::base::config::Config;
use crate::engine::Counters;
use socket2::{SockRef, Socket, TcpKeepalive};
use std::io;
use std::time::Duration;

/// How often a silent peer is asked again; together that takes as long as it was silent before.
const QUESTIONS: u32 = 3;

/// When peers are asked, and given up.
#[derive(Clone, Debug)]
pub(super) struct Vital {
    keepalive: Option<TcpKeepalive>,
    user_timeout: Option<Duration>,
}

impl Vital {
    pub(super) fn new(config: &Config) -> Vital {
        let some = |ms: u64| (ms > 0).then(|| Duration::from_millis(ms));
        Vital { keepalive: some(config.tcp_keepalive_ms).map(keepalive), user_timeout: some(config.tcp_user_timeout_ms) }
    }

    /// Sets both on a TCP socket.
    pub(super) fn set(&self, socket: SockRef<'_>) -> io::Result<()> {
        if let Some(keepalive) = &self.keepalive {
            socket.set_tcp_keepalive(keepalive)?;
        }
        give_up_after(&socket, self.user_timeout)
    }
}

/// Sets the user timeout.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn give_up_after(socket: &SockRef<'_>, timeout: Option<Duration>) -> io::Result<()> {
    socket.set_tcp_user_timeout(timeout)
}

/// Other systems have none that a socket could be given: what is sent is given up when they give it up.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn give_up_after(_socket: &SockRef<'_>, _timeout: Option<Duration>) -> io::Result<()> {
    Ok(())
}

/// Asks after `idle`, then [`QUESTIONS`] times more within as long again. The system counts in seconds.
fn keepalive(idle: Duration) -> TcpKeepalive {
    let idle = Duration::from_secs(idle.as_millis().div_ceil(1_000) as u64);
    let keepalive = TcpKeepalive::new().with_time(idle);
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "dragonfly",
        target_vendor = "apple"
    ))]
    let keepalive =
        keepalive.with_interval(Duration::from_secs((idle.as_secs() / u64::from(QUESTIONS)).max(1))).with_retries(QUESTIONS);
    keepalive
}

/// Counts a connection that ended with `error`.
pub(super) fn count(counters: &mut Counters, error: &io::Error) {
    match error.kind() {
        // What the way to the peer says last stands for the timeout that it came to.
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            counters.gone_timed_out += 1;
        }
        _ => counters.gone_reset += 1,
    }
}

/// Notes why a connection was given up, with what the system knew of it.
pub(super) fn log_evidence(socket: &Socket, error: &io::Error) {
    if !log::log_enabled!(log::Level::Debug) {
        return;
    }
    match tcp_info::read(socket) {
        Some(info) => log::debug!("gave up a connection: {error}; {info}"),
        None => log::debug!("gave up a connection: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};

    fn set(keepalive: u64, user_timeout: u64) -> Socket {
        let config = Config { tcp_keepalive_ms: keepalive, tcp_user_timeout_ms: user_timeout, ..Config::default() };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        Vital::new(&config).set(SockRef::from(&socket)).expect("a TCP socket takes them");
        socket
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn questions_take_as_long_as_the_silence_before_them() {
        for (idle_ms, idle, interval) in [(1_000, 1, 1), (1_001, 2, 1), (30_000, 30, 10), (7_200_000, 7_200, 2_400)] {
            let socket = set(idle_ms, 0);
            assert!(socket.keepalive().expect("its options"));
            assert_eq!(socket.tcp_keepalive_time().expect("its options").as_secs(), idle, "{idle_ms}");
            assert_eq!(socket.tcp_keepalive_interval().expect("its options").as_secs(), interval, "{idle_ms}");
            assert_eq!(socket.tcp_keepalive_retries().expect("its options"), QUESTIONS);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_off_is_left_to_the_system() {
        let socket = set(0, 0);
        assert!(!socket.keepalive().expect("its options"));
        assert_eq!(socket.tcp_user_timeout().expect("its options"), None);
        assert_eq!(set(0, 60_000).tcp_user_timeout().expect("its options"), Some(Duration::from_secs(60)));
    }

    #[test]
    fn an_unreachable_peer_is_one_that_did_not_answer_in_time() {
        use io::ErrorKind::*;
        for (kind, timed_out) in
            [(TimedOut, 1), (HostUnreachable, 1), (NetworkUnreachable, 1), (ConnectionReset, 0), (BrokenPipe, 0)]
        {
            let mut counters = Counters::default();
            count(&mut counters, &kind.into());
            assert_eq!((counters.gone_timed_out, counters.gone_reset), (timed_out, 1 - timed_out), "{kind}");
        }
    }
}
