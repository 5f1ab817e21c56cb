//! What this oracle has promised to post and may have broadcast, durable before each broadcast.
//!
//! A transaction is signed, written here with its nonce and bytes, synced, and only then sent.
//! After a crash the oracle therefore knows every transaction that could be out there and sends the
//! same bytes again instead of new ones: nothing is posted twice, nothing is forgotten. One process
//! per sender key: the folder is locked while the records are open.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{
    Address, CertificateId, ChainId, EpochNumber, JobId, MemberIndex, StatementDigest, TxHash,
};
use proofgrid_core::network::{SubmissionFailure, SubmissionSubject};
use proofgrid_store::lock::LockedFile;
use thiserror::Error;

use super::fees::Offer;
use crate::bonds::LockId;
use crate::challenge::DemandId;
use crate::cursor::BlockRef;
use crate::publishing::Choice;
use crate::races::RoundId;
use crate::referee::EntryId;
use crate::state_file::{StateFile, StateFileError, StateKind};

/// Most submissions that are not over. Beyond it new ones are refused as busy.
pub const LIVE_SUBMISSIONS_MAX: usize = 4096;
/// Most offers kept of one transaction: the ladder from 1 wei to the largest cap is shorter.
pub const OFFERS_MAX: usize = 64;

const REMEDY: &str = "restore it from a backup, or remove it after checking the sender's pending \
                      transactions";
const KIND: StateKind = StateKind { magic: *b"PGSUBM02", remedy: REMEDY };
/// The layout before choices were kept. Its files are read once and written anew.
const KIND_BEFORE_CHOICES: StateKind = StateKind { magic: *b"PGSUBM01", remedy: REMEDY };

/// What a transaction is for; there is one at a time for each. Variants are appended, never
/// reordered: they stand in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Purpose {
    /// `attest` of a certificate.
    Certificate(CertificateId),
    /// `settle` of a job.
    Settle(JobId),
    /// `hold` of a job's escrow until its settlement is due.
    Hold(JobId),
    /// `buildRoster` of the operator set at a version.
    Roster(u64),
    /// `snapshot` that makes an epoch.
    Epoch(EpochNumber),
    /// `distribute` of an epoch's pots.
    Distribute(EpochNumber),
    /// `verifyDirect` of a job's statement.
    Direct {
        /// The job.
        job: JobId,
        /// The statement.
        statement: StatementDigest,
    },
    /// `accept` of a lease under its prover's signature.
    Accept(LockId),
    /// `resolve` of the lock that it made.
    Resolve(LockId),
    /// `excludeEjected` of a member of an epoch.
    Exclusion {
        /// The epoch.
        epoch: EpochNumber,
        /// The member's place in it.
        member: MemberIndex,
    },
    /// `answer` of a demand for a proof.
    Answer(DemandId),
    /// `hold` of a race's round until an entry can be judged.
    RaceHold(EntryId),
    /// `judge` of an entry.
    RaceJudge(EntryId),
    /// `close` of a round that nobody won.
    RaceClose(RoundId),
    /// `settleRace` of a race that is won.
    RaceSettle(JobId),
}

impl Purpose {
    /// The dispatcher's name for it. A hold and a direct verification are the oracle's own means to a
    /// settlement, of a new epoch and of races the dispatcher hears when their blocks are final, and
    /// verifiers' pay is not its business.
    #[must_use]
    pub const fn told(self) -> Option<SubmissionSubject> {
        match self {
            Self::Certificate(id) => Some(SubmissionSubject::Certificate(id)),
            Self::Settle(job) => Some(SubmissionSubject::Settle(job)),
            Self::Hold(_)
            | Self::Direct { .. }
            | Self::Roster(_)
            | Self::Epoch(_)
            | Self::Distribute(_)
            | Self::Accept(_)
            | Self::Resolve(_)
            | Self::Exclusion { .. }
            | Self::Answer(_)
            | Self::RaceHold(_)
            | Self::RaceJudge(_)
            | Self::RaceClose(_)
            | Self::RaceSettle(_) => None,
        }
    }

