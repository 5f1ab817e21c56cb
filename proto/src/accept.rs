//! Accepting connections, for every server of the network: a cap on all of them, one on those of each
//! network, and a time in which a peer has to begin and to give signs of life.
//!
//! A connection beyond a cap is closed before a byte of it is read: the cheapest refusal there is. One
//! that is accepted and stays silent would hold its place for ever, because HTTP/2 probes a peer only
//! after its preface; so silence is bounded here, below HTTP/2 and TLS.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Bytes that a peer has to send in [`OPENING_TIME_MAX`]: the preface of HTTP/2 (RFC 9113, 3.4). A TLS
/// greeting is longer, and the handshake behind it has its own limit.
const OPENING_BYTES: u64 = 24;
/// Time for the first bytes of a connection, its HTTP/2 preface.
pub const OPENING_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest silence of a peer. Servers probe each connection more often than that, and a live peer
/// answers.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Pause after the system refused to accept, as it does while the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Of everybody together.
    pub total: usize,
    /// Of one IPv4 address, or of one IPv6 network of 64 bits, which one customer holds whole.
    pub per_network: usize,
}

/// The open connections.
#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Counts {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

/// What one customer of a provider is known by.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Counts {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection, if there is one.
    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let network = network_of(ip);
        let mut open = self.open();
        let of_network = open.by_network.get(&network).copied().unwrap_or(0);
        if open.total >= self.limits.total || of_network >= self.limits.per_network {
            return None;
        }
        open.total += 1;
        open.by_network.insert(network, of_network + 1);
        Some(Place { network, counts: Arc::clone(self) })
    }
}

/// Held by an open connection.
#[derive(Debug)]
struct Place {
    network: IpAddr,
    counts: Arc<Counts>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.counts.open();
        open.total = open.total.saturating_sub(1);
        if let Some(of_network) = open.by_network.get_mut(&self.network) {
            *of_network = of_network.saturating_sub(1);
            if *of_network == 0 {
                open.by_network.remove(&self.network);
            }
        }
    }
}

/// An accepted connection. It gives its place back when it is closed, and reading from it fails when
/// its peer was silent for too long.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: u64,
    accepted: Instant,
    heard: Instant,
    alarm: Pin<Box<Sleep>>,
    _place: Place,
}

impl Connection {
    fn new(stream: TcpStream, place: Place) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now + OPENING_TIME_MAX));
        Self { stream, received: 0, accepted: now, heard: now, alarm, _place: place }
    }

    /// When this peer has been silent for too long.
    fn deadline(&self) -> Instant {
        if self.received < OPENING_BYTES {
            self.accepted + OPENING_TIME_MAX
        } else {
            self.heard + SILENCE_MAX
        }
    }

    /// Nothing is there to read: wait for it, but not for ever.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Bytes move the deadline, not the alarm; an alarm that comes early is set again.
        while self.alarm.as_mut().poll(cx).is_ready() {
            let deadline = self.deadline();
            if deadline <= Instant::now() {
                let text = "the peer was silent for too long";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
            }
            self.alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
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
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            return self.poll_silence(cx);
        }
        let fresh = buffer.filled().len().saturating_sub(before);
        if fresh > 0 {
            self.received = self.received.saturating_add(fresh as u64);
            self.heard = Instant::now();
        }
        polled
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The stream of accepted connections; it never ends and never fails.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    counts: Arc<Counts>,
    refused: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Acceptor {
    /// Accepts on `listener` under the caps.
    #[must_use]
    pub fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        let counts = Arc::new(Counts { limits, open: Mutex::default() });
        Self { listener, counts, refused: 0, pause: None }
    }

    fn admit(&mut self, stream: TcpStream, remote: SocketAddr) -> Option<Connection> {
        let Some(place) = self.counts.enter(remote.ip()) else {
            self.refused = self.refused.saturating_add(1);
            // A flood of connections must not become a flood of the log.
            if self.refused.is_power_of_two() {
                let refused = self.refused;
                tracing::warn!(%remote, refused, "refused a connection: the connection cap is reached");
            }
            return None;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%remote, %error, "cannot set TCP_NODELAY");
        }
        Some(Connection::new(stream, place))
    }
}

impl Stream for Acceptor {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            match self.listener.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection; the next try comes soon");
                    self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE)));
                }
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
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_stream::StreamExt;

    use super::*;

    async fn acceptor(total: usize, per_network: usize) -> (Acceptor, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Acceptor::new(listener, ConnectionLimits { total, per_network }), address)
    }

    #[tokio::test]
    async fn a_connection_beyond_the_cap_is_closed_and_a_closed_one_makes_room() {
        for (total, per_network) in [(8, 1), (1, 8)] {
            let (mut acceptor, address) = acceptor(total, per_network).await;
            let _first_client = TcpStream::connect(address).await.unwrap();
            let first = acceptor.next().await.unwrap().unwrap();
            let mut refused = TcpStream::connect(address).await.unwrap();
            let accepting = tokio::spawn(async move { acceptor.next().await.unwrap().unwrap() });
            assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed, no answer");

            drop(first);
            let _third_client = TcpStream::connect(address).await.unwrap();
            accepting.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_begin_is_closed_however_it_dribbles() {
        let (mut acceptor, address) = acceptor(8, 8).await;
        for bytes in [0, 1, 23] {
            let mut client = TcpStream::connect(address).await.unwrap();
            let mut server = acceptor.next().await.unwrap().unwrap();
            client.write_all(&vec![b'P'; bytes]).await.unwrap();
            let began = Instant::now();
            let error = server.read_exact(&mut [0; 24]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "after {bytes} bytes");
            assert_eq!(began.elapsed().as_secs(), OPENING_TIME_MAX.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_begins_may_pause_but_not_fall_silent() {
        let (mut acceptor, address) = acceptor(8, 8).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut server = acceptor.next().await.unwrap().unwrap();
        client.write_all(&[b'P'; 24]).await.unwrap();
        server.read_exact(&mut [0; 24]).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            server.read_exact(&mut byte).await.unwrap();
            let heard = Instant::now();
            (server.read_exact(&mut byte).await.unwrap_err(), heard.elapsed())
        });
        tokio::time::advance(SILENCE_MAX - Duration::from_secs(1)).await;
        client.write_all(b"x").await.unwrap();
        let (error, silence) = reading.await.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(silence.as_secs(), SILENCE_MAX.as_secs());
    }

    #[test]
    fn one_customer_is_one_network() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
