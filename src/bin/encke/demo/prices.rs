//! Prices that nobody pays: each walks at random, one a step.

/// What is traded, and at how many cents it begins.
const SHARES: [(&str, i64); 8] = [
    ("ENCKE", 330),
    ("HALLEY", 7532),
    ("BIELA", 662),
    ("FAYE", 748),
    ("TEMPEL", 558),
    ("BORRELLY", 685),
    ("WOLF", 874),
    ("OLBERS", 6950),
];

/// The walk.
pub struct Prices {
    cents: [i64; SHARES.len()],
    turn: usize,
    /// The state of a generator (xorshift); never zero.
    random: u64,
}

impl Default for Prices {
    fn default() -> Prices {
        Prices { cents: SHARES.map(|(_, cents)| cents), turn: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }
}

impl Prices {
    /// The next share's new price: `{"share":"ENCKE","price":3.31,"was":3.30}`.
    pub fn tick(&mut self) -> String {
        let at = self.turn % SHARES.len();
        self.turn = at + 1;
        let was = self.cents[at];
        // Up to a percent, and at least a cent, to either side; what falls too low goes up.
        let reach = (was / 100).max(1);
        let step = (self.random() % (2 * reach as u64 + 1)) as i64 - reach;
        self.cents[at] = if was + step < 100 { was + reach } else { was + step };
        let price = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
        format!("{{\"share\":\"{}\",\"price\":{},\"was\":{}}}", SHARES[at].0, price(self.cents[at]), price(was))
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_go_up_and_down_and_stay_prices() {
        let mut prices = Prices::default();
        let (mut up, mut down) = (0, 0);
        for _ in 0..10_000 {
            let tick: serde_json::Value = serde_json::from_str(&prices.tick()).unwrap();
            let (price, was) = (tick["price"].as_f64().unwrap(), tick["was"].as_f64().unwrap());
            assert!(price >= 1.0 && (price - was).abs() <= was / 100.0 + 0.01, "{tick}");
            up += usize::from(price > was);
            down += usize::from(price < was);
        }
        assert!(up > 3_000 && down > 3_000, "{up} up, {down} down");
    }
}