    /// What the dispatcher is told of when it is chosen.
    #[must_use]
    pub const fn chosen_for(self) -> Option<SubmissionSubject> {
        match self {
            Self::Direct { job, .. } => Some(SubmissionSubject::Settle(job)),
            other => other.told(),
        }
    }

    /// Whether it waits for long and can wait a little longer: it is looked at now and then, not at
    /// every step.
    #[must_use]
    pub const fn is_patient(self) -> bool {
        matches!(self, Self::Resolve(_) | Self::RaceClose(_) | Self::RaceSettle(_))
    }
}

impl From<SubmissionSubject> for Purpose {
    fn from(subject: SubmissionSubject) -> Self {
        match subject {
            SubmissionSubject::Certificate(id) => Self::Certificate(id),
            SubmissionSubject::Settle(job) => Self::Settle(job),
        }
    }
}

/// One call to post, complete: nothing of it is looked up again later.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Post {
    /// What it is for.
    pub purpose: Purpose,
    /// The contract.
    pub contract: Address,
    /// ABI-encoded call.
    pub calldata: Vec<u8>,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedOffer {
    /// Its hash.
    pub tx: TxHash,
    /// Its fees.
    pub offer: Offer,
    /// Its bytes (EIP-2718).
    pub raw: Vec<u8>,
}

/// One nonce with every transaction that was ever signed for it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Broadcast {
    /// The nonce.
    pub nonce: u64,
    /// Gas limit of all offers.
    pub gas_limit: u64,
    /// Head of the chain when the newest offer was signed.
    pub signed_at: u64,
    /// The offers, newest last.
    pub offers: Vec<SignedOffer>,
}

impl Broadcast {
    /// The offer that replaces the others.
    #[must_use]
    pub fn newest(&self) -> Option<&SignedOffer> {
        self.offers.last()
    }
}

/// Where a transaction landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Inclusion {
    /// The transaction; a stranger's if somebody else posted the same first.
    pub tx: TxHash,
    /// Its block.
    pub block: BlockRef,
    /// Gas that it used.
    pub gas_used: u64,
}

impl Inclusion {
    /// What the dispatcher is told of it.
    #[must_use]
    pub const fn told(&self) -> proofgrid_core::network::Inclusion {
        proofgrid_core::network::Inclusion {
            tx: self.tx,
            block: self.block.number,
            gas_used: self.gas_used,
        }
    }
}

/// How far a submission is.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Phase {
    /// Nothing was broadcast, or what was is void.
    Queued {
        /// Consecutive simulations that reverted.
        refusals: u8,
    },
    /// At least signed; possibly broadcast.
    Sent(Broadcast),
    /// In a block.
    Included {
        /// Where.
        inclusion: Inclusion,
        /// Our own transaction; `None` when a stranger's did it.
        own: Option<Broadcast>,
    },
    /// In a final block. Kept until the dispatcher knows.
    Final(Inclusion),
    /// Given up. Kept until the dispatcher knows.
    Failed(SubmissionFailure),
    /// It became pointless while it was out: its nonce is used up by an empty transaction, the
    /// newest offer, so that what comes after it does not wait for ever. Then it is queued again,
    /// which says what became of it.
    Withdrawn(Broadcast),
}

impl Phase {
    /// Whether nothing more is done.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Final(_) | Self::Failed(_))
    }

    /// What may be out there under a nonce that is still open.
    #[must_use]
    pub const fn out(&self) -> Option<&Broadcast> {
        match self {
            Self::Sent(broadcast) | Self::Withdrawn(broadcast) => Some(broadcast),
            _ => None,
        }
    }
}

/// One submission.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// What to post.
    pub post: Post,
    /// How far it is.
    pub phase: Phase,
    /// Why it is published this way, where there was a choice; as it was when it was taken on.
    pub choice: Option<Choice>,
}

