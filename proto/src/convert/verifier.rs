//! The verifier's session, message by message.
//!
//! Votes and attestations arrive signed and unverified; whoever receives them checks the signature
//! against the epoch's table before anything else looks at them.

use proofgrid_core::batch::{Batch, BatchLeaf};
use proofgrid_core::crypto::bls::Signature;
use proofgrid_core::crypto::secp::WalletSignature;
use proofgrid_core::ids::{
    Address, BatchRoot, BlobDigest, ChainContract, Commitment, EpochNumber, JobId, ManifestDigest,
    StatementDigest, TableDigest,
};
use proofgrid_core::job::JobSpec;
use proofgrid_core::limits::{BATCH_STATEMENTS_MAX, EPOCH_MEMBERS_MAX, INPUT_BYTES_MAX};
use proofgrid_core::network::InvalidDetail;
use proofgrid_core::sealed::{CommitSet, CommitSetError, Salt};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Verdict};
use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_core::vote::{Attestation, Vote};

use super::common::{self, verdict};
use super::{
    At, CODE_BYTES_MAX, Challenge, ConvertError, Hello, LoginProof, Problem, VERSION_BYTES_MAX,
    Welcome, bounded, id, known, label, nested, point, present, text,
};
use crate::v1;
use crate::v1::verifier_service_session_request::Message as Up;
use crate::v1::verifier_service_session_response::Message as Down;

/// Most manifests that a verifier names; the registry of a build is smaller.
const MANIFESTS_MAX: usize = 256;

/// Why a verifier gives no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbstainReason {
    /// A blob could not be fetched.
    MissingBlob,
    /// The judge ran out of time, twice.
    Timeout,
    /// The judge ran out of memory, twice.
    Memory,
    /// The judge died, twice.
    Crashed,
    /// This build has no judge for the manifest.
    UnknownManifest,
    /// The epoch or job is not what the verifier sees on-chain.
    ChainView,
}

impl AbstainReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::MissingBlob,
        Self::Timeout,
        Self::Memory,
        Self::Crashed,
        Self::UnknownManifest,
        Self::ChainView,
    ];

    /// The word in logs and reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingBlob => "missing blob",
            Self::Timeout => "judge timed out",
            Self::Memory => "judge ran out of memory",
            Self::Crashed => "judge died",
            Self::UnknownManifest => "unknown manifest",
            Self::ChainView => "differs from the chain",
        }
    }
}

impl From<AbstainReason> for v1::AbstainReason {
    fn from(core: AbstainReason) -> Self {
        match core {
            AbstainReason::MissingBlob => Self::MissingBlob,
            AbstainReason::Timeout => Self::Timeout,
            AbstainReason::Memory => Self::Memory,
            AbstainReason::Crashed => Self::Crashed,
            AbstainReason::UnknownManifest => Self::UnknownManifest,
            AbstainReason::ChainView => Self::ChainView,
        }
    }
}

fn abstain_reason(field: &str, wire: i32) -> Result<AbstainReason, ConvertError> {
    let wire = known::<v1::AbstainReason>(field, wire)?;
    AbstainReason::ALL
        .into_iter()
        .find(|reason| v1::AbstainReason::from(*reason) == wire)
        .ok_or_else(|| ConvertError::new(field, Problem::Unspecified))
}

/// From a verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifierMessage {
    /// First message.
    Hello(Hello),
    /// Second message.
    Login(LoginProof),
    /// What it can judge.
    Register {
        /// Manifests that its build judges.
        manifests: Vec<ManifestDigest>,
        /// Version of its build.
        version: String,
    },
    /// Sign of life.
    Heartbeat {
        /// Comes back in the answer.
        sequence: u64,
    },
    /// A commitment to a vote; its operator is whoever the session belongs to.
    Commit {
        /// The epoch that the vote is for.
        epoch: EpochNumber,
        /// Its table.
        table: TableDigest,
        /// What is voted on.
        statement: StatementDigest,
        /// The commitment.
        commitment: Commitment,
    },
    /// The verdict that was committed to, signed; unverified.
    Reveal {
        /// The vote.
        vote: Vote,
        /// Over the vote.
        signature: Signature,
        /// Set exactly for an invalid vote.
        detail: Option<InvalidDetail>,
        /// How long judging took.
        judged_in: Millis,
        /// What the commitment was hidden with.
        salt: Salt,
    },
    /// No verdict.
    Abstain {
        /// Of which epoch's offer.
        epoch: EpochNumber,
        /// About which statement.
        statement: StatementDigest,
        /// Why.
        reason: AbstainReason,
        /// What happened.
        text: String,
    },
    /// A signature over a batch; unverified.
    Attest {
        /// What is signed.
        attestation: Attestation,
        /// Over it.
        signature: Signature,
    },
    /// The batch differs from the verifier's votes.
    AttestRefused {
        /// The batch.
        root: BatchRoot,
        /// Leaves that differ.
        positions: Vec<u32>,
        /// Why.
        text: String,
    },
    /// A blob that was wanted is not coming.
    BlobUnavailable {
        /// Which.
        digest: BlobDigest,
        /// Why.
        text: String,
    },
}

