//! The store over either database: which statement does what. The databases' own files know none of them.

use engine::event::{EventTime, Level};

use crate::backend::{Backend, Column, Kind, Table};
use crate::error::{Error, Result};
use crate::outbox::{DeadLetter, SinkResult, StoredDeadLetter};
use crate::query::{
    self, AlertFilter, AlertSummary, AnomalyFilter, LogFilter, Page, PageKey, ScoreBucket, ServiceCount,
    SeverityCount, StoredAlert, StoredAnomaly, StoredLog,
};
use crate::retention::{Removed, Retention, Usage};
use crate::rows::{AlertRow, AnomalyRow, LogRow, Rows, Written};
use crate::search::{AlertSearch, AnomalySearch, Found, FoundAlert, LogSearch, MOST_LOOKED_AT, Oddness};
use crate::value::{Row, Value};
use crate::{Store, schema, time};

/// Longest text of a column that an index holds, in bytes: PostgreSQL's index rows are bounded.
const INDEXED_BYTES: usize = 512;
/// Rows that one step of removing looks at.
pub(crate) const STEP: i64 = 2_000;

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const LOGS: Table = Table {
    name: "logs",
    columns: &[
        column("id", Kind::Text),
        column("log_timestamp", Kind::Time),
        column("service", Kind::Text),
        column("level", Kind::Text),
        column("message", Kind::Text),
        column("score", Kind::Real),
        column("family", Kind::Text),
        column("source", Kind::Text),
        column("stored_at", Kind::Time),
    ],
    unique: "id",
};

const ANOMALIES: Table = Table {
    name: "anomalies",
    columns: &[
        column("id", Kind::Text),
        column("detected_at", Kind::Time),
        column("severity", Kind::Text),
        column("anomaly_type", Kind::Text),
        column("affected_service", Kind::Text),
        column("details", Kind::Text),
        column("score", Kind::Real),
        column("record", Kind::Json),
        column("stored_at", Kind::Time),
    ],
    unique: "id",
};

const ALERT_RECORDS: Table = Table {
    name: "alert_records",
    columns: &[
        column("alert_id", Kind::Text),
        column("revision", Kind::Int),
        column("cause", Kind::Text),
        column("record", Kind::Json),
        column("stored_at", Kind::Time),
    ],
    unique: "alert_id, revision",
};

const PUT_ALERT: &str = "\
INSERT INTO alerts (id, revision, status, severity, service, detector, message, first_seen, last_seen, resolved_at,
                    anomalies, score, record, stored_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (id) DO UPDATE SET
    revision = excluded.revision, status = excluded.status, severity = excluded.severity, service = excluded.service,
    detector = excluded.detector, message = excluded.message, first_seen = excluded.first_seen,
    last_seen = excluded.last_seen, resolved_at = excluded.resolved_at, anomalies = excluded.anomalies,
    score = excluded.score, record = excluded.record, stored_at = excluded.stored_at
WHERE excluded.revision > alerts.revision";

const NEWEST_LOG: &str = "SELECT COALESCE(MAX(seq), 0) FROM logs";
const OUTBOX: &str = "SELECT seq, record FROM alert_records WHERE seq > $1 ORDER BY seq LIMIT $2";
const POSITION: &str = "SELECT position FROM sink_positions WHERE sink = $1";
const BEGIN_SINK: &str =
    "INSERT INTO sink_positions (sink, position) VALUES ($1, 0) ON CONFLICT (sink) DO NOTHING";
const SETTLE: &str = "\
INSERT INTO sink_positions (sink, position) VALUES ($1, $2)
ON CONFLICT (sink) DO UPDATE SET position = excluded.position
WHERE excluded.position > sink_positions.position";
const PUT_RESULT: &str = "\
INSERT INTO sink_results (sink, alert_id, revision, outcome, http_status, detail, stored_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)";
const PUT_DEAD_LETTER: &str = "\
INSERT INTO dead_letters (sink, alert_id, revision, reason, record, stored_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (sink, alert_id, revision) DO NOTHING";
const DEAD_LETTERS: &str = "\
SELECT seq, sink, alert_id, revision, reason, stored_at, record
FROM dead_letters WHERE sink = $1 AND seq > $2 ORDER BY seq LIMIT $3";
const FORGET_DEAD_LETTER: &str = "DELETE FROM dead_letters WHERE seq = $1";

const CONTROLS: &str = "SELECT id, record FROM controls ORDER BY id";
const PUT_CONTROL: &str = "\
INSERT INTO controls (id, record, stored_at) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET record = excluded.record, stored_at = excluded.stored_at";
const REMOVE_CONTROL: &str = "DELETE FROM controls WHERE id = $1";

