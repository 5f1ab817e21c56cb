//! The prover's session, message by message.

use proofgrid_core::bond::LeaseTerms;
use proofgrid_core::crypto::secp::WalletSignature;
use proofgrid_core::ids::{Attempt, JobId, LeaseToken, TaskId};
use proofgrid_core::job::{JobSpec, TaskKind};
use proofgrid_core::network::{
    Assignment, CancelReason, Device, Lease, LeaseRef, PlannedSegment, ProgramOffer, ProofReport,
    ProverCapabilities, TaskFault,
};
use proofgrid_core::race::RaceOffer;
use proofgrid_core::statement::OpenedStatement;
use proofgrid_core::units::{ByteCount, Millis, UnixMillis, UnixSeconds, WorkUnits};

use super::common::list;
use super::race::{EntryAnswer, offer};
use super::{
    At, CODE_BYTES_MAX, Challenge, ConvertError, Hello, LoginProof, NAME_BYTES_MAX, Problem,
    VERSION_BYTES_MAX, Welcome, exact, id, known, label, nested, present, ranged, signature, text,
};
use crate::v1;
use crate::v1::prover_service_session_request::Message as Up;
use crate::v1::prover_service_session_response::Message as Down;

/// Most programs that a prover registers; the registry of a build is smaller.
const PROGRAMS_MAX: usize = 256;
/// Most leases that a prover reports or is confirmed; its slots, with room for late ones.
const LEASES_MAX: usize = 1024;
/// Most slots on the wire; the network's own limit may be lower.
const SLOTS_MAX: u64 = 1024;

/// From a prover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProverMessage {
    /// First message.
    Hello(Hello),
    /// Second message.
    Login(LoginProof),
    /// What it offers and holds.
    Register {
        /// What it offers.
        capabilities: ProverCapabilities,
        /// What it still works on.
        holding: Vec<LeaseRef>,
    },
    /// Sign of life.
    Heartbeat {
        /// Comes back in the answer.
        sequence: u64,
        /// Memory for new tasks.
        free_memory: ByteCount,
    },
    /// How far a task is.
    Progress {
        /// The lease.
        lease: LeaseRef,
        /// Phase, in the program's words.
        phase: String,
        /// Share done, in 1/1000.
        done_permille: u16,
    },
    /// A proof is done and stored.
    Complete {
        /// The lease.
        lease: LeaseRef,
        /// The proof.
        report: ProofReport,
    },
    /// A task was given up.
    Fail {
        /// The lease.
        lease: LeaseRef,
        /// Why.
        fault: TaskFault,
    },
    /// No more work, please.
    Drain,
    /// A lease is accepted, with a bond.
    Accept {
        /// The lease.
        lease: LeaseRef,
        /// What is at stake.
        terms: LeaseTerms,
        /// `LEASE_ACCEPT` over them and the job; nothing is verified yet.
        signature: WalletSignature,
    },
    /// The statement that it revealed in a race; its records are those under its root.
    RaceEntry {
        /// The job.
        job: JobId,
        /// The statement with its records.
        opened: Box<OpenedStatement>,
    },
}

/// From the dispatcher to a prover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProverOrder {
    /// Answer to `Hello`.
    Challenge(Challenge),
    /// Answer to `Login`.
    Welcome(Welcome),
    /// Answer to `Register`: the leases that go on.
    Registered {
        /// Leases that are still its own.
        resumed: Vec<LeaseRef>,
    },
    /// Answer to `Heartbeat`.
    HeartbeatAck {
        /// Of the heartbeat.
        sequence: u64,
    },
    /// Work.
    Assign(Box<Assignment>),
    /// Stop.
    Cancel {
        /// The task.
        task: TaskId,
        /// The try to stop.
        attempt: Attempt,
        /// Why.
        reason: CancelReason,
    },
    /// Answer to `Complete`.
    Completion {
        /// The lease.
        lease: LeaseRef,
        /// What became of it.
        reply: CompletionReply,
    },
    /// A message was refused.
    Refused(v1::Refused),
    /// The session ends.
    Goaway(v1::Goaway),
    /// No new work comes until it is taken back; it stays connected.
    Drain {
        /// Why.
        text: String,
    },
    /// The bond that is asked for a lease.
    Terms {
        /// The lease.
        lease: LeaseRef,
        /// What is asked.
        terms: LeaseTerms,
    },
    /// A round of a race that it may enter.
    RaceOffer(Box<RaceOffer>),
    /// Answer to `RaceEntry`.
    RaceEntry(EntryAnswer),
}

