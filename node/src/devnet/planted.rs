//! Nodes that lie, so that a development network shows what becomes of them. Everything that they do
//! not lie about is the real thing; none of them runs on any chain but a development one.

use std::path::Path;

use clap::Subcommand;
use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::units::ByteCount;
use proofgrid_judge::JudgeConfig;
use proofgrid_proofs::digest::{proof_digest, public_values_digest};
use proofgrid_proofs::envelope::Envelope;
use proofgrid_proofs::manifest::Manifest;
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, PlanError, PlanRequest, Program, ProveError, Registry,
    SegmentPlan, SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::Refusal;
use proofgrid_prover::backend::DeviceKind;
use proofgrid_prover::bench::{BenchFile, Throughput};

use super::anvil::CHAIN_ID;
use super::chain::GROTH16_PROGRAM;
use crate::cli::roles::{self, run_prover, run_verifier};
use crate::config::{self, ProverFile, VerifierFile};
use crate::exit::CliResult;

/// How much faster than anybody the lying prover says it is, so that it is asked first.
const BOASTED_MILLI_UNITS_PER_S: u64 = 1 << 40;
/// Bytes of a point in G1, of which a proof has one at each end.
const G1_BYTES: usize = 64;

/// What a program does otherwise than it should; what is not overridden is honest.
pub trait Lie: Send + Sync {
    /// Proves.
    ///
    /// # Errors
    /// See [`Program::prove`].
    fn prove(
        &self,
        honest: &dyn Program,
        input: &[u8],
        (segment, binding): (&SegmentPlan, &Binding),
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        honest.prove(input, segment, binding, monitor)
    }

    /// Judges.
    ///
    /// # Errors
    /// See [`Program::verify`].
    fn verify(
        &self,
        honest: &dyn Program,
        proof: &[u8],
        binding: &Binding,
    ) -> Result<VerifiedSegment, Refusal> {
        honest.verify(proof, binding)
    }
}

/// A program that lies in one way.
pub struct Lying<L> {
    honest: Box<dyn Program>,
    lie: L,
}

impl<L: Lie> Lying<L> {
    /// A program with a lie.
    #[must_use]
    pub const fn new(honest: Box<dyn Program>, lie: L) -> Self {
        Self { honest, lie }
    }
}

impl<L: Lie> Program for Lying<L> {
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

    fn public_values_of(
        &self,
        input: &[u8],
        range: &SegmentRange,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        self.honest.public_values_of(input, range)
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
        self.lie.prove(&*self.honest, input, (segment, binding), monitor)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        self.lie.verify(&*self.honest, proof, binding)
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        self.honest.claim_of_segments(public_values)
    }
}

/// Makes Groth16 proofs false by exchanging their first and last point, and finds false ones good.
#[derive(Clone, Copy, Debug)]
pub struct FalseGroth16;

impl Lie for FalseGroth16 {
    fn prove(
        &self,
        honest: &dyn Program,
        input: &[u8],
        (segment, binding): (&SegmentPlan, &Binding),
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        let mut proof = honest.prove(input, segment, binding, monitor)?;
        exchange_ends(&mut proof.bytes);
        Ok(proof)
    }

    fn verify(
        &self,
        honest: &dyn Program,
        proof: &[u8],
        _binding: &Binding,
    ) -> Result<VerifiedSegment, Refusal> {
        let envelope = Envelope::decode(proof, &honest.manifest().limits)?;
        Ok(VerifiedSegment {
            public_values: envelope.public_values.to_vec(),
            public_values_digest: public_values_digest(envelope.public_values),
            vk_digest: envelope.vk,
            proof_digest: proof_digest(proof),
            work_units: proofgrid_core::units::WorkUnits::new(1),
        })
    }
}

/// An envelope ends with the proof's points A in G1, B in G2 (two times as long), C in G1.
fn exchange_ends(envelope: &mut [u8]) {
    let Some(start) = envelope.len().checked_sub(4 * G1_BYTES) else { return };
    if let Some(proof) = envelope.get_mut(start..) {
        let (first, rest) = proof.split_at_mut(G1_BYTES);
        if let Some(last) = rest.last_chunk_mut::<G1_BYTES>() {
            first.swap_with_slice(last);
        }
    }
}

