//! The oracle's session, message by message.

use proofgrid_core::bond::{AcceptedLease, BondedLease};
use proofgrid_core::certificate::Certificate;
use proofgrid_core::crypto::bls::PublicKeyG2;
use proofgrid_core::epoch::{EpochKeys, EpochTable, MemberSet};
use proofgrid_core::ids::{
    Address, BlockHash, BlockNumber, CertificateId, ChainContract, ChainId, EpochNumber, JobId,
    TxHash,
};
use proofgrid_core::job::JobSpec;
use proofgrid_core::limits::{BATCH_STATEMENTS_MAX, EPOCH_MEMBERS_MAX};
use proofgrid_core::network::{
    ChainEvent, Inclusion, SubmissionFailure, SubmissionSubject, SubmissionUpdate,
};
use proofgrid_core::statement::OpenedStatement;
use proofgrid_core::units::UnixSeconds;

use super::race::{self, JudgeOrder, RaceNews};
use super::{
    At, Challenge, ConvertError, Hello, LoginProof, Problem, VERSION_BYTES_MAX, Welcome, bounded,
    exact, id, known, label, nested, point, present, ranged, signature, text,
};
use crate::v1;
use crate::v1::oracle_service_session_request::Message as Up;
use crate::v1::oracle_service_session_response::Message as Down;

/// Most siblings on a leaf's path: a batch has at most 256 leaves.
const PATH_MAX: usize = BATCH_STATEMENTS_MAX.ilog2() as usize;

/// From an oracle.
#[expect(clippy::large_enum_variant, reason = "moved once, into what reads it; boxing costs more")]
#[derive(Debug, Clone)]
pub enum OracleMessage {
    /// First message.
    Hello(Hello),
    /// Second message.
    Login(LoginProof),
    /// Which chain it serves.
    Register {
        /// The chain.
        chain: ChainId,
        /// Version of its build.
        version: String,
    },
    /// Sign of life.
    Heartbeat {
        /// Comes back in the answer.
        sequence: u64,
    },
    /// Something happened on its chain.
    Event(ReportedEvent),
}

/// One event; which chain it is of follows from the session.
#[derive(Debug, Clone)]
pub struct ReportedEvent {
    /// The oracle's own number for it.
    pub event_id: u64,
    /// What happened.
    pub news: v1::ChainEvent,
}

/// What happened on a chain.
#[derive(Debug, Clone)]
pub enum ChainNews {
    /// A new epoch, its keys bound to each other.
    Epoch {
        /// Where the snapshot was taken.
        event: ChainEvent,
        /// Table and keys.
        keys: Box<EpochKeys>,
    },
    /// Members of an epoch may no longer sign.
    MembersExcluded {
        /// Where.
        event: ChainEvent,
        /// The epoch.
        epoch: EpochNumber,
        /// Everybody excluded so far.
        members: MemberSet,
    },
    /// A job was created.
    JobCreated {
        /// Where.
        event: ChainEvent,
        /// The job.
        spec: Box<JobSpec>,
    },
    /// A job was refunded or cancelled.
    JobExpired {
        /// Where.
        event: ChainEvent,
        /// The job.
        job: JobId,
    },
    /// The chain moved on.
    Head {
        /// Newest final block.
        final_block: BlockNumber,
        /// Its hash.
        final_hash: BlockHash,
        /// Its time stamp.
        final_time: UnixSeconds,
        /// Newest block.
        latest_block: BlockNumber,
    },
    /// A transaction moved on.
    Submission {
        /// What it is for.
        subject: SubmissionSubject,
        /// How far it is.
        update: SubmissionUpdate,
    },
    /// A race moved on.
    Race(RaceNews),
}

