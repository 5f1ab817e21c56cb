//! What a verifier build promises, and the identity of a program.
//!
//! A manifest is pinned per program and named by digest in every statement, so that two verifiers
//! that vote on one statement have applied the same limits. This module computes no security
//! figure: `proofs` does, from the real tables.

use crate::crypto::hash::{AbiWords, HashedText, keccak256};
use crate::ids::{ManifestDigest, ProgramId, VkDigest, codes};
use crate::units::{ByteCount, Millis};

/// Type string of the manifest digest.
pub static MANIFEST_TYPE: HashedText = HashedText::new(
    "ProofgridManifest(bytes32 name,bytes32 version,uint8 profile,\
bool hiding,uint16 provenBits,uint16 conjecturedBits,uint64 proofBytesMax,\
uint64 publicValuesBytesMax,uint64 verifyMsMax,uint64 verifyMemoryBytesMax)",
);
/// Type string of the program id.
pub static PROGRAM_TYPE: HashedText =
    HashedText::new("ProofgridProgram(bytes32 name,bytes32 vkDigest,bytes32 parametersDigest)");

/// Which promise a parameter set makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// At least 100 proven bits, Keccak-256 commitments and challenger. The default.
    Standard,
    /// The same field, queries and bits with Poseidon2-16, for proofs that will be folded.
    StandardFold,
    /// Bits only under a conjecture (of a STARK's queries, of discrete logarithms); the proven figure
    /// is far lower and is shown.
    Fast,
}
codes!(Profile, "profile", {
    Standard = 1 "standard", StandardFold = 2 "standard-fold", Fast = 3 "fast",
});

impl Profile {
    /// Whether the security of the profile rests on a conjecture alone.
    #[must_use]
    pub const fn conjectured_only(self) -> bool {
        matches!(self, Self::Fast)
    }
}

/// Limits that a verifier enforces; beyond one of the first two the proof is invalid, beyond one of
/// the last two it is unjudged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofLimits {
    /// Most bytes of the envelope.
    pub proof_bytes_max: ByteCount,
    /// Most bytes of one segment's public values.
    pub public_values_bytes_max: ByteCount,
    /// Wall time after which the judge gives up; at least ten times the worst admitted proof.
    pub verify_ms_max: Millis,
    /// Memory at which the judge is stopped; at least ten times the worst admitted proof.
    pub verify_memory_bytes_max: ByteCount,
}

/// The exact verifier build of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the program's system, e.g. `keccak`.
    pub name: String,
    /// Version of the verifier; a change of any verdict on any bytes changes it.
    pub version: String,
    /// Parameter set.
    pub profile: Profile,
    /// Whether the proof hides its witness.
    pub hiding: bool,
    /// Proven security in bits at the largest allowed heights, rounded down.
    pub proven_bits: u16,
    /// Conjectured security in bits at the largest allowed heights, rounded down.
    pub conjectured_bits: u16,
    /// Limits of the verifier.
    pub limits: ProofLimits,
}

impl Manifest {
    /// The bytes whose Keccak-256 is the manifest digest: eleven ABI words.
    #[must_use]
    pub fn canonical_bytes(&self) -> AbiWords {
        AbiWords::typed(&MANIFEST_TYPE)
            .word(&keccak256(self.name.as_bytes()))
            .word(&keccak256(self.version.as_bytes()))
            .uint(u64::from(self.profile.code()))
            .flag(self.hiding)
            .uint(u64::from(self.proven_bits))
            .uint(u64::from(self.conjectured_bits))
            .uint(self.limits.proof_bytes_max.get())
            .uint(self.limits.public_values_bytes_max.get())
            .uint(self.limits.verify_ms_max.get())
            .uint(self.limits.verify_memory_bytes_max.get())
    }

    /// The digest that statements carry.
    #[must_use]
    pub fn digest(&self) -> ManifestDigest {
        ManifestDigest::from_bytes(self.canonical_bytes().digest())
    }
}

/// The identity of a program: system name, verifying key and digest of the parameters.
#[must_use]
pub fn program_id(name: &str, vk: &VkDigest, parameters_digest: &[u8; 32]) -> ProgramId {
    let words = AbiWords::typed(&PROGRAM_TYPE)
        .word(&keccak256(name.as_bytes()))
        .word(vk.as_bytes())
        .word(parameters_digest);
    ProgramId::from_bytes(words.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            name: "keccak".into(),
            version: "1".into(),
            profile: Profile::Standard,
            hiding: false,
            proven_bits: 100,
            conjectured_bits: 124,
            limits: ProofLimits {
                proof_bytes_max: ByteCount::new(4 << 20),
                public_values_bytes_max: ByteCount::new(1 << 20),
                verify_ms_max: Millis::new(10_000),
                verify_memory_bytes_max: ByteCount::new(1 << 30),
            },
        }
    }

    #[test]
    fn every_field_changes_the_digest() {
        let base = manifest();
        let changes: [fn(&mut Manifest); 10] = [
            |m| m.name.push('x'),
            |m| m.version.push('x'),
            |m| m.profile = Profile::Fast,
            |m| m.hiding = true,
            |m| m.proven_bits += 1,
            |m| m.conjectured_bits += 1,
            |m| m.limits.proof_bytes_max = ByteCount::new(1),
            |m| m.limits.public_values_bytes_max = ByteCount::new(1),
            |m| m.limits.verify_ms_max = Millis::new(1),
            |m| m.limits.verify_memory_bytes_max = ByteCount::new(1),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(base.digest(), changed.digest(), "field {index}");
        }
        assert_eq!(base.canonical_bytes().as_bytes().len(), 11 * 32);
    }

    #[test]
    fn every_part_of_a_program_changes_its_id() {
        let vk = VkDigest::from_bytes([1; 32]);
        let id = program_id("keccak", &vk, &[2; 32]);
        assert_ne!(id, program_id("keccal", &vk, &[2; 32]));
        assert_ne!(id, program_id("keccak", &VkDigest::from_bytes([2; 32]), &[2; 32]));
        assert_ne!(id, program_id("keccak", &vk, &[3; 32]));
    }
}
