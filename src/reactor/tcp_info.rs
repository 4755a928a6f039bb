//! What the system knows of a TCP connection: whether its peer has answered of late. For the log, and Linux alone.
//!
//! The one call of this room that no crate offers in safe code; it is read whole here and leaves as plain numbers.

use socket2::Socket;
use std::fmt;

/// The part of it that tells a dead peer from a slow one.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpInfo {
    unacked: u32,
    retransmits: u32,
    probes: u32,
    last_ack_ms: u32,
    last_sent_ms: u32,
    rtt_us: u32,
}

impl fmt::Display for TcpInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TcpInfo { unacked, retransmits, probes, last_ack_ms, last_sent_ms, rtt_us } = self;
        write!(
            f,
            "unacked={unacked} retransmits={retransmits} probes={probes} last_ack_ms={last_ack_ms} \
             last_sent_ms={last_sent_ms} rtt_us={rtt_us}"
        )
    }
}

/// Asks the system about `socket`; `None` if that is none of TCP.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(super) fn read(socket: &Socket) -> Option<TcpInfo> {
    use std::os::fd::AsRawFd;
    // SAFETY: a struct of plain integers, all of which may be zero.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed, and the system writes at most `length` bytes to `info`.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut length)
    };
    (result == 0).then_some(TcpInfo {
        unacked: info.tcpi_unacked,
        retransmits: info.tcpi_total_retrans,
        probes: info.tcpi_probes.into(),
        last_ack_ms: info.tcpi_last_ack_recv,
        last_sent_ms: info.tcpi_last_data_sent,
        rtt_us: info.tcpi_rtt,
    })
}

/// Nothing is known elsewhere.
#[cfg(not(target_os = "linux"))]
pub(super) fn read(_socket: &Socket) -> Option<TcpInfo> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_peer_that_answers_is_known_to_have_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut stream = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
        stream.write_all(b"hello").expect("room");
        let info = read(&Socket::from(stream)).expect("it is of TCP");
        assert!(info.rtt_us > 0 && info.last_ack_ms < 60_000, "{info}");
        assert!(info.to_string().starts_with("unacked="), "{info}");
    }

    #[test]
    fn nothing_is_known_of_a_socket_in_the_file_system() {
        let (socket, _peer) = Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a socket pair");
        assert!(read(&socket).is_none());
    }
}
