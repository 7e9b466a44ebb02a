//! What is kept of a stream: log lines, anomalies, alerts with their outbox, and how far each receiver of alerts is.
//! Embedded (SQLite) or in PostgreSQL behind one trait. Decides nothing about a line and reads no clock and no
//! environment.

mod backend;
mod database;
mod displace;
mod error;
mod outbox;
mod postgres;
pub mod query;
mod retention;
mod rows;
mod schema;
mod search;
mod settings;
mod sqlite;
mod time;
mod value;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use outbox::{DeadLetter, SinkResult, StoredDeadLetter};
pub use query::{
    AlertFilter, AlertSummary, AnomalyFilter, LogFilter, Page, PageKey, ScoreBucket, ServiceCount,
    SeverityCount, StoredAlert, StoredAnomaly, StoredLog,
};
pub use retention::{Removed, Retention, Usage};
pub use rows::{AlertRow, AnomalyRow, LogRow, Rows, Written};
pub use search::{AlertSearch, AnomalySearch, Found, FoundAlert, LogSearch, MOST_LOOKED_AT, Oddness};
pub use settings::{SettingsError, StoreSettings};

use engine::event::EventTime;

/// What a program asks of a store. Every call blocks; a handle belongs to one thread at a time, and each thread that
/// needs the store opens its own. From within an asynchronous task use `spawn_blocking`, or the task holds its thread.
///
/// Every call may fail with an error that goes away by itself ([`Error::is_transient`]): a server that is down, a
/// disk that is full. The call did nothing then and may be made again; the handle connects again by itself.
pub trait Store: Send {
    /// `embedded` or `postgresql`, and where it is, without any secret: for messages.
    fn describe(&self) -> String;

    /// Connects, and brings the tables to the version of this program. Every other call does it too where it was not
    /// done; by itself it tells at a start what is wrong with the settings.
    ///
    /// # Errors
    /// The store cannot be opened; its tables are of a newer program.
    fn prepare(&mut self) -> Result<()>;

    /// The version of the tables, 0 where there are none. Changes nothing.
    ///
    /// # Errors
    /// The store cannot be opened; its tables are of a newer program.
    fn version(&mut self) -> Result<i64>;

    /// Writes everything in one transaction, durably: after `Ok` it is there even if the power fails. What is there
    /// already (same id; for alert records same id and revision) is passed over, so that repeating is harmless.
    ///
    /// # Errors
    /// Nothing of it was written.
    fn write(&mut self, rows: &Rows) -> Result<Written>;

    /// Alert records behind the number `seq`, at most `most`, in the order in which they were written: number and
    /// JSON. A number that was once returned is never followed by a smaller one that appears later.
    ///
    /// # Errors
    /// The store cannot be read.
    fn outbox_after(&mut self, seq: i64, most: usize) -> Result<Vec<(i64, Vec<u8>)>>;

    /// The number up to which a sink has dealt with the outbox, 0 where it never has. From then on it is known, and the
    /// records behind its position are not displaced.
    ///
    /// # Errors
    /// The store cannot be read or written.
    fn sink_position(&mut self, sink: &str) -> Result<i64>;

    /// Moves a sink's position; never back.
    ///
    /// # Errors
    /// The store cannot be written.
    fn settle(&mut self, sink: &str, seq: i64) -> Result<()>;

    /// Claims the work of a sink for this handle, so that of several programs on one database only one delivers;
    /// `false` while another one has it. It ends with the handle, the connection or the process; claiming again is
    /// cheap and tells whether it still holds.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn lead(&mut self, sink: &str) -> Result<bool>;

    /// Keeps what became of one delivery.
    ///
    /// # Errors
    /// The store cannot be written.
    fn sink_result(&mut self, result: &SinkResult) -> Result<()>;

    /// Keeps a record that a sink gave up on. The same record of the same sink is kept once.
    ///
    /// # Errors
    /// The store cannot be written.
    fn dead_letter(&mut self, letter: &DeadLetter) -> Result<()>;

    /// Records that a sink gave up on, oldest first, those behind number `after`, at most `most`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn dead_letters(&mut self, sink: &str, after: i64, most: usize) -> Result<Vec<StoredDeadLetter>>;

    /// Forgets a dead letter: it was delivered after all.
    ///
    /// # Errors
    /// The store cannot be written.
    fn forget_dead_letter(&mut self, number: i64) -> Result<()>;

    /// What people decided (silences, what is normal), id and JSON, in the order of their ids.
    ///
    /// # Errors
    /// The store cannot be read.
    fn controls(&mut self) -> Result<Vec<(String, String)>>;

