//! Who asks for the numbers of all shards waits until the reactor tells them: a shard knows its own alone.

use super::{Engine, Output};
use crate::base::time::Now;
use crate::conn::State;
use crate::protocol::plain::reply;

impl Engine {
    /// A connection asks for the numbers.
    pub(super) fn ask_metrics(&mut self, now: Now, index: u32) {
        self.slots.turn(index, State::Asking);
        self.end_state_after(now.tick, index, self.durations.stall);
        self.orders.push_back(Output::Metrics(self.slots.token(index)));
    }

    /// Here they are.
    pub(super) fn tell_metrics(&mut self, now: Now, index: u32, text: &str) {
        let asks = self.slots[index].state == State::Asking;
        debug_assert!(asks, "whoever asked for numbers waits for them");
        if asks {
            self.reply(now, index, |out, dress| reply::metrics(out, dress, text));
            self.resume_reading(now, index);
        }
    }
}
