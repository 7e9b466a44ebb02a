CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    log_timestamp TEXT NOT NULL,
    service TEXT NOT NULL,
    level TEXT,
    message TEXT NOT NULL,
    score REAL NOT NULL,
    family TEXT NOT NULL,
    source TEXT NOT NULL,
    stored_at TEXT NOT NULL
);
CREATE INDEX logs_by_time ON logs (log_timestamp, seq);
CREATE INDEX logs_by_service ON logs (service, log_timestamp, seq);

CREATE TABLE anomalies (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    detected_at TEXT NOT NULL,
    severity TEXT NOT NULL,
    anomaly_type TEXT NOT NULL,
    affected_service TEXT NOT NULL,
    details TEXT NOT NULL,
    score REAL NOT NULL,
    record TEXT NOT NULL,
    stored_at TEXT NOT NULL
);
CREATE INDEX anomalies_by_time ON anomalies (detected_at, seq);
CREATE INDEX anomalies_by_service ON anomalies (affected_service, detected_at, seq);

CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    severity TEXT NOT NULL,
    service TEXT NOT NULL,
    detector TEXT NOT NULL,
    message TEXT NOT NULL,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    resolved_at TEXT,
    anomalies INTEGER NOT NULL,
    score REAL NOT NULL,
    record TEXT NOT NULL,
    stored_at TEXT NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (last_seen, id);
CREATE INDEX alerts_by_status ON alerts (status, last_seen, id);
CREATE INDEX alerts_by_age ON alerts (stored_at);

CREATE TABLE alert_records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    cause TEXT NOT NULL,
    record TEXT NOT NULL,
    stored_at TEXT NOT NULL,
    UNIQUE (alert_id, revision)
);

CREATE TABLE sink_positions (
    sink TEXT PRIMARY KEY,
    position INTEGER NOT NULL
);

CREATE TABLE sink_results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    http_status INTEGER,
    detail TEXT NOT NULL,
    stored_at TEXT NOT NULL
);
CREATE INDEX sink_results_by_alert ON sink_results (alert_id, revision);

CREATE TABLE dead_letters (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    reason TEXT NOT NULL,
    record TEXT NOT NULL,
    stored_at TEXT NOT NULL,
    UNIQUE (sink, alert_id, revision)
);
