//! What a detector found, and the lines that show it. Holds no rule.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::seen::Seen;
use crate::event::{EventTime, Level};
use crate::id::{Coordinates, FindingId};

/// How grave a finding is, least grave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look one day.
    Info,
    /// Something is changing.
    Warning,
    /// Something does not work.
    Error,
    /// Act now.
    Critical,
}

impl Severity {
    /// All, least grave first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text).ok_or_else(|| {
            format!("a severity is info, warning, error or critical, got `{}`", text.escape_debug())
        })
    }
}

/// Text that is shared, written as a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub Arc<str>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Where a line came from, kept: the owned form of [`Coordinates`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// A Kafka record.
    Kafka {
        /// The cluster's own id.
        cluster: Text,
        /// Topic name.
        topic: Text,
        /// Partition number.
        partition: i32,
        /// Offset in the partition.
        offset: i64,
    },
    /// A line of a file.
    File {
        /// Device and inode.
        identity: Text,
        /// Path as found.
        path: Text,
        /// Byte offset of the line's first byte.
        offset: u64,
    },
    /// A line of standard input.
    Stdin {
        /// Line number, from 1.
        line: u64,
    },
    /// Pushed by a peer.
    Pushed,
}

impl Source {
    /// The coordinates that ids are made of.
    pub fn coordinates(&self) -> Coordinates<'_> {
        match self {
            Self::Kafka { cluster, topic, partition, offset } => Coordinates::Kafka {
                cluster: &cluster.0,
                topic: &topic.0,
                partition: *partition,
                offset: *offset,
            },
            Self::File { identity, offset, .. } => {
                Coordinates::File { identity: &identity.0, offset: *offset }
            }
            Self::Stdin { line } => Coordinates::Stdin { line: *line },
            Self::Pushed => Coordinates::Pushed,
        }
    }
}

/// A line that shows what was found, frozen as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Time of the line.
    pub time: EventTime,
    /// Its level.
    pub level: Option<Level>,
    /// Its text, at most [`Evidence::MOST_BYTES`] long.
    pub message: String,
    /// Its score, in [0, 1].
    pub score: f64,
    /// Its percentile, 0–100.
    pub percentile: f64,
    /// Where it came from.
    pub source: Source,
}

impl Evidence {
    /// Longest text that is kept of a line.
    pub const MOST_BYTES: usize = 2_048;

    pub(crate) fn of(seen: &Seen<'_>) -> Self {
        let mut evidence = Self {
            time: seen.event.timestamp,
            level: seen.event.level,
            message: String::new(),
            score: seen.score,
            percentile: seen.percentile,
            source: seen.origin.source(),
        };
        evidence.message.push_str(cut(&seen.event.message, Self::MOST_BYTES));
        evidence
    }

    fn replace(&mut self, seen: &Seen<'_>) {
        self.time = seen.event.timestamp;
        self.level = seen.event.level;
        self.message.clear();
        self.message.push_str(cut(&seen.event.message, Self::MOST_BYTES));
        self.score = seen.score;
        self.percentile = seen.percentile;
        self.source = seen.origin.source();
    }
}

/// The start of a text, at most `most` bytes, cut between characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The lines that stand for many: the first, the last and the oddest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    first: Option<Evidence>,
    last: Option<Evidence>,
    oddest: Option<Evidence>,
}

impl Kept {
    /// Adds a line, and forgets those before `since`.
    pub fn add(&mut self, seen: &Seen<'_>, since: i64) {
        let old = |kept: &Option<Evidence>| kept.as_ref().is_none_or(|line| line.time.as_micros() < since);
        let time = seen.event.timestamp;
        if old(&self.first) || self.first.as_ref().is_some_and(|first| time < first.time) {
            put(&mut self.first, seen);
        }
        if self.last.as_ref().is_none_or(|last| time >= last.time) {
            put(&mut self.last, seen);
        }
        if old(&self.oddest) || self.oddest.as_ref().is_some_and(|oddest| seen.score > oddest.score) {
            put(&mut self.oddest, seen);
        }
    }