/// What became of a delivered proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompletionReply {
    /// Recorded; intake judges it.
    Received,
    /// The task was proved before.
    AlreadyDone,
    /// Intake accepted it.
    Accepted,
    /// Intake refused it.
    Refused(String),
    /// Intake could not judge it.
    Unjudged(String),
}

impl TryFrom<v1::LeaseRef> for LeaseRef {
    type Error = ConvertError;

    fn try_from(wire: v1::LeaseRef) -> Result<Self, ConvertError> {
        Ok(Self {
            task: id("task_id", &wire.task_id)?,
            attempt: attempt("attempt", wire.attempt)?,
            token: LeaseToken::new(wire.token),
        })
    }
}

impl From<LeaseRef> for v1::LeaseRef {
    fn from(core: LeaseRef) -> Self {
        Self {
            task_id: core.task.as_bytes().to_vec(),
            attempt: core.attempt.get(),
            token: core.token.get(),
        }
    }
}

fn attempt(field: &str, wire: u32) -> Result<Attempt, ConvertError> {
    ranged(field, u64::from(wire), 1, u64::from(u32::MAX))?;
    Ok(Attempt::new(wire))
}

impl TryFrom<v1::ProvableProgram> for ProgramOffer {
    type Error = ConvertError;

    fn try_from(wire: v1::ProvableProgram) -> Result<Self, ConvertError> {
        Ok(Self {
            program: id("program_id", &wire.program_id)?,
            units_per_kilosecond: wire.milli_units_per_s,
        })
    }
}

fn register(wire: v1::RegisterProver) -> Result<ProverMessage, ConvertError> {
    let device = match known::<v1::Device>("device", wire.device)? {
        v1::Device::Cuda => Device::Cuda,
        v1::Device::Cpu | v1::Device::Unspecified => Device::Cpu,
    };
    let slots = ranged("slots", u64::from(wire.slots), 1, SLOTS_MAX)?;
    Ok(ProverMessage::Register {
        capabilities: ProverCapabilities {
            name: label("name", wire.name, NAME_BYTES_MAX)?,
            version: label("version", wire.version, VERSION_BYTES_MAX)?,
            device,
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            memory_bytes: ByteCount::new(wire.memory_bytes),
            programs: list("programs", wire.programs, PROGRAMS_MAX)?,
        },
        holding: list("held", wire.held, LEASES_MAX)?,
    })
}

fn fault(wire: i32, said: String) -> Result<TaskFault, ConvertError> {
    let said = text("text", said)?;
    Ok(match known::<v1::TaskFault>("fault", wire)? {
        v1::TaskFault::Unspecified => {
            return Err(ConvertError::new("fault", Problem::Unspecified));
        }
        v1::TaskFault::Draining => TaskFault::Draining,
        v1::TaskFault::InputUnavailable => TaskFault::InputUnavailable(said),
        v1::TaskFault::OutOfMemory => TaskFault::OutOfMemory(said),
        v1::TaskFault::Backend => TaskFault::Backend(said),
        v1::TaskFault::SelfVerify => TaskFault::SelfVerify(said),
        v1::TaskFault::Unprovable => TaskFault::Unprovable(said),
    })
}

fn fault_to_wire(core: TaskFault) -> (v1::TaskFault, String) {
    match core {
        TaskFault::Draining => (v1::TaskFault::Draining, String::new()),
        TaskFault::InputUnavailable(text) => (v1::TaskFault::InputUnavailable, text),
        TaskFault::OutOfMemory(text) => (v1::TaskFault::OutOfMemory, text),
        TaskFault::Backend(text) => (v1::TaskFault::Backend, text),
        TaskFault::SelfVerify(text) => (v1::TaskFault::SelfVerify, text),
        TaskFault::Unprovable(text) => (v1::TaskFault::Unprovable, text),
    }
}

impl TryFrom<v1::ProverServiceSessionRequest> for ProverMessage {
    type Error = ConvertError;

    fn try_from(wire: v1::ProverServiceSessionRequest) -> Result<Self, ConvertError> {
        Ok(match present("message", wire.message)? {
            Up::Hello(hello) => Self::Hello(Hello::try_from(hello).at("hello")?),
            Up::Login(login) => Self::Login(LoginProof::try_from(login).at("login")?),
            Up::Register(wire) => register(wire).at("register")?,
            Up::Heartbeat(beat) => Self::Heartbeat {
                sequence: beat.sequence,
                free_memory: ByteCount::new(beat.free_memory_bytes),
            },
            Up::Progress(wire) => progress(wire).at("progress")?,
            Up::Complete(wire) => complete(wire).at("complete")?,
            Up::Fail(wire) => Self::Fail {
                lease: nested("lease", wire.lease).at("fail")?,
                fault: fault(wire.fault, wire.text).at("fail")?,
            },
            Up::Drain(v1::DrainProver {}) => Self::Drain,
            Up::Accept(wire) => accept(wire).at("accept")?,
            Up::RaceEntry(wire) => race_entry(wire).at("race_entry")?,
        })
    }
}

