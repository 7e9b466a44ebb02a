//! One log line after decoding. Knows what an event is, never where it came from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventTime(i64);

impl EventTime {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the Unix epoch; saturates at the ends of the range.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for EventTime {
    /// RFC 3339 in UTC, with as many fraction digits as are needed; a time beyond the calendar (the last day of the
    /// year 9999 is) as its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(end).fmt(f)
    }
}

/// Where an event's time was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// Written in the record itself.
    #[default]
    Record,
    /// The transport's time (a Kafka record's time, the time a line was read).
    Transport,
}

/// Severity, in six steps. Other names map onto these: SEVERE is `Error`; CRITICAL, ALERT, EMERGENCY and
/// PANIC are `Fatal`; NOTICE is `Info`; VERBOSE and FINE are `Debug`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For developers.
    Debug,
    /// Ordinary operation.
    Info,
    /// Something to look at.
    Warn,
    /// An operation failed.
    Error,
    /// The program or system cannot go on.
    Fatal,
}

impl Level {
    /// All levels, least severe first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// The level's name in capitals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One decoded log line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogEvent {
    /// When it happened, as the record says, else the transport's time.
    pub timestamp: EventTime,
    /// Where `timestamp` was found.
    pub time_source: TimeSource,
    /// The service, component or program that wrote it; empty where the record names none.
    pub service: String,
    /// Its severity, where the record names one.
    pub level: Option<Level>,
    /// The text of the line.
    pub message: String,
    /// Every other field, nested names joined by dots, in the order of the record.
    pub attributes: Vec<(String, String)>,
}

/// What a score is made of, borrowed: the parts of an event that the features read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogLine<'a> {
    /// The service; empty where the record names none.
    pub service: &'a str,
    /// Its severity, where the record names one.
    pub level: Option<Level>,
    /// The text of the line.
    pub message: &'a str,
}

impl<'a> From<&'a LogEvent> for LogLine<'a> {
    fn from(event: &'a LogEvent) -> Self {
        Self { service: &event.service, level: event.level, message: &event.message }
    }
}

impl LogEvent {
    /// The value of an attribute by its dotted name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Bounds on what one record may hold. What is beyond is rejected, never cut silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest record in bytes (default 1 MiB).
    pub max_line_bytes: usize,
    /// Most attributes of one event (default 256).
    pub max_attributes: usize,
    /// Deepest nesting of one record (default 32, at most 256 is honoured).
    pub max_depth: usize,
    /// Most events that one batch record (a JSON array, an OTLP export) may hold (default 32 768).
    pub max_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_line_bytes: 1 << 20, max_attributes: 256, max_depth: 32, max_events: 1 << 15 }
    }
}
