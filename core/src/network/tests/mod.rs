//! Tests of the state machine: scenarios, tables against the documents, golden bytes of facts, the
//! cost of decisions, and a random walk under every invariant.

mod chain;
mod edges;
mod evidence;
mod exclusion;
mod explain;
mod facts;
mod flow;
mod leases;
mod models;
mod pruning;
mod quorums;
mod race;
mod review;
mod scheduling;
mod sealed;
mod snapshots;
mod streams;
mod submissions;
mod walk;
mod world;
