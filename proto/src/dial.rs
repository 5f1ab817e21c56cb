//! Dialling, for every client of the network: over TCP, or over whatever else carries bytes.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint, Error, Uri};
use tower::service_fn;

/// What carries the bytes of one connection.
trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<Io: AsyncRead + AsyncWrite + Send + Unpin> Carrier for Io {}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Carrier>>> + Send>>;
type Connect = dyn Fn(Uri) -> Connecting + Send + Sync;

/// How connections are made; cheap to clone.
#[derive(Clone, Default)]
pub struct Dialer {
    /// `None` for TCP.
    connect: Option<Arc<Connect>>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("tcp", &self.connect.is_none()).finish()
    }
}

impl Dialer {
    /// Dials over TCP.
    #[must_use]
    pub const fn tcp() -> Self {
        Self { connect: None }
    }

    /// Dials with `connect` instead of TCP, as a simulated network does.
    #[must_use]
    pub fn through<F, Io>(connect: impl Fn(Uri) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Io>> + Send + 'static,
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connect = move |uri| -> Connecting {
            let connecting = connect(uri);
            Box::pin(async move { Ok(Box::new(connecting.await?) as Box<dyn Carrier>) })
        };
        Self { connect: Some(Arc::new(connect)) }
    }

    /// Connects to `endpoint` now.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, Error> {
        match &self.connect {
            None => endpoint.connect().await,
            Some(connect) => endpoint.connect_with_connector(connector(connect)).await,
        }
    }

    /// A channel that connects when it is first used, and again after each loss.
    #[must_use]
    pub fn connect_lazy(&self, endpoint: &Endpoint) -> Channel {
        match &self.connect {
            None => endpoint.connect_lazy(),
            Some(connect) => endpoint.connect_with_connector_lazy(connector(connect)),
        }
    }
}

/// What tonic calls a connector.
fn connector(
    connect: &Arc<Connect>,
) -> impl tower::Service<
    Uri,
    Response = TokioIo<Box<dyn Carrier>>,
    Error = io::Error,
    Future = impl Future<Output = io::Result<TokioIo<Box<dyn Carrier>>>> + Send,
> + Send
+ 'static {
    let connect = Arc::clone(connect);
    service_fn(move |uri| {
        let connecting = connect(uri);
        async move { Ok(TokioIo::new(connecting.await?)) }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_dialer_connects_through_what_it_is_given() {
        let dialled = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&dialled);
        let dialer = Dialer::through(move |uri: Uri| {
            let (near, far) = tokio::io::duplex(1 << 16);
            seen.lock().unwrap().push((uri.to_string(), far));
            async { Ok(near) }
        });
        let endpoint = Endpoint::from_static("http://dispatcher:1");
        dialer.connect(&endpoint).await.unwrap();
        let dialled = dialled.lock().unwrap();
        let names: Vec<&str> = dialled.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["http://dispatcher:1/"]);
    }
}
