//! Asks a node API: for `operator status` and for tests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Most bytes of an answer: thousands of series.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest wait for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The status and body that a node API answers a path with.
///
/// # Errors
/// When nothing answers there, not in time, or not in HTTP.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let asked = tokio::time::timeout(ANSWER_TIME_MAX, ask(address, path));
    asked.await.with_context(|| format!("{address} did not answer in {ANSWER_TIME_MAX:?}"))?
}

async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("nothing answers at {address}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get(path).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{address}{path}: {error}"))?;
        // Lets go of the connection, so that driving it ends too.
        drop(sender);
        anyhow::Ok((status, body.to_bytes()))
    };
    let (answer, _closed) = tokio::join!(answer, connection);
    answer
}