/// A proof to judge ahead of its statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentOffer {
    /// The job's id, recomputed from the job.
    pub job: JobId,
    /// The job.
    pub spec: JobSpec,
    /// The record.
    pub record: SegmentRecord,
    /// Segments of the job.
    pub num_segments: u32,
}

/// A statement to vote on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementOffer {
    /// The statement's digest, recomputed.
    pub digest: StatementDigest,
    /// The job, whose id is the statement's.
    pub spec: JobSpec,
    /// The statement and its records.
    pub opened: OpenedStatement,
    /// The epoch that votes.
    pub epoch: EpochNumber,
    /// Its table.
    pub table: TableDigest,
}

/// From the dispatcher to a verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifierOrder {
    /// Answer to `Hello`.
    Challenge(Challenge),
    /// Answer to `Login`.
    Welcome(Welcome),
    /// Answer to `Heartbeat`.
    HeartbeatAck {
        /// Of the heartbeat.
        sequence: u64,
    },
    /// A segment to judge early.
    Segment(Box<SegmentOffer>),
    /// A statement to vote on.
    Statement(Box<StatementOffer>),
    /// A batch to attest.
    Attest {
        /// Where the certificate goes.
        target: ChainContract,
        /// The epoch that attests.
        epoch: EpochNumber,
        /// Its table.
        table: TableDigest,
        /// The leaves; the root is recomputed from them.
        batch: Batch,
    },
    /// The commit set of a vote, and the server's signature over it.
    Reveal {
        /// The set.
        set: CommitSet,
        /// By the server that the login named; unverified.
        signature: WalletSignature,
    },
    /// A commitment is durable.
    CommitRecorded(StatementDigest),
    /// A vote is durable.
    VoteRecorded(StatementDigest),
    /// An attestation is durable.
    AttestationRecorded(BatchRoot),
    /// A statement needs no vote any more.
    Withdrawn {
        /// Which.
        statement: StatementDigest,
        /// Why.
        text: String,
    },
    /// A blob is gone at the dispatcher; a verifier that kept it uploads it.
    BlobWanted {
        /// Which.
        digest: BlobDigest,
        /// Its length.
        length: ByteCount,
    },
    /// A message was refused.
    Refused(v1::Refused),
    /// The session ends.
    Goaway(v1::Goaway),
}

fn commit(wire: v1::Commit) -> Result<VerifierMessage, ConvertError> {
    Ok(VerifierMessage::Commit {
        epoch: common::epoch("epoch", wire.epoch)?,
        table: id("table_digest", &wire.table_digest)?,
        statement: id("statement_digest", &wire.statement_digest)?,
        commitment: id("commitment", &wire.commitment)?,
    })
}

fn salt(wire: &[u8]) -> Result<Salt, ConvertError> {
    // A salt is no identity; what it shares with one is its length.
    let bytes: Commitment = id("salt", wire)?;
    Ok(Salt::from_bytes(*bytes.as_bytes()))
}

