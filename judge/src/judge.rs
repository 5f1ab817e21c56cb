//! The parent's side: starts children, feeds them, waits, kills.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use proofgrid_core::ids::ProgramId;
use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_proofs::digest::{proof_digest, public_values_digest};
use proofgrid_proofs::manifest::ProofLimits;
use proofgrid_proofs::program::{Binding, Registry, VerifiedSegment};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::outcome::{Judged, Judgement, UnjudgedReason};
use crate::wire::{Header, REPLY_OVERHEAD_BYTES, Reply, Request, TEXT_BYTES_MAX, shorten};

/// Children per request: the first and one retry (protocol: "retried once on a fresh child").
const CHILDREN_MAX: u32 = 2;
/// What the Rust runtime says before it aborts for lack of memory.
const OUT_OF_MEMORY_TEXT: &str = "memory allocation of";

/// How children are started.
#[derive(Clone, Debug)]
pub struct JudgeConfig {
    /// The binary whose `arguments` make it call [`child::run`](crate::child::run); usually this
    /// process's own binary.
    pub command: PathBuf,
    /// Arguments, e.g. `["judge-child"]`.
    pub arguments: Vec<String>,
    /// Most children at a time; further requests wait. 0 counts as 1.
    pub parallel_max: usize,
    /// Upper bound on any child's wall time, whatever the manifest grants. A smaller value than the
    /// manifest's makes this node abstain on slow proofs, never vote `invalid`.
    pub time_max: Millis,
    /// Upper bound on any child's memory, whatever the manifest grants.
    pub memory_bytes_max: ByteCount,
}

impl JudgeConfig {
    /// Children of this process's own binary, two at a time, with the manifest's limits.
    ///
    /// # Errors
    /// When the system does not tell the path of the own binary.
    pub fn own_binary(argument: &str) -> std::io::Result<Self> {
        Ok(Self {
            command: std::env::current_exe()?,
            arguments: vec![argument.to_owned()],
            parallel_max: 2,
            time_max: Millis::new(u64::MAX),
            memory_bytes_max: ByteCount::new(u64::MAX),
        })
    }
}

/// One proof to be judged.
#[derive(Clone, Debug)]
pub struct JudgeRequest {
    /// The program of the job.
    pub program: ProgramId,
    /// What the proof must be bound to.
    pub binding: Binding,
    /// The envelope.
    pub proof: Vec<u8>,
}

/// Judges proofs; cheap to clone, all clones share the bound on parallel children.
#[derive(Clone, Debug)]
pub struct Judge {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: JudgeConfig,
    registry: Arc<Registry>,
    slots: Semaphore,
}

impl Judge {
    /// A judge for the programs of `registry`; the children must have the same.
    #[must_use]
    pub fn new(config: JudgeConfig, registry: Arc<Registry>) -> Self {
        let slots = Semaphore::new(config.parallel_max.max(1));
        Self { shared: Arc::new(Shared { config, registry, slots }) }
    }

    /// Judges one proof; see [`Self::judge_measured`].
    pub async fn judge(&self, request: JudgeRequest) -> Judged {
        self.judge_measured(request).await.judged
    }

    /// Judges one proof in a fresh child, and once more in another if the first gave no verdict.
    ///
    /// Takes at most twice the manifest's time after its turn has come. Dropping the future kills
    /// the child.
    pub async fn judge_measured(&self, request: JudgeRequest) -> Judgement {
        let none = |judged| Judgement { judged, verify_time: Millis::ZERO, children: 0, pid: 0 };
        let Some(program) = self.shared.registry.get(&request.program) else {
            return none(Judged::Unjudged(UnjudgedReason::UnknownProgram));
        };
        let limits = program.manifest().limits;
        let (got, most) = (request.proof.len() as u64, limits.proof_bytes_max.get());
        if got > most {
            let detail = format!("the envelope has {got} bytes, the manifest allows {most}");
            return none(Judged::Refused(Refusal::new(RefusalCode::TooLong, detail)));
        }
        let Ok(_slot) = self.shared.slots.acquire().await else {
            let problem = "the judge is shutting down".to_owned();
            return none(Judged::Unjudged(UnjudgedReason::Spawn { problem }));
        };
        let mut children = 0;
        loop {
            children += 1;
            let judgement = self.run_child(&request, &limits, children).await;
            match &judgement.judged {
                Judged::Unjudged(why) if children < CHILDREN_MAX && why.is_worth_a_retry() => {}
                _ => return judgement,
            }
        }
    }

