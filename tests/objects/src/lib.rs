//! An S3 server for tests: signatures are checked, buckets are folders, nothing else is needed.
//!
//! It runs in a test's process or as one of its own, and can be told to hang up on its clients.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The key id that the server knows.
pub const KEY_ID: &str = "proofgrid-tests";
/// Its secret; worth nothing anywhere else.
pub const SECRET: &str = "only-the-tests-know-6f1c9a";
/// The one bucket.
pub const BUCKET: &str = "proofgrid-blobs";

/// A server that listens and does not serve yet.
#[derive(Debug)]
pub struct Objects {
    listener: TcpListener,
    service: S3Service,
    left: Arc<AtomicUsize>,
}

impl Objects {
    /// Opens a server on `port` of the loopback address, 0 for any, with its bucket below `folder`.
    ///
    /// # Errors
    /// When the port is taken or the folder cannot be used.
    pub async fn open(folder: &Path, port: u16) -> io::Result<Self> {
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let files = FileSystem::new(folder)
            .map_err(|error| io::Error::other(format!("the folder is refused: {error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        Ok(Self { listener, service: builder.build(), left })
    }

    /// How many more requests are answered; then it hangs up on everybody, until there are more.
    #[must_use]
    pub fn requests_left(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.left)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped, which ends every connection.
    ///
    /// # Errors
    /// When no connection can be taken any more.
    pub async fn serve(self) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = self.listener.accept().await?;
            let (service, left) = (self.service.clone(), Arc::clone(&self.left));
            let answer = service_fn(move |request| {
                let (service, left) = (service.clone(), Arc::clone(&left));
                async move {
                    let take = |left: usize| left.checked_sub(1);
                    left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
                        .map_err(|_none| io::Error::other("no more requests are answered"))?;
                    let answer = Service::call(&service, request).await;
                    answer.map_err(|error| io::Error::other(format!("{error:?}")))
                }
            });
            connections.spawn(async move {
                // Whoever hung up knows it.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }
}
