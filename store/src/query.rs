//! The questions that people and the dashboard ask, each as one statement that both databases understand. They are
//! explained in `docs/store.md`, which holds exactly these texts.

use engine::event::{EventTime, Level};

use crate::time;

/// A documented statement.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// What it is called in the documentation.
    pub title: &'static str,
    /// Its text; `$1`, `$2` … stand for values.
    pub sql: &'static str,
}

/// Log lines, newest first; `NULL`-like empty texts stand for any.
pub const LAST_LOGS: Query = Query {
    title: "The last log lines",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE (log_timestamp, seq) < ($1, $2)
ORDER BY log_timestamp DESC, seq DESC
LIMIT $3",
};

/// Log lines of one service.
pub const LAST_LOGS_OF_SERVICE: Query = Query {
    title: "The last log lines of a service",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE service = $1 AND (log_timestamp, seq) < ($2, $3)
ORDER BY log_timestamp DESC, seq DESC
LIMIT $4",
};

/// Log lines of one family.
pub const LAST_LOGS_OF_FAMILY: Query = Query {
    title: "The last log lines of a family",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE family = $1 AND (log_timestamp, seq) < ($2, $3)
ORDER BY log_timestamp DESC, seq DESC
LIMIT $4",
};

/// Log lines of one service in one family.
pub const LAST_LOGS_OF_BOTH: Query = Query {
    title: "The last log lines of a service in a family",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE service = $1 AND family = $2 AND (log_timestamp, seq) < ($3, $4)
ORDER BY log_timestamp DESC, seq DESC
LIMIT $5",
};

/// Log lines around a time.
pub const LOGS_BETWEEN: Query = Query {
    title: "Log lines around a time",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE (log_timestamp, seq) > ($1, $2) AND log_timestamp < $3
ORDER BY log_timestamp, seq
LIMIT $4",
};

/// Log lines of one service around a time.
pub const LOGS_BETWEEN_OF_SERVICE: Query = Query {
    title: "Log lines of a service around a time",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE service = $1 AND (log_timestamp, seq) > ($2, $3) AND log_timestamp < $4
ORDER BY log_timestamp, seq
LIMIT $5",
};

/// Log lines of one family around a time.
pub const LOGS_BETWEEN_OF_FAMILY: Query = Query {
    title: "Log lines of a family around a time",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE family = $1 AND (log_timestamp, seq) > ($2, $3) AND log_timestamp < $4
ORDER BY log_timestamp, seq
LIMIT $5",
};

/// Log lines of one service in one family around a time.
pub const LOGS_BETWEEN_OF_BOTH: Query = Query {
    title: "Log lines of a service in a family around a time",
    sql: "\
SELECT log_timestamp, service, level, message, score, family, source, id, seq
FROM logs
WHERE service = $1 AND family = $2 AND (log_timestamp, seq) > ($3, $4) AND log_timestamp < $5
ORDER BY log_timestamp, seq
LIMIT $6",
};

/// Anomalies, newest first.
pub const LAST_ANOMALIES: Query = Query {
    title: "The last anomalies",
    sql: "\
SELECT detected_at, severity, anomaly_type, affected_service, details, score, id, record, seq
FROM anomalies
WHERE (detected_at, seq) < ($1, $2)
ORDER BY detected_at DESC, seq DESC
LIMIT $3",
};

/// Anomalies of one service.
pub const LAST_ANOMALIES_OF_SERVICE: Query = Query {
    title: "The last anomalies of a service",
    sql: "\
SELECT detected_at, severity, anomaly_type, affected_service, details, score, id, record, seq
FROM anomalies
WHERE affected_service = $1 AND (detected_at, seq) < ($2, $3)
ORDER BY detected_at DESC, seq DESC
LIMIT $4",
};

/// One anomaly.
pub const ANOMALY: Query = Query {
    title: "One anomaly",
    sql: "\
SELECT detected_at, severity, anomaly_type, affected_service, details, score, id, record, seq
FROM anomalies
WHERE id = $1",
};