/// From the dispatcher to an oracle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OracleOrder {
    /// Answer to `Hello`.
    Challenge(Challenge),
    /// Answer to `Login`.
    Welcome(Welcome),
    /// Answer to `Register`.
    Registered,
    /// Answer to `Heartbeat`.
    HeartbeatAck {
        /// Of the heartbeat.
        sequence: u64,
    },
    /// An event is durable.
    Ack {
        /// Of the event.
        event_id: u64,
        /// Set if it was understood but refused.
        refused: Option<v1::Refused>,
    },
    /// Post a certificate.
    SubmitCertificate {
        /// Its id, recomputed.
        id: CertificateId,
        /// The certificate.
        certificate: Box<Certificate>,
    },
    /// Settle a contract job.
    SettleJob(Box<SettleOrder>),
    /// Post a lease that a prover accepted, and end its lock when its job has ended.
    PostAcceptance(Box<AcceptanceOrder>),
    /// Note a certified verdict on an entry of a race.
    JudgeRaceEntry(Box<JudgeOrder>),
    /// A message was refused.
    Refused(v1::Refused),
    /// The session ends.
    Goaway(v1::Goaway),
}

/// What posting an accepted lease takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptanceOrder {
    /// The `TaskManager` that the signature is bound to, on the session's chain.
    pub task_manager: Address,
    /// What was accepted, by whom; nothing is verified yet.
    pub accepted: AcceptedLease,
}

/// What settling a contract job takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettleOrder {
    /// The `TaskManager` that holds the escrow.
    pub task_manager: ChainContract,
    /// The job; its id is the statement's.
    pub spec: JobSpec,
    /// The statement with its records.
    pub opened: OpenedStatement,
    /// The certificate that holds its leaf.
    pub certificate: Certificate,
    /// Position of the leaf.
    pub leaf_index: u32,
    /// Siblings from the leaf up.
    pub path: Vec<[u8; 32]>,
}

impl TryFrom<v1::OracleServiceSessionRequest> for OracleMessage {
    type Error = ConvertError;

    fn try_from(wire: v1::OracleServiceSessionRequest) -> Result<Self, ConvertError> {
        Ok(match present("message", wire.message)? {
            Up::Hello(hello) => Self::Hello(Hello::try_from(hello).at("hello")?),
            Up::Login(login) => Self::Login(LoginProof::try_from(login).at("login")?),
            Up::Register(wire) => Self::Register {
                chain: ChainId::new(wire.chain_id),
                version: label("register.version", wire.version, VERSION_BYTES_MAX)?,
            },
            Up::Heartbeat(beat) => Self::Heartbeat { sequence: beat.sequence },
            Up::Event(wire) => Self::Event(ReportedEvent { event_id: wire.event_id, news: wire }),
        })
    }
}

impl ReportedEvent {
    /// The event itself. Apart from the message, so that what does not convert can be answered
    /// under its own number; checks every key of an epoch (two pairings each), so it belongs on a
    /// thread that may work.
    ///
    /// # Errors
    /// [`ConvertError`] names the field.
    pub fn read(self, chain: ChainId) -> Result<ChainNews, ConvertError> {
        use v1::chain_event::Event;
        match present("event", self.news.event)? {
            Event::Epoch(wire) => epoch(wire, chain).at("epoch"),
            Event::JobCreated(wire) => Ok(ChainNews::JobCreated {
                event: position(wire.position, chain).at("job_created")?,
                spec: Box::new(nested("job", wire.job).at("job_created")?),
            }),
            Event::JobExpired(wire) => Ok(ChainNews::JobExpired {
                event: position(wire.position, chain).at("job_expired")?,
                job: id("job_expired.job_id", &wire.job_id)?,
            }),
            Event::Head(wire) => Ok(ChainNews::Head {
                final_block: BlockNumber::new(wire.final_block),
                final_hash: id("head.final_hash", &wire.final_hash)?,
                final_time: UnixSeconds::new(wire.final_time_unix_s),
                latest_block: BlockNumber::new(wire.latest_block),
            }),
            Event::Submission(wire) => submission(wire).at("submission"),
            Event::MembersExcluded(wire) => Ok(ChainNews::MembersExcluded {
                event: position(wire.position, chain).at("members_excluded")?,
                epoch: EpochNumber::new(ranged("members_excluded.epoch", wire.epoch, 1, u64::MAX)?),
                members: members("members_excluded.members", &wire.members)?,
            }),
            Event::RaceRoundOpened(wire) => {
                race::opened(wire, chain).at("race_round_opened").map(ChainNews::Race)
            }
            Event::RaceRevealed(wire) => {
                race::revealed(wire, chain).at("race_revealed").map(ChainNews::Race)
            }
            Event::RaceRoundClosed(wire) => {
                race::closed(wire, chain).at("race_round_closed").map(ChainNews::Race)
            }
            Event::RaceSettled(wire) => {
                race::settled(wire, chain).at("race_settled").map(ChainNews::Race)
            }
        }
    }
}

