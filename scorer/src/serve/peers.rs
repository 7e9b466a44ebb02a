//! The connections of a server: at most so many at once, and none that stays silent. Knows nothing of what is said.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// What a server allows its peers.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Longest time from the connecting to the first answer.
    pub first_answer: Duration,
    /// Longest time without an answer after that; keep-alives of either protocol are more frequent.
    pub silence: Duration,
}

impl Default for Allowed {
    fn default() -> Self {
        Self { connections: 256, first_answer: Duration::from_secs(10), silence: Duration::from_secs(90) }
    }
}

/// Accepts connections; when the system has none left, it waits before it tries again.
#[derive(Debug)]
pub struct Peers {
    listener: TcpListener,
    free: Arc<Semaphore>,
    allowed: Allowed,
}

impl Peers {
    /// Accepts from `listener`.
    pub fn new(listener: TcpListener, allowed: Allowed) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(allowed.connections)), allowed }
    }
}

impl Listener for Peers {
    type Io = Peer;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Peer, SocketAddr) {
        // Nobody closes the semaphore.
        let turn = Arc::clone(&self.free).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection may be slow");
        }
        let patience = Box::pin(tokio::time::sleep(self.allowed.first_answer));
        (Peer { stream, patience, silence: self.allowed.silence, _turn: turn }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection; reading from it fails when nothing was answered for too long.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    patience: Pin<Box<Sleep>>,
    silence: Duration,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Peer {
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let count = ready!(written)?;
        self.patience.as_mut().reset(Instant::now() + self.silence);
        Poll::Ready(Ok(count))
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, into) {
            return Poll::Ready(read);
        }
        ready!(self.patience.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer was silent for too long")))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Peer {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn peers(allowed: Allowed) -> (Peers, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Peers::new(listener, allowed), address)
    }

    #[tokio::test]
    async fn a_peer_whose_request_never_ends_is_given_up() {
        let short = Duration::from_millis(20);
        let (mut peers, address) = peers(Allowed { first_answer: short, ..Allowed::default() }).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HT").await.unwrap();
        let (mut peer, _) = peers.accept().await;
        let mut read = Vec::new();
        let error = peer.read_to_end(&mut read).await.unwrap_err();
        assert_eq!((error.kind(), read.as_slice()), (io::ErrorKind::TimedOut, b"GET / HT".as_slice()));
    }

    #[tokio::test]
    async fn an_answer_gives_the_peer_new_time() {
        let short = Duration::from_millis(20);
        let (mut peers, address) = peers(Allowed { first_answer: short, ..Allowed::default() }).await;
        let client = TcpStream::connect(address).await.unwrap();
        let (mut peer, _) = peers.accept().await;
        peer.write_all(b"answer").await.unwrap();
        assert!(peer.patience.deadline() > Instant::now() + Duration::from_secs(60));
        drop(client);
    }

    #[tokio::test]
    async fn one_more_connection_than_allowed_waits_for_another_to_end() {
        let (mut peers, address) = peers(Allowed { connections: 1, ..Allowed::default() }).await;
        let clients =
            [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let (first, _) = peers.accept().await;
        assert_eq!(peers.free.available_permits(), 0);
        assert!(futures_util::FutureExt::now_or_never(peers.accept()).is_none());
        drop(first);
        let (_, address) = peers.accept().await;
        assert_eq!(address, clients[1].local_addr().unwrap());
    }
}
