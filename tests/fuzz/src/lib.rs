//! The fuzzing loop: corpus, seeded changes of it, and what must hold for any bytes at all.
//!
//! An ordinary test (`tests/fuzz`) replays the committed corpus (`corpus/<target>/`) and then runs a
//! fixed number of seeded changes, the same on every machine. `make fuzz SECONDS=600` runs the same
//! targets for a time each from a fresh seed, which it prints. What must hold: no panic, no arithmetic
//! overflow, no more memory than the input's length warrants, and nothing is accepted whose canonical
//! form is something else.
//!
//! Why no fuzzing framework: on a stable compiler bolero draws every seed from the system, changes no
//! corpus and counts nothing, so a push would not be repeatable; its coverage-guided engines need a
//! tool and a build of their own. In place of coverage, an input that is refused for a reason not seen
//! before joins the pool.

pub mod harness;
pub mod meter;
pub mod mutate;

pub use self::harness::{Outcome, Target, corpus, root};
pub use self::mutate::Shape;
