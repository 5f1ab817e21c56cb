//! Bonds of leases: what is asked of provers, and what they accepted.
//!
//! A bond is asked for the leases of contract jobs in assigned mode, if the operator wants one. A
//! prover may leave it at that. What it accepts is checked here against what was asked, and handed
//! to the oracle of the job's chain, which makes it durable and posts it.
//!
//! An acceptance is the prover's own word and is kept by the prover: it says it again in its next
//! session while it holds the lease, and here it is remembered until its deadline, for an oracle
//! that is away. The state machine knows nothing of it, since nothing that it decides depends on it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proofgrid_core::bond::{AcceptedLease, LeaseTerms, is_bondable};
use proofgrid_core::ids::{Address, ChainContract, ChainId, TaskId};
use proofgrid_core::job::JobSpec;
use proofgrid_core::units::{UnixMillis, UnixSeconds};
use proofgrid_proto::convert::AcceptanceOrder;

use crate::config::DispatcherConfig;
use crate::error::EdgeError;
use crate::limits::ACCEPTANCES_MAX;

/// What is asked, and what was accepted.
#[derive(Debug)]
pub struct Bonds {
    amount: u128,
    task_managers: BTreeMap<ChainId, Address>,
    accepted: Mutex<BTreeMap<(TaskId, Address), (ChainId, AcceptanceOrder)>>,
}

impl Bonds {
    /// What the operator wants; `None` if no bonds.
    #[must_use]
    pub fn new(config: &DispatcherConfig) -> Option<Self> {
        let amount = u128::from(config.lease_bond_wei);
        let manager = |target: &crate::config::TargetConfig| {
            (ChainId::new(target.chain_id), target.task_manager)
        };
        let task_managers = config.targets.iter().map(manager).collect();
        (amount > 0).then(|| Self { amount, task_managers, accepted: Mutex::default() })
    }

    /// The contract that an acceptance for this job is bound to.
    #[must_use]
    pub fn task_manager(&self, spec: &JobSpec) -> Option<ChainContract> {
        let chain = spec.target.chain;
        let contract = *self.task_managers.get(&chain)?;
        Some(ChainContract { chain, contract })
    }

    /// What is asked for a lease that ends at `expires_at`; `None` for jobs without bonds.
    #[must_use]
    pub fn asked(&self, spec: &JobSpec, expires_at: UnixMillis) -> Option<LeaseTerms> {
        self.task_manager(spec).filter(|_| is_bondable(spec))?;
        let deadline = expires_at.as_seconds().min(spec.deadline);
        Some(LeaseTerms { amount: self.amount, deadline })
    }

