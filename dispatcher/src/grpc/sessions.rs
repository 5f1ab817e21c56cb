//! The three session services: each call starts one session task.

use std::sync::Arc;

use proofgrid_proto::v1;
use proofgrid_proto::v1::oracle_service_server::OracleService;
use proofgrid_proto::v1::prover_service_server::ProverService;
use proofgrid_proto::v1::verifier_service_server::VerifierService;
use tonic::{Request, Response, Status, Streaming};

use crate::session::{
    self, Answers, OracleGate, OracleProtocol, ProverGate, ProverProtocol, VerifierGate,
    VerifierProtocol,
};
use crate::shared::Shared;

/// Opens sessions of every role.
#[derive(Clone, Debug)]
pub struct SessionGate {
    shared: Arc<Shared>,
}

impl SessionGate {
    /// Opens sessions on `shared`.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl ProverService for SessionGate {
    type SessionStream = Answers<ProverProtocol>;

    async fn session(
        &self,
        request: Request<Streaming<v1::ProverServiceSessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Ok(session::start(&self.shared, request, ProverGate::default()))
    }
}

#[tonic::async_trait]
impl VerifierService for SessionGate {
    type SessionStream = Answers<VerifierProtocol>;

    async fn session(
        &self,
        request: Request<Streaming<v1::VerifierServiceSessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Ok(session::start(&self.shared, request, VerifierGate::default()))
    }
}

#[tonic::async_trait]
impl OracleService for SessionGate {
    type SessionStream = Answers<OracleProtocol>;

    async fn session(
        &self,
        request: Request<Streaming<v1::OracleServiceSessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Ok(session::start(&self.shared, request, OracleGate::default()))
    }
}
