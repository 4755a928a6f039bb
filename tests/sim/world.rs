//! One run: some clients, some engines, many steps, and the checks.
//!
//! Between its steps a run comes to rest a few times, without any time passing: then every reader that is awake must
//! have got all there is. In the end all clients go, time passes, and nothing may be left.

use super::dice::Dice;
use super::here::Here;
use super::house::{House, Pace};
use super::model::{Model, Place};
use super::peer::{self, Peer, Taken};
use super::publisher::{self, Publisher, data};
use super::reader::{self, Deliveries, Held, Reader};
use super::slow::Slowness;
use super::way::encode;
use super::weather::Weather;
use super::wire::read_whole;
use encke::base::payload::{Message, Parts};
use encke::base::random::Seed;
use encke::base::time::Tick;
use encke::engine::{Door, Engine};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The most deadlines that may pass until all that was held by time alone is gone.
const DEADLINES_MAX: usize = 20_000;

/// The chance, in a hundred steps, that it is a Bayeux client's, if there are some.
const PEERS: usize = 35;

struct World {
    dice: Dice,
    weather: Weather,
    house: House,
    model: Model,
    readers: Vec<Reader>,
    peers: Vec<Peer>,
    publishers: Vec<Publisher>,
    here: Here,
    start: Tick,
    /// A shard that does nothing, for so many steps.
    hanging: (u16, usize),
    /// What each reader was held by when all last came to rest, and since when that was seen.
    held: HashMap<usize, (Held, Tick)>,
}

/// Runs the run number `seed`; panics if anything is not as it must be. Tells how many messages came by what transport.
pub fn run(seed: u64, loud: bool) -> Deliveries {
    let mut dice = Dice::new(seed);
    let weather = Weather::of(seed, &mut dice);
    let mut world = World::new(weather, dice, loud);
    world.go();
    let by_all = |transport: usize| world.readers.iter().map(|reader| reader.deliveries[transport]).sum();
    std::array::from_fn(by_all)
}

/// The same with Bayeux clients. Tells how many messages came to them in which way, and how often a session was over.
pub fn run_with_peers(seed: u64, loud: bool) -> (Taken, u64) {
    let mut dice = Dice::new(seed);
    let weather = Weather::of_peers(seed, &mut dice);
    let mut world = World::new(weather, dice, loud);
    world.go();
    let by_all = |way: usize| world.peers.iter().map(|peer| peer.taken[way]).sum();
    (std::array::from_fn(by_all), world.peers.iter().map(|peer| peer.overs).sum())
}

/// The same with policies for slow readers. Tells how often they were needed.
pub fn run_with_policies(seed: u64, loud: bool) -> Slowness {
    let mut dice = Dice::new(seed);
    let weather = Weather::of_policies(seed, &mut dice);
    let mut world = World::new(weather, dice, loud);
    world.go();
    let counters = world.house.engines.iter().map(|engine| engine.counters());
    counters.fold(Slowness::default(), |[conflated, skipped, ended], counters| {
        [conflated + counters.conflated, skipped + counters.skipped, ended + counters.ended_slow]
    })
}

impl World {
    fn new(weather: Weather, mut dice: Dice, loud: bool) -> World {
        // A clock that is about to overflow the 32 bits that slots keep of it, for one.
        let start = Tick(dice.pick(&[0, u64::from(u32::MAX) - 3_000, 1 << 40]));
        let engine_seed = Seed(dice.bits(), dice.bits());
        let mut house = House::new(&weather.config, weather.shards, weather.mailbox, engine_seed, start);
        (house.loud, house.short_writes) = (loud, weather.short_writes);
        if loud {
            eprintln!("{weather:#?}");
        }
        let mut subscription = || {
            let mut channels: Vec<usize> = (0..weather.channels.len()).collect();
            dice.shuffle(&mut channels);
            let several = dice.percent(40);
            channels.truncate(if several { dice.within(1..=weather.channels.len()) } else { 1 });
            channels
        };
        let readers = (0..weather.readers).map(|number| Reader::new(number, subscription())).collect();
        let siblings = !weather.config.presence.is_empty();
        let publishers = (0..weather.publishers).map(Publisher::new).collect();
        let peers = (0..weather.peers).map(|number| Peer::new(number, &weather.channels, siblings, &mut dice)).collect();
        let (model, held) = (Model::new(&weather), HashMap::new());
        World { dice, weather, house, model, readers, peers, publishers, here: Here::default(), start, hanging: (0, 0), held }
    }

