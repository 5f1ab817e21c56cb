//! Real proofs of small segments, and everything that must be refused.

mod block;
mod constraints;
mod forgery;
mod malformed;
mod planning;
mod proofs;
mod soundness;

use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::manifest::Profile;
use proofgrid_proofs::program::{
    Binding, PlanRequest, Program, SegmentPlan, SegmentProof, Unmonitored,
};

use super::KeccakProgram;
use super::program::Tables;

/// The profiles that promise proven bits; every proof test runs on both.
const PROVEN: [Profile; 2] = [Profile::Standard, Profile::StandardFold];

fn request() -> PlanRequest {
    PlanRequest { memory_bytes_max: ByteCount::new(16 << 30), num_workers: 1, max_segments: 256 }
}

fn binding(program: &KeccakProgram, segment: &SegmentPlan) -> Binding {
    let (job, prover) = (JobId::from_bytes([7; 32]), Address::from_bytes([9; 20]));
    Binding::of_segment(job, program.id(), prover, segment)
}

fn input_of(messages: &[Vec<u8>]) -> Vec<u8> {
    let lines = messages.iter().map(|message| hex::encode(message) + "\n");
    lines.collect::<String>().into_bytes()
}

/// Plans the messages as one segment.
fn one_segment(program: &KeccakProgram, messages: &[Vec<u8>]) -> SegmentPlan {
    let plan = program.plan(&input_of(messages), &request()).expect("plans");
    assert_eq!(plan.len(), 1, "the messages fit one segment");
    plan[0]
}

/// Two blocks, an empty message and one byte: all paths of the sponge, with unused rows in all tables.
fn messages() -> Vec<Vec<u8>> {
    vec![(0..=136).collect(), vec![], vec![0xa5]]
}

fn tables(program: &KeccakProgram) -> (Tables, Binding) {
    let messages = messages();
    let binding = binding(program, &one_segment(program, &messages));
    (program.tables(&messages).expect("fits"), binding)
}

fn prove(program: &KeccakProgram, tables: &Tables, binding: &Binding) -> SegmentProof {
    program.prove_tables(tables, binding, &Unmonitored).expect("a prover takes any trace")
}
