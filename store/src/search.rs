//! What the dashboard searches for: rows newest first that hold what is asked for, of a bounded number that is looked
//! at, so that a search of a large store ends soon and goes on where it ended. Changes nothing.

use engine::event::{EventTime, Level};

use crate::backend::Backend;
use crate::database::{Database, anomaly, log, short};
use crate::error::Result;
use crate::outbox::SinkResult;
use crate::query::{Page, PageKey, StoredAnomaly, StoredLog};
use crate::time;
use crate::value::{Row, Value};

/// Rows that one search looks at, at most.
pub const MOST_LOOKED_AT: usize = 20_000;

/// What an answer holds: at most a page of what was found among the rows that were looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// Newest first.
    pub rows: Vec<T>,
    /// From where a further search goes on; `None` where nothing older is there.
    pub next: Option<PageKey>,
    /// Whether the search ended because it looked at [`MOST_LOOKED_AT`] rows and not because the page was full.
    pub is_cut_short: bool,
}

/// Which log lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSearch {
    /// Of this service; `None` for all.
    pub service: Option<String>,
    /// Of this level; `None` for all.
    pub level: Option<Level>,
    /// With this in the message, whatever the case of its letters (of ASCII's in an embedded store); empty for all.
    pub text: String,
    /// That score this at least, in [0, 1].
    pub least_score: f64,
    /// Not before this time.
    pub from: Option<EventTime>,
    /// Before this time.
    pub until: Option<EventTime>,
}

/// Which anomalies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnomalySearch {
    /// Of this service; `None` for all.
    pub service: Option<String>,
    /// Of this severity; `None` for all.
    pub severity: Option<String>,
    /// Of this detector; `None` for all.
    pub detector: Option<String>,
    /// Whose oddest line scores this at least, in [0, 1].
    pub least_score: f64,
    /// Not before this time.
    pub from: Option<EventTime>,
}

/// Which alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSearch {
    /// Of this status; `None` for all.
    pub status: Option<String>,
    /// Of this severity; `None` for all.
    pub severity: Option<String>,
    /// Of this service; `None` for all.
    pub service: Option<String>,
    /// With this in the message, or in the name of the service or of the detector; empty for all.
    pub text: String,
}

/// An alert as its newest record tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAlert {
    /// Event time of the last anomaly.
    pub last_seen: EventTime,
    /// Its id.
    pub id: String,
    /// The record, JSON.
    pub record: String,
}

macro_rules! logs {
    ($of:literal) => {
        concat!(
            "SELECT log_timestamp, service, level, message, score, family, source, id, seq FROM (",
            "SELECT log_timestamp, service, level, message, score, family, source, id, seq FROM logs WHERE ",
            $of,
            "log_timestamp <= $1 AND (log_timestamp, seq) < ($1, $2) AND log_timestamp >= $3 ",
            "ORDER BY log_timestamp DESC, seq DESC LIMIT $4) AS looked ",
            "WHERE ($5 = '' OR level = $5) AND score >= $6 ",
            "AND ($7 = '' OR lower(message) LIKE lower($7) ESCAPE '\\') ",
            "ORDER BY log_timestamp DESC, seq DESC LIMIT $8"
        )
    };
}

macro_rules! log_end {
    ($of:literal) => {
        concat!(
            "SELECT log_timestamp, seq FROM logs WHERE ",
            $of,
            "log_timestamp <= $1 AND (log_timestamp, seq) < ($1, $2) AND log_timestamp >= $3 ",
            "ORDER BY log_timestamp DESC, seq DESC LIMIT 1 OFFSET $4"
        )
    };
}

macro_rules! anomalies {
    ($of:literal) => {
        concat!(
            "SELECT detected_at, severity, anomaly_type, affected_service, details, score, id, record, seq FROM (",
            "SELECT detected_at, severity, anomaly_type, affected_service, details, score, id, record, seq ",
            "FROM anomalies WHERE ",
            $of,
            "detected_at <= $1 AND (detected_at, seq) < ($1, $2) AND detected_at >= $3 ",
            "ORDER BY detected_at DESC, seq DESC LIMIT $4) AS looked ",
            "WHERE ($5 = '' OR severity = $5) AND score >= $6 AND ($7 = '' OR anomaly_type = $7) ",
            "ORDER BY detected_at DESC, seq DESC LIMIT $8"
        )
    };
}

macro_rules! anomaly_end {
    ($of:literal) => {
        concat!(
            "SELECT detected_at, seq FROM anomalies WHERE ",
            $of,
            "detected_at <= $1 AND (detected_at, seq) < ($1, $2) AND detected_at >= $3 ",
            "ORDER BY detected_at DESC, seq DESC LIMIT 1 OFFSET $4"
        )
    };
}

/// A search, and the key of the last row that it looks at.
type Statements = (&'static str, &'static str);

