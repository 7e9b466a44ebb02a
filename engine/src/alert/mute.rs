//! What nobody wants to hear of: silences, which match alerts and expire, and "this is normal", which drops
//! anomalies until it is undone.

use serde::{Deserialize, Serialize};

use super::Alert;
use crate::event::{EventTime, Level, LogEvent};
use crate::filter::{Filter, FilterError};

/// A silence as it is written and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name, unique.
    pub id: String,
    /// A filter expression over the alert: `service`, `message`, `level` (the severity as a level) and
    /// `attributes` with `severity`, `detector` and `id`.
    pub filter: String,
    /// When it ends, by the clock of the ticks.
    pub until: EventTime,
    /// Why.
    pub comment: String,
}

/// "This is normal": anomalies of a detector, service and subject that are not told any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Normal {
    /// The detector.
    pub detector: String,
    /// The service.
    pub service: String,
    /// What of the service (a pattern's hash, a transaction name); empty: the whole.
    pub subject: String,
}

/// A silence that is ready to match.
#[derive(Debug)]
pub(super) struct Ready {
    pub silence: Silence,
    filter: Filter,
}

impl Ready {
    pub fn new(silence: Silence) -> Result<Self, FilterError> {
        let filter = Filter::compile(&silence.filter)?;
        Ok(Self { silence, filter })
    }

    /// Whether it matches; an expression that fails on an alert does not.
    pub fn matches(&self, alert: &Alert) -> bool {
        self.filter.matches(&as_event(alert)).unwrap_or(false)
    }
}

fn as_event(alert: &Alert) -> LogEvent {
    use crate::detect::Severity;
    let level = match alert.severity {
        Severity::Info => Level::Info,
        Severity::Warning => Level::Warn,
        Severity::Error => Level::Error,
        Severity::Critical => Level::Fatal,
    };
    LogEvent {
        timestamp: alert.last_seen,
        service: alert.service.clone(),
        level: Some(level),
        message: alert.message.clone(),
        attributes: vec![
            ("severity".to_owned(), alert.severity.as_str().to_owned()),
            ("detector".to_owned(), alert.detector.clone()),
            ("id".to_owned(), alert.id.to_string()),
        ],
        ..LogEvent::default()
    }
}
