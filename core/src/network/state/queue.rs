//! Queued tasks, indexed so that a decision never looks at more than a few of them.
//!
//! Tasks that any prover with a program and enough memory may take lie in one lane. Inside a lane
//! requesters take turns by the work units that they were served (start-time fair queueing: whoever
//! was idle starts at the clock, so nobody saves up turns). Inside a requester the order is: tasks
//! to be tried again first, then the nearest deadline, then the higher fee, then age. Every
//! operation costs O(log n) in the number of queued tasks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::{Address, ProgramId, TaskId};
use crate::job::TaskKind;
use crate::units::{ByteCount, UnixSeconds, WorkUnits};

/// Tasks with the same needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct LaneKey {
    /// Program that a prover must offer.
    pub program: ProgramId,
    /// Memory that one of them takes, in MiB, rounded up.
    pub memory_mib: u64,
    /// What they produce.
    pub kind: TaskKind,
}

impl LaneKey {
    /// The lane of a task.
    #[must_use]
    pub const fn new(program: ProgramId, kind: TaskKind, memory: ByteCount) -> Self {
        Self { program, memory_mib: memory.get().div_ceil(1 << 20), kind }
    }

    /// Memory that a prover needs to serve the lane.
    #[must_use]
    pub const fn memory(&self) -> ByteCount {
        ByteCount::new(self.memory_mib.saturating_mul(1 << 20))
    }
}

/// Whether a task was tried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Urgency {
    /// Tried before: its job waits for little else.
    Again,
    /// Not tried yet.
    Fresh,
}

/// Position of a task among those of its requester.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct QueueKey {
    /// Tasks to be tried again come first.
    pub urgency: Urgency,
    /// Then the nearest deadline.
    pub deadline: UnixSeconds,
    /// Then the higher fee.
    #[borsh(serialize_with = "fee_bytes::serialize", deserialize_with = "fee_bytes::deserialize")]
    pub fee: Reverse<U256>,
    /// Then the older job.
    pub serial: u64,
    /// Then the lower segment.
    pub index: u32,
}

/// Everything that places a task in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The lane.
    pub lane: LaneKey,
    /// Whose task it is.
    pub requester: Address,
    /// Its position among theirs.
    pub key: QueueKey,
    /// The task.
    pub task: TaskId,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Lane {
    /// Tasks by requester; none is empty.
    tasks: BTreeMap<Address, BTreeMap<QueueKey, TaskId>>,
    /// Requesters by units served.
    turns: BTreeSet<(u64, Address)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Party {
    /// Work units served, never below the clock at the start of a busy period.
    served: u64,
    /// Queued tasks per lane; none is zero.
    lanes: BTreeMap<LaneKey, usize>,
}

/// All queued tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Queue {
    lanes: BTreeMap<LaneKey, Lane>,
    parties: BTreeMap<Address, Party>,
    /// Parties without queued tasks, by units served.
    idle: BTreeSet<(u64, Address)>,
    clock: u64,
    len: usize,
}

/// Tasks of one requester that a decision looks at because they were tried before and may have to
/// avoid the free provers. Fresh tasks behind them never wait for more than these.
const AGAIN_LOOKAHEAD: usize = 8;
/// Requesters of one lane that a decision looks at.
const TURN_LOOKAHEAD: usize = 8;
/// Requesters without queued tasks whose turns are remembered. Each takes part of a turn less once;
/// beyond the bound those go first that would lose least.
const IDLE_PARTIES_MAX: usize = 16_384;
/// Tasks that are counted to say how many go before one.
const AHEAD_MAX: usize = 1_000;

impl Queue {
    /// Number of queued tasks.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is queued.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Work units that a requester counts as served, by which turns are taken.
    #[must_use]
    pub fn served(&self, requester: &Address) -> u64 {
        self.parties.get(requester).map_or(self.clock, |party| party.served.max(self.clock))
    }

    /// Units that whoever is next in a lane was served.
    #[must_use]
    pub fn next_turn(&self, lane: &LaneKey) -> Option<u64> {
        Some(self.lanes.get(lane)?.turns.first()?.0)
    }

    /// Tasks of the same lane and requester that go before one; counted up to a bound.
    #[must_use]
    pub fn ahead_of(&self, ticket: &Ticket) -> usize {
        let tasks = self.lanes.get(&ticket.lane).and_then(|lane| lane.tasks.get(&ticket.requester));
        tasks.map_or(0, |tasks| tasks.range(..ticket.key).take(AHEAD_MAX).count())
    }

    /// Adds a task; adding it twice changes nothing.
    pub fn insert(&mut self, ticket: &Ticket) {
        let clock = self.clock;
        let party = self.parties.entry(ticket.requester).or_default();
        if party.lanes.is_empty() {
            self.idle.remove(&(party.served, ticket.requester));
            party.served = party.served.max(clock);
        }
        let lane = self.lanes.entry(ticket.lane).or_default();
        let tasks = lane.tasks.entry(ticket.requester).or_default();
        if tasks.insert(ticket.key, ticket.task).is_none() {
            lane.turns.insert((party.served, ticket.requester));
            *party.lanes.entry(ticket.lane).or_default() += 1;
            self.len += 1;
        }
    }

