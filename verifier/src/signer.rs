//! What this verifier signs, and what must be true before it does.
//!
//! A vote is signed from an entry that is on the disk. An attestation is signed if every leaf
//! equals the log. There is no third way to the key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_core::batch::Batch;
use proofgrid_core::crypto::bls::{BlsMessage, PublicKeyG1, SecretKey, Signature};
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{Address, ChainContract, NetworkId, StatementDigest};
use proofgrid_core::vote::{Attestation, SignedAttestation, SignedVote, Vote};

use crate::epochs::ConfirmedEpoch;
use crate::vote_log::{Entry, Logged, VoteLog, VoteLogError};

/// The batch differs from the log; nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Positions of leaves that are not in the log with this verdict and target, ascending.
    pub positions: Vec<u32>,
}

/// Holds the key and the log.
#[derive(Debug)]
pub struct Signer {
    key: SecretKey,
    network: NetworkId,
    operator: Address,
    log: Mutex<VoteLog>,
}

impl Signer {
    /// A signer over an open log.
    #[must_use]
    pub const fn new(key: SecretKey, network: NetworkId, operator: Address, log: VoteLog) -> Self {
        Self { key, network, operator, log: Mutex::new(log) }
    }

    /// The key that the epoch table must list.
    #[must_use]
    pub fn public_key(&self) -> PublicKeyG1 {
        self.key.public_g1()
    }

    /// Signs a login.
    #[must_use]
    pub fn login(&self, login: Login) -> Signature {
        self.key.sign(&BlsMessage::Login { network: self.network, login })
    }

    /// The verdict that stands for a statement.
    #[must_use]
    pub fn logged(&self, statement: StatementDigest) -> Option<Logged> {
        self.lock().get(statement).cloned()
    }

    /// Number of statements with a verdict.
    #[must_use]
    pub fn num_logged(&self) -> usize {
        self.lock().len()
    }

    /// Writes a verdict to the log, off the runtime's threads. Durable when it returns.
    ///
    /// # Errors
    /// [`VoteLogError::OtherVerdict`], or a failure of the log, after which nothing is signed.
    pub async fn record(self: &Arc<Self>, entry: Entry) -> Result<Logged, VoteLogError> {
        let signer = Arc::clone(self);
        let recorded = proofgrid_store::blocking::spawn(move || signer.lock().record(entry)).await;
        recorded.unwrap_or_else(|_cancelled| {
            Err(VoteLogError::Failed { path: "of this process, which is shutting down".into() })
        })
    }

    /// Signs the verdict of a logged entry under an epoch that the chain confirmed.
    #[must_use]
    pub fn vote(&self, logged: &Logged, epoch: &ConfirmedEpoch) -> SignedVote {
        let vote = Vote {
            epoch: epoch.number(),
            table: epoch.digest(),
            statement: logged.entry().statement,
            verdict: logged.verdict(),
        };
        vote.sign(self.network, self.operator, &self.key)
    }

    /// Signs a batch if every leaf is in the log with this verdict and target.
    ///
    /// # Errors
    /// The positions of the leaves that are not.
    pub fn attest(
        &self,
        target: ChainContract,
        epoch: &ConfirmedEpoch,
        batch: &Batch,
    ) -> Result<SignedAttestation, Disagreement> {
        let positions = self.disagreement(target, batch);
        if !positions.is_empty() {
            return Err(Disagreement { positions });
        }
        let attestation = Attestation {
            target,
            epoch: epoch.number(),
            table: epoch.digest(),
            root: batch.root(),
            count: batch.count(),
        };
        Ok(attestation.sign(self.operator, &self.key))
    }

    fn disagreement(&self, target: ChainContract, batch: &Batch) -> Vec<u32> {
        let log = self.lock();
        batch.disagreements(|statement| {
            let logged = log.get(*statement).filter(|logged| logged.entry().target == target)?;
            Some(logged.verdict())
        })
    }

    /// The log is only replaced by itself plus one entry, so it is whole after any panic.
    fn lock(&self) -> MutexGuard<'_, VoteLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