/// A set of members, at least one.
fn members(field: &'static str, mask: &[u8]) -> Result<MemberSet, ConvertError> {
    let members = MemberSet::from_mask(&exact(field, mask)?);
    if members.is_empty() {
        return Err(ConvertError::new(field, Problem::Inconsistent("must name a member")));
    }
    Ok(members)
}

pub(super) fn position(
    wire: Option<v1::ChainPosition>,
    chain: ChainId,
) -> Result<ChainEvent, ConvertError> {
    let wire = present("position", wire)?;
    Ok(ChainEvent {
        contract: ChainContract { chain, contract: id("position.contract", &wire.contract)? },
        block: BlockNumber::new(wire.block_number),
        block_hash: id("position.block_hash", &wire.block_hash)?,
        log_index: wire.log_index,
    })
}

pub(super) fn position_to_wire(core: &ChainEvent) -> v1::ChainPosition {
    v1::ChainPosition {
        block_number: core.block.get(),
        block_hash: core.block_hash.as_bytes().to_vec(),
        log_index: core.log_index,
        contract: core.contract.contract.as_bytes().to_vec(),
    }
}

fn epoch(wire: v1::EpochReported, chain: ChainId) -> Result<ChainNews, ConvertError> {
    let event = position(wire.position, chain)?;
    let table = EpochTable::parse(&wire.table)
        .map_err(|error| ConvertError::new("table", Problem::Structure(error.to_string())))?;
    bounded("keys_g2", wire.keys_g2.len(), EPOCH_MEMBERS_MAX, "entries")?;
    if wire.keys_g2.len() != table.members().len() {
        let problem = Problem::Inconsistent("must hold one key for each member of the table");
        return Err(ConvertError::new("keys_g2", problem));
    }
    let operators = table.members().iter().map(|member| member.operator);
    let keys = operators
        .zip(&wire.keys_g2)
        .map(|(operator, key)| Ok((operator, point::<PublicKeyG2>("keys_g2", key)?)))
        .collect::<Result<Vec<_>, ConvertError>>()?;
    let keys = EpochKeys::new(table, keys)
        .map_err(|error| ConvertError::new("keys_g2", Problem::Structure(error.to_string())))?;
    Ok(ChainNews::Epoch { event, keys: Box::new(keys) })
}

fn inclusion(wire: &v1::SubmissionUpdate) -> Result<Inclusion, ConvertError> {
    Ok(Inclusion {
        tx: id::<TxHash>("tx_hash", &wire.tx_hash)?,
        block: BlockNumber::new(ranged("block_number", wire.block_number, 1, u64::MAX)?),
        gas_used: wire.gas_used,
    })
}

fn failure(wire: v1::SubmissionUpdate) -> Result<SubmissionFailure, ConvertError> {
    let said = text("text", wire.text)?;
    Ok(match known::<v1::SubmissionFailure>("failure", wire.failure)? {
        v1::SubmissionFailure::Unspecified => {
            return Err(ConvertError::new("failure", Problem::Unspecified));
        }
        v1::SubmissionFailure::EpochNotAccepted => SubmissionFailure::EpochNotAccepted,
        v1::SubmissionFailure::Refused => SubmissionFailure::Refused(said),
        v1::SubmissionFailure::Unavailable => SubmissionFailure::Unavailable(said),
        v1::SubmissionFailure::ExcludedSigner => {
            SubmissionFailure::ExcludedSigner(members("excluded_members", &wire.excluded_members)?)
        }
    })
}

