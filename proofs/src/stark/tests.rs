//! The verifying key's digest over a toy pair of tables, and proofs whose shape was changed.

use std::collections::BTreeSet;

use p3_air::{Air, AirBuilder, BaseAir, WindowAccess};
use p3_batch_stark::BatchProof;
use p3_field::PrimeCharacteristicRing;
use p3_lookup::{Count, InteractionBuilder, PermutationCheckBus};
use p3_matrix::dense::RowMajorMatrix;

use super::backend::{KeccakConfig, PoseidonConfig, Val};
use super::batch::{self, Statement};
use super::constraints::{Prover, TableShape, VerifyingKey};
use super::parameters::{HashKind, Parameters};
use crate::manifest::Profile;
use crate::program::Unmonitored;
use crate::refusal::Refusal;

/// Everything about the toy table that a verifying key must notice.
#[derive(Debug, Clone)]
struct Toy {
    factor: u8,
    bus: &'static str,
    sends: bool,
    weight: u32,
    doubled: bool,
    width: usize,
    public_values: usize,
    preprocessed: Option<u32>,
    next_row: bool,
    extra: bool,
}

const TOY: Toy = Toy {
    factor: 3,
    bus: "toy",
    sends: true,
    weight: 1,
    doubled: false,
    width: 3,
    public_values: 1,
    preprocessed: None,
    next_row: true,
    extra: false,
};

impl BaseAir<Val> for Toy {
    fn width(&self) -> usize {
        self.width
    }

    fn num_public_values(&self) -> usize {
        self.public_values
    }

    fn preprocessed_width(&self) -> usize {
        usize::from(self.preprocessed.is_some())
    }

    fn preprocessed_trace(&self) -> Option<RowMajorMatrix<Val>> {
        let value = self.preprocessed?;
        Some(RowMajorMatrix::new(vec![Val::new(value); 8], 1))
    }

    fn main_next_row_columns(&self) -> Vec<usize> {
        if self.next_row { (0..self.width).collect() } else { Vec::new() }
    }
}

impl<AB: InteractionBuilder<F = Val>> Air<AB> for Toy {
    fn eval(&self, builder: &mut AB) {
        let main = builder.main();
        let (a, b): (AB::Expr, AB::Expr) =
            (main.current_slice()[0].into(), main.current_slice()[1].into());
        let public: AB::Expr = builder.public_values()[0].into();
        builder.assert_zero(b.clone() - a.clone() * AB::Expr::from_u8(self.factor));
        builder.when_first_row().assert_eq(a.clone(), public);
        if self.extra {
            builder.assert_zero(a.clone() * AB::Expr::ZERO + b.clone() - b);
        }
        let times = if self.doubled { AB::Expr::TWO } else { AB::Expr::ONE };
        let count = Count::bounded(times, self.weight);
        let bus = PermutationCheckBus::new(self.bus);
        if self.sends {
            bus.send(builder, [a], count);
        } else {
            bus.receive(builder, [a], count);
        }
    }
}

fn key(toy: &Toy) -> VerifyingKey {
    VerifyingKey {
        system: "toy",
        prover: Prover::Batch,
        parameters: Parameters::of(Profile::Standard),
        tables: vec![TableShape::of("toy", toy, 3)],
        rules: "none",
    }
}

#[test]
fn every_part_of_a_table_changes_the_key() {
    let changes: [fn(&mut Toy); 9] = [
        |t| t.factor = 4,
        |t| t.bus = "other",
        |t| t.sends = false,
        |t| t.weight = 2,
        |t| t.doubled = true,
        |t| t.width = 4,
        |t| t.public_values = 2,
        |t| t.preprocessed = Some(1),
        |t| t.next_row = false,
    ];
    let mut digests = BTreeSet::from([key(&TOY).digest()]);
    for (number, change) in changes.iter().enumerate() {
        let mut toy = TOY;
        change(&mut toy);
        assert!(digests.insert(key(&toy).digest()), "change {number} is not in the digest");
    }
    let mut more = TOY;
    more.extra = true;
    assert!(digests.insert(key(&more).digest()), "an additional constraint is not in the digest");
}

