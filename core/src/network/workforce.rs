//! Connected provers, indexed so that a decision looks at a few of them, however many there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Address;
use crate::units::ByteCount;

/// Where a free prover stands among those of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its merit: the higher, the earlier it is chosen.
    pub score: u64,
    /// Memory that it can give to one more task.
    pub memory: ByteCount,
}

/// Provers with a free slot for one program, by merit and by memory.
#[derive(Clone, Debug, Default)]
pub(super) struct FreeProvers {
    by_merit: BTreeMap<(Reverse<u64>, Address), ByteCount>,
    by_memory: BTreeSet<(ByteCount, Address)>,
}

impl FreeProvers {
    pub fn insert(&mut self, prover: Address, place: Place) {
        self.by_merit.insert((Reverse(place.score), prover), place.memory);
        self.by_memory.insert((place.memory, prover));
    }

    pub fn remove(&mut self, prover: Address, place: Place) {
        self.by_merit.remove(&(Reverse(place.score), prover));
        self.by_memory.remove(&(place.memory, prover));
    }

    pub fn is_empty(&self) -> bool {
        self.by_merit.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_merit.len()
    }

    /// The most memory that any of them can give; zero without one.
    pub fn memory_most(&self) -> ByteCount {
        self.by_memory.last().map_or(ByteCount::ZERO, |(memory, _)| *memory)
    }

    /// Every one of them with its memory, the best first.
    pub fn iter(&self) -> impl Iterator<Item = (Address, ByteCount)> + '_ {
        self.by_merit.iter().map(|((_, prover), memory)| (*prover, *memory))
    }

    /// Whether `prover` stands at `place`, in both orders.
    pub fn holds(&self, prover: Address, place: Place) -> bool {
        self.by_merit.get(&(Reverse(place.score), prover)) == Some(&place.memory)
            && self.by_memory.contains(&(place.memory, prover))
    }

    /// Whether both orders name the same number of provers.
    pub fn is_consistent(&self) -> bool {
        self.by_merit.len() == self.by_memory.len()
    }
}

/// Connected provers that offer one program, counted by their whole memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers(BTreeMap<ByteCount, u32>);

impl Offers {
    pub fn add(&mut self, memory: ByteCount) {
        *self.0.entry(memory).or_default() += 1;
    }

    pub fn remove(&mut self, memory: ByteCount) {
        if let Some(count) = self.0.get_mut(&memory) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&memory);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a planner wants to know of them; `None` without one. O(different sizes of memory).
    pub fn summary(&self) -> Option<Workforce> {
        let (memory_least, _) = self.0.first_key_value()?;
        let (memory_most, _) = self.0.last_key_value()?;
        let provers = self.0.values().fold(0u32, |sum, count| sum.saturating_add(*count));
        Some(Workforce { provers, memory_least: *memory_least, memory_most: *memory_most })
    }
}

/// The connected provers that offer a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workforce {
    /// How many they are; at least one.
    pub provers: u32,
    /// Memory of the smallest.
    pub memory_least: ByteCount,
    /// Memory of the largest.
    pub memory_most: ByteCount,
}