fn progress(wire: v1::TaskProgress) -> Result<ProverMessage, ConvertError> {
    let done = ranged("done_permille", u64::from(wire.done_permille), 0, 1000)?;
    Ok(ProverMessage::Progress {
        lease: nested("lease", wire.lease)?,
        phase: label("phase", wire.phase, CODE_BYTES_MAX)?,
        done_permille: u16::try_from(done).unwrap_or(1000),
    })
}

fn complete(wire: v1::CompleteTask) -> Result<ProverMessage, ConvertError> {
    Ok(ProverMessage::Complete {
        lease: nested("lease", wire.lease)?,
        report: ProofReport {
            proof: id("proof_digest", &wire.proof_digest)?,
            bytes: ByteCount::new(wire.proof_bytes),
            prove_ms: wire.prove_ms,
        },
    })
}

fn accept(wire: v1::AcceptLease) -> Result<ProverMessage, ConvertError> {
    Ok(ProverMessage::Accept {
        lease: nested("lease", wire.lease)?,
        terms: terms(&wire.bond_wei, wire.deadline_unix_s)?,
        signature: signature("signature", &wire.signature)?,
    })
}

fn race_entry(wire: v1::RaceEntry) -> Result<ProverMessage, ConvertError> {
    let job = id::<JobId>("job_id", &wire.job_id)?;
    let opened: OpenedStatement = nested("opened", wire.opened)?;
    if opened.job() != job {
        let problem = Problem::Inconsistent("is not the job of the statement");
        return Err(ConvertError::new("job_id", problem));
    }
    Ok(ProverMessage::RaceEntry { job, opened: Box::new(opened) })
}

/// What is at stake, and until when.
pub(super) fn terms(bond_wei: &[u8], deadline_unix_s: u64) -> Result<LeaseTerms, ConvertError> {
    let amount = u128::from_be_bytes(exact("bond_wei", bond_wei)?);
    if amount == 0 {
        return Err(ConvertError::new("bond_wei", Problem::Inconsistent("must not be zero")));
    }
    Ok(LeaseTerms { amount, deadline: UnixSeconds::new(deadline_unix_s) })
}

fn register_to_wire(
    capabilities: ProverCapabilities,
    holding: Vec<LeaseRef>,
) -> v1::RegisterProver {
    let device = match capabilities.device {
        Device::Cpu => v1::Device::Cpu,
        Device::Cuda => v1::Device::Cuda,
    };
    let offer = |offer: ProgramOffer| v1::ProvableProgram {
        program_id: offer.program.as_bytes().to_vec(),
        milli_units_per_s: offer.units_per_kilosecond,
    };
    v1::RegisterProver {
        programs: capabilities.programs.into_iter().map(offer).collect(),
        memory_bytes: capabilities.memory_bytes.get(),
        slots: capabilities.slots,
        device: device.into(),
        version: capabilities.version,
        held: holding.into_iter().map(Into::into).collect(),
        name: capabilities.name,
    }
}

impl From<ProverMessage> for v1::ProverServiceSessionRequest {
    fn from(core: ProverMessage) -> Self {
        let message = match core {
            ProverMessage::Hello(hello) => Up::Hello(hello.into()),
            ProverMessage::Login(proof) => Up::Login(proof.into()),
            ProverMessage::Register { capabilities, holding } => {
                Up::Register(register_to_wire(capabilities, holding))
            }
            ProverMessage::Heartbeat { sequence, free_memory } => {
                Up::Heartbeat(v1::Heartbeat { sequence, free_memory_bytes: free_memory.get() })
            }
            ProverMessage::Progress { lease, phase, done_permille } => {
                Up::Progress(v1::TaskProgress {
                    lease: Some(lease.into()),
                    phase,
                    done_permille: u32::from(done_permille),
                })
            }
            ProverMessage::Complete { lease, report } => Up::Complete(v1::CompleteTask {
                lease: Some(lease.into()),
                proof_digest: report.proof.as_bytes().to_vec(),
                proof_bytes: report.bytes.get(),
                prove_ms: report.prove_ms,
            }),
            ProverMessage::Fail { lease, fault } => {
                let (fault, text) = fault_to_wire(fault);
                Up::Fail(v1::FailTask { lease: Some(lease.into()), fault: fault.into(), text })
            }
            ProverMessage::Drain => Up::Drain(v1::DrainProver {}),
            ProverMessage::Accept { lease, terms, signature } => Up::Accept(v1::AcceptLease {
                lease: Some(lease.into()),
                bond_wei: terms.amount.to_be_bytes().to_vec(),
                deadline_unix_s: terms.deadline.get(),
                signature: signature.to_bytes().to_vec(),
            }),
            ProverMessage::RaceEntry { job, opened } => Up::RaceEntry(v1::RaceEntry {
                job_id: job.as_bytes().to_vec(),
                opened: Some(opened.as_ref().into()),
            }),
        };
        Self { message: Some(message) }
    }
}

