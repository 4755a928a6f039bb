//! Stands between a client and a server, to cut what lies between them.

use std::io::copy;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The proxy. Its threads end with the connections they carry, its listener with the test's process.
pub struct Proxy {
    pub address: SocketAddr,
    carried: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// One before the server at `server`.
    pub fn before(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a port");
        let carried = Arc::new(Mutex::new(Vec::new()));
        let ends = carried.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                ends.lock().expect("no panic").extend([&client, &upstream].map(|end| end.try_clone().expect("a socket")));
                carry(&client, &upstream);
                carry(&upstream, &client);
            }
        });
        Proxy { address, carried }
    }

    /// Ends every connection there is, in the middle of whatever it carries.
    pub fn cut(&self) {
        for end in self.carried.lock().expect("no panic").drain(..) {
            let _ = end.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn carry(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    std::thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}