/// Only the front of each table is looked at: rows lie in the order in which they were written.
const EXPIRE: &[&str] = &[
    "DELETE FROM logs WHERE seq IN (SELECT seq FROM (SELECT seq, stored_at FROM logs ORDER BY seq LIMIT $1) AS oldest WHERE stored_at < $2)",
    "DELETE FROM anomalies WHERE seq IN (SELECT seq FROM (SELECT seq, stored_at FROM anomalies ORDER BY seq LIMIT $1) AS oldest WHERE stored_at < $2)",
    "DELETE FROM alert_records WHERE seq IN (SELECT seq FROM (SELECT seq, stored_at FROM alert_records ORDER BY seq LIMIT $1) AS oldest WHERE stored_at < $2)",
    "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE stored_at < $2 ORDER BY stored_at LIMIT $1)",
    "DELETE FROM sink_results WHERE seq IN (SELECT seq FROM (SELECT seq, stored_at FROM sink_results ORDER BY seq LIMIT $1) AS oldest WHERE stored_at < $2)",
    "DELETE FROM dead_letters WHERE seq IN (SELECT seq FROM (SELECT seq, stored_at FROM dead_letters ORDER BY seq LIMIT $1) AS oldest WHERE stored_at < $2)",
];

/// A store over a database.
pub struct Database<B> {
    backend: B,
    prepared: bool,
}

impl<B: Backend> Database<B> {
    /// Over a database that is not connected yet.
    pub const fn new(backend: B) -> Self {
        Self { backend, prepared: false }
    }

    /// The database, for tests that break it.
    #[cfg(test)]
    pub const fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    pub(crate) fn ready(&mut self) -> Result<&mut B> {
        if self.backend.connect()? {
            self.prepared = false;
        }
        if !self.prepared {
            schema::migrate(&mut self.backend)?;
            self.prepared = true;
        }
        Ok(&mut self.backend)
    }

    pub(crate) fn transaction<T>(&mut self, work: impl FnOnce(&mut B) -> Result<T>) -> Result<T> {
        let backend = self.ready()?;
        backend.begin()?;
        let done = work(backend).and_then(|value| backend.commit().map(|()| value));
        if done.is_err() {
            backend.rollback();
        }
        done
    }

    pub(crate) fn query<T>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.ready()?.query(sql, values)?;
        rows.iter().map(read).collect()
    }
}

impl<B: Backend> Store for Database<B> {
    fn describe(&self) -> String {
        self.backend.describe()
    }

    fn prepare(&mut self) -> Result<()> {
        self.ready().map(|_| ())
    }

    fn version(&mut self) -> Result<i64> {
        if self.backend.connect()? {
            self.prepared = false;
        }
        schema::found(&mut self.backend)
    }

    fn write(&mut self, rows: &Rows) -> Result<Written> {
        if rows.is_empty() {
            return Ok(Written::default());
        }
        let now = rows.now;
        let logs: Vec<Value<'_>> = rows.logs.iter().flat_map(|row| log_values(row, now)).collect();
        let anomalies: Vec<Value<'_>> =
            rows.anomalies.iter().flat_map(|row| anomaly_values(row, now)).collect();
        let records: Vec<Value<'_>> = rows.alerts.iter().flat_map(|row| record_values(row, now)).collect();
        self.transaction(|backend| {
            let mut written = Written::default();
            if !logs.is_empty() {
                written.logs = backend.insert(&LOGS, &logs)?;
            }
            if !anomalies.is_empty() {
                written.anomalies = backend.insert(&ANOMALIES, &anomalies)?;
            }
            if !records.is_empty() {
                backend.lock()?;
                written.alerts = backend.insert(&ALERT_RECORDS, &records)?;
                for row in &rows.alerts {
                    backend.execute(PUT_ALERT, &alert_values(row, now))?;
                }
            }
            fault::here("before store commit");
            Ok(written)
        })
        .inspect(|_| fault::here("store committed"))
    }

