//! What every service shares: jobs, records, statements, certificates.

use alloy_primitives::U256;
use proofgrid_core::batch::BatchLeaf;
use proofgrid_core::ids::{
    Address, ChainContract, ChainId, EpochNumber, JobId, Nonce, Role, StatementAttempt,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin, TaskKind};
use proofgrid_core::limits::{BATCH_STATEMENTS_MAX, SEGMENTS_MAX};
use proofgrid_core::manifest::Profile;
use proofgrid_core::statement::{
    OpenedStatement, SegmentRecord, Statement, Verdict, segments_root,
};
use proofgrid_core::units::{ByteCount, UnixSeconds, WorkUnits};

use super::{ConvertError, Problem, bounded, exact, id, nested};
use crate::v1;

/// Enums whose wire numbers are the codes of `docs/protocol.md` section 1.
macro_rules! coded {
    ($($core:ident <-> $function:ident),+ $(,)?) => {
        $(
            /// The core value of a wire number; zero and unknown numbers are refused.
            pub(super) fn $function(field: &str, value: i32) -> Result<$core, ConvertError> {
                if value == 0 {
                    return Err(ConvertError::new(field, Problem::Unspecified));
                }
                let unknown = || ConvertError::new(field, Problem::UnknownValue { got: value });
                let code = u8::try_from(value).map_err(|_| unknown())?;
                $core::from_code(code).map_err(|_| unknown())
            }

            impl From<$core> for v1::$core {
                fn from(value: $core) -> Self {
                    // Equal by construction; a test walks over every value.
                    Self::try_from(i32::from(value.code())).unwrap_or_default()
                }
            }
        )+
    };
}

coded!(
    Origin <-> origin,
    Mode <-> mode,
    TaskKind <-> task_kind,
    Verdict <-> verdict,
    Role <-> role,
);

impl From<Profile> for v1::Profile {
    fn from(value: Profile) -> Self {
        match value {
            Profile::Standard => Self::Standard,
            Profile::StandardFold => Self::StandardFold,
            Profile::Fast => Self::Fast,
        }
    }
}

impl TryFrom<v1::ChainContract> for ChainContract {
    type Error = ConvertError;

    fn try_from(wire: v1::ChainContract) -> Result<Self, ConvertError> {
        Ok(Self { chain: ChainId::new(wire.chain_id), contract: id("contract", &wire.contract)? })
    }
}

impl From<ChainContract> for v1::ChainContract {
    fn from(core: ChainContract) -> Self {
        Self { chain_id: core.chain.get(), contract: core.contract.as_bytes().to_vec() }
    }
}

impl From<v1::JobLimits> for JobLimits {
    fn from(wire: v1::JobLimits) -> Self {
        Self {
            input_bytes: ByteCount::new(wire.input_bytes),
            max_segments: wire.max_segments,
            max_proof_bytes: ByteCount::new(wire.max_proof_bytes),
        }
    }
}

impl From<JobLimits> for v1::JobLimits {
    fn from(core: JobLimits) -> Self {
        Self {
            input_bytes: core.input_bytes.get(),
            max_segments: core.max_segments,
            max_proof_bytes: core.max_proof_bytes.get(),
        }
    }
}

impl TryFrom<v1::JobSpec> for JobSpec {
    type Error = ConvertError;

    fn try_from(wire: v1::JobSpec) -> Result<Self, ConvertError> {
        Ok(Self {
            origin: origin("origin", wire.origin)?,
            home_chain: ChainId::new(wire.home_chain_id),
            target: nested("target", wire.target)?,
            requester: id("requester", &wire.requester)?,
            nonce: Nonce::new(wire.nonce),
            program: id("program_id", &wire.program_id)?,
            input: id("input_digest", &wire.input_digest)?,
            claim: id("claim", &wire.claim)?,
            mode: mode("mode", wire.mode)?,
            deadline: UnixSeconds::new(wire.deadline_unix_s),
            fee_cap: U256::from_be_bytes(exact::<32>("fee_cap_wei", &wire.fee_cap_wei)?),
            limits: super::present("limits", wire.limits)?.into(),
            stream: wire.stream,
            sequence: wire.sequence,
        })
    }
}

impl From<&JobSpec> for v1::JobSpec {
    fn from(core: &JobSpec) -> Self {
        Self {
            origin: v1::Origin::from(core.origin).into(),
            home_chain_id: core.home_chain.get(),
            target: Some(core.target.into()),
            requester: core.requester.as_bytes().to_vec(),
            nonce: core.nonce.get(),
            program_id: core.program.as_bytes().to_vec(),
            input_digest: core.input.as_bytes().to_vec(),
            claim: core.claim.as_bytes().to_vec(),
            mode: v1::Mode::from(core.mode).into(),
            deadline_unix_s: core.deadline.get(),
            fee_cap_wei: core.fee_cap.to_be_bytes::<32>().to_vec(),
            limits: Some(core.limits.into()),
            stream: core.stream,
            sequence: core.sequence,
        }
    }
}

impl TryFrom<v1::SegmentRecord> for SegmentRecord {
    type Error = ConvertError;

