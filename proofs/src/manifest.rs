//! What a verifier build promises; defined in core, where it is part of every statement.
//!
//! The security figures are computed here (see [`soundness`](crate::stark::soundness)) from the real
//! tables and never typed in.

pub use proofgrid_core::manifest::{Manifest, Profile, ProofLimits};
