//! Dialling the dispatcher: limits, time-outs and TLS in one place.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use proofgrid_proto::dial::Dialer;
use thiserror::Error;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::config::ProverConfig;

/// HTTP/2 pings on a quiet connection, and how long an answer may take.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the dispatcher cannot be dialled with these settings.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The authorities' file cannot be read.
    #[error("cannot read tls.ca_certificate_path {path}: {source}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// URL or TLS settings are refused by the transport.
    #[error("dispatcher_url or [tls] cannot be used: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// An endpoint for the configured dispatcher.
///
/// # Errors
/// [`EndpointError`] names the setting.
pub fn endpoint(config: &ProverConfig) -> Result<Endpoint, EndpointError> {
    let endpoint = Endpoint::from_shared(config.dispatcher_url.clone())?
        .connect_timeout(config.connect_timeout())
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    let Some(path) = &config.tls.ca_certificate_path else {
        return Ok(endpoint);
    };
    let pem =
        fs::read(path).map_err(|source| EndpointError::Authority { path: path.clone(), source })?;
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    if let Some(name) = &config.tls.server_name {
        tls = tls.domain_name(name);
    }
    Ok(endpoint.tls_config(tls)?)
}

/// A channel that connects when it is first used and again after each loss.
///
/// # Errors
/// [`EndpointError`] names the setting.
pub fn lazy(config: &ProverConfig, dialer: &Dialer) -> Result<Channel, EndpointError> {
    Ok(dialer.connect_lazy(&endpoint(config)?))
}
