//! Every number that the soundness of a proof depends on, in one place.

use crate::canonical::Description;
use crate::manifest::Profile;

/// The hash of commitments and transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HashKind {
    /// Keccak-f\[1600\] with rate 1088 and 256-bit digests: commitments as an overwrite-mode sponge
    /// over whole rows, the transcript as Keccak-256.
    Keccak = 1,
    /// Poseidon2 of width 16 over KoalaBear with 8-element digests, for proofs that will be folded.
    Poseidon2 = 2,
}

impl HashKind {
    /// Collision resistance in bits: half the digest (256 bits, or eight elements of 31 bits).
    #[must_use]
    pub const fn collision_bits(self) -> usize {
        match self {
            Self::Keccak => 128,
            Self::Poseidon2 => 123,
        }
    }
}

/// The parameters of the low-degree test and of grinding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// Hash of commitments and transcript.
    pub hash: HashKind,
    /// Log2 of the ratio of domain to degree.
    pub log_blowup: usize,
    /// Queries of the low-degree test.
    pub num_queries: usize,
    /// Log2 of the most points folded into one per round.
    pub log_arity_max: usize,
    /// Log2 of the number of coefficients at which folding stops.
    pub log_final_poly_len: usize,
    /// Grinding before the challenge that batches all openings, in bits.
    pub batch_pow_bits: usize,
    /// Grinding before every folding challenge, in bits.
    pub commit_pow_bits: usize,
    /// Grinding before the queries are sampled, in bits.
    pub query_pow_bits: usize,
    /// Grinding before the lookup challenges, in bits.
    pub lookup_pow_bits: usize,
    /// Grinding before the out-of-domain point, in bits.
    pub out_of_domain_pow_bits: usize,
    /// Log2 of the number of roots in a commitment; openings share paths, so more roots save nothing.
    pub log_cap: usize,
}

/// Queries of `standard` and `standard-fold`: one more than the fewest with which the largest tables
/// of both programs keep 100 proven bits (`soundness` computes it, tests hold it).
const STANDARD_QUERIES: usize = 170;
/// Queries of `fast`: the usual set, 98 bits under the query conjecture and 57 proven.
const FAST_QUERIES: usize = 84;
/// Without it, batching five thousand columns at two points would end at 99.7 proven bits. Searching
/// 2^8 candidates takes well under a millisecond.
const BATCH_POW_BITS: usize = 8;

impl Parameters {
    /// The parameter set of a profile.
    #[must_use]
    pub const fn of(profile: Profile) -> Self {
        let (hash, num_queries) = match profile {
            Profile::Standard => (HashKind::Keccak, STANDARD_QUERIES),
            Profile::StandardFold => (HashKind::Poseidon2, STANDARD_QUERIES),
            Profile::Fast => (HashKind::Keccak, FAST_QUERIES),
        };
        Self {
            hash,
            log_blowup: 1,
            num_queries,
            log_arity_max: 3,
            log_final_poly_len: 0,
            batch_pow_bits: BATCH_POW_BITS,
            commit_pow_bits: 0,
            query_pow_bits: 16,
            lookup_pow_bits: 0,
            out_of_domain_pow_bits: 0,
            log_cap: 0,
        }
    }

    /// Appends every parameter to a description of the verifying key.
    pub fn describe(&self, out: &mut Description) {
        out.text("koala-bear").text("quintic x^5 + x^2 - 1").text("two-adic fri");
        out.byte(self.hash as u8);
        for number in [
            self.log_blowup,
            self.num_queries,
            self.log_arity_max,
            self.log_final_poly_len,
            self.batch_pow_bits,
            self.commit_pow_bits,
            self.query_pow_bits,
            self.lookup_pow_bits,
            self.out_of_domain_pow_bits,
            self.log_cap,
        ] {
            out.size(number);
        }
    }
}
