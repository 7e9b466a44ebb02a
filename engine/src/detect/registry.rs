//! The list of detectors: a new one is one file and one line here.

use super::knobs::{Knob, Settings};
use super::seen::{Facts, Seen};
use super::services::Clock;
use super::{Finding, *};
use crate::suspect::Took;

/// A detector as the list knows it.
pub struct Entry {
    /// Its name in anomalies, metrics and settings.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Its page of the documentation, in Markdown.
    pub doc: &'static str,
    /// Its settings, beside `enabled`.
    pub knobs: &'static [Knob],
    /// Makes one; states begin empty.
    pub(crate) make: fn(&Settings) -> Box<dyn Detect>,
}

/// Every detector, in the order of the documentation.
pub const REGISTRY: &[Entry] = &[
    odd_line::ENTRY,
    new_pattern::ENTRY,
    odd_session::ENTRY,
    error_burst::ENTRY,
    error_rate::ENTRY,
    failure_spike::ENTRY,
    heartbeat::ENTRY,
    slow_responses::ENTRY,
    timeout::ENTRY,
    volume::ENTRY,
    degradation::ENTRY,
    error_class::ENTRY,
    slow_step::ENTRY,
];

/// The service that a call is about.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    pub slot: usize,
    pub clock: &'a Clock,
    pub lateness_s: f64,
    /// Time of input so far, without the times at which the input was behind or down.
    pub live: i64,
}

impl Service<'_> {
    pub fn name(&self) -> &str {
        &self.clock.name
    }

    pub const fn profile(&self) -> usize {
        self.clock.profile
    }

    /// A condition that was told still holds.
    pub fn holds(&self, detector: &str, time: i64) -> Finding {
        Finding::Holds {
            detector: detector.to_owned(),
            service: self.name().to_owned(),
            time: EventTime::from_micros(time),
        }
    }
}

/// A line and its service.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub service: Service<'a>,
    pub seen: &'a Seen<'a>,
    pub facts: &'a Facts<'a>,
    /// Its time; the clock's where the line is ahead of it.
    pub time: i64,
    /// Its window is closed.
    pub late: bool,
    /// How long the step to it took, from the line of its trace before it.
    pub took: Option<Took>,
}

impl At<'_> {
    /// What of [`cares`] the line has, where a score above `odd` is odd.
    pub fn has(&self, odd: f64, sessions: bool) -> u8 {
        let business = &self.facts.business;
        let flag = |has: bool, bit: u8| if has { bit } else { 0 };
        cares::ANY
            | flag(self.facts.is_error, cares::ERROR)
            | flag(business.duration_ms.is_some(), cares::DURATION)
            | flag(business.outcome.is_some() || business.phase.is_some(), cares::OUTCOME)
            | flag(self.took.is_some(), cares::STEP)
            | flag(!self.seen.known_pattern, cares::NEW)
            | flag(self.seen.score > odd, cares::ODD)
            | flag(sessions, cares::SESSION)
    }
}

/// What a line must have for a detector to care about it: any of these bits. Others are not shown to it.
pub(crate) mod cares {
    /// Every line has it.
    pub const ANY: u8 = 1;
    /// Its level is ERROR or graver.
    pub const ERROR: u8 = 1 << 1;
    /// It says how long something took.
    pub const DURATION: u8 = 1 << 2;
    /// It says how something ended, or how far it is.
    pub const OUTCOME: u8 = 1 << 3;
    /// It is a step of a trace.
    pub const STEP: u8 = 1 << 4;
    /// Training did not see its pattern.
    pub const NEW: u8 = 1 << 5;
    /// It scores above the threshold.
    pub const ODD: u8 = 1 << 6;
    /// Sessions are judged.
    pub const SESSION: u8 = 1 << 7;
}

/// What a detector still needs before it can say anything.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warming {
    /// The detector.
    pub detector: &'static str,
    /// The service.
    pub service: String,
    /// What it lacks, such as `6 days of history`.
    pub needs: String,
}

/// A window that is not told yet, and how far it is from its bound.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Filling {
    /// The detector.
    pub detector: &'static str,
    /// The service.
    pub service: String,
    /// What was measured so far.
    pub value: f64,
    /// What it must stay within.
    pub bound: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// The window, its end excluded.
    pub window: (EventTime, EventTime),
}

/// A detector: all its services' states. What it says depends on the order of one service's lines and ticks only.
pub(crate) trait Detect: Send {
    /// Which lines it is shown, of [`cares`].
    fn cares(&self) -> u8 {
        cares::ANY
    }

    /// A line. Late ones come too: most detectors leave them.
    fn line(&mut self, at: &At<'_>, out: &mut Vec<Finding>);

    /// No line before `closed` will come any more.
    fn advance(&mut self, _service: &Service<'_>, _closed: i64, _out: &mut Vec<Finding>) {}

    /// The clock moved on, about once a second; `is_live` where the input is neither behind nor down.
    fn tick(&mut self, _service: &Service<'_>, _is_live: bool, _out: &mut Vec<Finding>) {}

    /// The scores that make a line odd.
    fn set_thresholds(&mut self, _thresholds: Thresholds) {}

    /// By what sessions are judged; `None` where the model knows none.
    fn set_sessions(&mut self, _sessions: Option<&Sessions>) {}

    /// The service's slot goes to another one.
    fn forget(&mut self, slot: usize);

    /// What it lacks for a service.
    fn needs(&self, _service: &Service<'_>) -> Option<String> {
        None
    }

    /// Its newest window of a service, where one is being filled.
    fn filling(&self, _service: &Service<'_>) -> Option<Filling> {
        None
    }

    /// The states' version and bytes.
    fn save(&self) -> Result<(u32, Vec<u8>), String>;

    /// Takes states back; those of another version are refused.
    fn load(&mut self, version: u32, bytes: &[u8]) -> Result<(), String>;

    /// What it left untold because there was too much of it, since the start.
    fn held_back(&self) -> u64 {
        0
    }
}

/// Writes `save` and `load` for a detector whose states are its field `state`.
macro_rules! stored {
    ($version:literal) => {
        fn save(&self) -> Result<(u32, Vec<u8>), String> {
            Ok(($version, $crate::detect::state::save(&self.state)?))
        }

        fn load(&mut self, version: u32, bytes: &[u8]) -> Result<(), String> {
            if version != $version {
                return Err(format!("version {version}; this program reads version {}", $version));
            }
            self.state = $crate::detect::state::load(bytes)?;
            Ok(())
        }
    };
}
pub(crate) use stored;
