//! What the client of a WebSocket wishes for, and what it makes of the answers.

use super::dice::Dice;
use super::house::House;
use super::model::{Model, Place};
use super::reader::Reader;
use super::socket;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub enum Wish {
    /// All channels, on a socket that is subscribed to none.
    Begin,
    /// A channel that it had left, from where it was, or from anywhere.
    TakeUp {
        channel: usize,
        seen: Option<Place>,
        earliest: bool,
    },
    Leave {
        channel: usize,
    },
}

impl Reader {
    /// Whether this answers a wish, or says that there is a socket to wish on.
    pub fn is_answer(&self, json: &Value) -> bool {
        let joined = self.line.as_ref().and_then(|line| line.asked.as_ref()).is_some_and(|asked| asked.joined);
        let named = |name: &&str| json.get(name).is_some();
        !joined && named(&"cursor") || ["subscribed", "unsubscribed", "error"].iter().any(named)
    }

    /// Takes up a channel that it left, or leaves one.
    pub fn wish(&mut self, house: &mut House, model: &Model, dice: &mut Dice) {
        let memory = &self.memory;
        let wish = if !memory.left.is_empty() && dice.percent(50) {
            let (channel, seen) = dice.pick(&memory.left);
            let since = seen.filter(|_| dice.percent(60));
            Wish::TakeUp { channel, earliest: since.is_none() && dice.percent(50), seen: since }
        } else if memory.channels.len() > 1 && memory.seen.iter().all(Option::is_some) {
            Wish::Leave { channel: dice.pick(&memory.channels) }
        } else {
            return;
        };
        self.say(house, model, wish, dice);
    }

    fn say(&mut self, house: &mut House, model: &Model, wish: Wish, dice: &mut Dice) {
        let (number, reference) = (self.number(), self.requests);
        let Some(line) = &mut self.line else { return };
        let Some(asked) = &mut line.asked else { return };
        let now = || if asked.way.earliest { "earliest" } else { "now" }.to_owned();
        let name = |channel: usize| &model.channels[channel];
        let said = match &wish {
            Wish::Begin => {
                let names: Vec<&String> = self.memory.channels.iter().map(|&channel| name(channel)).collect();
                let since = self.memory.cursor.clone().unwrap_or_else(now);
                json!({ "subscribe": names, "since": since, "ref": reference })
            }
            Wish::TakeUp { channel, seen: Some(seen), .. } => {
                json!({ "subscribe": name(*channel), "since": seen.to_string(), "ref": reference })
            }
            Wish::TakeUp { channel, earliest: true, .. } => {
                json!({ "subscribe": [name(*channel)], "since": "earliest", "ref": reference })
            }
            Wish::TakeUp { channel, .. } => json!({ "subscribe": name(*channel), "ref": reference }),
            Wish::Leave { channel } => json!({ "unsubscribe": name(*channel), "ref": reference }),
        };
        asked.wish = Some(wish);
        house.note(format_args!("reader {number} says on socket {}: {said}", line.socket));
        house.send(line.socket, &socket::text(&said.to_string(), asked.way.deflate, dice));
    }

    /// An answer to what it said last, or the greeting of one who is nowhere yet.
    pub fn wish_answered(&mut self, house: &mut House, model: &mut Model, json: &Value, dice: &mut Dice) {
        let asked = self.line.as_mut().and_then(|line| line.asked.as_mut()).expect("an answer comes on a line");
        let Some(wish) = asked.wish.take() else {
            assert_eq!(*json, json!({ "cursor": null }), "a socket that is subscribed to nothing");
            return self.say(house, model, Wish::Begin, dice);
        };
        assert_eq!(json["ref"], self.requests, "an answer to {wish:?}");
        if let Some(error) = json.get("error") {
            assert_eq!((error, matches!(wish, Wish::Leave { .. })), (&json!("too_many_channels"), false));
            if matches!(wish, Wish::Begin) {
                self.refused = true;
                self.hang_up(house);
            }
            return;
        }
        asked.joined = true;
        let (earliest, cursor) = (asked.way.earliest, json.get("cursor").and_then(Value::as_str));
        match wish {
            Wish::Begin => {
                let names: Vec<&String> = self.memory.channels.iter().map(|&channel| &model.channels[channel]).collect();
                assert_eq!(json["subscribed"], json!(names));
                self.memory.greeted(model, earliest, Some(cursor.expect("a cursor")));
            }
            Wish::TakeUp { channel, seen, earliest } => {
                assert_eq!(json["subscribed"], json!([model.channels[channel]]));
                self.memory.take_up(channel, seen);
                self.memory.greeted(model, earliest, Some(cursor.expect("a cursor")));
            }
            Wish::Leave { channel } => {
                assert_eq!(json["unsubscribed"], json!([model.channels[channel]]));
                let at = self.memory.index_of(model, &model.channels[channel]);
                self.memory.leave(at);
            }
        }
    }
}
