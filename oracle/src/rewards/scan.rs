//! Logs of many blocks, asked for range by range.

use alloy::rpc::types::{Filter, Log};

use crate::rpc::{Chain, RpcError};

/// Most logs that are collected at once: more than a network writes of one kind in years.
const LOGS_MAX: usize = 1_000_000;

/// A way through blocks. Nothing is lost by an error: the next step begins where this one did.
#[derive(Debug)]
pub(crate) struct Scan {
    filter: Filter,
    next: u64,
    last: u64,
    width: u64,
}

impl Scan {
    /// From one block to another, both included, at most `width` at once and at least one.
    pub(crate) fn new(filter: Filter, first: u64, last: u64, width: u64) -> Self {
        Self { filter, next: first, last, width: width.max(1) }
    }

    /// The first block that was not read yet.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The next range's logs; `None` at the end. Asks for half as much each time an endpoint refuses.
    pub(crate) async fn step(&mut self, chain: &Chain) -> Result<Option<Vec<Log>>, RpcError> {
        while self.next <= self.last {
            let to = self.next.saturating_add(self.width - 1).min(self.last);
            let filter = self.filter.clone().from_block(self.next).to_block(to);
            match chain.logs(filter).await {
                Ok(mut logs) => {
                    logs.retain(|log| !log.removed);
                    self.next = to.saturating_add(1);
                    return Ok(Some(logs));
                }
                // Endpoints refuse what they think is too much, in words that differ. Each refusal
                // halves the range, down to one block.
                Err(RpcError::Refused { message, .. }) if to > self.next => {
                    tracing::debug!(from = self.next, to, message, "asking for half");
                    self.width = (to - self.next).div_ceil(2);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// All logs to the end.
    pub(crate) async fn finish(mut self, chain: &Chain) -> Result<Vec<Log>, RpcError> {
        let mut all = Vec::new();
        while let Some(logs) = self.step(chain).await? {
            all.extend(logs);
            if all.len() > LOGS_MAX {
                let why = format!("there are more than {LOGS_MAX} logs; ask for fewer blocks");
                return Err(RpcError::Unusable { what: "eth_getLogs", why });
            }
        }
        Ok(all)
    }
}
