CREATE TABLE controls (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    stored_at TEXT NOT NULL
);
