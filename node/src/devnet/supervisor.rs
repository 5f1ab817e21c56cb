//! Starts a devnet's roles again when they end by themselves, as the service manager of a real machine
//! would: what is killed by hand comes back with what it had on disk.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::network::{CHAIN, Devnet};

/// Starts of one role within [`WINDOW`] after which something is wrong with it.
const RESTARTS_MAX: usize = 5;
/// Time over which the starts of one role are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Remembers how often each role was started again.
#[derive(Debug, Default)]
pub struct Supervisor {
    restarts: BTreeMap<String, VecDeque<Instant>>,
}

impl Supervisor {
    /// Starts whatever has ended since the last look again, and says so, one line each.
    ///
    /// # Errors
    /// When the EVM node ended, whose blocks are gone with it, or a role ends again and again; with
    /// the end of its log.
    pub fn look(&mut self, devnet: &mut Devnet) -> anyhow::Result<Vec<String>> {
        let mut said = Vec::new();
        for (name, status) in devnet.ended() {
            let allowed = name != CHAIN && self.allows(&name, Instant::now());
            if !allowed {
                bail!("{name} ended ({status})\n{}", devnet.process(&name)?.log_tail(20));
            }
            devnet.start_role(&name)?;
            said.push(format!("{name} ended ({status}) and was started again"));
        }
        Ok(said)
    }

    /// Whether a role may be started again, and that it is.
    fn allows(&mut self, name: &str, now: Instant) -> bool {
        let starts = self.restarts.entry(name.to_owned()).or_default();
        starts.retain(|start| now.duration_since(*start) < WINDOW);
        let allowed = starts.len() < RESTARTS_MAX;
        if allowed {
            starts.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_ends_again_and_again_is_given_up() {
        let (mut supervisor, begin) = (Supervisor::default(), Instant::now());
        for _ in 0..RESTARTS_MAX {
            assert!(supervisor.allows("prover-1", begin));
        }
        assert!(!supervisor.allows("prover-1", begin));
        assert!(supervisor.allows("prover-2", begin), "each role for itself");
        assert!(supervisor.allows("prover-1", begin + WINDOW), "what is long ago is forgotten");
    }
}