    /// Takes an acceptance on: the order for the oracle of its chain.
    ///
    /// # Errors
    /// When it is not what was asked, not the prover's own word, or too many wait.
    pub fn take(
        &self,
        accepted: AcceptedLease,
        asked: Option<LeaseTerms>,
        now: UnixSeconds,
    ) -> Result<(ChainId, AcceptanceOrder), EdgeError> {
        let lease = &accepted.lease;
        let manager = self.task_manager(&lease.spec).filter(|_| asked == Some(lease.terms));
        let Some(manager) = manager else {
            let text = "the lease is accepted on other terms than were asked; accept those";
            return Err(EdgeError::NotAllowed(text.into()));
        };
        accepted.verify(manager)?;
        let key = (lease.task(), accepted.prover);
        let order = AcceptanceOrder { task_manager: manager.contract, accepted };
        let mut all = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, known)| known.accepted.lease.terms.deadline >= now);
        if all.len() >= ACCEPTANCES_MAX && !all.contains_key(&key) {
            return Err(EdgeError::Busy("too many accepted leases wait for their deadlines"));
        }
        all.insert(key, (manager.chain, order.clone()));
        Ok((manager.chain, order))
    }

    /// What an oracle that dials in has to know; it may know it already.
    #[must_use]
    pub fn of_chain(&self, chain: ChainId) -> Vec<AcceptanceOrder> {
        let all = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let its = all.values().filter(|(of, _)| *of == chain);
        its.map(|(_, order)| order.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proofgrid_core::bond::BondedLease;
    use proofgrid_core::crypto::secp::WalletKey;
    use proofgrid_core::job::{Mode, Origin};

    use super::*;
    use crate::testing::{config, spec, wallet};

    const NOW: UnixSeconds = UnixSeconds::new(1_000);

    fn bonds() -> Bonds {
        Bonds::new(&DispatcherConfig { lease_bond_wei: 7, ..config() }).unwrap()
    }

    fn contract_job(nonce: u64) -> JobSpec {
        JobSpec { origin: Origin::Contract, ..spec(&wallet(1), nonce, b"input") }
    }

    fn expires() -> UnixMillis {
        UnixMillis::new(2_000_000)
    }

    fn accepted(bonds: &Bonds, nonce: u64, terms: LeaseTerms) -> AcceptedLease {
        let spec = contract_job(nonce);
        let manager = bonds.task_manager(&spec).unwrap();
        let key = WalletKey::from_bytes(&[5; 32]).unwrap();
        BondedLease { spec, segment: 0, terms }.sign(&key, manager)
    }

    #[test]
    fn a_bond_is_asked_for_what_a_contract_hands_out_and_only_if_wanted() {
        assert!(Bonds::new(&config()).is_none(), "none is the default");
        let (bonds, spec) = (bonds(), contract_job(1));
        let asked = bonds.asked(&spec, expires()).unwrap();
        assert_eq!(asked, LeaseTerms { amount: 7, deadline: UnixSeconds::new(2_000) });
        let late = bonds.asked(&spec, UnixMillis::new(u64::MAX)).unwrap();
        assert_eq!(late.deadline, spec.deadline, "a lock never outlasts its job's deadline");
        let direct = JobSpec { origin: Origin::Direct, ..spec.clone() };
        let race = JobSpec { mode: Mode::Race, ..spec.clone() };
        for other in [direct, race] {
            assert_eq!(bonds.asked(&other, expires()), None);
        }
    }

    #[test]
    fn only_the_provers_own_word_on_what_was_asked_is_handed_on() {
        let bonds = bonds();
        let asked = bonds.asked(&contract_job(1), expires());
        let terms = asked.unwrap();
        let good = accepted(&bonds, 1, terms);
        let forged = AcceptedLease { prover: Address::from_bytes([9; 20]), ..good.clone() };
        assert!(matches!(bonds.take(forged, asked, NOW), Err(EdgeError::WalletSignature(_))));
        let less = accepted(&bonds, 1, LeaseTerms { amount: 6, ..terms });
        assert!(matches!(bonds.take(less, asked, NOW), Err(EdgeError::NotAllowed(_))));
        let unasked = bonds.take(good.clone(), None, NOW);
        assert!(matches!(unasked, Err(EdgeError::NotAllowed(_))));
        let (chain, order) = bonds.take(good.clone(), asked, NOW).unwrap();
        bonds.take(good, asked, NOW).unwrap();
        assert_eq!(bonds.of_chain(chain), [order], "said twice it is one");
        assert!(bonds.of_chain(ChainId::new(chain.get() + 1)).is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_ends_with_its_deadline() {
        let bonds = bonds();
        let asked = bonds.asked(&contract_job(1), expires());
        let terms = asked.unwrap();
        for nonce in 0..ACCEPTANCES_MAX as u64 {
            bonds.take(accepted(&bonds, nonce, terms), asked, NOW).unwrap();
        }
        let more = || accepted(&bonds, u64::MAX, terms);
        assert!(matches!(bonds.take(more(), asked, NOW), Err(EdgeError::Busy(_))));
        let after = UnixSeconds::new(terms.deadline.get() + 1);
        let (chain, _) = bonds.take(more(), asked, after).unwrap();
        assert_eq!(bonds.of_chain(chain).len(), 1);
    }
}