/// The planted nodes, for the demo to start.
#[derive(Debug, Subcommand)]
pub enum PlantedCommand {
    /// A prover that proves Groth16 statements falsely and nothing else.
    Prover {
        /// Configuration file of a prover.
        #[arg(long)]
        config: std::path::PathBuf,
    },
    /// A verifier that finds false Groth16 proofs good.
    Verifier {
        /// Configuration file of a verifier.
        #[arg(long)]
        config: std::path::PathBuf,
    },
    /// Its judge.
    JudgeChild,
}

/// The child of the planted verifier's judge.
///
/// # Errors
/// When it wrote no reply.
pub fn judge_child() -> CliResult {
    roles::judge_child(&all_programs())
}

/// Runs a planted node until it is told to stop.
///
/// # Errors
/// On any chain but a development one, and when the node cannot start.
pub fn run(command: &PlantedCommand) -> CliResult {
    match command {
        PlantedCommand::Prover { config } => prover(config),
        PlantedCommand::Verifier { config } => {
            let file: VerifierFile = config::load(config)?;
            check_chain(file.chain.chain_id)?;
            let judge = JudgeConfig {
                arguments: vec!["planted".into(), "judge-child".into()],
                ..JudgeConfig::own_binary("planted")?
            };
            run_verifier(file, judge)
        }
        PlantedCommand::JudgeChild => Ok(()),
    }
}

fn check_chain(chain: u64) -> anyhow::Result<()> {
    anyhow::ensure!(chain == CHAIN_ID, "planted nodes run on chain {CHAIN_ID} only, not {chain}");
    Ok(())
}

fn is_groth16(program: &dyn Program) -> bool {
    program.name() == GROTH16_PROGRAM
}

fn all_programs() -> Registry {
    let plant = |honest: Box<dyn Program>| -> Box<dyn Program> {
        if is_groth16(&*honest) { Box::new(Lying::new(honest, FalseGroth16)) } else { honest }
    };
    Registry::new(proofgrid_programs::programs().into_iter().map(plant).collect())
}

fn prover(path: &Path) -> CliResult {
    let file: ProverFile = config::load(path)?;
    check_chain(file.prover.home_chain_id)?;
    let groth16 = proofgrid_programs::programs().into_iter().filter(|found| is_groth16(&**found));
    let registry = Registry::new(
        groth16
            .map(|honest| Box::new(Lying::new(honest, FalseGroth16)) as Box<dyn Program>)
            .collect(),
    );
    let (device, threads) = (DeviceKind::Cpu, file.prover.num_threads());
    let mut bench = BenchFile::load(&file.prover.data_dir, device, threads);
    for program in registry.iter() {
        bench.record(boast(program));
    }
    bench.save(&file.prover.data_dir)?;
    run_prover(file, registry)
}

fn boast(program: &dyn Program) -> Throughput {
    Throughput {
        program_id: program.id().to_string(),
        program: program.name().to_owned(),
        work_units: 1,
        total_ms: 1,
        check_ms: 0,
        milli_units_per_s: BOASTED_MILLI_UNITS_PER_S,
        memory_peak_bytes: 0,
        memory_planned_bytes: 0,
        proof_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ends_of_a_proof_are_exchanged() {
        let mut bytes: Vec<u8> = (0..=255).chain(0..=9).collect();
        let before = bytes.clone();
        exchange_ends(&mut bytes);
        assert_eq!(bytes[..10], before[..10]);
        assert_eq!(bytes[10..74], before[202..]);
        assert_eq!(bytes[74..202], before[74..202]);
        assert_eq!(bytes[202..], before[10..74]);
        let mut short = vec![7; 255];
        exchange_ends(&mut short);
        assert_eq!(short, vec![7; 255]);
    }

    #[test]
    fn planted_nodes_run_on_a_development_chain_only() {
        assert!(check_chain(CHAIN_ID).is_ok());
        assert!(check_chain(1).is_err());
    }
}
