//! So many a second, and so many at once: what is taken now is paid for by waiting.
//!
//! An account is one number, the moment when all that was taken is paid for. Who takes something moves it on by what that
//! costs; who finds it further ahead than may be used at once waits. So what is larger than all that may be used at once is
//! taken too, and paid for afterwards; and an account that nobody uses is paid up, and needs no keeping.
//!
//! [`Accounts`] keeps one for each client in a table of a fixed size: a client has a cell in each of its rows, and is in debt
//! only if both are. Two clients stand for each other only if they share both, which nobody can bring about who does
//! not know the seed. Nothing is locked, nothing grows, and all reactors share it.

use super::client::Client;
use super::random::{Seed, keyed_hash};
use super::time::Tick;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cells in a row. With a thousand busy clients, one in some four thousand shares an account.
const CELLS: usize = 1 << 16;

const NS_A_MS: u64 = 1_000_000;
const NS_A_SECOND: u64 = 1_000 * NS_A_MS;

/// How much may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst_ns: u64,
}

impl Rate {
    /// So many `per_second`, of which as many at once as it allows in `burst_ms`; `None` if that is nothing, for no limit.
    pub fn new(per_second: u64, burst_ms: u64) -> Option<Rate> {
        (per_second > 0).then(|| Rate { per_second, burst_ns: burst_ms.saturating_mul(NS_A_MS) })
    }

    /// What `amount` costs in time.
    fn price(self, amount: u64) -> u64 {
        (u128::from(amount) * u128::from(NS_A_SECOND) / u128::from(self.per_second)).try_into().unwrap_or(u64::MAX)
    }

    /// For how long nothing can be taken from an account that is paid up at `paid`.
    fn wait_ns(self, now: u64, paid: u64) -> u64 {
        paid.saturating_sub(now).saturating_sub(self.burst_ns)
    }
}

/// When all that was taken is paid for, in nanoseconds of the steady clock.
#[derive(Debug, Default)]
pub struct Account(AtomicU64);

impl Account {
    /// Takes `amount`. `Err`: nothing was taken, and in so many milliseconds something can be.
    pub fn take(&self, rate: Rate, now: Tick, amount: u64) -> Result<(), u64> {
        let wait = self.wait(rate, now);
        if wait > 0 {
            return Err(wait);
        }
        self.charge(rate, now, amount);
        Ok(())
    }

    /// For how many milliseconds nothing can be taken.
    fn wait(&self, rate: Rate, now: Tick) -> u64 {
        rate.wait_ns(now.0.saturating_mul(NS_A_MS), self.0.load(Ordering::Relaxed)).div_ceil(NS_A_MS)
    }

    /// Several at once may find that they can take something: each of them pays.
    fn charge(&self, rate: Rate, now: Tick, amount: u64) {
        let (now, price) = (now.0.saturating_mul(NS_A_MS), rate.price(amount));
        let charged = |paid: u64| Some(paid.max(now).saturating_add(price));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charged).expect("it is always charged");
    }
}

/// An account for each client.
#[derive(Debug)]
pub struct Accounts {
    rate: Rate,
    seed: Seed,
    rows: [Box<[Account]>; 2],
}

impl Accounts {
    /// Accounts that are all paid up.
    pub fn new(rate: Rate, seed: Seed) -> Accounts {
        let row = || (0..CELLS).map(|_| Account::default()).collect();
        Accounts { rate, seed, rows: [row(), row()] }
    }

    /// For how many milliseconds `client` can take nothing; 0 if it can.
    pub fn wait(&self, client: Client, now: Tick) -> u64 {
        self.cells(client).map(|cell| cell.wait(self.rate, now)).into_iter().min().unwrap_or(0)
    }

    /// `client` takes so much, which it could.
    pub fn charge(&self, client: Client, now: Tick, amount: u64) {
        self.cells(client).into_iter().for_each(|cell| cell.charge(self.rate, now, amount));
    }

    /// `client` takes `amount`. `Err`: nothing was taken, and in so many milliseconds something can be.
    pub fn take(&self, client: Client, now: Tick, amount: u64) -> Result<(), u64> {
        match self.wait(client, now) {
            0 => {
                self.charge(client, now, amount);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    fn cells(&self, client: Client) -> [&Account; 2] {
        let hash = keyed_hash(self.seed, &client.to_bytes());
        let [first, second] = &self.rows;
        [&first[hash as usize % CELLS], &second[(hash >> 32) as usize % CELLS]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Tick = Tick(1_000);

    #[test]
    fn a_rate_is_kept_over_a_long_time_and_a_burst_at_once() {
        let rate = Rate::new(10, 2_000).expect("a rate");
        let account = Account::default();
        let at_once = (0..100).take_while(|_| account.take(rate, SECOND, 1).is_ok()).count();
        assert_eq!(at_once, 21, "what it allows in two seconds, and one that is paid for afterwards");
        assert_eq!(account.take(rate, SECOND, 1), Err(100));
        let later = (1..=100_000).filter(|ms| account.take(rate, SECOND + *ms, 1).is_ok()).count();
        assert_eq!(later, 1_000);
    }

    #[test]
    fn what_is_too_large_for_any_burst_is_taken_and_paid_for() {
        let rate = Rate::new(1_000, 1_000).expect("a rate");
        let account = Account::default();
        assert_eq!(account.take(rate, SECOND, 60_000), Ok(()));
        assert_eq!(account.take(rate, SECOND, 1), Err(59_000));
        assert_eq!(account.take(rate, SECOND + 59_000, 1), Ok(()));
    }

    #[test]
    fn an_account_that_rests_has_one_burst_and_not_more() {
        let rate = Rate::new(10, 1_000).expect("a rate");
        let account = Account::default();
        assert_eq!(account.take(rate, SECOND, 1), Ok(()));
        let later = Tick(1_000_000_000);
        assert_eq!((0..100).take_while(|_| account.take(rate, later, 1).is_ok()).count(), 11);
    }

    #[test]
    fn no_rate_and_no_amount_is_too_large() {
        assert_eq!(Rate::new(0, 1_000), None);
        for per_second in [1, 3, u64::MAX] {
            let rate = Rate::new(per_second, u64::MAX).expect("a rate");
            let account = Account::default();
            for amount in [0, 1, u64::MAX, u64::MAX] {
                let _ = account.take(rate, Tick(u64::MAX), amount);
            }
        }
    }

    #[test]
    fn clients_do_not_pay_for_each_other() {
        let accounts = Accounts::new(Rate::new(1, 1_000).expect("a rate"), Seed(1, 2));
        for address in 0..1_000 {
            while accounts.take(Client::V4(address), SECOND, 1).is_ok() {}
        }
        let free = (1_000..11_000).filter(|address| accounts.take(Client::V4(*address), SECOND, 1).is_ok()).count();
        assert!(free >= 9_990, "{free} of 10,000 strangers have their own");
        assert_eq!((0..1_000).filter(|address| accounts.take(Client::V4(*address), SECOND, 1).is_ok()).count(), 0);
    }
}