const LOGS: Statements = (logs!(""), log_end!(""));
const LOGS_OF_SERVICE: Statements = (logs!("service = $9 AND "), log_end!("service = $5 AND "));
const ANOMALIES: Statements = (anomalies!(""), anomaly_end!(""));
const ANOMALIES_OF_SERVICE: Statements =
    (anomalies!("affected_service = $9 AND "), anomaly_end!("affected_service = $5 AND "));

const ALERTS: &str = "\
SELECT last_seen, id, record FROM (\
SELECT last_seen, id, status, severity, service, detector, message, record FROM alerts WHERE (last_seen, id) < ($1, $2) \
ORDER BY last_seen DESC, id DESC LIMIT $3) AS looked \
WHERE ($4 = '' OR status = $4) AND ($5 = '' OR severity = $5) AND ($6 = '' OR service = $6) \
AND ($7 = '' OR lower(message) LIKE lower($7) ESCAPE '\\' OR lower(service) LIKE lower($7) ESCAPE '\\' \
OR lower(detector) LIKE lower($7) ESCAPE '\\') \
ORDER BY last_seen DESC, id DESC LIMIT $8";
const ALERT_END: &str = "\
SELECT last_seen, id FROM alerts WHERE (last_seen, id) < ($1, $2) \
ORDER BY last_seen DESC, id DESC LIMIT 1 OFFSET $3";

const RESULTS: &str = "\
SELECT sink, alert_id, revision, outcome, http_status, detail, stored_at FROM sink_results WHERE alert_id = $1 \
ORDER BY seq DESC LIMIT $2";

const OLDEST: [&str; 2] = [
    "SELECT log_timestamp FROM logs WHERE log_timestamp >= $1 ORDER BY log_timestamp, seq LIMIT 1",
    "SELECT detected_at FROM anomalies WHERE detected_at >= $1 ORDER BY detected_at, seq LIMIT 1",
];
const ODDNESS: &str = "\
SELECT detected_at, affected_service, score FROM anomalies \
WHERE detected_at >= $1 AND anomaly_type = $2 ORDER BY detected_at DESC, seq DESC LIMIT $3";

/// When something was found of which service, and how odd it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Oddness {
    /// Event time.
    pub time: EventTime,
    /// The service that it is about.
    pub service: String,
    /// Score of its oddest line, in [0, 1].
    pub score: f64,
}

/// Rows within a time, from a place on; all of one service where there is one.
struct Span<'a> {
    statements: [Statements; 2],
    service: Option<&'a str>,
    from: Option<EventTime>,
    until: Option<EventTime>,
    most_looked_at: usize,
}

impl Span<'_> {
    /// What rows are less than: the row where the page before ended, or the first that is too late.
    fn before(&self, page: &Page) -> (EventTime, i64) {
        let (time, number) = page.before();
        match self.until.map(time::kept) {
            Some(until) if until <= time => (until, if until == time { number.min(0) } else { 0 }),
            _ => (time, number),
        }
    }

    fn search<B: Backend, T>(
        &self,
        store: &mut Database<B>,
        page: &Page,
        filter: [Value<'_>; 3],
        read: impl Fn(&Row) -> Result<T>,
        key: impl Fn(&T) -> PageKey,
    ) -> Result<Found<T>> {
        let (time, number) = self.before(page);
        let first = time::kept(EventTime::from_micros(i64::MIN));
        let [all, of_service] = self.statements;
        let (search, end) = if self.service.is_some() { of_service } else { all };
        let bounds = [Value::Time(time), Value::Int(number), Value::Time(self.from.unwrap_or(first))];
        let service = self.service.map(short);
        let looked_at = i64::try_from(self.most_looked_at).unwrap_or(i64::MAX);

        let mut values = bounds.to_vec();
        values.push(Value::Int(looked_at));
        values.extend(filter);
        values.push(Value::Int(page.limit()));
        values.extend(service.clone());
        let rows = store.query(search, &values, read)?;
        if i64::try_from(rows.len()).is_ok_and(|found| found >= page.limit()) {
            let next = rows.last().map(key);
            return Ok(Found { rows, next, is_cut_short: false });
        }
        let mut values = bounds.to_vec();
        values.push(Value::Int(looked_at - 1));
        values.extend(service);
        let last = |row: &Row| Ok(PageKey { time: row.time(0)?, number: row.int(1)?, id: String::new() });
        let next = store.query(end, &values, last)?.pop();
        Ok(Found { is_cut_short: next.is_some(), rows, next })
    }
}

/// What a text becomes that is looked for within others: its own wildcards stand for themselves.
fn within(text: &str) -> Value<'static> {
    if text.is_empty() {
        return Value::Text("".into());
    }
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.replace('\0', "\u{2400}").chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    Value::Text(pattern.into())
}

fn any(text: Option<&String>) -> Value<'_> {
    short(text.map_or("", String::as_str))
}