#[test]
fn every_parameter_changes_the_key_and_the_program() {
    let changes: [fn(&mut Parameters); 11] = [
        |p| p.hash = HashKind::Poseidon2,
        |p| p.log_blowup += 1,
        |p| p.num_queries += 1,
        |p| p.log_arity_max += 1,
        |p| p.log_final_poly_len += 1,
        |p| p.batch_pow_bits += 1,
        |p| p.commit_pow_bits += 1,
        |p| p.query_pow_bits += 1,
        |p| p.lookup_pow_bits += 1,
        |p| p.out_of_domain_pow_bits += 1,
        |p| p.log_cap += 1,
    ];
    let mut digests = BTreeSet::from([key(&TOY).digest()]);
    let mut parameters = BTreeSet::from([key(&TOY).parameters_bytes()]);
    for (number, change) in changes.iter().enumerate() {
        let mut changed = key(&TOY);
        change(&mut changed.parameters);
        assert!(digests.insert(changed.digest()), "parameter {number}");
        assert!(parameters.insert(changed.parameters_bytes()), "parameter {number}");
    }
    let mut uni = key(&TOY);
    uni.prover = Prover::Uni;
    assert!(digests.insert(uni.digest()));
}

/// Two toy tables that balance each other on the bus.
fn toys() -> ([Toy; 2], [RowMajorMatrix<Val>; 2], [Vec<Val>; 2]) {
    let rows: Vec<Val> =
        (0..8u32).flat_map(|row| [Val::new(row), Val::new(3 * row), Val::ZERO]).collect();
    let trace = RowMajorMatrix::new(rows, 3);
    let receiver = Toy { sends: false, preprocessed: Some(5), ..TOY };
    ([TOY, receiver], [trace.clone(), trace], [vec![Val::ZERO], vec![Val::ZERO]])
}

