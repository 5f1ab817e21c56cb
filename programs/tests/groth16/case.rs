//! What the contract is asked, and what Rust answers.

use ark_bn254::Fr;
use proofgrid_core::ids::{Address, Claim, JobId, ProgramId, PublicValuesDigest, VkDigest};
use proofgrid_programs::groth16::Groth16Program;
use proofgrid_proofs::digest::keccak256;
use proofgrid_proofs::program::{Binding, Program};
use serde_json::{Value, json};

use crate::trapdoor::word;

/// The arguments of `IProofVerifier.verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub program: [u8; 32],
    pub vk: [u8; 32],
    pub values: [u8; 32],
    pub claim: [u8; 32],
    pub envelope: Vec<u8>,
}

/// Offsets in an envelope of `inputs` public inputs, written down a second time.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub inputs: usize,
}

impl Layout {
    pub const PROGRAM: usize = 4;
    pub const VK: usize = 36;
    pub const VALUES: usize = 72;

    pub const fn values_bytes(self) -> usize {
        36 + 32 * self.inputs
    }
    pub const fn scalar(self, index: usize) -> usize {
        Self::VALUES + 36 + 32 * index
    }
    pub const fn key(self) -> usize {
        Self::VALUES + self.values_bytes() + 4
    }
    pub const fn key_bytes(self) -> usize {
        448 + 64 * (self.inputs + 1)
    }
    pub const fn ic(self, index: usize) -> usize {
        self.key() + 448 + 64 * index
    }
    pub const fn proof(self) -> usize {
        self.key() + self.key_bytes()
    }
    pub const fn total(self) -> usize {
        self.proof() + 256
    }
    /// Where each point lies and how long it is: alpha, beta, gamma, delta, IC, A, B, C.
    pub fn points(self) -> Vec<(String, usize, usize)> {
        let (key, proof) = (self.key(), self.proof());
        let mut points = vec![
            ("alpha".to_owned(), key, 64),
            ("beta".to_owned(), key + 64, 128),
            ("gamma".to_owned(), key + 192, 128),
            ("delta".to_owned(), key + 320, 128),
        ];
        points.extend((0..=self.inputs).map(|i| (format!("IC[{i}]"), self.ic(i), 64)));
        points.extend([
            ("A".to_owned(), proof, 64),
            ("B".to_owned(), proof + 64, 128),
            ("C".to_owned(), proof + 192, 64),
        ]);
        points
    }
}

pub fn program_id() -> [u8; 32] {
    *Groth16Program::new().id().as_bytes()
}

impl Case {
    /// An envelope with matching arguments around these parts.
    pub fn of(key: &[u8], inputs: &[Fr], proof: &[u8]) -> Self {
        let scalars = inputs.iter().map(|input| word(*input)).collect::<Vec<_>>().concat();
        let count = u32::try_from(inputs.len()).expect("few");
        Self::of_bytes(key, count, &scalars, proof)
    }

    pub fn of_bytes(key: &[u8], count: u32, scalars: &[u8], proof: &[u8]) -> Self {
        let vk = keccak256(key);
        let values = [&vk[..], &count.to_be_bytes(), scalars].concat();
        let part = [key, proof].concat();
        let length = |part: &[u8]| u32::try_from(part.len()).expect("short").to_be_bytes();
        let program = program_id();
        let envelope =
            [b"PGP1", &program[..], &vk, &length(&values), &values, &length(&part), &part].concat();
        let mut case = Self { program, vk, values: [0; 32], claim: [0; 32], envelope };
        case.mend_values(&values);
        case
    }

    pub fn mend_values(&mut self, values: &[u8]) {
        let tag = keccak256(b"PROOFGRID_CLAIM_GROTH16_V1");
        self.values = keccak256(values);
        self.claim = keccak256(&[&tag, values].concat());
    }

    /// Rust's answer, with the reason of a refusal.
    pub fn verdict(&self) -> Result<(), String> {
        let program = Groth16Program::new();
        let binding = Binding {
            job: JobId::from_bytes([3; 32]),
            program: ProgramId::from_bytes(self.program),
            prover: Address::from_bytes([5; 20]),
            segment_index: 0,
            first: 0,
            count: 1,
        };
        let verified = program
            .verify(&self.envelope, &binding)
            .map_err(|refusal| refusal.code().text().to_owned())?;
        let claim = program.claim_of_segments(&[&verified.public_values]).expect("just verified");
        if verified.vk_digest != VkDigest::from_bytes(self.vk) {
            return Err("not the record's key".into());
        }
        if verified.public_values_digest != PublicValuesDigest::from_bytes(self.values) {
            return Err("not the record's public values".into());
        }
        if claim != Claim::from_bytes(self.claim) {
            return Err("not the job's claim".into());
        }
        Ok(())
    }

    pub fn json(&self) -> Value {
        json!({
            "claim": hex0x(&self.claim),
            "envelope": hex0x(&self.envelope),
            "program": hex0x(&self.program),
            "publicValuesDigest": hex0x(&self.values),
            "vkDigest": hex0x(&self.vk),
        })
    }
}

pub fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
