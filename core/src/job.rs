//! What a requester submits: the job's specification, its id, its claim and the ids of its tasks.
//!
//! A job carries the claim that it expects, so that nobody is paid for a proof of something else.
//! This module knows no state: what happens to a job is in `network`.

use alloy_primitives::U256;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::crypto::hash::{AbiWords, HashedText, keccak256, keccak256_concat};
use crate::ids::{
    Address, BlobDigest, ChainContract, ChainId, Claim, JobId, Nonce, ProgramId, TaskId, codes,
};
use crate::units::{ByteCount, UnixSeconds};

/// Where a job came from; part of its id, so the two can never be confused.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Origin {
    /// A `JobCreated` event of a `TaskManager`; its fee is escrowed on-chain.
    Contract,
    /// A signed gRPC request; carries no escrow yet and is shown as `unpaid`.
    Direct,
}

codes!(Origin, "origin", { Contract = 1 "contract", Direct = 2 "direct" });

/// How proving work is handed out.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Mode {
    /// One worker holds a lease on each task.
    Assigned,
    /// Several provers race (ZK-PoW); for contract jobs of prover-bound programs.
    Race,
}

codes!(Mode, "mode", { Assigned = 1 "assigned", Race = 2 "race" });

/// What a task does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum TaskKind {
    /// Proves one contiguous part of the input.
    Segment,
    /// Folds proofs into one.
    Fold,
    /// Wraps a proof for a chain's verifier.
    Wrap,
}
codes!(TaskKind, "task kind", { Segment = 1 "segment", Fold = 2 "fold", Wrap = 3 "wrap" });

/// Type string of the job id, which is also the EIP-712 `hashStruct` of the job.
pub static JOB_TYPE: HashedText = HashedText::new(
    "ProofgridJob(uint8 origin,uint64 homeChain,uint64 targetChain,\
address targetContract,address requester,uint64 nonce,bytes32 programId,bytes32 inputDigest,\
bytes32 claim,uint8 mode,uint64 deadline,uint256 feeCap,uint64 inputBytes,uint32 maxSegments,\
uint64 maxProofBytes,uint64 stream,uint64 sequence)",
);
/// Type string of the task id.
pub static TASK_TYPE: HashedText =
    HashedText::new("ProofgridTask(bytes32 job,uint8 kind,uint32 index)");
/// Tag of the claims of the `keccak` program.
pub const CLAIM_KECCAK_TAG: &str = "PROOFGRID_CLAIM_KECCAK_V1";
/// Tag of the claims of the `fibonacci` program.
pub const CLAIM_FIBONACCI_TAG: &str = "PROOFGRID_CLAIM_FIBONACCI_V1";

/// The claim of a program with tag `tag` over its canonical bytes.
#[must_use]
pub fn claim_of(tag: &str, bytes: &[u8]) -> Claim {
    Claim::from_bytes(keccak256_concat(&[&keccak256(tag.as_bytes()), bytes]))
}

/// The claim of `keccak`: the number of digests, then the digests in order.
#[must_use]
pub fn claim_keccak(digests: &[[u8; 32]]) -> Claim {
    let count = U256::from(digests.len());
    let mut bytes = Vec::with_capacity(32 + digests.len() * 32);
    bytes.extend_from_slice(&count.to_be_bytes::<32>());
    bytes.extend(digests.iter().flatten());
    claim_of(CLAIM_KECCAK_TAG, &bytes)
}

impl TaskId {
    /// The id of the task `index` of `kind` of a job.
    #[must_use]
    pub fn derive(job: &JobId, kind: TaskKind, index: u32) -> Self {
        let words = AbiWords::typed(&TASK_TYPE)
            .word(job.as_bytes())
            .uint(u64::from(kind.code()))
            .uint(u64::from(index));
        Self::from_bytes(words.digest())
    }
}

/// Resource limits that the requester sets; part of the job id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JobLimits {
    /// Exact length of the input blob.
    pub input_bytes: ByteCount,
    /// Most segments that the job may be split into.
    pub max_segments: u32,
    /// Most bytes of any one proof.
    pub max_proof_bytes: ByteCount,
}

