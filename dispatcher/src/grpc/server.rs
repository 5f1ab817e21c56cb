//! The tonic server: services, health, reflection, TLS and every cap of the edge.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use proofgrid_proto::accept::{Acceptor, ConnectionLimits, Listening};
use proofgrid_proto::v1::admin_service_server::AdminServiceServer;
use proofgrid_proto::v1::blob_service_server::BlobServiceServer;
use proofgrid_proto::v1::job_service_server::JobServiceServer;
use proofgrid_proto::v1::oracle_service_server::OracleServiceServer;
use proofgrid_proto::v1::prover_service_server::ProverServiceServer;
use proofgrid_proto::v1::verifier_service_server::VerifierServiceServer;
use proofgrid_proto::{FILE_DESCRIPTOR_SET, MESSAGE_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::admin::AdminGate;
use super::job::JobGate;
use super::sessions::SessionGate;
use crate::blobs::BlobGate;
use crate::config::{ConfigError, TlsConfig};
use crate::error::DispatcherError;
use crate::limits::{
    CALLS_PER_CONNECTION_MAX, FRAME_BYTES_MAX, HEADER_BYTES_MAX, KEEPALIVE_INTERVAL,
    KEEPALIVE_TIMEOUT, STREAMS_PER_CONNECTION_MAX, TLS_HANDSHAKE_TIME_MAX,
};
use crate::shared::Shared;

/// What is listened on but not served yet.
#[derive(Debug)]
pub struct Bound<S> {
    /// Connections with their peers' addresses, as they come.
    pub incoming: S,
    /// Where it listens; with the port that the system chose, if it was to.
    pub address: SocketAddr,
}

/// Binds a TCP socket.
///
/// # Errors
/// [`DispatcherError::Listen`].
pub async fn bind(address: SocketAddr) -> Result<Bound<Listening>, DispatcherError> {
    let refuse = |source| DispatcherError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    Ok(Bound { incoming: Listening::new(listener), address })
}

async fn read_pem(path: &std::path::Path) -> Result<Vec<u8>, ConfigError> {
    tokio::fs::read(path).await.map_err(|error| ConfigError::TlsFile {
        path: path.to_path_buf(),
        problem: error.to_string(),
    })
}

async fn tls(config: &TlsConfig) -> Result<ServerTlsConfig, ConfigError> {
    let certificate = read_pem(&config.certificate_file).await?;
    let key = read_pem(&config.key_file).await?;
    let mut tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .timeout(TLS_HANDSHAKE_TIME_MAX);
    if let Some(authority) = &config.client_authority_file {
        tls = tls.client_ca_root(Certificate::from_pem(read_pem(authority).await?));
    }
    Ok(tls)
}

/// Applies the caps on messages to a generated server.
macro_rules! capped {
    ($server:expr) => {
        $server
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    };
}

/// Serves until `stop`.
///
/// # Errors
/// When TLS cannot be set up or the server fails.
pub async fn serve<S, Io>(
    bound: Bound<S>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), DispatcherError>
where
    S: Stream<Item = io::Result<(Io, SocketAddr)>> + Send + Unpin + 'static,
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let config = &shared.config;
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
        .load_shed(true)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX);
    if let Some(config) = &config.tls {
        server = server.tls_config(tls(config).await?)?;
    }
    let limits = ConnectionLimits {
        total: config.connections_max,
        per_network: config.connections_per_ip_max,
    };
    let acceptor = Acceptor::new(bound.incoming, limits);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<JobServiceServer<JobGate>>().await;
    reporter.set_serving::<BlobServiceServer<BlobGate>>().await;
    reporter.set_serving::<ProverServiceServer<SessionGate>>().await;
    reporter.set_serving::<VerifierServiceServer<SessionGate>>().await;
    reporter.set_serving::<OracleServiceServer<SessionGate>>().await;
    reporter.set_serving::<AdminServiceServer<AdminGate>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let sessions = SessionGate::new(Arc::clone(&shared));
    let router = server
        .add_service(health)
        .add_service(reflection)
        .add_service(capped!(JobServiceServer::new(JobGate::new(Arc::clone(&shared)))))
        .add_service(capped!(BlobServiceServer::new(BlobGate::new(Arc::clone(&shared)))))
        .add_service(capped!(ProverServiceServer::new(sessions.clone())))
        .add_service(capped!(VerifierServiceServer::new(sessions.clone())))
        .add_service(capped!(OracleServiceServer::new(sessions)))
        .add_service(capped!(AdminServiceServer::new(AdminGate::new(shared))));
    Ok(router.serve_with_incoming_shutdown(acceptor, stop.cancelled_owned()).await?)
}
