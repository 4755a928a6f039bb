//! What a run is like: how many of everything, how large, how often things go wrong. A seed decides it all.

use super::dice::Dice;
use encke::Config;

/// What a run is rich in. Everything else happens too, but seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Calm,
    Storm,
    TinyHistory,
    TinyMailboxes,
    SlowReaders,
    Deletes,
    TimeJumps,
}

const PROFILES: [Profile; 7] = [
    Profile::Calm,
    Profile::Storm,
    Profile::TinyHistory,
    Profile::TinyMailboxes,
    Profile::SlowReaders,
    Profile::Deletes,
    Profile::TimeJumps,
];

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// All that a run is made from, beside its dice.
#[derive(Debug)]
pub struct Weather {
    pub profile: Profile,
    pub shards: u16,
    pub config: Config,
    /// Messages that a shard's mailbox has room for.
    pub mailbox: usize,
    /// The least and the most that a socket's send buffer holds.
    pub buffer: (usize, usize),
    pub channels: Vec<String>,
    pub readers: usize,
    /// Bayeux clients.
    pub peers: usize,
    pub publishers: usize,
    pub steps: usize,
    /// The most that is published in one go.
    pub burst: usize,
    /// The longest data.
    pub data_bytes: usize,
    /// In a hundred: writes that are cut short though there is room.
    pub short_writes: usize,
    /// In a hundred steps of a client: it loses its connection; it stops reading for long.
    pub losses: usize,
    pub naps: usize,
    /// In a hundred steps: a shard does nothing for a while.
    pub hangs: usize,
    /// In a hundred requests of a publisher: it drops the channel.
    pub deletes: usize,
    /// In a hundred moves of the clock: it jumps.
    pub jumps: usize,
}

/// The run of each such number has a program that is asked about all who come.
const JUDGED: u64 = 3;
/// In one run of so many it is told who is here, the third of them.
const PRESENCE: u64 = 4;

/// Where there are Bayeux clients, the run of every so many ends those who are slow.
const ENDING: u64 = 4;

impl Weather {
    /// The weather of the run number `seed`.
    pub fn of(seed: u64, dice: &mut Dice) -> Weather {
        let mut weather = Weather { profile: PROFILES[(seed % PROFILES.len() as u64) as usize], ..Weather::fair(dice) };
        weather.turn(dice);
        weather.config.connections_max = 256 * u64::from(weather.shards);
        if seed.is_multiple_of(JUDGED) {
            weather.config.judge = "/**".into();
            weather.config.judge_default = "allow".into();
            weather.config.judge_timeout_ms = 100 + seed % 10_000;
        }
        if seed % PRESENCE == 2 {
            weather.tell_presence(seed / PRESENCE);
        }
        weather
    }

    /// It is told who is here. Throws no dice: the run is otherwise what it would be.
    fn tell_presence(&mut self, number: u64) {
        let pick = |number: u64, some: [u64; 3]| some[(number % 3) as usize];
        let config = &mut self.config;
        config.presence = if number.is_multiple_of(2) { "/**" } else { "/a,/news/*" }.into();
        config.presence_grace_ms = pick(number / 2, [100, 3 * SECOND, 60 * SECOND]);
        config.presence_channel_members = pick(number / 6, [1_000, 2, 1]);
        config.token_expiry = "optional".into();
        config.events += ",presence";
    }

    /// The same for a run with Bayeux clients.
    pub fn of_peers(seed: u64, dice: &mut Dice) -> Weather {
        let mut weather = Weather { peers: dice.within(1..=5), ..Weather::of(seed, dice) };
        weather.readers = weather.readers.min(2);
        let config = &mut weather.config;
        config.bayeux_timeout_ms = dice.pick(&[200, 5 * SECOND]);
        config.bayeux_max_interval_ms = dice.pick(&[150, 2 * SECOND, 60 * SECOND]);
        if seed % ENDING == 1 {
            config.slow_disconnect = "/**".into();
            (config.slow_lag, config.slow_timeout_ms) = (1 + seed % 7, 100 + seed % 10_000);
        }
        weather
    }

    /// The same for a run in which some channels have policies for slow readers.
    pub fn of_policies(seed: u64, dice: &mut Dice) -> Weather {
        let mut weather = Weather::of(seed, dice);
        if dice.percent(50) {
            (weather.naps, weather.buffer) = (5, (8, 300));
        }
        let config = &mut weather.config;
        let channels = ["/a,/e", "/b", "/news/rome,/café x"];
        let turn = dice.below(channels.len());
        config.slow_conflate = channels[turn].to_owned();
        config.slow_latest = channels[(turn + 1) % channels.len()].to_owned();
        config.slow_disconnect = channels[(turn + 2) % channels.len()].to_owned();
        config.slow_lag = dice.pick(&[1, 3, 20]);
        config.slow_timeout_ms = dice.pick(&[100, SECOND, 60 * SECOND]);
        weather
    }