fn reveal(wire: v1::Reveal) -> Result<VerifierMessage, ConvertError> {
    let verdict = verdict("verdict", wire.verdict)?;
    let detail = match (verdict, wire.invalid) {
        (Verdict::Valid, None) => None,
        (Verdict::Invalid, Some(detail)) => Some(invalid_detail(detail).at("invalid")?),
        (Verdict::Valid, Some(_)) | (Verdict::Invalid, None) => {
            let problem = Problem::Inconsistent("must be set exactly when the verdict is invalid");
            return Err(ConvertError::new("invalid", problem));
        }
    };
    Ok(VerifierMessage::Reveal {
        vote: Vote {
            epoch: common::epoch("epoch", wire.epoch)?,
            table: id("table_digest", &wire.table_digest)?,
            statement: id("statement_digest", &wire.statement_digest)?,
            verdict,
        },
        signature: point("signature", &wire.signature)?,
        detail,
        judged_in: Millis::new(wire.judge_ms),
        salt: salt(&wire.salt)?,
    })
}

fn invalid_detail(wire: v1::InvalidDetail) -> Result<InvalidDetail, ConvertError> {
    let code = label("code", wire.code, CODE_BYTES_MAX)?;
    let said = text("text", wire.text)?;
    let reason = match (code.is_empty(), said.is_empty()) {
        (true, _) => said,
        (false, true) => code,
        (false, false) => format!("{code}: {said}"),
    };
    Ok(InvalidDetail { segment: wire.segment, reason })
}

fn attest(wire: v1::Attest) -> Result<VerifierMessage, ConvertError> {
    let max = BATCH_STATEMENTS_MAX as u64;
    super::ranged("count", u64::from(wire.count), 1, max)?;
    Ok(VerifierMessage::Attest {
        attestation: Attestation {
            target: nested("target", wire.target)?,
            epoch: common::epoch("epoch", wire.epoch)?,
            table: id("table_digest", &wire.table_digest)?,
            root: id("root", &wire.root)?,
            count: wire.count,
        },
        signature: point("signature", &wire.signature)?,
    })
}

fn attest_refused(wire: v1::AttestRefused) -> Result<VerifierMessage, ConvertError> {
    bounded("positions", wire.positions.len(), BATCH_STATEMENTS_MAX, "entries")?;
    let ascending = wire.positions.is_sorted_by(|left, right| left < right);
    if wire.positions.is_empty() || !ascending {
        let problem = Problem::Inconsistent("must be at least one and strictly ascending");
        return Err(ConvertError::new("positions", problem));
    }
    Ok(VerifierMessage::AttestRefused {
        root: id("root", &wire.root)?,
        positions: wire.positions,
        text: text("text", wire.text)?,
    })
}

fn blob_unavailable(wire: v1::BlobUnavailable) -> Result<VerifierMessage, ConvertError> {
    Ok(VerifierMessage::BlobUnavailable {
        digest: id("digest", &wire.digest)?,
        text: text("text", wire.text)?,
    })
}

fn register(wire: v1::RegisterVerifier) -> Result<VerifierMessage, ConvertError> {
    bounded("manifest_digests", wire.manifest_digests.len(), MANIFESTS_MAX, "entries")?;
    let manifest = |bytes: &Vec<u8>| id("manifest_digests", bytes);
    Ok(VerifierMessage::Register {
        manifests: wire.manifest_digests.iter().map(manifest).collect::<Result<_, _>>()?,
        version: label("version", wire.version, VERSION_BYTES_MAX)?,
    })
}

fn abstain(wire: v1::Abstain) -> Result<VerifierMessage, ConvertError> {
    Ok(VerifierMessage::Abstain {
        epoch: common::epoch("epoch", wire.epoch)?,
        statement: id("statement_digest", &wire.statement_digest)?,
        reason: abstain_reason("reason", wire.reason)?,
        text: text("text", wire.text)?,
    })
}

impl TryFrom<v1::VerifierServiceSessionRequest> for VerifierMessage {
    type Error = ConvertError;

    fn try_from(wire: v1::VerifierServiceSessionRequest) -> Result<Self, ConvertError> {
        match present("message", wire.message)? {
            Up::Hello(hello) => Hello::try_from(hello).map(Self::Hello).at("hello"),
            Up::Login(login) => LoginProof::try_from(login).map(Self::Login).at("login"),
            Up::Register(wire) => register(wire).at("register"),
            Up::Heartbeat(beat) => Ok(Self::Heartbeat { sequence: beat.sequence }),
            Up::Commit(wire) => commit(wire).at("commit"),
            Up::Reveal(wire) => reveal(wire).at("reveal"),
            Up::Abstain(wire) => abstain(wire).at("abstain"),
            Up::Attest(wire) => attest(wire).at("attest"),
            Up::AttestRefused(wire) => attest_refused(wire).at("attest_refused"),
            Up::BlobUnavailable(wire) => blob_unavailable(wire).at("blob_unavailable"),
        }
    }
}

