CREATE TABLE logs (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    log_timestamp TIMESTAMPTZ NOT NULL,
    service TEXT NOT NULL,
    level TEXT,
    message TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    family TEXT NOT NULL,
    source TEXT NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX logs_by_time ON logs (log_timestamp, seq);
CREATE INDEX logs_by_service ON logs (service, log_timestamp, seq);

CREATE TABLE anomalies (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    detected_at TIMESTAMPTZ NOT NULL,
    severity TEXT NOT NULL,
    anomaly_type TEXT NOT NULL,
    affected_service TEXT NOT NULL,
    details TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    record JSON NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX anomalies_by_time ON anomalies (detected_at, seq);
CREATE INDEX anomalies_by_service ON anomalies (affected_service, detected_at, seq);

CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    status TEXT NOT NULL,
    severity TEXT NOT NULL,
    service TEXT NOT NULL,
    detector TEXT NOT NULL,
    message TEXT NOT NULL,
    first_seen TIMESTAMPTZ NOT NULL,
    last_seen TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ,
    anomalies BIGINT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    record JSON NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (last_seen, id);
CREATE INDEX alerts_by_status ON alerts (status, last_seen, id);
CREATE INDEX alerts_by_age ON alerts (stored_at);

CREATE TABLE alert_records (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    cause TEXT NOT NULL,
    record JSON NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL,
    UNIQUE (alert_id, revision)
);

CREATE TABLE sink_positions (
    sink TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE sink_results (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sink TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    http_status BIGINT,
    detail TEXT NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sink_results_by_alert ON sink_results (alert_id, revision);

CREATE TABLE dead_letters (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sink TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    reason TEXT NOT NULL,
    record JSON NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL,
    UNIQUE (sink, alert_id, revision)
);
