//! What the chain says of this operator: its registered stakes, and whether the chain answers.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use proofgrid_core::ids::Address;
use proofgrid_oracle::view::{ChainViewClient, ViewError};

use super::{Sample, ServiceStatus, Value};

/// How often the chain is asked. Stakes change with an epoch, a few times a day.
const ASK_INTERVAL: Duration = Duration::from_secs(60);

/// An operator's stake in one quorum: in EigenLayer's words, in one operator set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredStake {
    /// Number of the operator set.
    pub quorum_number: u32,
    /// What it is for.
    pub quorum_name: &'static str,
    /// In weight units; 0 for an operator that is not in it.
    pub stake: u128,
}

/// Where an operator's stakes are read from.
#[async_trait]
pub trait StakeView: Debug + Send + Sync + 'static {
    /// Its stakes now, by quorum.
    ///
    /// # Errors
    /// Why the chain does not answer.
    async fn stakes(&self) -> Result<Vec<RegisteredStake>, String>;
}

/// The stake of a verifier in the newest final epoch: what its votes weigh.
#[derive(Clone, Debug)]
pub struct EpochStake {
    client: ChainViewClient,
    operator: Address,
}

impl EpochStake {
    /// Reads through the verifier's own view of the chain.
    #[must_use]
    pub const fn new(client: ChainViewClient, operator: Address) -> Self {
        Self { client, operator }
    }

    async fn stake(&self) -> Result<u128, ViewError> {
        let epoch = match self.client.current_epoch().await {
            Ok(Some(epoch)) => epoch,
            // The chain answers; there is no stake yet.
            Ok(None) | Err(ViewError::NothingFinal) => return Ok(0),
            Err(error) => return Err(error),
        };
        let table = self.client.epoch_table(epoch).await?;
        let member = table.index_of(self.operator).and_then(|index| table.member(index));
        Ok(member.map_or(0, |member| member.stake.get()))
    }
}

#[async_trait]
impl StakeView for EpochStake {
    async fn stakes(&self) -> Result<Vec<RegisteredStake>, String> {
        let stake = self.stake().await.map_err(|error| error.to_string())?;
        Ok(vec![RegisteredStake { quorum_number: 0, quorum_name: "verifiers", stake }])
    }
}

#[derive(Debug, Default)]
struct Seen {
    asked: bool,
    answers: bool,
    stakes: Vec<RegisteredStake>,
}

/// What was seen of the chain.
#[derive(Debug, Default)]
pub struct ChainWatch(Mutex<Seen>);

impl ChainWatch {
    /// Asks now and again; never returns.
    pub async fn keep_asking(&self, view: &dyn StakeView) {
        loop {
            self.ask_once(view).await;
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }

    pub(super) async fn ask_once(&self, view: &dyn StakeView) {
        let answer = view.stakes().await;
        let mut seen = self.lock();
        seen.asked = true;
        seen.answers = answer.is_ok();
        match answer {
            Ok(stakes) => seen.stakes = stakes,
            // The stake that was read last stays: an epoch outlives a pause of a node.
            Err(error) => tracing::warn!(%error, "the chain does not tell this operator's stake"),
        }
    }

    /// Whether the chain answers.
    #[must_use]
    pub fn status(&self) -> ServiceStatus {
        let seen = self.lock();
        match (seen.asked, seen.answers) {
            (false, _) => ServiceStatus::Initializing,
            (true, true) => ServiceStatus::Up,
            (true, false) => ServiceStatus::Down,
        }
    }

    /// `eigen_registered_stakes`, once they are known.
    pub(super) fn sample(&self, avs_name: &str) -> Sample {
        let series = |stake: &RegisteredStake| {
            let labels = vec![
                ("quorum_number", stake.quorum_number.to_string()),
                ("quorum_name", stake.quorum_name.to_owned()),
                ("avs_name", avs_name.to_owned()),
            ];
            // Prometheus has no integers of this size; 53 bits are shown.
            (labels, stake.stake as f64)
        };
        Sample {
            name: "eigen_registered_stakes",
            help: "Operator stake in weight units in the operator sets of the service",
            value: Value::Gauge(self.lock().stakes.iter().map(series).collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
