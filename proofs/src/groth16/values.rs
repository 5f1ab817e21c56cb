//! What a Groth16 proof says: the key that it satisfies and the public inputs.

use ark_bn254::Fr;
use proofgrid_core::ids::{Claim, VkDigest};

use super::points::{field_from_be, field_to_be};
use super::{INPUTS_MAX, SCALAR_BYTES, values_bytes};
use crate::digest::keccak256;
use crate::refusal::{Refusal, RefusalCode};

/// Tag of the claim, `docs/protocol.md` section 1.
const CLAIM_TAG: &str = "PROOFGRID_CLAIM_GROTH16_V1";

/// The public values: digest of the key, then the public inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groth16Values {
    key: VkDigest,
    inputs: Vec<Fr>,
}

impl Groth16Values {
    /// The values of a key and its inputs.
    ///
    /// # Errors
    /// [`RefusalCode::PublicValuesShape`] for more than [`INPUTS_MAX`] inputs.
    pub fn new(key: VkDigest, inputs: Vec<Fr>) -> Result<Self, Refusal> {
        check_count(inputs.len())?;
        Ok(Self { key, inputs })
    }

    /// The digest of the key.
    #[must_use]
    pub const fn key(&self) -> VkDigest {
        self.key
    }

    /// The public inputs.
    #[must_use]
    pub fn inputs(&self) -> &[Fr] {
        &self.inputs
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // At most INPUTS_MAX inputs, so the number fits.
        let count = u32::try_from(self.inputs.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(values_bytes(self.inputs.len()));
        bytes.extend_from_slice(self.key.as_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        for input in &self.inputs {
            bytes.extend_from_slice(&field_to_be(*input));
        }
        bytes
    }

    /// Decodes public values.
    ///
    /// # Errors
    /// [`RefusalCode::PublicValuesShape`]: another length, too many inputs, or a number that is not
    /// below the group order.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let refuse = |detail: String| Refusal::new(RefusalCode::PublicValuesShape, detail);
        let short =
            || refuse(format!("{} bytes, at least {} expected", bytes.len(), values_bytes(0)));
        let (key, rest) = bytes.split_first_chunk::<32>().ok_or_else(short)?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (words, odd) = rest.as_chunks::<SCALAR_BYTES>();
        if u64::from(u32::from_be_bytes(*count)) != words.len() as u64 || !odd.is_empty() {
            let stated = u32::from_be_bytes(*count);
            return Err(refuse(format!("{stated} inputs in {} bytes", rest.len())));
        }
        check_count(words.len())?;
        let scalar = |(position, word): (usize, &[u8; SCALAR_BYTES])| {
            field_from_be(word).ok_or_else(|| {
                refuse(format!("public input {position} is not below the group order"))
            })
        };
        let inputs = words.iter().enumerate().map(scalar).collect::<Result<_, _>>()?;
        Ok(Self { key: VkDigest::from_bytes(*key), inputs })
    }

    /// The claim over them.
    #[must_use]
    pub fn claim(&self) -> Claim {
        let mut bytes = keccak256(CLAIM_TAG.as_bytes()).to_vec();
        bytes.extend_from_slice(&self.encode());
        Claim::from_bytes(keccak256(&bytes))
    }
}

fn check_count(count: usize) -> Result<(), Refusal> {
    if count > INPUTS_MAX {
        let detail = format!("{count} public inputs, at most {INPUTS_MAX} are accepted");
        return Err(Refusal::new(RefusalCode::PublicValuesShape, detail));
    }
    Ok(())
}
