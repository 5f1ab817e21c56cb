//! TLS, and plain text only where nobody else listens or somebody said so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::net::SocketAddr;

use proofgrid_dispatcher::config::{ConfigError, DispatcherConfig, TlsConfig};
use proofgrid_dispatcher::{DispatcherError, Handle};
use proofgrid_proto::v1;
use proofgrid_proto::v1::job_service_client::JobServiceClient;
use proofgrid_store::journal::{Journal, JournalConfig};
use support::{config, launch};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// A key and a certificate that vouches for itself, PEM.
struct SelfSigned {
    certificate: String,
    key: String,
}

fn self_signed() -> SelfSigned {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    SelfSigned { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

struct Served {
    handle: Handle,
    shutdown: CancellationToken,
    _directory: TempDir,
}

impl Served {
    async fn start(change: impl FnOnce(&mut DispatcherConfig, &TempDir)) -> Self {
        let directory = TempDir::new().unwrap();
        let mut config = config();
        change(&mut config, &directory);
        let journal = Journal::open(&JournalConfig::memory()).unwrap();
        let (handle, shutdown) = launch(config, journal, directory.path()).await.unwrap();
        Self { handle, shutdown, _directory: directory }
    }

    /// Where it is reached on this machine, whatever address it listens on.
    fn endpoint(&self, scheme: &str) -> Endpoint {
        let local = SocketAddr::from(([127, 0, 0, 1], self.handle.address().port()));
        Channel::from_shared(format!("{scheme}://{local}")).unwrap()
    }

    /// Whether a call over this endpoint is answered.
    async fn answers(endpoint: Endpoint) -> bool {
        let Ok(channel) = endpoint.connect().await else { return false };
        JobServiceClient::new(channel).get_network(v1::GetNetworkRequest {}).await.is_ok()
    }

    async fn answers_tls(&self, tls: ClientTlsConfig) -> bool {
        let tls = tls.domain_name("localhost");
        Self::answers(self.endpoint("https").tls_config(tls).unwrap()).await
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.handle.join().await.unwrap();
    }
}

fn write(directory: &TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn tls_of(directory: &TempDir, own: &SelfSigned) -> TlsConfig {
    TlsConfig {
        certificate_file: write(directory, "certificate.pem", &own.certificate),
        key_file: write(directory, "key.pem", &own.key),
        client_authority_file: None,
    }
}

fn trusting(authority: &SelfSigned) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority.certificate))
}

#[tokio::test]
async fn with_a_certificate_only_tls_is_spoken_and_only_to_those_who_trust_it() {
    let (own, other) = (self_signed(), self_signed());
    let served = Served::start(|config, directory| {
        config.listen = "0.0.0.0:0".parse().unwrap();
        config.tls = Some(tls_of(directory, &own));
    })
    .await;
    assert!(served.answers_tls(trusting(&own)).await);
    assert!(!served.answers_tls(trusting(&other)).await, "another authority");
    assert!(!Served::answers(served.endpoint("http")).await, "plain text");
    served.stop().await;
}

#[tokio::test]
async fn with_an_authority_for_clients_every_client_shows_a_certificate() {
    let (own, client, stranger) = (self_signed(), self_signed(), self_signed());
    let served = Served::start(|config, directory| {
        let authority = write(directory, "clients.pem", &client.certificate);
        let tls = tls_of(directory, &own);
        config.tls = Some(TlsConfig { client_authority_file: Some(authority), ..tls });
    })
    .await;
    let showing = |shown: &SelfSigned| {
        trusting(&own).identity(Identity::from_pem(&shown.certificate, &shown.key))
    };
    assert!(served.answers_tls(showing(&client)).await);
    assert!(!served.answers_tls(showing(&stranger)).await, "a certificate of nobody known");
    assert!(!served.answers_tls(trusting(&own)).await, "no certificate");
    served.stop().await;
}

#[tokio::test]
async fn plain_text_where_others_can_listen_is_refused_unless_it_is_asked_for() {
    let directory = TempDir::new().unwrap();
    let mut open = config();
    open.listen = "0.0.0.0:0".parse().unwrap();
    let journal = Journal::open(&JournalConfig::memory()).unwrap();
    let refused = launch(open, journal, directory.path()).await.err().unwrap();
    let DispatcherError::Config(ConfigError::PlaintextRefused { listen }) = refused else {
        panic!("{refused}");
    };
    assert!(!listen.ip().is_loopback());

    let served = Served::start(|config, _| {
        config.listen = "0.0.0.0:0".parse().unwrap();
        config.allow_plaintext = true;
    })
    .await;
    assert!(Served::answers(served.endpoint("http")).await);
    served.stop().await;
}
