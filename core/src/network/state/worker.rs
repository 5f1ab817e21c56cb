//! What provers did: measured throughput and faults. Survives their connections.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::ProgramId;
use crate::network::input::Drain;
use crate::units::{UnixMillis, WorkUnits};

/// One prover's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WorkerBook {
    /// Measured work units per 1000 seconds and program: an average that forgets by quarters.
    pub units_per_kilosecond: BTreeMap<ProgramId, u64>,
    /// Proofs that were accepted.
    pub accepted: u64,
    /// Work units in them.
    pub work_units: u64,
    /// Tries that failed by its own fault.
    pub faults: u64,
    /// Faults since the last accepted proof; each halves its place in the order.
    pub consecutive_faults: u32,
    /// Tries that ended by nobody's fault.
    pub losses: u64,
    /// Proofs that a quorum of verifiers refused.
    pub refused_by_quorum: u64,
    /// Set while an administrator keeps work away from it.
    pub drain: Option<Drain>,
    /// When a fact was last about it.
    pub active_at: UnixMillis,
}

impl WorkerBook {
    /// Whether an administrator keeps work away from it.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drain == Some(Drain::Start)
    }

    /// Takes a measurement in.
    pub fn measure(&mut self, program: ProgramId, units: WorkUnits, prove_ms: u64) {
        let per_kilosecond = u128::from(units.get()) * 1_000_000 / u128::from(prove_ms.max(1));
        let sample = u64::try_from(per_kilosecond).unwrap_or(u64::MAX);
        self.units_per_kilosecond
            .entry(program)
            .and_modify(|average| *average = *average - *average / 4 + sample / 4)
            .or_insert(sample);
    }
}
