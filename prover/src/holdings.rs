//! Finished proofs that the dispatcher has not confirmed yet, on disk.
//!
//! A proof costs minutes; a connection or a dispatcher that goes away must not cost it again. So a
//! checked proof is flushed to disk before it is offered, is reported at every login, and goes away
//! only when the dispatcher says that it needs it no more. Records are small and named by task,
//! proofs are named by their digest. What cannot be read back is dropped with a warning and proven
//! again; it is never offered.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{BlobDigest, JobId, ProgramId, TaskId};
use proofgrid_core::network::{LeaseRef, ProofReport};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_proofs::digest::proof_digest;
use proofgrid_store::lock::LockedFile;
use thiserror::Error;

use crate::disk::{self, DiskError, Durability};

/// First bytes of a record: what it is, and its version.
const MAGIC: &[u8; 4] = b"PGH1";

/// A finished, checked proof and the lease that it was made under.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeldProof {
    /// The lease under which it is offered.
    pub lease: LeaseRef,
    /// The job.
    pub job: JobId,
    /// The program.
    pub program: ProgramId,
    /// Last second at which the job has a use for it.
    pub deadline: UnixSeconds,
    /// What the proof covers and says.
    pub record: SegmentRecord,
    /// Length of the envelope.
    pub proof_bytes: ByteCount,
    /// Time from input to checked proof, in milliseconds.
    pub prove_ms: u64,
}

impl HeldProof {
    /// The task that it is for.
    #[must_use]
    pub const fn task(&self) -> TaskId {
        self.lease.task
    }

    /// What is said when it is offered.
    #[must_use]
    pub const fn report(&self) -> ProofReport {
        ProofReport { proof: self.record.proof, bytes: self.proof_bytes, prove_ms: self.prove_ms }
    }
}

/// Why the worker's folder could not be used.
#[derive(Debug, Error)]
pub enum HoldingsError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process uses the folder.
    #[error("{0} is in use by another prover; give each its own data_dir")]
    InUse(PathBuf),
    /// The proof's bytes are not those that were stored.
    #[error("the stored proof {0} has changed on disk; it is dropped and proven again")]
    Corrupt(BlobDigest),
}

/// The worker's own folder, locked while this value lives.
#[derive(Debug)]
pub struct Holdings {
    records: PathBuf,
    proofs: PathBuf,
    /// Held, not read: closing it frees the folder.
    _lock: LockedFile,
}

impl Holdings {
    /// Locks and opens a folder, making it if needed, and reads what it holds, by task.
    ///
    /// # Errors
    /// [`HoldingsError::InUse`] if another process has it; [`HoldingsError::Disk`].
    pub fn open(data_dir: &Path) -> Result<(Self, Vec<HeldProof>), HoldingsError> {
        let records = data_dir.join("held");
        let proofs = data_dir.join("proofs");
        disk::make_dir(&records)?;
        disk::make_dir(&proofs)?;
        let lock_path = data_dir.join("lock");
        let lock = File::create(&lock_path).map_err(DiskError::of("create", &lock_path))?;
        let lock = LockedFile::lock(lock).map_err(|error| match error {
            TryLockError::WouldBlock => HoldingsError::InUse(data_dir.into()),
            TryLockError::Error(error) => DiskError::of("lock", &lock_path)(error).into(),
        })?;
        let holdings = Self { records, proofs, _lock: lock };
        let held = holdings.load()?;
        Ok((holdings, held))
    }

    fn load(&self) -> Result<Vec<HeldProof>, HoldingsError> {
        let mut held = Vec::new();
        for path in disk::files(&self.records)? {
            match self.load_one(&path) {
                Some(proof) => held.push(proof),
                None => {
                    tracing::warn!(path = %path.display(), "an unreadable holding is dropped");
                    disk::remove(&path)?;
                }
            }
        }
        let named: BTreeSet<PathBuf> =
            held.iter().map(|held| self.proof_path(&held.record.proof)).collect();
        for path in disk::files(&self.proofs)? {
            // A crash between proof and record, or between their removals, leaves it.
            if !named.contains(&path) {
                disk::remove(&path)?;
            }
        }
        Ok(held)
    }

    fn load_one(&self, path: &Path) -> Option<HeldProof> {
        let bytes = fs::read(path).ok()?;
        let held: HeldProof = disk::unseal(MAGIC, &bytes)?;
        let named_right = self.record_path(&held.task()) == path;
        (named_right && self.read(&held).is_ok()).then_some(held)
    }

    /// Stores a proof; it is durable when this returns.
    ///
    /// # Errors
    /// [`HoldingsError::Disk`]; nothing is held then.
    pub fn store(&self, held: &HeldProof, proof: &[u8]) -> Result<(), HoldingsError> {
        disk::write(&self.proof_path(&held.record.proof), proof, Durability::Flushed)?;
        self.relabel(held)
    }

