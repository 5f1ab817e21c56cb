//! The specification's metrics of JSON-RPC requests.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use proofgrid_oracle::rpc::RpcObserver;

/// Bounds of the histogram's buckets, in seconds: a local node's cache to the longest time-out.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Versions that are told apart; a node that names another one at every question fills no memory.
const VERSIONS_MAX: usize = 16;
/// Longest version that is shown.
const VERSION_LETTERS_MAX: usize = 96;
/// What further versions are counted under.
const OTHER: &str = "other";

type RequestLabels = [(&'static str, String); 2];

/// Counts and times requests to the chain's nodes.
#[derive(Debug)]
pub struct RpcMeter {
    total: Family<RequestLabels, Counter>,
    seconds: Family<RequestLabels, Histogram, fn() -> Histogram>,
    versions: Mutex<BTreeSet<String>>,
}

impl Default for RpcMeter {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            total: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            versions: Mutex::default(),
        }
    }
}

impl RpcMeter {
    pub(super) fn register(&self, registry: &mut Registry) {
        // The encoding appends `_total` to the name of a counter.
        registry.register(
            "eigen_rpc_request",
            "JSON-RPC requests by method and by what the node calls itself",
            self.total.clone(),
        );
        registry.register(
            "eigen_rpc_request_duration_seconds",
            "Duration of JSON-RPC requests in seconds",
            self.seconds.clone(),
        );
    }

    /// The version as a label: printable, short, and one of a few.
    fn version(&self, told: &str) -> String {
        let clean: String = told
            .chars()
            .filter(|letter| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\'))
            .take(VERSION_LETTERS_MAX)
            .collect();
        let mut known = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&clean) {
            return clean;
        }
        if known.len() >= VERSIONS_MAX {
            return OTHER.to_owned();
        }
        known.insert(clean.clone());
        clean
    }
}

impl RpcObserver for RpcMeter {
    fn ended(&self, method: &'static str, client_version: &str, took: Duration) {
        let labels =
            [("method", method.to_owned()), ("client_version", self.version(client_version))];
        self.total.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
#[test]
fn a_node_with_a_new_name_every_time_fills_no_memory() {
    let meter = RpcMeter::default();
    for round in 0..1_000 {
        meter.ended("eth_call", &format!("liar/{round}\"\n"), Duration::ZERO);
    }
    let versions = meter.versions.lock().expect("not poisoned");
    assert_eq!(versions.len(), VERSIONS_MAX);
    assert!(versions.contains("liar/0"), "{versions:?}");
}
