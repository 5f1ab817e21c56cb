//! BLS over BN254: signatures and message points in G1, keys in G1 and G2.
//!
//! The curve is the one that the EVM has precompiles for; the exact bytes are in `docs/protocol.md`
//! section 2. Everything that comes from outside is parsed strictly: canonical coordinates, on the
//! curve, in the prime-order subgroup, never the identity. A [`SecretKey`] signs [`BlsMessage`]s
//! and nothing else. Aggregation is safe against rogue keys only because every key in an epoch table
//! carries a proof of possession; this module does not check that a table's keys have one.
//!
//! The arithmetic is not constant-time: a signer must not share a core with an adversary that can
//! measure it. Keys never leave this module in `Debug` or errors.

mod check;
mod keys;
mod messages;
mod points;

pub use check::{verify_aggregate, verify_all_keys_match, verify_keys_match};
pub use keys::SecretKey;
pub use messages::BlsMessage;
pub use points::{G1Point, PublicKeyG1, PublicKeyG2, Signature, hash_to_g1};

use thiserror::Error;

/// Why a point, key or signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BlsError {
    /// Another number of bytes.
    #[error("a {kind} has {expected} bytes, got {got}")]
    Length {
        /// What was parsed.
        kind: &'static str,
        /// Bytes of it.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// Not hexadecimal.
    #[error("a {kind} must be 0x and hexadecimal digits")]
    NotHex {
        /// What was parsed.
        kind: &'static str,
    },
    /// A coordinate or scalar is not below its modulus.
    #[error("the {kind} is not canonical: a number in it is not below the modulus")]
    NotCanonical {
        /// What was parsed.
        kind: &'static str,
    },
    /// The identity (or a zero key) proves nothing and is refused everywhere.
    #[error("the {kind} is the identity, which is refused everywhere")]
    Identity {
        /// What was parsed or summed.
        kind: &'static str,
    },
    /// The coordinates satisfy no curve equation.
    #[error("the {kind} is not on the curve")]
    NotOnCurve {
        /// What was parsed.
        kind: &'static str,
    },
    /// The point is on the curve but outside the group of prime order.
    #[error("the {kind} is outside the subgroup of prime order")]
    WrongSubgroup {
        /// What was parsed.
        kind: &'static str,
    },
    /// A seed of another length.
    #[error("a key seed has 32 to 64 random bytes, got {got}")]
    Seed {
        /// Bytes given.
        got: usize,
    },
    /// The pairing equation does not hold.
    #[error("the signature does not verify for this message and key")]
    BadSignature,
    /// The G1 and G2 keys belong to different secrets.
    #[error("the G1 and G2 keys do not belong together")]
    KeysDiffer,
    /// No point was found in the allowed tries; happens with probability 2^-256.
    #[error("the message maps to no curve point in the allowed tries")]
    NoCurvePoint,
}

#[cfg(test)]
mod tests;