    /// Weather in which nothing much happens.
    pub fn fair(dice: &mut Dice) -> Weather {
        let names = ["/a", "/b", "/news/rome", "/café x", "/e"];
        Weather {
            profile: Profile::Calm,
            shards: dice.within(1..=4) as u16,
            config: config(dice),
            mailbox: dice.pick(&[4, 16, 64]),
            buffer: dice.pick(&[(200, 2_000), (2_000, 20_000), (8, 300)]),
            channels: names[..dice.within(1..=names.len())].iter().map(|&name| name.to_owned()).collect(),
            readers: dice.within(1..=8),
            peers: 0,
            publishers: dice.within(1..=3),
            steps: dice.within(100..=600),
            burst: 3,
            data_bytes: dice.pick(&[20, 20, 300, 3_000]),
            short_writes: dice.pick(&[0, 5, 30]),
            losses: dice.pick(&[0, 1, 5]),
            naps: 1,
            hangs: dice.below(2),
            deletes: 0,
            jumps: 0,
        }
    }

    fn turn(&mut self, dice: &mut Dice) {
        let config = &mut self.config;
        match self.profile {
            Profile::Calm => (self.losses, self.naps) = (dice.below(2), 0),
            Profile::Storm => {
                (self.burst, self.data_bytes, self.steps) = (40, 60, dice.within(50..=200));
                config.history_messages = dice.pick(&[50, 1_000_000]);
            }
            Profile::TinyHistory => {
                self.burst = 6;
                match dice.below(4) {
                    0 => config.history_messages = dice.within(1..=5) as u64,
                    1 => config.history_bytes = dice.within(80..=1_000) as u64,
                    2 => config.history_budget = dice.within(80..=4_000) as u64,
                    _ => config.history_age_ms = dice.within(100..=2_000) as u64,
                }
            }
            Profile::TinyMailboxes => {
                (self.mailbox, self.shards) = (dice.within(1..=3), dice.within(2..=4) as u16);
                (self.burst, self.data_bytes, self.deletes, self.hangs) = (12, 40, dice.below(4), 4);
                self.losses = dice.pick(&[1, 5, 15]);
                config.mailbox_messages = dice.within(1..=4) as u64;
                config.history_messages = dice.pick(&[3, 10, 1_000_000]);
                config.history_budget = dice.pick(&[2_000, 1 << 40]);
                config.history_age_ms = dice.pick(&[500, 10 * DAY]);
                config.channel_linger_ms = dice.pick(&[0, 100, DAY]);
            }
            Profile::SlowReaders => {
                (self.naps, self.buffer, self.data_bytes) = (10, (8, 400), 400);
                config.history_messages = dice.pick(&[4, 20, 1_000_000]);
                config.heartbeat_ms = dice.pick(&[120, 300, 25 * SECOND]);
            }
            Profile::Deletes => {
                (self.deletes, self.losses) = (dice.within(5..=30), dice.pick(&[1, 5, 15, 40]));
                self.hangs = dice.pick(&[0, 10]);
                config.channel_linger_ms = dice.pick(&[100, 5 * SECOND, DAY]);
                config.channels_max = dice.pick(&[u64::from(self.shards), 1_000_000]);
            }
            Profile::TimeJumps => {
                self.jumps = dice.within(5..=40);
                self.deletes = dice.below(3);
                config.heartbeat_ms = dice.pick(&[0, 150, 25 * SECOND]);
                config.long_poll_timeout_ms = dice.pick(&[200, 25 * SECOND]);
                config.life_span_ms = dice.pick(&[0, 1_000, HOUR]);
                config.head_timeout_ms = dice.pick(&[100, 10 * SECOND]);
                config.body_timeout_ms = dice.pick(&[100, 30 * SECOND]);
                config.idle_timeout_ms = dice.pick(&[100, 75 * SECOND]);
                config.stall_timeout_ms = dice.pick(&[150, 300 * SECOND]);
                config.history_age_ms = dice.pick(&[300, 600 * SECOND, 10 * DAY]);
                config.channel_linger_ms = dice.pick(&[0, 100, 60 * SECOND]);
            }
        }
    }
}

/// Bounds that nothing reaches unless a profile lowers them, and small sizes where large ones change nothing but speed.
fn config(dice: &mut Dice) -> Config {
    Config {
        head_bytes_max: dice.pick(&[1_024, 16_384]),
        line_bytes_max: 1_024,
        history_messages: 1_000_000,
        history_bytes: 1 << 40,
        history_budget: 1 << 40,
        history_age_ms: 10 * DAY,
        channel_linger_ms: DAY,
        batch_bytes: dice.pick(&[100, 1_000, 65_536]),
        fanout_slice: dice.pick(&[1, 4, 128]),
        mailbox_messages: dice.pick(&[8, 64, 65_536]),
        connections_max: 1_024,
        events: "subscribed,unsubscribed,gone".into(),
        // Strangers may read everything.
        anonymous_subscribe: "/**".into(),
        ..Config::default()
    }
}