/// Reads an assignment; the job's id is recomputed from the job and compared.
fn assignment(wire: v1::AssignTask) -> Result<Assignment, ConvertError> {
    let lease: LeaseRef = nested("lease", wire.lease)?;
    let spec: JobSpec = nested("job", wire.job)?;
    let job = id::<JobId>("job_id", &wire.job_id)?;
    if spec.id() != job {
        let problem = Problem::Inconsistent("is not the id of the job that came with it");
        return Err(ConvertError::new("job_id", problem));
    }
    if super::common::task_kind("kind", wire.kind)? != TaskKind::Segment {
        let problem = Problem::Inconsistent("only segments are handed out by this version");
        return Err(ConvertError::new("kind", problem));
    }
    ranged("index", u64::from(wire.index), 0, u64::from(wire.num_segments).saturating_sub(1))?;
    Ok(Assignment {
        lease: Lease {
            task: lease.task,
            attempt: lease.attempt,
            token: lease.token,
            dead_after: Millis::new(wire.dead_after_ms),
            expires_at: UnixMillis::new(wire.lease_expires_unix_ms),
        },
        job,
        spec,
        index: wire.index,
        segment: PlannedSegment {
            first: wire.first,
            count: ranged("count", wire.count, 1, u64::MAX)?,
            work_units: WorkUnits::new(wire.work_units),
            memory_bytes: ByteCount::new(wire.memory_bytes),
        },
        num_segments: wire.num_segments,
    })
}

impl From<&Assignment> for v1::AssignTask {
    fn from(core: &Assignment) -> Self {
        let lease = LeaseRef {
            task: core.lease.task,
            attempt: core.lease.attempt,
            token: core.lease.token,
        };
        Self {
            lease: Some(lease.into()),
            job_id: core.job.as_bytes().to_vec(),
            job: Some((&core.spec).into()),
            kind: v1::TaskKind::Segment.into(),
            index: core.index,
            first: core.segment.first,
            count: core.segment.count,
            work_units: core.segment.work_units.get(),
            memory_bytes: core.segment.memory_bytes.get(),
            num_segments: core.num_segments,
            lease_expires_unix_ms: core.lease.expires_at.get(),
            dead_after_ms: core.lease.dead_after.get(),
        }
    }
}

fn cancel(wire: v1::CancelTask) -> Result<ProverOrder, ConvertError> {
    let reason = match known::<v1::CancelReason>("reason", wire.reason)? {
        v1::CancelReason::Unspecified => {
            return Err(ConvertError::new("reason", Problem::Unspecified));
        }
        v1::CancelReason::AlreadyProved => CancelReason::AlreadyProved,
        v1::CancelReason::JobOver => CancelReason::JobOver,
        v1::CancelReason::TimedOut => CancelReason::TimedOut,
        v1::CancelReason::StaleLease => CancelReason::StaleLease,
        v1::CancelReason::Requeued => CancelReason::Requeued,
    };
    Ok(ProverOrder::Cancel {
        task: id("task_id", &wire.task_id)?,
        attempt: attempt("attempt", wire.attempt)?,
        reason,
    })
}

const fn cancel_to_wire(core: &CancelReason) -> v1::CancelReason {
    match core {
        CancelReason::AlreadyProved => v1::CancelReason::AlreadyProved,
        CancelReason::JobOver => v1::CancelReason::JobOver,
        CancelReason::TimedOut => v1::CancelReason::TimedOut,
        CancelReason::StaleLease => v1::CancelReason::StaleLease,
        CancelReason::Requeued => v1::CancelReason::Requeued,
    }
}

