//! EigenLayer's restaking core, as far as Proofgrid meets it: a development network deploys it, and
//! operators and stakers call it.
//!
//! The interfaces are our own words for the release that can be run here (core v1.4); its bytecode is
//! not ours and not in this repository: `make core` extracts it, [`CoreArtifacts`] reads it.

pub mod abi;
mod artifacts;
mod deploy;
mod operator;
mod stake_source;

pub use artifacts::{ArtifactsError, CoreArtifacts};
pub(crate) use deploy::create_core;
pub use deploy::{CoreConfig, CoreContracts};
pub use operator::{
    WHOLE_MAGNITUDE, allocate, delegate_stake, deregister, join_set, operator_shares, register,
    register_as_operator,
};
pub use stake_source::{OperatorStanding, StakeSource};
