//! Identities: 32-byte digests, addresses and numbers that must never be mixed up.
//!
//! Each is a newtype over its bytes. How a digest is computed is specified in `docs/protocol.md`
//! section 1 and implemented next to the type that it identifies; this module only names them.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// Why a textual or binary identity was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseIdError {
    /// The byte string has another length than the identity.
    #[error("{kind} has {expected} bytes, got {got}; check that the right value was copied")]
    Length {
        /// Name of the identity.
        kind: &'static str,
        /// Bytes of the identity.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The text is not hexadecimal.
    #[error("{kind} must be 0x and {expected} bytes of hexadecimal, got {text:?}")]
    NotHex {
        /// Name of the identity.
        kind: &'static str,
        /// Bytes of the identity.
        expected: usize,
        /// The start of the refused text.
        text: String,
    },
}

/// Decodes `0x`-prefixed (or bare) hexadecimal into exactly `N` bytes.
fn parse_hex<const N: usize>(kind: &'static str, text: &str) -> Result<[u8; N], ParseIdError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0u8; N];
    alloy_primitives::hex::decode_to_slice(digits, &mut bytes).map_err(|_| {
        ParseIdError::NotHex { kind, expected: N, text: text.chars().take(80).collect() }
    })?;
    Ok(bytes)
}

/// A code that stands for no variant. Zero never does, so an unset field is never a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{code} is no code of a {kind}; the sender speaks another version or sent rubbish")]
pub struct UnknownCode {
    /// Name of the enumeration.
    pub kind: &'static str,
    /// The code given.
    pub code: u8,
}

/// A word that names no variant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no {kind}; use one of: {allowed}")]
pub struct UnknownName {
    /// Name of the enumeration.
    pub kind: &'static str,
    /// The start of the refused text.
    pub text: String,
    /// The words that are accepted.
    pub allowed: &'static str,
}

/// Gives an enumeration its codes in digests and its words in files and on the command line.
macro_rules! codes {
    ($name:ident, $kind:literal, { $first:ident = $first_code:literal $first_word:literal
        $(, $variant:ident = $code:literal $word:literal)* $(,)? }) => {
        impl $name {
            /// Every variant, by code.
            pub const ALL: [Self; [$first_code $(, $code)*].len()] =
                [Self::$first $(, Self::$variant)*];

            /// The code in digests and messages, `docs/protocol.md` section 1.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    Self::$first => $first_code,
                    $(Self::$variant => $code,)*
                }
            }

            /// The variant of a code.
            ///
            /// # Errors
            /// When no variant has the code; zero never has one.
            pub const fn from_code(code: u8) -> Result<Self, $crate::ids::UnknownCode> {
                match code {
                    $first_code => Ok(Self::$first),
                    $($code => Ok(Self::$variant),)*
                    _ => Err($crate::ids::UnknownCode { kind: $kind, code }),
                }
            }

            /// The word in files and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::UnknownName;

            fn from_str(text: &str) -> Result<Self, $crate::ids::UnknownName> {
                Self::ALL.into_iter().find(|variant| variant.name() == text).ok_or_else(|| {
                    $crate::ids::UnknownName {
                        kind: $kind,
                        text: text.chars().take(80).collect(),
                        allowed: concat!($first_word $(, ", ", $word)*),
                    }
                })
            }
        }
    };
}
pub(crate) use codes;

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name([u8; $len]);

        /// The order of the bytes.
        impl Ord for $name {
            // A search compares dozens of keys, and the first eight bytes tell nearly all of them
            // apart without a call.
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                let head = |id: &Self| id.0.first_chunk().map(|head| u64::from_be_bytes(*head));
                head(self).cmp(&head(other)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// The all-zero value; never a valid digest, used as padding and placeholder.
            pub const ZERO: Self = Self([0; $len]);

            /// Wraps raw bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseIdError;

            fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
                bytes.try_into().map(Self).map_err(|_| ParseIdError::Length {
                    kind: stringify!($name),
                    expected: $len,
                    got: bytes.len(),
                })
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex::<$len>(stringify!($name), text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", alloy_primitives::hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(0x{})", stringify!($name), alloy_primitives::hex::encode(self.0))
            }
        }
    };
}