    fn go(&mut self) {
        for _ in 0..self.weather.steps {
            self.step();
        }
        self.check_at_rest(true);
        if !self.weather.config.presence.is_empty() {
            self.pass(self.weather.config.presence_grace_ms);
            self.settle();
            self.check_presence(true);
        }
        self.check_end();
    }

    fn step(&mut self) {
        if !self.peers.is_empty() && self.dice.percent(PEERS) {
            let (which, habits) = (self.dice.below(self.peers.len()), self.peer_habits());
            return self.peers[which].act(&mut self.house, &mut self.model, &habits, &mut self.dice);
        }
        match self.dice.below(100) {
            0..45 => self.turn(),
            45..75 => {
                let (which, habits) = (self.dice.below(self.readers.len()), self.reader_habits());
                self.readers[which].act(&mut self.house, &mut self.model, &habits, &mut self.dice);
            }
            75..87 => {
                let (which, habits) = (self.dice.below(self.publishers.len()), self.publisher_habits());
                self.publishers[which].act(&mut self.house, &mut self.model, &habits, &mut self.dice);
            }
            87..92 => self.publish_in_process(),
            92..99 => self.pass_time(),
            _ => self.check_at_rest(false),
        }
    }

    fn turn(&mut self) {
        let shard = self.dice.below(usize::from(self.weather.shards)) as u16;
        if self.dice.percent(self.weather.hangs) {
            self.hanging = (shard, self.dice.within(1..=60));
        }
        self.hanging.1 = self.hanging.1.saturating_sub(1);
        if self.hanging.1 == 0 || self.hanging.0 != shard {
            self.house.turn(shard, Pace::Some, &mut self.dice);
        }
    }

    fn reader_habits(&self) -> reader::Habits {
        reader::Habits { losses: self.weather.losses, naps: self.weather.naps, buffer: self.weather.buffer }
    }

    fn peer_habits(&self) -> peer::Habits {
        let max_interval_ms = self.weather.config.bayeux_max_interval_ms;
        peer::Habits { losses: self.weather.losses, naps: self.weather.naps, buffer: self.weather.buffer, max_interval_ms }
    }

    fn publisher_habits(&self) -> publisher::Habits {
        publisher::Habits {
            burst: self.weather.burst,
            data_bytes: self.weather.data_bytes,
            losses: self.weather.losses,
            deletes: self.weather.deletes,
            down_max: self.weather.buffer.1,
        }
    }

    fn publish_in_process(&mut self) {
        for _ in 0..self.dice.within(1..=self.weather.burst) {
            let channel = self.dice.below(self.model.channels.len());
            let data = data(self.model.count(), self.weather.data_bytes, &mut self.dice);
            let record = self.model.sent(channel, &data, None);
            let parts = Parts {
                channel: &self.model.channels[channel],
                content_type: &data.content_type,
                event: &data.event,
                data: &data.bytes,
                unix_ms: self.house.now.unix_ms,
            };
            let message = Message::new(&parts).expect("a message");
            self.house.note(format_args!("published in process: {message:?}"));
            if self.house.publish(message) { self.model.kept(record) } else { self.model.refused(record) }
        }
    }

    fn pass_time(&mut self) {
        const SECOND: u64 = 1_000;
        let jump = self.dice.percent(self.weather.jumps);
        let ms = match self.house.next_deadline_ms() {
            _ if jump => self.dice.pick(&[SECOND, 30 * SECOND, 300 * SECOND, 3_600 * SECOND, 36_000 * SECOND]),
            Some(ms) if self.weather.jumps > 0 && self.dice.percent(50) => ms,
            _ => self.dice.below(200) as u64,
        };
        self.pass(ms);
    }

    fn pass(&mut self, ms: u64) {
        self.house.pass(ms);
        self.model.now_ms = self.house.now.tick.since(self.start);
    }

