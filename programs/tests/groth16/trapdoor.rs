//! Keys whose secrets the test knows, so that it can prove anything with any number of inputs, and
//! points as bytes, written without the code under test.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, Field, PrimeField};
use proofgrid_proofs::digest::keccak256;

/// A scalar that belongs to a label.
pub fn scalar(label: &str) -> Fr {
    Fr::from_be_bytes_mod_order(&keccak256(label.as_bytes()))
}

pub fn word<F: PrimeField>(value: F) -> Vec<u8> {
    value.into_bigint().to_bytes_be()
}

pub fn g1(point: G1Affine) -> Vec<u8> {
    let Some((x, y)) = point.xy() else { return vec![0; 64] };
    [word(x), word(y)].concat()
}

pub fn g2(point: G2Affine) -> Vec<u8> {
    let Some((x, y)) = point.xy() else { return vec![0; 128] };
    [word(x.c1), word(x.c0), word(y.c1), word(y.c0)].concat()
}

pub fn g1_times(scalar: Fr) -> G1Affine {
    (G1Affine::generator() * scalar).into_affine()
}

pub fn g2_times(scalar: Fr) -> G2Affine {
    (G2Affine::generator() * scalar).into_affine()
}

/// A point of the twist outside the subgroup: the first one from a small x on.
pub fn outside_the_subgroup(from: u64) -> Vec<u8> {
    let at = |x: u64| G2Affine::get_point_from_x_unchecked(Fq2::new(x.into(), 1.into()), false);
    let point = (from..).find_map(at).expect("half of all x have a point");
    assert!(point.is_on_curve() && !point.is_in_correct_subgroup_assuming_on_curve());
    g2(point)
}

/// The secrets of a setup.
#[derive(Clone)]
pub struct Setup {
    pub alpha: Fr,
    pub beta: Fr,
    pub gamma: Fr,
    pub delta: Fr,
    pub ic: Vec<Fr>,
}

impl Setup {
    pub fn new(label: &str, inputs: usize) -> Self {
        let secret = |what: &str| scalar(&format!("{label} {what}"));
        Self {
            alpha: secret("alpha"),
            beta: secret("beta"),
            gamma: secret("gamma"),
            delta: secret("delta"),
            ic: (0..=inputs).map(|i| secret(&format!("ic {i}"))).collect(),
        }
    }

    /// The key's canonical bytes.
    pub fn key(&self) -> Vec<u8> {
        let mut key = g1(g1_times(self.alpha));
        for scalar in [self.beta, self.gamma, self.delta] {
            key.extend(g2(g2_times(scalar)));
        }
        self.ic.iter().for_each(|scalar| key.extend(g1(g1_times(*scalar))));
        key
    }

    /// `alpha beta + gamma ic(inputs)`: what `ab - delta c` must be.
    pub fn target(&self, inputs: &[Fr]) -> Fr {
        let combined: Fr = inputs.iter().zip(&self.ic[1..]).map(|(x, ic)| *x * ic).sum();
        self.alpha * self.beta + self.gamma * (self.ic[0] + combined)
    }

    /// The proof of these inputs whose A and B are these multiples of the generators.
    pub fn proof_from(&self, inputs: &[Fr], a: Fr, b: Fr) -> Vec<u8> {
        let inverse = self.delta.inverse().expect("no secret is zero");
        let c = (a * b - self.target(inputs)) * inverse;
        [g1(g1_times(a)), g2(g2_times(b)), g1(g1_times(c))].concat()
    }

    pub fn proof(&self, inputs: &[Fr], label: &str) -> Vec<u8> {
        let (a, b) = (scalar(&format!("{label} a")), scalar(&format!("{label} b")));
        self.proof_from(inputs, a, b)
    }
}

/// The inputs of a label.
pub fn inputs(label: &str, count: usize) -> Vec<Fr> {
    (0..count).map(|i| scalar(&format!("{label} input {i}"))).collect()
}

/// The modulus of the coordinates and the order of the groups.
pub fn moduli() -> [Vec<u8>; 2] {
    [Fq::MODULUS.to_bytes_be(), Fr::MODULUS.to_bytes_be()]
}
