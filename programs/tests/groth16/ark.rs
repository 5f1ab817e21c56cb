//! The second opinion: proofs made and judged by ark-groth16.

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ff::{PrimeField, Zero};
use ark_groth16::{Groth16, Proof, VerifyingKey, prepare_verifying_key};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, SynthesisError, Variable};
use ark_relations::lc;
use ark_snark::{CircuitSpecificSetupSNARK, SNARK};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;

use crate::case::{Case, Layout};
use crate::trapdoor::{g1, g2};

/// `x_0 = w^2`, `x_i = w x_{i-1}`, all `x` public.
#[derive(Clone)]
struct Powers {
    witness: Fr,
    inputs: usize,
}

impl Powers {
    fn publics(&self) -> Vec<Fr> {
        let first = self.witness * self.witness;
        let next = |x: &Fr| Some(*x * self.witness);
        std::iter::successors(Some(first), next).take(self.inputs).collect()
    }
}

impl ConstraintSynthesizer<Fr> for Powers {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let witness = cs.new_witness_variable(|| Ok(self.witness))?;
        let mut previous: Variable = witness;
        for public in self.publics() {
            let input = cs.new_input_variable(|| Ok(public))?;
            let left = previous;
            cs.enforce_r1cs_constraint(|| lc!() + left, || lc!() + witness, || lc!() + input)?;
            previous = input;
        }
        Ok(())
    }
}

/// A proof of ark-groth16 in our bytes. The randomness is fixed.
pub fn proven(inputs: usize) -> Case {
    let mut random = StdRng::seed_from_u64(7);
    let circuit = Powers { witness: Fr::from(5u64), inputs };
    let (pk, vk) = Groth16::<Bn254>::setup(circuit.clone(), &mut random).expect("satisfiable");
    let publics = circuit.publics();
    let proof = Groth16::<Bn254>::prove(&pk, circuit, &mut random).expect("satisfied");
    let mut key = g1(vk.alpha_g1);
    [vk.beta_g2, vk.gamma_g2, vk.delta_g2].iter().for_each(|point| key.extend(g2(*point)));
    vk.gamma_abc_g1.iter().for_each(|point| key.extend(g1(*point)));
    Case::of(&key, &publics, &[g1(proof.a), g2(proof.b), g1(proof.c)].concat())
}

fn field(bytes: &[u8]) -> Fq {
    Fq::from_be_bytes_mod_order(bytes)
}

fn g1_at(bytes: &[u8], at: usize) -> G1Affine {
    let (x, y) = (field(&bytes[at..at + 32]), field(&bytes[at + 32..at + 64]));
    if x.is_zero() && y.is_zero() { G1Affine::identity() } else { G1Affine::new_unchecked(x, y) }
}

fn g2_at(bytes: &[u8], at: usize) -> G2Affine {
    let word = |i: usize| field(&bytes[at + 32 * i..at + 32 * (i + 1)]);
    G2Affine::new_unchecked(Fq2::new(word(1), word(0)), Fq2::new(word(3), word(2)))
}

/// Whether ark-groth16 takes the proof in a well-formed envelope; it looks at nothing else.
pub fn verifies(envelope: &[u8], inputs: usize) -> bool {
    let layout = Layout { inputs };
    let (key, proof) = (layout.key(), layout.proof());
    let vk = VerifyingKey::<Bn254> {
        alpha_g1: g1_at(envelope, key),
        beta_g2: g2_at(envelope, key + 64),
        gamma_g2: g2_at(envelope, key + 192),
        delta_g2: g2_at(envelope, key + 320),
        gamma_abc_g1: (0..=inputs).map(|i| g1_at(envelope, layout.ic(i))).collect(),
    };
    let proof = Proof::<Bn254> {
        a: g1_at(envelope, proof),
        b: g2_at(envelope, proof + 64),
        c: g1_at(envelope, proof + 192),
    };
    let scalar = |i: usize| {
        let at = layout.scalar(i);
        Fr::from_be_bytes_mod_order(&envelope[at..at + 32])
    };
    let publics: Vec<Fr> = (0..inputs).map(scalar).collect();
    let prepared = prepare_verifying_key(&vk);
    Groth16::<Bn254>::verify_proof(&prepared, &proof, &publics).expect("as many inputs as points")
}

/// Holds an answer that the pairing gave against ark-groth16's.
pub fn agree(case: &Case, inputs: usize, verdict: &Result<(), String>, what: &str) {
    match verdict.as_ref().map_err(String::as_str) {
        Ok(()) => assert!(verifies(&case.envelope, inputs), "{what}: ark-groth16 refuses it"),
        Err("pairing equation does not hold") => {
            assert!(!verifies(&case.envelope, inputs), "{what}: ark-groth16 accepts it");
        }
        Err(_) => {}
    }
}