/// Severity by type.
pub const SEVERITY_BY_TYPE: Query = Query {
    title: "Severity by type, over 24 hours",
    sql: "\
SELECT severity, anomaly_type, COUNT(*) AS anomalies
FROM anomalies
WHERE detected_at >= $1
GROUP BY severity, anomaly_type
ORDER BY anomalies DESC, severity, anomaly_type",
};

/// Services with most anomalies.
pub const TOP_SERVICES: Query = Query {
    title: "Top services, over 7 days",
    sql: "\
SELECT affected_service, COUNT(*) AS anomalies, MAX(score) AS max_score, MAX(detected_at) AS last_detected_at
FROM anomalies
WHERE detected_at >= $1
GROUP BY affected_service
ORDER BY anomalies DESC, affected_service
LIMIT $2",
};

/// Scores in tenths.
pub const SCORE_HISTOGRAM: Query = Query {
    title: "Score histogram of the kept lines",
    sql: "\
SELECT COUNT(*) FILTER (WHERE score < 0.1) AS to_0_1,
       COUNT(*) FILTER (WHERE score >= 0.1 AND score < 0.2) AS to_0_2,
       COUNT(*) FILTER (WHERE score >= 0.2 AND score < 0.3) AS to_0_3,
       COUNT(*) FILTER (WHERE score >= 0.3 AND score < 0.4) AS to_0_4,
       COUNT(*) FILTER (WHERE score >= 0.4 AND score < 0.5) AS to_0_5,
       COUNT(*) FILTER (WHERE score >= 0.5 AND score < 0.6) AS to_0_6,
       COUNT(*) FILTER (WHERE score >= 0.6 AND score < 0.7) AS to_0_7,
       COUNT(*) FILTER (WHERE score >= 0.7 AND score < 0.8) AS to_0_8,
       COUNT(*) FILTER (WHERE score >= 0.8 AND score < 0.9) AS to_0_9,
       COUNT(*) FILTER (WHERE score >= 0.9) AS to_1
FROM logs
WHERE log_timestamp >= $1",
};

/// Alerts, newest first.
pub const ALERTS: Query = Query {
    title: "The last alerts",
    sql: "\
SELECT id, revision, status, severity, service, detector, message, first_seen, last_seen, resolved_at, anomalies, score
FROM alerts
WHERE (last_seen, id) < ($1, $2)
ORDER BY last_seen DESC, id DESC
LIMIT $3",
};

/// Alerts of one status.
pub const ALERTS_BY_STATUS: Query = Query {
    title: "Alerts by status",
    sql: "\
SELECT id, revision, status, severity, service, detector, message, first_seen, last_seen, resolved_at, anomalies, score
FROM alerts
WHERE status = $1 AND (last_seen, id) < ($2, $3)
ORDER BY last_seen DESC, id DESC
LIMIT $4",
};

/// One alert.
pub const ALERT: Query = Query {
    title: "One alert",
    sql: "\
SELECT id, revision, status, severity, service, detector, message, first_seen, last_seen, resolved_at, anomalies, score
FROM alerts
WHERE id = $1",
};

/// The records of one alert.
pub const ALERT_RECORDS: Query = Query {
    title: "The records of an alert",
    sql: "\
SELECT revision, cause, record, seq
FROM alert_records
WHERE alert_id = $1
ORDER BY revision",
};

/// Every documented statement.
pub const ALL: &[Query] = &[
    LAST_LOGS,
    LAST_LOGS_OF_SERVICE,
    LAST_LOGS_OF_FAMILY,
    LAST_LOGS_OF_BOTH,
    LOGS_BETWEEN,
    LOGS_BETWEEN_OF_SERVICE,
    LOGS_BETWEEN_OF_FAMILY,
    LOGS_BETWEEN_OF_BOTH,
    LAST_ANOMALIES,
    LAST_ANOMALIES_OF_SERVICE,
    ANOMALY,
    SEVERITY_BY_TYPE,
    TOP_SERVICES,
    SCORE_HISTOGRAM,
    ALERTS,
    ALERTS_BY_STATUS,
    ALERT,
    ALERT_RECORDS,
];

