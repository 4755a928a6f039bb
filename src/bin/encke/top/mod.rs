//! `encke top`: a screen with a server's numbers, which are read from its channel `/encke/stats` and shown as they come.
//!
//! Three threads tell one: what the server says (`feed`), what is typed, and signals. That one draws (`frame`), and gives the
//! terminal back as it was found (`screen`), however it ends.

mod feed;
mod frame;
mod sample;
mod screen;

use crate::arguments::Top;
use frame::Frame;
use sample::{Sample, View};
use screen::Screen;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use std::io::{IsTerminal, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// The size of a screen that nobody told us the size of.
const COLUMNS: usize = 80;
const ROWS: usize = 24;

/// What may wait for a terminal that is held up: then the server is read no further.
const EVENTS_MAX: usize = 16;

/// What happened.
enum Event {
    /// The server's numbers.
    Sample(Box<Sample>),
    /// The server is not there; why, and that it is waited for.
    Away(String),
    /// No further try would help.
    Failed(String),
    /// The screen has another size.
    Resized,
    /// Somebody wants to go.
    Quit,
}

/// Shows what `options` ask for.
pub fn run(options: Top) -> Result<(), String> {
    let (tell, events) = sync_channel(EVENTS_MAX);
    if options.once {
        feed::start(options.to.clone(), tell);
        return once(&options, &events);
    }
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err("top: this is no terminal (write encke top --once)".into());
    }
    watch_signals(tell.clone())?;
    let mut screen = Screen::open()?;
    watch_keys(tell.clone());
    feed::start(options.to.clone(), tell);
    show(&options, &events, &mut screen)
}

/// Prints what happened in one second.
fn once(options: &Top, events: &Receiver<Event>) -> Result<(), String> {
    let mut view = View::default();
    for event in events {
        match event {
            Event::Sample(sample) => view.take(*sample),
            // Whoever asks once does not wait for a server that is not there.
            Event::Away(why) | Event::Failed(why) => return Err(why),
            Event::Resized | Event::Quit => {}
        }
        if view.rates().is_some() {
            let columns = screen::size().map_or(COLUMNS, |(columns, _)| columns);
            let frame = Frame { view: &view, to: &options.to.to_string(), away: None, columns, rows: ROWS };
            return crate::print(&frame.plain());
        }
    }
    Err("top: the server says nothing".into())
}

fn show(options: &Top, events: &Receiver<Event>, screen: &mut Screen) -> Result<(), String> {
    let mut view = View::default();
    let mut away = Some("connecting".to_string());
    let to = options.to.to_string();
    loop {
        let (columns, rows) = screen::size().unwrap_or((COLUMNS, ROWS));
        let frame = Frame { view: &view, to: &to, away: away.as_deref(), columns, rows };
        screen.draw(&frame.lines())?;
        match events.recv() {
            Ok(Event::Sample(sample)) => {
                view.take(*sample);
                away = None;
            }
            Ok(Event::Away(why)) => away = Some(why),
            Ok(Event::Resized) => screen.clear()?,
            Ok(Event::Failed(why)) => return Err(why),
            Ok(Event::Quit) | Err(_) => return Ok(()),
        }
    }
}

fn watch_signals(tell: SyncSender<Event>) -> Result<(), String> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH]).map_err(|error| format!("cannot watch for signals: {error}"))?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let event = if signal == SIGWINCH { Event::Resized } else { Event::Quit };
            if tell.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// q and Q end it, and so does the end of what is typed. Ctrl-C comes as a signal.
fn watch_keys(tell: SyncSender<Event>) {
    thread::spawn(move || {
        for byte in std::io::stdin().lock().bytes() {
            if matches!(byte, Ok(b'q' | b'Q') | Err(_)) {
                break;
            }
        }
        // Whoever draws may have ended.
        let _ = tell.send(Event::Quit);
    });
}