bytes_id!(
    /// A job: the EIP-712 `hashStruct` of its specification.
    JobId, 32
);
bytes_id!(
    /// One task of a job: digest of (job, kind, index).
    TaskId, 32
);
bytes_id!(
    /// A program: digest of system name, verifying key and parameters.
    ProgramId, 32
);
bytes_id!(
    /// The digest of a verifying key (for an AIR program: of its canonical description).
    VkDigest, 32
);
bytes_id!(
    /// The digest of a verifier build: name, version, limits.
    ManifestDigest, 32
);
bytes_id!(
    /// The digest of the public values that a job expects.
    Claim, 32
);
bytes_id!(
    /// Keccak-256 of a blob's bytes: an input or a proof.
    BlobDigest, 32
);
bytes_id!(
    /// Keccak-256 of one segment's public values.
    PublicValuesDigest, 32
);
bytes_id!(
    /// What is voted on: one statement attempt of one job.
    StatementDigest, 32
);
bytes_id!(
    /// Merkle root over the ordered segment records of a statement.
    SegmentsRoot, 32
);
bytes_id!(
    /// Merkle root over the leaves of a batch.
    BatchRoot, 32
);
bytes_id!(
    /// Keccak-256 of an epoch table's bytes.
    TableDigest, 32
);
bytes_id!(
    /// Identity of a certificate: digest of target, epoch, table, root and count.
    CertificateId, 32
);
bytes_id!(
    /// What a verifier commits to before any vote is open: digest of its signed vote and a salt.
    Commitment, 32
);
bytes_id!(
    /// Identity of a commit set: the EIP-712 `hashStruct` that the dispatcher signs.
    CommitSetDigest, 32
);
bytes_id!(
    /// The hash of a block of some chain.
    BlockHash, 32
);
bytes_id!(
    /// The hash of a transaction of some chain.
    TxHash, 32
);
bytes_id!(
    /// Drawn by one side of a login; a signature over both sides' nonces cannot be replayed.
    LoginNonce, 32
);
bytes_id!(
    /// What an administrative call is about: a 32-byte id, or an address padded on the left.
    AdminSubject, 32
);
bytes_id!(
    /// An account or contract of an EVM chain; provers, verifiers and requesters are known by it.
    Address, 20
);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize,
            BorshDeserialize,
        )]
        pub struct $name($inner);

        impl $name {
            /// Wraps a number.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number_id!(
    /// An EVM chain id.
    ChainId, u64
);
number_id!(
    /// The number of an epoch, from 1.
    EpochNumber, u64
);
number_id!(
    /// A block height of some chain.
    BlockNumber, u64
);
number_id!(
    /// One try at a task, from 1; only grows.
    Attempt, u32
);
number_id!(
    /// Which statement of a job, from 1; grows after an invalid quorum.
    StatementAttempt, u32
);
number_id!(
    /// The fencing token of a lease; unique and only grows over the life of a network.
    LeaseToken, u64
);
number_id!(
    /// One connection of a peer to the dispatcher; never reused within a process.
    SessionId, u64
);
number_id!(
    /// A requester's own counter; with its address it is the idempotency key of a submit.
    Nonce, u64
);
number_id!(
    /// An operator set of the restaking layer: 0 holds the verifiers, 1 the bonded provers.
    OperatorSet, u32
);
number_id!(
    /// Position of a member in its epoch's table, from 0.
    MemberIndex, u16
);

impl MemberIndex {
    /// The position as an index into the table's members.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// What a peer logs in as.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Role {
    /// Proves tasks; known by its wallet.
    Prover,
    /// Judges and votes; known by its operator address and BLS key.
    Verifier,
    /// Carries jobs in and certificates out; known by its wallet.
    Oracle,
}
codes!(Role, "role", { Prover = 1 "prover", Verifier = 2 "verifier", Oracle = 3 "oracle" });

/// A contract on a chain.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct ChainContract {
    /// The chain.
    pub chain: ChainId,
    /// The contract's address on it.
    pub contract: Address,
}

/// The chain and contracts that one network is bound to; every signature carries part of it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct NetworkId {
    /// The chain where the stake lives.
    pub home_chain: ChainId,
    /// The `EpochTable` contract on it: the network's name in every signature but `ATTEST` and `POP`.
    pub epoch_table: Address,
}

impl NetworkId {
    /// The pair that signatures are bound to.
    #[must_use]
    pub const fn as_contract(&self) -> ChainContract {
        ChainContract { chain: self.home_chain, contract: self.epoch_table }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_and_unknown_codes_are_refused() {
        for role in Role::ALL {
            assert_eq!(Role::from_code(role.code()), Ok(role));
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert_eq!(Role::from_code(0), Err(UnknownCode { kind: "role", code: 0 }));
        assert_eq!(Role::from_code(4), Err(UnknownCode { kind: "role", code: 4 }));
        assert_eq!(
            "Prover".parse::<Role>().unwrap_err().to_string(),
            "\"Prover\" is no role; use one of: prover, verifier, oracle"
        );
    }

    proptest! {
        #[test]
        fn digests_read_back(bytes in any::<[u8; 32]>()) {
            let id = JobId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(JobId::try_from(&bytes[..]), Ok(id));
            prop_assert!(JobId::try_from(&bytes[1..]).is_err());
            prop_assert!(id.to_string()[..64].parse::<JobId>().is_err());
        }

        #[test]
        fn ids_are_ordered_as_their_bytes(
            bytes in any::<[u8; 32]>(),
            other in any::<[u8; 32]>(),
            common in 0usize..=32,
        ) {
            let mut near = other;
            near[..common].copy_from_slice(&bytes[..common]);
            for other in [other, near] {
                let (left, right) = (JobId::from_bytes(bytes), JobId::from_bytes(other));
                prop_assert_eq!(left.cmp(&right), bytes.cmp(&other));
            }
        }
    }
}