/// Everything that a job says. Its id is the digest of exactly these fields (`docs/protocol.md` 1).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JobSpec {
    /// Contract event or signed request.
    pub origin: Origin,
    /// The chain where the stake lives.
    pub home_chain: ChainId,
    /// The chain and `ProofRegistry` where the result goes.
    pub target: ChainContract,
    /// Who asks and, for a contract job, who paid the escrow.
    pub requester: Address,
    /// The requester's idempotency key.
    pub nonce: Nonce,
    /// What is to be proved.
    pub program: ProgramId,
    /// Digest of the input blob.
    pub input: BlobDigest,
    /// Digest of the public values that the job expects.
    pub claim: Claim,
    /// How the work is handed out.
    pub mode: Mode,
    /// Last second at which the result is of use.
    pub deadline: UnixSeconds,
    /// Most that the requester pays, in wei of the target chain's coin.
    #[borsh(
        serialize_with = "crate::borsh_u256::serialize",
        deserialize_with = "crate::borsh_u256::deserialize"
    )]
    pub fee_cap: U256,
    /// Resource limits.
    pub limits: JobLimits,
    /// Ordering stream of the requester; 0 is unordered.
    pub stream: u64,
    /// Position in the stream.
    pub sequence: u64,
}

impl JobSpec {
    /// The bytes whose Keccak-256 is the id: 18 ABI words.
    #[must_use]
    pub fn canonical_bytes(&self) -> AbiWords {
        AbiWords::typed(&JOB_TYPE)
            .uint(u64::from(self.origin.code()))
            .uint(self.home_chain.get())
            .uint(self.target.chain.get())
            .address(&self.target.contract)
            .address(&self.requester)
            .uint(self.nonce.get())
            .word(self.program.as_bytes())
            .word(self.input.as_bytes())
            .word(self.claim.as_bytes())
            .uint(u64::from(self.mode.code()))
            .uint(self.deadline.get())
            .u256(&self.fee_cap)
            .uint(self.limits.input_bytes.get())
            .uint(u64::from(self.limits.max_segments))
            .uint(self.limits.max_proof_bytes.get())
            .uint(self.stream)
            .uint(self.sequence)
    }

    /// The job's identity: every field changes it.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId::from_bytes(self.canonical_bytes().digest())
    }
}

#[cfg(test)]
mod tests {
    use borsh::BorshDeserialize;

    use super::*;
    use crate::fixtures::job;

    #[test]
    fn every_field_changes_the_job_id() {
        let base = job(1);
        let changes: [fn(&mut JobSpec); 17] = [
            |j| j.origin = Origin::Contract,
            |j| j.home_chain = ChainId::new(2),
            |j| j.target.chain = ChainId::new(2),
            |j| j.target.contract = Address::ZERO,
            |j| j.requester = Address::ZERO,
            |j| j.nonce = Nonce::new(2),
            |j| j.program = ProgramId::ZERO,
            |j| j.input = BlobDigest::ZERO,
            |j| j.claim = Claim::ZERO,
            |j| j.mode = Mode::Race,
            |j| j.deadline = UnixSeconds::new(2),
            |j| j.fee_cap = U256::MAX,
            |j| j.limits.input_bytes = ByteCount::new(2),
            |j| j.limits.max_segments = 2,
            |j| j.limits.max_proof_bytes = ByteCount::new(2),
            |j| j.stream = 2,
            |j| j.sequence = 2,
        ];
        let mut ids = std::collections::BTreeSet::from([base.id()]);
        for (field, change) in changes.iter().enumerate() {
            let mut changed = base.clone();
            change(&mut changed);
            assert!(ids.insert(changed.id()), "field {field}");
            let stored = borsh::to_vec(&changed).unwrap();
            assert_eq!(JobSpec::try_from_slice(&stored).unwrap(), changed);
        }
    }

    #[test]
    fn claims_depend_on_number_order_and_program() {
        let (a, b) = ([1; 32], [2; 32]);
        assert_ne!(claim_keccak(&[a, b]), claim_keccak(&[b, a]));
        assert_ne!(claim_keccak(&[a]), claim_keccak(&[a, a]));
        let words = [&U256::from(1u8).to_be_bytes::<32>()[..], &a].concat();
        assert_eq!(claim_keccak(&[a]), claim_of(CLAIM_KECCAK_TAG, &words));
        assert_ne!(claim_keccak(&[a]), claim_of(CLAIM_FIBONACCI_TAG, &words));
    }

    #[test]
    fn tasks_of_one_job_differ() {
        let id = job(1).id();
        let segment = TaskId::derive(&id, TaskKind::Segment, 0);
        assert_ne!(segment, TaskId::derive(&id, TaskKind::Segment, 1));
        assert_ne!(segment, TaskId::derive(&id, TaskKind::Fold, 0));
        assert_ne!(segment, TaskId::derive(&job(2).id(), TaskKind::Segment, 0));
    }
}
