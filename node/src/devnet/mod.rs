//! A development network: an EVM node, the contracts and every role as its own process, for the
//! demo, for trying things out and for the scenario tests.

pub mod anvil;
pub mod balance;
pub mod chain;
pub mod commands;
pub mod configs;
pub mod demo;
pub mod dispute;
pub mod layout;
pub mod network;
pub mod pay_day;
pub mod planted;
pub mod process;
pub mod progress;
pub mod rewards;
pub mod summary;
pub mod supervisor;
