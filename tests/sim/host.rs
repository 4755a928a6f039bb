//! The program around the server: it keeps the books of who reads what, by what it is told.
//!
//! Whatever happens, a position is taken before it is left and left before its connection's end, and each of that is
//! told once. A program that is also the judge allows everything, in its own time.

use super::dice::Dice;
use encke::Config;
use encke::base::event::{Event, EventKind};
use encke::engine::{Engine, EventFeed, events};
use std::collections::{BTreeSet, HashMap, HashSet};

/// What the program knows.
pub struct Host {
    feed: EventFeed,
    /// Each client and the channels where it holds a position.
    held: HashMap<u64, HashSet<String>>,
    gone: HashSet<u64>,
    /// Each channel and the users who are present there.
    present: HashMap<String, BTreeSet<String>>,
    /// Questions that it has not answered yet.
    pub questions: Vec<u64>,
}

impl Host {
    /// The program around these engines.
    pub fn around(engines: &mut [Engine], config: &Config) -> Host {
        let (port, feed) = events(config.events_max);
        if config.check_hostless().is_err() {
            engines.iter_mut().for_each(|engine| engine.set_host(port.clone()));
        }
        Host { feed, held: HashMap::new(), gone: HashSet::new(), present: HashMap::new(), questions: Vec::new() }
    }

    /// Takes all events there are, and holds each against the books.
    pub fn listen(&mut self) {
        while let Some(event) = self.feed.next() {
            let (client, channel) = (event.client, event.channel().to_string());
            assert!(!self.gone.contains(&client), "{:?} of a client that is gone", event.kind);
            let held = self.held.entry(client).or_default();
            match event.kind {
                EventKind::Subscribe => {
                    assert!(!held.contains(&channel), "it is asked about {channel}, where it holds a position");
                    self.questions.push(event.question);
                }
                EventKind::Subscribed => assert!(held.insert(channel), "a position is taken twice"),
                EventKind::Unsubscribed => assert!(held.remove(&channel), "a position is left that nobody held"),
                EventKind::Gone => {
                    assert!(held.is_empty(), "it is gone and holds {held:?}");
                    self.held.remove(&client);
                    self.gone.insert(client);
                }
                EventKind::Joined => assert!(self.present_in(&event).insert(user_of(&event)), "it joins twice: {event:?}"),
                EventKind::Left => assert!(self.present_in(&event).remove(&user_of(&event)), "it leaves twice: {event:?}"),
                other => panic!("{other:?} in a world without it"),
            }
        }
    }

    fn present_in(&mut self, event: &Event) -> &mut BTreeSet<String> {
        self.present.entry(event.channel().to_owned()).or_default()
    }

    /// Who is present in a channel, as far as was told.
    pub fn present(&self, channel: &str) -> BTreeSet<String> {
        self.present.get(channel).cloned().unwrap_or_default()
    }

    /// A question that it answers now, if there is one.
    pub fn answered(&mut self, dice: &mut Dice) -> Option<u64> {
        (!self.questions.is_empty()).then(|| self.questions.swap_remove(dice.below(self.questions.len())))
    }

    /// Panics unless so many clients hold a position, as far as was told.
    pub fn check_readers(&self, clients: usize) {
        let readers = self.held.values().filter(|channels| !channels.is_empty()).count();
        assert!(readers <= clients, "{readers} hold a position by {clients} connections");
    }
}

fn user_of(event: &Event) -> String {
    String::from_utf8(event.data().to_vec()).expect("a name")
}
