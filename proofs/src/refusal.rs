//! Why a proof was refused, as a value that two honest verifiers agree on.
//!
//! A refusal is a function of the proof's bytes, the binding and the manifest alone. Its code goes
//! into signed invalid votes, so the numbers are frozen: a new reason takes a new number. Shape,
//! lengths, identities and claim are checked before any mathematics, so a refusal with a code below
//! [`FIRST_ALGEBRA_CODE`] has cost next to nothing.

use std::fmt;

use thiserror::Error;

/// Codes from this one on mean that the bytes were well-formed and the mathematics said no.
pub const FIRST_ALGEBRA_CODE: u8 = 64;

/// What kind of check refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalClass {
    /// Bytes that no honest prover emits: wrong length, encoding, version or table shape.
    Shape,
    /// A proof of something else: another program, key, job, prover or range.
    Identity,
    /// Public values that do not give the job's claim.
    Claim,
    /// A well-formed proof of the right statement whose equations do not hold.
    Algebra,
}

macro_rules! refusal_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $class:ident, $text:literal;)+) => {
        /// The stable number of a reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum RefusalCode {
            $($(#[$doc])* $name = $code,)+
        }

        impl RefusalCode {
            /// Every reason, ascending by code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The number that is signed.
            #[must_use]
            pub const fn as_u8(self) -> u8 {
                self as u8
            }

            /// What kind of check refused.
            #[must_use]
            pub const fn class(self) -> RefusalClass {
                match self { $(Self::$name => RefusalClass::$class,)+ }
            }

            /// A short name for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }

        impl TryFrom<u8> for RefusalCode {
            type Error = UnknownRefusalCode;

            fn try_from(code: u8) -> Result<Self, UnknownRefusalCode> {
                match code {
                    $($code => Ok(Self::$name),)+
                    _ => Err(UnknownRefusalCode(code)),
                }
            }
        }
    };
}

refusal_codes! {
    /// The envelope is longer than the manifest allows.
    TooLong = 1, Shape, "proof too long";
    /// The envelope ends early, or bytes follow it.
    EnvelopeLength = 2, Shape, "envelope length wrong";
    /// The envelope does not start with the magic of this version.
    EnvelopeVersion = 3, Shape, "unknown envelope version";
    /// The proof inside the envelope does not decode.
    Encoding = 4, Shape, "proof does not decode";
    /// The proof decodes but is not the canonical encoding of its value.
    NotCanonical = 5, Shape, "proof encoding is not canonical";
    /// The public values have a length or layout that the program does not have.
    PublicValuesShape = 6, Shape, "public values malformed";
    /// A table height, count or width that the verifying key does not allow.
    TableShape = 7, Shape, "table shape not allowed";
    /// The envelope names another program.
    WrongProgram = 16, Identity, "proof of another program";
    /// The envelope names another verifying key.
    WrongKey = 17, Identity, "proof under another verifying key";
    /// The public values cover another number of items than the segment.
    WrongCount = 18, Identity, "proof covers another number of items";
    /// The segments do not cover the job: a gap, an overlap, a wrong order, or none.
    Coverage = 19, Identity, "segments do not cover the job";
    /// The ordered public values do not give the claim.
    ClaimMismatch = 32, Claim, "public values do not give the claim";
    /// An opening does not match its commitment, or the low-degree test fails.
    Opening = 64, Algebra, "opening refused";
    /// A table's constraints do not hold at the sampled point.
    Constraints = 65, Algebra, "constraints do not hold";
    /// The tables' buses do not balance.
    Lookup = 66, Algebra, "lookup does not balance";
    /// A proof-of-work witness misses its difficulty.
    ProofOfWork = 67, Algebra, "proof of work missing";
    /// The pairing equation of a Groth16 proof does not hold.
    Pairing = 68, Algebra, "pairing equation does not hold";
}

/// A code that no version of this crate has assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} is no refusal code of this version; upgrade to read it")]
pub struct UnknownRefusalCode(pub u8);

/// A completed refusal: the verdict is `invalid`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refusal {
    code: RefusalCode,
    detail: String,
}

impl Refusal {
    /// A refusal with what was expected and found. The detail is for people and is never signed.
    #[must_use]
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The stable number of the reason.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        self.code
    }

    /// What kind of check refused.
    #[must_use]
    pub const fn class(&self) -> RefusalClass {
        self.code.class()
    }

    /// What was expected and found.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {}): {}", self.code.text(), self.code.as_u8(), self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_and_split_by_class() {
        for code in RefusalCode::ALL {
            assert_eq!(RefusalCode::try_from(code.as_u8()), Ok(*code));
            let algebra = code.as_u8() >= FIRST_ALGEBRA_CODE;
            assert_eq!(algebra, code.class() == RefusalClass::Algebra, "{code:?}");
        }
        assert_eq!(RefusalCode::try_from(0), Err(UnknownRefusalCode(0)));
        assert_eq!(RefusalCode::ClaimMismatch.as_u8(), 32);
        assert_eq!(RefusalCode::Opening.as_u8(), 64);
    }
}
