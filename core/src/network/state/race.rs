//! Races: rounds as their chain tells of them, and what provers handed in for them.
//!
//! A race's job is `Racing` from its plan to its chain's last word. Who commits is between the prover
//! and the chain; an entry begins here with the reveal, and every entry ends:
//!
//! | from | to | by |
//! |---|---|---|
//! | `Revealed` | Uploading, Closed | its prover told its records; its proofs did not come in time, or its round is over |
//! | `Uploading` | Judging, Closed | every proof is stored; not in time, or its round is over |
//! | `Judging` | Certified, Closed | a certificate with its verdict; its round is over |
//! | `Certified` | Judging | the certificate is of no use, and the round is open |
//! | `Closed` | - | |
//!
//! Kept beside [`super::Job`] and written after the rest of the state, so that a snapshot from before
//! there were races still reads.

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::{Address, BlobDigest, CertificateId, JobId, StatementDigest};
use crate::network::fact::EntryClose;
use crate::race::RaceRound;
use crate::statement::{OpenedStatement, Verdict};

/// How far an entry is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum EntryStage {
    /// Revealed on its chain; its prover is to tell its records.
    Revealed,
    /// Its proofs are to come.
    Uploading {
        /// The statement with its records.
        opened: OpenedStatement,
    },
    /// Its statement is before the verifiers.
    Judging,
    /// Its verdict is certified.
    Certified {
        /// The certificate.
        certificate: CertificateId,
        /// The verdict.
        verdict: Verdict,
    },
    /// Over without a certified verdict.
    Closed {
        /// Why.
        reason: EntryClose,
    },
}

/// An [`EntryStage`] without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each names the stage of `EntryStage` that it stands for")]
pub enum EntryStageKind {
    Revealed,
    Uploading,
    Judging,
    Certified,
    Closed,
}

impl std::fmt::Display for EntryStageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The legal edges of an entry.
pub const ENTRY_EDGES: &[(EntryStageKind, EntryStageKind)] = {
    use EntryStageKind::{Certified, Closed, Judging, Revealed, Uploading};
    &[
        (Revealed, Uploading),
        (Revealed, Closed),
        (Uploading, Judging),
        (Uploading, Closed),
        (Judging, Certified),
        (Judging, Closed),
        (Certified, Judging),
    ]
};

impl EntryStage {
    /// The stage without its data.
    #[must_use]
    pub const fn kind(&self) -> EntryStageKind {
        match self {
            Self::Revealed => EntryStageKind::Revealed,
            Self::Uploading { .. } => EntryStageKind::Uploading,
            Self::Judging => EntryStageKind::Judging,
            Self::Certified { .. } => EntryStageKind::Certified,
            Self::Closed { .. } => EntryStageKind::Closed,
        }
    }
}

/// What a prover revealed in a round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RaceEntry {
    /// What it committed to.
    pub statement: StatementDigest,
    /// Its proofs, once its records are known; kept until the job's blobs are released.
    pub proofs: Vec<BlobDigest>,
    /// How far it is.
    pub stage: EntryStage,
}

/// One round of a race.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundBook {
    /// As its chain opened it.
    pub opened: RaceRound,
    /// What provers revealed; at most [`crate::race::RACE_COMMITMENTS_MAX`].
    pub entries: BTreeMap<Address, RaceEntry>,
    /// Commitments that were found valid, once its chain closed it.
    pub winners: Option<u32>,
}

/// A race: its rounds by number, at most [`crate::race::RACE_ROUNDS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RaceBook {
    /// The rounds.
    pub rounds: BTreeMap<u8, RoundBook>,
}

impl RaceBook {
    /// The newest round, over or not.
    #[must_use]
    pub fn newest(&self) -> Option<&RoundBook> {
        self.rounds.last_key_value().map(|(_, round)| round)
    }

    /// The round that is not over.
    #[must_use]
    pub fn open(&self) -> Option<&RoundBook> {
        self.newest().filter(|round| round.winners.is_none())
    }

    /// Every entry of every round.
    pub fn entries(&self) -> impl Iterator<Item = (u8, Address, &RaceEntry)> + '_ {
        self.rounds.iter().flat_map(|(number, round)| {
            round.entries.iter().map(|(prover, entry)| (*number, *prover, entry))
        })
    }
}

/// Every race that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Races {
    pub(super) books: BTreeMap<JobId, RaceBook>,
    /// Jobs that are `Racing`.
    pub(super) racing: BTreeSet<JobId>,
}

impl Races {
    /// The race of a job; `None` if its chain has told of no round yet.
    #[must_use]
    pub fn book(&self, job: &JobId) -> Option<&RaceBook> {
        self.books.get(job)
    }

    /// Every race with a round.
    pub fn books(&self) -> impl Iterator<Item = (JobId, &RaceBook)> + '_ {
        self.books.iter().map(|(job, book)| (*job, book))
    }

    /// Jobs that are `Racing`.
    pub fn racing(&self) -> impl Iterator<Item = JobId> + '_ {
        self.racing.iter().copied()
    }
}