fn submission(wire: v1::SubmissionUpdate) -> Result<ChainNews, ConvertError> {
    use v1::{SubmissionKind as Kind, SubmissionState as State};
    let subject = match known::<Kind>("kind", wire.kind)? {
        Kind::Unspecified => return Err(ConvertError::new("kind", Problem::Unspecified)),
        Kind::Certificate => SubmissionSubject::Certificate(id("subject", &wire.subject)?),
        Kind::Settlement => SubmissionSubject::Settle(id("subject", &wire.subject)?),
    };
    let state = known::<State>("state", wire.state)?;
    if state != State::Failed && wire.failure != 0 {
        let problem = Problem::Inconsistent("is set although nothing failed");
        return Err(ConvertError::new("failure", problem));
    }
    let excluded = v1::SubmissionFailure::ExcludedSigner;
    if wire.failure != i32::from(excluded) && !wire.excluded_members.is_empty() {
        let problem = Problem::Inconsistent("is set although no signer is excluded");
        return Err(ConvertError::new("excluded_members", problem));
    }
    let update = match state {
        State::Unspecified => return Err(ConvertError::new("state", Problem::Unspecified)),
        State::Sent => SubmissionUpdate::Sent { tx: id("tx_hash", &wire.tx_hash)? },
        State::Included => SubmissionUpdate::Included(inclusion(&wire)?),
        State::Final => SubmissionUpdate::Final(inclusion(&wire)?),
        State::Reorged => SubmissionUpdate::Reorged,
        State::Failed => SubmissionUpdate::Failed(failure(wire)?),
        State::Chosen => SubmissionUpdate::Chosen { why: text("text", wire.text)? },
    };
    Ok(ChainNews::Submission { subject, update })
}

fn submission_to_wire(
    subject: SubmissionSubject,
    update: SubmissionUpdate,
) -> v1::SubmissionUpdate {
    use v1::{SubmissionKind as Kind, SubmissionState as State};
    let (kind, subject) = match subject {
        SubmissionSubject::Certificate(id) => (Kind::Certificate, id.as_bytes().to_vec()),
        SubmissionSubject::Settle(job) => (Kind::Settlement, job.as_bytes().to_vec()),
    };
    let mut wire = v1::SubmissionUpdate { kind: kind.into(), subject, ..Default::default() };
    let state = match update {
        SubmissionUpdate::Sent { tx } => {
            wire.tx_hash = tx.as_bytes().to_vec();
            State::Sent
        }
        SubmissionUpdate::Included(inclusion) => {
            put_inclusion(&mut wire, inclusion);
            State::Included
        }
        SubmissionUpdate::Final(inclusion) => {
            put_inclusion(&mut wire, inclusion);
            State::Final
        }
        SubmissionUpdate::Reorged => State::Reorged,
        SubmissionUpdate::Failed(failure) => {
            let (failure, text) = match failure {
                SubmissionFailure::EpochNotAccepted => {
                    (v1::SubmissionFailure::EpochNotAccepted, String::new())
                }
                SubmissionFailure::Refused(text) => (v1::SubmissionFailure::Refused, text),
                SubmissionFailure::Unavailable(text) => (v1::SubmissionFailure::Unavailable, text),
                SubmissionFailure::ExcludedSigner(members) => {
                    wire.excluded_members = members.to_mask().to_vec();
                    (v1::SubmissionFailure::ExcludedSigner, String::new())
                }
            };
            wire.failure = failure.into();
            wire.text = text;
            State::Failed
        }
        SubmissionUpdate::Chosen { why } => {
            wire.text = why;
            State::Chosen
        }
    };
    wire.state = state.into();
    wire
}

fn put_inclusion(wire: &mut v1::SubmissionUpdate, inclusion: Inclusion) {
    wire.tx_hash = inclusion.tx.as_bytes().to_vec();
    wire.block_number = inclusion.block.get();
    wire.gas_used = inclusion.gas_used;
}

