//! Certificate and epoch table files: JSON, parsed into checked types at the edge.
//!
//! The types here mirror the files field by field and hold nothing but text and numbers; the rest of
//! the crate never sees them. Unknown fields, other versions and malformed values are refused with
//! the field's name. Whether a file's content holds is not decided here but by verification.

use std::fmt::Display;
use std::str::FromStr;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Certificate, JobCertificate, JobEvidence};
use crate::batch::BatchLeaf;
use crate::epoch::{EpochError, EpochTable};
use crate::ids::{
    BlockNumber, ChainContract, ChainId, EpochNumber, MemberIndex, Nonce, StatementAttempt,
};
use crate::job::{JobLimits, JobSpec};
use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use crate::statement::{SegmentRecord, Statement};
use crate::units::{ByteCount, UnixSeconds, WorkUnits};

/// The version that this build reads and writes, of both files.
pub const FILE_VERSION: u32 = 1;

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileError {
    /// Larger than any such file can be.
    #[error("the file has {got} bytes, at most {CERTIFICATE_FILE_BYTES_MAX} are read")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// Not JSON of the expected shape.
    #[error("the file cannot be read as JSON of the expected shape: {problem}")]
    Json {
        /// What the parser says, with line and column.
        problem: String,
    },
    /// Another version.
    #[error("the file has version {got}, this build reads version {FILE_VERSION}")]
    Version {
        /// The version of the file.
        got: u32,
    },
    /// A field that does not parse.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The table in a table file is not one.
    #[error("table: {0}")]
    Table(#[from] EpochError),
}

fn field<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, FileError> {
    text.parse().map_err(|problem: T::Err| FileError::Field { field, problem: problem.to_string() })
}

fn parse_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, FileError> {
    if text.len() > CERTIFICATE_FILE_BYTES_MAX {
        return Err(FileError::TooLong { got: text.len() });
    }
    serde_json::from_str(text).map_err(|error| FileError::Json { problem: error.to_string() })
}

fn write_json<T: Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "strings, numbers and lists always serialise")]
    let text = serde_json::to_string_pretty(value).expect("no map keys, no failing serialisers");
    text + "\n"
}

const fn check_version(got: u32) -> Result<(), FileError> {
    if got == FILE_VERSION { Ok(()) } else { Err(FileError::Version { got }) }
}

/// A contract on a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractFile {
    /// Chain id.
    pub chain: u64,
    /// Address.
    pub contract: String,
}

/// A leaf of the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafFile {
    /// Statement digest.
    pub statement: String,
    /// `valid` or `invalid`.
    pub verdict: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    /// `contract` or `direct`.
    pub origin: String,
    /// Chain id of the stake.
    pub home_chain: u64,
    /// Where the result goes.
    pub target: ContractFile,
    /// Address.
    pub requester: String,
    /// The requester's counter.
    pub nonce: u64,
    /// Program id.
    pub program: String,
    /// Input digest.
    pub input: String,
    /// Claim.
    pub claim: String,
    /// `assigned` or `race`.
    pub mode: String,
    /// Unix seconds.
    pub deadline: u64,
    /// Wei, decimal.
    pub fee_cap: String,
    /// Bytes.
    pub input_bytes: u64,
    /// Most segments.
    pub max_segments: u32,
    /// Bytes.
    pub max_proof_bytes: u64,
    /// Ordering stream, 0 for none.
    pub stream: u64,
    /// Position in the stream.
    pub sequence: u64,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementFile {
    /// Job id.
    pub job: String,
    /// Which statement of the job, from 1.
    pub attempt: u32,
    /// Program id.
    pub program: String,
    /// Manifest digest.
    pub manifest: String,
    /// Claim.
    pub claim: String,
    /// Number of records.
    pub num_segments: u32,
    /// Root over the records.
    pub segments_root: String,
}

/// A segment record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentFile {
    /// Position, from 0.
    pub index: u32,
    /// First item.
    pub first: u64,
    /// Number of items.
    pub count: u64,
    /// Verifying key digest.
    pub vk: String,
    /// Public-values digest.
    pub public_values: String,
    /// Proof digest.
    pub proof: String,
    /// Address of the prover.
    pub prover: String,
    /// What it is paid by.
    pub work_units: u64,
}

