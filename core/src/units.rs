//! Quantities with their unit in the type.

use std::fmt;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $unit:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize,
            BorshDeserialize,
        )]
        pub struct $name($inner);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0);

            /// Wraps a count of the unit.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The count of the unit.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }

            /// Sum, stopping at the type's maximum.
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// Difference, stopping at zero.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// Sum, or `None` when it does not fit.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{}", $unit), self.0)
            }
        }
    };
}

quantity!(
    /// Milliseconds since the Unix epoch, by the dispatcher's clock.
    UnixMillis, u64, " ms"
);
quantity!(
    /// Seconds since the Unix epoch; what chains and deadlines use.
    UnixSeconds, u64, " s"
);
quantity!(
    /// A span of time in milliseconds.
    Millis, u64, " ms"
);
quantity!(
    /// A number of bytes.
    ByteCount, u64, " B"
);
quantity!(
    /// Restaked weight of a verifier, in wei of the stake token.
    Stake, u128, " wei"
);
quantity!(
    /// What a prover is paid by; each program says what one unit is (`keccak`: one permutation).
    WorkUnits, u64, " units"
);

impl UnixMillis {
    /// The instant `span` later, stopping at the maximum.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Time since `earlier`, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// The whole second that this instant lies in.
    #[must_use]
    pub const fn as_seconds(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000)
    }
}

impl UnixSeconds {
    /// The first millisecond of this second, stopping at the maximum.
    #[must_use]
    pub const fn as_millis(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(1000))
    }
}

impl From<Millis> for Duration {
    fn from(span: Millis) -> Self {
        Self::from_millis(span.0)
    }
}