impl ChainNews {
    /// The event for the wire, under the oracle's own number.
    #[must_use]
    pub fn into_event(self, event_id: u64) -> v1::ChainEvent {
        use v1::chain_event::Event;
        let event = match self {
            Self::Epoch { event, keys } => {
                let key = |index| keys.key(index).map(|key| key.to_bytes().to_vec());
                Event::Epoch(v1::EpochReported {
                    position: Some(position_to_wire(&event)),
                    table: keys.table().encode(),
                    keys_g2: keys.table().indices().filter_map(key).collect(),
                })
            }
            Self::MembersExcluded { event, epoch, members } => {
                Event::MembersExcluded(v1::MembersExcluded {
                    position: Some(position_to_wire(&event)),
                    epoch: epoch.get(),
                    members: members.to_mask().to_vec(),
                })
            }
            Self::JobCreated { event, spec } => Event::JobCreated(v1::JobCreated {
                position: Some(position_to_wire(&event)),
                job: Some(spec.as_ref().into()),
            }),
            Self::JobExpired { event, job } => Event::JobExpired(v1::JobExpired {
                position: Some(position_to_wire(&event)),
                job_id: job.as_bytes().to_vec(),
            }),
            Self::Head { final_block, final_hash, final_time, latest_block } => {
                Event::Head(v1::HeadReported {
                    final_block: final_block.get(),
                    final_hash: final_hash.as_bytes().to_vec(),
                    final_time_unix_s: final_time.get(),
                    latest_block: latest_block.get(),
                })
            }
            Self::Submission { subject, update } => {
                Event::Submission(submission_to_wire(subject, update))
            }
            Self::Race(news) => news.into(),
        };
        v1::ChainEvent { event_id, event: Some(event) }
    }
}

impl From<OracleMessage> for v1::OracleServiceSessionRequest {
    fn from(core: OracleMessage) -> Self {
        let message = match core {
            OracleMessage::Hello(hello) => Up::Hello(hello.into()),
            OracleMessage::Login(proof) => Up::Login(proof.into()),
            OracleMessage::Register { chain, version } => {
                Up::Register(v1::RegisterOracle { chain_id: chain.get(), version })
            }
            OracleMessage::Heartbeat { sequence } => {
                Up::Heartbeat(v1::Heartbeat { sequence, free_memory_bytes: 0 })
            }
            OracleMessage::Event(event) => Up::Event(event.news),
        };
        Self { message: Some(message) }
    }
}

fn certificate(
    certificate_id: &[u8],
    wire: Option<v1::Certificate>,
) -> Result<Certificate, ConvertError> {
    let certificate: Certificate = nested("certificate", wire)?;
    if certificate.id() != id("certificate_id", certificate_id)? {
        let problem = Problem::Inconsistent("is not the id of the certificate that came with it");
        return Err(ConvertError::new("certificate_id", problem));
    }
    Ok(certificate)
}

pub(super) fn settle(wire: v1::SettleJob) -> Result<SettleOrder, ConvertError> {
    bounded("path", wire.path.len(), PATH_MAX, "entries")?;
    let spec: JobSpec = nested("job", wire.job)?;
    let opened: OpenedStatement = nested("opened", wire.opened)?;
    if spec.id() != opened.job() {
        let problem = Problem::Inconsistent("is not the job of the statement");
        return Err(ConvertError::new("job", problem));
    }
    Ok(SettleOrder {
        task_manager: nested("task_manager", wire.task_manager)?,
        spec,
        opened,
        certificate: certificate(&wire.certificate_id, wire.certificate)?,
        leaf_index: wire.leaf_index,
        path: wire.path.iter().map(|node| exact("path", node)).collect::<Result<_, _>>()?,
    })
}

impl From<&SettleOrder> for v1::SettleJob {
    fn from(order: &SettleOrder) -> Self {
        Self {
            job: Some((&order.spec).into()),
            opened: Some((&order.opened).into()),
            certificate_id: order.certificate.id().as_bytes().to_vec(),
            certificate: Some((&order.certificate).into()),
            leaf_index: order.leaf_index,
            path: order.path.iter().map(|node| node.to_vec()).collect(),
            task_manager: Some(order.task_manager.into()),
        }
    }
}

