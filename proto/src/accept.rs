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

/// The connections that a listener accepts, each with its peer's address; never ends.
#[derive(Debug)]
pub struct Listening(TcpListener);

impl Listening {
    /// Accepts on `listener`.
    #[must_use]
    pub const fn new(listener: TcpListener) -> Self {
        Self(listener)
    }
}

impl Stream for Listening {
    type Item = io::Result<(TcpStream, SocketAddr)>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_accept(cx).map(|accepted| {
            if let Ok((stream, remote)) = &accepted
                && let Err(error) = stream.set_nodelay(true)
            {
                tracing::debug!(%remote, %error, "cannot set TCP_NODELAY");
            }
            Some(accepted)
        })
    }
}

/// An accepted connection. It gives its place back when it is closed, and reading from it fails when
/// its peer was silent for too long.
#[derive(Debug)]
pub struct Connection<Io> {
    stream: Io,
    remote: SocketAddr,
    received: u64,
    accepted: Instant,
    heard: Instant,
    alarm: Pin<Box<Sleep>>,
    _place: Place,
}

impl<Io> Connection<Io> {
    fn new(stream: Io, remote: SocketAddr, place: Place) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now + OPENING_TIME_MAX));
        Self { stream, remote, received: 0, accepted: now, heard: now, alarm, _place: place }
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

impl<Io> Connected for Connection<Io> {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo { local_addr: None, remote_addr: Some(self.remote) }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
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

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
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

/// The stream of admitted connections; it never fails, and ends only where the connections that it
/// takes them from end.
#[derive(Debug)]
pub struct Acceptor<S> {
    incoming: S,
    counts: Arc<Counts>,
    refused: u64,
    failed: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Acceptor<S> {
    /// Admits what comes in, a stream of connections with their peers' addresses, under the caps.
    #[must_use]
    pub fn new(incoming: S, limits: ConnectionLimits) -> Self {
        let counts = Arc::new(Counts { limits, open: Mutex::default() });
        Self { incoming, counts, refused: 0, failed: 0, pause: None }
    }

    fn admit<Io>(&mut self, stream: Io, remote: SocketAddr) -> Option<Connection<Io>> {
        let Some(place) = self.counts.enter(remote.ip()) else {
            self.refused = self.refused.saturating_add(1);
            // A flood of connections must not become a flood of the log.
            if self.refused.is_power_of_two() {
                let refused = self.refused;
                tracing::warn!(%remote, refused, "refused a connection: the connection cap is reached");
            }
            return None;
        };
        Some(Connection::new(stream, remote, place))
    }
}

impl<S, Io> Stream for Acceptor<S>
where
    S: Stream<Item = io::Result<(Io, SocketAddr)>> + Unpin,
{
    type Item = io::Result<Connection<Io>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            match Pin::new(&mut self.incoming).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    self.failed = self.failed.saturating_add(1);
                    // Nor must a system that says no ten times a second, as it may for hours.
                    if self.failed.is_power_of_two() {
                        let failed = self.failed;
                        tracing::warn!(%error, failed, "cannot accept a connection; tries again");
                    }
                    self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE)));
                }
                Poll::Ready(Some(Ok((stream, remote)))) => {
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

    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_stream::StreamExt;
    use tracing::{Level, Metadata, span};

    use super::*;

    async fn acceptor(total: usize, per_network: usize) -> (Acceptor<Listening>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = ConnectionLimits { total, per_network };
        (Acceptor::new(Listening::new(listener), limits), address)
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

    /// Counts the lines of the log that a test's thread writes.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicUsize>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= &Level::INFO
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    /// What a system says when a process has no descriptor left.
    fn no_descriptors() -> io::Error {
        io::Error::from_raw_os_error(24)
    }

    type Incoming = io::Result<(tokio::io::DuplexStream, SocketAddr)>;

    /// A connection whose other end is gone.
    fn connection() -> Incoming {
        Ok((tokio::io::duplex(1).0, "192.0.2.1:1".parse().unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_it_pauses_neither_spins_nor_ends_and_writes_little() {
        const TRIES: u32 = 1_000;
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let refusals = (0..TRIES).map(|_| Err(no_descriptors()));
        let incoming = tokio_stream::iter(refusals.chain([connection()]));
        let mut acceptor = Acceptor::new(incoming, ConnectionLimits { total: 8, per_network: 8 });
        let began = Instant::now();
        acceptor.next().await.unwrap().unwrap();
        assert!(began.elapsed() >= ACCEPT_PAUSE * TRIES, "a pause before each try");
        assert_eq!(lines.0.load(Ordering::Relaxed), 10, "with the 1st, 2nd, 4th, .. 512th");
    }

    #[tokio::test]
    async fn a_flood_of_refused_connections_is_no_flood_of_the_log() {
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let incoming = tokio_stream::iter((0..100_000).map(|_| connection()));
        let mut acceptor = Acceptor::new(incoming, ConnectionLimits { total: 8, per_network: 1 });
        let _first = acceptor.next().await.unwrap().unwrap();
        assert!(acceptor.next().await.is_none(), "all others are refused");
        assert_eq!(lines.0.load(Ordering::Relaxed), 17, "with the 1st, 2nd, 4th, .. 65536th");
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