    /// Keeps a decision, durably; one of the same id is replaced.
    ///
    /// # Errors
    /// The store cannot be written.
    fn put_control(&mut self, id: &str, record: &str, now: EventTime) -> Result<()>;

    /// Takes a decision back; whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    fn remove_control(&mut self, id: &str) -> Result<bool>;

    /// The number of the newest log line, 0 where there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    fn newest_log(&mut self) -> Result<i64>;

    /// The newest log lines.
    ///
    /// # Errors
    /// The store cannot be read.
    fn last_logs(&mut self, filter: &LogFilter, page: &Page) -> Result<Vec<StoredLog>>;

    /// Log lines between two times, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    fn logs_between(
        &mut self,
        filter: &LogFilter,
        from: EventTime,
        until: EventTime,
        page: &Page,
    ) -> Result<Vec<StoredLog>>;

    /// The newest anomalies.
    ///
    /// # Errors
    /// The store cannot be read.
    fn last_anomalies(&mut self, filter: &AnomalyFilter, page: &Page) -> Result<Vec<StoredAnomaly>>;

    /// One anomaly by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    fn anomaly(&mut self, id: &str) -> Result<Option<StoredAnomaly>>;

    /// Anomalies since a time, counted by severity and type.
    ///
    /// # Errors
    /// The store cannot be read.
    fn severity_by_type(&mut self, since: EventTime) -> Result<Vec<SeverityCount>>;

    /// The services with the most anomalies since a time, at most `most`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn top_services(&mut self, since: EventTime, most: usize) -> Result<Vec<ServiceCount>>;

    /// How many of the kept lines since a time have which score, in tenths.
    ///
    /// # Errors
    /// The store cannot be read.
    fn score_histogram(&mut self, since: EventTime) -> Result<Vec<ScoreBucket>>;

    /// Alerts, those with the newest anomaly first.
    ///
    /// # Errors
    /// The store cannot be read.
    fn alerts(&mut self, filter: &AlertFilter, page: &Page) -> Result<Vec<AlertSummary>>;

    /// One alert with all its records.
    ///
    /// # Errors
    /// The store cannot be read.
    fn alert(&mut self, id: &str) -> Result<Option<StoredAlert>>;

    /// Log lines that hold what is asked for, newest first, of at most [`MOST_LOOKED_AT`] that are looked at.
    ///
    /// # Errors
    /// The store cannot be read.
    fn search_logs(&mut self, search: &LogSearch, page: &Page) -> Result<Found<StoredLog>>;

    /// As [`Store::search_logs`], for anomalies.
    ///
    /// # Errors
    /// The store cannot be read.
    fn search_anomalies(&mut self, search: &AnomalySearch, page: &Page) -> Result<Found<StoredAnomaly>>;

    /// As [`Store::search_logs`], for alerts; those with the newest anomaly first.
    ///
    /// # Errors
    /// The store cannot be read.
    fn search_alerts(&mut self, search: &AlertSearch, page: &Page) -> Result<Found<FoundAlert>>;

    /// When a detector found something since a time, newest first, at most `most` times.
    ///
    /// # Errors
    /// The store cannot be read.
    fn oddness(&mut self, detector: &str, from: EventTime, most: usize) -> Result<Vec<Oddness>>;

    /// Event time of the oldest line or anomaly that is kept, of those not before a time.
    ///
    /// # Errors
    /// The store cannot be read.
    fn oldest(&mut self, from: EventTime) -> Result<Option<EventTime>>;

    /// What became of an alert's deliveries, oldest first; of more than `most`, the newest.
    ///
    /// # Errors
    /// The store cannot be read.
    fn sink_results(&mut self, alert_id: &str, most: usize) -> Result<Vec<SinkResult>>;

    /// Removes what is too old or too much, in one small step; call again while [`Removed::more`] says so.
    ///
    /// # Errors
    /// The store cannot be written.
    fn maintain(&mut self, now: EventTime, retention: &Retention) -> Result<Removed>;

    /// How much is kept.
    ///
    /// # Errors
    /// The store cannot be read.
    fn usage(&mut self) -> Result<Usage>;
}

/// The store that the settings name; nothing is connected or created yet ([`Store::prepare`] does).
///
/// # Errors
/// The settings name no usable store.
pub fn open(settings: &StoreSettings) -> std::result::Result<Box<dyn Store>, SettingsError> {
    Ok(match settings {
        StoreSettings::Embedded { path } => {
            Box::new(database::Database::new(sqlite::Sqlite::new(path.clone())))
        }
        StoreSettings::Postgres(url) => Box::new(database::Database::new(postgres::Postgres::new(url)?)),
    })
}