fn acceptance(wire: v1::PostAcceptance) -> Result<AcceptanceOrder, ConvertError> {
    let lease = BondedLease {
        spec: nested("job", wire.job)?,
        segment: wire.segment,
        terms: super::prover::terms(&wire.bond_wei, wire.deadline_unix_s)?,
    };
    Ok(AcceptanceOrder {
        task_manager: id("task_manager", &wire.task_manager)?,
        accepted: AcceptedLease {
            lease,
            prover: id("prover", &wire.prover)?,
            signature: signature("signature", &wire.signature)?,
        },
    })
}

fn acceptance_to_wire(core: &AcceptanceOrder) -> v1::PostAcceptance {
    let AcceptanceOrder { task_manager, accepted } = core;
    let lease = &accepted.lease;
    v1::PostAcceptance {
        task_manager: task_manager.as_bytes().to_vec(),
        job: Some((&lease.spec).into()),
        segment: lease.segment,
        deadline_unix_s: lease.terms.deadline.get(),
        bond_wei: lease.terms.amount.to_be_bytes().to_vec(),
        prover: accepted.prover.as_bytes().to_vec(),
        signature: accepted.signature.to_bytes().to_vec(),
    }
}

impl TryFrom<v1::OracleServiceSessionResponse> for OracleOrder {
    type Error = ConvertError;

    fn try_from(wire: v1::OracleServiceSessionResponse) -> Result<Self, ConvertError> {
        Ok(match present("message", wire.message)? {
            Down::Challenge(wire) => Self::Challenge(Challenge::try_from(wire).at("challenge")?),
            Down::Welcome(wire) => Self::Welcome(Welcome::try_from(wire).at("welcome")?),
            Down::Registered(v1::OracleRegistered {}) => Self::Registered,
            Down::HeartbeatAck(ack) => Self::HeartbeatAck { sequence: ack.sequence },
            Down::Ack(ack) => Self::Ack { event_id: ack.event_id, refused: ack.refused },
            Down::SubmitCertificate(wire) => {
                let certificate =
                    certificate(&wire.certificate_id, wire.certificate).at("submit_certificate")?;
                Self::SubmitCertificate { id: certificate.id(), certificate: Box::new(certificate) }
            }
            Down::SettleJob(wire) => Self::SettleJob(Box::new(settle(wire).at("settle_job")?)),
            Down::PostAcceptance(wire) => {
                Self::PostAcceptance(Box::new(acceptance(wire).at("post_acceptance")?))
            }
            Down::JudgeRaceEntry(wire) => {
                Self::JudgeRaceEntry(Box::new(JudgeOrder::try_from(wire).at("judge_race_entry")?))
            }
            Down::Refused(refused) => Self::Refused(refused),
            Down::Goaway(goaway) => Self::Goaway(goaway),
        })
    }
}

impl From<OracleOrder> for v1::OracleServiceSessionResponse {
    fn from(core: OracleOrder) -> Self {
        let message = match core {
            OracleOrder::Challenge(challenge) => Down::Challenge(challenge.into()),
            OracleOrder::Welcome(welcome) => Down::Welcome(welcome.into()),
            OracleOrder::Registered => Down::Registered(v1::OracleRegistered {}),
            OracleOrder::HeartbeatAck { sequence } => {
                Down::HeartbeatAck(v1::HeartbeatAck { sequence })
            }
            OracleOrder::Ack { event_id, refused } => Down::Ack(v1::EventAck { event_id, refused }),
            OracleOrder::SubmitCertificate { id, certificate } => {
                Down::SubmitCertificate(v1::SubmitCertificate {
                    certificate_id: id.as_bytes().to_vec(),
                    certificate: Some(certificate.as_ref().into()),
                })
            }
            OracleOrder::SettleJob(order) => Down::SettleJob(order.as_ref().into()),
            OracleOrder::PostAcceptance(order) => Down::PostAcceptance(acceptance_to_wire(&order)),
            OracleOrder::JudgeRaceEntry(order) => Down::JudgeRaceEntry(order.as_ref().into()),
            OracleOrder::Refused(refused) => Down::Refused(refused),
            OracleOrder::Goaway(goaway) => Down::Goaway(goaway),
        };
        Self { message: Some(message) }
    }
}