/// Why the records could not be opened or changed.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// Another process sends with the same key.
    #[error(
        "{path} is locked: another oracle process sends with this key; stop it first, one key \
         has one sender"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock could not be taken.
    #[error("cannot lock {path}: {source}; check that the data directory exists and is writable")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file belongs to another chain or key.
    #[error(
        "{path} is of sender {got_sender} on chain {got_chain}, not {sender} on {chain}; use one \
         data directory per chain and key"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Configured chain.
        chain: ChainId,
        /// Configured sender.
        sender: Address,
        /// Chain in the file.
        got_chain: ChainId,
        /// Sender in the file.
        got_sender: Address,
    },
    /// Too many submissions are not over.
    #[error(
        "{LIVE_SUBMISSIONS_MAX} submissions are pending; the chain or the account's balance \
         holds them up"
    )]
    Full,
}

#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
struct Stored {
    chain: ChainId,
    sender: Address,
    /// In the order in which the dispatcher gave them.
    records: Vec<Record>,
}

/// A record as [`KIND_BEFORE_CHOICES`] has it.
#[derive(BorshDeserialize)]
struct RecordBeforeChoices {
    post: Post,
    phase: Phase,
}

/// All of such a file.
#[derive(BorshDeserialize)]
struct StoredBeforeChoices {
    chain: ChainId,
    sender: Address,
    records: Vec<RecordBeforeChoices>,
}

impl From<StoredBeforeChoices> for Stored {
    fn from(old: StoredBeforeChoices) -> Self {
        let record = |RecordBeforeChoices { post, phase }| Record { post, phase, choice: None };
        Self {
            chain: old.chain,
            sender: old.sender,
            records: old.records.into_iter().map(record).collect(),
        }
    }
}

/// Reads the file in its layout or the one before.
fn load(file: &StateFile) -> Result<Option<Stored>, StateFileError> {
    let failed = match file.load() {
        Ok(stored) => return Ok(stored),
        Err(failed) => failed,
    };
    let before = StateFile::new(file.path().to_owned(), KIND_BEFORE_CHOICES);
    match before.load::<StoredBeforeChoices>() {
        Ok(old) => Ok(old.map(Stored::from)),
        Err(_) => Err(failed),
    }
}

/// The durable records of one sender on one chain.
#[derive(Debug)]
pub struct Records {
    file: StateFile,
    stored: Stored,
    /// Held for its lock.
    _lock: LockedFile,
}

impl Records {
    /// Opens `<folder>/submissions` and locks the folder against a second sender.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn open(folder: &Path, chain: ChainId, sender: Address) -> Result<Self, RecordError> {
        let path = folder.join("submissions.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|source| RecordError::Lock { path: path.clone(), source })?;
        let lock = LockedFile::lock(lock).map_err(|error| match error {
            TryLockError::WouldBlock => RecordError::Locked { path },
            TryLockError::Error(source) => RecordError::Lock { path, source },
        })?;
        let file = StateFile::new(folder.join("submissions"), KIND);
        let empty = Stored { chain, sender, records: Vec::new() };
        let stored = load(&file)?.unwrap_or(empty);
        if stored.chain != chain || stored.sender != sender {
            return Err(RecordError::Foreign {
                path: file.path().to_owned(),
                chain,
                sender,
                got_chain: stored.chain,
                got_sender: stored.sender,
            });
        }
        Ok(Self { file, stored, _lock: lock })
    }

    /// All records, in the dispatcher's order.
    #[must_use]
    pub fn all(&self) -> &[Record] {
        &self.stored.records
    }

    /// One record.
    #[must_use]
    pub fn get(&self, purpose: Purpose) -> Option<&Record> {
        self.stored.records.iter().find(|record| record.post.purpose == purpose)
    }

