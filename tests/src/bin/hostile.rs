//! A node that lies, for the scenarios: everything that it does not lie about is the real thing.
//!
//! `prover other-messages --config FILE` proves other messages than the job's, with honest maths.
//! `verifier refuse-odd|refuse-even --config FILE` finds every proof of a job whose id ends in an odd
//! (even) digit invalid.

use std::path::Path;
use std::process::ExitCode;

use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::units::ByteCount;
use proofgrid_judge::JudgeConfig;
use proofgrid_node::cli::roles::{run_prover, run_verifier};
use proofgrid_node::config;
use proofgrid_proofs::manifest::Manifest;
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, PlanError, PlanRequest, Program, ProveError, Registry,
    SegmentPlan, SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_tests::hostile::{Lie, changed_messages};

/// A program that lies in one way.
struct Lying {
    honest: Box<dyn Program>,
    lie: Lie,
}

impl Program for Lying {
    fn id(&self) -> ProgramId {
        self.honest.id()
    }

    fn name(&self) -> &str {
        self.honest.name()
    }

    fn manifest(&self) -> &Manifest {
        self.honest.manifest()
    }

    fn vk_digest(&self) -> VkDigest {
        self.honest.vk_digest()
    }

    fn vk_of(&self, input: &[u8]) -> Result<VkDigest, InputError> {
        self.honest.vk_of(input)
    }

    fn admits_vk(&self, vk: &VkDigest) -> bool {
        self.honest.admits_vk(vk)
    }

    fn prover_bound(&self) -> bool {
        self.honest.prover_bound()
    }

    fn proof_bytes_estimate(&self, segment: &SegmentPlan) -> ByteCount {
        self.honest.proof_bytes_estimate(segment)
    }

    fn claim(&self, input: &[u8]) -> Result<Claim, InputError> {
        self.honest.claim(input)
    }

    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        self.honest.plan(input, request)
    }

    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        self.honest.plan_range(input, range)
    }

    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError> {
        self.honest.check_plan(input, plan)
    }

    fn prove(
        &self,
        input: &[u8],
        segment: &SegmentPlan,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        match self.lie {
            Lie::OtherMessages => {
                self.honest.prove(&changed_messages(input), segment, binding, monitor)
            }
            Lie::RefuseOdd | Lie::RefuseEven => self.honest.prove(input, segment, binding, monitor),
        }
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        if self.lie.refuses(&binding.job) {
            return Err(Refusal::new(RefusalCode::Constraints, "the verifier says so"));
        }
        self.honest.verify(proof, binding)
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        self.honest.claim_of_segments(public_values)
    }
}

fn lying(lie: Lie) -> Registry {
    let programs = proofgrid_programs::programs()
        .into_iter()
        .map(|honest| Box::new(Lying { honest, lie }) as Box<dyn Program>)
        .collect();
    Registry::new(programs)
}

fn run(role: &str, lie: Lie, file: &Path) -> Result<(), proofgrid_node::exit::ExitError> {
    proofgrid_node::telemetry::start(Default::default(), "info,judge=debug")?;
    if role == "prover" {
        return run_prover(config::load(file)?, lying(lie));
    }
    let judge = JudgeConfig {
        arguments: vec!["judge-child".into(), lie.name().into()],
        ..JudgeConfig::own_binary("judge-child")?
    };
    run_verifier(config::load(file)?, judge)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let lie = |name| Lie::named(name).expect("the scenario names a lie");
    if let ["judge-child", name] = words[..] {
        return proofgrid_judge::child::run(&lying(lie(name)));
    }
    proofgrid_node::devnet::process::follow_parent();
    let [role, name, "--config", file] = words[..] else {
        eprintln!("usage: proofgrid-hostile prover|verifier LIE --config FILE");
        return ExitCode::from(2);
    };
    match run(role, lie(name), Path::new(file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