    /// Removes a task; removing it twice changes nothing.
    pub fn remove(&mut self, ticket: &Ticket) {
        let Some(lane) = self.lanes.get_mut(&ticket.lane) else { return };
        let Some(tasks) = lane.tasks.get_mut(&ticket.requester) else { return };
        if tasks.remove(&ticket.key).is_none() {
            return;
        }
        self.len -= 1;
        let Some(party) = self.parties.get_mut(&ticket.requester) else { return };
        if tasks.is_empty() {
            lane.tasks.remove(&ticket.requester);
            lane.turns.remove(&(party.served, ticket.requester));
            party.lanes.remove(&ticket.lane);
            if lane.tasks.is_empty() {
                self.lanes.remove(&ticket.lane);
            }
        } else if let Some(count) = party.lanes.get_mut(&ticket.lane) {
            *count -= 1;
        }
        self.forget_idle(&ticket.requester);
    }

    /// Counts work that a requester's task was leased for.
    pub fn serve(&mut self, requester: &Address, units: WorkUnits) {
        let clock = self.clock;
        let party = self.parties.entry(*requester).or_default();
        let before = party.served;
        party.served = before.max(clock).saturating_add(units.get().max(1));
        for key in party.lanes.keys() {
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.turns.remove(&(before, *requester));
                lane.turns.insert((party.served, *requester));
            }
        }
        self.idle.remove(&(before, *requester));
        self.clock = clock.max(before);
        self.forget_idle(requester);
    }

    /// A requester without queued tasks whose count the clock has passed needs no memory.
    fn forget_idle(&mut self, requester: &Address) {
        if let Some(party) = self.parties.get(requester).filter(|party| party.lanes.is_empty()) {
            self.idle.insert((party.served, *requester));
        }
        while let Some((served, party)) = self.idle.first().copied() {
            if served > self.clock && self.idle.len() <= IDLE_PARTIES_MAX {
                break;
            }
            self.idle.pop_first();
            self.parties.remove(&party);
        }
    }

    /// Lanes of a program that need at most `memory`, each with the count of whoever is next there.
    pub fn lanes_of(
        &self,
        program: ProgramId,
        memory: ByteCount,
    ) -> impl Iterator<Item = (LaneKey, u64)> + '_ {
        let low = LaneKey { program, memory_mib: 0, kind: TaskKind::Segment };
        let high = LaneKey { program, memory_mib: memory.get() >> 20, kind: TaskKind::Wrap };
        self.lanes.range(low..=high).filter_map(|(key, lane)| Some((*key, lane.turns.first()?.0)))
    }

    /// Tasks of a lane that may be decided on now, in order: few, however many are queued.
    pub fn candidates(&self, lane: &LaneKey) -> impl Iterator<Item = (Address, TaskId)> + '_ {
        let fresh = QueueKey {
            urgency: Urgency::Fresh,
            deadline: UnixSeconds::ZERO,
            fee: Reverse(U256::MAX),
            serial: 0,
            index: 0,
        };
        self.lanes.get(lane).into_iter().flat_map(move |lane| {
            lane.turns.iter().take(TURN_LOOKAHEAD).flat_map(move |(_, requester)| {
                lane.tasks.get(requester).into_iter().flat_map(move |tasks| {
                    let again = tasks.range(..fresh).take(AGAIN_LOOKAHEAD);
                    let first = tasks.range(fresh..).take(1);
                    again.chain(first).map(|(_, task)| (*requester, *task))
                })
            })
        })
    }

    /// Every queued task, for the checker of invariants.
    pub fn iter(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.lanes.values().flat_map(|lane| lane.tasks.values().flat_map(|t| t.values().copied()))
    }

    /// Whether the index agrees with itself: counts, turns, no empty parts.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let lanes_fit = self.lanes.iter().all(|(key, lane)| {
            lane.turns.len() == lane.tasks.len()
                && lane.tasks.iter().all(|(requester, tasks)| {
                    self.parties.get(requester).is_some_and(|party| {
                        party.lanes.get(key) == Some(&tasks.len())
                            && lane.turns.contains(&(party.served, *requester))
                            && !tasks.is_empty()
                    })
                })
        });
        let idle = self.parties.iter().filter(|(_, party)| party.lanes.is_empty());
        lanes_fit
            && self.idle == idle.map(|(address, party)| (party.served, *address)).collect()
            && self.len == self.iter().count()
            && self.len == self.parties.values().flat_map(|p| p.lanes.values()).sum::<usize>()
    }
}

/// Stored bytes of a fee: those of its number.
mod fee_bytes {
    use std::cmp::Reverse;
    use std::io::{Read, Result, Write};

    use alloy_primitives::U256;

    use crate::borsh_u256;

    pub(super) fn serialize<W: Write>(fee: &Reverse<U256>, writer: &mut W) -> Result<()> {
        borsh_u256::serialize(&fee.0, writer)
    }

    pub(super) fn deserialize<R: Read>(reader: &mut R) -> Result<Reverse<U256>> {
        borsh_u256::deserialize(reader).map(Reverse)
    }
}
