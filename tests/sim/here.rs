//! Who is here, as the server tells it: by lists, by what is said on siblings, and to the program around it.
//!
//! A list must be what the list before it was, changed by what the sibling has said behind that one's cursor: nobody joins
//! who is there, nobody leaves who is not. Judges that; who should be here is for others to say.

use super::dice::Dice;
use super::house::House;
use super::way::encode;
use super::wire::read_whole;
use encke::engine::Door;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Those in a channel.
#[derive(Debug)]
pub struct Roster {
    /// Users, and how many connections each has.
    pub users: BTreeMap<String, u64>,
    pub unlisted: u64,
    pub anonymous: u64,
}

/// What is known by the last lists.
#[derive(Default)]
pub struct Here {
    lists: HashMap<String, List>,
}

struct List {
    users: BTreeSet<String>,
    cursor: String,
}

impl Here {
    /// Asks who is on `channel`, while all is at rest; `None` if that is not told.
    pub fn look(&mut self, house: &mut House, channel: &str, dice: &mut Dice) -> Option<Roster> {
        let before = self.lists.remove(channel);
        let (roster, cursor) = list(house, channel, dice)?;
        let users: BTreeSet<String> = roster.users.keys().cloned().collect();
        if let Some(before) = before
            && let Some(said) = said_since(house, channel, &before.cursor, dice)
        {
            assert_eq!(changed(before.users, &said), users, "{channel}: the last list, and {said:?} since");
        }
        self.lists.insert(channel.to_owned(), List { users, cursor });
        Some(roster)
    }
}

/// The users of a list after all this was said.
fn changed(mut users: BTreeSet<String>, said: &[Value]) -> BTreeSet<String> {
    for notice in said {
        match (notice["join"].as_str(), notice["leave"].as_str()) {
            (Some(user), None) => assert!(users.insert(user.to_owned()), "{user} joins and is there: {said:?}"),
            (None, Some(user)) => assert!(users.remove(user), "{user} leaves and is not there: {said:?}"),
            _ => panic!("{notice} is no notice"),
        }
    }
    users
}

/// The list of a channel, all its parts, and the first one's cursor.
fn list(house: &mut House, channel: &str, dice: &mut Dice) -> Option<(Roster, String)> {
    let mut roster = Roster { users: BTreeMap::new(), unlisted: 0, anonymous: 0 };
    let (mut query, mut cursor) = (String::new(), None);
    loop {
        let part = ask(house, &format!("/presence{}{query}", encode(channel)), dice)?;
        let number = |value: &Value| value.as_u64().expect("a number");
        for member in part["members"].as_array().expect("members") {
            let user = member["user"].as_str().expect("a name").to_owned();
            query = format!("?after={}", encode(&user));
            assert!(roster.users.insert(user, number(&member["connections"])).is_none(), "{member} is there twice");
        }
        (roster.unlisted, roster.anonymous) = (number(&part["unlisted"]), number(&part["anonymous"]));
        cursor = cursor.or(part["cursor"].as_str().map(str::to_owned));
        if part["more"] == false {
            return Some((roster, cursor?));
        }
    }
}

/// What is said on the sibling of a channel behind `cursor`; `None` if some of that is lost.
fn said_since(house: &mut House, channel: &str, cursor: &str, dice: &mut Dice) -> Option<Vec<Value>> {
    let (mut said, mut cursor) = (Vec::new(), cursor.to_owned());
    loop {
        let batch = ask(house, &format!("/sub/presence{}?transport=poll&since={cursor}", encode(channel)), dice)?;
        if batch["gap"] == true {
            return None;
        }
        let messages = batch["messages"].as_array().expect("messages");
        if messages.is_empty() {
            return Some(said);
        }
        said.extend(messages.iter().map(|message| message["data"].clone()));
        cursor = batch["cursor"].as_str().expect("a cursor").to_owned();
    }
}

/// Asks any shard, as the application; `None` if there is no such thing, or no room for one more channel.
fn ask(house: &mut House, target: &str, dice: &mut Dice) -> Option<Value> {
    let shard = dice.below(usize::from(house.shards())) as u16;
    let socket = house.connect(shard, Door::Control, usize::MAX)?;
    house.send(socket, format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes());
    house.settle(dice, |_, _| {});
    let bytes = house.take(socket, usize::MAX);
    house.hang_up(socket);
    house.settle(dice, |_, _| {});
    let (status, body) = read_whole(&bytes);
    assert!(matches!(status, 200 | 404 | 503), "{target} was answered {status}");
    (status == 200).then(|| serde_json::from_slice(&body).expect("JSON"))
}
