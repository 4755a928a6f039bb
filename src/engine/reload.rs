//! What an operator changes while it runs: rules, limits, durations.
//!
//! No connection is touched. Whoever is held was let in and stays; what is armed keeps its moment, unless a shorter
//! heartbeat or stall limit makes an earlier one right; a history that is too long now lets go with the next message of its
//! channel. New requests meet the new rules.
//!
//! Shards change one after the other, each between two turns: for a moment they may differ.

use super::Engine;
use super::deadlines::Durations;
use super::rules::{Limits, policies, policy, size};
use crate::base::config::Config;
use crate::base::time::{Now, Tick};

impl Engine {
    /// Goes on with the options of `config`, which were checked. Those that last until a restart must be as they were.
    pub fn reload(&mut self, now: Now, config: &Config) {
        self.limits = Limits::new(config, self.shards);
        self.slots.set_max(self.limits.connections);
        self.sessions.set_max(self.limits.sessions);
        self.browsers.set_held_max(size(config.bayeux_browser_connects));
        self.durations = Durations::new(config);
        self.timers.change(&self.durations.of_connections());
        self.channel_timers.change(&self.durations.of_channels());
        self.session_timers.change(&[self.durations.session]);
        self.roll_timers.change(&[self.durations.presence_grace]);
        self.hub.govern(policies(config));
        let mut wanted = policy(config);
        (wanted.hosted, wanted.demo) = (self.policy.hosted, self.policy.demo);
        self.calendar.origins.renew(wanted.origins);
        wanted.origins = self.calendar.origins.clone();
        self.policy = wanted;
        self.host.reload(now.tick, config);
        self.look_again(now.tick);
    }

    /// Connections and channels may be due earlier than they were: what had no bound before may have one now.
    fn look_again(&mut self, now: Tick) {
        let connections: Vec<u32> = self.slots.indices().collect();
        for index in connections {
            if self.slots[index].timer.wakes_at(now).is_some() {
                let due = self.due(now, index);
                self.wake_by(now, index, due);
            }
        }
        let channels: Vec<u32> = self.hub.keys().collect();
        for key in channels {
            self.schedule_channel(now, key);
        }
    }
}
