//! What responses say beside the news: the date, whose pages may read, where parts end.

use super::rules::policy;
use crate::base::config::Config;
use crate::base::random::{Random, Seed};
use crate::base::time::Now;
use crate::conn::Origins;
use crate::http::Sharing;
use crate::transport::{Look, Setting};

/// What responses say beside the news, the same for all: a date that is formatted once a second, and what an
/// operator set.
pub(super) struct Calendar {
    second: u64,
    pub(super) date: String,
    pub(super) origins: Origins,
    boundary: String,
}

impl Calendar {
    pub(super) fn new(config: &Config, seed: Seed) -> Calendar {
        let origins = policy(config).origins;
        // The same on every shard, and known to nobody who was not sent it.
        let mut random = Random::new(Seed(!seed.0, seed.1));
        let boundary = format!("encke-{:016x}{:016x}", random.bits(), random.bits());
        Calendar { second: u64::MAX, date: String::new(), origins, boundary }
    }

    pub(super) fn date(&mut self, now: Now) -> &str {
        let second = now.unix_ms / 1000;
        if self.second != second {
            self.second = second;
            let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
            self.date = httpdate::fmt_http_date(moment);
        }
        &self.date
    }

    pub(super) fn sharing(&self, origin: u16) -> Sharing<'_> {
        match &self.origins {
            Origins::None => Sharing::None,
            Origins::All => Sharing::All,
            Origins::Named(_) => Sharing::Named(self.origins.at(origin)),
        }
    }

    pub(super) fn setting<'a>(&'a mut self, now: Now, look: &'a Look, retry_ms: u64) -> Setting<'a> {
        self.date(now);
        let sharing = self.sharing(look.origin);
        Setting { date: &self.date, sharing, retry_ms, boundary: &self.boundary, look, cookie: None, held: None }
    }
}
