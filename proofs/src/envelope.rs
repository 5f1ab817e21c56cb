//! The bytes around a proof, and the seed of its transcript.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | `PGP1` |
//! | 4 | 32 | program id |
//! | 36 | 32 | verifying-key digest |
//! | 68 | 4 | length `p` of the public values, big-endian |
//! | 72 | p | public values |
//! | 72 + p | 4 | length `q` of the proof, big-endian |
//! | 76 + p | q | proof, canonical postcard |
//!
//! Nothing may follow. Job, prover and range are not in the envelope: they come from the verifier's
//! own records and enter through the seed, so an envelope verifies under one binding only.

use proofgrid_core::ids::{ProgramId, VkDigest};

use crate::canonical::Description;
use crate::digest::keccak256;
use crate::manifest::ProofLimits;
use crate::program::Binding;
use crate::refusal::{Refusal, RefusalCode};

/// First bytes of every envelope.
pub const MAGIC: [u8; 4] = *b"PGP1";

/// Bytes of an envelope without public values and proof.
pub const OVERHEAD_BYTES: usize = 4 + 32 + 32 + 4 + 4;

/// A decoded envelope; borrows from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The program that the prover claims to have run.
    pub program: ProgramId,
    /// The verifying key that the proof claims to satisfy.
    pub vk: VkDigest,
    /// Public values, in the program's own layout.
    pub public_values: &'a [u8],
    /// The proof's canonical bytes.
    pub proof: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// The envelope's bytes; `None` if a part is longer than 2^32 bytes.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let public_values_len = u32::try_from(self.public_values.len()).ok()?;
        let proof_len = u32::try_from(self.proof.len()).ok()?;
        let mut bytes =
            Vec::with_capacity(OVERHEAD_BYTES + self.public_values.len() + self.proof.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(self.program.as_bytes());
        bytes.extend_from_slice(self.vk.as_bytes());
        bytes.extend_from_slice(&public_values_len.to_be_bytes());
        bytes.extend_from_slice(self.public_values);
        bytes.extend_from_slice(&proof_len.to_be_bytes());
        bytes.extend_from_slice(self.proof);
        Some(bytes)
    }

    /// Decodes an envelope within the manifest's limits.
    ///
    /// # Errors
    /// A [`Refusal`] of the shape class.
    pub fn decode(bytes: &'a [u8], limits: &ProofLimits) -> Result<Self, Refusal> {
        check_limit("the envelope", bytes.len(), limits.proof_bytes_max.get())?;
        let mut rest = Reader(bytes);
        if rest.array::<4>()? != MAGIC {
            let detail = "the first four bytes are not PGP1";
            return Err(Refusal::new(RefusalCode::EnvelopeVersion, detail));
        }
        let program = ProgramId::from_bytes(rest.array()?);
        let vk = VkDigest::from_bytes(rest.array()?);
        let public_values = rest.prefixed()?;
        check_limit(
            "the public values",
            public_values.len(),
            limits.public_values_bytes_max.get(),
        )?;
        let proof = rest.prefixed()?;
        if !rest.0.is_empty() {
            let detail = format!("{} bytes follow the proof", rest.0.len());
            return Err(Refusal::new(RefusalCode::EnvelopeLength, detail));
        }
        Ok(Self { program, vk, public_values, proof })
    }

    /// Checks that the envelope names this program and key.
    ///
    /// # Errors
    /// A [`Refusal`] of the identity class.
    pub fn check_identity(&self, program: &ProgramId, vk: &VkDigest) -> Result<(), Refusal> {
        if self.program != *program {
            let detail = format!("expected {program}, the envelope names {}", self.program);
            return Err(Refusal::new(RefusalCode::WrongProgram, detail));
        }
        if self.vk != *vk {
            let detail = format!("expected {vk}, the envelope names {}", self.vk);
            return Err(Refusal::new(RefusalCode::WrongKey, detail));
        }
        Ok(())
    }
}

fn check_limit(what: &str, len: usize, max: u64) -> Result<(), Refusal> {
    if len as u64 > max {
        let detail = format!("{what} has {len} bytes, the manifest allows {max}");
        return Err(Refusal::new(RefusalCode::TooLong, detail));
    }
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        let (head, tail) = self.0.split_at_checked(len).ok_or_else(|| {
            let detail = format!("{len} bytes expected, {} left", self.0.len());
            Refusal::new(RefusalCode::EnvelopeLength, detail)
        })?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn prefixed(&mut self) -> Result<&'a [u8], Refusal> {
        let len = u32::from_be_bytes(self.array()?);
        // On a 16-bit platform a longer part could not be in memory, so saturating is a refusal.
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }
}

