//! A real verifier process that has neither dispatcher nor chain: its node API says so.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_node::keystore::{BlsLayout, SCRYPT_LOG_N_LIGHT, create_private, write_bls};
use proofgrid_node::node_api::{self, ListedService, ServiceList, ServiceStatus};

const BINARY: &str = env!("CARGO_BIN_EXE_proofgrid");

/// Ends its process when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Settings of a verifier whose peers are at a port that nobody listens on.
fn settings(folder: &Path, nobody: u16) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config/verifier.toml");
    let text = std::fs::read_to_string(example).expect("the example");
    let at = |name: &str| folder.join(name).display().to_string();
    text.replace("/etc/proofgrid/bls.json", &at("bls.json"))
        .replace("/etc/proofgrid/password", &at("password"))
        .replace("/var/lib/proofgrid/verifier", &at("data"))
        .replace("127.0.0.1:8545", &format!("127.0.0.1:{nobody}"))
        .replace("127.0.0.1:7400", &format!("127.0.0.1:{nobody}"))
        .replace("127.0.0.1:7490", "127.0.0.1:0")
}

/// Starts it and reads from its log where the node API listens.
fn start(config: &Path) -> (Running, std::net::SocketAddr) {
    let mut child = Command::new(BINARY)
        .args(["--log-format", "json", "verifier", "run", "--config"])
        .arg(config)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let log = child.stderr.take().expect("piped");
    let running = Running(child);
    let mut lines = BufReader::new(log).lines();
    let address = lines.by_ref().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.ok()?).ok()?;
        line.get("spec")?;
        line.get("address")?.as_str()?.parse().ok()
    });
    // What follows must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (running, address.expect("it says where it listens"))
}

fn operator_status(config: &Path) -> Output {
    Command::new(BINARY)
        .args(["--output", "json", "operator", "status", "--config"])
        .arg(config)
        .output()
        .expect("the binary runs")
}

#[tokio::test]
async fn a_verifier_without_a_network_says_so_and_its_judge_is_tried() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = nobody.local_addr().expect("an address").port();
    drop(nobody);
    let config = folder.path().join("verifier.toml");
    std::fs::write(&config, settings(folder.path(), port)).expect("written");
    create_private(&folder.path().join("password"), b"p").expect("written");
    let key = SecretKey::from_bytes(&[9; 32]).expect("a key");
    let path = folder.path().join("bls.json");
    write_bls(&path, &key, BlsLayout::EigenSdk, "p", SCRYPT_LOG_N_LIGHT).expect("written");
    let (_running, address) = start(&config);

    let (status, body) = node_api::get(address, "/eigen/node").await.expect("an answer");
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&body).contains(r#""node_name":"proofgrid-verifier""#));
    // The first trial of the judge, the first dial and the first question to the chain all end.
    let services = loop {
        let (_, body) = node_api::get(address, "/eigen/node/services").await.expect("an answer");
        let list: ServiceList = serde_json::from_slice(&body).expect("a list");
        let starts = |service: &ListedService| service.status == ServiceStatus::Initializing;
        if !list.services.iter().any(starts) {
            break list.services;
        }
    };
    let found: Vec<_> =
        services.iter().map(|service| (service.id.as_str(), service.status)).collect();
    assert_eq!(
        found,
        [
            ("session", ServiceStatus::Down),
            ("vote-log", ServiceStatus::Up),
            ("judge", ServiceStatus::Up),
            ("home-chain", ServiceStatus::Down),
        ]
    );
    let (health, _) = node_api::get(address, "/eigen/node/health").await.expect("an answer");
    assert_eq!(health, 503);
    let (_, page) = node_api::get(address, "/metrics").await.expect("an answer");
    let page = String::from_utf8_lossy(&page);
    let asked = r#"eigen_rpc_request_total{method="eth_chainId",client_version="unknown"}"#;
    assert!(page.contains(asked), "{page}");

    // `operator status` reads the address from the settings, so they must name it now.
    let text = std::fs::read_to_string(&config).expect("read");
    std::fs::write(&config, text.replace("127.0.0.1:0\"", &format!("{address}\""))).expect("set");
    let told = operator_status(&config);
    let findings = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told.status.code(), Some(1), "{findings}");
    for text in ["session: Down", "judge: Up", "BLS 0x", "proofgrid-verifier v"] {
        assert!(findings.contains(text), "{text} is not in {findings}");
    }
}