/// Most rows of one answer, however many are asked for.
pub const MOST_ROWS: usize = 1_000;

/// Which part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Most rows; at most [`MOST_ROWS`] are given.
    pub most: usize,
    /// The key of the last row of the page before; `None` for the first page.
    pub after: Option<PageKey>,
}

impl Page {
    /// The first `most` rows.
    pub const fn first(most: usize) -> Self {
        Self { most, after: None }
    }

    /// The rows behind one.
    pub const fn after(key: PageKey, most: usize) -> Self {
        Self { most, after: Some(key) }
    }

    pub(crate) fn limit(&self) -> i64 {
        i64::try_from(self.most.min(MOST_ROWS)).unwrap_or(i64::MAX)
    }

    /// What rows that come newest first are smaller than: time and number.
    pub(crate) fn before(&self) -> (EventTime, i64) {
        match &self.after {
            Some(PageKey { time, number, .. }) => (*time, *number),
            None => (time::last(), i64::MAX),
        }
    }
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// Time of the last row.
    pub time: EventTime,
    /// Its number; 0 for alerts.
    pub number: i64,
    /// Its id, for alerts; else empty.
    pub id: String,
}

/// Which log lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this service; `None` for all.
    pub service: Option<String>,
    /// Of this family; `None` for all.
    pub family: Option<String>,
}

/// Which anomalies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnomalyFilter {
    /// Of this service; `None` for all.
    pub service: Option<String>,
}

/// Which alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Of this status (`firing`, `muted`, `resolved`); `None` for all.
    pub status: Option<String>,
}

/// A log line as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLog {
    /// Time of the line.
    pub log_timestamp: EventTime,
    /// Its service; empty where it names none.
    pub service: String,
    /// Its level, in capitals.
    pub level: Option<Level>,
    /// Its text.
    pub message: String,
    /// Its score, in [0, 1].
    pub score: f64,
    /// The stream it belongs to.
    pub family: String,
    /// Where exactly it came from.
    pub source: String,
    /// Its id.
    pub id: String,
    /// Its number.
    pub number: i64,
}

impl StoredLog {
    /// For the page behind it.
    pub fn key(&self) -> PageKey {
        PageKey { time: self.log_timestamp, number: self.number, id: String::new() }
    }
}

/// An anomaly as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAnomaly {
    /// Event time at which its condition was met.
    pub detected_at: EventTime,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// The detector.
    pub anomaly_type: String,
    /// The service that it is about.
    pub affected_service: String,
    /// What it says.
    pub details: String,
    /// Score of its oddest line, in [0, 1].
    pub score: f64,
    /// Its id.
    pub id: String,
    /// The whole record, JSON.
    pub record: String,
    /// Its number.
    pub number: i64,
}

impl StoredAnomaly {
    /// For the page behind it.
    pub fn key(&self) -> PageKey {
        PageKey { time: self.detected_at, number: self.number, id: String::new() }
    }
}

/// Anomalies of one severity and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeverityCount {
    /// The severity.
    pub severity: String,
    /// The detector.
    pub anomaly_type: String,
    /// How many.
    pub anomalies: i64,
}

/// Anomalies of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceCount {
    /// The service.
    pub affected_service: String,
    /// How many.
    pub anomalies: i64,
    /// The greatest score among them.
    pub max_score: f64,
    /// Time of the last one.
    pub last_detected_at: EventTime,
}

/// Lines of one tenth of the scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBucket {
    /// Least score.
    pub from: f64,
    /// How many lines.
    pub lines: i64,
}

/// An alert as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSummary {
    /// Its id.
    pub id: String,
    /// Its newest revision.
    pub revision: i64,
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
}

impl AlertSummary {
    /// For the page behind it.
    pub fn key(&self) -> PageKey {
        PageKey { time: self.last_seen, number: 0, id: self.id.clone() }
    }
}

/// An alert with its history.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAlert {
    /// As it stands.
    pub summary: AlertSummary,
    /// All its records, oldest first, JSON.
    pub records: Vec<String>,
}