    /// What is kept, in order of time, each line once.
    pub fn lines(&self) -> Vec<Evidence> {
        let mut lines: Vec<Evidence> = Vec::with_capacity(3);
        for line in [&self.first, &self.oddest, &self.last].into_iter().flatten() {
            if !lines.contains(line) {
                lines.push(line.clone());
            }
        }
        lines.sort_by(|a, b| (a.time, &a.source).cmp(&(b.time, &b.source)));
        lines
    }
}

/// Puts a line in the place of another one.
pub(crate) fn put(place: &mut Option<Evidence>, seen: &Seen<'_>) {
    match place {
        Some(line) => line.replace(seen),
        None => *place = Some(Evidence::of(seen)),
    }
}

/// What one detector found: one odd line, or one window of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// A function of the record or window that it was found in.
    pub id: FindingId,
    /// Name of the detector; `rule:NAME` for a rule of the user.
    pub detector: String,
    /// Service that it was found of.
    pub service: String,
    /// What of the service: a transaction name, a pattern, a class of errors; empty where it is the whole.
    pub subject: String,
    /// How grave it is.
    pub severity: Severity,
    /// Event time at which the condition was met: of the line, or the window's end.
    pub time: EventTime,
    /// The window, its end excluded; `None` for a single line.
    pub window: Option<(EventTime, EventTime)>,
    /// One sentence for a person.
    pub headline: String,
    /// What was measured.
    pub value: f64,
    /// What it had to stay within.
    pub bound: f64,
    /// Unit of both.
    pub unit: String,
    /// Further reasons, a sentence each.
    pub reasons: Vec<String>,
    /// Lines that show it, in order of time, at most 3.
    pub evidence: Vec<Evidence>,
}

impl Anomaly {
    /// The oddest score among its lines; 0 where it has none.
    pub fn score(&self) -> f64 {
        self.evidence.iter().map(|line| line.score).fold(0.0, f64::max)
    }

    /// Whether it rests on the oddness of lines or sessions alone: what the daily budget caps.
    pub fn is_budgeted(&self) -> bool {
        matches!(
            self.detector.as_str(),
            super::odd_line::NAME | super::new_pattern::NAME | super::odd_session::NAME
        )
    }
}

/// An anomaly of a window, as a detector describes it.
pub(crate) struct Found<'a> {
    pub detector: &'a str,
    pub service: &'a str,
    pub subject: &'a str,
    pub severity: Severity,
    /// The window in microseconds, its end excluded.
    pub window: (i64, i64),
    /// When the condition was met.
    pub time: i64,
    /// Counts what is told of the same window and subject.
    pub episode: u32,
    pub headline: String,
    pub value: f64,
    pub bound: f64,
    pub unit: &'static str,
    pub reasons: Vec<String>,
    pub evidence: Vec<Evidence>,
}

impl From<Found<'_>> for Finding {
    fn from(found: Found<'_>) -> Self {
        let (start, end) = (EventTime::from_micros(found.window.0), EventTime::from_micros(found.window.1));
        let Found { detector, service, subject, episode, .. } = found;
        Self::Anomaly(Box::new(Anomaly {
            id: FindingId::of_window(detector, service, subject, start, episode),
            detector: detector.to_owned(),
            service: service.to_owned(),
            subject: subject.to_owned(),
            severity: found.severity,
            time: EventTime::from_micros(found.time),
            window: Some((start, end)),
            headline: found.headline,
            value: found.value,
            bound: found.bound,
            unit: found.unit.to_owned(),
            reasons: found.reasons,
            evidence: found.evidence,
        }))
    }
}

/// What leaves the detectors, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Finding {
    /// Something new.
    Anomaly(Box<Anomaly>),
    /// A condition that was told still holds: it keeps the service's alert open.
    Holds {
        /// The detector.
        detector: String,
        /// The service.
        service: String,
        /// Event time at which it held.
        time: EventTime,
    },
}