    fn outbox_after(&mut self, seq: i64, most: usize) -> Result<Vec<(i64, Vec<u8>)>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.query(OUTBOX, &[Value::Int(seq), Value::Int(most)], |row| {
            Ok((row.int(0)?, row.text(1)?.into_bytes()))
        })
    }

    fn sink_position(&mut self, sink: &str) -> Result<i64> {
        let read = |backend: &mut B| -> Result<Option<i64>> {
            let rows = backend.query(POSITION, &[Value::from(sink)])?;
            rows.first().map(|row| row.int(0)).transpose()
        };
        if let Some(position) = read(self.ready()?)? {
            return Ok(position);
        }
        self.transaction(|backend| {
            backend.execute(BEGIN_SINK, &[Value::from(sink)])?;
            Ok(read(backend)?.unwrap_or(0))
        })
    }

    fn settle(&mut self, sink: &str, seq: i64) -> Result<()> {
        self.transaction(|backend| backend.execute(SETTLE, &[Value::from(sink), Value::Int(seq)]))?;
        Ok(())
    }

    fn lead(&mut self, sink: &str) -> Result<bool> {
        self.ready()?.lead(sink)
    }

    fn sink_result(&mut self, result: &SinkResult) -> Result<()> {
        let status = result.status.map_or(Value::Null, |status| Value::Int(status.into()));
        let values = [
            Value::from(result.sink.as_str()),
            Value::from(result.alert_id.as_str()),
            Value::Int(result.revision),
            Value::from(result.outcome.as_str()),
            status,
            Value::from(result.detail.as_str()),
            Value::Time(result.at),
        ];
        self.transaction(|backend| backend.execute(PUT_RESULT, &values))?;
        Ok(())
    }

    fn dead_letter(&mut self, letter: &DeadLetter) -> Result<()> {
        let values = [
            Value::from(letter.sink.as_str()),
            Value::from(letter.alert_id.as_str()),
            Value::Int(letter.revision),
            Value::from(letter.reason.as_str()),
            Value::Json(letter.record.as_str().into()),
            Value::Time(letter.at),
        ];
        self.transaction(|backend| backend.execute(PUT_DEAD_LETTER, &values))?;
        Ok(())
    }

    fn dead_letters(&mut self, sink: &str, after: i64, most: usize) -> Result<Vec<StoredDeadLetter>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.query(DEAD_LETTERS, &[Value::from(sink), Value::Int(after), Value::Int(most)], |row| {
            let letter = DeadLetter {
                sink: row.text(1)?,
                alert_id: row.text(2)?,
                revision: row.int(3)?,
                reason: row.text(4)?,
                at: row.time(5)?,
                record: row.text(6)?,
            };
            Ok(StoredDeadLetter { number: row.int(0)?, letter })
        })
    }

    fn forget_dead_letter(&mut self, number: i64) -> Result<()> {
        self.transaction(|backend| backend.execute(FORGET_DEAD_LETTER, &[Value::Int(number)]))?;
        Ok(())
    }

    fn controls(&mut self) -> Result<Vec<(String, String)>> {
        self.query(CONTROLS, &[], |row| Ok((row.text(0)?, row.text(1)?)))
    }

    fn put_control(&mut self, id: &str, record: &str, now: EventTime) -> Result<()> {
        let values = [Value::from(id), Value::Json(record.into()), Value::Time(now)];
        self.transaction(|backend| backend.execute(PUT_CONTROL, &values))?;
        Ok(())
    }

    fn remove_control(&mut self, id: &str) -> Result<bool> {
        Ok(self.transaction(|backend| backend.execute(REMOVE_CONTROL, &[Value::from(id)]))? > 0)
    }

    fn newest_log(&mut self) -> Result<i64> {
        Ok(self.query(NEWEST_LOG, &[], |row| row.int(0))?.pop().unwrap_or(0))
    }

    fn last_logs(&mut self, filter: &LogFilter, page: &Page) -> Result<Vec<StoredLog>> {
        let (time, number) = page.before();
        let (sql, mut values) = of_filter(
            filter,
            [
                query::LAST_LOGS,
                query::LAST_LOGS_OF_SERVICE,
                query::LAST_LOGS_OF_FAMILY,
                query::LAST_LOGS_OF_BOTH,
            ],
        );
        values.extend([Value::Time(time), Value::Int(number), Value::Int(page.limit())]);
        self.query(sql, &values, log)
    }

    fn logs_between(
        &mut self,
        filter: &LogFilter,
        from: EventTime,
        until: EventTime,
        page: &Page,
    ) -> Result<Vec<StoredLog>> {
        let (time, number) = page.after.as_ref().map_or((from, -1), |key| (key.time, key.number));
        let (sql, mut values) = of_filter(
            filter,
            [
                query::LOGS_BETWEEN,
                query::LOGS_BETWEEN_OF_SERVICE,
                query::LOGS_BETWEEN_OF_FAMILY,
                query::LOGS_BETWEEN_OF_BOTH,
            ],
        );
        values.extend([Value::Time(time), Value::Int(number), Value::Time(until), Value::Int(page.limit())]);
        self.query(sql, &values, log)
    }

    fn last_anomalies(&mut self, filter: &AnomalyFilter, page: &Page) -> Result<Vec<StoredAnomaly>> {
        let (time, number) = page.before();
        let mut values = vec![Value::Time(time), Value::Int(number), Value::Int(page.limit())];
        match &filter.service {
            None => self.query(query::LAST_ANOMALIES.sql, &values, anomaly),
            Some(service) => {
                values.insert(0, short(service));
                self.query(query::LAST_ANOMALIES_OF_SERVICE.sql, &values, anomaly)
            }
        }
    }

    fn anomaly(&mut self, id: &str) -> Result<Option<StoredAnomaly>> {
        Ok(self.query(query::ANOMALY.sql, &[Value::from(id)], anomaly)?.pop())
    }

    fn severity_by_type(&mut self, since: EventTime) -> Result<Vec<SeverityCount>> {
        self.query(query::SEVERITY_BY_TYPE.sql, &[Value::Time(since)], |row| {
            Ok(SeverityCount { severity: row.text(0)?, anomaly_type: row.text(1)?, anomalies: row.int(2)? })
        })
    }

    fn top_services(&mut self, since: EventTime, most: usize) -> Result<Vec<ServiceCount>> {
        let values = [Value::Time(since), Value::Int(Page::first(most).limit())];
        self.query(query::TOP_SERVICES.sql, &values, |row| {
            Ok(ServiceCount {
                affected_service: row.text(0)?,
                anomalies: row.int(1)?,
                max_score: row.real(2)?,
                last_detected_at: row.time(3)?,
            })
        })
    }

    fn score_histogram(&mut self, since: EventTime) -> Result<Vec<ScoreBucket>> {
        let rows = self.query(query::SCORE_HISTOGRAM.sql, &[Value::Time(since)], |row| Ok(row.clone()))?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        (0..10_u8)
            .map(|tenth| {
                Ok(ScoreBucket { from: f64::from(tenth) / 10.0, lines: row.int(usize::from(tenth))? })
            })
            .collect()
    }

    fn alerts(&mut self, filter: &AlertFilter, page: &Page) -> Result<Vec<AlertSummary>> {
        let last = PageKey { time: time::last(), number: 0, id: String::new() };
        let key = page.after.as_ref().unwrap_or(&last);
        let mut values = vec![Value::Time(key.time), Value::from(key.id.as_str()), Value::Int(page.limit())];
        match &filter.status {
            None => self.query(query::ALERTS.sql, &values, alert),
            Some(status) => {
                values.insert(0, short(status));
                self.query(query::ALERTS_BY_STATUS.sql, &values, alert)
            }
        }
    }

    fn alert(&mut self, id: &str) -> Result<Option<StoredAlert>> {
        let Some(summary) = self.query(query::ALERT.sql, &[Value::from(id)], alert)?.pop() else {
            return Ok(None);
        };
        let records = self.query(query::ALERT_RECORDS.sql, &[Value::from(id)], |row| row.text(2))?;
        Ok(Some(StoredAlert { summary, records }))
    }

    fn search_logs(&mut self, search: &LogSearch, page: &Page) -> Result<Found<StoredLog>> {
        self.find_logs(search, page, MOST_LOOKED_AT)
    }

    fn search_anomalies(&mut self, search: &AnomalySearch, page: &Page) -> Result<Found<StoredAnomaly>> {
        self.find_anomalies(search, page, MOST_LOOKED_AT)
    }

    fn search_alerts(&mut self, search: &AlertSearch, page: &Page) -> Result<Found<FoundAlert>> {
        self.find_alerts(search, page, MOST_LOOKED_AT)
    }

    fn oddness(&mut self, detector: &str, from: EventTime, most: usize) -> Result<Vec<Oddness>> {
        self.find_oddness(detector, from, most)
    }

    fn oldest(&mut self, from: EventTime) -> Result<Option<EventTime>> {
        self.find_oldest(from)
    }

    fn sink_results(&mut self, alert_id: &str, most: usize) -> Result<Vec<SinkResult>> {
        self.find_results(alert_id, most)
    }

    fn maintain(&mut self, now: EventTime, retention: &Retention) -> Result<Removed> {
        let oldest = retention.oldest(now);
        let mut removed = Removed::default();
        for sql in EXPIRE {
            let values = [Value::Int(STEP), Value::Time(oldest)];
            let expired = self.transaction(|backend| backend.execute(sql, &values))?;
            removed.expired += expired;
            removed.more |= expired.cast_signed() == STEP;
        }
        self.displace(retention.most_bytes, &mut removed)?;
        Ok(removed)
    }

    fn usage(&mut self) -> Result<Usage> {
        Ok(Usage { bytes: self.ready()?.bytes()? })
    }
}

