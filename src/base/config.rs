//! The option table: every number and name an operator can set, each in one entry.
//!
//! An entry makes the field of [`Config`], its default, its bounds, its help, and its name on the command line
//! (`--long-poll-timeout`), in a file (`long_poll_timeout`) and in the environment (`ENCKE_LONG_POLL_TIMEOUT`).
//! What an entry says of itself is in `entry`, how its text is read in `value`, and what options owe each other in `fit`.
//! Who reads those sources calls [`Config::set`] with name and text; nothing here opens a file or a variable.
//!
//! Invariant: a `Config` that passed [`Config::check`] holds no value that the rest of the crate must check again.

mod access;
mod entry;
mod fit;
mod reload;
mod tables;
mod value;

use super::error::Error;
use entry::without_unit;
pub use entry::{Kind, Opt, nearest};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// No duration may be longer: slots keep only the low 32 bits of a tick, which tell 24 days apart.
pub const DURATION_MS_MAX: u64 = 20 * DAY;

/// The Rust type that holds a kind.
#[rustfmt::skip]
macro_rules! rust_type {
    (Text) => { String };
    (Addresses) => { Vec<String> };
    (Path) => { Option<String> };
    ($number:ident) => { u64 };
}

/// What zero means for an option, if it may be zero at all.
#[rustfmt::skip]
macro_rules! zero {
    () => { None };
    ($meaning:literal) => { Some($meaning) };
}

/// Whether an option carries the mark `until restart`.
#[rustfmt::skip]
macro_rules! marked {
    () => { false };
    (restart) => { true };
}

/// Makes [`Config`], its [`Default`] and [`OPTIONS`] from the entries; an entry's doc comment is its help.
macro_rules! options {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ident = $default:expr, $bounds:expr
        $(, zero is $zero:literal)? $(, until $mark:ident)?;)+) => {
        /// Everything an operator can set. Durations are in milliseconds, sizes in bytes.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $help])+ pub $field: rust_type!($kind),)+
        }

        impl Default for Config {
            fn default() -> Config {
                Config { $($field: $default,)+ }
            }
        }

        /// The table.
        pub static OPTIONS: &[Opt] = &[$(Opt {
            field: stringify!($field),
            key: without_unit(stringify!($field)),
            kind: Kind::$kind,
            bounds: $bounds,
            zero: zero!($($zero)?),
            until_restart: marked!($($mark)?),
            help: &[$($help),+],
            read: |config| &config.$field,
            write: |config| &mut config.$field,
            copy: |config, other| config.$field.clone_from(&other.$field),
        },)+];
    };
}