impl From<VerifierMessage> for v1::VerifierServiceSessionRequest {
    fn from(core: VerifierMessage) -> Self {
        let message = match core {
            VerifierMessage::Hello(hello) => Up::Hello(hello.into()),
            VerifierMessage::Login(proof) => Up::Login(proof.into()),
            VerifierMessage::Register { manifests, version } => {
                let digests = manifests.iter().map(|digest| digest.as_bytes().to_vec());
                Up::Register(v1::RegisterVerifier { manifest_digests: digests.collect(), version })
            }
            VerifierMessage::Heartbeat { sequence } => {
                Up::Heartbeat(v1::Heartbeat { sequence, free_memory_bytes: 0 })
            }
            VerifierMessage::Commit { epoch, table, statement, commitment } => {
                Up::Commit(v1::Commit {
                    epoch: epoch.get(),
                    table_digest: table.as_bytes().to_vec(),
                    statement_digest: statement.as_bytes().to_vec(),
                    commitment: commitment.as_bytes().to_vec(),
                })
            }
            VerifierMessage::Reveal { vote, signature, detail, judged_in, salt } => {
                Up::Reveal(vote_to_wire((vote, signature), detail, judged_in, &salt))
            }
            VerifierMessage::Abstain { epoch, statement, reason, text } => {
                Up::Abstain(v1::Abstain {
                    statement_digest: statement.as_bytes().to_vec(),
                    reason: v1::AbstainReason::from(reason).into(),
                    text,
                    epoch: epoch.get(),
                })
            }
            VerifierMessage::Attest { attestation, signature } => Up::Attest(v1::Attest {
                target: Some(attestation.target.into()),
                epoch: attestation.epoch.get(),
                table_digest: attestation.table.as_bytes().to_vec(),
                root: attestation.root.as_bytes().to_vec(),
                count: attestation.count,
                signature: signature.to_bytes().to_vec(),
            }),
            VerifierMessage::AttestRefused { root, positions, text } => {
                let root = root.as_bytes().to_vec();
                Up::AttestRefused(v1::AttestRefused { root, positions, text })
            }
            VerifierMessage::BlobUnavailable { digest, text } => {
                Up::BlobUnavailable(v1::BlobUnavailable {
                    digest: digest.as_bytes().to_vec(),
                    text,
                })
            }
        };
        Self { message: Some(message) }
    }
}

fn vote_to_wire(
    (vote, signature): (Vote, Signature),
    detail: Option<InvalidDetail>,
    judged_in: Millis,
    salt: &Salt,
) -> v1::Reveal {
    let invalid = |detail: InvalidDetail| v1::InvalidDetail {
        segment: detail.segment,
        code: String::new(),
        text: detail.reason,
    };
    v1::Reveal {
        epoch: vote.epoch.get(),
        table_digest: vote.table.as_bytes().to_vec(),
        statement_digest: vote.statement.as_bytes().to_vec(),
        verdict: v1::Verdict::from(vote.verdict).into(),
        signature: signature.to_bytes().to_vec(),
        invalid: detail.map(invalid),
        judge_ms: judged_in.get(),
        salt: salt.as_bytes().to_vec(),
    }
}

fn segment_offer(wire: v1::SegmentOffer) -> Result<SegmentOffer, ConvertError> {
    let spec: JobSpec = nested("job", wire.job)?;
    let job: JobId = id("job_id", &wire.job_id)?;
    if spec.id() != job {
        let problem = Problem::Inconsistent("is not the id of the job that came with it");
        return Err(ConvertError::new("job_id", problem));
    }
    let record: SegmentRecord = nested("record", wire.record)?;
    Ok(SegmentOffer { job, spec, record, num_segments: wire.num_segments })
}