/// A text for an indexed column.
pub(crate) fn short(text: &str) -> Value<'_> {
    Value::from(text.get(..text.floor_char_boundary(INDEXED_BYTES)).unwrap_or(text))
}

fn log_values(row: &LogRow, now: EventTime) -> [Value<'_>; LOGS.columns.len()] {
    [
        short(&row.id),
        Value::Time(row.time),
        short(&row.service),
        Value::text(row.level.map(Level::as_str)),
        Value::from(row.message.as_str()),
        Value::Real(row.score),
        short(&row.family),
        Value::from(row.source.as_str()),
        Value::Time(now),
    ]
}

fn anomaly_values(row: &AnomalyRow, now: EventTime) -> [Value<'_>; ANOMALIES.columns.len()] {
    [
        short(&row.id),
        Value::Time(row.time),
        short(&row.severity),
        short(&row.detector),
        short(&row.service),
        Value::from(row.details.as_str()),
        Value::Real(row.score),
        Value::Json(row.record.as_str().into()),
        Value::Time(now),
    ]
}

fn record_values(row: &AlertRow, now: EventTime) -> [Value<'_>; ALERT_RECORDS.columns.len()] {
    [
        short(&row.id),
        Value::Int(row.revision),
        short(&row.cause),
        Value::Json(row.record.as_str().into()),
        Value::Time(now),
    ]
}

