//! What detectors are given of each line, and what they read out of it once for all of them.

use super::anomaly::Source;
use super::classes::{self, Class};
use super::reader::Reader;
use crate::decode::business::{Business, Outcome, Phase};
use crate::event::{Level, LogEvent};
use crate::id::FindingId;

/// Where a line came from: asked only for what is kept or found.
pub trait Origin {
    /// The id of what `detector` found in this line.
    fn finding_id(&self, detector: &str) -> FindingId;
    /// Its coordinates.
    fn source(&self) -> Source;
}

/// A scored line as detectors see it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The line, secrets taken out.
    pub event: &'a LogEvent,
    /// Its score, in [0, 1].
    pub score: f64,
    /// Its percentile, 0–100.
    pub percentile: f64,
    /// Hash of its masked pattern, the same in every run.
    pub pattern: u64,
    /// Whether training saw the pattern.
    pub known_pattern: bool,
    /// Where it came from.
    pub origin: &'a dyn Origin,
}

/// What an event says beyond its text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts<'e> {
    pub business: Business<'e>,
    pub is_error: bool,
    pub class: Option<Class>,
}

impl<'e> Facts<'e> {
    pub fn of(event: &'e LogEvent, reader: &mut Reader) -> Self {
        let level = event.level.unwrap_or(Level::Info);
        Self {
            business: reader.business(event),
            is_error: level >= Level::Error,
            class: if level >= Level::Warn { classes::of(event) } else { None },
        }
    }

    /// The event tells that a piece of work ended, well or badly.
    pub fn has_ended(&self) -> bool {
        matches!(self.business.phase, Some(Phase::Finished | Phase::Failed))
    }

    /// The event tells that a piece of work failed.
    pub fn failed(&self) -> bool {
        self.business.outcome == Some(Outcome::Failure) || self.business.phase == Some(Phase::Failed)
    }
}
