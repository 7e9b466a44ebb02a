//! Anomalies in, alerts out: one incident of one service, from its first anomaly until it has been quiet for a
//! while, and who is told of it when. Never sends anything and never reads a clock.

mod book;
mod config;
mod fold;
mod mute;
mod watch;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use book::{AlertBook, Clocks, Counters, Snapshot};
pub use config::{AlertSettings, Audience, SettingsError};
pub use mute::{Normal, Silence};
pub use watch::{News, Watch, WatchSettings};

use crate::detect::{Evidence, Severity, Source};
use crate::event::EventTime;
use crate::id::FindingId;

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It goes on.
    Firing,
    /// It goes on, and a silence says that nobody is to be told.
    Muted,
    /// It is over.
    Resolved,
}

impl Status {
    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Muted => "muted",
            Self::Resolved => "resolved",
        }
    }
}

/// What one detector found within an alert, all its anomalies of one subject together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The detector.
    pub detector: String,
    /// What of the service; empty where it is the whole.
    pub subject: String,
    /// The gravest of its anomalies.
    pub severity: Severity,
    /// What the gravest, and of equal ones the first, says.
    pub headline: String,
    /// Anomalies.
    pub count: u64,
    /// Event time of the first.
    pub first_seen: EventTime,
    /// Event time of the last.
    pub last_seen: EventTime,
}

/// One incident of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// A hash of the service and the id of its first anomaly.
    pub id: FindingId,
    /// Rises with each record of this alert: with a graver severity, a repeat, the begin or end of a silence, the resolve.
    pub revision: u32,
    /// How it stands.
    pub status: Status,
    /// That of its gravest anomaly.
    pub severity: Severity,
    /// The service.
    pub service: String,
    /// Detector of the gravest anomaly, and of equal ones the first.
    pub detector: String,
    /// What that anomaly says.
    pub message: String,
    /// Event time of the first anomaly.
    pub first_seen: EventTime,
    /// Event time of the last anomaly, or until which a condition held.
    pub last_seen: EventTime,
    /// When it was resolved, in event time.
    pub resolved_at: Option<EventTime>,
    /// Anomalies.
    pub count: u64,
    /// The oddest line's score, in [0, 1]; 0 where no line is kept.
    pub score: f64,
    /// What each detector found, in order of appearance, at most 16.
    pub parts: Vec<Part>,
    /// Anomalies whose detector and subject found no room among `parts`.
    pub further: u64,
    /// The first, the oddest and the last line, and the last of what leads the alert, in order of time.
    pub evidence: Vec<Evidence>,
    /// Time and place of the last line of the gravest anomalies of `detector`.
    gravest_line: Option<(EventTime, Source)>,
    /// Reasons beside the headlines, at most 8.
    pub reasons: Vec<String>,
}

/// Why a record of an alert is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// It is new.
    Opened,
    /// It got graver.
    Graver,
    /// A silence began that matches it; nobody is told.
    Muted,
    /// A silence ended while it still goes on.
    Unmuted,
    /// It still goes on.
    Repeat,
    /// It is over.
    Resolved,
    /// Not an incident: how many alerts the daily budget held back.
    Notice,
}

impl Cause {
    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Graver => "graver",
            Self::Muted => "muted",
            Self::Unmuted => "unmuted",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
            Self::Notice => "notice",
        }
    }
}

/// One record of an alert, for the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertChange {
    /// Why it is written.
    pub cause: Cause,
    /// Time of the ticks when it is written.
    pub at: EventTime,
    /// The alert as it stands now.
    pub alert: Alert,
    /// Names of the audiences to be told.
    pub notify: Vec<String>,
    /// Somebody would have been told, but the daily budget was used up.
    pub held_back: bool,
}
