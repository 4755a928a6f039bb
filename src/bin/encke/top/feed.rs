//! The server's numbers as they come: an event stream of `/encke/stats`, begun anew whenever it breaks.

use super::Event;
use super::sample::Sample;
use crate::address::Address;
use crate::backoff::Backoff;
use crate::http_client::{Client, Request, refusal};
use crate::sse::EventStream;
use std::sync::mpsc::SyncSender;
use std::thread;

const TARGET: &str = "/sub/encke/stats?transport=sse";
const WAIT_MS_FIRST: u64 = 250;
const WAIT_MS_MOST: u64 = 2_000;

/// Why the stream ended.
enum End {
    /// It may go better the next time.
    Lost(String),
    /// It will not.
    Failed(String),
    /// Nobody wants to know any more.
    Unheard,
}

/// Reads from the server at `to` on a thread of its own, until nobody wants to know.
pub fn start(to: Address, tell: SyncSender<Event>) {
    thread::spawn(move || {
        let mut backoff = Backoff::new(WAIT_MS_FIRST, WAIT_MS_MOST);
        loop {
            let event = match stream(&to, &tell, &mut backoff) {
                End::Lost(why) => Event::Away(why),
                End::Failed(why) => Event::Failed(why),
                End::Unheard => return,
            };
            let failed = matches!(event, Event::Failed(_));
            if tell.send(event).is_err() || failed {
                return;
            }
            thread::sleep(backoff.next());
        }
    });
}

fn stream(to: &Address, tell: &SyncSender<Event>, backoff: &mut Backoff) -> End {
    let mut client = Client::new(to.clone());
    let lost = |error: std::io::Error| End::Lost(format!("no server at {to}: {error}"));
    let request = Request { method: "GET", target: TARGET, headers: &[("Accept", "text/event-stream")], body: b"" };
    let mut response = match client.send(&request) {
        Ok(response) => response,
        Err(error) => return lost(error),
    };
    match response.status {
        200 => {}
        status @ (429 | 503) => return End::Lost(refusal(status, &response.whole().unwrap_or_default())),
        404 => return End::Failed(format!("the server at {to} has no numbers to show: is it an older one?")),
        status => return End::Failed(refusal(status, &response.whole().unwrap_or_default())),
    }
    let (mut stream, mut events) = (EventStream::default(), Vec::new());
    loop {
        match response.next() {
            Ok(Some(bytes)) => {
                if let Err(why) = stream.feed(&bytes, &mut events) {
                    return End::Failed(why);
                }
            }
            Ok(None) => return End::Lost(format!("the server at {to} has ended the stream")),
            Err(error) => return lost(error),
        }
        // A gap among samples is no loss: each of them tells everything.
        for event in events.drain(..).filter(|event| event.name.is_empty()) {
            backoff.reset();
            let event = match serde_json::from_str::<Sample>(&event.data) {
                Ok(sample) => Event::Sample(Box::new(sample)),
                Err(error) => return End::Failed(format!("the server's numbers cannot be read: {error}")),
            };
            if tell.send(event).is_err() {
                return End::Unheard;
            }
        }
    }
}
