//! Removes what is too old or too much, on a thread of its own, and tells when the store cannot be reached even while
//! there is nothing to write.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ::store::{Retention, Store};

use crate::metrics::{Health, Metrics, ReasonLabel};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(10);
/// Most steps of one round, so that the store is not held for long.
const STEPS: usize = 200;
/// Its name in health.
const PART: &str = "store upkeep";

/// Ends its thread when dropped.
pub struct Upkeep {
    _alive: Sender<()>,
}

impl Upkeep {
    /// Begins with a round.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        mut store: Box<dyn Store>,
        retention: Retention,
        metrics: Metrics,
        health: Health,
    ) -> std::io::Result<Self> {
        let (alive, ended) = channel();
        std::thread::Builder::new().name("store upkeep".to_owned()).spawn(move || {
            loop {
                match round(store.as_mut(), retention, &metrics) {
                    Ok(()) => health.ready(PART),
                    Err(error) => {
                        metrics.store.upkeep_failures.inc();
                        tracing::warn!("{error}");
                        health.not_ready(PART, error.to_string());
                    }
                }
                if ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        })?;
        Ok(Self { _alive: alive })
    }
}

/// Removes until nothing is left to remove, or for a while.
///
/// # Errors
/// The store cannot be reached or written.
pub fn round(store: &mut dyn Store, retention: Retention, metrics: &Metrics) -> ::store::Result<()> {
    for _ in 0..STEPS {
        let removed = store.maintain(super::now(), &retention)?;
        for (reason, rows) in [("expired", removed.expired), ("displaced", removed.displaced)] {
            if rows > 0 {
                let label = ReasonLabel { reason: reason.to_owned() };
                metrics.store.removed.get_or_create(&label).inc_by(rows);
            }
        }
        if !removed.more {
            break;
        }
    }
    metrics.store.bytes.set(i64::try_from(store.usage()?.bytes).unwrap_or(i64::MAX));
    Ok(())
}
