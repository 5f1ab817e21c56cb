//! Who listens to a chain's requests hears all of them, on a real node.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proofgrid_oracle::rpc::{Chain, RpcObserver};
use support::{Anvil, rpc_settings};

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<(&'static str, String)>>);

impl RpcObserver for Heard {
    fn ended(&self, method: &'static str, client_version: &str, _took: Duration) {
        self.0.lock().unwrap().push((method, client_version.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_hears_every_request_and_what_the_node_calls_itself() {
    let anvil = Anvil::start(&[]);
    let heard = Arc::new(Heard::default());
    let settings = rpc_settings(vec![anvil.url.clone()]);
    let chain = Chain::observed(&settings, Some(Arc::clone(&heard) as _)).unwrap();
    chain.latest().await.unwrap();
    chain.latest().await.unwrap();
    let heard = heard.0.lock().unwrap();
    let methods: Vec<_> = heard.iter().map(|(method, _)| *method).collect();
    assert_eq!(
        methods,
        ["eth_chainId", "web3_clientVersion", "eth_getBlockByNumber", "eth_getBlockByNumber"]
    );
    assert!(heard[3].1.starts_with("anvil/"), "{heard:?}");
}
