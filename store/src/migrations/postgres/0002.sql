CREATE TABLE controls (
    id TEXT PRIMARY KEY,
    record JSON NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL
);