    /// Lets everything come to rest, and checks that everybody awake is up to date: all readers, if `all`.
    fn check_at_rest(&mut self, all: bool) {
        self.house.note(format_args!("all comes to rest"));
        if all {
            self.readers.iter_mut().for_each(Reader::wake);
            self.peers.iter_mut().for_each(Peer::wake);
        }
        self.settle();
        self.check_holds();
        let waiting: usize = self.publishers.iter().map(Publisher::waiting).sum();
        assert_eq!(waiting, 0, "publishers wait for their answers");
        for channel in 0..self.model.channels.len() {
            self.check_channel(channel);
        }
        self.check_presence(false);
        self.peers.iter_mut().for_each(Peer::rests);
        self.readers.iter_mut().for_each(|reader| reader.rests(&self.model));
        self.check_heartbeats();
        self.model.check_order();
        let published: u64 = self.house.engines.iter().map(|engine| engine.counters().published).sum();
        let (taken, perhaps) = self.model.taken();
        // Each join is said, and each leave for which there is room.
        let counters = self.house.engines.iter().map(Engine::counters);
        let (joins, leaves) =
            counters.fold((0, 0), |(joins, leaves), counters| (joins + counters.joins, leaves + counters.leaves));
        let expected = taken + joins..=taken + perhaps + joins + leaves;
        assert!(expected.contains(&published), "{published} published of {taken} and perhaps {perhaps}, {joins} and {leaves}");
    }

    fn settle(&mut self) {
        let (habits, of_peers) = (self.reader_habits(), self.peer_habits());
        let World { dice, house, model, readers, peers, publishers, .. } = self;
        house.settle(dice, |house, dice| {
            peers.iter_mut().for_each(|peer| peer.catch_up(house, model, &of_peers, dice));
            publishers.iter_mut().for_each(|publisher| publisher.read(house, model));
            readers.iter_mut().for_each(|reader| reader.catch_up(house, model, &habits, dice));
        });
    }

    /// What its home says of a channel is what its readers have come to.
    fn check_channel(&mut self, channel: usize) {
        let on_it = |reader: &&Reader| reader.is_on(channel);
        let Some(info) = self.inspect(channel) else {
            let held = self.readers.iter().filter(on_it).any(|reader| reader.held().is_some() && reader.is_awake());
            return assert!(!held, "channel {channel} is unknown and has readers");
        };
        let head = Place::parse(info["head"].as_str().expect("an id"));
        self.model.check_head(channel, &head);
        let depth = info["depth"].as_u64().expect("a number");
        assert!(depth <= self.weather.config.history_messages.max(1) && depth <= head.offset);
        for reader in self.readers.iter_mut().filter(|reader| reader.is_on(channel) && reader.is_awake()) {
            reader.check_up_to_date(&mut self.model, channel, &head);
        }
        self.peers.iter_mut().for_each(|peer| peer.check_up_to_date(&mut self.model, channel, &head));
        // Sessions are subscribers too, and more than their clients know of.
        if self.peers.is_empty() && self.readers.iter().all(Reader::is_awake) {
            let held = self.readers.iter().filter(on_it).filter(|reader| reader.held().is_some()).count();
            assert_eq!(info["subscribers"], held, "subscribers of {channel}");
        }
    }

    /// Whoever is on a channel is known to be, each user once. `over`: so is nobody else, since every grace is over.
    fn check_presence(&mut self, over: bool) {
        if self.weather.config.presence.is_empty() {
            return;
        }
        let all_awake = self.readers.iter().all(Reader::is_awake);
        for channel in 0..self.model.channels.len() {
            let name = self.model.channels[channel].clone();
            let Some(roster) = self.here.look(&mut self.house, &name, &mut self.dice) else { continue };
            assert!(self.house.host.present(&name).iter().eq(roster.users.keys()), "who is on {name} is told otherwise");
            if !self.peers.is_empty() || !all_awake {
                continue;
            }
            let held = |reader: &&Reader| reader.is_on(channel) && reader.held().is_some();
            let (mut users, mut strangers) = (BTreeMap::<String, u64>::new(), 0);
            for reader in self.readers.iter().filter(held) {
                match self.house.user_of(reader.number()) {
                    Some(user) => *users.entry(user).or_default() += 1,
                    None => strangers += 1,
                }
            }
            assert_eq!(roster.anonymous, strangers, "nobodies on {name}");
            let missing = users.iter().filter(|(user, _)| !roster.users.contains_key(*user)).count();
            assert_eq!(roster.unlisted, missing as u64, "{roster:?} of {users:?} on {name}");
            let all_held = self.readers.iter().all(|reader| !reader.is_on(channel) || reader.held().is_some());
            for (user, connections) in &roster.users {
                assert_eq!(*connections, users.get(user).copied().unwrap_or(0), "connections of {user} on {name}");
                assert!(*connections > 0 || !over || !all_held, "{user} is gone from {name}");
            }
        }
    }

