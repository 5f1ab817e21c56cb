//! What somebody had before something happened, and after.

use alloy_primitives::U256;
use proofgrid_core::ids::Address;
use serde::Serialize;

/// A balance before and after, in the smallest unit of 18 decimals.
#[derive(Clone, Debug, Serialize)]
pub struct Balance {
    /// Its owner's part in the demo.
    pub whose: String,
    /// The owner's address.
    pub account: String,
    /// Of what.
    pub what: &'static str,
    /// Decimal.
    pub before: String,
    /// Decimal.
    pub after: String,
}

impl Balance {
    /// A balance that was looked at twice.
    #[must_use]
    pub fn new(
        whose: &str,
        account: Address,
        what: &'static str,
        before: U256,
        after: U256,
    ) -> Self {
        let (account, whose) = (account.to_string(), whose.to_owned());
        Self { whose, account, what, before: before.to_string(), after: after.to_string() }
    }

    fn numbers(&self) -> Option<(U256, U256)> {
        Some((self.before.parse().ok()?, self.after.parse().ok()?))
    }

    /// By how much it fell; `None` if it grew.
    #[must_use]
    pub fn lost(&self) -> Option<U256> {
        self.numbers().and_then(|(before, after)| before.checked_sub(after))
    }

    /// By how much it grew; `None` if it fell.
    #[must_use]
    pub fn gained(&self) -> Option<U256> {
        self.numbers().and_then(|(before, after)| after.checked_sub(before))
    }
}
