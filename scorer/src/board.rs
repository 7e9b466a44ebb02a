//! What the pages show of the running process, in bounded memory: lines and findings by service and time, how long
//! batches took, what detectors still wait for. The pipeline adds to it once a batch; nothing here changes a result.
//! Times are those of the clock at which a line was scored: a page shows what happens now, and a line that states
//! another time is shown when it came.

mod lanes;
mod outcomes;
mod patterns;
mod prefill;
mod scores;
mod shelf;
mod tail;
mod tally;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::detect::Warming;
use notify::AlertRecord;

pub use lanes::{Lane, Lanes, MOST_MINUTES, Total};
pub use patterns::Patterns;
pub use prefill::prefill;
pub use scores::{CELLS, Spread, cell_of};
pub use shelf::{Shelf, last_seen};
pub use tail::{Shown, TailFilter, holds};
pub use tally::Tally;

use outcomes::Outcomes;
use scores::Scores;
use tail::Viewers;

use crate::deliver::SinkResult;

/// Batches whose durations are remembered.
const BATCHES: usize = 512;
/// What is shown of the detectors that still wait for something.
const MOST_WARMING: usize = 100;
/// How often that is looked up.
const WARMING_EVERY: Duration = Duration::from_secs(5);

/// Everything that the pages show; clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lanes: Mutex<Lanes>,
    shelf: Mutex<Shelf>,
    outcomes: Mutex<Outcomes>,
    viewers: Viewers,
    scores: Mutex<Scores>,
    patterns: Mutex<Patterns>,
    /// Seconds from a batch's arrival to its acknowledgement, newest last.
    batches: Mutex<VecDeque<f32>>,
    warming: Mutex<(Option<Instant>, Vec<Warming>)>,
}

/// How long batches took lately, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Took {
    /// Half of the batches took at most this long.
    pub p50: f64,
    /// 99 of 100 did.
    pub p99: f64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Board {
    /// Lines and findings by service and time.
    pub fn lanes(&self) -> MutexGuard<'_, Lanes> {
        lock(&self.0.lanes)
    }

    /// The newest alerts.
    pub fn alerts(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.0.shelf)
    }

    /// A record of an alert was written.
    pub fn alert(&self, record: Arc<AlertRecord>) {
        self.alerts().put(record);
    }

    /// An attempt to tell a sink ended.
    pub fn outcome(&self, result: SinkResult) {
        lock(&self.0.outcomes).put(result);
    }

    /// The last attempts to tell of an alert, oldest first.
    pub fn outcomes(&self, alert_id: &str) -> Vec<SinkResult> {
        lock(&self.0.outcomes).of(alert_id)
    }

    /// How the scores of late are spread, and over how long.
    pub fn scores(&self) -> (Spread, Duration) {
        lock(&self.0.scores).of_late(Instant::now())
    }

    /// Patterns that training never saw.
    pub fn patterns(&self) -> Patterns {
        lock(&self.0.patterns).clone()
    }

    /// What was counted under another model says nothing of this one.
    fn begin_model(&self) {
        *lock(&self.0.scores) = Scores::default();
        *lock(&self.0.patterns) = Patterns::default();
    }

    /// A batch was acknowledged, so long after it came.
    pub fn batch_took(&self, took: Duration) {
        let mut batches = lock(&self.0.batches);
        if batches.len() == BATCHES {
            batches.pop_front();
        }
        batches.push_back(took.as_secs_f32());
    }

    /// How long the last batches took; `None` before the first.
    pub fn took(&self) -> Option<Took> {
        let mut batches: Vec<f32> = lock(&self.0.batches).iter().copied().collect();
        batches.sort_unstable_by(f32::total_cmp);
        let at = |hundredths: usize| -> Option<f64> {
            batches.get((batches.len().checked_sub(1)? * hundredths).div_ceil(100)).copied().map(f64::from)
        };
        Some(Took { p50: at(50)?, p99: at(99)? })
    }

    /// What detectors still wait for; at most a hundred entries.
    pub fn warming(&self) -> Vec<Warming> {
        lock(&self.0.warming).1.clone()
    }

    /// Whether it is time to look up what detectors wait for: every few seconds.
    fn wants_warming(&self) -> bool {
        lock(&self.0.warming).0.is_none_or(|at| at.elapsed() >= WARMING_EVERY)
    }

    fn set_warming(&self, warming: Vec<Warming>) {
        *lock(&self.0.warming) = (Some(Instant::now()), warming);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_newest_batches() {
        let board = Board::default();
        assert_eq!(board.took(), None);
        board.batch_took(Duration::from_secs(1));
        assert_eq!(board.took(), Some(Took { p50: 1.0, p99: 1.0 }));
        (0..BATCHES).for_each(|_| board.batch_took(Duration::from_millis(500)));
        (0..3).for_each(|_| board.batch_took(Duration::from_secs(2)));
        let took = board.took().unwrap();
        assert_eq!((took.p50, took.p99), (0.5, 0.5));
        (0..10).for_each(|_| board.batch_took(Duration::from_secs(2)));
        assert_eq!(board.took().unwrap().p99, 2.0);
    }
}
