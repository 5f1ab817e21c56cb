//! The EigenLayer node API and the metrics of a running verifier or prover, over plain HTTP.
//!
//! `/eigen/node`, `/eigen/node/health`, `/eigen/node/services` and
//! `/eigen/node/services/{id}/health` are as the AVS node specification [`SPEC_VERSION`] says, and so
//! are the `eigen_*` metrics under `/metrics`; `proofgrid_*` are our own. Everything comes from the
//! state of the process at the moment of the question: what runs behind it is a [`NodeFacts`].
//!
//! It is off unless `[node_api] listen` is set. It answers `GET` without a body and nothing else,
//! changes nothing, and shows no secret; connections, headers, pauses and ages are bounded.

mod chain;
mod client;
mod disk;
mod http;
mod judge;
mod metrics;
mod prover;
mod rpc;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::chain::{ChainWatch, EpochStake, RegisteredStake, StakeView};
pub use self::client::get;
pub use self::http::{ListedService, NodeInfo, ServiceList};
pub use self::judge::{JudgeMeter, MeasuredJudge};
pub use self::metrics::{Labels, Sample, Value};
pub use self::prover::ProverFacts;
pub use self::rpc::RpcMeter;
pub use self::verifier::VerifierFacts;

/// The AVS node specification that is implemented, as it writes its version.
pub const SPEC_VERSION: &str = "v0.0.1";
/// Name of the service that stakes are registered with, unless the settings say another.
const AVS_NAME: &str = "proofgrid";

/// `[node_api]` of a role's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeApiSection {
    /// Where to listen, in plain HTTP; an address of this machine unless whoever may reach it may
    /// know what it says.
    pub listen: SocketAddr,
    /// What the node calls itself; `proofgrid-verifier` or `proofgrid-prover` if absent.
    #[serde(default)]
    pub node_name: Option<String>,
    /// The label `avs_name` of the metrics.
    #[serde(default = "default_avs_name")]
    pub avs_name: String,
}

fn default_avs_name() -> String {
    AVS_NAME.to_owned()
}

impl NodeApiSection {
    /// Takes the address; must be called on a runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(&self) -> anyhow::Result<TcpListener> {
        let address = self.listen;
        TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on node_api.listen = {address}; choose another address or port")
        })
    }
}

/// How a part of the node is, in the specification's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceStatus {
    /// It works.
    Up,
    /// It has not worked yet.
    Initializing,
    /// It does not work.
    Down,
}

/// A part of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in paths.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// How it is.
    pub status: ServiceStatus,
    /// Whether the node can do its work without it.
    pub need: Need,
}

/// Whether a node can work without a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It cannot.
    Vital,
    /// It can for a while, or in part.
    Partial,
}

/// How the node is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every service is up.
    Healthy,
    /// Something starts, or something that is not vital is down.
    Partial,
    /// Something vital is down.
    Unhealthy,
}

impl Health {
    /// The health that follows from the services'.
    #[must_use]
    pub fn of(services: &[Service]) -> Self {
        let down = |service: &Service| service.status == ServiceStatus::Down;
        if services.iter().any(|service| down(service) && service.need == Need::Vital) {
            Self::Unhealthy
        } else if services.iter().all(|service| service.status == ServiceStatus::Up) {
            Self::Healthy
        } else {
            Self::Partial
        }
    }
}

/// What a running node says about itself, at the moment of the question.
pub trait NodeFacts: Debug + Send + Sync + 'static {
    /// Its parts.
    fn services(&self) -> Vec<Service>;

    /// The part of its work that it did, from 0 to 1; 1 before there was any.
    fn performance(&self) -> f64;

    /// Its counters and gauges, `eigen_performance_score` left out.
    fn samples(&self) -> Vec<Sample>;
}

/// What a node stands on while it is watched: the parts that measure as work goes through them.
#[derive(Debug, Default)]
pub struct Meters {
    /// Judgements.
    pub judge: Arc<JudgeMeter>,
    /// Requests to the chain's nodes.
    pub rpc: Arc<RpcMeter>,
}

/// A running node API. Dropping it does not end it; the shutdown token does.
#[derive(Debug)]
pub struct NodeApi {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NodeApi {
    /// Serves `facts`, and what `meters` measure, on a bound listener until `stop`.
    ///
    /// # Errors
    /// When the listener does not tell its address.
    pub fn start(
        listener: TcpListener,
        info: NodeInfo,
        facts: Arc<dyn NodeFacts>,
        meters: Option<&Meters>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("the node API has no address")?;
        let registry = metrics::registry(Arc::clone(&facts), meters);
        let app = Arc::new(http::App { info, facts, registry });
        let task = tokio::spawn(http::serve(listener, app, stop));
        tracing::info!(%address, spec = SPEC_VERSION, "node API and metrics are served");
        Ok(Self { address, task })
    }

    /// Where it listens, with the port that the system chose if it was to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it ended.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the node API stopped on a bug; please report it");
        }
    }
}

#[cfg(test)]
#[test]
fn a_node_is_as_well_as_its_vital_parts() {
    use ServiceStatus::{Down, Initializing, Up};
    let service = |status, need| Service { id: "", name: "", description: "", status, need };
    let cases = [
        (Up, Up, Health::Healthy),
        (Up, Down, Health::Partial),
        (Up, Initializing, Health::Partial),
        (Initializing, Up, Health::Partial),
        (Initializing, Down, Health::Partial),
        (Down, Up, Health::Unhealthy),
        (Down, Initializing, Health::Unhealthy),
    ];
    for (vital, partial, expected) in cases {
        let services = [service(vital, Need::Vital), service(partial, Need::Partial)];
        assert_eq!(Health::of(&services), expected, "{vital:?} {partial:?}");
    }
}
