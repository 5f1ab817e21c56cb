//! The job's input: one JSON object `{"vkey": .., "public": .., "proof": ..}` of the three files that
//! snarkjs writes (`verification_key.json`, `public.json`, `proof.json`), under its own field names.
//!
//! Strict, because two readings of one text would be two claims: protocol `groth16`, curve `bn128`,
//! numbers as decimal strings without a needless digit and below their modulus, affine points (third
//! coordinate 1; the identity as snarkjs writes it, `["0", "1", "0"]`), no unknown field, none twice.
//! `vk_alphabeta_12` follows from alpha and beta and is not looked at.

use std::str::FromStr;

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ff::Zero;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::points::{Fault, Identity, g1_of, g2_of};
use super::{Groth16Key, Groth16Proof, INPUTS_MAX};
use crate::program::InputError;

/// Longest input: a key of [`INPUTS_MAX`] inputs has about 20 kB in snarkjs' own indentation.
pub const JSON_BYTES_MAX: usize = 64 << 10;
/// Digits of the largest number below either modulus.
const DIGITS_MAX: usize = 77;

/// What an input asks to certify; read, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnarkjsProof {
    /// The verifying key.
    pub key: Groth16Key,
    /// The public inputs, as many as the key has.
    pub inputs: Vec<Fr>,
    /// The proof.
    pub proof: Groth16Proof,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    #[serde(borrow)]
    vkey: KeyFile<'a>,
    public: Vec<&'a str>,
    proof: ProofFile<'a>,
}

type G1Text<'a> = [&'a str; 3];
type G2Text<'a> = [[&'a str; 2]; 3];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile<'a> {
    protocol: &'a str,
    curve: &'a str,
    #[serde(rename = "nPublic")]
    num_public: u32,
    #[serde(borrow)]
    vk_alpha_1: G1Text<'a>,
    vk_beta_2: G2Text<'a>,
    vk_gamma_2: G2Text<'a>,
    vk_delta_2: G2Text<'a>,
    #[serde(default, rename = "vk_alphabeta_12")]
    _alphabeta: Option<IgnoredAny>,
    #[serde(rename = "IC")]
    ic: Vec<G1Text<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofFile<'a> {
    protocol: &'a str,
    curve: &'a str,
    #[serde(borrow)]
    pi_a: G1Text<'a>,
    pi_b: G2Text<'a>,
    pi_c: G1Text<'a>,
}

impl SnarkjsProof {
    /// Reads an input.
    ///
    /// # Errors
    /// [`InputError`] names the line of what is no such JSON, or the field that is wrong.
    pub fn parse(input: &[u8]) -> Result<Self, InputError> {
        if input.is_empty() {
            return Err(InputError::Empty { items: "proofs" });
        }
        if input.len() > JSON_BYTES_MAX {
            let (got, max) = (input.len() as u64, JSON_BYTES_MAX as u64);
            return Err(InputError::TooLong { got, max });
        }
        let document: Document<'_> =
            serde_json::from_slice(input).map_err(|error| InputError::Line {
                line: error.line() as u64,
                problem: format!("{error}; expected vkey, public and proof as snarkjs writes them"),
            })?;
        check_kind("vkey", document.vkey.protocol, document.vkey.curve)?;
        check_kind("proof", document.proof.protocol, document.proof.curve)?;
        check_counts(&document)?;
        let inputs = (0usize..).zip(&document.public);
        let inputs = inputs.map(|(i, text)| number(&format!("public[{i}]"), text));
        Ok(Self {
            inputs: inputs.collect::<Result<_, _>>()?,
            key: document.vkey.key()?,
            proof: document.proof.proof()?,
        })
    }
}

impl KeyFile<'_> {
    fn key(&self) -> Result<Groth16Key, InputError> {
        let ic = (0usize..).zip(&self.ic);
        let ic = ic.map(|(i, text)| g1(&format!("vkey.IC[{i}]"), text, Identity::Accepted));
        Ok(Groth16Key {
            alpha: g1("vkey.vk_alpha_1", &self.vk_alpha_1, Identity::Refused)?,
            beta: g2("vkey.vk_beta_2", &self.vk_beta_2)?,
            gamma: g2("vkey.vk_gamma_2", &self.vk_gamma_2)?,
            delta: g2("vkey.vk_delta_2", &self.vk_delta_2)?,
            ic: ic.collect::<Result<_, _>>()?,
        })
    }
}