    /// Asks a channel's home about it.
    fn inspect(&mut self, channel: usize) -> Option<Value> {
        let name = self.model.channels[channel].clone();
        let home = self.house.home_of(&name);
        let socket = self.house.connect(home, Door::Control, usize::MAX).expect("room");
        let request = format!("GET /channels{} HTTP/1.0\r\n\r\n", encode(&name));
        self.house.send(socket, request.as_bytes());
        self.house.turn(home, Pace::All, &mut self.dice);
        let bytes = self.house.take(socket, usize::MAX);
        self.house.hang_up(socket);
        self.house.turn(home, Pace::All, &mut self.dice);
        let (status, body) = read_whole(&bytes);
        assert!(matches!(status, 200 | 404), "inspection was answered {status}");
        (status == 200).then(|| serde_json::from_slice(&body).expect("JSON"))
    }

    /// Nobody is held for longer than a long poll's timeout or a stream's life span, give or take the jitter.
    fn check_holds(&mut self) {
        let overdue: Vec<(usize, Held)> = self.held.iter().filter_map(|(&number, &seen)| self.overdue(number, seen)).collect();
        if !overdue.is_empty() {
            // Who could not be written to until just now ends with the next tick.
            self.pass(2);
            self.settle();
        }
        for (number, held) in overdue {
            assert_ne!(self.readers[number].held(), Some(held), "reader {number} is held for too long");
        }
        let now = self.house.now.tick;
        let seen = |reader: &Reader| {
            let held = reader.held().filter(|_| reader.is_awake())?;
            let since = self.held.get(&reader.number()).filter(|(before, _)| *before == held).map_or(now, |(_, since)| *since);
            Some((reader.number(), (held, since)))
        };
        self.held = self.readers.iter().filter_map(seen).collect();
    }

    /// Whether a reader is awake and still held as it was when its time was not yet over.
    fn overdue(&self, number: usize, (held, since): (Held, Tick)) -> Option<(usize, Held)> {
        let config = &self.weather.config;
        let ms = if held.stream { config.life_span_ms } else { config.long_poll_timeout_ms };
        let ms_max = ms + ms * config.jitter_percent / 100 + 1;
        let reader = &self.readers[number];
        let over = ms > 0 && self.house.now.tick.since(since) > ms_max;
        (over && reader.is_awake() && reader.held() == Some(held)).then_some((number, held))
    }

    /// No stream that could be written to is silent for longer than it may be.
    fn check_heartbeats(&self) {
        let heartbeat_ms = self.weather.config.heartbeat_ms;
        for reader in self.readers.iter().filter(|reader| heartbeat_ms > 0 && reader.is_awake()) {
            let Some(Held { socket, stream: true, .. }) = reader.held() else { continue };
            if reader.may_be_silent(&self.model) {
                continue;
            }
            let silent_ms = self.house.silent_ms(socket);
            assert!(silent_ms <= heartbeat_ms, "socket {socket} of reader {} is silent for {silent_ms} ms", reader.number());
        }
    }

    /// All clients go, or all engines are told to stop; then time passes until nothing is left to wait for.
    fn check_end(&mut self) {
        if self.dice.percent(30) {
            self.check_drain();
        }
        self.readers.iter_mut().for_each(|reader| reader.leave(&mut self.house));
        self.peers.iter_mut().for_each(|peer| peer.leave(&mut self.house));
        self.publishers.iter_mut().for_each(|publisher| publisher.leave(&mut self.house));
        self.settle();
        for _ in 0..DEADLINES_MAX {
            let Some(ms) = self.house.next_deadline_ms() else { break };
            self.pass(ms);
            self.settle();
        }
        for (shard, engine) in self.house.engines.iter().enumerate() {
            assert_eq!(engine.next_deadline(), None, "shard {shard} waits for something");
            let left = (engine.connections(), engine.channels(), engine.sessions(), engine.members());
            assert_eq!(left, (0, 0, 0, 0), "something is left on shard {shard}");
        }
    }

    /// Engines that drain get rid of all connections without any time passing, if their clients play along.
    fn check_drain(&mut self) {
        self.house.note(format_args!("all engines drain"));
        self.readers.iter_mut().for_each(|reader| reader.leaving = true);
        self.peers.iter_mut().for_each(Peer::stop);
        for engine in &mut self.house.engines {
            engine.drain(self.house.now);
        }
        self.house.events += 1;
        self.settle();
        for (shard, engine) in self.house.engines.iter().enumerate() {
            assert_eq!(engine.connections(), 0, "connections are left on shard {shard}");
        }
    }
}
