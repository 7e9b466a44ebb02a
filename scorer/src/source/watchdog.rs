//! Notices a source that hangs: its position stands still while its lag grows, or its thread no longer goes
//! round. Turns liveness red; restarts nothing itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::run::App;

const PART: &str = "kafka progress";
const EVERY: Duration = Duration::from_secs(1);

/// What a source tells of itself.
pub struct Watch {
    started: Instant,
    beat_ms: AtomicU64,
    lag: AtomicI64,
    progress: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Watch {
    /// `progress` stands still when nothing is delivered.
    pub fn new(progress: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            started: Instant::now(),
            beat_ms: AtomicU64::new(0),
            lag: AtomicI64::new(0),
            progress: Box::new(progress),
        }
    }

    /// The source's thread goes round.
    pub fn beat(&self) {
        self.beat_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Records that wait on the broker.
    pub fn lag(&self, lag: i64) {
        self.lag.store(lag, Ordering::Relaxed);
    }

    fn look(&self) -> Look {
        Look {
            at: self.started.elapsed(),
            beat: Duration::from_millis(self.beat_ms.load(Ordering::Relaxed)),
            lag: self.lag.load(Ordering::Relaxed),
            progress: (self.progress)(),
        }
    }
}

/// One look at a source; times count from its start.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    beat: Duration,
    lag: i64,
    progress: u64,
}

/// Judges looks one after another.
#[derive(Debug)]
struct Judge {
    limit: Duration,
    moved: Option<Look>,
}

impl Judge {
    /// Why the source counts as hung; `None` while it does not.
    fn judge(&mut self, look: Look) -> Option<String> {
        let since = match self.moved {
            Some(moved) if moved.progress == look.progress && look.lag > 0 => moved,
            _ => *self.moved.insert(look),
        };
        let silent = look.at.saturating_sub(look.beat);
        if silent >= self.limit {
            return Some(format!("the thread that reads has not gone round for {} s", silent.as_secs()));
        }
        let still = look.at.saturating_sub(since.at);
        (still >= self.limit && look.lag > since.lag).then(|| {
            format!(
                "no position has moved for {} s while the lag grew from {} to {} lines",
                still.as_secs(),
                since.lag,
                look.lag
            )
        })
    }
}

/// Watches a source until the process stops.
///
/// # Errors
/// No thread can be started.
pub fn start(app: &App, watch: Arc<Watch>) -> anyhow::Result<()> {
    let app = app.clone();
    let mut judge = Judge { limit: app.settings.stall_timeout, moved: None };
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        while !app.stop.is_cancelled() {
            // Without a model nothing is read on purpose: a restart would not help.
            if app.model.get().is_none() {
                judge.moved = None;
            } else if let Some(why) = judge.judge(watch.look()) {
                app.health.not_live(PART, why);
            } else {
                app.health.live(PART);
            }
            std::thread::sleep(EVERY);
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: u64, lag: i64, progress: u64) -> Look {
        let at = Duration::from_secs(at);
        Look { at, beat: at, lag, progress }
    }

    fn judge(looks: &[Look]) -> Option<String> {
        let mut judge = Judge { limit: Duration::from_secs(60), moved: None };
        looks.iter().fold(None, |_, look| judge.judge(*look))
    }

    #[test]
    fn standing_still_while_the_lag_grows_is_a_hang() {
        let why = judge(&[look(0, 5, 10), look(30, 50, 10), look(60, 99, 10)]).unwrap();
        assert!(why.contains("from 5 to 99"), "{why}");
    }

    #[test]
    fn standing_still_with_a_steady_lag_is_a_broker_that_is_down() {
        assert_eq!(judge(&[look(0, 5, 10), look(60, 5, 10), look(600, 5, 10)]), None);
    }

    #[test]
    fn an_idle_topic_is_no_hang() {
        assert_eq!(judge(&[look(0, 0, 10), look(600, 0, 10), look(601, 3, 10)]), None);
    }

    #[test]
    fn any_progress_starts_the_time_anew() {
        assert_eq!(judge(&[look(0, 5, 10), look(59, 50, 11), look(100, 99, 11)]), None);
    }

    #[test]
    fn a_thread_that_stopped_going_round_is_a_hang() {
        let stuck = Look { beat: Duration::from_secs(1), ..look(70, 0, 1) };
        assert!(judge(&[stuck]).unwrap().contains("69 s"));
    }
}
