//! The one thread that takes a server's events: what demonstrations ask for, and who wants to subscribe to what is judged.
//!
//! It hands them on, and never waits for anybody: without anything to do it sleeps on the descriptor of the events.

use crate::demo::Workshop;
use crate::hook::Hook;
use encke::{Error, EventKind, Events};
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Instant;

/// Starts the thread. It ends with the server, or else with the process.
pub fn start(workshop: Workshop, hook: Option<Hook>, events: Events) -> Result<(), Error> {
    let failed = |error| Error::Io("the server's events have no thread".into(), error);
    let poll = Poll::new().map_err(failed)?;
    let descriptor = events.as_fd().as_raw_fd();
    poll.registry().register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE).map_err(failed)?;
    let work = move || run(workshop, hook.as_ref(), poll, &events);
    thread::Builder::new().name("encke-audience".into()).spawn(work).map_err(failed)?;
    Ok(())
}

/// Works until the server stops.
fn run(mut workshop: Workshop, hook: Option<&Hook>, mut poll: Poll, events: &Events) {
    let mut woken = mio::Events::with_capacity(1);
    loop {
        // All of them: the descriptor tells of the next one only after none was left.
        while let Some(event) = events.next() {
            match (event.kind, hook) {
                (EventKind::Publish, _) => workshop.asked(event.data(), Instant::now()),
                (EventKind::Subscribe, Some(hook)) => hook.ask(event.question, event.channel(), event.request()),
                _ => {}
            }
        }
        if matches!(workshop.work(Instant::now()), Err(Error::Closed)) {
            return;
        }
        let wait = workshop.next().map(|next| next.saturating_duration_since(Instant::now()));
        if let Err(error) = poll.poll(&mut woken, wait)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return log::warn!(error:%; "demonstrations and questions have ended");
        }
    }
}