    /// The statement of a job whose proof the chain has judged, in a block at least.
    #[must_use]
    pub fn judged(&self, job: JobId) -> Option<StatementDigest> {
        self.stored.records.iter().find_map(|record| match (record.post.purpose, &record.phase) {
            (Purpose::Direct { job: of, statement }, Phase::Included { .. } | Phase::Final(_))
                if of == job =>
            {
                Some(statement)
            }
            _ => None,
        })
    }

    /// Every nonce that may be in use by a record that is not over.
    pub fn nonces(&self) -> impl Iterator<Item = u64> + '_ {
        self.stored.records.iter().filter_map(|record| match &record.phase {
            Phase::Included { own: Some(broadcast), .. } => Some(broadcast.nonce),
            phase => phase.out().map(|broadcast| broadcast.nonce),
        })
    }

    /// The first nonce above all of those.
    #[must_use]
    pub fn nonce_floor(&self) -> u64 {
        self.nonces().max().map_or(0, |nonce| nonce.saturating_add(1))
    }

    /// Adds a record at the end; durable when it returns.
    ///
    /// # Errors
    /// [`RecordError::Full`]; the file's errors.
    pub async fn add(&mut self, post: Post, choice: Option<Choice>) -> Result<(), RecordError> {
        if self.stored.records.len() >= LIVE_SUBMISSIONS_MAX {
            return Err(RecordError::Full);
        }
        let mut next = self.stored.clone();
        next.records.push(Record { post, phase: Phase::Queued { refusals: 0 }, choice });
        self.replace(next).await
    }

    /// Changes a record's phase; durable when it returns. Unknown purposes are left alone.
    ///
    /// # Errors
    /// The file's errors; the old phase then still holds.
    pub async fn set(&mut self, purpose: Purpose, phase: Phase) -> Result<(), RecordError> {
        let mut next = self.stored.clone();
        for record in next.records.iter_mut().filter(|record| record.post.purpose == purpose) {
            record.phase = phase.clone();
        }
        self.replace(next).await
    }

    /// Changes what is posted for a purpose, and how far it is; why it is published so stays. Durable
    /// when it returns. Unknown purposes are left alone.
    ///
    /// # Errors
    /// The file's errors; the old post and phase then still hold.
    pub async fn amend(&mut self, post: Post, phase: Phase) -> Result<(), RecordError> {
        let mut next = self.stored.clone();
        for record in next.records.iter_mut().filter(|r| r.post.purpose == post.purpose) {
            (record.post, record.phase) = (post.clone(), phase.clone());
        }
        self.replace(next).await
    }

    /// Drops a record that is over.
    ///
    /// # Errors
    /// The file's errors.
    pub async fn forget(&mut self, purpose: Purpose) -> Result<(), RecordError> {
        let over = |record: &Record| record.post.purpose == purpose && record.phase.is_over();
        if !self.stored.records.iter().any(over) {
            return Ok(());
        }
        let mut next = self.stored.clone();
        next.records.retain(|record| !over(record));
        self.replace(next).await
    }

    async fn replace(&mut self, next: Stored) -> Result<(), RecordError> {
        self.file.store_async(next.clone()).await?;
        self.stored = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publishing::{Publishing, Reason};

    const CHAIN: ChainId = ChainId::new(31337);
    const SENDER: Address = Address::from_bytes([5; 20]);

    fn post(tag: u8) -> Post {
        let purpose = Purpose::Certificate(CertificateId::from_bytes([tag; 32]));
        Post { purpose, contract: Address::from_bytes([9; 20]), calldata: vec![tag; 4] }
    }

    fn broadcast(nonce: u64) -> Broadcast {
        Broadcast { nonce, gas_limit: 1, signed_at: 0, offers: Vec::new() }
    }

    #[tokio::test]
    async fn records_survive_a_restart_in_order_with_their_nonces() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::open(folder.path(), CHAIN, SENDER).unwrap();
        records.add(post(1), None).await.unwrap();
        records.add(post(2), None).await.unwrap();
        assert_eq!(records.nonce_floor(), 0);
        records.set(post(2).purpose, Phase::Withdrawn(broadcast(7))).await.unwrap();
        drop(records);

        let mut records = Records::open(folder.path(), CHAIN, SENDER).unwrap();
        let subjects: Vec<_> = records.all().iter().map(|record| record.post.clone()).collect();
        assert_eq!(subjects, vec![post(1), post(2)]);
        assert_eq!(records.nonce_floor(), 8);
        records.forget(post(2).purpose).await.unwrap();
        assert!(records.get(post(2).purpose).is_some(), "a live record is never forgotten");
        let failed = Phase::Failed(SubmissionFailure::EpochNotAccepted);
        records.set(post(2).purpose, failed).await.unwrap();
        records.forget(post(2).purpose).await.unwrap();
        assert_eq!(records.all().len(), 1);
        assert_eq!(records.nonce_floor(), 0);
    }

    #[tokio::test]
    async fn a_choice_survives_a_restart_and_new_words() {
        let folder = tempfile::tempdir().unwrap();
        let choice = Choice { way: Publishing::AttestOne, reason: Reason::NotDecidableOnChain };
        let mut records = Records::open(folder.path(), CHAIN, SENDER).unwrap();
        records.add(post(1), Some(choice)).await.unwrap();
        let newer = Post { calldata: vec![7], ..post(1) };
        records.amend(newer.clone(), Phase::Queued { refusals: 1 }).await.unwrap();
        drop(records);
        let records = Records::open(folder.path(), CHAIN, SENDER).unwrap();
        let record = records.get(post(1).purpose).unwrap();
        assert_eq!((&record.post, record.choice), (&newer, Some(choice)));
    }

    #[tokio::test]
    async fn a_file_from_before_choices_were_kept_is_read() {
        #[derive(BorshSerialize)]
        struct Old {
            chain: ChainId,
            sender: Address,
            records: Vec<(Post, Phase)>,
        }
        let folder = tempfile::tempdir().unwrap();
        let sent = Phase::Sent(broadcast(3));
        let old = Old { chain: CHAIN, sender: SENDER, records: vec![(post(1), sent.clone())] };
        let file = StateFile::new(folder.path().join("submissions"), KIND_BEFORE_CHOICES);
        file.store(&old).unwrap();
        let mut records = Records::open(folder.path(), CHAIN, SENDER).unwrap();
        assert_eq!(records.all(), [Record { post: post(1), phase: sent, choice: None }]);
        records.add(post(2), None).await.unwrap();
        drop(records);
        assert_eq!(Records::open(folder.path(), CHAIN, SENDER).unwrap().all().len(), 2);
    }

    #[test]
    fn a_purpose_stands_in_files_as_the_dispatchers_subject_did() {
        let (id, job) = (CertificateId::from_bytes([1; 32]), JobId::from_bytes([2; 32]));
        for subject in [SubmissionSubject::Certificate(id), SubmissionSubject::Settle(job)] {
            let bytes = borsh::to_vec(&subject).unwrap();
            let purpose: Purpose = borsh::from_slice(&bytes).unwrap();
            assert_eq!((purpose, purpose.told()), (subject.into(), Some(subject)));
        }
        assert_eq!(Purpose::Hold(job).told(), None);
    }

    #[tokio::test]
    async fn one_key_has_one_sender_and_files_are_not_mixed_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::open(folder.path(), CHAIN, SENDER).unwrap();
        records.add(post(1), None).await.unwrap();
        let second = Records::open(folder.path(), CHAIN, SENDER).unwrap_err();
        assert!(matches!(second, RecordError::Locked { .. }), "{second}");
        drop(records);
        let other = Records::open(folder.path(), ChainId::new(1), SENDER).unwrap_err();
        assert!(matches!(other, RecordError::Foreign { .. }), "{other}");
        let path = folder.path().join("submissions");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let torn = Records::open(folder.path(), CHAIN, SENDER).unwrap_err().to_string();
        assert!(torn.contains("submissions is torn"), "{torn}");
    }
}