impl ProofFile<'_> {
    fn proof(&self) -> Result<Groth16Proof, InputError> {
        Ok(Groth16Proof {
            a: g1("proof.pi_a", &self.pi_a, Identity::Refused)?,
            b: g2("proof.pi_b", &self.pi_b)?,
            c: g1("proof.pi_c", &self.pi_c, Identity::Accepted)?,
        })
    }
}

fn wrong(field: &str, problem: impl Into<String>) -> InputError {
    InputError::Field { field: field.to_owned(), problem: problem.into() }
}

fn check_kind(file: &str, protocol: &str, curve: &str) -> Result<(), InputError> {
    let kinds = [("protocol", protocol, "groth16"), ("curve", curve, "bn128")];
    kinds.into_iter().try_for_each(|(field, got, expected)| {
        let problem = || format!("is {got:?}, only {expected:?} is certified");
        if got == expected { Ok(()) } else { Err(wrong(&format!("{file}.{field}"), problem())) }
    })
}

fn check_counts(document: &Document<'_>) -> Result<(), InputError> {
    let stated = document.vkey.num_public as usize;
    if stated > INPUTS_MAX {
        let problem = format!("is {stated}, at most {INPUTS_MAX} are accepted");
        return Err(wrong("vkey.nPublic", problem));
    }
    let points = document.vkey.ic.len();
    if points != stated + 1 {
        return Err(wrong("vkey.IC", format!("has {points} points for {stated} public inputs")));
    }
    let given = document.public.len();
    if given != stated {
        return Err(wrong("public", format!("has {given} values, the key takes {stated}")));
    }
    Ok(())
}

/// A number in its one decimal form.
fn number<F: FromStr + ToString>(field: &str, text: &str) -> Result<F, InputError> {
    let value = (text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| F::from_str(text).ok())
        .flatten();
    // The field reduces what it reads, so only a canonical number comes back as it was.
    value.filter(|value| value.to_string() == text).ok_or_else(|| {
        let shown: String = text.chars().take(DIGITS_MAX + 1).collect();
        wrong(field, format!("holds {shown:?}, which is no decimal number below the modulus"))
    })
}

/// The affine coordinates of a point, `None` for the identity.
fn affine<T>(field: &str, z: &[&str], xy: T, is_identity: bool) -> Result<Option<T>, InputError> {
    match z {
        ["1"] | ["1", "0"] => Ok(Some(xy)),
        ["0"] | ["0", "0"] if is_identity => Ok(None),
        _ => Err(wrong(field, "is no affine point: its third coordinate must be 1")),
    }
}

fn g1(field: &str, [x, y, z]: &G1Text<'_>, identity: Identity) -> Result<G1Affine, InputError> {
    let xy: (Fq, Fq) = (number(field, x)?, number(field, y)?);
    let point = match affine(field, &[z], xy, [*x, *y] == ["0", "1"])? {
        // Both zero is how bytes write the identity; as an affine point it is off the curve.
        Some((x, y)) if x.is_zero() && y.is_zero() => Err(Fault::OffCurve),
        Some((x, y)) => g1_of(x, y, identity),
        None => g1_of(Fq::zero(), Fq::zero(), identity),
    };
    point.map_err(|fault| wrong(field, fault.problem()))
}

fn g2(field: &str, [x, y, z]: &G2Text<'_>) -> Result<G2Affine, InputError> {
    let extension = |[c0, c1]: &[&str; 2]| -> Result<Fq2, InputError> {
        Ok(Fq2::new(number(field, c0)?, number(field, c1)?))
    };
    let xy = (extension(x)?, extension(y)?);
    let is_identity = [*x, *y] == [["0", "0"], ["1", "0"]];
    let (x, y) = affine(field, z, xy, is_identity)?.unwrap_or_default();
    g2_of(x, y).map_err(|fault| wrong(field, fault.problem()))
}
