//! The option table.

/// Everything an operator can set.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Config {
    pub listen: Vec<String>,
    pub private: Vec<String>,
    pub control: Option<String>,
    pub reactors: u64,
    pub connections_max: u64,
    pub channels_max: u64,
    pub subscriptions_max: u64,
    pub line_bytes_max: u64,
    pub head_bytes_max: u64,
    pub headers_max: u64,
    pub body_bytes_max: u64,
    pub head_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub stall_timeout_ms: u64,
    pub long_poll_timeout_ms: u64,
    pub heartbeat_ms: u64,
    pub life_span_ms: u64,
    pub jitter_percent: u64,
    pub retry_ms: u64,
    pub history_messages: u64,
    pub history_bytes: u64,
    pub history_age_ms: u64,
    pub history_budget: u64,
    pub channel_linger_ms: u64,
    pub batch_bytes: u64,
    pub fanout_slice: u64,
    pub mailbox_messages: u64,
    pub drain_timeout_ms: u64,
    pub origin: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec!["127.0.0.1:8080".into()],
            private: vec!["127.0.0.1:8081".into()],
            control: None,
            reactors: 0,
            connections_max: 1_000_000,
            channels_max: 1_000_000,
            subscriptions_max: 64,
            line_bytes_max: 8 << 10,
            head_bytes_max: 16 << 10,
            headers_max: 64,
            body_bytes_max: 1 << 20,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 75_000,
            stall_timeout_ms: 300_000,
            long_poll_timeout_ms: 30_000,
            heartbeat_ms: 25_000,
            life_span_ms: 3_600_000,
            jitter_percent: 10,
            retry_ms: 2_000,
            history_messages: 1_000,
            history_bytes: 1 << 20,
            history_age_ms: 600_000,
            history_budget: 256 << 20,
            channel_linger_ms: 60_000,
            batch_bytes: 64 << 10,
            fanout_slice: 128,
            mailbox_messages: 65_536,
            drain_timeout_ms: 5_000,
            origin: "*".into(),
        }
    }
}
