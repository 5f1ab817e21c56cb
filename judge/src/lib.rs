//! The sandbox: one proof is judged in one short-lived child process.
//!
//! Verification decodes bytes that a stranger made. The parent hands a request to a fresh child over
//! its standard input; the child limits itself (memory, processor time, files, privileges), decodes,
//! verifies, writes one reply and ends. Whatever happens in there, the parent lives and holds keys
//! that the child never sees: its environment is empty and no file but the three pipes is open.
//!
//! A verdict is a function of bytes and manifest alone. So only a completed reply is one:
//! [`Judged::Verified`] or [`Judged::Refused`]. A time-out, a kill, a panic or a lack of memory says
//! something about this machine, not about the proof: it is retried once on a fresh child and then
//! [`Judged::Unjudged`], which is never signed.
//!
//! What this crate refuses to do: it knows no program by name, keeps nothing, and reports no
//! verdict of a child that did not end cleanly.

pub mod child;
mod judge;
mod outcome;
mod sandbox;
pub mod wire;

pub use self::judge::{Judge, JudgeConfig, JudgeRequest};
pub use self::outcome::{Judged, Judgement, UnjudgedReason};