fn statement_offer(wire: v1::StatementOffer) -> Result<StatementOffer, ConvertError> {
    let spec: JobSpec = nested("job", wire.job)?;
    let opened: OpenedStatement = nested("opened", wire.opened)?;
    let digest: StatementDigest = id("statement_digest", &wire.statement_digest)?;
    if opened.statement.digest() != digest {
        let problem = Problem::Inconsistent("is not the digest of the statement that came with it");
        return Err(ConvertError::new("statement_digest", problem));
    }
    if spec.id() != opened.job() {
        let problem = Problem::Inconsistent("is not the job of the statement");
        return Err(ConvertError::new("job", problem));
    }
    Ok(StatementOffer {
        digest,
        spec,
        opened,
        epoch: common::epoch("epoch", wire.epoch)?,
        table: id("table_digest", &wire.table_digest)?,
    })
}

fn attest_request(wire: v1::AttestRequest) -> Result<VerifierOrder, ConvertError> {
    let root: BatchRoot = id("root", &wire.root)?;
    let leaves: Vec<BatchLeaf> = common::leaves("leaves", wire.leaves)?;
    let batch = Batch::new(leaves)
        .map_err(|error| ConvertError::new("leaves", Problem::Structure(error.to_string())))?;
    if batch.root() != root {
        let problem = Problem::Inconsistent("is not the root of the leaves that came with it");
        return Err(ConvertError::new("root", problem));
    }
    Ok(VerifierOrder::Attest {
        target: nested("target", wire.target)?,
        epoch: common::epoch("epoch", wire.epoch)?,
        table: id("table_digest", &wire.table_digest)?,
        batch,
    })
}

fn reveal_request(wire: v1::RevealRequest) -> Result<VerifierOrder, ConvertError> {
    bounded("commitments", wire.commitments.len(), EPOCH_MEMBERS_MAX, "entries")?;
    let commitment = |wire: &v1::Commitment| {
        Ok((
            id("commitments.operator", &wire.operator)?,
            id("commitments.commitment", &wire.commitment)?,
        ))
    };
    let commitments =
        wire.commitments.iter().map(commitment).collect::<Result<Vec<_>, ConvertError>>()?;
    let named = (common::epoch("epoch", wire.epoch)?, id("table_digest", &wire.table_digest)?);
    let statement = id("statement_digest", &wire.statement_digest)?;
    let set = CommitSet::new(named, statement, wire.sitting, commitments).map_err(|error| {
        let field = match error {
            CommitSetError::Sitting { .. } => "sitting",
            _ => "commitments",
        };
        ConvertError::new(field, Problem::Structure(error.to_string()))
    })?;
    let signature = WalletSignature::try_from(wire.signature.as_slice())
        .map_err(|error| ConvertError::new("signature", error))?;
    Ok(VerifierOrder::Reveal { set, signature })
}

fn reveal_request_to_wire(set: &CommitSet, signature: &WalletSignature) -> v1::RevealRequest {
    let commitment = |(operator, commitment): &(Address, Commitment)| v1::Commitment {
        operator: operator.as_bytes().to_vec(),
        commitment: commitment.as_bytes().to_vec(),
    };
    v1::RevealRequest {
        epoch: set.epoch().get(),
        table_digest: set.table().as_bytes().to_vec(),
        statement_digest: set.statement().as_bytes().to_vec(),
        sitting: set.sitting(),
        commitments: set.commitments().iter().map(commitment).collect(),
        signature: signature.to_bytes().to_vec(),
    }
}

impl TryFrom<v1::VerifierServiceSessionResponse> for VerifierOrder {
    type Error = ConvertError;

