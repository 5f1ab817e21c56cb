//! What this verifier signs, and what must be true before it does.
//!
//! A vote is signed from an entry that is on the disk. It leaves as a commitment, and then opened to a
//! signed commit set that holds this commitment, one per statement, epoch and sitting. An attestation is
//! signed if every leaf equals the log. There is no third way to the key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_core::batch::Batch;
use proofgrid_core::crypto::bls::{BlsMessage, PublicKeyG1, SecretKey, Signature};
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::hash::keccak256_concat;
use proofgrid_core::crypto::secp::{SecpError, WalletSignature};
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{Address, ChainContract, NetworkId, StatementDigest};
use proofgrid_core::sealed::{CommitSet, Salt, SealedVote, commitment_to};
use proofgrid_core::vote::{Attestation, SignedAttestation, SignedVote, Vote};
use thiserror::Error;

use crate::epochs::ConfirmedEpoch;
use crate::vote_log::{Entry, Logged, Opened, VoteLog, VoteLogError};

/// The batch differs from the log; nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Positions of leaves that are not in the log with this verdict and target, ascending.
    pub positions: Vec<u32>,
}

/// Why a vote is not opened; nothing left.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RevealError {
    /// No verdict on the statement is in the log.
    #[error("no verdict on the statement is in the vote log")]
    NotJudged,
    /// The set holds no commitment of this verifier, or another one.
    #[error("the commit set does not hold this verifier's own commitment")]
    NotInSet,
    /// The set is not signed by the server that this verifier logged in to.
    #[error("the commit set is not signed by the dispatcher: {0}")]
    Signature(#[from] SecpError),
    /// It was opened to another set, or the log failed.
    #[error(transparent)]
    VoteLog(#[from] VoteLogError),
}

/// A vote that is in a commit set, with everything that opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedVote {
    /// The vote.
    pub signed: SignedVote,
    /// What its commitment was hidden with.
    pub salt: Salt,
    /// The entry that it is signed from.
    pub logged: Logged,
}

fn shutting_down() -> VoteLogError {
    VoteLogError::Failed { path: "of this process, which is shutting down".into() }
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

    /// What the votes on a statement are hidden with: derived from the key, as a deterministic
    /// signature's nonce is, so that a log that was lost leads to no other commitment.
    #[must_use]
    pub fn secret(&self, statement: StatementDigest) -> Salt {
        let key = self.key.to_bytes();
        let parts: [&[u8]; 3] = [b"PROOFGRID_VOTE_SECRET_V1", &*key, statement.as_bytes()];
        Salt::from_bytes(keccak256_concat(&parts))
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
        recorded.unwrap_or_else(|_cancelled| Err(shutting_down()))
    }

    /// The commitment to the vote on a logged entry under an epoch that the chain confirmed: always
    /// the same one, so that a restart never commits to anything else.
    #[must_use]
    pub fn commit(&self, logged: &Logged, epoch: &ConfirmedEpoch) -> SealedVote {
        let signed = self.vote(logged, epoch);
        let salt = logged.entry().salt(epoch.number(), epoch.digest());
        SealedVote {
            operator: self.operator,
            epoch: epoch.number(),
            table: epoch.digest(),
            statement: logged.entry().statement,
            commitment: commitment_to(self.network, &signed, &salt),
        }
    }

    /// The vote on a logged entry, for a commit set that the server signed and that holds its
    /// commitment; the set is in the log before. Off the runtime's threads.
    ///
    /// # Errors
    /// [`RevealError`] says why nothing leaves.
    pub async fn reveal(
        self: &Arc<Self>,
        set: CommitSet,
        epoch: ConfirmedEpoch,
        (server, signature): (Address, WalletSignature),
    ) -> Result<OpenedVote, RevealError> {
        let signer = Arc::clone(self);
        let opened = proofgrid_store::blocking::spawn(move || {
            signer.reveal_now(set, &epoch, (server, signature))
        });
        opened.await.unwrap_or_else(|_cancelled| Err(shutting_down().into()))
    }

    fn reveal_now(
        &self,
        set: CommitSet,
        epoch: &ConfirmedEpoch,
        (server, signature): (Address, WalletSignature),
    ) -> Result<OpenedVote, RevealError> {
        let statement = set.statement();
        let logged = self.logged(statement).ok_or(RevealError::NotJudged)?;
        let mine = self.commit(&logged, epoch);
        if !set.holds(self.operator, mine.commitment) {
            return Err(RevealError::NotInSet);
        }
        let (sitting, digest) = (set.sitting(), set.digest());
        let message = WalletMessage::CommitSet { network: self.network, set: Box::new(set) };
        signature.verify(&message, server)?;
        let (epoch_number, table) = (epoch.number(), epoch.digest());
        let opened = Opened { statement, epoch: epoch_number, table, sitting, set: digest };
        self.lock().open_to(opened)?;
        let salt = logged.entry().salt(epoch_number, table);
        Ok(OpenedVote { signed: self.vote(&logged, epoch), salt, logged })
    }

    /// Signs the verdict of a logged entry under an epoch that the chain confirmed. It leaves this
    /// type as a commitment, or opened.
    fn vote(&self, logged: &Logged, epoch: &ConfirmedEpoch) -> SignedVote {
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