    /// Stores the record alone: a proof that is held already gets a new lease.
    ///
    /// # Errors
    /// [`HoldingsError::Disk`]; the old record stays then.
    pub fn relabel(&self, held: &HeldProof) -> Result<(), HoldingsError> {
        disk::write(
            &self.record_path(&held.task()),
            &disk::seal(MAGIC, held),
            Durability::Flushed,
        )?;
        Ok(())
    }

    /// The bytes of a held proof, checked against their digest.
    ///
    /// # Errors
    /// [`HoldingsError::Corrupt`] if they are not what was stored; [`HoldingsError::Disk`].
    pub fn read(&self, held: &HeldProof) -> Result<Vec<u8>, HoldingsError> {
        let path = self.proof_path(&held.record.proof);
        let bytes = fs::read(&path).map_err(DiskError::of("read", &path))?;
        if proof_digest(&bytes) != held.record.proof {
            return Err(HoldingsError::Corrupt(held.record.proof));
        }
        Ok(bytes)
    }

    /// Forgets a proof. The record goes first, so that a crash between leaves only an orphan.
    ///
    /// # Errors
    /// [`HoldingsError::Disk`].
    pub fn remove(&self, held: &HeldProof) -> Result<(), HoldingsError> {
        disk::remove(&self.record_path(&held.task()))?;
        disk::flush_dir(&self.records)?;
        disk::remove(&self.proof_path(&held.record.proof))?;
        Ok(())
    }

    fn record_path(&self, task: &TaskId) -> PathBuf {
        self.records.join(format!("{task}.held"))
    }

    fn proof_path(&self, digest: &BlobDigest) -> PathBuf {
        self.proofs.join(format!("{digest}.proof"))
    }
}

#[cfg(test)]
mod tests {
    use proofgrid_core::ids::{Address, Attempt, LeaseToken, PublicValuesDigest, VkDigest};
    use proofgrid_core::units::WorkUnits;

    use super::*;

    fn lease(task: u8, token: u64) -> LeaseRef {
        LeaseRef {
            task: TaskId::from_bytes([task; 32]),
            attempt: Attempt::new(1),
            token: LeaseToken::new(token),
        }
    }

    fn held(task: u8, proof: &[u8]) -> HeldProof {
        HeldProof {
            lease: lease(task, 7),
            job: JobId::from_bytes([2; 32]),
            program: ProgramId::from_bytes([3; 32]),
            deadline: UnixSeconds::new(1_000),
            record: SegmentRecord {
                index: 0,
                first: 0,
                count: 1,
                vk: VkDigest::from_bytes([4; 32]),
                public_values: PublicValuesDigest::from_bytes([5; 32]),
                proof: proof_digest(proof),
                prover: Address::from_bytes([6; 20]),
                work_units: WorkUnits::new(9),
            },
            proof_bytes: ByteCount::new(proof.len() as u64),
            prove_ms: 1,
        }
    }

    #[test]
    fn what_was_stored_is_there_after_a_restart_and_gone_after_removal() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = held(1, b"one");
        let second = held(2, b"two");
        {
            let (holdings, found) = Holdings::open(dir.path()).expect("opened");
            assert_eq!(found, vec![]);
            holdings.store(&second, b"two").expect("stored");
            holdings.store(&first, b"one").expect("stored");
        }
        {
            let (holdings, found) = Holdings::open(dir.path()).expect("opened");
            assert_eq!(found, vec![first.clone(), second.clone()]);
            assert_eq!(holdings.read(&first).expect("read"), b"one");
            holdings.remove(&first).expect("removed");
            holdings.remove(&first).expect("again changes nothing");
            let moved = HeldProof { lease: lease(2, 8), ..second.clone() };
            holdings.relabel(&moved).expect("relabelled");
        }
        let (_, found) = Holdings::open(dir.path()).expect("opened");
        assert_eq!(found, vec![HeldProof { lease: lease(2, 8), ..second }]);
    }

    #[test]
    fn two_processes_cannot_share_a_folder() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, _) = Holdings::open(dir.path()).expect("opened");
        assert!(matches!(Holdings::open(dir.path()), Err(HoldingsError::InUse(_))));
        drop(first);
        assert!(Holdings::open(dir.path()).is_ok());
    }

    #[test]
    fn damaged_records_and_proofs_are_dropped_not_offered() {
        let dir = tempfile::tempdir().expect("a directory");
        let names = {
            let (holdings, _) = Holdings::open(dir.path()).expect("opened");
            for (task, proof) in [(1, b"one"), (2, b"two"), (3, b"six")] {
                holdings.store(&held(task, proof), proof).expect("stored");
            }
            [held(1, b"one"), held(2, b"two")].map(|held| {
                (holdings.record_path(&held.task()), holdings.proof_path(&held.record.proof))
            })
        };
        let mut record = fs::read(&names[0].0).expect("a record");
        record[10] ^= 1;
        fs::write(&names[0].0, record).expect("damaged");
        fs::write(&names[1].1, b"twp").expect("damaged");
        let (_, found) = Holdings::open(dir.path()).expect("opened");
        assert_eq!(found, vec![held(3, b"six")]);
        assert!(!names[0].0.exists() && !names[0].1.exists() && !names[1].1.exists());
    }
}