/// The digest that seeds a proof's transcript: key, program, job, prover, range, public values.
#[must_use]
pub fn transcript_seed(vk: &VkDigest, binding: &Binding, public_values: &[u8]) -> [u8; 32] {
    let mut out = Description::default();
    out.text("PROOFGRID_SEED_V1")
        .bytes(vk.as_bytes())
        .bytes(binding.program.as_bytes())
        .bytes(binding.job.as_bytes())
        .bytes(binding.prover.as_bytes())
        .int(u64::from(binding.segment_index))
        .int(binding.first)
        .int(binding.count)
        .bytes(public_values);
    keccak256(out.as_slice())
}

#[cfg(test)]
mod tests {
    use proofgrid_core::ids::{Address, JobId};
    use proofgrid_core::units::{ByteCount, Millis};
    use proptest::prelude::*;

    use super::*;

    fn limits() -> ProofLimits {
        ProofLimits {
            proof_bytes_max: ByteCount::new(1000),
            public_values_bytes_max: ByteCount::new(10),
            verify_ms_max: Millis::new(1),
            verify_memory_bytes_max: ByteCount::new(1),
        }
    }

    fn envelope() -> Envelope<'static> {
        Envelope {
            program: ProgramId::from_bytes([1; 32]),
            vk: VkDigest::from_bytes([2; 32]),
            public_values: b"values",
            proof: b"proof",
        }
    }

    fn code(bytes: &[u8]) -> RefusalCode {
        Envelope::decode(bytes, &limits()).expect_err("refused").code()
    }

    #[test]
    fn round_trip() {
        let bytes = envelope().encode().expect("short");
        assert_eq!(bytes.len(), OVERHEAD_BYTES + 11);
        assert_eq!(Envelope::decode(&bytes, &limits()), Ok(envelope()));
    }

    #[test]
    fn wrong_lengths_magic_and_limits_are_refused() {
        let bytes = envelope().encode().expect("short");
        for len in 0..bytes.len() {
            assert_eq!(code(&bytes[..len]), RefusalCode::EnvelopeLength, "{len} bytes");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(code(&longer), RefusalCode::EnvelopeLength);
        let mut other = bytes;
        other[0] = b'Q';
        assert_eq!(code(&other), RefusalCode::EnvelopeVersion);
        let values = Envelope { public_values: &[0; 11], ..envelope() };
        assert_eq!(code(&values.encode().expect("short")), RefusalCode::TooLong);
        let proof = Envelope { proof: &[0; 1000], ..envelope() };
        assert_eq!(code(&proof.encode().expect("short")), RefusalCode::TooLong);
    }

    #[test]
    fn identities_are_checked() {
        let (program, vk) = (envelope().program, envelope().vk);
        assert_eq!(envelope().check_identity(&program, &vk), Ok(()));
        let refused = envelope().check_identity(&ProgramId::ZERO, &vk).expect_err("program");
        assert_eq!(refused.code(), RefusalCode::WrongProgram);
        let refused = envelope().check_identity(&program, &VkDigest::ZERO).expect_err("key");
        assert_eq!(refused.code(), RefusalCode::WrongKey);
    }

    #[test]
    fn every_field_changes_the_seed() {
        let binding = Binding {
            job: JobId::from_bytes([3; 32]),
            program: ProgramId::from_bytes([4; 32]),
            prover: Address::from_bytes([5; 20]),
            segment_index: 6,
            first: 7,
            count: 8,
        };
        let vk = VkDigest::from_bytes([9; 32]);
        let base = transcript_seed(&vk, &binding, b"v");
        assert_ne!(base, transcript_seed(&VkDigest::ZERO, &binding, b"v"));
        assert_ne!(base, transcript_seed(&vk, &binding, b"w"));
        let changes: [fn(&mut Binding); 6] = [
            |b| b.job = JobId::ZERO,
            |b| b.program = ProgramId::ZERO,
            |b| b.prover = Address::ZERO,
            |b| b.segment_index = 0,
            |b| b.first = 0,
            |b| b.count = 0,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = binding;
            change(&mut changed);
            assert_ne!(base, transcript_seed(&vk, &changed, b"v"), "field {index}");
        }
    }

    proptest! {
        #[test]
        fn decoding_any_bytes_is_total_and_canonical(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(envelope) = Envelope::decode(&bytes, &limits()) {
                prop_assert_eq!(envelope.encode(), Some(bytes.clone()));
            }
        }
    }
}