/// A certificate with the job that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFile {
    /// Always 1.
    pub version: u32,
    /// Where it goes.
    pub target: ContractFile,
    /// Epoch number.
    pub epoch: u64,
    /// Table digest.
    pub table: String,
    /// Block number of the snapshot.
    pub snapshot_block: u64,
    /// Block hash of the snapshot.
    pub snapshot_hash: String,
    /// Batch root.
    pub root: String,
    /// Number of leaves.
    pub count: u32,
    /// The leaves, strictly ascending by statement digest.
    pub leaves: Vec<LeafFile>,
    /// Positions of those who did not sign, strictly ascending.
    pub non_signers: Vec<u16>,
    /// Aggregate signature, 64 bytes.
    pub signature: String,
    /// Aggregate key of the signers in G2, 128 bytes.
    pub signer_key: String,
    /// The job.
    pub job: JobFile,
    /// Its statement.
    pub statement: StatementFile,
    /// Its segment records.
    pub segments: Vec<SegmentFile>,
}

/// An epoch table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochTableFile {
    /// Always 1.
    pub version: u32,
    /// The table's bytes.
    pub table: String,
}

impl From<&ChainContract> for ContractFile {
    fn from(value: &ChainContract) -> Self {
        Self { chain: value.chain.get(), contract: value.contract.to_string() }
    }
}

fn contract(name: &'static str, file: &ContractFile) -> Result<ChainContract, FileError> {
    Ok(ChainContract { chain: ChainId::new(file.chain), contract: field(name, &file.contract)? })
}

impl From<&JobSpec> for JobFile {
    fn from(job: &JobSpec) -> Self {
        Self {
            origin: job.origin.to_string(),
            home_chain: job.home_chain.get(),
            target: ContractFile::from(&job.target),
            requester: job.requester.to_string(),
            nonce: job.nonce.get(),
            program: job.program.to_string(),
            input: job.input.to_string(),
            claim: job.claim.to_string(),
            mode: job.mode.to_string(),
            deadline: job.deadline.get(),
            fee_cap: job.fee_cap.to_string(),
            input_bytes: job.limits.input_bytes.get(),
            max_segments: job.limits.max_segments,
            max_proof_bytes: job.limits.max_proof_bytes.get(),
            stream: job.stream,
            sequence: job.sequence,
        }
    }
}

/// Reads a decimal number of wei; the general parser would also take other bases and separators.
fn wei(name: &'static str, text: &str) -> Result<U256, FileError> {
    let problem = || FileError::Field {
        field: name,
        problem: "must be a decimal number of wei below 2^256".into(),
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(problem());
    }
    U256::from_str_radix(text, 10).map_err(|_| problem())
}

impl TryFrom<&JobFile> for JobSpec {
    type Error = FileError;

    fn try_from(file: &JobFile) -> Result<Self, FileError> {
        Ok(Self {
            origin: field("job.origin", &file.origin)?,
            home_chain: ChainId::new(file.home_chain),
            target: contract("job.target.contract", &file.target)?,
            requester: field("job.requester", &file.requester)?,
            nonce: Nonce::new(file.nonce),
            program: field("job.program", &file.program)?,
            input: field("job.input", &file.input)?,
            claim: field("job.claim", &file.claim)?,
            mode: field("job.mode", &file.mode)?,
            deadline: UnixSeconds::new(file.deadline),
            fee_cap: wei("job.fee_cap", &file.fee_cap)?,
            limits: JobLimits {
                input_bytes: ByteCount::new(file.input_bytes),
                max_segments: file.max_segments,
                max_proof_bytes: ByteCount::new(file.max_proof_bytes),
            },
            stream: file.stream,
            sequence: file.sequence,
        })
    }
}

impl From<&Statement> for StatementFile {
    fn from(statement: &Statement) -> Self {
        Self {
            job: statement.job.to_string(),
            attempt: statement.attempt.get(),
            program: statement.program.to_string(),
            manifest: statement.manifest.to_string(),
            claim: statement.claim.to_string(),
            num_segments: statement.num_segments,
            segments_root: statement.segments_root.to_string(),
        }
    }
}

impl TryFrom<&StatementFile> for Statement {
    type Error = FileError;

    fn try_from(file: &StatementFile) -> Result<Self, FileError> {
        Ok(Self {
            job: field("statement.job", &file.job)?,
            attempt: StatementAttempt::new(file.attempt),
            program: field("statement.program", &file.program)?,
            manifest: field("statement.manifest", &file.manifest)?,
            claim: field("statement.claim", &file.claim)?,
            num_segments: file.num_segments,
            segments_root: field("statement.segments_root", &file.segments_root)?,
        })
    }
}

impl From<&SegmentRecord> for SegmentFile {
    fn from(record: &SegmentRecord) -> Self {
        Self {
            index: record.index,
            first: record.first,
            count: record.count,
            vk: record.vk.to_string(),
            public_values: record.public_values.to_string(),
            proof: record.proof.to_string(),
            prover: record.prover.to_string(),
            work_units: record.work_units.get(),
        }
    }
}