impl<B: Backend> Database<B> {
    pub(crate) fn find_logs(
        &mut self,
        search: &LogSearch,
        page: &Page,
        most_looked_at: usize,
    ) -> Result<Found<StoredLog>> {
        let span = Span {
            statements: [LOGS, LOGS_OF_SERVICE],
            service: search.service.as_deref(),
            from: search.from,
            until: search.until,
            most_looked_at,
        };
        let level = Value::from(search.level.map_or("", Level::as_str));
        let filter = [level, Value::Real(search.least_score), within(&search.text)];
        span.search(self, page, filter, log, StoredLog::key)
    }

    pub(crate) fn find_anomalies(
        &mut self,
        search: &AnomalySearch,
        page: &Page,
        most_looked_at: usize,
    ) -> Result<Found<StoredAnomaly>> {
        let span = Span {
            statements: [ANOMALIES, ANOMALIES_OF_SERVICE],
            service: search.service.as_deref(),
            from: search.from,
            until: None,
            most_looked_at,
        };
        let filter =
            [any(search.severity.as_ref()), Value::Real(search.least_score), any(search.detector.as_ref())];
        span.search(self, page, filter, anomaly, StoredAnomaly::key)
    }

    pub(crate) fn find_alerts(
        &mut self,
        search: &AlertSearch,
        page: &Page,
        most_looked_at: usize,
    ) -> Result<Found<FoundAlert>> {
        let last = PageKey { time: time::last(), number: 0, id: String::new() };
        let before = page.after.as_ref().unwrap_or(&last);
        let looked_at = i64::try_from(most_looked_at).unwrap_or(i64::MAX);
        let bounds = [Value::Time(before.time), Value::from(before.id.as_str())];
        let mut values = bounds.to_vec();
        values.extend([
            Value::Int(looked_at),
            any(search.status.as_ref()),
            any(search.severity.as_ref()),
            any(search.service.as_ref()),
            within(&search.text),
            Value::Int(page.limit()),
        ]);
        let key = |row: &FoundAlert| PageKey { time: row.last_seen, number: 0, id: row.id.clone() };
        let rows = self.query(ALERTS, &values, |row| {
            Ok(FoundAlert { last_seen: row.time(0)?, id: row.text(1)?, record: row.text(2)? })
        })?;
        if i64::try_from(rows.len()).is_ok_and(|found| found >= page.limit()) {
            let next = rows.last().map(key);
            return Ok(Found { rows, next, is_cut_short: false });
        }
        let mut values = bounds.to_vec();
        values.push(Value::Int(looked_at - 1));
        let end = |row: &Row| Ok(PageKey { time: row.time(0)?, number: 0, id: row.text(1)? });
        let next = self.query(ALERT_END, &values, end)?.pop();
        Ok(Found { is_cut_short: next.is_some(), rows, next })
    }

    pub(crate) fn find_oddness(
        &mut self,
        detector: &str,
        from: EventTime,
        most: usize,
    ) -> Result<Vec<Oddness>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.query(ODDNESS, &[Value::Time(from), Value::from(detector), Value::Int(most)], |row| {
            Ok(Oddness { time: row.time(0)?, service: row.text(1)?, score: row.real(2)? })
        })
    }

    pub(crate) fn find_oldest(&mut self, from: EventTime) -> Result<Option<EventTime>> {
        let mut oldest = None;
        for sql in OLDEST {
            let found = self.query(sql, &[Value::Time(from)], |row| row.time(0))?.pop();
            oldest = oldest.into_iter().chain(found).min();
        }
        Ok(oldest)
    }

    pub(crate) fn find_results(&mut self, alert_id: &str, most: usize) -> Result<Vec<SinkResult>> {
        let values = [Value::from(alert_id), Value::Int(Page::first(most).limit())];
        let mut results = self.query(RESULTS, &values, |row| {
            Ok(SinkResult {
                sink: row.text(0)?,
                alert_id: row.text(1)?,
                revision: row.int(2)?,
                outcome: row.text(3)?,
                status: row.maybe_int(4)?.and_then(|status| u16::try_from(status).ok()),
                detail: row.text(5)?,
                at: row.time(6)?,
            })
        })?;
        results.reverse();
        Ok(results)
    }
}

/// Every statement, with the index that it is to read.
#[cfg(test)]
pub(crate) fn statements() -> [(&'static str, &'static str); 11] {
    [
        (LOGS.0, "logs_by_time"),
        (LOGS.1, "logs_by_time"),
        (LOGS_OF_SERVICE.0, "logs_by_service"),
        (LOGS_OF_SERVICE.1, "logs_by_service"),
        (ANOMALIES.0, "anomalies_by_time"),
        (ANOMALIES.1, "anomalies_by_time"),
        (ANOMALIES_OF_SERVICE.0, "anomalies_by_service"),
        (ANOMALIES_OF_SERVICE.1, "anomalies_by_service"),
        (ODDNESS, "anomalies_by_time"),
        (ALERTS, "alerts_by_time"),
        (ALERT_END, "alerts_by_time"),
    ]
}