    fn try_from(wire: v1::VerifierServiceSessionResponse) -> Result<Self, ConvertError> {
        Ok(match present("message", wire.message)? {
            Down::Challenge(wire) => Self::Challenge(Challenge::try_from(wire).at("challenge")?),
            Down::Welcome(wire) => Self::Welcome(Welcome::try_from(wire).at("welcome")?),
            Down::HeartbeatAck(ack) => Self::HeartbeatAck { sequence: ack.sequence },
            Down::Segment(wire) => Self::Segment(Box::new(segment_offer(wire).at("segment")?)),
            Down::Statement(wire) => {
                Self::Statement(Box::new(statement_offer(wire).at("statement")?))
            }
            Down::Attest(wire) => attest_request(wire).at("attest")?,
            Down::Recorded(wire) => match present("recorded.item", wire.item)? {
                v1::recorded::Item::StatementDigest(bytes) => {
                    Self::VoteRecorded(id("recorded.statement_digest", &bytes)?)
                }
                v1::recorded::Item::CommittedStatementDigest(bytes) => {
                    Self::CommitRecorded(id("recorded.committed_statement_digest", &bytes)?)
                }
                v1::recorded::Item::Root(bytes) => {
                    Self::AttestationRecorded(id("recorded.root", &bytes)?)
                }
            },
            Down::Withdrawn(wire) => Self::Withdrawn {
                statement: id("withdrawn.statement_digest", &wire.statement_digest)?,
                text: wire.text,
            },
            Down::Reveal(wire) => reveal_request(wire).at("reveal")?,
            Down::BlobWanted(wire) => blob_wanted(&wire).at("blob_wanted")?,
            Down::Refused(refused) => Self::Refused(refused),
            Down::Goaway(goaway) => Self::Goaway(goaway),
        })
    }
}

fn blob_wanted(wire: &v1::BlobWanted) -> Result<VerifierOrder, ConvertError> {
    super::ranged("length_bytes", wire.length_bytes, 1, INPUT_BYTES_MAX)?;
    Ok(VerifierOrder::BlobWanted {
        digest: id("digest", &wire.digest)?,
        length: ByteCount::new(wire.length_bytes),
    })
}

fn recorded(item: v1::recorded::Item) -> Down {
    Down::Recorded(v1::Recorded { item: Some(item) })
}

impl From<VerifierOrder> for v1::VerifierServiceSessionResponse {
    fn from(core: VerifierOrder) -> Self {
        let message = match core {
            VerifierOrder::Challenge(challenge) => Down::Challenge(challenge.into()),
            VerifierOrder::Welcome(welcome) => Down::Welcome(welcome.into()),
            VerifierOrder::HeartbeatAck { sequence } => {
                Down::HeartbeatAck(v1::HeartbeatAck { sequence })
            }
            VerifierOrder::Segment(offer) => Down::Segment(v1::SegmentOffer {
                job_id: offer.job.as_bytes().to_vec(),
                job: Some((&offer.spec).into()),
                record: Some((&offer.record).into()),
                num_segments: offer.num_segments,
            }),
            VerifierOrder::Statement(offer) => Down::Statement(v1::StatementOffer {
                statement_digest: offer.digest.as_bytes().to_vec(),
                job: Some((&offer.spec).into()),
                opened: Some((&offer.opened).into()),
                epoch: offer.epoch.get(),
                table_digest: offer.table.as_bytes().to_vec(),
            }),
            VerifierOrder::Attest { target, epoch, table, batch } => {
                Down::Attest(v1::AttestRequest {
                    target: Some(target.into()),
                    epoch: epoch.get(),
                    table_digest: table.as_bytes().to_vec(),
                    root: batch.root().as_bytes().to_vec(),
                    leaves: batch.leaves().iter().copied().map(Into::into).collect(),
                })
            }
            VerifierOrder::Reveal { set, signature } => {
                Down::Reveal(reveal_request_to_wire(&set, &signature))
            }
            VerifierOrder::CommitRecorded(statement) => {
                let digest = statement.as_bytes().to_vec();
                recorded(v1::recorded::Item::CommittedStatementDigest(digest))
            }
            VerifierOrder::VoteRecorded(statement) => {
                let digest = statement.as_bytes().to_vec();
                recorded(v1::recorded::Item::StatementDigest(digest))
            }
            VerifierOrder::AttestationRecorded(root) => {
                recorded(v1::recorded::Item::Root(root.as_bytes().to_vec()))
            }
            VerifierOrder::Withdrawn { statement, text } => {
                let statement_digest = statement.as_bytes().to_vec();
                Down::Withdrawn(v1::StatementWithdrawn { statement_digest, text })
            }
            VerifierOrder::BlobWanted { digest, length } => Down::BlobWanted(v1::BlobWanted {
                digest: digest.as_bytes().to_vec(),
                length_bytes: length.get(),
            }),
            VerifierOrder::Refused(refused) => Down::Refused(refused),
            VerifierOrder::Goaway(goaway) => Down::Goaway(goaway),
        };
        Self { message: Some(message) }
    }
}
