//! What a prover puts at stake for one segment of a contract job, in its own words.

use alloy_primitives::U256;

use crate::crypto::eip712::{LeaseAcceptance, WalletMessage};
use crate::crypto::secp::{SecpError, WalletKey, WalletSignature};
use crate::ids::{Address, ChainContract, TaskId};
use crate::job::{JobSpec, Mode, Origin, TaskKind};
use crate::units::UnixSeconds;

/// Whether work on a job can be bonded: it is a contract's, and handed out task by task.
#[must_use]
pub fn is_bondable(spec: &JobSpec) -> bool {
    spec.origin == Origin::Contract && spec.mode == Mode::Assigned
}

/// The bond that is asked for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Bond to be locked, in wei.
    pub amount: u128,
    /// Last second to deliver.
    pub deadline: UnixSeconds,
}

/// A segment that a prover accepts, and what it puts at stake for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondedLease {
    /// The job.
    pub spec: JobSpec,
    /// Which of its segments.
    pub segment: u32,
    /// What is at stake, and until when.
    pub terms: LeaseTerms,
}

impl BondedLease {
    /// The task.
    #[must_use]
    pub fn task(&self) -> TaskId {
        TaskId::derive(&self.spec.id(), TaskKind::Segment, self.segment)
    }

    /// What is signed, for the task manager at whose bonds the lock is to be.
    #[must_use]
    pub fn message(&self, task_manager: ChainContract) -> WalletMessage {
        let acceptance = LeaseAcceptance {
            job: self.spec.id(),
            task: self.task(),
            input: self.spec.input,
            deadline: self.terms.deadline,
            amount: U256::from(self.terms.amount),
        };
        WalletMessage::LeaseAccept { task_manager, acceptance }
    }

    /// The acceptance under a prover's own key.
    #[must_use]
    pub fn sign(self, key: &WalletKey, task_manager: ChainContract) -> AcceptedLease {
        let signature = key.sign(&self.message(task_manager));
        AcceptedLease { lease: self, prover: key.address(), signature }
    }
}

/// A lease that a prover says to have accepted: all that anybody needs to post it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedLease {
    /// What it accepted.
    pub lease: BondedLease,
    /// Who.
    pub prover: Address,
    /// Its signature.
    pub signature: WalletSignature,
}

impl AcceptedLease {
    /// Checks that the prover itself signed this, for this task manager.
    ///
    /// # Errors
    /// When somebody else or nobody did.
    pub fn verify(&self, task_manager: ChainContract) -> Result<(), SecpError> {
        self.signature.verify(&self.lease.message(task_manager), self.prover)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::ids::ChainId;

    fn task_manager(chain: u64) -> ChainContract {
        ChainContract { chain: ChainId::new(chain), contract: Address::from_bytes([7; 20]) }
    }

    fn lease() -> BondedLease {
        let spec = fixtures::job(1);
        let terms = LeaseTerms { amount: 5, deadline: spec.deadline };
        BondedLease { spec, segment: 1, terms }
    }

    #[test]
    fn an_acceptance_holds_for_its_own_words_place_and_prover_alone() {
        let key = WalletKey::from_bytes(&[3; 32]).unwrap();
        let accepted = lease().sign(&key, task_manager(1));
        assert_eq!(accepted.verify(task_manager(1)), Ok(()));
        let wrong = |found: Result<(), SecpError>| {
            matches!(found, Err(SecpError::WrongSigner { .. } | SecpError::Unrecoverable))
        };
        assert!(wrong(accepted.verify(task_manager(2))), "another chain");
        let thief = AcceptedLease { prover: Address::from_bytes([9; 20]), ..accepted.clone() };
        assert!(wrong(thief.verify(task_manager(1))));
        let terms = lease().terms;
        let earlier = UnixSeconds::new(terms.deadline.get() - 1);
        let changed = [
            BondedLease { terms: LeaseTerms { amount: 6, ..terms }, ..lease() },
            BondedLease { segment: 0, ..lease() },
            BondedLease { spec: fixtures::job(2), ..lease() },
            BondedLease { terms: LeaseTerms { deadline: earlier, ..terms }, ..lease() },
        ];
        for lease in changed {
            let forged = AcceptedLease { lease, ..accepted.clone() };
            assert!(wrong(forged.verify(task_manager(1))), "{forged:?}");
        }
    }

    #[test]
    fn only_work_that_a_contract_hands_out_can_be_bonded() {
        let bonded = JobSpec { origin: Origin::Contract, mode: Mode::Assigned, ..fixtures::job(1) };
        assert!(is_bondable(&bonded));
        assert!(!is_bondable(&JobSpec { origin: Origin::Direct, ..bonded.clone() }));
        assert!(!is_bondable(&JobSpec { mode: Mode::Race, ..bonded }));
    }
}
