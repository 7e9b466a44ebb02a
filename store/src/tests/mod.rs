//! The same tests against both databases.

mod controls;
mod document;
mod faults;
mod outbox;
mod queries;
mod removing;
mod schema;
mod search;
mod writing;

use engine::event::{EventTime, Level};
use tempfile::TempDir;
use testkit::postgres::Server;

use crate::{AlertRow, AnomalyRow, LogRow, Rows, Store, StoreSettings, open};

/// Which database a case is about.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    Embedded,
    Postgres,
}

/// An empty place to keep things in.
pub struct Place {
    pub settings: StoreSettings,
    _folder: Option<TempDir>,
}

impl Place {
    pub fn new(which: Which) -> Self {
        match which {
            Which::Embedded => {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("below").join("isolog.db");
                Self { settings: StoreSettings::Embedded { path }, _folder: Some(folder) }
            }
            Which::Postgres => {
                let url = Server::shared().unwrap().database().unwrap();
                Self { settings: StoreSettings::Postgres(url), _folder: None }
            }
        }
    }

    /// A further handle.
    pub fn handle(&self) -> Box<dyn Store> {
        open(&self.settings).unwrap()
    }

    /// Runs statements beside the program, as a person would.
    pub fn by_hand(&self, sql: &str) {
        match &self.settings {
            StoreSettings::Embedded { path } => {
                rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
            }
            StoreSettings::Postgres(url) => {
                Server::shared().unwrap().psql(url, sql).unwrap();
            }
        }
    }
}

pub const SECOND: i64 = 1_000_000;
/// 2026-01-02T03:04:05Z.
pub const START: i64 = 1_767_323_045 * SECOND;

pub fn at(seconds: i64) -> EventTime {
    EventTime::from_micros(START + seconds * SECOND)
}

pub fn log(number: u32) -> LogRow {
    let service = if number.is_multiple_of(2) { "billing" } else { "orders" };
    LogRow {
        id: format!("{number:032x}"),
        time: at(number.into()),
        service: service.to_owned(),
        level: [None, Some(Level::Info), Some(Level::Error)][number as usize % 3],
        message: format!("line {number} — \u{1f980}\n\ttail"),
        score: f64::from(number % 10) / 10.0 + 0.05,
        family: if number < 5 { "software_logs" } else { "audit" }.to_owned(),
        source: format!("software_logs/0/{number}"),
    }
}

pub fn anomaly(number: u32) -> AnomalyRow {
    AnomalyRow {
        id: format!("a{number:031x}"),
        time: at(number.into()),
        severity: ["info", "warning", "critical"][number as usize % 3].to_owned(),
        detector: ["odd_line", "error_burst"][number as usize % 2].to_owned(),
        service: if number.is_multiple_of(4) { "billing" } else { "orders" }.to_owned(),
        details: format!("anomaly {number}"),
        score: 0.9,
        record: format!("{{\"number\":{number}}}"),
    }
}

pub fn alert(number: u32, revision: i64) -> AlertRow {
    let resolved = revision > 2;
    AlertRow {
        id: format!("b{number:031x}"),
        revision,
        cause: ["opened", "graver", "resolved"][usize::try_from(revision).unwrap().min(3) - 1].to_owned(),
        status: if resolved { "resolved" } else { "firing" }.to_owned(),
        severity: "error".to_owned(),
        service: "billing".to_owned(),
        detector: "error_burst".to_owned(),
        message: format!("alert {number}"),
        first_seen: at(number.into()),
        last_seen: at(i64::from(number) + revision),
        resolved_at: resolved.then(|| at(900)),
        count: revision * 10,
        score: 0.75,
        record: format!("{{\"id\":\"b{number:031x}\",\"revision\":{revision}}}"),
    }
}

pub fn rows(logs: impl IntoIterator<Item = LogRow>) -> Rows {
    Rows { now: at(0), logs: logs.into_iter().collect(), ..Rows::default() }
}

pub fn alerts(alerts: impl IntoIterator<Item = AlertRow>) -> Rows {
    Rows { now: at(0), alerts: alerts.into_iter().collect(), ..Rows::default() }
}