fn with_statement<T>(run: impl FnOnce(&Statement<'_, Toy>, &[RowMajorMatrix<Val>]) -> T) -> T {
    let (tables, traces, public_values) = toys();
    let statement = Statement {
        tables: &tables,
        log_heights: &[3, 3],
        public_values: &public_values,
        seed: &[1; 32],
    };
    run(&statement, &traces)
}

fn prove(profile: Profile) -> Vec<u8> {
    with_statement(|statement, traces| {
        batch::prove(&Parameters::of(profile), statement, traces, &Unmonitored).expect("proves")
    })
}

fn verify(profile: Profile, proof: &[u8]) -> Result<(), Refusal> {
    with_statement(|statement, _| batch::verify(&Parameters::of(profile), statement, proof))
}

fn shorten<T>(values: &mut Vec<T>) {
    values.truncate(values.len() - 1);
}

macro_rules! shape_changes {
    ($config:ty) => {{
        type Change = fn(&mut BatchProof<$config>);
        let changes: Vec<(&str, Change)> = vec![
            ("no instance", |p| p.opened_values.instances.clear()),
            ("one instance less", |p| shorten(&mut p.opened_values.instances)),
            ("no terminal", |p| p.lookup_terminals[0] = None),
            ("one terminal less", |p| shorten(&mut p.lookup_terminals)),
            ("no lookup commitment", |p| p.commitments.permutation = None),
            ("a random commitment", |p| {
                p.commitments.random = Some(p.commitments.main.clone());
            }),
            ("no lookup witness", |p| p.lookup_pow_witness = None),
            ("another lookup witness", |p| p.lookup_pow_witness = Some(Val::ONE)),
            ("another point witness", |p| p.ood_pow_witness = Val::ONE),
            ("huge heights", |p| p.degree_bits = vec![63, 64]),
            ("no heights", |p| p.degree_bits.clear()),
            ("narrow row", |p| {
                shorten(&mut p.opened_values.instances[0].base_opened_values.trace_local);
            }),
            ("no next row", |p| {
                p.opened_values.instances[0].base_opened_values.trace_next = None;
            }),
            ("no preprocessed row", |p| {
                p.opened_values.instances[1].base_opened_values.preprocessed = None;
            }),
            ("no quotient", |p| {
                p.opened_values.instances[0].base_opened_values.quotient_chunks.clear();
            }),
            ("narrow quotient", |p| {
                let values = &mut p.opened_values.instances[0].base_opened_values;
                shorten(&mut values.quotient_chunks[0]);
            }),
            ("no lookup row", |p| p.opened_values.instances[0].permutation_local.clear()),
            ("long lookup row", |p| {
                let row = &mut p.opened_values.instances[0].permutation_next;
                row.push(row[0]);
            }),
            ("no folds", |p| p.opening_proof.commit_phase_commits.clear()),
            ("no fold witnesses", |p| p.opening_proof.commit_pow_witnesses.clear()),
            ("no fold openings", |p| p.opening_proof.commit_phase_openings.clear()),
            ("no siblings", |p| {
                p.opening_proof.commit_phase_openings[0].sibling_values[0].clear();
            }),
            ("one query less", |p| {
                shorten(&mut p.opening_proof.commit_phase_openings[0].sibling_values);
            }),
            ("no inputs", |p| p.opening_proof.input_openings.clear()),
            ("one input less", |p| shorten(&mut p.opening_proof.input_openings)),
            ("one input query less", |p| {
                shorten(&mut p.opening_proof.input_openings[0].opened_values);
            }),
            ("one input matrix less", |p| {
                shorten(&mut p.opening_proof.input_openings[0].opened_values[0]);
            }),
            ("narrow input row", |p| {
                shorten(&mut p.opening_proof.input_openings[0].opened_values[0][0]);
            }),
            ("no final polynomial", |p| p.opening_proof.final_poly.clear()),
            ("long final polynomial", |p| {
                let first = p.opening_proof.final_poly[0];
                p.opening_proof.final_poly.push(first);
            }),
            ("another commitment", |p| {
                p.commitments.main = p.commitments.quotient_chunks.clone();
            }),
        ];
        changes
    }};
}

#[test]
fn proofs_of_another_shape_are_refused_with_keccak() {
    let bytes = prove(Profile::Standard);
    verify(Profile::Standard, &bytes).expect("the honest proof verifies");
    for (name, change) in shape_changes!(KeccakConfig<'static>) {
        let mut proof: BatchProof<KeccakConfig<'static>> =
            postcard::from_bytes(&bytes).expect("decodes");
        change(&mut proof);
        let changed = postcard::to_allocvec(&proof).expect("encodes");
        assert_ne!(changed, bytes, "{name} changes nothing");
        assert!(verify(Profile::Standard, &changed).is_err(), "{name}");
    }
}

#[test]
fn proofs_of_another_shape_are_refused_with_poseidon2() {
    let bytes = prove(Profile::StandardFold);
    verify(Profile::StandardFold, &bytes).expect("the honest proof verifies");
    for (name, change) in shape_changes!(PoseidonConfig<'static>) {
        let mut proof: BatchProof<PoseidonConfig<'static>> =
            postcard::from_bytes(&bytes).expect("decodes");
        change(&mut proof);
        let changed = postcard::to_allocvec(&proof).expect("encodes");
        assert_ne!(changed, bytes, "{name} changes nothing");
        assert!(verify(Profile::StandardFold, &changed).is_err(), "{name}");
    }
}

#[test]
fn bytes_changed_anywhere_in_a_small_proof_are_refused() {
    for profile in [Profile::Standard, Profile::StandardFold] {
        let bytes = prove(profile);
        for position in (0..bytes.len()).step_by(bytes.len() / 700) {
            let mut changed = bytes.clone();
            changed[position] = changed[position].wrapping_add(1);
            assert!(verify(profile, &changed).is_err(), "{profile:?} at {position}");
            changed.remove(position);
            assert!(verify(profile, &changed).is_err(), "{profile:?} without {position}");
        }
    }
}
