//! The slab of one shard's connections.

use super::ways::way_of;
use super::{Connection, State, WAYS};
use crate::base::door::Door;
use crate::base::id::Token;
use crate::base::time::Tick;
use crate::timer::{Link, Links};
use slab::Slab;
use std::ops::{Index, IndexMut};

/// No tenant's generation.
const RETIRED: u32 = 0;

/// Slots that clients leave to the application: however many of them come, it can publish and look what goes on.
const APPLICATIONS: usize = 16;

/// All connections of one shard. Room for all of them is reserved at the start, so that a slot never moves
/// and growth never stalls a turn; memory that is not touched costs nothing.
#[derive(Debug)]
pub(crate) struct Slots {
    slab: Slab<Connection>,
    max: usize,
    generation: u32,
    /// How many are held in each of the [`WAYS`].
    ways: [u32; WAYS.len()],
}

impl Slots {
    /// Room for `max` connections, and [`APPLICATIONS`] besides.
    pub(crate) fn new(max: usize) -> Slots {
        Slots { slab: Slab::with_capacity(max + APPLICATIONS), max, generation: 0, ways: [0; WAYS.len()] }
    }

    /// Room for `max` connections from now on. Those beyond it stay.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.slab.reserve_exact(max.saturating_sub(self.slab.len()));
    }

    /// A slot for a new connection; `None` when all are taken.
    pub(crate) fn open(&mut self, now: Tick, door: Door) -> Option<Token> {
        let apart = if door.is_public() { 0 } else { APPLICATIONS };
        if self.slab.len() >= self.max + apart {
            return None;
        }
        // u32::MAX is left to the reactor, for tokens that are no connections.
        self.generation = if self.generation >= u32::MAX - 1 { 1 } else { self.generation + 1 };
        let index = self.slab.insert(Connection::new(self.generation, door, now)) as u32;
        self.ways[way_of(&self[index])] += 1;
        Some(Token { index, generation: self.generation })
    }

    /// The slot that `token` names, if its tenant is still the same.
    pub(crate) fn live(&self, token: Token) -> Option<u32> {
        debug_assert_ne!(token.generation, RETIRED);
        let connection = self.slab.get(token.index as usize)?;
        (connection.generation == token.generation).then_some(token.index)
    }

    pub(crate) fn token(&self, index: u32) -> Token {
        Token { index, generation: self[index].generation }
    }

    /// A connection waits for something else from here on.
    pub(crate) fn turn(&mut self, index: u32, state: State) {
        let connection = &mut self.slab[index as usize];
        self.ways[way_of(connection)] -= 1;
        connection.state = state;
        self.ways[way_of(connection)] += 1;
    }

    /// How many connections are held in each of the [`WAYS`].
    pub(crate) fn ways(&self) -> &[u32; WAYS.len()] {
        &self.ways
    }

    /// Panics unless the connections held in each way are as many as were counted.
    pub(crate) fn check_ways(&self) {
        let mut ways = [0; WAYS.len()];
        self.indices().for_each(|index| ways[way_of(&self[index])] += 1);
        assert_eq!(ways, self.ways, "each change of a state is counted");
    }

    /// Makes the token of this slot's tenant mean nothing any more. The slot itself stays taken until
    /// [`Slots::free`], so that whoever keeps things by slot can clear them away first.
    pub(crate) fn retire(&mut self, index: u32) {
        self.ways[way_of(&self[index])] -= 1;
        let connection = &mut self[index];
        connection.generation = RETIRED;
        connection.rest = None;
    }

    /// Gives the slot of a retired tenant to whoever comes next.
    pub(crate) fn free(&mut self, index: u32) {
        debug_assert_eq!(self[index].generation, RETIRED);
        self.slab.remove(index as usize);
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Every live slot.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> {
        self.slab.iter().filter(|(_, connection)| connection.generation != RETIRED).map(|(index, _)| index as u32)
    }
}

impl Index<u32> for Slots {
    type Output = Connection;
    fn index(&self, index: u32) -> &Connection {
        &self.slab[index as usize]
    }
}

impl IndexMut<u32> for Slots {
    fn index_mut(&mut self, index: u32) -> &mut Connection {
        &mut self.slab[index as usize]
    }
}

impl Links for Slots {
    fn link(&mut self, key: u32) -> &mut Link {
        &mut self[key].timer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_take_the_applications_slots() {
        let mut slots = Slots::new(2);
        let mut open = |door| slots.open(Tick(0), door).is_some();
        assert_eq!([open(Door::Public), open(Door::PublicLoopback), open(Door::Public)], [true, true, false]);
        let doors = [Door::Private, Door::PrivateLoopback, Door::Control].into_iter().cycle();
        assert_eq!(doors.take_while(|door| open(*door)).count(), APPLICATIONS);
        assert!(!open(Door::Public));
    }
}
