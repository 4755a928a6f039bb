//! What an operator's options mean to a shard: its bounds, what clients may, what becomes of readers who fall behind.
//!
//! It reads options, which were checked, and decides nothing else.

use crate::base::config::Config;
use crate::base::pattern::Patterns;
use crate::base::presence::Presence;
use crate::channel::{Keep, Policies};
use crate::conn::{Origins, Policy};
use crate::http;

/// The bounds that are counts and bytes. Those that bound the process are divided among the shards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) http: http::Limits,
    pub(super) connections: usize,
    pub(super) sessions: usize,
    pub(super) channels: usize,
    pub(super) subscriptions: usize,
    pub(super) star_channels: usize,
    /// How many users are told of, in one channel and in all.
    pub(super) channel_members: usize,
    pub(super) members: usize,
    pub(super) keep: Keep,
    pub(super) budget: usize,
    pub(super) batch_bytes: usize,
    pub(super) slow_lag: u64,
    pub(super) slice: usize,
    pub(super) backlog: usize,
}

/// A count as this machine counts.
pub(super) fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl Limits {
    pub(super) fn new(config: &Config, shards: u16) -> Limits {
        let share = |whole: u64| size(whole.div_ceil(u64::from(shards)));
        Limits {
            http: http::Limits {
                line_bytes: size(config.line_bytes_max),
                head_bytes: size(config.head_bytes_max),
                headers: size(config.headers_max),
                body_bytes: config.body_bytes_max,
            },
            connections: share(config.connections_max),
            sessions: share(config.bayeux_sessions_max),
            channels: share(config.channels_max),
            subscriptions: size(config.subscriptions_max),
            star_channels: size(config.bayeux_channels_max),
            channel_members: size(config.presence_channel_members),
            members: share(config.presence_members_max),
            keep: Keep {
                messages: size(config.history_messages),
                bytes: size(config.history_bytes),
                age_ms: config.history_age_ms,
                conflated: None,
            },
            budget: share(config.history_budget),
            batch_bytes: size(config.batch_bytes),
            slow_lag: config.slow_lag,
            slice: size(config.fanout_slice),
            backlog: size(config.mailbox_messages),
        }
    }
}

/// What clients may.
pub(super) fn policy(config: &Config) -> Policy {
    let origins = match &*config.origin {
        "" => Origins::None,
        "*" => Origins::All,
        named => Origins::Named(named.split(',').map(str::to_owned).collect()),
    };
    Policy {
        subscriptions_max: size(config.subscriptions_max),
        origins,
        echo: config.echo.clone(),
        demo: false,
        judge: patterns(&config.judge),
        host_channels: patterns(&config.host_channels),
        bayeux_publish: patterns(&config.bayeux_publish),
        hosted: false,
        presence: Presence::new(patterns(&config.presence)),
        token_cookie: config.token_cookie.clone(),
        jsonp_channels: patterns(&config.jsonp_channels),
    }
}

/// What becomes of readers who fall behind.
pub(super) fn policies(config: &Config) -> Policies {
    Policies {
        conflate: patterns(&config.slow_conflate),
        latest: patterns(&config.slow_latest),
        disconnect: patterns(&config.slow_disconnect),
    }
}

fn patterns(text: &str) -> Patterns {
    Patterns::parse(text).expect("the options were checked")
}