options! {
    /// Where the public may connect: IP address and port, several parted by commas. Port 0 takes a free one.
    /// Strangers publish here only on a loopback address, or where `--anonymous-publish` lets them.
    listen: Addresses = vec!["127.0.0.1:8080".into()], 1..=16, until restart;
    /// Where applications publish and inspect. Whoever can connect here may do both.
    private: Addresses = vec!["127.0.0.1:8081".into()], 1..=16, zero is "off", until restart;
    /// A Unix socket that does what `--private` does, guarded by the rights of its file.
    control: Path = None, 1..=103, zero is "off", until restart;
    /// The rights of the control socket's file, as an octal number: `660` lets its group connect too.
    control_mode: Text = "600".into(), 3..=3, until restart;
    /// The channels, written as for `--judge`, that strangers may subscribe to, who show no token.
    /// `auto`: all on loopback; `/public/**` where others can connect, and `/demo/**` if demonstrations are shown.
    /// A proxy on this machine brings everybody to loopback: say then what they may.
    anonymous_subscribe: Text = "auto".into(), 1..=4_096, zero is "off";
    /// The channels, written as for `--judge`, where strangers may publish on any public listener.
    anonymous_publish: Text = String::new(), 1..=4_096, zero is "off";
    /// A file of keys that tokens (JWT) and channel names are signed with: a JSON Web Key Set, without private keys.
    /// Each key names its `alg`, which is HS256, RS256, ES256 or EdDSA.
    token_keys: Path = None, 1..=4_095, zero is "off";
    /// Whether a token must say when it expires: `required` or `optional`.
    token_expiry: Text = "required".into(), 8..=8;
    /// Whom tokens must be made for, as their claim `aud` says. While this is off, tokens that name somebody are refused.
    token_audience: Text = String::new(), 1..=255, zero is "off";
    /// Who must have made tokens, as their claim `iss` says.
    token_issuer: Text = String::new(), 1..=255, zero is "off";
    /// A file of keys that applications show on public listeners to publish, inspect and drop channels.
    /// A line is `NAME sha256:DIGEST PATTERN,…`, and `encke key` makes it.
    api_keys: Path = None, 1..=4_095, zero is "off";
    /// How many threads serve connections.
    reactors: Count = 0, 1..=256, zero is "one a core", until restart;
    /// Whether the reactors share the descriptors that a process may have (`shared`), or each may have so many (`private`).
    /// Private ones are for very many connections, in `encke serve` on Linux 5.9 or later; see `--reactors`.
    descriptor_tables: Text = "shared".into(), 6..=7, until restart;
    /// How many connections may be open at once, divided among the reactors; a further one is answered with 503.
    /// Each reactor has room for 16 more that come by `--private` or `--control`.
    connections_max: Count = 1_000_000, 1..=100_000_000;
    /// How many connections one address may have open at `--listen`; a further one is answered with 429.
    /// An IPv6 network of 64 bits counts as one address.
    connections_per_address: Count = 0, 1..=1_000_000, zero is "off", until restart;
    /// How many readers one user may have at once, where tokens say who it is; a further one is answered with 429.
    /// A reader is a request that is held, a WebSocket or a Bayeux session.
    connections_per_user: Count = 0, 1..=1_000_000, zero is "off", until restart;
    /// How many new connections a second are taken in at `--listen`; more are answered with 503.
    connection_rate: Count = 0, 1..=10_000_000, zero is "off", until restart;
    /// The same for one address; more are answered with 429.
    connection_rate_per_address: Count = 0, 1..=10_000_000, zero is "off", until restart;
    /// How many messages a second may be published from one address at `--listen`; more are refused with 429.
    publish_rate: Count = 0, 1..=10_000_000, zero is "off";
    /// How many bytes of messages a second may be published from one address at `--listen`.
    publish_bytes_rate: Bytes = 0, 1..=16 * GIB, zero is "off";
    /// How many tokens and signed names from one address at `--listen` may be no good in a second, where keys are known.
    /// More are refused with 429 and not looked at, since that costs time; what was found to be good is taken all the same.
    bad_token_rate: Count = 50, 1..=1_000_000, zero is "off";
    /// How much of the rates above may be used at once: what they allow in so long a time.
    rate_burst_ms: Duration = 2 * SECOND, 100..=HOUR;
    /// The proxies, as addresses and networks (`10.0.0.0/8`), whose `X-Forwarded-For` says where a request is from.
    /// Their own connections are not counted by address; the readers that come through them are.
    trusted_proxies: Text = String::new(), 1..=4_096, zero is "off", until restart;
    /// How many channels may exist at once; a message to a further one is refused.
    channels_max: Count = 1_000_000, 1..=100_000_000;
    /// How many channels one connection may subscribe to.
    subscriptions_max: Count = 64, 1..=256;
    /// The longest first line of a request, which holds its channels and cursor.
    line_bytes_max: Bytes = 8 * KIB, 256..=MIB;
    /// The longest head of a request: first line and headers.
    head_bytes_max: Bytes = 16 * KIB, 512..=MIB;
    /// How many headers a request may have.
    headers_max: Count = 64, 8..=256;
    /// The longest body of a request, a batch of messages included. One message must fit `--history-bytes`.
    body_bytes_max: Bytes = MIB, 1..=GIB;
    /// How long a request's head may take to arrive.
    head_timeout_ms: Duration = 10 * SECOND, 100..=HOUR;
    /// How long a request's body may take to arrive.
    body_timeout_ms: Duration = 30 * SECOND, 100..=HOUR;
    /// How long a connection may stay open between two requests.
    idle_timeout_ms: Duration = 75 * SECOND, 100..=DAY;
    /// How long a connection that has bytes waiting may take none of them; see `--tcp-user-timeout`, too.
    stall_timeout_ms: Duration = 5 * MINUTE, 100..=DAY;
    /// How long a peer may be silent before its system is asked whether it is there, which wakes nobody up here.
    /// One that does not answer is given up after as long again, or once `--tcp-user-timeout` is over.
    tcp_keepalive_ms: Duration = 30 * SECOND, SECOND..=2 * HOUR, zero is "off", until restart;
    /// How long a peer's system may leave bytes unacknowledged, or have no room for them, before it is given up (Linux).
    tcp_user_timeout_ms: Duration = MINUTE, SECOND..=DAY, zero is "off", until restart;
    /// How long a long poll waits before it answers with nothing. Some proxies give up after 30s.
    long_poll_timeout_ms: Duration = 25 * SECOND, 100..=HOUR;
    /// How long a stream may be silent before a heartbeat is sent. With `--jitter`, the first behind a message comes sooner.
    /// Proxies on the way need them; without any, dead clients are found out all the same (`--tcp-keepalive`).
    heartbeat_ms: Duration = 25 * SECOND, 100..=DAY, zero is "off";
    /// How long a stream lives before its client is asked to connect anew.
    life_span_ms: Duration = HOUR, 100..=10 * DAY, zero is "off";
    /// How far life spans, long polls and retries may stray to either side, so that clients do not come back all at once.
    jitter_percent: Percent = 10, 1..=50, zero is "off";
    /// How long a client is told to wait before it connects again.
    retry_ms: Duration = 2 * SECOND, 100..=HOUR;
    /// How many messages a channel keeps for those who come late or back.
    history_messages: Count = 1_000, 1..=10_000_000;
    /// How many bytes of messages a channel keeps.
    history_bytes: Bytes = 4 * MIB, 8 * KIB..=64 * GIB;
    /// How long a channel keeps a message.
    history_age_ms: Duration = 10 * MINUTE, 100..=DURATION_MS_MAX, zero is "off";
    /// How many bytes of messages all channels keep together; the oldest go first.
    history_budget: Bytes = 256 * MIB, 8 * KIB..=1_024 * GIB;
    /// How long a channel without messages and subscribers is remembered.
    channel_linger_ms: Duration = MINUTE, 100..=DAY, zero is "off";
    /// The channels, written as for `--judge`, where a reader that is behind gets only the latest message of each event name.
    /// Messages without an event name all come.
    slow_conflate: Text = String::new(), 1..=4_096, zero is "off";
    /// The channels where a reader that is more than `--slow-lag` behind goes on with the newest message, and is told of a gap.
    /// A channel that several of the three options match has the first of these policies.
    slow_latest: Text = String::new(), 1..=4_096, zero is "off";
    /// The channels where a stream ends if a message finds its socket full and its reader more than `--slow-lag` behind.
    /// It ends too if its socket took nothing for `--slow-timeout`. Its client can come back with its cursor.
    slow_disconnect: Text = String::new(), 1..=4_096, zero is "off";
    /// How many messages a reader may be behind before its channel's policy for that applies: more than come at once.
    slow_lag: Count = 256, 1..=10_000_000;
    /// How long a full socket may take nothing on a channel of `--slow-disconnect`.
    slow_timeout_ms: Duration = 10 * SECOND, 100..=DAY;
    /// How much a batch of messages may weigh before it is sent in parts; one message may be more.
    batch_bytes: Bytes = 64 * KIB, KIB..=64 * MIB;
    /// How many subscribers of a channel are served before others have their turn. Reactors that share a core divide that.
    fanout_slice: Count = 128, 1..=1_048_576;
    /// How many messages may wait for a reactor; a publisher that finds no room is told to try again.
    mailbox_messages: Count = 65_536, 64..=16_777_216, until restart;
    /// How long a stop waits for answers under way.
    drain_timeout_ms: Duration = 5 * SECOND, 1..=HOUR, zero is "at once";
    /// Over how long clients are told to come back when the server stops, for each thousand of them: not all at once.
    /// In all never longer than three quarters of `--drain-timeout`.
    drain_spread_ms: Duration = 200, 1..=MINUTE, zero is "off";
    /// The web origins whose pages may read channels: `https://example.org`, or several parted by commas.
    /// `*` is for any; off is for the server's own alone. Only pages of origins that are named may send credentials.
    origin: Text = "*".into(), 1..=4_096, zero is "off";
    /// The name of a cookie that a token is taken from where a request shows nothing else.
    /// By it alone only pages of this server and of origins that are named publish, open a WebSocket or speak Bayeux.
    token_cookie: Text = String::new(), 1..=64, zero is "off";
    /// How long a connection goes on when its token has ended, so that its client can bring another one.
    token_grace_ms: Duration = 30 * SECOND, 100..=HOUR, zero is "not at all";
    /// The channels, written as for `--judge`, that scripts (`jsonp`, `callback-polling`) may show to holders of tokens.
    /// Any page can load a script, so that all others are shown by scripts only if strangers may read them.
    jsonp_channels: Text = String::new(), 1..=4_096, zero is "off";
    /// The channels whose subscriptions the host program decides: a name, `/a/*` (one segment more), `/a/**` (any more).
    /// Several are parted by commas.
    judge: Text = String::new(), 1..=4_096, zero is "off";
    /// How long a subscription waits for the host program's answer.
    judge_timeout_ms: Duration = 5 * SECOND, 100..=HOUR;
    /// What becomes of a subscription that the host program does not answer in time: `deny` or `allow`.
    judge_default: Text = "deny".into(), 4..=5;
    /// Where `encke serve` asks an application who may subscribe, by POST: `http://HOST:PORT/PATH`.
    /// 2xx is yes, 401 and 403 are no, and anything else is no answer.
    judge_url: Text = String::new(), 8..=1_024, zero is "off", until restart;
    /// How long the application may take to answer. After five failures in a row it is tried every five seconds.
    judge_url_timeout_ms: Duration = 2 * SECOND, 100..=HOUR, until restart;
    /// For how long its answer holds, for the same channel and a client that shows the same.
    judge_url_cache_ms: Duration = 10 * SECOND, 100..=DAY, zero is "off", until restart;
    /// The channels, written as for `--judge`, where clients may publish on any listener, to the host program alone.
    host_channels: Text = String::new(), 1..=4_096, zero is "off";
    /// What else the host program hears: `subscribed`, `unsubscribed`, `gone`, `presence`, `log`, or several parted by commas.
    events: Text = String::new(), 1..=64, zero is "off", until restart;
    /// The channels, written as for `--judge`, of which it is told which users are here.
    /// That is answered at `/presence/<channel>`, and said on the channel of that name, where nobody else may publish.
    presence: Text = String::new(), 1..=4_096, zero is "off", until restart;
    /// How long somebody may be away, to connect anew or between two polls, before it is told that they left.
    presence_grace_ms: Duration = 10 * SECOND, 100..=HOUR;
    /// How many users are told of in one channel; further ones are counted alone, until others leave.
    presence_channel_members: Count = 10_000, 1..=10_000_000;
    /// How many users are told of in all channels together.
    presence_members_max: Count = 1_000_000, 1..=100_000_000;
    /// How long a Bayeux client's connect is held before it is answered with nothing.
    bayeux_timeout_ms: Duration = 30 * SECOND, 100..=HOUR;
    /// How long a Bayeux client is told to wait between two connects.
    bayeux_interval_ms: Duration = 0, 1..=HOUR, zero is "not at all";
    /// How long a Bayeux session lives without a connect.
    bayeux_max_interval_ms: Duration = 20 * SECOND, 100..=DAY;
    /// How long a Bayeux client may send nothing but connects. It is told then that its session is over, and not to come back.
    bayeux_inactivity_ms: Duration = 0, 100..=DAY, zero is "off";
    /// How many Bayeux sessions there may be at once; further handshakes are refused.
    bayeux_sessions_max: Count = 1_000_000, 1..=100_000_000;
    /// How many channels a Bayeux session may have by its patterns with stars.
    /// One whose patterns come to stand for more ends, and its client is told.
    bayeux_channels_max: Count = 4_096, 1..=65_536;
    /// How many Bayeux connects of one browser are held at once; its further ones are answered at once.
    /// Browsers are known by a cookie, which is not set where this is off.
    bayeux_browser_connects: Count = 1, 1..=64, zero is "off";
    /// How long a Bayeux client waits between two connects while others of its browser are held.
    bayeux_browser_interval_ms: Duration = 2 * SECOND, 100..=HOUR;
    /// The channels, written as for `--judge`, where Bayeux clients may publish on any listener.
    bayeux_publish: Text = String::new(), 1..=4_096, zero is "off";
    /// How many events may wait for the host program; of what clients publish to it, 64 MiB besides.
    events_max: Count = 65_536, 1..=16_777_216, until restart;
    /// The path of a WebSocket that gives back what it is sent, for conformance suites.
    echo: Text = String::new(), 1..=255, zero is "off";
    /// A file to which each finished request adds a line of JSON, or `-` for stdout. It has no tokens, and SIGHUP opens it anew.
    access_log: Path = None, 1..=4_096, zero is "off", until restart;
    /// Demonstrations at `/demo` in `encke serve`, linked from the start page: `on`, `off`, or `loopback`.
    /// That is on where all of `--listen` is loopback.
    demo: Text = "loopback".into(), 2..=8, zero is "off", until restart;
}

