//! The `encke` command: a server, two small clients that publish to one and read from one, and a screen that shows one's
//! numbers.
//!
//! Owns the process: arguments, signals, exit codes (0 fine, 1 failed, 2 wrongly called). What it serves, it serves
//! through the library's public API; what it asks a server, it asks by HTTP like anybody else.

mod address;
mod arguments;
mod audience;
mod backoff;
mod demo;
mod envelope;
mod file;
mod healthy;
mod help;
mod hook;
mod http_client;
mod keys;
mod log;
mod manager;
mod publish;
#[cfg(test)]
mod scripted;
mod serve;
mod signals;
mod sources;
mod sse;
mod subscribe;
mod successor;
mod top;

use arguments::Command;
use std::process::ExitCode;

/// Done what was asked.
const FINE: u8 = 0;
/// Could not do what was asked.
const FAILED: u8 = 1;
/// Could not understand what was asked.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os().skip(1), &environment) {
        Ok(command) => command,
        Err(text) => {
            eprintln!("encke: {text}\nTry `encke --help`.");
            return MISUSED.into();
        }
    };
    let outcome = match command {
        Command::Print(text) => print(&text),
        Command::Serve(options) => serve::run(*options),
        Command::Publish(options) => publish::run(options),
        Command::Subscribe(options) => subscribe::run(options),
        Command::Key(key) => keys::make(&key).and_then(|text| print(&text)),
        Command::Token(token) => keys::sign(&token).and_then(|text| print(&text)),
        Command::Healthy(address) => healthy::run(address),
        Command::Top(options) => top::run(options),
        Command::Check(path) => file::check(&path).and_then(|()| print(&format!("{}: ok\n", path.display()))),
    };
    match outcome {
        Ok(()) => FINE.into(),
        Err(text) => {
            eprintln!("encke: {text}");
            FAILED.into()
        }
    }
}

/// What the environment says, if it says anything.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Prints to stdout. A reader that has seen enough and closed its end is no failure.
fn print(text: &str) -> Result<(), String> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("cannot write: {error}")),
        _ => Ok(()),
    }
}
