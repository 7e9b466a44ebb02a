//! The connections of a server: at most so many at once, of which one that says nothing makes room for another, and none
//! that stays silent. Knows nothing of what is said.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How soon it is looked again for a connection that can make room.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a server allows its peers.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Connections at once; a further one takes the place of one that was never answered or is quiet, or waits.
    pub connections: usize,
    /// Time without an answer after which a connection makes room where others wait; what an open stream or a
    /// keep-alive sends is more frequent.
    pub quiet: Duration,
    /// Longest time from the connecting to the first answer.
    pub first_answer: Duration,
    /// Longest time without an answer after that; keep-alives of either protocol are more frequent.
    pub silence: Duration,
}

impl Default for Allowed {
    fn default() -> Self {
        Self {
            connections: 256,
            quiet: Duration::from_secs(45),
            first_answer: Duration::from_secs(10),
            silence: Duration::from_secs(90),
        }
    }
}

/// Accepts connections; when the system has none left, it waits before it tries again.
#[derive(Debug)]
pub struct Peers {
    listener: TcpListener,
    free: Arc<Semaphore>,
    allowed: Allowed,
    open: Open,
    /// The number of the next connection.
    number: u64,
    /// Accepted, and without a place yet.
    waiting: Option<(TcpStream, SocketAddr)>,
}

/// The open connections in the order in which they came.
#[derive(Clone, Debug, Default)]
struct Open(Arc<Mutex<BTreeMap<u64, Standing>>>);

#[derive(Debug)]
struct Standing {
    /// When it was last answered.
    answered: Option<Instant>,
    give_up: CancellationToken,
}

impl Open {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<u64, Standing>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives up the oldest connection that was never answered, else the one that has been quiet for longest, where one is.
    fn make_room(&self, now: Instant, quiet: Duration) {
        self.with(|open| {
            let silent = open.iter().find(|(_, standing)| standing.answered.is_none());
            let quietest = || {
                let answered = open.iter().filter_map(|(number, it)| Some((it.answered?, number)));
                answered.min().filter(|(at, _)| now.saturating_duration_since(*at) >= quiet)
            };
            let number = silent.map(|(number, _)| *number).or_else(|| quietest().map(|(_, number)| *number));
            if let Some(standing) = number.and_then(|number| open.remove(&number)) {
                standing.give_up.cancel();
            }
        });
    }
}

impl Peers {
    /// Accepts from `listener`.
    pub fn new(listener: TcpListener, allowed: Allowed) -> Self {
        let free = Arc::new(Semaphore::new(allowed.connections));
        Self { listener, free, allowed, open: Open::default(), number: 0, waiting: None }
    }

    /// A place for one more connection.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                return Some(place);
            }
            self.open.make_room(Instant::now(), self.allowed.quiet);
            if let Ok(place) = timeout(LOOK_AGAIN, Arc::clone(&self.free).acquire_owned()).await {
                // Nobody closes the semaphore.
                return place.ok();
            }
        }
    }
}

impl Listener for Peers {
    type Io = Peer;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Peer, SocketAddr) {
        // What was accepted is kept where the caller gives up waiting for its place.
        if self.waiting.is_none() {
            self.waiting = Some(Listener::accept(&mut self.listener).await);
        }
        let turn = self.place().await;
        let (stream, address) = match self.waiting.take() {
            Some(waiting) => waiting,
            None => Listener::accept(&mut self.listener).await,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection may be slow");
        }
        let patience = Box::pin(tokio::time::sleep(self.allowed.first_answer));
        let (number, give_up) = (self.number, CancellationToken::new());
        self.number += 1;
        let given_up = Box::pin(give_up.clone().cancelled_owned());
        self.open.with(|open| open.insert(number, Standing { answered: None, give_up }));
        let (open, silence) = (self.open.clone(), self.allowed.silence);
        (Peer { stream, patience, silence, given_up, number, open, _turn: turn }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection; reading from it fails when nothing was answered for too long, or another takes its place.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    patience: Pin<Box<Sleep>>,
    silence: Duration,
    given_up: Pin<Box<WaitForCancellationFutureOwned>>,
    number: u64,
    open: Open,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.open.with(|open| open.remove(&self.number));
    }
}

impl Peer {
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let count = ready!(written)?;
        let now = Instant::now();
        self.patience.as_mut().reset(now + self.silence);
        self.open.with(|open| open.get_mut(&self.number).map(|standing| standing.answered = Some(now)));
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
        if self.given_up.as_mut().poll(context).is_ready() {
            let why = "the peer was silent and another one waits";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
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
        let (mut first, _) = peers.accept().await;
        first.write_all(b"answer").await.unwrap();
        assert_eq!(peers.free.available_permits(), 0);
        assert!(futures_util::FutureExt::now_or_never(peers.accept()).is_none());
        drop(first);
        let (_, address) = peers.accept().await;
        assert_eq!(address, clients[1].local_addr().unwrap());
        assert!(peers.open.with(|open| open.len()) <= 1, "what ended is forgotten");
    }

    #[tokio::test]
    async fn a_silent_connection_makes_room_for_another_and_an_answered_one_does_not() {
        let (mut peers, address) = peers(Allowed { connections: 2, ..Allowed::default() }).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let (mut answered, _) = peers.accept().await;
        answered.write_all(b"answer").await.unwrap();
        let (mut silent, _) = peers.accept().await;
        let ended = async move { silent.read_u8().await.unwrap_err().kind() };
        let ((_, address), kind) = tokio::join!(peers.accept(), ended);
        assert_eq!((address, kind), (clients[2].local_addr().unwrap(), io::ErrorKind::TimedOut));
        assert!(peers.open.with(|open| open.contains_key(&answered.number)));
    }

    #[test]
    fn of_those_that_were_answered_the_one_that_is_quiet_for_longest_makes_room() {
        let (open, now, quiet) = (Open::default(), Instant::now(), Duration::from_secs(45));
        let tokens: Vec<CancellationToken> = (0..3).map(|_| CancellationToken::new()).collect();
        for (number, ago) in [50, 60, 10].into_iter().enumerate() {
            let answered = Some(now + Duration::from_secs(100 - ago));
            open.with(|open| {
                open.insert(number as u64, Standing { answered, give_up: tokens[number].clone() })
            });
        }
        let given_up = |tokens: &[CancellationToken]| -> Vec<bool> {
            tokens.iter().map(CancellationToken::is_cancelled).collect()
        };
        let now = now + Duration::from_secs(100);
        for expected in [[false, true, false], [true, true, false], [true, true, false]] {
            open.make_room(now, quiet);
            assert_eq!(given_up(&tokens), expected);
        }
    }
}