impl TryFrom<&SegmentFile> for SegmentRecord {
    type Error = FileError;

    fn try_from(file: &SegmentFile) -> Result<Self, FileError> {
        Ok(Self {
            index: file.index,
            first: file.first,
            count: file.count,
            vk: field("segments.vk", &file.vk)?,
            public_values: field("segments.public_values", &file.public_values)?,
            proof: field("segments.proof", &file.proof)?,
            prover: field("segments.prover", &file.prover)?,
            work_units: WorkUnits::new(file.work_units),
        })
    }
}

impl From<&JobCertificate> for CertificateFile {
    fn from(value: &JobCertificate) -> Self {
        let (certificate, evidence) = (&value.certificate, &value.evidence);
        let leaf = |leaf: &BatchLeaf| LeafFile {
            statement: leaf.statement.to_string(),
            verdict: leaf.verdict.to_string(),
        };
        Self {
            version: FILE_VERSION,
            target: ContractFile::from(&certificate.target),
            epoch: certificate.epoch.get(),
            table: certificate.table.to_string(),
            snapshot_block: certificate.snapshot_block.get(),
            snapshot_hash: certificate.snapshot_hash.to_string(),
            root: certificate.root.to_string(),
            count: certificate.count,
            leaves: certificate.leaves.iter().map(leaf).collect(),
            non_signers: certificate.non_signers.iter().map(|index| index.get()).collect(),
            signature: certificate.signature.to_string(),
            signer_key: certificate.signer_key.to_string(),
            job: JobFile::from(&evidence.job),
            statement: StatementFile::from(&evidence.statement),
            segments: evidence.segments.iter().map(SegmentFile::from).collect(),
        }
    }
}

impl TryFrom<&CertificateFile> for JobCertificate {
    type Error = FileError;

    fn try_from(file: &CertificateFile) -> Result<Self, FileError> {
        check_version(file.version)?;
        let leaf = |leaf: &LeafFile| {
            Ok(BatchLeaf {
                statement: field("leaves.statement", &leaf.statement)?,
                verdict: field("leaves.verdict", &leaf.verdict)?,
            })
        };
        let certificate = Certificate {
            target: contract("target.contract", &file.target)?,
            epoch: EpochNumber::new(file.epoch),
            table: field("table", &file.table)?,
            snapshot_block: BlockNumber::new(file.snapshot_block),
            snapshot_hash: field("snapshot_hash", &file.snapshot_hash)?,
            root: field("root", &file.root)?,
            count: file.count,
            leaves: file.leaves.iter().map(leaf).collect::<Result<_, FileError>>()?,
            non_signers: file.non_signers.iter().copied().map(MemberIndex::new).collect(),
            signature: field("signature", &file.signature)?,
            signer_key: field("signer_key", &file.signer_key)?,
        };
        let evidence = JobEvidence {
            job: JobSpec::try_from(&file.job)?,
            statement: Statement::try_from(&file.statement)?,
            segments: file.segments.iter().map(TryFrom::try_from).collect::<Result<_, _>>()?,
        };
        Ok(Self { certificate, evidence })
    }
}

impl JobCertificate {
    /// Reads a certificate file. What it says still has to be verified.
    ///
    /// # Errors
    /// When it is too long, not such JSON, of another version, or a field does not parse.
    pub fn from_json(text: &str) -> Result<Self, FileError> {
        Self::try_from(&parse_json::<CertificateFile>(text)?)
    }

    /// The certificate file.
    #[must_use]
    pub fn to_json(&self) -> String {
        write_json(&CertificateFile::from(self))
    }
}

impl EpochTable {
    /// Reads an epoch table file.
    ///
    /// # Errors
    /// When it is too long, not such JSON, of another version, or its bytes are no table.
    pub fn from_json(text: &str) -> Result<Self, FileError> {
        let file: EpochTableFile = parse_json(text)?;
        check_version(file.version)?;
        let digits = file.table.strip_prefix("0x").unwrap_or(&file.table);
        let bytes = alloy_primitives::hex::decode(digits).map_err(|_| FileError::Field {
            field: "table",
            problem: "must be 0x and hexadecimal digits".into(),
        })?;
        Ok(Self::parse(&bytes)?)
    }

    /// The epoch table file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let table = format!("0x{}", alloy_primitives::hex::encode(self.encode()));
        write_json(&EpochTableFile { version: FILE_VERSION, table })
    }
}