fn completion(wire: v1::CompletionAnswer) -> Result<ProverOrder, ConvertError> {
    use v1::CompletionOutcome as Outcome;
    let reply = match known::<Outcome>("outcome", wire.outcome)? {
        Outcome::Unspecified => return Err(ConvertError::new("outcome", Problem::Unspecified)),
        Outcome::Received => CompletionReply::Received,
        Outcome::AlreadyDone => CompletionReply::AlreadyDone,
        Outcome::Accepted => CompletionReply::Accepted,
        Outcome::Refused => CompletionReply::Refused(wire.text),
        Outcome::Unjudged => CompletionReply::Unjudged(wire.text),
    };
    Ok(ProverOrder::Completion { lease: nested("lease", wire.lease)?, reply })
}

fn completion_to_wire(lease: LeaseRef, reply: CompletionReply) -> v1::CompletionAnswer {
    use v1::CompletionOutcome as Outcome;
    let (outcome, text) = match reply {
        CompletionReply::Received => (Outcome::Received, String::new()),
        CompletionReply::AlreadyDone => (Outcome::AlreadyDone, String::new()),
        CompletionReply::Accepted => (Outcome::Accepted, String::new()),
        CompletionReply::Refused(text) => (Outcome::Refused, text),
        CompletionReply::Unjudged(text) => (Outcome::Unjudged, text),
    };
    v1::CompletionAnswer { lease: Some(lease.into()), outcome: outcome.into(), text }
}

impl TryFrom<v1::ProverServiceSessionResponse> for ProverOrder {
    type Error = ConvertError;

    fn try_from(wire: v1::ProverServiceSessionResponse) -> Result<Self, ConvertError> {
        Ok(match present("message", wire.message)? {
            Down::Challenge(wire) => Self::Challenge(Challenge::try_from(wire).at("challenge")?),
            Down::Welcome(wire) => Self::Welcome(Welcome::try_from(wire).at("welcome")?),
            Down::Registered(wire) => Self::Registered {
                resumed: list("resumed", wire.resumed, LEASES_MAX).at("registered")?,
            },
            Down::HeartbeatAck(ack) => Self::HeartbeatAck { sequence: ack.sequence },
            Down::Assign(wire) => Self::Assign(Box::new(assignment(wire).at("assign")?)),
            Down::Cancel(wire) => cancel(wire).at("cancel")?,
            Down::Completion(wire) => completion(wire).at("completion")?,
            Down::Refused(refused) => Self::Refused(refused),
            Down::Goaway(goaway) => Self::Goaway(goaway),
            Down::Drain(order) => Self::Drain { text: order.text },
            Down::Terms(wire) => Self::Terms {
                lease: nested("lease", wire.lease).at("terms")?,
                terms: terms(&wire.bond_wei, wire.deadline_unix_s).at("terms")?,
            },
            Down::RaceOffer(wire) => Self::RaceOffer(Box::new(offer(wire).at("race_offer")?)),
            Down::RaceEntryAnswer(wire) => {
                Self::RaceEntry(EntryAnswer::try_from(wire).at("race_entry_answer")?)
            }
        })
    }
}

impl From<ProverOrder> for v1::ProverServiceSessionResponse {
    fn from(core: ProverOrder) -> Self {
        let message = match core {
            ProverOrder::Challenge(challenge) => Down::Challenge(challenge.into()),
            ProverOrder::Welcome(welcome) => Down::Welcome(welcome.into()),
            ProverOrder::Registered { resumed } => Down::Registered(v1::ProverRegistered {
                resumed: resumed.into_iter().map(Into::into).collect(),
            }),
            ProverOrder::HeartbeatAck { sequence } => {
                Down::HeartbeatAck(v1::HeartbeatAck { sequence })
            }
            ProverOrder::Assign(assignment) => Down::Assign(assignment.as_ref().into()),
            ProverOrder::Cancel { task, attempt, reason } => Down::Cancel(v1::CancelTask {
                task_id: task.as_bytes().to_vec(),
                attempt: attempt.get(),
                reason: cancel_to_wire(&reason).into(),
            }),
            ProverOrder::Completion { lease, reply } => {
                Down::Completion(completion_to_wire(lease, reply))
            }
            ProverOrder::Refused(refused) => Down::Refused(refused),
            ProverOrder::Goaway(goaway) => Down::Goaway(goaway),
            ProverOrder::Drain { text } => Down::Drain(v1::DrainOrder { text }),
            ProverOrder::Terms { lease, terms } => Down::Terms(v1::LeaseTerms {
                lease: Some(lease.into()),
                bond_wei: terms.amount.to_be_bytes().to_vec(),
                deadline_unix_s: terms.deadline.get(),
            }),
            ProverOrder::RaceOffer(offer) => Down::RaceOffer(offer.as_ref().into()),
            ProverOrder::RaceEntry(answer) => Down::RaceEntryAnswer(answer.into()),
        };
        Self { message: Some(message) }
    }
}