    fn try_from(wire: v1::SegmentRecord) -> Result<Self, ConvertError> {
        Ok(Self {
            index: wire.index,
            first: wire.first,
            count: wire.count,
            vk: id("vk_digest", &wire.vk_digest)?,
            public_values: id("public_values_digest", &wire.public_values_digest)?,
            proof: id("proof_digest", &wire.proof_digest)?,
            prover: id::<Address>("prover", &wire.prover)?,
            work_units: WorkUnits::new(wire.work_units),
        })
    }
}

impl From<&SegmentRecord> for v1::SegmentRecord {
    fn from(core: &SegmentRecord) -> Self {
        Self {
            index: core.index,
            first: core.first,
            count: core.count,
            vk_digest: core.vk.as_bytes().to_vec(),
            public_values_digest: core.public_values.as_bytes().to_vec(),
            proof_digest: core.proof.as_bytes().to_vec(),
            prover: core.prover.as_bytes().to_vec(),
            work_units: core.work_units.get(),
        }
    }
}

impl TryFrom<v1::Statement> for Statement {
    type Error = ConvertError;

    fn try_from(wire: v1::Statement) -> Result<Self, ConvertError> {
        Ok(Self {
            job: id::<JobId>("job_id", &wire.job_id)?,
            attempt: StatementAttempt::new(wire.statement_attempt),
            program: id("program_id", &wire.program_id)?,
            manifest: id("manifest_digest", &wire.manifest_digest)?,
            claim: id("claim", &wire.claim)?,
            num_segments: wire.num_segments,
            segments_root: id("segments_root", &wire.segments_root)?,
        })
    }
}

impl From<&Statement> for v1::Statement {
    fn from(core: &Statement) -> Self {
        Self {
            job_id: core.job.as_bytes().to_vec(),
            statement_attempt: core.attempt.get(),
            program_id: core.program.as_bytes().to_vec(),
            manifest_digest: core.manifest.as_bytes().to_vec(),
            claim: core.claim.as_bytes().to_vec(),
            num_segments: core.num_segments,
            segments_root: core.segments_root.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<v1::OpenedStatement> for OpenedStatement {
    type Error = ConvertError;

    /// Also checks that the records are those under the statement's root.
    fn try_from(wire: v1::OpenedStatement) -> Result<Self, ConvertError> {
        let statement: Statement = nested("statement", wire.statement)?;
        let records = list("records", wire.records, SEGMENTS_MAX as usize)?;
        if usize::try_from(statement.num_segments) != Ok(records.len()) {
            let problem = Problem::Inconsistent("the statement names another number of records");
            return Err(ConvertError::new("records", problem));
        }
        let root = segments_root(&records)
            .map_err(|error| ConvertError::new("records", Problem::Structure(error.to_string())))?;
        if root != statement.segments_root {
            let problem = Problem::Inconsistent("the records are not those under the root");
            return Err(ConvertError::new("records", problem));
        }
        Ok(Self { statement, records })
    }
}

impl From<&OpenedStatement> for v1::OpenedStatement {
    fn from(core: &OpenedStatement) -> Self {
        Self {
            statement: Some((&core.statement).into()),
            records: core.records.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::BatchLeaf> for BatchLeaf {
    type Error = ConvertError;

    fn try_from(wire: v1::BatchLeaf) -> Result<Self, ConvertError> {
        Ok(Self {
            statement: id("statement_digest", &wire.statement_digest)?,
            verdict: verdict("verdict", wire.verdict)?,
        })
    }
}

impl From<BatchLeaf> for v1::BatchLeaf {
    fn from(core: BatchLeaf) -> Self {
        Self {
            statement_digest: core.statement.as_bytes().to_vec(),
            verdict: v1::Verdict::from(core.verdict).into(),
        }
    }
}

/// The leaves of a batch: at least one, strictly ascending by statement digest.
pub(super) fn leaves(
    field: &str,
    wire: Vec<v1::BatchLeaf>,
) -> Result<Vec<BatchLeaf>, ConvertError> {
    let leaves: Vec<BatchLeaf> = list(field, wire, BATCH_STATEMENTS_MAX)?;
    let ascending = leaves.is_sorted_by(|left, right| left.statement < right.statement);
    if leaves.is_empty() || !ascending {
        let problem = Problem::Inconsistent(
            "the leaves must be at least one and strictly ascending by statement digest",
        );
        return Err(ConvertError::new(field, problem));
    }
    Ok(leaves)
}

/// A bounded list, converted entry by entry.
pub(super) fn list<W, T>(field: &str, wire: Vec<W>, max: usize) -> Result<Vec<T>, ConvertError>
where
    T: TryFrom<W, Error = ConvertError>,
{
    bounded(field, wire.len(), max, "entries")?;
    let convert = |(index, entry): (usize, W)| {
        T::try_from(entry).map_err(|error| error.within(&format!("{field}[{index}]")))
    };
    wire.into_iter().enumerate().map(convert).collect()
}

/// The number of an epoch, from 1.
pub(super) fn epoch(field: &str, wire: u64) -> Result<EpochNumber, ConvertError> {
    super::ranged(field, wire, 1, u64::MAX).map(EpochNumber::new)
}
