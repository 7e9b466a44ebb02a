use std::collections::BTreeMap;

use super::*;
use crate::event::{Level, LogEvent};
use crate::features::stable_hash;
use crate::id::{Coordinates, FindingId};

mod bank;
mod baselines;
mod properties;
mod rules;
mod sessions;
mod user_rules;

/// A line of standard input, numbered.
pub(crate) struct Numbered(pub u64);

impl Origin for Numbered {
    fn finding_id(&self, detector: &str) -> FindingId {
        FindingId::of_record(detector, Coordinates::Stdin { line: self.0 }, EventTime::default(), 0, b"")
    }

    fn source(&self) -> Source {
        Source::Stdin { line: self.0 }
    }
}

/// A line for a test; its fields can be overridden.
#[derive(Clone, Debug)]
pub(crate) struct TestLine {
    pub number: u64,
    pub score: f64,
    pub known_pattern: bool,
    pub event: LogEvent,
}

impl TestLine {
    pub fn new(time_s: f64, service: &str, level: Level, message: &str) -> Self {
        Self {
            number: 0,
            score: 0.1,
            known_pattern: true,
            event: LogEvent {
                timestamp: EventTime::from_micros(micros(time_s)),
                service: service.to_owned(),
                level: Some(level),
                message: message.to_owned(),
                ..LogEvent::default()
            },
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.event.attributes.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A bank of detectors and what it found.
pub(crate) struct Rig {
    pub bank: Detectors,
    pub found: Vec<Finding>,
    lines: u64,
}

/// Noon of a Monday, in seconds.
pub(crate) const NOON: f64 = 1_700_481_600.0;

impl Rig {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// Only these detectors.
    pub fn only(names: &[&str]) -> Self {
        let mut settings = Settings::default();
        for entry in REGISTRY.iter().filter(|entry| !names.contains(&entry.name)) {
            settings.set(None, entry.name, "enabled", Value::Switch(false)).unwrap();
        }
        Self::with(settings)
    }

    pub fn with(settings: Settings) -> Self {
        let mut bank = Detectors::new(settings, &BusinessNames::default());
        bank.set_thresholds(Thresholds { odd: 0.7, warning: 0.9 });
        Self { bank, found: Vec::new(), lines: 0 }
    }

    pub fn push(&mut self, line: &TestLine) {
        self.lines += 1;
        let origin = Numbered(if line.number > 0 { line.number } else { self.lines });
        let pattern = pattern_of(&line.event.message, usize::MAX);
        let seen = Seen {
            event: &line.event,
            score: line.score,
            percentile: line.score * 100.0,
            pattern: stable_hash(4, pattern.as_bytes()),
            known_pattern: line.known_pattern,
            origin: &origin,
        };
        self.bank.push(&seen, &mut self.found);
    }

    pub fn say(&mut self, time_s: f64, service: &str, level: Level) {
        self.push(&TestLine::new(time_s, service, level, "something was said"));
    }

    pub fn tick(&mut self, time_s: f64) {
        self.tick_as(time_s, true);
    }

    pub fn tick_as(&mut self, time_s: f64, caught_up: bool) {
        let now = EventTime::from_micros(micros(time_s));
        self.bank.tick(Tick { now, caught_up }, &mut self.found);
    }

    pub fn anomalies(&self) -> Vec<&Anomaly> {
        self.found
            .iter()
            .filter_map(|finding| match finding {
                Finding::Anomaly(anomaly) => Some(&**anomaly),
                Finding::Holds { .. } => None,
            })
            .collect()
    }

    /// How many anomalies each detector found.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for anomaly in self.anomalies() {
            *counts.entry(anomaly.detector.clone()).or_default() += 1;
        }
        counts
    }
}
