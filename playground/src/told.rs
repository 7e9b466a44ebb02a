//! What the page is told, as JSON. Names are those of the records that `scorer` sends.

use engine::alert::AlertChange;
use engine::detect::{Anomaly, Evidence, Filling};
use engine::event::EventTime;
use engine::model::Reason;
use serde::Serialize;

/// What followed from a question.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    /// What was wrong with the question; nothing was done then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Lines that were read, in order.
    pub lines: Vec<Line>,
    /// What detectors found, in order.
    pub findings: Vec<Found>,
    /// Records of alerts, in order.
    pub alerts: Vec<AlertTold>,
    /// Windows that are open now.
    pub windows: Vec<Window>,
    /// The model, at the start.
    pub about: Option<About>,
}

/// What does not change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// Digest of the model.
    pub model: String,
    /// Training lines.
    pub rows: u64,
    /// Lines above this score are odd.
    pub threshold: f64,
    /// Odd lines above this score are warnings.
    pub warning_score: Option<f64>,
}

/// A window that is open: how far it is from its bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    detector: &'static str,
    service: String,
    value: f64,
    bound: f64,
    unit: &'static str,
    start: String,
    end: String,
    /// Whether lines of it may still come.
    open: bool,
}

impl Window {
    /// As it stands when events have got to `time`.
    pub fn of(filling: &Filling, time: Option<EventTime>) -> Self {
        Self {
            detector: filling.detector,
            service: filling.service.clone(),
            value: filling.value,
            bound: filling.bound,
            unit: filling.unit,
            start: filling.window.0.to_string(),
            end: filling.window.1.to_string(),
            open: time.is_none_or(|time| time < filling.window.1),
        }
    }
}

/// A line as it was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Line {
    /// Its offset in the topic, from 0.
    pub offset: u64,
    /// The record as it stands in the file.
    pub record: String,
    /// Why it cannot be read; everything below is empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    /// Its time, RFC 3339 in UTC.
    pub timestamp: String,
    /// Its service.
    pub service: String,
    /// Its level, in capitals.
    pub level: Option<&'static str>,
    /// Its text.
    pub message: String,
    /// Its score, in [0, 1].
    pub score: f64,
    /// Where the score stands in the training distribution, 0–100.
    pub percentile: f64,
    /// The forest's own score, in [0, 1].
    pub forest: f64,
    /// Mean of the three greatest word surprisals, in nats.
    pub surprisal: f64,
    /// Whether the score is above the threshold.
    pub odd: bool,
    /// What made it odd; empty where it is not.
    pub reasons: Vec<Why>,
    /// The nearest pattern that training saw often.
    pub nearest_pattern: Option<String>,
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The word, pattern or level.
    pub word: String,
    /// Its part of the line's oddness, in nats.
    pub contribution: f64,
    /// Training lines that had it.
    pub seen: u64,
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        Self { word: reason.word.clone(), contribution: reason.contribution, seen: reason.seen }
    }
}

/// What a detector found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    id: String,
    detector: String,
    service: String,
    severity: &'static str,
    timestamp: String,
    message: String,
    value: f64,
    bound: f64,
    unit: String,
}

impl From<&Anomaly> for Found {
    fn from(anomaly: &Anomaly) -> Self {
        Self {
            id: anomaly.id.to_string(),
            detector: anomaly.detector.clone(),
            service: anomaly.service.clone(),
            severity: anomaly.severity.as_str(),
            timestamp: anomaly.time.to_string(),
            message: anomaly.headline.clone(),
            value: anomaly.value,
            bound: anomaly.bound,
            unit: anomaly.unit.clone(),
        }
    }
}

/// A record of an alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertTold {
    /// The alert; the same in all of its records.
    pub id: String,
    /// Rises with each record.
    pub revision: u32,
    /// Why the record is written.
    pub cause: &'static str,
    /// How the alert stands.
    pub status: &'static str,
    /// That of its gravest anomaly.
    pub severity: &'static str,
    /// The service.
    pub service: String,
    /// Detector of the gravest anomaly.
    pub detector: String,
    /// What that one says.
    pub message: String,
    /// Event time of the first anomaly.
    pub first_seen: String,
    /// Event time of the last anomaly.
    pub last_seen: String,
    /// Anomalies.
    pub count: u64,
    /// The oddest line's score.
    pub score: f64,
    /// Reasons, a sentence each.
    pub reasons: Vec<String>,
    /// The first, the oddest and the last line, and the last of what leads the alert.
    pub evidence: Vec<Shown>,
    /// Receivers that are told of it now.
    pub notify: Vec<String>,
}

/// A line of the evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    timestamp: String,
    level: Option<&'static str>,
    message: String,
    score: f64,
}

impl From<&Evidence> for Shown {
    fn from(line: &Evidence) -> Self {
        Self {
            timestamp: line.time.to_string(),
            level: line.level.map(|level| level.as_str()),
            message: line.message.clone(),
            score: line.score,
        }
    }
}

impl From<&AlertChange> for AlertTold {
    fn from(change: &AlertChange) -> Self {
        let alert = &change.alert;
        Self {
            id: alert.id.to_string(),
            revision: alert.revision,
            cause: change.cause.as_str(),
            status: alert.status.as_str(),
            severity: alert.severity.as_str(),
            service: alert.service.clone(),
            detector: alert.detector.clone(),
            message: alert.message.clone(),
            first_seen: alert.first_seen.to_string(),
            last_seen: alert.last_seen.to_string(),
            count: alert.count,
            score: alert.score,
            reasons: alert.reasons.clone(),
            evidence: alert.evidence.iter().map(Shown::from).collect(),
            notify: change.notify.clone(),
        }
    }
}
