//! What becomes of readers who fall behind: a policy for each channel, found by its name.

use crate::base::pattern::Patterns;

/// A channel's policy. Whoever keeps pace never notices it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Slow {
    /// They go on from where they are, and are told of what the ring has let go.
    #[default]
    Resume,
    /// Of messages with the same event name they get the latest alone.
    Conflate,
    /// They go on with the newest message, and are told what they missed.
    Latest,
    /// Their streams end, and they come back with their cursors.
    Disconnect,
}

/// Which channels have which policy. One that several match has the first of them; one that none matches resumes.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    pub(crate) conflate: Patterns,
    pub(crate) latest: Patterns,
    pub(crate) disconnect: Patterns,
}

impl Policies {
    /// The policy of the channel of this full name.
    pub(crate) fn of(&self, channel: &str) -> Slow {
        let policies = [(&self.conflate, Slow::Conflate), (&self.latest, Slow::Latest), (&self.disconnect, Slow::Disconnect)];
        let first = policies.into_iter().find(|(patterns, _)| patterns.matches(channel));
        first.map_or(Slow::Resume, |(_, policy)| policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_policy_that_matches_is_the_channels() {
        let patterns = |text| Patterns::parse(text).unwrap();
        let policies =
            Policies { conflate: patterns("/prices/*"), latest: patterns("/prices/**,/job"), disconnect: patterns("/**") };
        for (channel, policy) in [
            ("/prices/gold", Slow::Conflate),
            ("/prices/gold/spot", Slow::Latest),
            ("/job", Slow::Latest),
            ("/chat", Slow::Disconnect),
        ] {
            assert_eq!(policies.of(channel), policy, "{channel}");
        }
        assert_eq!(Policies::default().of("/chat"), Slow::Resume);
    }
}
