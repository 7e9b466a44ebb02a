//! The thread of one sink: between its desk and its receiver. Requests run on the shared runtime, so that a slow one
//! holds up nothing but its own alert.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver as Mailbox, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use notify::dispatch::Work;
use notify::{Outcome, Receiver};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::desk::{Desk, Done};
use crate::metrics::Health;

/// Longest wait for the outbox while nothing is under way.
const LOOK: Duration = Duration::from_millis(200);
/// Longest wait for it while requests are.
const BUSY_LOOK: Duration = Duration::from_millis(10);
/// What the outbox is asked for at the end: nothing within this time means that it holds nothing more.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// When workers are to be over.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<OnceLock<Instant>>);

impl Stop {
    /// From now on they only finish what is there, at most until `deadline`. Only the first call counts.
    pub fn at(&self, deadline: Instant) {
        // An error means that it was said before.
        let _ = self.0.set(deadline);
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

/// One sink at work.
pub struct Worker {
    name: String,
    desk: Desk,
    receiver: Arc<Receiver>,
    runtime: Handle,
    stop: Stop,
    started: Instant,
    requests: JoinSet<()>,
    under_way: usize,
    done: Mailbox<Done>,
    doing: Sender<Done>,
}

impl Worker {
    /// A worker that is not started yet.
    pub fn new(name: &str, desk: Desk, receiver: Receiver, runtime: Handle, stop: Stop) -> Self {
        let (doing, done) = channel();
        Self {
            name: name.to_owned(),
            desk,
            receiver: Arc::new(receiver),
            runtime,
            stop,
            started: Instant::now(),
            requests: JoinSet::new(),
            under_way: 0,
            done,
            doing,
        }
    }

    /// Starts its thread; the receiver hears of its end.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self, health: Health) -> std::io::Result<oneshot::Receiver<()>> {
        let (ending, ended) = oneshot::channel();
        let part = format!("sink {}", self.name);
        std::thread::Builder::new().name(part.clone()).spawn(move || {
            let watch = Watch { part, health };
            self.run();
            drop(watch);
            // An error means that nobody waits any more.
            let _ = ending.send(());
        })?;
        Ok(ended)
    }

    fn run(mut self) {
        loop {
            let now = self.started.elapsed();
            while let Ok(done) = self.done.try_recv() {
                self.under_way -= 1;
                self.desk.done(done, now, Timestamp::now());
            }
            while let Some(work) = self.desk.next(now) {
                self.send(work);
            }
            self.desk.keep(now, Timestamp::now());
            while self.requests.try_join_next().is_some() {}
            let ending = self.stop.deadline();
            if ending.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            let longest = match (self.under_way > 0, ending) {
                (true, _) => BUSY_LOOK,
                (false, Some(_)) => LAST_LOOK,
                (false, None) => self.desk.idle_for(now, LOOK),
            };
            let taken = self.desk.take(longest, Timestamp::now());
            // What failed waits for the next start.
            if ending.is_some() && taken.is_none_or(|taken| taken == 0) && self.under_way == 0 {
                break;
            }
            if taken.is_none() {
                std::thread::sleep(longest);
            }
        }
        if self.under_way > 0 {
            tracing::warn!(
                sink = self.name,
                requests = self.under_way,
                "stopped before the sink answered; it is told again at the next start"
            );
        }
        self.requests.abort_all();
        self.desk.keep(self.started.elapsed(), Timestamp::now());
        self.desk.close();
    }

    fn send(&mut self, work: Work) {
        let (receiver, doing) = (Arc::clone(&self.receiver), self.doing.clone());
        let name = self.name.clone();
        self.under_way += 1;
        self.requests.spawn_on(
            async move {
                let since = Instant::now();
                let sent = receiver.deliver(&work.record, Timestamp::now().as_second());
                let outcome = AssertUnwindSafe(sent).catch_unwind().await.unwrap_or_else(|_| {
                    let why = "the request ended unexpectedly, what it said is in the log above".to_owned();
                    Outcome::Retry { why, after: None }
                });
                fault::here_of("answered by", &name);
                // An error means that the worker is over.
                let _ = doing.send(Done { work, outcome, took: since.elapsed() });
            },
            &self.runtime,
        );
    }
}

/// Says so when a worker's thread ends by a panic.
struct Watch {
    part: String,
    health: Health,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why =
                "its thread ended unexpectedly; nobody is told by it until the program is started again";
            tracing::error!(part = self.part, "{why}");
            self.health.not_live(&self.part, why);
        }
    }
}
