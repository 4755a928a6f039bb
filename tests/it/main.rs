//! The whole server over real sockets, seen by clients that share no code with it.
//!
//! Most tests run a server in this process; those about the command, its memory or its signals run the binary.
//! Every port is one that was free; whatever is waited for has a deadline.

#[path = "../common/notation.rs"]
#[allow(dead_code, reason = "only senders' half of it is needed here")]
mod notation;
mod support;

/// Tokens, keys and signed names over sockets: what they open, and when that ends.
mod access;
/// A table of attacks: each gets its answer, and hurts nobody else.
mod attacks;
/// Bayeux sessions, whatever reactor their requests land on and whatever breaks.
mod bayeux;
/// The start page in a real browser.
mod browser;
/// The command line: publish, subscribe, check, options and what is said about wrong ones.
mod cli;
/// The client for browsers, as it is handed out, and the numbers that an operator reads of all shards together.
mod client;
/// The control socket in the file system.
mod control;
/// Everybody gets everything, once and in order, whatever the transport and whoever publishes.
mod delivery;
/// The demonstrations: who may read and say what there.
mod demo;
/// Readers are cut off, stalled and killed at random, and the server is given options and successors, while much is
/// delivered; for long by `ENCKE_FAULT_SECONDS=1800`.
mod faults;
/// Programs elsewhere publish without an answer to each message, by hand and by the library.
mod framed;
/// Who may publish and inspect, and who may not.
mod gate;
/// An application elsewhere that decides who may subscribe, asked by HTTP.
mod hook;
/// The program around the server: it judges, is published to, and hears who comes and goes.
mod host;
/// How many may come, how fast, and what those are told who may not; where there are no descriptors left, too.
mod limits;
/// The service manager: the sockets that it passes, and what it is told.
mod manager;
/// Reload, succession and stop under very many connections; at full size by `ENCKE_SOAK=1`.
mod operating;
/// Who is here, whatever holds them and however they go.
mod presence;
/// What is wrong or hostile gets its status, its connection a proper end, and nobody else notices.
mod refusals;
/// New options for a server that runs: nobody is dropped, and what is wrong changes nothing.
mod reload;
/// Whoever is cut off goes on where it was, by any transport.
mod resume;
/// What an operator sees: numbers, samples, the dashboard, `encke top`, why something was lost, the access log.
mod seeing;
/// Slow heads beside readers, and readers that all come back at once; at full size by `ENCKE_SOAK=1`.
mod siege;
/// A reader that stops reading costs nobody anything, and is told what it missed.
mod slow;
/// Very many connections for a while; at full size by `ENCKE_SOAK=1`.
mod soak;
/// SIGTERM and its like: everybody gets a proper end.
mod stop;
/// A new process takes over: no client meets a closed door, and nothing that was taken is lost.
mod succession;
/// Reactors with descriptor tables of their own: more connections than one table holds, and whatever else goes by descriptors.
mod tables;
/// Every transport in a real browser.
mod transports;
/// Clients whose cable is pulled, or who are cut off by a firewall, are gone in seconds without a heartbeat.
mod vanish;
/// WebSockets: what their clients say and are told, and how they end.
mod websocket;
