//! The digests that identify programs, proofs and public values.

use proofgrid_core::ids::{BlobDigest, ProgramId, PublicValuesDigest, VkDigest};
use proofgrid_core::manifest;

pub use proofgrid_core::crypto::keccak256;

/// The identity of a program: system name, verifying key and canonical parameters.
#[must_use]
pub fn program_id(name: &str, vk: &VkDigest, parameters: &[u8]) -> ProgramId {
    manifest::program_id(name, vk, &keccak256(parameters))
}

/// The digest of one segment's public values.
#[must_use]
pub fn public_values_digest(public_values: &[u8]) -> PublicValuesDigest {
    PublicValuesDigest::from_bytes(keccak256(public_values))
}

/// The digest of proof bytes.
#[must_use]
pub fn proof_digest(proof: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(keccak256(proof))
}
