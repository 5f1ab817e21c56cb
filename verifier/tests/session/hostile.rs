//! A judge's child that a proof has taken over, by the verifier's own path: it costs one abstention,
//! with its reason, and nothing else. The next proof is judged and voted on as if nothing had been.

use std::hint::black_box;
use std::io::Write;
use std::process::{ExitCode, Stdio};

use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_judge::JudgeConfig;
use proofgrid_proofs::manifest::Manifest;
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, PlanError, PlanRequest, Program, ProveError, Registry,
    SegmentPlan, SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::Refusal;
use proofgrid_proto::convert::{AbstainReason, VerifierMessage};

use super::cases::{Scene, job, prove, verdict};
use super::dispatcher::Serving;

/// What the child does with the proof of the job that its second argument names, by word.
const BEHAVIOURS: [(&str, AbstainReason); 8] = [
    ("spin", AbstainReason::Timeout),
    ("allocate", AbstainReason::Memory),
    ("segfault", AbstainReason::Crashed),
    ("abort", AbstainReason::Crashed),
    ("exit", AbstainReason::Crashed),
    ("fork", AbstainReason::Crashed),
    ("garbage", AbstainReason::Crashed),
    ("torrent", AbstainReason::Crashed),
];
/// Time of one child: the honest proof needs milliseconds of it.
const TIME_MAX: Millis = Millis::new(8_000);
/// Memory of one child, far above what `fibonacci` needs.
const MEMORY_MAX: ByteCount = ByteCount::new(512 << 20);

/// The program of the network, until it meets the proof that takes it over.
struct Taken {
    inner: Registry,
    behaviour: String,
    job: String,
}

impl Taken {
    fn inner(&self) -> &dyn Program {
        self.inner.by_name("fibonacci").expect("a program of the network")
    }

    fn misbehave(&self) {
        let block = || vec![0x55u8; 1 << 20];
        match self.behaviour.as_str() {
            "spin" => loop {
                black_box(());
            },
            "allocate" => drop(black_box((0..1 << 20).map(|_| block()).collect::<Vec<_>>())),
            // The runtime's own handler takes the first and restores the default.
            "segfault" => loop {
                let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSEGV);
            },
            "abort" => std::process::abort(),
            "exit" => std::process::exit(0),
            "fork" => {
                let mut child = std::process::Command::new("/bin/sleep");
                child.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                drop(child.spawn());
                std::process::exit(0);
            }
            "garbage" => {
                drop(std::io::stdout().write_all(&[0xee; 100]));
                std::process::exit(0);
            }
            "torrent" => while std::io::stdout().write_all(&block()).is_ok() {},
            other => panic!("no such behaviour: {other}"),
        }
    }
}

impl Program for Taken {
    fn id(&self) -> ProgramId {
        self.inner().id()
    }

    fn name(&self) -> &str {
        self.inner().name()
    }

    fn manifest(&self) -> &Manifest {
        self.inner().manifest()
    }

    fn vk_digest(&self) -> VkDigest {
        self.inner().vk_digest()
    }

    fn proof_bytes_estimate(&self, segment: &SegmentPlan) -> ByteCount {
        self.inner().proof_bytes_estimate(segment)
    }

    fn claim(&self, input: &[u8]) -> Result<Claim, InputError> {
        self.inner().claim(input)
    }

    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        self.inner().plan(input, request)
    }

    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        self.inner().plan_range(input, range)
    }

    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError> {
        self.inner().check_plan(input, plan)
    }

    fn prove(
        &self,
        input: &[u8],
        segment: &SegmentPlan,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        self.inner().prove(input, segment, binding, monitor)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        if binding.job.to_string() == self.job {
            self.misbehave();
        }
        self.inner().verify(proof, binding)
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        self.inner().claim_of_segments(public_values)
    }
}

/// Runs the child that is taken over; `arguments` are the behaviour and the job.
pub fn child(arguments: &[String]) -> ExitCode {
    let [behaviour, job] = arguments else { return ExitCode::FAILURE };
    let program = Taken {
        inner: proofgrid_programs::registry(),
        behaviour: behaviour.clone(),
        job: job.clone(),
    };
    proofgrid_judge::child::run(&Registry::new(vec![Box::new(program)]))
}

pub async fn a_judge_that_is_taken_over_costs_one_abstention() {
    for (behaviour, why) in BEHAVIOURS {
        let bad = prove(b"1 2 128", b"1 2 128");
        let mut config = JudgeConfig::own_binary(super::HOSTILE_CHILD).expect("own path");
        config.arguments.extend([behaviour.to_owned(), bad.spec.id().to_string()]);
        config.time_max = TIME_MAX;
        config.memory_bytes_max = MEMORY_MAX;
        let mut scene = Scene::judged(Serving::Honestly, bad, config).await;
        match scene.offered().await {
            VerifierMessage::Abstain { reason, statement, .. } => {
                assert_eq!((reason, statement), (why, scene.job.offer().digest), "{behaviour}");
            }
            other => panic!("{behaviour}: {other:?}"),
        }
        let status = scene.running.handle.status();
        assert_eq!((status.abstentions, status.logged_verdicts), (1, 0), "{behaviour}");

        // The same verifier, the same session, the next proof.
        scene.job = job();
        scene.dispatcher.put(scene.job.record.proof, &scene.job.proof);
        let answer = scene.offered().await;
        assert_eq!(verdict(&scene.job, &answer), (Verdict::Valid, None), "{behaviour}");
        let status = scene.running.handle.status();
        assert_eq!((status.abstentions, status.votes_valid, status.sessions), (1, 1, 1));
        scene.running.stop().await;
    }
}
