//! Places for clients. There are so many, and who keeps one without using it loses it: a client that takes
//! in nothing of its answer after a while, and, when somebody else comes and all places are taken, the one
//! that has been idle the longest (slow headers included). So strangers cannot hold them all.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use grantry_core::Clock as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::clock::SystemClock;

/// In place of a turn: a request of the client is at work.
const BUSY: u64 = u64::MAX;

/// All places.
pub struct Seats {
    free: Arc<Semaphore>,
    taken: Mutex<HashMap<u64, Arc<Seat>>>,
    /// Counts what happened, in place of a clock: only the order is asked for.
    turn: AtomicU64,
}

/// A place that is taken.
pub struct Seat {
    /// When its client was last served; [`BUSY`] while it is.
    idle_since: AtomicU64,
    /// An answer is on its way, and not all of it has been taken in.
    writes: AtomicBool,
    leave: Notify,
}

/// A client's hold on its place, which is free again when this is dropped.
pub struct Held {
    id: u64,
    seat: Arc<Seat>,
    seats: Arc<Seats>,
    _place: OwnedSemaphorePermit,
}

impl Seats {
    /// `count` places.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            taken: Mutex::default(),
            turn: AtomicU64::new(0),
        })
    }

    /// A place, once there is one.
    pub async fn take(self: Arc<Self>) -> Held {
        let place = Arc::clone(&self.free).acquire_owned().await;
        #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
        let place = place.expect("an open semaphore");
        let id = self.next_turn();
        let seat = Arc::new(Seat {
            idle_since: AtomicU64::new(id),
            writes: AtomicBool::new(false),
            leave: Notify::new(),
        });
        self.taken().insert(id, Arc::clone(&seat));
        Held {
            id,
            seat,
            seats: self,
            _place: place,
        }
    }

    /// Sends the client away that has been idle the longest, if no place is free and one is idle.
    pub fn make_room(&self) {
        if self.free.available_permits() > 0 {
            return;
        }
        let taken = self.taken();
        let idle = taken.values().filter(|seat| seat.is_idle());
        if let Some(seat) = idle.min_by_key(|seat| seat.idle_since.load(Ordering::Relaxed)) {
            // It is no longer one to send away.
            seat.idle_since.store(BUSY, Ordering::Relaxed);
            seat.leave.notify_one();
        }
    }

    fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn is_idle(&self) -> bool {
        self.idle_since.load(Ordering::Relaxed) != BUSY && !self.writes.load(Ordering::Relaxed)
    }

    /// Completes when the place is somebody else's.
    pub async fn lost(&self) {
        self.leave.notified().await;
    }
}

impl Held {
    /// The place.
    pub fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }

    /// A request of the client's has begun.
    pub fn begin(&self) {
        self.seat.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// It is answered.
    pub fn end(&self) {
        let turn = self.seats.next_turn();
        self.seat.idle_since.store(turn, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seats.taken().remove(&self.id);
    }
}

/// A client's stream, which fails when the client takes in nothing for `patience` though there is
/// something to take in. TCP itself waits for ever for one that is there and says that it has no room.
pub struct Watched<S> {
    stream: S,
    seat: Option<Arc<Seat>>,
    patience: Duration,
    late: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> Watched<S> {
    /// `stream`, whose client sits on `seat` if it is one of many.
    pub const fn new(stream: S, seat: Option<Arc<Seat>>, patience: Duration) -> Self {
        Self {
            stream,
            seat,
            patience,
            late: None,
        }
    }

    /// What `poll` says, unless the client is late.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            if self.late.take().is_some() {
                self.note(false);
            }
            return poll;
        }
        if self.late.is_none() {
            self.note(true);
        }
        let patience = self.patience;
        let late = self.late.get_or_insert_with(|| SystemClock.sleep(patience));
        match late.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client does not take in its answer",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn note(&self, writes: bool) {
        if let Some(seat) = &self.seat {
            seat.writes.store(writes, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, poll)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_in_nothing_is_given_up_and_a_slow_one_is_not() {
        let (client, server) = duplex(16);
        let mut server = Watched::new(server, None, PATIENCE);
        let given_up = server.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        drop(client);

        let (mut client, server) = duplex(16);
        let mut server = Watched::new(server, None, PATIENCE);
        let slow = async {
            let mut taken = [0; 16];
            for _ in 0..4 {
                SystemClock.sleep(PATIENCE - Duration::from_secs(1)).await;
                client.read_exact(&mut taken).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(server.write_all(&[0; 64]), slow);
        written.unwrap();
    }

    #[tokio::test]
    async fn the_place_of_who_was_idle_the_longest_is_given_to_the_next() {
        let seats = Seats::new(3);
        let take = || Arc::clone(&seats).take();
        let (busy, first, second) = (take().await, take().await, take().await);
        busy.begin();
        first.begin();
        first.end();
        seats.make_room();
        assert!(!second.seat.is_idle() && first.seat.is_idle());
        second.seat.lost().await;
        drop(second);
        // There is room now.
        seats.make_room();
        assert!(first.seat.is_idle());
        let next = take().await;
        seats.make_room();
        seats.make_room();
        first.seat.lost().await;
        next.seat.lost().await;
        // Who is served stays.
        seats.make_room();
        busy.end();
        assert!(busy.seat.is_idle());
        drop((busy, first, next));
        assert!(seats.taken().is_empty());
    }

    #[tokio::test]
    async fn who_still_takes_in_an_answer_keeps_the_place() {
        let seats = Seats::new(1);
        let held = Arc::clone(&seats).take().await;
        let (mut client, server) = duplex(16);
        let mut server = Watched::new(server, Some(held.seat()), PATIENCE);
        let writing = tokio::spawn(async move {
            server.write_all(&[0; 32]).await.unwrap();
            server
        });
        while held.seat.is_idle() {
            tokio::task::yield_now().await;
        }
        client.read_exact(&mut [0; 32]).await.unwrap();
        let _server = writing.await.unwrap();
        assert!(held.seat.is_idle());
    }
}
