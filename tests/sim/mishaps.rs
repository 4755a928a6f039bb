//! One fixed course of events, over and over: each time another write meets with a mishap. What a client has got is
//! always a correct beginning of what it must get, and coming back completes it.

use super::dice::Dice;
use super::house::{House, Mishap};
use super::model::{Data, Model};
use super::reader::{Habits, Reader};
use super::weather::Weather;
use encke::base::payload::{Message, Parts};
use encke::base::random::Seed;
use encke::base::time::Tick;

/// Rounds of the course; in each, some messages are published and everybody gets them.
const ROUNDS: usize = 6;

/// Goes through the course while the `n`-th write meets with `mishap`; how many writes there were.
pub fn run(n: u64, mishap: Mishap, shards: u16) -> u64 {
    let mut dice = Dice::new(1);
    let weather = Weather { shards, channels: vec!["/a".into(), "/b".into()], ..Weather::fair(&mut dice) };
    let mut house = House::new(&weather.config, shards, 2, Seed(7, 8), Tick(0));
    house.mishap = Some((n, mishap));
    let mut model = Model::new(&weather);
    let mut readers: Vec<Reader> =
        [vec![0], vec![0], vec![1, 0], vec![1]].into_iter().enumerate().map(|(i, on)| Reader::new(i, on)).collect();
    let habits = Habits { losses: 0, naps: 0, buffer: (1_000_000, 1_000_000) };
    for round in 0..ROUNDS {
        for channel in [0, 1, 0] {
            publish(&mut house, &mut model, channel, round);
        }
        house.settle(&mut dice, |house, dice| {
            readers.iter_mut().for_each(|reader| reader.catch_up(house, &mut model, &habits, dice));
        });
    }
    for (channel, count) in [(0, 2 * ROUNDS), (1, ROUNDS)] {
        let read = readers.iter().filter_map(|reader| reader.memory.place(channel)).map(|place| place.offset);
        assert!(read.clone().count() > 0 && read.clone().all(|offset| offset == count as u64), "channel {channel}");
    }
    house.writes
}

fn publish(house: &mut House, model: &mut Model, channel: usize, round: usize) {
    let text = format!("message {} of round {round}", model.count());
    let record =
        model.sent(channel, &Data { bytes: text.clone().into(), content_type: String::new(), event: String::new() }, None);
    let name = &model.channels[channel];
    let parts = Parts { channel: name, content_type: "", event: "", data: text.as_bytes(), unix_ms: house.now.unix_ms };
    assert!(house.publish(Message::new(&parts).expect("a message")));
    model.kept(record);
}
