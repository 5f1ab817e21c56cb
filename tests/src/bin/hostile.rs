//! A node that lies, for the scenarios: everything that it does not lie about is the real thing.
//!
//! `prover other-messages --config FILE` proves other messages than the job's, with honest maths.
//! `verifier refuse-odd|refuse-even --config FILE` finds every proof of a job whose id ends in an odd
//! (even) digit invalid.

use std::path::Path;
use std::process::ExitCode;

use proofgrid_judge::JudgeConfig;
use proofgrid_node::cli::roles::{run_prover, run_verifier};
use proofgrid_node::config;
use proofgrid_node::devnet::planted::Lying;
use proofgrid_proofs::program::{
    Binding, Monitor, Program, ProveError, Registry, SegmentPlan, SegmentProof, VerifiedSegment,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_tests::hostile::{Lie, changed_messages};

/// A lie of the scenarios.
#[derive(Clone, Copy)]
struct Told(Lie);

impl proofgrid_node::devnet::planted::Lie for Told {
    fn prove(
        &self,
        honest: &dyn Program,
        input: &[u8],
        (segment, binding): (&SegmentPlan, &Binding),
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        match self.0 {
            Lie::OtherMessages => honest.prove(&changed_messages(input), segment, binding, monitor),
            Lie::RefuseOdd | Lie::RefuseEven => honest.prove(input, segment, binding, monitor),
        }
    }

    fn verify(
        &self,
        honest: &dyn Program,
        proof: &[u8],
        binding: &Binding,
    ) -> Result<VerifiedSegment, Refusal> {
        if self.0.refuses(&binding.job) {
            return Err(Refusal::new(RefusalCode::Constraints, "the verifier says so"));
        }
        honest.verify(proof, binding)
    }
}

fn lying(lie: Lie) -> Registry {
    let programs = proofgrid_programs::programs()
        .into_iter()
        .map(|honest| Box::new(Lying::new(honest, Told(lie))) as Box<dyn Program>)
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