impl Config {
    /// Sets the option called `name` from `text`. On an error nothing has changed.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let opt = Opt::find(name)?;
        (opt.write)(self).set(opt, text.trim()).map_err(|what| Error::Config(opt.error(what)))
    }

    /// Whether every value is within its bounds and all fit each other; the error has a line for each that does not.
    pub fn check(&self) -> Result<(), Error> {
        let mut faults: Vec<String> =
            OPTIONS.iter().filter_map(|opt| (opt.read)(self).check(opt).err().map(|what| opt.error(what))).collect();
        faults.extend(self.misfits());
        if faults.is_empty() { Ok(()) } else { Err(Error::Config(faults.join("\n"))) }
    }
}

/// The table as help text: what each option is called, does, may be, and is by default.
pub fn help() -> String {
    let defaults = Config::default();
    let mut text = String::new();
    for opt in OPTIONS {
        let default = opt.show(&defaults);
        text += &format!("  --{} {}\n", opt.name(), opt.kind.placeholder());
        for line in opt.help {
            text += &format!("      {}\n", line.trim());
        }
        let mark = if opt.until_restart { "; not reloaded" } else { "" };
        text += &format!("      [{default}; {}{mark}]\n", opt.bounds_text());
    }
    text
}

#[cfg(test)]
mod tests;