    async fn run_child(
        &self,
        request: &JudgeRequest,
        limits: &ProofLimits,
        children: u32,
    ) -> Judgement {
        let begin = Instant::now();
        let config = &self.shared.config;
        let limits = ChildLimits {
            time: limits.verify_ms_max.min(config.time_max),
            memory: limits.verify_memory_bytes_max.min(config.memory_bytes_max),
            reply_bytes: limits.public_values_bytes_max.get().saturating_add(REPLY_OVERHEAD_BYTES),
        };
        let (pid, judged) = match self.spawn() {
            Err(error) => {
                (0, Judged::Unjudged(UnjudgedReason::Spawn { problem: error.to_string() }))
            }
            Ok(child) => {
                let pid = child.id().unwrap_or_default();
                (pid, judge_with(child, request, limits).await)
            }
        };
        let elapsed = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        log_outcome(pid, request, &judged, elapsed, children);
        Judgement { judged, verify_time: Millis::new(elapsed), children, pid }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let config = &self.shared.config;
        Command::new(&config.command)
            .args(&config.arguments)
            .env_clear()
            // One thread and one heap: memory and time depend on the proof, not on the machine.
            .env("RAYON_NUM_THREADS", "1")
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

#[derive(Clone, Copy)]
struct ChildLimits {
    time: Millis,
    memory: ByteCount,
    reply_bytes: u64,
}

/// What a child left behind.
struct Ended {
    status: ExitStatus,
    reply: Vec<u8>,
    errors: String,
}

/// A child and everything that it may have started: all of it ends with this, however judging ended,
/// also when the request is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Usually there is nothing left to kill. Until now the number cannot have become another
            // group's: processes get numbers in turn, and the child ended just before.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn judge_with(mut child: Child, request: &JudgeRequest, limits: ChildLimits) -> Judged {
    let group = Group::of(&child);
    let talk = converse(&mut child, request, limits);
    let talked = tokio::time::timeout(Duration::from(limits.time), talk).await;
    drop(group);
    let ended = match talked {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => {
            collect(&mut child).await;
            return Judged::Unjudged(UnjudgedReason::BadReply { problem: error.to_string() });
        }
        Err(_elapsed) => {
            collect(&mut child).await;
            return Judged::Unjudged(UnjudgedReason::TimedOut { limit: limits.time });
        }
    };
    match outcome(&ended, request, limits) {
        Ok(judged) => judged,
        Err(reason) => Judged::Unjudged(reason),
    }
}

/// Waits for the end of a child that was killed.
async fn collect(child: &mut Child) {
    // An error means that it was collected already.
    let _ = child.kill().await;
}

async fn converse(
    child: &mut Child,
    request: &JudgeRequest,
    limits: ChildLimits,
) -> std::io::Result<Ended> {
    let pipe = || std::io::Error::other("the child has no pipe");
    let mut stdin = child.stdin.take().ok_or_else(pipe)?;
    let stdout = child.stdout.take().ok_or_else(pipe)?;
    let stderr = child.stderr.take().ok_or_else(pipe)?;
    let (head, body) = encode(request, limits)?;
    let send = async move {
        // A child that ends early closes its pipe; how it ended says more than this error.
        let _ = stdin.write_all(&head).await;
        let _ = stdin.write_all(&body).await;
        drop(stdin);
    };
    let receive = async {
        let mut reply = Vec::new();
        // One byte beyond the limit tells a reply that is too long from one that fits.
        let read = stdout.take(limits.reply_bytes + 1).read_to_end(&mut reply).await;
        read.map(|_| reply)
    };
    let complain = async {
        let mut text = Vec::new();
        // What the child says beyond the limit is dropped with its pipe.
        let _ = stderr.take(TEXT_BYTES_MAX as u64).read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    };
    let ((), reply, errors) = tokio::join!(send, receive, complain);
    let reply = reply?;
    if reply.len() as u64 > limits.reply_bytes {
        return Err(std::io::Error::other("the reply is longer than the manifest allows"));
    }
    let status = child.wait().await?;
    Ok(Ended { status, reply, errors })
}

fn encode(request: &JudgeRequest, limits: ChildLimits) -> std::io::Result<([u8; 32], Vec<u8>)> {
    let binding = &request.binding;
    let body = borsh::to_vec(&Request {
        program: request.program,
        job: binding.job,
        bound_program: binding.program,
        prover: binding.prover,
        segment_index: binding.segment_index,
        first: binding.first,
        count: binding.count,
        proof: request.proof.clone(),
    })?;
    let header = Header {
        memory_bytes: limits.memory.get(),
        // The wall clock is the limit; processor time is the net below it.
        cpu_seconds: limits.time.get().div_ceil(1000).saturating_add(1),
        body_bytes: body.len() as u64,
    };
    Ok((header.to_bytes(), body))
}

fn outcome(
    ended: &Ended,
    request: &JudgeRequest,
    limits: ChildLimits,
) -> Result<Judged, UnjudgedReason> {
    let bad = |problem: String| UnjudgedReason::BadReply { problem };
    match ended.status.signal() {
        Some(_) if ended.errors.contains(OUT_OF_MEMORY_TEXT) => {
            return Err(UnjudgedReason::MemoryExceeded { limit: limits.memory });
        }
        Some(signal) if signal == Signal::SIGXCPU as i32 => {
            return Err(UnjudgedReason::CpuExceeded { limit: limits.time });
        }
        Some(signal) => return Err(UnjudgedReason::Killed { signal }),
        None if !ended.status.success() => {
            return Err(bad(format!("{}: {}", ended.status, shorten(ended.errors.trim()))));
        }
        None => {}
    }
    match Reply::parse(&ended.reply).map_err(|error| bad(error.to_string()))? {
        Reply::Verified { public_values, vk_digest, work_units } => {
            // Digests are computed here, from bytes that this process holds.
            Ok(Judged::Verified(VerifiedSegment {
                public_values_digest: public_values_digest(&public_values),
                public_values,
                vk_digest,
                proof_digest: proof_digest(&request.proof),
                work_units,
            }))
        }
        Reply::Refused { code, detail } => {
            let code = RefusalCode::try_from(code).map_err(|error| bad(error.to_string()))?;
            Ok(Judged::Refused(Refusal::new(code, detail)))
        }
        Reply::Panicked { message } => Err(UnjudgedReason::ChildPanicked { message }),
        Reply::UnknownProgram => Err(UnjudgedReason::UnknownProgram),
    }
}

fn log_outcome(pid: u32, request: &JudgeRequest, judged: &Judged, verify_ms: u64, children: u32) {
    let (outcome, job, program) = (judged.name(), request.binding.job, request.program);
    let segment = request.binding.segment_index;
    match judged {
        Judged::Verified(_) => tracing::info!(
            target: "judge", pid, %job, segment, outcome, verify_ms, %program, children,
            "judged a segment"
        ),
        Judged::Refused(why) => tracing::warn!(
            target: "judge", pid, %job, segment, outcome, verify_ms, %program, children, %why,
            "judged a segment"
        ),
        Judged::Unjudged(why) => tracing::warn!(
            target: "judge", pid, %job, segment, outcome, verify_ms, %program, children, %why,
            "could not judge a segment"
        ),
    }
}
