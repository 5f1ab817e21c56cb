//! The oracle: carries jobs in from an EVM chain and verdicts back onto it.
//!
//! The only crate that talks to a chain. An [`service::Oracle`] reads one chain at final blocks
//! ([`reader`]), tells the dispatcher what happened and moves its cursor only when that is durable
//! there, posts certificates and settlements ([`submit`]) and follows them to finality. The same
//! reading serves verifiers, who must not take the dispatcher's word for epochs and manifests
//! ([`view`]). [`deploy`] and [`sender`] are for people and scripts that set a network up.
//!
//! It decides nothing: what counts is fixed by `core` and by the contracts. It refuses to act on
//! blocks that are not final, on endpoints of another chain, and on contracts that do not belong
//! together.

pub mod abi;
mod answering;
pub mod bonds;
pub mod challenge;
pub mod config;
pub mod contracts;
mod creations;
pub mod cursor;
pub mod deploy;
pub mod direct;
mod duty;
pub mod eigenlayer;
pub mod ejections;
pub mod epochs;
mod exclusions;
pub mod finality;
pub mod keeper;
pub mod key;
pub mod locks;
pub mod mirror;
pub mod posts;
pub mod publishing;
pub mod racer;
pub mod races;
pub mod reader;
pub mod referee;
pub mod rewards;
pub mod rpc;
pub mod sender;
pub mod service;
pub mod session;
pub mod setup;
pub mod state_file;
pub mod submit;
pub mod view;
