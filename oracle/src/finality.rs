//! When a block of a chain counts as final.
//!
//! Everything that the oracle tells the network (jobs, epochs, "settled") is read at blocks that
//! are final under one policy per chain. `latest` is no policy: a job or payment taken from the
//! head can be undone by an ordinary reorg, so the word is refused wherever a policy is read.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Deepest `depth=N` that is accepted: beyond it an oracle would trail the chain by days.
pub const FINALITY_DEPTH_MAX: u64 = 100_000;

/// Why a finality policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FinalityError {
    /// The head is never final.
    #[error(
        "finality `{0}` is refused: a block at the head can still be undone; use `finalized`, \
         `safe` or `depth=N`"
    )]
    Latest(String),
    /// Not a policy.
    #[error(
        "`{0}` is no finality policy; use `finalized`, `safe` or `depth=N` with N from 1 to \
         {FINALITY_DEPTH_MAX}"
    )]
    Unknown(String),
}

/// Which blocks are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinalityPolicy {
    /// The consensus layer's finalized checkpoint. The default.
    #[default]
    Finalized,
    /// The consensus layer's justified checkpoint.
    Safe,
    /// `N` blocks below the head, for chains without checkpoints.
    Depth(NonZeroU64),
}

impl FromStr for FinalityPolicy {
    type Err = FinalityError;

    fn from_str(text: &str) -> Result<Self, FinalityError> {
        match text {
            "finalized" => return Ok(Self::Finalized),
            "safe" => return Ok(Self::Safe),
            "latest" | "pending" | "depth=0" => return Err(FinalityError::Latest(text.into())),
            _ => {}
        }
        text.strip_prefix("depth=")
            .and_then(|digits| digits.parse::<NonZeroU64>().ok())
            .filter(|depth| depth.get() <= FINALITY_DEPTH_MAX)
            .map(Self::Depth)
            .ok_or_else(|| FinalityError::Unknown(text.chars().take(40).collect()))
    }
}

impl fmt::Display for FinalityPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finalized => f.write_str("finalized"),
            Self::Safe => f.write_str("safe"),
            Self::Depth(depth) => write!(f, "depth={depth}"),
        }
    }
}

impl Serialize for FinalityPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FinalityPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_round_trip_as_text() {
        for text in ["finalized", "safe", "depth=1", "depth=64", "depth=100000"] {
            assert_eq!(text.parse::<FinalityPolicy>().unwrap().to_string(), text);
        }
        assert_eq!(FinalityPolicy::default(), FinalityPolicy::Finalized);
    }

    #[test]
    fn the_head_is_refused_by_name() {
        for text in ["latest", "pending", "depth=0"] {
            let error = text.parse::<FinalityPolicy>().unwrap_err();
            assert_eq!(error, FinalityError::Latest(text.into()));
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for text in ["", "Finalized", "depth=", "depth=-1", "depth=100001", "depth=1e3", "12"] {
            let error = text.parse::<FinalityPolicy>().unwrap_err();
            assert!(matches!(error, FinalityError::Unknown(_)), "{text}: {error}");
        }
    }
}
