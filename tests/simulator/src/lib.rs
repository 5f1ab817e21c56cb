//! Seeded simulations of a whole network, in two layers: over the pure core, which this page is about,
//! and with the real programs on a simulated network ([`run_wire`]).
//!
//! The state machine is the real one (`proofgrid_core::network::Network`); what surrounds it is
//! simulated: a dispatcher with a journal that loses what it had not flushed, provers, verifiers,
//! requesters, an oracle, a chain with reorgs and the rules of our contracts, a network and clocks.
//! One seed is one run: every choice comes from one generator, every event is ordered by its time
//! and the number of its insertion, nothing asks the machine for anything.
//!
//! The simulator keeps books of its own, made from what peers really did, and holds the network
//! against them after every step. [`Plant`]s are bugs put into the simulator's adapters on purpose:
//! they show that the books would find such a bug. `docs/simulator.md` lists them.

mod chain;
mod checks;
mod dispatcher;
mod edge;
mod net;
mod oracle;
mod plan;
mod plants;
mod prover;
mod queue;
mod random;
mod requester;
mod stakes;
mod sweep;
mod truth;
mod verifier;
mod wire;
mod world;

pub use plants::Plant;
pub use sweep::{Sweep, argument, plant, sweep};
pub use wire::{WireFailure, WirePlant, WireReport, run_wire, run_wire_alone};
pub use world::{Failure, Report, run};
