//! Verifiers' pay, from the vault's pots to claimed coins.
//!
//! A settled job leaves the verifiers' part of its fee in the pot of those who signed ([`pots`]).
//! When the interval in which their epoch began is over, anybody may hand the pot to the restaking
//! core as a submission that names what each operator gets ([`submissions`]). Off the chain, the
//! core's rewards updater splits submissions between operators and their stakers ([`calculation`])
//! and posts the Merkle root over what every account has earned so far ([`Earnings`]); under that
//! root each account claims what it has not claimed yet ([`roots`]).
//!
//! On public networks EigenLayer is the updater and its calculation is the one that counts. The one
//! here is for development networks.

pub mod calculation;
mod earnings;
mod payroll;
pub mod pots;
pub mod roots;
pub(crate) mod scan;
pub mod submissions;
mod tree;

pub use earnings::{Earnings, EarningsError};
pub use payroll::Payroll;
