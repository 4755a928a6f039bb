//! Other servers to compare with, where they are installed: what starts them, and what is missing.
//!
//! `benches/run.sh --install-peers` fetches them by name. They come with the configuration in `benches/peers`.

use crate::Outcome;
use crate::side::{Kind, PATIENCE};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const CONFIGURATION: &str = include_str!("../peers/nginx.conf");
const FAYE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/faye.js");
/// Debian does not put nginx where everybody's `PATH` leads.
const NGINX: [&str; 2] = ["/usr/sbin/nginx", "/usr/bin/nginx"];
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const NODE: [&str; 2] = ["/usr/bin/node", "/usr/local/bin/node"];

/// The reason of a server that is not there.
pub const ABSENT: &str = "not installed";

/// What is missing for this server to be measured, if something is.
pub fn missing(kind: Kind) -> Option<&'static str> {
    let installed = match kind {
        Kind::Floor | Kind::Encke => true,
        Kind::Nchan => first_of(&NGINX).is_some() && Path::new(MODULE).exists(),
        Kind::Faye => first_of(&NODE).is_some() && library().exists(),
    };
    (!installed).then_some(ABSENT)
}

/// The command that serves at `address`.
pub fn command(kind: Kind, address: SocketAddr) -> Outcome<Command> {
    let port = address.port().to_string();
    match kind {
        Kind::Nchan => {
            let folder = folder().join(format!("nchan-{port}"));
            fs::create_dir_all(&folder)?;
            let place = folder.to_str().ok_or("the target directory's name is no text")?;
            let configuration = CONFIGURATION.replace("PORT", &port).replace("MODULE", MODULE).replace("FOLDER", place);
            let file = folder.join("nginx.conf");
            fs::write(&file, configuration)?;
            let mut command = Command::new(first_of(&NGINX).ok_or("nginx is not installed")?);
            command.arg("-c").arg(file).arg("-p").arg(folder);
            Ok(command)
        }
        Kind::Faye => {
            let mut command = Command::new(first_of(&NODE).ok_or("node is not installed")?);
            command.arg(FAYE).arg(library()).arg(port);
            Ok(command)
        }
        Kind::Floor | Kind::Encke => Err("that is no peer".into()),
    }
}

/// An address that nobody listens at now.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until somebody listens.
pub fn wait_for(address: SocketAddr) -> Outcome<()> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("nobody listens at {address}").into())
}

/// What a server is called where figures are kept.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Floor => "floor",
        Kind::Encke => "encke",
        Kind::Nchan => "nchan",
        Kind::Faye => "faye",
    }
}

/// Where builds lie, and with them what only benches need.
fn folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("peers")
}

fn library() -> PathBuf {
    folder().join("node_modules/faye")
}

fn first_of(places: &[&'static str]) -> Option<&'static str> {
    places.iter().find(|place| Path::new(place).exists()).copied()
}
