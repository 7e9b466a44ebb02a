//! What is written: rows as a program has them.

use engine::event::{EventTime, Level};

/// One kept log line.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// A function of the line's coordinates and text: the same at a second delivery.
    pub id: String,
    /// Time of the line.
    pub time: EventTime,
    /// Its service; empty where it names none.
    pub service: String,
    /// Its level.
    pub level: Option<Level>,
    /// Its text, secrets taken out.
    pub message: String,
    /// Its score, in [0, 1].
    pub score: f64,
    /// The stream it belongs to: a topic, a folder.
    pub family: String,
    /// Where exactly it came from: topic, partition and offset; file and offset.
    pub source: String,
}

/// One anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct AnomalyRow {
    /// Its id.
    pub id: String,
    /// Event time at which its condition was met.
    pub time: EventTime,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// The detector.
    pub detector: String,
    /// The service that it is about.
    pub service: String,
    /// What it says, in one sentence or as the line itself.
    pub details: String,
    /// Score of its oddest line, in [0, 1].
    pub score: f64,
    /// The whole record, JSON.
    pub record: String,
}

/// One record of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    /// The alert.
    pub id: String,
    /// Rises with each record of the alert, from 1.
    pub revision: i64,
    /// Why the record was written.
    pub cause: String,
    /// `firing`, `muted` or `resolved`.
    pub status: String,
    /// As of an anomaly.
    pub severity: String,
    /// The service that it is about.
    pub service: String,
    /// Detector of its gravest anomaly.
    pub detector: String,
    /// What that anomaly says.
    pub message: String,
    /// Event time of the first anomaly.
    pub first_seen: EventTime,
    /// Event time of the last anomaly.
    pub last_seen: EventTime,
    /// Event time of its end.
    pub resolved_at: Option<EventTime>,
    /// Anomalies so far.
    pub count: i64,
    /// Score of its oddest line, in [0, 1].
    pub score: f64,
    /// The whole record, JSON: what the outbox gives to receivers.
    pub record: String,
}

/// What is written together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// When it is written: what retention goes by.
    pub now: EventTime,
    /// Log lines.
    pub logs: Vec<LogRow>,
    /// Anomalies.
    pub anomalies: Vec<AnomalyRow>,
    /// Records of alerts; each also goes to the outbox.
    pub alerts: Vec<AlertRow>,
}

impl Rows {
    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.anomalies.is_empty() && self.alerts.is_empty()
    }
}

/// How many rows were new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Log lines.
    pub logs: u64,
    /// Anomalies.
    pub anomalies: u64,
    /// Records of alerts.
    pub alerts: u64,
}
