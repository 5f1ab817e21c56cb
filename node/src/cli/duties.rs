//! What a prover's node does on the chain for its own account, beside the worker.

use std::collections::BTreeMap;

use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::ChainId;
use proofgrid_oracle::rpc::Chain;
use proofgrid_oracle::sender::SharedSender;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::chain;

/// The prover's wallet on every chain that it acts on. Whoever acts on one chain shares the account,
/// because its transactions are numbered.
#[derive(Debug)]
pub struct OwnAccount<'a> {
    key: &'a WalletKey,
    senders: BTreeMap<ChainId, SharedSender>,
}

impl<'a> OwnAccount<'a> {
    /// The account of a key.
    #[must_use]
    pub const fn of(key: &'a WalletKey) -> Self {
        Self { key, senders: BTreeMap::new() }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &'a WalletKey {
        self.key
    }

    /// The account on a chain.
    ///
    /// # Errors
    /// When the key cannot send.
    pub fn on(&mut self, chain: Chain) -> anyhow::Result<SharedSender> {
        if let Some(sender) = self.senders.get(&chain.id()) {
            return Ok(sender.clone());
        }
        let id = chain.id();
        let sender = SharedSender::new(chain::sender(chain, self.key)?);
        self.senders.insert(id, sender.clone());
        Ok(sender)
    }
}

/// Something that runs beside the worker.
#[derive(Debug)]
pub struct Duty {
    what: &'static str,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Duty {
    /// Starts it.
    pub fn start<F>(what: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stop.clone()));
        Self { what, stop, task }
    }

    /// Lets it do once more what is due, and ends it.
    pub async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            let what = self.what;
            tracing::error!(%error, "{what} ended by a panic; please report it");
        }
    }
}