fn alert_values(row: &AlertRow, now: EventTime) -> [Value<'_>; 14] {
    [
        short(&row.id),
        Value::Int(row.revision),
        short(&row.status),
        short(&row.severity),
        short(&row.service),
        short(&row.detector),
        Value::from(row.message.as_str()),
        Value::Time(row.first_seen),
        Value::Time(row.last_seen),
        Value::time(row.resolved_at),
        Value::Int(row.count),
        Value::Real(row.score),
        Value::Json(row.record.as_str().into()),
        Value::Time(now),
    ]
}

/// The statement for a filter (of all, of a service, of a family, of both) and its first values.
fn of_filter(filter: &LogFilter, queries: [query::Query; 4]) -> (&'static str, Vec<Value<'_>>) {
    let [all, service, family, both] = queries;
    match (&filter.service, &filter.family) {
        (None, None) => (all.sql, Vec::new()),
        (Some(name), None) => (service.sql, vec![short(name)]),
        (None, Some(name)) => (family.sql, vec![short(name)]),
        (Some(one), Some(other)) => (both.sql, vec![short(one), short(other)]),
    }
}

pub(crate) fn log(row: &Row) -> Result<StoredLog> {
    let level = row.maybe_text(2)?.map(|name| level(&name)).transpose()?;
    Ok(StoredLog {
        log_timestamp: row.time(0)?,
        service: row.text(1)?,
        level,
        message: row.text(3)?,
        score: row.real(4)?,
        family: row.text(5)?,
        source: row.text(6)?,
        id: row.text(7)?,
        number: row.int(8)?,
    })
}

fn level(name: &str) -> Result<Level> {
    Level::ALL.into_iter().find(|level| level.as_str() == name).ok_or_else(|| Error::Damaged {
        store: "the store".to_owned(),
        why: format!("no level is called `{}`", name.escape_debug()),
    })
}

pub(crate) fn anomaly(row: &Row) -> Result<StoredAnomaly> {
    Ok(StoredAnomaly {
        detected_at: row.time(0)?,
        severity: row.text(1)?,
        anomaly_type: row.text(2)?,
        affected_service: row.text(3)?,
        details: row.text(4)?,
        score: row.real(5)?,
        id: row.text(6)?,
        record: row.text(7)?,
        number: row.int(8)?,
    })
}

fn alert(row: &Row) -> Result<AlertSummary> {
    Ok(AlertSummary {
        id: row.text(0)?,
        revision: row.int(1)?,
        status: row.text(2)?,
        severity: row.text(3)?,
        service: row.text(4)?,
        detector: row.text(5)?,
        message: row.text(6)?,
        first_seen: row.time(7)?,
        last_seen: row.time(8)?,
        resolved_at: row.maybe_time(9)?,
        count: row.int(10)?,
        score: row.real(11)?,
    })
}
