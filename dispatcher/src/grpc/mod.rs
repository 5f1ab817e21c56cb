//! The gRPC edge: services, limits, the one table of errors.

pub mod admin;
pub mod job;
pub mod server;
pub mod sessions;
pub mod status;

use std::future::Future;

use tonic::{Response, Status};

use crate::error::EdgeError;
use crate::limits::UNARY_TIME_MAX;

/// Runs a call that is no stream under the edge's time limit.
///
/// # Errors
/// What the call says, or `DEADLINE_EXCEEDED`.
pub async fn unary<T>(
    call: impl Future<Output = Result<T, EdgeError>>,
) -> Result<Response<T>, Status> {
    match tokio::time::timeout(UNARY_TIME_MAX, call).await {
        Ok(answer) => Ok(Response::new(answer?)),
        Err(_elapsed) => Err(EdgeError::TimedOut("the call").into()),
    }
}
