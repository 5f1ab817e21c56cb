//! One program under one profile: everything about it that follows from its verifying key.
//!
//! Every program is built here, so that its identity, its manifest and the envelope around its
//! proofs are made in one way. What is left to a program is its input, its public values and its
//! tables.

use proofgrid_core::ids::{ProgramId, VkDigest};
use proofgrid_core::units::WorkUnits;

use crate::digest::{program_id, proof_digest, public_values_digest};
use crate::envelope::{Envelope, transcript_seed};
use crate::manifest::{Manifest, Profile, ProofLimits};
use crate::program::{Binding, ProveError, SegmentProof, VerifiedSegment};
use crate::refusal::{Refusal, RefusalCode};
use crate::stark::constraints::VerifyingKey;
use crate::stark::parameters::Parameters;
use crate::stark::soundness::Soundness;

/// Identity, parameters and manifest of a program under one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    id: ProgramId,
    vk: VkDigest,
    parameters: Parameters,
    manifest: Manifest,
}

impl Build {
    /// The build of a key. The security figures are computed from the key's tables; none of the
    /// configurations here hides its witness, so the manifest never says that it does.
    #[must_use]
    pub fn new(
        name: &str,
        version: &str,
        profile: Profile,
        key: &VerifyingKey,
        limits: ProofLimits,
    ) -> Self {
        let soundness = Soundness::of(key);
        let vk = key.digest();
        Self {
            id: program_id(key.system, &vk, &key.parameters_bytes()),
            vk,
            parameters: key.parameters,
            manifest: Manifest {
                name: name.to_owned(),
                version: version.to_owned(),
                profile,
                hiding: false,
                proven_bits: Soundness::whole_bits(soundness.proven_bits),
                conjectured_bits: Soundness::whole_bits(soundness.conjectured_bits),
                limits,
            },
        }
    }

    /// The program's identity.
    #[must_use]
    pub const fn id(&self) -> ProgramId {
        self.id
    }

    /// The digest of the verifying key.
    #[must_use]
    pub const fn vk(&self) -> VkDigest {
        self.vk
    }

    /// Low-degree test, hash, grinding.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Name, version, security figures and limits.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The seed of a proof's transcript under this key.
    #[must_use]
    pub fn seed(&self, binding: &Binding, public_values: &[u8]) -> [u8; 32] {
        transcript_seed(&self.vk, binding, public_values)
    }

    /// Puts a proof into its envelope.
    ///
    /// # Errors
    /// [`ProveError::Backend`] if a part is longer than an envelope can hold.
    pub fn seal(&self, public_values: Vec<u8>, proof: &[u8]) -> Result<SegmentProof, ProveError> {
        let envelope =
            Envelope { program: self.id, vk: self.vk, public_values: &public_values, proof };
        let bytes = envelope.encode().ok_or_else(|| ProveError::Backend {
            phase: "envelope".into(),
            problem: "a part is longer than 2^32 bytes".into(),
        })?;
        Ok(SegmentProof { bytes, public_values })
    }

    /// Takes an envelope apart: limits, shape and both identities, before anything is computed.
    ///
    /// # Errors
    /// A [`Refusal`] of the shape or identity class.
    pub fn open<'a>(&self, bytes: &'a [u8], binding: &Binding) -> Result<Envelope<'a>, Refusal> {
        let envelope = Envelope::decode(bytes, &self.manifest.limits)?;
        envelope.check_identity(&self.id, &self.vk)?;
        if binding.program != self.id {
            let detail = format!("the binding names {}, this is {}", binding.program, self.id);
            return Err(Refusal::new(RefusalCode::WrongProgram, detail));
        }
        Ok(envelope)
    }

    /// What a proof says, if its mathematics holds. The proof is hashed beside the mathematics,
    /// whose checks are one after the other, so on two threads the digest costs nothing.
    ///
    /// # Errors
    /// The [`Refusal`] of `mathematics`.
    pub fn verified(
        &self,
        bytes: &[u8],
        envelope: &Envelope<'_>,
        work_units: WorkUnits,
        mathematics: impl FnOnce() -> Result<(), Refusal> + Send,
    ) -> Result<VerifiedSegment, Refusal> {
        let (verdict, proof_digest) = rayon::join(mathematics, || proof_digest(bytes));
        verdict?;
        Ok(VerifiedSegment {
            public_values: envelope.public_values.to_vec(),
            public_values_digest: public_values_digest(envelope.public_values),
            vk_digest: self.vk,
            proof_digest,
            work_units,
        })
    }
}
