//! Accepting connections, with a cap on all of them and one on those of each network address.
//!
//! A connection beyond a cap is closed before a byte of it is read: the cheapest refusal there is.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How many connections are open, by address.
#[derive(Debug)]
struct Counts {
    total_max: usize,
    per_ip_max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Counts {
    /// A place for one more connection, if there is one.
    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let of_ip = open.entry(ip).or_insert(0);
        if total >= self.total_max || *of_ip >= self.per_ip_max {
            if *of_ip == 0 {
                open.remove(&ip);
            }
            return None;
        }
        *of_ip += 1;
        Some(Place { ip, counts: Arc::clone(self) })
    }
}

/// Held by an open connection.
#[derive(Debug)]
struct Place {
    ip: IpAddr,
    counts: Arc<Counts>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.counts.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_ip) = open.get_mut(&self.ip) {
            *of_ip = of_ip.saturating_sub(1);
            if *of_ip == 0 {
                open.remove(&self.ip);
            }
        }
    }
}

/// An accepted connection that gives its place back when it is closed.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    _place: Place,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The stream of accepted connections.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    counts: Arc<Counts>,
}

impl Acceptor {
    /// Accepts on `listener` under the two caps.
    #[must_use]
    pub fn new(listener: TcpListener, total_max: usize, per_ip_max: usize) -> Self {
        let counts = Counts { total_max, per_ip_max, open: Mutex::default() };
        Self { listener, counts: Arc::new(counts) }
    }

    fn admit(&self, stream: TcpStream, remote: SocketAddr) -> Option<Connection> {
        let Some(place) = self.counts.enter(remote.ip()) else {
            tracing::warn!(%remote, "refused a connection: the connection cap is reached");
            return None;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%remote, %error, "cannot set TCP_NODELAY");
        }
        Some(Connection { stream, _place: place })
    }
}

impl Stream for Acceptor {
    type Item = io::Result<Connection>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.listener.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Ok((stream, remote))) => {
                    if let Some(connection) = self.admit(stream, remote) {
                        return Poll::Ready(Some(Ok(connection)));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_connection_beyond_the_cap_is_closed_and_a_closed_one_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut acceptor = Acceptor::new(listener, 8, 1);

        let _first_client = TcpStream::connect(address).await.unwrap();
        let first = acceptor.next().await.unwrap().unwrap();
        let mut refused = TcpStream::connect(address).await.unwrap();
        let accepting = tokio::spawn(async move { acceptor.next().await.unwrap().unwrap() });
        assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed without an answer");

        drop(first);
        let _third_client = TcpStream::connect(address).await.unwrap();
        accepting.await.unwrap();
    }
}
